"""The two blueprints of docs/homeassistant: loaded, and fired."""

import json
import pathlib
import shutil

from camera import Camera
from lab import until

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "docs" / "homeassistant"
LAMP = {
    "name": "Porch",
    "unique_id": "lab_lamp",
    "command_topic": "lab/lamp/set",
    "state_topic": "lab/lamp/state",
}


def blueprints(site):
    report, hass, lab = site.report, site.hass, site.lab
    porch = Camera(lab.bridge, "02-00-00-00-05-01", "Porch camera", ip="192.0.2.15")
    lab.bridge.configure("devices.02:00:00:00:05:01", hold_seconds=4)
    lab.bridge.reload()
    lab.publish("homeassistant/light/lab/lamp/config", json.dumps({**LAMP, "optimistic": True}))
    porch.push("PEOPLE", picture=site.pictures[0])
    until("the porch", lambda: site.state(porch, "person"))
    lamp = until("the lamp", lambda: next((it for it in hass.call("get_states") if it["entity_id"] == "light.porch"), None))
    until("quiet", lambda: site.state(porch, "person") == "off", timeout=40)
    hass.service("light", "turn_off", entity_id=lamp["entity_id"])

    target = lab.state / "config" / "blueprints" / "automation" / "alarmbus"
    target.mkdir(parents=True, exist_ok=True)
    for file in FOLDER.glob("*.yaml"):
        shutil.copy(file, target)
    loaded = {path: it for path, it in hass.call("blueprint/list", domain="automation").items() if "alarmbus" in path}
    wrong = {path: it["error"] for path, it in loaded.items() if "error" in it}
    report.equal("both are loaded", (len(loaded), wrong), (2, {}))

    picture = site.entity_id(porch, "snapshot-person")
    uses = [
        ("notify_person", {"alarm": site.entity_id(porch, "alarm"), "picture": picture, "notify": "notify.persistent_notification"}),
        ("light_while_active", {"activity": site.entity_id(porch, "person"), "light": lamp["entity_id"], "only_after_sunset": False}),
    ]
    automations = [
        {"id": name, "alias": name, "use_blueprint": {"path": f"alarmbus/{name}.yaml", "input": given}} for name, given in uses
    ]
    (lab.state / "config" / "automations.yaml").write_text(json.dumps(automations))
    hass.service("automation", "reload")
    states = lambda: {it["entity_id"]: it["state"] for it in hass.call("get_states")}
    on = {"automation.notify_person": "on", "automation.light_while_active": "on"}
    report.soon("both are on", lambda: {name: states().get(name) for name in on}, on)

    watch = hass.watch("call_service")
    sent = lambda: [it["service_data"] for it in watch.of("call_service") if it["domain"] == "notify"]
    porch.push("MOTION", "PEOPLE", picture=site.pictures[1])
    porch.push("PEOPLE", picture=site.pictures[2])
    report.soon("the light is on while it lasts", lambda: states()["light.porch"], "on")
    report.soon("notified", lambda: len(sent()), 1)
    message = sent()[0]
    report.check("of the person, with the picture", message["title"] == "Person" and picture in message["data"]["image"], message)
    path = message["data"]["image"].split("?")[0]
    report.equal("which can be fetched", hass.rest.raw("GET", path)[0], 200)
    report.check("and named the camera", message["message"].startswith("Porch camera,"), message["message"])
    report.soon("the light goes off with the activity", lambda: states()["light.porch"], "off", timeout=40)
    report.equal("it was seen to be over", site.state(porch, "person"), "off")

    lab.bridge.stop()
    report.soon("the bridge is away", lambda: site.state(porch, "person"), "unavailable")
    lab.bridge.start()
    report.soon("and back", lambda: site.state(porch, "person"), "off")
    report.equal("which notifies nobody", len(sent()), 1)
    report.equal("and lights nothing", states()["light.porch"], "off")
    watch.close()
