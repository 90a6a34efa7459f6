"""What restarts, outages and changes of settings leave behind."""

import json
import signal
import socket
import time

from camera import Camera, sha256
from lab import until


def standing(site):
    """State and picture of every entity, but for the moments at which events and pictures came."""
    found = {}
    for name, entity in site.hass.entities().items():
        if entity["disabled_by"]:
            continue
        state = entity["state"]
        if entity["entity_id"].startswith("image."):
            state = site.hass.image(entity["entity_id"])
        found[name] = state
    return found


def differences(before, after, passing=()):
    """What differs, the names that end in one of `passing` aside."""
    names = before.keys() | after.keys()
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(names)
        if before.get(name) != after.get(name) and not name.endswith(tuple(passing))
    }


# These move with time and with the restarts that the test makes.
MOVING = ("_started", "_alarms", "_problems", "_backlog")


def settle(site):
    """Waits until every activity but the front door's long ones is over, and nothing is about to change."""
    lasting = lambda name: name.startswith(f"alarmbus_{site.front.source}_") or "_bridge_" in name
    ongoing = lambda: [
        name
        for name, entity in site.hass.entities().items()
        if entity["state"] == "unavailable" or entity["state"] == "on" and not lasting(name)
    ]
    until("quiet", lambda: not ongoing(), timeout=60)


def fired_at_all(site, watch, before):
    """Event entities that fired while one watched; one that comes back with the state it had did not."""
    found = {}
    for name, entity in site.hass.entities().items():
        fired = watch.fired(entity["entity_id"]) if entity["entity_id"].startswith("event.") else []
        fired = [(it["event_type"], it["id"]) for it in fired if it["state"] != before.get(name)]
        if fired:
            found[name] = fired
    return found


def hass_restarts(site):
    """Home Assistant restarts: all is as before, and no event fires."""
    settle(site)
    before = standing(site)
    births = site.lab.log("hass").count("birth message sent")
    site.lab.restart_hass()
    watch = site.hass.watch()
    site.report.soon("everything as before", lambda: differences(before, standing(site), MOVING), {})
    # Its birth message comes seconds after its start, and the bridge sends everything again.
    until("its birth", lambda: site.lab.log("hass").count("birth message sent") > births, timeout=30)
    time.sleep(2)
    site.report.equal("no event fired", fired_at_all(site, watch, before), {})
    site.report.equal("nothing moved after its birth", differences(before, standing(site), MOVING), {})
    watch.close()


def bridge_dies(site):
    """The bridge is killed and comes back: unavailable meanwhile, all but the events; nothing fires."""
    report, before = site.report, standing(site)
    watch = site.hass.watch()
    site.lab.bridge.stop(signal.SIGKILL)
    own = lambda name: "_bridge_" in name
    gone = lambda: {
        name: entity["state"]
        for name, entity in site.hass.entities().items()
        if entity["state"] != "unavailable" and not own(name) and not entity["disabled_by"]
    }
    report.soon("only events are left", lambda: all(name.endswith(("_alarm", "_doorbell")) for name in gone()), True)
    events = {name: state for name, state in before.items() if name.endswith(("_doorbell",)) or name.endswith("_alarm") and not name.endswith("_last_alarm")}
    report.equal("and they are as they were", gone(), events)
    report.equal("connectivity says so", site.bridge_entity("connectivity")["state"], "off")
    site.lab.bridge.start()
    report.soon("everything is back", lambda: differences(before, standing(site), MOVING), {})
    report.equal("no event fired", fired_at_all(site, watch, before), {})
    site.lab.bridge.stop()
    report.soon("a clean stop says so too", lambda: site.bridge_entity("connectivity")["state"], "off")
    site.lab.bridge.start()
    report.soon("and it is back again", lambda: differences(before, standing(site), MOVING), {})
    report.equal("still no event fired", fired_at_all(site, watch, before), {})
    watch.close()


def broker_forgets(site):
    """The broker loses everything, then Home Assistant restarts: all is back without any push."""
    report, before = site.report, standing(site)
    retained = site.lab.retained()
    site.lab.restart_broker()
    expected = lambda: {topic for topic in retained.keys() - site.lab.retained().keys()}
    report.soon("the bridge fills it again, pictures too", expected, set(), timeout=60)
    # One that stops while it has no broker forgets its events by itself.
    report.soon("everything is back", lambda: differences(before, standing(site), MOVING), {}, timeout=60)
    site.lab.restart_hass()
    watch = site.hass.watch()
    report.soon("and after its restart too", lambda: differences(before, standing(site), MOVING), {}, timeout=30)
    report.equal("no event fired", fired_at_all(site, watch, before), {})
    watch.close()


