"""Sessions as logind knows them, through the real libsystemd."""

import subprocess
import sys

import pytest
from logind_support import FAKE_LOGIND, run_inside

from stepupd.host.logins import Belonging, Login

FIND = (
    "import os; from stepupd.host.logins import *; from stepupd.core.errors import *\n"
    "try: print(repr(Logins().find(os.getpid())))\n"
    "except InternalError as error: print('error:', error)"
)
USER_SLICE = "/user.slice/user-1000.slice"
REMOTE = Login("3", is_remote=True, remote_host="203.0.113.9", has_seat=False, is_active=True)
DESKTOP = Login("5", is_remote=False, has_seat=True, is_active=False)


@pytest.mark.parametrize(
    ("cgroup", "belonging"),
    [
        (f"{USER_SLICE}/session-3.scope", Belonging(session=REMOTE, unit="session-3.scope")),
        (f"{USER_SLICE}/session-5.scope", Belonging(session=DESKTOP, unit="session-5.scope")),
        (
            f"{USER_SLICE}/user@1000.service/app.slice/run-1.service",
            Belonging(account=(REMOTE, DESKTOP), display=DESKTOP, unit="user@1000.service"),
        ),
        (
            "/user.slice/user-1001.slice/user@1001.service/init.scope",
            Belonging(unit="user@1001.service"),
        ),
        ("/system.slice/ssh.service", Belonging(unit="ssh.service")),
        ("/system.slice/cron.service/session-3.scope", Belonging(unit="cron.service")),
        (
            f"{USER_SLICE}/user@1000.service/session-5.scope",
            Belonging(account=(REMOTE, DESKTOP), display=DESKTOP, unit="user@1000.service"),
        ),
    ],
)
def test_a_control_group_tells_the_session(tmp_path, cgroup, belonging):
    """Also that a group of one's own making, named like a session, is none."""
    assert run_inside(tmp_path, cgroup, FIND) == repr(belonging)


@pytest.mark.parametrize(
    ("cgroup", "without"),
    [
        (f"{USER_SLICE}/session-9.scope", ""),
        (f"{USER_SLICE}/session-5.scope", "system"),
        (f"{USER_SLICE}/session-5.scope", "seats"),
    ],
)
def test_what_logind_does_not_answer_is_an_error(tmp_path, cgroup, without):
    """A session that it forgot, and a machine that runs none: never "no session"."""
    assert run_inside(tmp_path, cgroup, FIND, without=without).startswith("error: systemd-logind")


@pytest.mark.parametrize("pid", [0, -1])
def test_a_process_without_a_number_is_not_ourselves(tmp_path, pid):
    """Pins that a caller the kernel cannot number does not get the daemon's own session."""
    code = FIND.replace("os.getpid()", str(pid))

    told = run_inside(tmp_path, f"{USER_SLICE}/session-5.scope", code)

    assert told == "error: a process that asks has no number"


@pytest.fixture
def bus(short_path):
    """Start a bus that lets everybody own everything, with a logind on it; its address."""
    (short_path / "bus.conf").write_text(
        f"<busconfig><listen>unix:path={short_path}/bus</listen><auth>EXTERNAL</auth>"
        '<policy context="default"><allow user="*"/><allow own="*"/><allow send_type="*"/>'
        '<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>'
    )
    address = f"unix:path={short_path}/bus"
    with subprocess.Popen(
        ["dbus-daemon", f"--config-file={short_path}/bus.conf", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
    ) as daemon:
        assert daemon.stdout.readline()
        with subprocess.Popen(
            [sys.executable, FAKE_LOGIND, address], stdout=subprocess.PIPE
        ) as logind:
            assert logind.stdout.readline() == b"ready\n"
            yield address
            logind.kill()
        daemon.kill()


def ask_locked(folder, address, name):
    code = (
        "from stepupd.host.logins import *; from stepupd.core.errors import *\n"
        f"try: print(Logins().is_locked({name!r}))\n"
        "except InternalError as error: print('error:', error)"
    )
    return run_inside(folder, "/", code, DBUS_SYSTEM_BUS_ADDRESS=address)


def test_logind_says_what_is_locked(tmp_path, bus):
    """Pins the property, and how a session's name becomes an object path."""
    assert ask_locked(tmp_path, bus, "3") == "False"
    assert ask_locked(tmp_path, bus, "c5") == "True"
    assert ask_locked(tmp_path, bus, "7").startswith("error: systemd-logind")


def test_without_a_bus_nothing_is_unlocked(tmp_path):
    told = ask_locked(tmp_path, f"unix:path={tmp_path}/none", "3")

    assert told == "error: systemd-logind: ENOENT"


def test_looking_leaves_nothing_open(tmp_path, bus):
    """Pins that texts and buses are given back: as many descriptors as before."""
    code = (
        "import os; from stepupd.host.logins import *\n"
        "Logins().is_locked('3'); before = len(os.listdir('/proc/self/fd'))\n"
        "for _ in range(50):\n"
        "    Logins().find(os.getpid())\n"
        "    Logins().is_locked('3')\n"
        "print(len(os.listdir('/proc/self/fd')) - before)"
    )

    cgroup = f"{USER_SLICE}/session-3.scope"
    assert run_inside(tmp_path, cgroup, code, DBUS_SYSTEM_BUS_ADDRESS=bus) == "0"
