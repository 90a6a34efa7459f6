"""Cameras and recorders: requests as real ones send them, with pictures whose bytes are known."""

import hashlib
import json
import pathlib
import socket
import time
import urllib.parse


def pictures(lab):
    """Pictures that `alarmbus simulate` draws, taken out of requests it dumps."""
    folder = lab.state / "dump"
    words = ("--format", "multipart", "--count", "4", "--devices", "1", "--picture-size", "640x360")
    lab.bridge.run("simulate", "--dump", str(folder), *words)
    found = []
    for file in sorted(pathlib.Path(folder).rglob("*")):
        data = file.read_bytes() if file.is_file() else b""
        start = data.find(b"\xff\xd8\xff")
        if start >= 0:
            found.append(data[start : data.rfind(b"\xff\xd9") + 2])
    return list(dict.fromkeys(found))


def sha256(picture):
    return hashlib.sha256(picture).hexdigest()


class Camera:
    """A camera; what it reports last is kept in `time`, as its wall clock says."""

    def __init__(self, bridge, mac, name, ip="192.0.2.10"):
        self.bridge, self.mac, self.name, self.ip = bridge, mac, name, ip
        self.time = None

    @property
    def source(self):
        return self.mac.replace("-", "").lower() if self.mac else "ip-" + self.ip.replace(".", "-")

    def push(self, *kinds, picture=None, count=None):
        """Reports kinds by the camera's own names, in one request."""
        self.time = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        entries = [{"camera": "1", "dateTime": self.time, "event_type": kind} for kind in kinds]
        for entry in entries:
            if count and entry["event_type"] == "PEOPLE":
                boxes = [{"x": 1000 + 900 * at, "y": 4000, "width": 700, "height": 3000} for at in range(count)]
                entry["extra_text"] = [{"region_id": [1], "obj_rect_info": boxes, "obj_num": count}]
        report = {"ip": self.ip, "protocol": "HTTP", "device_name": self.name, "event_list": entries}
        if self.mac:
            report["mac"] = self.mac
        return send(self.bridge, json.dumps(report, ensure_ascii=False).encode(), picture)


class Channel:
    """A channel of a recorder."""

    def __init__(self, bridge, recorder, number, name):
        self.bridge, self.recorder, self.number, self.name = bridge, recorder, number, name

    def push(self, kind=(1, 21)):
        message = {
            **{"type": kind[0], "sub_type": [kind[1]], "channel": str(self.number), "channel_name": self.name},
            "localtime": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
        }
        report = {"device_id": self.recorder, "device_name": "VIGI NVR1008H-8P(UN) 1.20", "messages": [message]}
        return send(self.bridge, json.dumps(report).encode(), None)


def complete(answer):
    """Whether an answer is there with all of its body."""
    head, end, body = answer.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(end and lengths) and int(lengths[0]) <= len(body)


def send(bridge, report, picture):
    """One request on a connection of its own; the answer's JSON."""
    url = urllib.parse.urlparse(bridge.webhook)
    kind, body = "application/json; charset=utf-8", report
    if picture:
        kind = "multipart/form-data; boundary=ReportEventBoundary"
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime())
        body = (
            b'--ReportEventBoundary\r\nContent-Disposition: form-data; name="event"\r\n'
            b"Content-Type: application/json\r\n\r\n" + report + b"\r\n--ReportEventBoundary\r\n"
            b'Content-Disposition: form-data; name="' + stamp.encode() + b'"\r\nContent-Type: image/jpeg\r\n'
            b"Content-Length: " + str(len(picture)).encode() + b"\r\n\r\n" + picture
            + b"\r\n--ReportEventBoundary--\r\n"
        )
    head = (
        f"POST {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\nCache-Control: no-cache\r\n\r\n"
    )
    with socket.create_connection((url.hostname, url.port), timeout=20) as link:
        link.sendall(head.encode() + body)
        answer = b""
        # The camera closes once it has the answer; the bridge would keep the connection open.
        while not complete(answer) and (data := link.recv(65536)):
            answer += data
    status, text = answer.split(b"\r\n\r\n", 1)
    if b" 200 " not in status.split(b"\r\n")[0] + b" ":
        raise AssertionError(f"the bridge answered {answer!r}")
    return json.loads(text)