def picture_too_large(site):
    """3 MB on a broker that takes 2: the event comes, the link holds, and it is told."""
    report, front = site.report, site.front
    alarm = site.entity_id(front, "alarm")
    watch = site.hass.watch()
    connects = site.lab.log("bridge").count("connected: MQTT")
    picture = site.pictures[1] + bytes(3_000_000)
    front.push("PET", picture=picture)
    report.soon("the event comes", lambda: [it["event_type"] for it in watch.fired(alarm)], ["pet"])
    report.equal("and says why it has no picture", watch.fired(alarm)[0]["snapshot"]["problem"], "over_broker_limit")
    front.push("PET", picture=site.pictures[1])
    report.soon("the next picture comes", lambda: site.hass.image(site.entity(front, "snapshot-pet")["entity_id"]), sha256(site.pictures[1]))
    report.equal("the link held", site.lab.log("bridge").count("connected: MQTT"), connects)
    problems = lambda: [it["code"] for it in site.bridge_entity("problems")["attributes"].get("problems", [])]
    report.soon("it is counted as a problem", lambda: "picture_too_large" in problems(), True, timeout=70)
    report.check("and logged", "picture" in site.lab.log("bridge") and "over" in site.lab.log("bridge"))
    watch.close()


def deleted_in_home_assistant(site):
    """A device deleted there stays away until its next alarm, which is heard."""
    report, bridge = site.report, site.lab.bridge
    camera = Camera(bridge, "02-00-00-00-02-01", "Shed", ip="192.0.2.12")
    camera.push("MOTION", picture=site.pictures[1])
    until("the shed", lambda: site.state(camera, "motion"))
    name = f"alarmbus_{camera.source}"
    site.hass.delete_device(site.hass.devices()[name])
    report.soon("gone", lambda: name in site.hass.devices(), False)
    topic = f"homeassistant/device/{name}/config"
    report.soon("and from the broker", lambda: topic in site.lab.retained(), False)
    ours = [it for it in site.lab.log("mosquitto").splitlines() if "from alarmbus-" in it and topic in it and "(0 bytes)" in it]
    report.equal("the bridge does not delete what is deleted", ours, [])
    bridge.stop()
    bridge.start()
    report.soon("the bridge is back", lambda: site.bridge_entity("connectivity")["state"], "on")
    site.lab.publish("homeassistant/status", "online")
    time.sleep(1)
    report.check("it stays away over a restart and a birth", name not in site.hass.devices() and topic not in site.lab.retained())
    watch = site.hass.watch()
    camera.push("PEOPLE")
    report.soon("its next alarm brings it back", lambda: site.state(camera, "person"), "on")
    report.soon("and is heard", lambda: [it["event_type"] for it in watch.fired(site.entity_id(camera, "alarm"))], ["person"])
    watch.close()


def removed(site):
    """A device that is removed leaves nothing, on a broker that forgot too."""
    report, bridge = site.report, site.lab.bridge
    cameras = [Camera(bridge, None, f"No MAC {number}", ip=f"192.0.2.7{number}") for number in (1, 2)]
    for camera in cameras:
        camera.push("MOTION", picture=site.pictures[2])
    until("they are there", lambda: all(site.state(camera, "motion") for camera in cameras))
    for number, camera in enumerate(cameras, 1):
        if number == 2:  # Removed while broker and Home Assistant are down, and forget.
            site.lab.end("mosquitto")
            site.hass.socket.close()
            site.lab.end("hass")
        bridge.configure(f"devices.{camera.source}", mac=f"02:00:00:00:07:0{number}")
        bridge.reload()
        camera.push("MOTION", picture=site.pictures[2])
        if number == 2:
            site.lab.start_broker()
            site.lab.start_hass()
        new = f"alarmbus_02000000070{number}"
        report.soon("with a MAC it is another", lambda: new in site.hass.devices(), True, timeout=40)
        nothing_left(site, camera.source)
    commands(site, cameras[0], "020000000701")


def nothing_left(site, source):
    named = lambda found: [it for it in found if source in it]
    left = lambda: named(site.hass.entities()) + named(site.hass.devices())
    site.report.soon("nothing is left in Home Assistant", left, [], timeout=30)
    site.report.soon("no retained topic either", lambda: named(site.lab.retained()), [])


def commands(site, camera, source):
    """`alarmbus devices rename`, `clear` and `remove`."""
    report, run, name = site.report, site.lab.bridge.run, f"alarmbus_{source}"
    count = len(site.hass.devices())
    run("devices", "rename", source, "By command")
    report.soon("renamed by command", lambda: site.hass.devices()[name]["name"], "By command")
    report.equal("which makes no second device", len(site.hass.devices()), count)
    camera.push("MOTION")
    report.soon("on again", lambda: site.hass.entities()[f"{name}_motion"]["state"], "on")
    run("devices", "clear", source)
    report.soon("cleared by command", lambda: site.hass.entities()[f"{name}_motion"]["state"], "off")
    run("devices", "remove", source)
    nothing_left(site, source)


