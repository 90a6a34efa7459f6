"""What comes of alarms: the entities, their states, and that each occurrence fires once."""

import time

from camera import Camera, Channel, sha256
from lab import until

# Names that Home Assistant's registry gives; what a user types into an automation.
FRONT = "02-00-00-00-00-01"
GARDEN = "02-00-00-00-00-02"
RECORDER = "8021000000000000000000000000000000000000"


class Site:
    """The cameras of the test and the Home Assistant they show up in."""

    def __init__(self, lab, report, pictures):
        self.lab, self.hass, self.report, self.pictures = lab, lab.hass, report, pictures
        self.front = Camera(lab.bridge, FRONT, "Front door")
        self.garden = Camera(lab.bridge, GARDEN, "Garden", ip="192.0.2.11")
        self.watch = None

    def state(self, camera, key):
        """The state of an entity by its key, `None` where there is none."""
        entity = self.hass.entities().get(f"alarmbus_{camera.source}_{key}")
        return entity and entity["state"]

    def entity(self, camera, key):
        return self.hass.entities()[f"alarmbus_{camera.source}_{key}"]

    def entity_id(self, camera, key):
        return self.entity(camera, key)["entity_id"]

    def bridge_entity(self, key):
        found = [it for name, it in self.hass.entities().items() if name.startswith("alarmbus_bridge_")]
        return next((it for it in found if it["unique_id"].endswith(f"_{key}")), None)

    def picture_of(self, camera, key):
        return self.hass.image(self.entity_id(camera, key))


def bridge_device(site):
    report = site.report
    state = lambda key: (site.bridge_entity(key) or {}).get("state")
    report.soon("the bridge is there and connected", lambda: state("connectivity"), "on")
    report.soon("no alarms yet", lambda: state("alarms"), "0")
    report.equal("its backlog", state("backlog"), "0")
    report.equal("nothing is parked", state("parked"), "0")
    report.equal("no problems", (state("problems"), site.bridge_entity("problems")["attributes"].get("problems")), ("0", []))
    version = site.lab.bridge.run("--version").split()[-1]
    report.equal("its version", state("version"), version)
    report.check("when it started", state("started").startswith("20"), state("started"))
    device = next(it for name, it in site.hass.devices().items() if name.startswith("alarmbus_bridge_"))
    report.equal("its device", (device["name"], device["sw_version"]), ("alarmbus", version))


def never_seen(site):
    """A camera nobody knew: everything is there within two seconds of its first push, the event itself too."""
    report, front = site.report, site.front
    site.watch = site.hass.watch("state_changed", "call_service")
    sent = time.monotonic()
    front.push("MOTION", "PEOPLE", picture=site.pictures[0], count=2)
    until("the alarm entity", lambda: site.state(front, "alarm"))
    alarm = site.entity_id(front, "alarm")
    until("its first event", lambda: len(site.watch.fired(alarm)) >= 2)
    report.check("the first events are there within 2 s", time.monotonic() - sent < 2.0, f"{time.monotonic() - sent:.2f} s")
    kinds = [fired["event_type"] for fired in site.watch.fired(alarm)]
    report.equal("motion goes first, then the person", kinds, ["motion", "person"])
    event = site.watch.fired(alarm)[1]
    report.equal("the event's attributes", (event["count"], event["source"], event["phase"]), (2, front.source, "start"))
    front_door(site)
    report.equal("the registry's names", alarm, "event.front_door_alarm")
    device = site.hass.devices()[f"alarmbus_{front.source}"]
    report.equal("maker and model", (device["manufacturer"], device["model"]), ("TP-Link", "VIGI camera"))
    report.equal("its MAC", device["connections"], [["mac", "02:00:00:00:00:01"]])
    report.check("reached by the bridge", device["via"] and device["via"].startswith("alarmbus_bridge_"), device["via"])


