"""What runs during the test: broker, Home Assistant, the bridge; all on loopback, all ended at the end."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

from hass import Hass, Trouble

# Enters the chroot in a mount namespace of its own, so that nothing stays mounted, and with no name service, so that
# nothing has a reason to leave loopback. Every step execs: the process is the program in the end.
ENTER = """
root=$1 state=$2; shift 2
mount --rbind /proc "$root/proc"; mount --rbind /dev "$root/dev"
mkdir -p "$root/state"; mount --bind "$state" "$root/state"
: >"$state/resolv.conf"; mount --bind "$state/resolv.conf" "$root/etc/resolv.conf"
exec nice -n 5 chroot "$root" "$@"
"""

CONFIGURATION = """
homeassistant: {{name: Home, time_zone: UTC, unit_system: metric, country: IT, latitude: 45.0, longitude: 9.0}}
http: {{server_host: 127.0.0.1, server_port: {port}}}
api:
config:
frontend:
recorder: {{commit_interval: 1}}
history:
logbook:
sun:
person:
trace:
tag:
notify:
persistent_notification:
automation: !include automations.yaml
logger: {{default: info}}
"""

# Everything of the onboarding but the user, who is made over REST.
ONBOARDING = '{"version": 4, "minor_version": 1, "key": "onboarding", "data": {"done": ["core_config", "analytics", "integration"]}}'


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(what, is_so, timeout=30.0, pause=0.1):
    """Waits until something is so, and returns what it was."""
    end = time.monotonic() + timeout
    while True:
        found = is_so()
        if found:
            return found
        if time.monotonic() > end:
            raise Trouble(f"waited {timeout} s in vain for: {what}")
        time.sleep(pause)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Lab:
    """One installed release and what is started of it."""

    def __init__(self, folder, binary):
        self.root, self.binary = pathlib.Path(folder) / "root", pathlib.Path(binary)
        self.state = pathlib.Path(folder) / "state"
        shutil.rmtree(self.state, ignore_errors=True)
        (self.state / "config" / ".storage").mkdir(parents=True)
        self.mqtt_port, self.hass_port = free_port(), free_port()
        self.running = {}
        self.hass = Hass(self.hass_port, self.mqtt_port)
        self.version = None
        config = self.state / "config"
        (config / "configuration.yaml").write_text(CONFIGURATION.format(port=self.hass_port))
        (config / "automations.yaml").write_text("[]\n")
        (config / ".storage" / "onboarding").write_text(ONBOARDING)
        self.bridge = Bridge(self)

    # -- processes ------------------------------------------------------------------------------------------------
    def command(self, *words):
        place = [str(self.root), str(self.state)]
        return ["unshare", "--mount", "--propagation", "private", "bash", "-ec", ENTER, "enter", *place, *words]

    def start(self, name, words, **more):
        with open(self.state / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, **more
            )

    def end(self, name, how=signal.SIGTERM, timeout=40):
        process = self.running.pop(name, None)
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self):
        if self.hass.socket:
            self.hass.socket.close()
        for name in list(self.running):
            self.end(name)

    def log(self, name):
        return (self.state / f"{name}.log").read_text(errors="replace")

    # -- the broker -----------------------------------------------------------------------------------------------
    def start_broker(self):
        """Without persistence, and with the packet size that Mosquitto 2.1 has by itself."""
        lines = [
            f"listener {self.mqtt_port} 127.0.0.1",
            "allow_anonymous true",
            "user root",
            "log_dest stdout",
            "log_type all",
            "max_packet_size 2000000",
        ]
        (self.state / "mosquitto.conf").write_text("\n".join(lines) + "\n")
        self.start("mosquitto", self.command("mosquitto", "-c", "/state/mosquitto.conf"))
        until("the broker", lambda: listens(self.mqtt_port))

    def restart_broker(self):
        self.end("mosquitto")
        self.start_broker()

    def retained(self):
        """Topic and payload of everything the broker holds."""
        words = self.command(
            *("mosquitto_sub", "-h", "127.0.0.1", "-p", str(self.mqtt_port), "-t", "#"),
            *("--retained-only", "-W", "1", "-F", "%t %x"),
        )
        lines = subprocess.run(words, capture_output=True, text=True, check=False).stdout.splitlines()
        pairs = (line.split(" ", 1) for line in lines if " " in line)
        return {topic: bytes.fromhex(payload) for topic, payload in pairs}

    def publish(self, topic, payload):
        words = ("mosquitto_pub", "-h", "127.0.0.1", "-p", str(self.mqtt_port), "-q", "1", "-t", topic, "-m", payload)
        subprocess.run(self.command(*words), check=True)

    def listen(self, topic):
        """Notes live messages (not retained ones) in a log of this name."""
        where = ("-h", "127.0.0.1", "-p", str(self.mqtt_port), "-t", topic)
        self.start("listener", self.command("stdbuf", "-oL", "mosquitto_sub", *where, "-R", "-d", "-F", "heard %t %l"))
        until("the subscription", lambda: "Subscribed" in self.log("listener"))

    # -- Home Assistant -------------------------------------------------------------------------------------------
    def start_hass(self):
        stored = self.state / "config" / ".storage" / "http"
        if stored.exists() and "stable" in json.loads(stored.read_text()).get("data", {}):
            # Newer releases take these settings over from the file below once, and then complain about them there.
            file = self.state / "config" / "configuration.yaml"
            file.write_text("".join(it for it in file.read_text().splitlines(True) if not it.startswith("http:")))
        environment = ("/usr/bin/env", "LANG=C.UTF-8", "TZ=UTC", "HOME=/state", "PATH=/venv/bin:/usr/bin:/bin")
        program = ("/venv/bin/hass", "-c", "/state/config", "--skip-pip", "--log-no-color")
        self.start("hass", self.command(*environment, *program))
        self.version = self.hass.ready()

    def restart_hass(self):
        self.hass.socket.close()
        self.end("hass")
        self.start_hass()

    def complaints(self):
        """Lines of Home Assistant's log that are about us: of its MQTT integration, or naming us."""
        # The last: it says so of its own messages when one deletes a device there.
        links = ("Disconnected from MQTT", "Failed to connect to MQTT", "Connection lost", "No ACK from MQTT server", "Error returned from MQTT", "cleanup for alarmbus_020000000201")
        found = []
        for line in self.log("hass").splitlines():
            bad = " WARNING " in line or " ERROR " in line or " CRITICAL " in line
            ours = "components.mqtt" in line or "alarmbus" in line or "blueprint" in line or "automation" in line
            if bad and ours and not any(link in line for link in links):
                found.append(line)
        return found


