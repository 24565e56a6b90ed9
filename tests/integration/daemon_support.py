"""A whole daemon in a directory of its own: real process, real sockets, simulated keys."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from stepupd.client import Client
from stepupd.devices.simulated import Control

POLICY = """
[[rule]]
name = "everything"
action = "*"
require = "touch"
max_age = "5m"
scope = "session"
deadline = "10s"
"""


class Machine:
    """One daemon. `start` returns once it is ready; stop or kill it as often as you like."""

    def __init__(self, base: Path, *, keys: int = 1) -> None:
        self.base = base
        self.keys = keys
        self.process: subprocess.Popen[bytes] | None = None
        for name in ("config", "state", "run"):
            (base / name / "stepupd").mkdir(parents=True, mode=0o700)
        (base / "run" / "stepupd").chmod(0o755)
        base.chmod(0o755)
        self.write_policy(POLICY)
        self.state = base / "state" / "stepupd"
        self.runtime = base / "run" / "stepupd"
        self.log = self.state / "audit.log"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.base),
            "XDG_CONFIG_HOME": str(self.base / "config"),
            "XDG_STATE_HOME": str(self.base / "state"),
            "XDG_RUNTIME_DIR": str(self.base / "run"),
        }

    def write_policy(self, text: str) -> None:
        (self.base / "config" / "stepupd" / "policy.toml").write_text(text)

    def start(self, **environment: str) -> "Machine":
        """Start the daemon; it says itself when it is ready, as it would to systemd."""
        address = self.base / "notify.sock"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(address))
            notify.settimeout(20)
            with (self.base / "stderr").open("ab") as stderr:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "stepupd", "--user", "--simulate", str(self.keys)],
                    env={**self.environment, "NOTIFY_SOCKET": str(address), **environment},
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                )
            assert notify.recv(100) == b"READY=1", self.read_stderr()
        return self

    def read_stderr(self) -> str:
        return (self.base / "stderr").read_text()

    def stop(self) -> None:
        self.send_signal(signal.SIGCONT)
        self.send_signal(signal.SIGTERM)
        if self.process is not None:
            assert self.process.wait(20) == 0, self.read_stderr()
            self.process = None

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait(20)
            self.process = None

    def send_signal(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    def client(self) -> Client:
        return Client(str(self.runtime / "stepupd.sock"))

    def key(self, number: int = 0) -> Control:
        return Control(self.state / "simulated" / "key.sock", number)

    def enroll(self, name: str = "blue", **params) -> dict:
        """Enrol with a key that is touched at once, and leave it waiting for `touch()`."""
        self.key().script(touch_after_ms=0)
        with self.client() as client:
            result = client.call("Enroll", {"name": name, **params})
        self.key().script(touch_after_ms=None)
        assert result["verdict"] == "allow", result
        return result

    def read_entries(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def read_verdicts(self) -> list[tuple[str, str]]:
        """Return (kind, reason) of every ceremony so far."""
        return [(e["kind"], e["verdict"]["reason"]) for e in self.read_entries() if "verdict" in e]