def front_door(site):
    """Every entity of the front door has the state it should."""
    report, front = site.report, site.front
    stamp = front.time.replace(" ", "T") + "+00:00"
    wanted = {
        **{"motion": "on", "person": "on", "count-person": "2", "last_kind": "person", "ip": "192.0.2.10"},
        "last_alarm": stamp,
    }
    for key, state in wanted.items():
        report.soon(f"{key} is {state}", lambda key=key: site.state(front, key), state)
    heard = site.state(front, "last_heard")
    report.check("last heard about now", heard[:13] == stamp[:13], (heard, stamp))
    report.check("the clock is right to 2 s", abs(int(site.state(front, "clock_offset"))) <= 2000, site.state(front, "clock_offset"))
    for key in ("snapshot", "snapshot-motion", "snapshot-person"):
        report.soon(f"{key} has the camera's bytes", lambda key=key: site.picture_of(front, key), sha256(site.pictures[0]))
    attributes = site.entity(front, "snapshot-person")["attributes"]
    report.equal("the picture's attributes are of its alarm", (attributes["event_type"], attributes["count"]), ("person", 2))
    known = {f"alarmbus_{front.source}_{key}" for key in [*wanted, "alarm", "last_heard", "clock_offset"]}
    known |= {f"alarmbus_{front.source}_snapshot{tail}" for tail in ("", "-motion", "-person")}
    known.add(f"alarmbus_{front.source}_mute-switch")
    found = {name for name in site.hass.entities() if name.startswith(f"alarmbus_{front.source}_")}
    report.equal("no other entities", found ^ known, set())


def repeats(site):
    """One activity with ten repeats fires once, and ends."""
    report, garden = site.report, site.garden
    url = site.lab.bridge.webhook
    words = ("--mac", GARDEN, "--name", "Garden", "--event", "intrusion", "--format", "enhanced", "--timezone", "UTC")
    site.lab.bridge.run("simulate", "--url", url, *words, "--rate", "10", "--count", "11", "--connections", "1")
    until("the garden", lambda: site.state(garden, "alarm") not in (None, "unknown"))
    alarm = site.entity_id(garden, "alarm")
    report.soon("on while it lasts", lambda: site.state(garden, "intrusion"), "on")
    report.soon("off after the hold", lambda: site.state(garden, "intrusion"), "off")
    report.equal("the count is back at zero", site.state(garden, "count-intrusion"), "0")
    kinds = [fired["event_type"] for fired in site.watch.fired(alarm)]
    report.equal("fired once", kinds, ["intrusion"])
    retained = site.lab.retained()
    last = [retained[topic] for topic in retained if topic.endswith(f"{garden.source}/last")]
    report.check("and the ten repeats came", b'"repeat":10' in last[0], last)


def burst(site):
    """Fifty in one breath fire fifty times, in order."""
    report, front = site.report, site.front
    alarm = site.entity_id(front, "alarm")
    before = len(site.watch.fired(alarm))
    front.push("LICENSE_PLATE")
    until("the first plate", lambda: len(site.watch.fired(alarm)) == before + 1)
    for _ in range(5):
        front.push(*["LICENSE_PLATE"])
    numbers = lambda: [fired["seq"] for fired in site.watch.fired(alarm)[before:]]
    until("six plates", lambda: len(numbers()) >= 6)
    words = ("--mac", FRONT, "--name", "Front door", "--event", "license_plate", "--format", "legacy")
    more = ("--rate", "0", "--count", "50", "--connections", "1", "--timezone", "UTC")
    site.lab.bridge.run("simulate", "--url", site.lab.bridge.webhook, *words, *more)
    report.soon("56 events", lambda: len(numbers()), 56)
    first = numbers()[0]
    report.equal("in order, none twice", numbers(), list(range(first, first + 56)))


