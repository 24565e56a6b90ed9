"""A daemon that dies at a durable step of its stores."""

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Self

from daemon_support import Machine

from stepupd.client import CallRefused, DaemonUnreachable
from stepupd.core.note import parse_vkey
from stepupd.store.audit_verify import verify_log
from stepupd.store.checkpoint_file import read_checkpoint

LAUNCHER = Path(__file__).with_name("crash_launcher.py")
UNTOLD = (CallRefused, DaemonUnreachable, OSError)


class Notified:
    """Where a daemon says that it is ready."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def wait(self) -> None:
        assert self._socket.recv(100) == b"READY=1"


class Doomed(Machine):
    """A machine whose daemon dies at a durable step of what comes after `arm`."""

    moment, fatal = "before", 0

    @property
    def count_file(self) -> Path:
        return self.base / "steps"

    def start(self, **environment: str) -> "Doomed":
        """Start the daemon under the launcher."""
        with Notified(self.base / "notify.sock") as notified:
            count = [str(self.count_file), self.moment, str(self.fatal)]
            with (self.base / "stderr").open("ab") as stderr:
                self.process = subprocess.Popen(
                    [sys.executable, LAUNCHER, *count, "--user", "--simulate", str(self.keys)],
                    env={**self.environment, "NOTIFY_SOCKET": notified.address, **environment},
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                )
            notified.wait()
        return self

    def arm(self) -> None:
        """Begin to count the steps."""
        self.count_file.unlink(missing_ok=True)
        self.send_signal(signal.SIGUSR1)
        with self.client() as client:  # the loop turned once: the signal was seen
            client.call("Status")
        assert self.count_file.exists()

    def verify(self):
        vkey = self.log.with_suffix(".vkey").read_text()
        note = read_checkpoint(self.state / "audit.checkpoint", parse_vkey(vkey.strip()))
        return verify_log(self.log, note, vkey, jobs=1)

    def step_up(self) -> dict:
        """Ask with a key that is touched at once."""
        self.key().script(touch_after_ms=0)
        with self.client() as client:
            return client.call("StepUp", {"action": "cli:test"})
