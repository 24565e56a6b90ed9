"""Looking at the machine for `stepup doctor`: facts, no opinions.

The law of this file: it changes nothing, asks nobody for proof, and opens no device to write. What
may not be looked at is a fact as well.
"""

import contextlib
import grp
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from stepup.doctor.daemon_checks import Door
from stepup.doctor.machine_checks import Node, Unit
from stepup.doctor.pam_checks import PamFacts
from stepup.pam.modules import KEY_MODULE
from stepup.pam.overview import look_at
from stepup.pam.pam_files import PamPlaces, list_services
from stepup.pam.trials import list_trials, read_moment
from stepupd.client import SERVICE_ACCOUNT

UNITS = ("stepupd.socket", "stepupd-pam.socket", "stepupd.service", "stepupd-pam-rollback.service")
RULES = "70-stepupd.rules"
_RULE_DIRECTORIES = ("etc/udev/rules.d", "run/udev/rules.d", "usr/lib/udev/rules.d",
                     "lib/udev/rules.d")  # fmt: skip
_FIDO_USAGE_PAGE = b"\x06\xd0\xf1"
"""In a HID report descriptor: usage page 0xF1D0 (CTAP 2.2, section 11.2.8.1)."""
_SO_PEERPIDFD = getattr(socket, "SO_PEERPIDFD", 77)
_SO_PEERCRED_SIZE = 12
_PATIENCE = 10.0
_OTHERS_WRITE = 0o022


def find_nodes(root: Path) -> list[Node]:
    """Return the hidraw nodes that are FIDO keys."""
    nodes = []
    for entry in sorted((root / "sys/class/hidraw").glob("hidraw*")):
        path = root / "dev" / entry.name
        with contextlib.suppress(OSError):
            if _FIDO_USAGE_PAGE in (entry / "device/report_descriptor").read_bytes():
                status = path.stat()
                is_ours = os.access(path, os.R_OK | os.W_OK)
                nodes.append(Node(str(path), stat.S_IMODE(status.st_mode), status.st_gid, is_ours))
    return nodes


def find_rules(root: Path) -> list[str]:
    """Return where our udev rule is installed."""
    paths = (root / directory / RULES for directory in _RULE_DIRECTORIES)
    return [str(path) for path in paths if path.is_file()]


def find_group() -> int | None:
    """Return the daemon's group, if it has an account."""
    with contextlib.suppress(KeyError):
        return grp.getgrnam(SERVICE_ACCOUNT).gr_gid
    return None


def find_trusted(*, is_user: bool) -> frozenset[int]:
    """Return whose sockets are believed: root's, the daemon's, in user mode the person's."""
    trusted = {0, os.geteuid()} if is_user else {0}
    with contextlib.suppress(KeyError):
        trusted.add(pwd.getpwnam(SERVICE_ACCOUNT).pw_uid)
    return frozenset(trusted)


def has_peer_pidfd() -> bool:
    """Return whether the kernel hands out a peer's pidfd."""
    one, other = socket.socketpair()
    with one, other, contextlib.suppress(OSError):
        os.close(one.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD))
        return True
    return False


def ask_units() -> list[Unit]:
    """Return what systemd says of our units; nothing where it cannot be asked."""
    fields = "Id,LoadState,ActiveState,UnitFileState"
    code, said = run(["systemctl", "show", f"--property={fields}", "--", *UNITS])
    if code != 0:
        return []
    units = []
    for block in said.strip().split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in facts:
            names = ("LoadState", "ActiveState", "UnitFileState")
            units.append(Unit(facts["Id"], *(facts.get(name, "") for name in names)))
    return units


def look_at_door(path: Path) -> Door:
    """Return what a socket is, and who listens, without saying a word to it."""
    try:
        status, directory = path.stat(), path.parent.stat()
    except OSError:
        return Door(str(path), is_socket=False)
    door = Door(
        str(path),
        is_socket=stat.S_ISSOCK(status.st_mode),
        owner=status.st_uid,
        mode=stat.S_IMODE(status.st_mode),
        directory_owner=directory.st_uid,
        directory_mode=stat.S_IMODE(directory.st_mode),
    )
    if not door.is_socket:
        return door
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_PATIENCE)
        try:
            sock.connect(str(path))
            peer = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _SO_PEERCRED_SIZE)
        except OSError as error:
            return replace(door, is_hidden=isinstance(error, PermissionError))
    return replace(door, listener=int.from_bytes(peer[4:8], sys.byteorder))


def look_at_pam(places: PamPlaces) -> PamFacts:
    """Return what PAM has of us."""
    module = places.find_module()
    try:
        postures = [look_at(places, name) for name in list_services(places)]
    except OSError:
        postures = []
    named = {module for posture in postures for module in posture.modules if "/" in module}
    now = read_moment()
    return PamFacts(
        module="" if module is None else str(module),
        is_module_safe=module is None or _is_safe(module),
        postures=postures,
        missing=frozenset(name for name in named if not Path(name).is_file()),
        trials={
            name: None if record is None else record.count_left(now)
            for name, record in list_trials(places).items()
        },
    )


def _is_safe(module: Path) -> bool:
    status = module.stat()
    return status.st_uid == 0 and not status.st_mode & _OTHERS_WRITE and module.name == KEY_MODULE


def check_policy_file(*, is_user: bool) -> tuple[int | None, str]:
    """Return the status of `stepupd --check` and what it said; None if it could not be run."""
    options = ["--user"] if is_user else []
    return run([sys.executable, "-I", "-m", "stepupd", *options, "--check"])


def has_bus(*, is_user: bool) -> bool:
    """Return whether there is a bus: the system's, in user mode the session's."""
    if not is_user:
        return Path("/run/dbus/system_bus_socket").exists()
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return "DBUS_SESSION_BUS_ADDRESS" in os.environ or (
        bool(runtime) and Path(runtime, "bus").exists()
    )


def ask_bus(*, is_user: bool) -> bool | None:
    """Return whether our name is on the bus or can be activated; None if nobody says."""
    which = "--user" if is_user else "--system"
    code, said = run(["busctl", which, "--no-pager", "--no-legend", "list"])
    if code != 0:
        return None
    return any(line.split()[:1] == ["org.stepupd1"] for line in said.splitlines())


def find_free(path: Path) -> tuple[str, int]:
    """Return where the path is or would be, as far up as can be seen, and the free bytes there."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError):  # Not there, or not for us to see.
            return str(place), shutil.disk_usage(place).free
    return "/", 0


def run(command: list[str]) -> tuple[int | None, str]:
    """Run a command that only looks; return its status, None without one, and all it said."""
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return done.returncode, done.stdout