class Bridge:
    """The bridge under test, its configuration and its storage folder."""

    def __init__(self, lab):
        self.lab, self.folder = lab, lab.state / "bridge"
        self.folder.mkdir()
        self.sections = {
            "http": {"bind": "127.0.0.1:0"},
            "admin": {"bind": "127.0.0.1:0"},
            "mqtt": {"server": f"mqtt://127.0.0.1:{lab.mqtt_port}"},
            "storage": {"path": str(self.folder / "data")},
        }
        self.ready = None

    def configure(self, section, **keys):
        """Sets keys of a section; `None` removes one. Takes effect at the next start or reload."""
        table = self.sections.setdefault(section, {})
        table.update(keys)
        lines = []
        for name, keys in self.sections.items():
            head = name.split(".", 1)
            lines.append(f"[{head[0]}]" if len(head) == 1 else f'[{head[0]}."{head[1]}"]')
            lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value is not None]
        (self.folder / "alarmbus.toml").write_text("\n".join(lines) + "\n")

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALARMBUS_")}
        return {**kept, "TZ": "UTC", "ALARMBUS_CONFIG": str(self.folder / "alarmbus.toml")}

    def start(self):
        self.configure("http")
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        self.lab.start("bridge", [str(self.lab.binary), "--ready-file", str(ready)], env=self.environment())
        until("the bridge", ready.exists)
        self.ready = json.loads(ready.read_text())

    def stop(self, how=signal.SIGTERM):
        self.lab.end("bridge", how)

    def reload(self):
        before = self.lab.log("bridge").count("configuration was read again")
        self.lab.running["bridge"].send_signal(signal.SIGHUP)
        until("the reload", lambda: self.lab.log("bridge").count("configuration was read again") > before)

    def run(self, *words):
        """Another command of the binary; its standard output."""
        words = [str(self.lab.binary), *words]
        done = subprocess.run(words, env=self.environment(), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise Trouble(f"{' '.join(words[1:])} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    @property
    def webhook(self):
        return self.ready["webhooks"][0]