def new_kinds(site):
    """A kind nobody knows shows on its first push; so does the doorbell's own entity."""
    report, front = site.report, site.front
    alarm = site.entity_id(front, "alarm")
    sent = time.monotonic()
    front.push("DRAGON")
    until("the dragon", lambda: [it for it in site.watch.fired(alarm) if it["event_type"] == "dragon"])
    report.check("within 2 s", time.monotonic() - sent < 2.0, f"{time.monotonic() - sent:.2f} s")
    report.soon("its binary sensor is on", lambda: site.state(front, "dragon"), "on")
    report.equal("its name", site.entity_id(front, "dragon"), "binary_sensor.front_door_dragon")
    front.push("DOORBELL")
    until("the doorbell's entity", lambda: site.state(front, "doorbell"))
    bell = site.entity_id(front, "doorbell")
    report.soon("its first ring", lambda: [it["event_type"] for it in site.watch.fired(bell)], ["ring"])
    report.check("the alarm entity has it too", site.watch.fired(alarm)[-1]["event_type"] == "doorbell")


def muted(site):
    """A muted camera's states go on, and its events do not fire; the switch of the device mutes it."""
    report, garden = site.report, site.garden
    alarm, switch = site.entity_id(garden, "alarm"), site.entity_id(garden, "mute-switch")
    site.hass.service("switch", "turn_on", entity_id=switch)
    report.soon("the switch is on", lambda: site.state(garden, "mute-switch"), "on")
    fired = len(site.watch.fired(alarm))
    url = site.lab.bridge.webhook
    words = ("--mac", GARDEN, "--name", "Garden", "--event", "intrusion", "--format", "enhanced", "--timezone", "UTC")
    site.lab.bridge.run("simulate", "--url", url, *words, "--count", "1")
    report.soon("its state goes on", lambda: site.state(garden, "intrusion"), "on")
    report.soon("and off", lambda: site.state(garden, "intrusion"), "off")
    report.equal("nothing fired", len(site.watch.fired(alarm)), fired)
    site.hass.service("switch", "turn_off", entity_id=switch)
    report.soon("the switch is off", lambda: site.state(garden, "mute-switch"), "off")


def names(site):
    """Two cameras of one name, a rename, a name in Chinese, an empty one; a recorder with its channels."""
    report, bridge = site.report, site.lab.bridge
    twins = [Camera(bridge, f"02-00-00-00-01-0{number}", "Twin") for number in (1, 2)]
    chinese, nameless = Camera(bridge, "02-00-00-00-01-03", "前门"), Camera(bridge, "02-00-00-00-01-04", "")
    for camera in (*twins, chinese, nameless):
        camera.push("MOTION")
        until(camera.name, lambda camera=camera: site.state(camera, "motion"))
    name = lambda camera: site.hass.devices()[f"alarmbus_{camera.source}"]["name"]
    report.equal("two of one name are two", [name(twin) for twin in twins], ["Twin", "Twin"])
    report.equal("their entities", [site.entity_id(twin, "motion") for twin in twins], ["binary_sensor.twin_motion", "binary_sensor.twin_motion_2"])
    report.equal("in Chinese", name(chinese), "前门")
    report.check("an empty name is made up", name(nameless).endswith("000104"), name(nameless))
    count, entity = len(site.hass.devices()), site.entity_id(twins[0], "motion")
    twins[0].name = "Only one"
    twins[0].push("MOTION")
    report.soon("a rename is shown", lambda: name(twins[0]), "Only one")
    report.equal("and makes no second device", len(site.hass.devices()), count)
    report.equal("nor another entity", site.entity_id(twins[0], "motion"), entity)
    for number in (1, 2):
        Channel(bridge, RECORDER, number, f"Yard {number}").push()
    channel = lambda number: next((it for it in site.hass.devices().values() if it["name"] == f"Yard {number}"), None)
    for number in (1, 2):
        report.soon(f"channel {number}", lambda number=number: bool(channel(number)), True)
    recorder = site.hass.devices().get(channel(1)["via"])
    report.check("the recorder is there", recorder and recorder["model"] == "VIGI recorder", recorder)
    report.equal("both are reached by it", channel(2)["via"], channel(1)["via"])
