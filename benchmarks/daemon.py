"""A daemon to measure: a real process with real sockets, in a directory of its own."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from stepupd.client import Client
from stepupd.devices.simulated import Control

POLICY = """
[[rule]]
name = "everything"
action = "*"
require = "touch"
max_age = "1h"
scope = "session"
"""

PATIENCE = 30.0
"""Seconds within which any daemon is ready."""


class Daemon:
    """One daemon; `with` starts it and stops it. Without `keys` it looks for real ones."""

    def __init__(self, *, keys: int = 1) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="stepup-bench")
        self._keys = keys
        base = Path(self._directory.name)
        base.chmod(0o755)  # sudo's peer is another account
        for name in ("config", "state", "run"):
            (base / name / "stepupd").mkdir(parents=True, mode=0o700)
        (base / "run" / "stepupd").chmod(0o755)
        self.base = base
        self.state = base / "state" / "stepupd"
        self.rpc_socket = base / "run" / "stepupd" / "stepupd.sock"
        self.bus = f"unix:path={base}/run/bus"
        self.relay_socket = base / "run" / "stepupd" / "pam.sock"
        (base / "config" / "stepupd" / "policy.toml").write_text(POLICY)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The running daemon's process id."""
        return 0 if self._process is None else self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What the daemon and its command need to find each other."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.base),
            "XDG_CONFIG_HOME": str(self.base / "config"),
            "XDG_STATE_HOME": str(self.base / "state"),
            "XDG_RUNTIME_DIR": str(self.base / "run"),
            "STEPUP_SOCKET": str(self.rpc_socket),
            "DBUS_SESSION_BUS_ADDRESS": self.bus,
            "DBUS_SYSTEM_BUS_ADDRESS": self.bus,
        }

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        address = self.base / "notify.sock"
        address.unlink(missing_ok=True)
        simulate = ["--simulate", str(self._keys)] if self._keys else []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(address))
            notify.settimeout(PATIENCE)
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-m", "stepupd", "--user", *simulate],
                env={**self.environment, "NOTIFY_SOCKET": str(address)},
                stderr=(self.base / "stderr").open("wb"),
            )
            try:
                notify.recv(100)
            except TimeoutError:
                sys.exit(f"the daemon did not start: {(self.base / 'stderr').read_text()}")

    def stop(self) -> None:
        """Stop it; its files stay until the end of `with`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
            self._process = None

    def client(self) -> Client:
        """Return a client that is not connected yet."""
        return Client(str(self.rpc_socket))

    def enroll(self, subject: str = "") -> None:
        """Enrol the simulated key; from then on it is touched at once."""
        Control(self.state / "simulated" / "key.sock", 0).script(touch_after_ms=0)
        with self.client() as client:
            client.call("Enroll", {"name": "blue", "subject": subject})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()
        self._directory.cleanup()
