"""Screenshots for the documentation, by the browser of the lab."""

import base64
import json
import time
import urllib.request

from hass import Socket, Trouble
from lab import free_port, until

MAC = "02-00-00-00-06-01"
FRONT = "alarmbus_020000000601_"


class Browser:
    """A headless Chromium in the chroot, logged in."""

    def __init__(self, lab):
        self.lab, port = lab, free_port()
        words = (
            *("/usr/bin/env", "HOME=/state", "LANG=C.UTF-8", "/usr/bin/chromium", "--headless=new", "--no-sandbox"),
            *("--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
            *("--disable-component-update", "--disable-sync", "--user-data-dir=/state/chromium", "--hide-scrollbars"),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *("--remote-debugging-address=127.0.0.1", f"--remote-debugging-port={port}"),
            *("--remote-allow-origins=*", "about:blank"),
        )
        lab.start("chromium", lab.command(*words))
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def tab():
            try:
                tabs = json.load(opener.open(f"http://127.0.0.1:{port}/json", timeout=5))
                return next((it for it in tabs if it["type"] == "page"), None)
            except OSError:
                return None

        self.socket = Socket(until("the browser", tab, timeout=60)["webSocketDebuggerUrl"], timeout=60)
        base, token = lab.hass.base, lab.hass.rest.token
        tokens = {
            **{"hassUrl": base, "clientId": base + "/", "access_token": token, "refresh_token": "", "token_type": "Bearer"},
            **{"expires_in": 315360000, "expires": int(time.time() * 1000) + 315360000000},
        }
        self.call("Page.enable")
        script = f"localStorage.setItem('hassTokens', {json.dumps(json.dumps(tokens))});"
        self.call("Page.addScriptToEvaluateOnNewDocument", source=script)

    def call(self, method, **parameters):
        self.socket.number += 1
        number = self.socket.number
        self.socket.send({"id": number, "method": method, "params": parameters})
        while True:
            answer = self.socket.receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise Trouble(f"{method}: {answer['error']}")
                return answer["result"]

    def shoot(self, path, file, width, height, wait=12, left=0, top=0):
        """Saves what a page shows after so many seconds, without bars of this size at its left and top."""
        size = {"width": width + left, "height": height + top}
        self.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=self.lab.hass.base + path)
        end = time.monotonic() + wait
        while time.monotonic() < end:
            self.call("Runtime.evaluate", expression="1")
            time.sleep(0.5)
        clip = {"x": left, "y": top, "width": width, "height": height, "scale": 1}
        picture = self.call("Page.captureScreenshot", format="png", clip=clip, optimizeForSpeed=False)["data"]
        file.write_bytes(base64.b64decode(picture))


def shoot(site, folder):
    """The page of a device and a card of a dashboard, as a user would see them."""
    report, lab, hass = site.report, site.lab, site.hass
    folder.mkdir(parents=True, exist_ok=True)
    lab.bridge.configure("devices.02:00:00:00:06:01", hold_seconds=120)
    lab.bridge.reload()
    words = ("--mac", MAC, "--name", "Front door", "--timezone", "UTC", "--rate", "2")
    url = ("simulate", "--url", lab.bridge.webhook)
    lab.bridge.run(*url, *words, "--event", "vehicle", "--format", "legacy", "--count", "1")
    lab.bridge.run(*url, *words, "--event", "motion,person", "--format", "enhanced-multipart", "--count", "2")
    ids = lambda: {name.removeprefix(FRONT): it["entity_id"] for name, it in hass.entities().items() if name.startswith(FRONT)}
    until("the front door", lambda: "snapshot-person" in ids() and hass.image(ids()["snapshot-person"]))
    entity = ids()
    hass.call("lovelace/dashboards/create", url_path="front-door", title="Cameras", mode="storage", show_in_sidebar=True)
    tile = lambda key, name: {"type": "tile", "entity": entity[key], "name": name}
    card = {
        "type": "vertical-stack",
        "cards": [
            {"type": "picture-entity", "entity": entity["snapshot"], "name": "Front door", "show_state": True},
            {
                "type": "grid",
                "columns": 2,
                "square": False,
                "cards": [
                    *(tile("person", "Person"), tile("count-person", "People"), tile("motion", "Motion")),
                    *(tile("vehicle", "Vehicle"), tile("last_kind", "Last alarm"), tile("alarm", "Alarm")),
                ],
            },
        ],
    }
    view = {"title": "Cameras", "path": "cameras", "cards": [card]}
    hass.call("lovelace/config/save", url_path="front-door", config={"views": [view]})
    browser = Browser(lab)
    device = hass.devices()[FRONT.rstrip("_")]["id"]
    wanted = [
        (f"/config/devices/device/{device}", "homeassistant-device.png", (1180, 960), 256, 0),
        ("/front-door/cameras?kiosk", "homeassistant-card.png", (440, 442), 0, 56),
    ]
    for path, name, (width, height), left, top in wanted:
        browser.shoot(path, folder / name, width, height, left=left, top=top)
        size = (folder / name).stat().st_size
        report.check(f"{name} is there", 10_000 < size < 200_000, f"{size} bytes")
    lab.end("chromium")
