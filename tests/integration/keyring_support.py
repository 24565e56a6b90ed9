"""A session of a person: a private bus, on it a real Secret Service that can be locked or away."""

import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from time import monotonic

import secretstorage
from daemon_support import Machine
from doors_support import PATIENCE
from jeepney import DBusAddress, MatchRule, new_method_call
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

NAME = "org.freedesktop.secrets"
PASSWORD = b"the password of the login"

# As /usr/share/dbus-1/session.conf, without activation: what runs here was started by the test.
CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class Session:
    """A bus, and a keyring daemon that keeps its files below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix:path={folder / 'bus'}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._service: subprocess.Popen[bytes] | None = None
        folder.mkdir(mode=0o700)
        configuration = folder / "bus.conf"
        configuration.write_text(CONFIGURATION.format(path=folder / "bus"))
        bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(bus)
        assert bus.stdout is not None
        assert bus.stdout.readline()

    def close(self) -> None:
        self.log_out()
        for process in self._processes:
            process.kill()
            process.communicate()

    def connect(self) -> DBusConnection:
        return open_dbus_connection(self.address)

    def log_in(self, password: bytes | None = PASSWORD) -> None:
        """Start the keyring daemon; without a password it stays locked, as after an auto-login."""
        unlock = () if password is None else ("--unlock",)
        self._service = subprocess.Popen(
            ["gnome-keyring-daemon", "--foreground", "--components=secrets", *unlock],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "XDG_DATA_HOME": str(self.folder / "data"),
                "XDG_RUNTIME_DIR": str(self.folder),
                "DBUS_SESSION_BUS_ADDRESS": self.address,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert self._service.stdin is not None
        self._service.stdin.write(password or b"")
        self._service.stdin.close()
        deadline = monotonic() + PATIENCE
        with closing(self.connect()) as bus:
            while not Proxy(message_bus, bus).NameHasOwner(NAME)[0]:
                assert self._service.poll() is None
                assert monotonic() < deadline

    def log_out(self) -> None:
        if self._service is not None:
            self._service.kill()
            self._service.wait()
            self._service = None

    def lock(self) -> None:
        with closing(self.connect()) as bus:
            secretstorage.get_collection_by_alias(bus, "default").lock()

    def list_items(self) -> list[dict[str, str]]:
        """Return the attributes of everything in the default keyring."""
        with closing(self.connect()) as bus:
            items = secretstorage.get_collection_by_alias(bus, "default").get_all_items()
            return [item.get_attributes() for item in items]

    def delete_items(self) -> None:
        with closing(self.connect()) as bus:
            for item in secretstorage.get_collection_by_alias(bus, "default").get_all_items():
                item.delete()

    def change_items(self, secret: bytes) -> None:
        with closing(self.connect()) as bus:
            for item in secretstorage.get_collection_by_alias(bus, "default").get_all_items():
                item.set_secret(secret)

    def watch(self) -> "Watch":
        return Watch(self)


class Watch:
    """Sees every call on the bus from now on."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._bus = session.connect()
        monitoring = DBusAddress(
            "/org/freedesktop/DBus", "org.freedesktop.DBus", "org.freedesktop.DBus.Monitoring"
        )
        rule = MatchRule(type="method_call").serialise()
        call = new_method_call(monitoring, "BecomeMonitor", "asu", ([rule], 0))
        self._bus.send_and_get_reply(call, timeout=PATIENCE)

    def stop(self) -> list[str]:
        """Return the names of the methods that were called."""
        with closing(self._bus), closing(self._session.connect()) as other:
            Proxy(message_bus, other).GetId()  # The bus keeps the order: all else came before it.
            called: list[str] = []
            while (name := self._next_member()) != "GetId":
                called.append(name)
            return called

    def _next_member(self) -> str:
        fields = self._bus.receive(timeout=PATIENCE).header.fields
        return {code.name: value for code, value in fields.items()}.get("member", "")


class Person(Machine):
    """A daemon of a person with real keys, of which none is plugged in."""

    def __init__(self, base: Path, session: Session) -> None:
        super().__init__(base)
        self.session = session
        self.key_file = self.state / "master.key"

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"DBUS_SESSION_BUS_ADDRESS": self.session.address}

    def start(self, *options: str, **environment: str) -> "Person":
        address = self.base / "notify.sock"
        address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(address))
            notify.settimeout(PATIENCE)
            with (self.base / "stderr").open("wb") as stderr:
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "stepupd", "--user", *options],
                    env={**self.environment, "NOTIFY_SOCKET": str(address), **environment},
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                )
            assert notify.recv(100) == b"READY=1", self.read_stderr()
        return self

    def restart(self) -> "Person":
        self.stop()
        return self.start()

    def refuse(self) -> str:
        """Start a daemon that must not start; return what it says."""
        done = run_daemon(self, "--user")
        assert done.returncode == 1, done.stderr
        return done.stderr


def run_daemon(machine: Machine, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a daemon that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "stepupd", *options],
        env=machine.environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