def settings(site):
    """Name, area, entities left out, switched off; taken up by a reload and by a restart."""
    report, bridge = site.report, site.lab.bridge
    camera = Camera(bridge, "02-00-00-00-03-01", "Cellar", ip="192.0.2.13")
    name = f"alarmbus_{camera.source}"
    bridge.configure("devices.02:00:00:00:03:01", area="Basement")
    bridge.reload()
    camera.push("MOTION", "VEHICLE", picture=site.pictures[0])
    until("the cellar", lambda: site.state(camera, "vehicle"))
    areas = {area["area_id"]: area["name"] for area in site.hass.call("config/area_registry/list")}
    report.equal("the area", areas.get(site.hass.devices()[name]["area_id"]), "Basement")
    vehicles = lambda: sorted(it.removeprefix(name + "_") for it in site.hass.entities() if it.startswith(name) and "vehicle" in it)
    report.equal("entities of vehicles", vehicles(), ["snapshot-vehicle", "vehicle"])
    bridge.configure("devices.02:00:00:00:03:01", entities_off=["vehicle"], name="Wine")
    bridge.reload()
    report.soon("left out", vehicles, [])
    report.soon("renamed", lambda: site.hass.devices()[name]["name"], "Wine")
    bridge.stop()
    bridge.configure("devices.02:00:00:00:03:01", entities_off=None, name="Wine cellar")
    bridge.start()
    report.soon("a restart takes them up too", lambda: (vehicles(), site.hass.devices()[name]["name"]), (["snapshot-vehicle", "vehicle"], "Wine cellar"))
    bridge.configure("devices.02:00:00:00:03:01", enabled=False)
    bridge.reload()
    report.soon("switched off, it goes", lambda: name in site.hass.devices(), False)
    bridge.configure("devices.02:00:00:00:03:01", enabled=True)
    bridge.reload()
    camera.push("MOTION")
    report.soon("switched on, its next alarm brings it back", lambda: name in site.hass.devices(), True)
    prefix(site)


def prefix(site):
    """Discovery prefix and birth topic are settings."""
    report, bridge = site.report, site.lab.bridge
    bridge.stop()
    bridge.configure("homeassistant", discovery_topic="elsewhere", birth_topic="elsewhere/born")
    bridge.start()
    own = lambda start: [topic for topic in site.lab.retained() if topic.startswith(f"{start}/device/alarmbus_")]
    report.soon("announced elsewhere", lambda: len(own("elsewhere")) > 3, True)
    report.soon("and taken back here", lambda: own("homeassistant"), [])
    report.soon("Home Assistant has nothing left", site.hass.devices, {})
    site.lab.listen("elsewhere/#")
    site.lab.publish("elsewhere/born", "online")
    wanted = len(own("elsewhere"))
    heard = lambda: len({it.split()[1] for it in site.lab.log("listener").splitlines() if it.startswith("heard elsewhere/device")})
    report.soon("a birth there brings every announcement", heard, wanted)
    site.lab.end("listener")
    bridge.stop()
    bridge.configure("homeassistant", discovery_topic=None, birth_topic=None)
    bridge.start()
    report.soon("and back again", lambda: len(site.hass.devices()), wanted)


def availability(site):
    """Per device and off by default: heard often enough, or a port that answers; with a reason."""
    report, bridge = site.report, site.lab.bridge
    silent = Camera(bridge, "02-00-00-00-04-01", "Silent", ip="192.0.2.14")
    probed = Camera(bridge, "02-00-00-00-04-02", "Probed", ip="127.0.0.1")
    port = socket.socket()
    port.bind(("127.0.0.1", 0))
    port.listen()
    bridge.configure("devices.02:00:00:00:04:01", expected_every_seconds=10)
    bridge.configure("devices.02:00:00:00:04:02", probe=f"tcp:{port.getsockname()[1]}")
    bridge.reload()
    silent.push("MOTION")
    probed.push("MOTION")
    until("both", lambda: site.state(silent, "motion") and site.state(probed, "motion"))
    is_there = lambda camera: site.state(camera, "motion") not in (None, "unavailable")
    nothing = '{"available": null, "available_reason": null}'
    said = lambda camera: json.loads(site.lab.retained().get(f"alarmbus/{camera.source}/device", nothing))
    why = lambda camera: (said(camera)["available"], said(camera)["available_reason"])
    report.soon("heard", lambda: why(silent), (True, "heard within the last 10 s"))
    report.soon("a port answers", lambda: why(probed), (True, f"port {port.getsockname()[1]} answers"))
    report.soon("both are there", lambda: is_there(silent) and is_there(probed), True)
    report.soon("silence makes one unavailable", lambda: is_there(silent), False, timeout=40)
    report.equal("and is the reason", why(silent), (False, "not heard for more than 10 s"))
    report.check("its event entity is not", site.state(silent, "alarm") != "unavailable", site.state(silent, "alarm"))
    report.check("when it was last heard is still told", site.state(silent, "last_heard") != "unavailable")
    silent.push("MOTION")
    report.soon("an alarm brings it back", lambda: is_there(silent), True)
    bridge.configure("devices.02:00:00:00:04:01", expected_every_seconds=None)
    bridge.reload()
    report.soon("no longer asked for, nothing is said", lambda: why(silent), (None, None))
    report.check("nothing is said of others", said(site.front)["available"] is None)
    port.close()
    report.soon("a dead port makes it unavailable", lambda: is_there(probed), False, timeout=60)
    report.check("and is the reason", "connection refused" in (why(probed)[1] or ""), why(probed))
