"""What a Home Assistant says: its REST and WebSocket API, with nothing but the standard library."""

import base64
import hashlib
import json
import os
import socket
import struct
import threading
import time
import urllib.error
import urllib.parse
import urllib.request


class Trouble(Exception):
    """Home Assistant (or the browser) does not answer as it should."""


class Socket:
    """A small WebSocket client; messages are JSON."""

    def __init__(self, url, timeout=30):
        parts = urllib.parse.urlparse(url)
        self.timeout = timeout
        self.sock = socket.create_connection((parts.hostname, parts.port), timeout=timeout)
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Trouble(f"{url}: {head.splitlines()[0]!r}")
        self.number = 0

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise Trouble("the WebSocket was closed")
        self.buffer += data

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def _frame(self, kind, data):
        mask = os.urandom(4)
        size = len(data)
        head = bytes([0x80 | kind])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", size)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", size)
        self.sock.sendall(head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def send(self, message):
        self._frame(1, json.dumps(message).encode())

    def receive(self):
        whole = b""
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack(">H", self._take(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self._take(8))
            data = self._take(size)
            if first & 0x0F == 8:
                raise Trouble("the WebSocket was closed")
            if first & 0x0F == 9:
                self._frame(10, data)
                continue
            whole += data
            if first & 0x80:
                return json.loads(whole)

    def close(self):
        self.sock.close()


class Rest:
    """Plain requests, past any proxy."""

    def __init__(self, base):
        self.base, self.token = base, None

    def raw(self, method, path, body=None, form=None):
        headers, data = {}, None
        if form is not None:
            data = urllib.parse.urlencode(form).encode()
        elif body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.base + path, data=data, headers=headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def json(self, method, path, body=None, form=None):
        status, data = self.raw(method, path, body, form)
        if status not in (200, 201):
            raise Trouble(f"{method} {path}: {status} {data[:300]!r}")
        return json.loads(data) if data else None


class Hass:
    """A running Home Assistant."""

    def __init__(self, port, mqtt_port):
        self.base = f"http://127.0.0.1:{port}"
        self.mqtt_port = mqtt_port
        self.rest = Rest(self.base)
        self.socket = None

    # -- coming up ------------------------------------------------------------------------------------------------
    def ready(self, timeout=120):
        """Waits until it runs with its MQTT integration loaded; onboards it the first time."""
        end = time.monotonic() + timeout
        if self.rest.token is None:
            self._onboard(end)
        self._until(end, "RUNNING", lambda: self.rest.json("GET", "/api/config")["state"] == "RUNNING")
        self.socket = self._open()
        try:  # Unconfirmed HTTP settings are dropped with a restart after five minutes.
            self.call("http/config/promote")
        except Trouble:
            pass  # None pending, or an older release.
        if not self._mqtt_entry():
            self._add_mqtt()
        self._until(end, "the MQTT integration", lambda: self._mqtt_entry()["state"] == "loaded")
        return self.rest.json("GET", "/api/config")["version"]

    @staticmethod
    def _until(end, what, is_so):
        while True:
            try:
                if is_so():
                    return
            except (OSError, Trouble):
                pass
            if time.monotonic() > end:
                raise Trouble(f"Home Assistant does not get to: {what}")
            time.sleep(0.2)

    def _onboard(self, end):
        self._until(end, "an answer", lambda: self.rest.raw("GET", "/api/onboarding")[0] == 200)
        client = self.base + "/"
        user = {"client_id": client, "name": "Lab", "username": "lab", "password": "lab-lab-lab", "language": "en"}
        code = self.rest.json("POST", "/api/onboarding/users", user)["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": client}
        self.rest.token = self.rest.json("POST", "/auth/token", form=form)["access_token"]
        self.socket = self._open()
        self.rest.token = self.call("auth/long_lived_access_token", client_name="judge", lifespan=3650)

    def _open(self):
        opened = Socket(self.base.replace("http", "ws") + "/api/websocket")
        opened.receive()
        opened.send({"type": "auth", "access_token": self.rest.token})
        if opened.receive().get("type") != "auth_ok":
            raise Trouble("the token is refused")
        return opened

    def _mqtt_entry(self):
        return next((it for it in self.call("config_entries/get") if it["domain"] == "mqtt"), None)

    def _add_mqtt(self):
        flow = "/api/config/config_entries/flow"
        form = self.rest.json("POST", flow, {"handler": "mqtt", "show_advanced_options": False})
        usual = {"set_client_cert": False, "set_ca_cert": "off", "protocol": "5", "transport": "tcp"}
        answer = {"broker": "127.0.0.1", "port": self.mqtt_port}
        for field in form["data_schema"]:
            if field.get("type") == "expandable":
                inner = field.get("schema") or field.get("data_schema") or []
                answer[field["name"]] = {
                    it["name"]: usual.get(it["name"], it.get("default"))
                    for it in inner
                    if it.get("required") and (it["name"] in usual or "default" in it)
                }
        done = self.rest.json("POST", f"{flow}/{form['flow_id']}", answer)
        if done.get("type") != "create_entry":
            raise Trouble(f"the MQTT integration: {done}")

    # -- asking ---------------------------------------------------------------------------------------------------
    def call(self, kind, **more):
        """One WebSocket command."""
        self.socket.number += 1
        number = self.socket.number
        self.socket.send({"id": number, "type": kind, **more})
        while True:
            message = self.socket.receive()
            if message.get("id") == number and message.get("type") == "result":
                if not message["success"]:
                    raise Trouble(f"{kind}: {message['error']}")
                return message["result"]

    def service(self, domain, service, **data):
        return self.call("call_service", domain=domain, service=service, service_data=data)

    def devices(self):
        """Ours, by identifier: the registry's entry with `via`, the identifier of the device it is reached by."""
        by_id = {device["id"]: device for device in self.call("config/device_registry/list")}
        name = lambda device: next((one[1] for one in device["identifiers"] if one[1].startswith("alarmbus_")), None)
        ours = {name(device): device for device in by_id.values() if name(device)}
        for device in ours.values():
            device["via"] = name(by_id[device["via_device_id"]]) if device.get("via_device_id") else None
        return ours

    def entities(self):
        """Ours, by unique identifier: the registry's entry with its `state` and `attributes`."""
        states = {state["entity_id"]: state for state in self.call("get_states")}
        found = {}
        for entity in self.call("config/entity_registry/list"):
            if entity["platform"] == "mqtt" and entity["unique_id"].startswith("alarmbus_"):
                state = states.get(entity["entity_id"]) or {"state": None, "attributes": {}}
                found[entity["unique_id"]] = {**entity, "state": state["state"], "attributes": state["attributes"]}
        return found

    def image(self, entity_id):
        """SHA-256 of the bytes an image entity shows; the status where it shows none."""
        status, data = self.rest.raw("GET", f"/api/image_proxy/{entity_id}")
        return hashlib.sha256(data).hexdigest() if status == 200 else status

    def delete_device(self, device):
        """As the page's Delete does."""
        try:
            self.call("config/device_registry/remove", device_id=device["id"])
        except Trouble as error:
            if "unknown_command" not in str(error):
                raise
            entry = self._mqtt_entry()["entry_id"]
            self.call("config/device_registry/remove_config_entry", config_entry_id=entry, device_id=device["id"])

    def watch(self, *kinds):
        """Collects events from now on."""
        return Watch(self._open(), kinds or ("state_changed",))


class Watch:
    """Events as they come, on a thread of its own, until it is closed or Home Assistant is."""

    def __init__(self, opened, kinds):
        self.socket, self.seen = opened, []
        for number, kind in enumerate(kinds, 1):
            opened.send({"id": number, "type": "subscribe_events", "event_type": kind})
        for _ in kinds:
            while opened.receive().get("type") != "result":
                pass
        opened.sock.settimeout(None)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        try:
            while True:
                message = self.socket.receive()
                if message.get("type") == "event":
                    self.seen.append(message["event"])
        except (OSError, Trouble, ValueError):
            pass

    def fired(self, entity_id):
        """The attributes of an event entity, each time it fired."""
        fired = []
        for event in list(self.seen):
            data = event["data"]
            if event["event_type"] != "state_changed" or data["entity_id"] != entity_id or not data["new_state"]:
                continue
            new, old = data["new_state"], data["old_state"]
            # Two can have the same millisecond; more event types are not events.
            same = old and old["state"] == new["state"] and old["attributes"].get("id") == new["attributes"].get("id")
            if same or new["state"] in ("unknown", "unavailable"):
                continue
            fired.append({**new["attributes"], "was": old and old["state"], "state": new["state"]})
        return fired

    def of(self, kind):
        return [event["data"] for event in list(self.seen) if event["event_type"] == kind]

    def close(self):
        self.socket.close()
