"""What the host says: clocks, accounts, terminals, sessions, the service manager, hardening."""

import os
import resource
import socket
import subprocess
import sys
import time

import pytest

from stepupd.core.errors import ConfigError
from stepupd.core.model import Session
from stepupd.host.accounts import find_subject, find_subject_by_uid
from stepupd.host.clock import read_clock
from stepupd.host.hardening import raise_descriptor_limit, refuse_user_namespace
from stepupd.host.process import find_session, name_tty, read_stat
from stepupd.host.systemd import listen_fds, notify, watchdog_interval


def test_the_clock_is_the_boot_clock():
    """Pins that lifetimes run on CLOCK_BOOTTIME, between two readings of it."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = read_clock()
    assert before <= now.boot <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert len(now.boot_id) == 36
    assert now.boot_id == read_clock().boot_id


def test_root_is_found_by_name_and_by_number():
    by_name, by_uid = find_subject("root"), find_subject_by_uid(0)
    assert by_name == by_uid is not None
    assert (by_name.uid, by_name.name) == (0, "root")
    assert "root" in by_name.groups


def test_an_unknown_account_is_none():
    assert find_subject("nobody-has-this-name") is None
    assert find_subject_by_uid(4_000_000_000) is None


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, ""),
        (-1, ""),
        (136 << 8 | 3, "pts/3"),
        (137 << 8 | 0, "pts/256"),
        (136 << 8 | 0x2C | 1 << 20, "pts/300"),
        (250 << 8 | 255, ""),
    ],
)
def test_terminals_are_named_as_the_kernel_numbers_them(number, name):
    assert name_tty(number) == name


def test_a_session_is_found_with_its_leader_and_terminal():
    """Pins leader, start time and terminal of a process on a pseudo-terminal of its own."""
    master, slave = os.openpty()
    code = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); print(flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", code],
        stdin=slave,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        child.stdout.readline()
        pidfd = os.pidfd_open(child.pid)
        found, stat = find_session(child.pid, pidfd), read_stat(child.pid)
        name = os.ttyname(slave).removeprefix("/dev/")
        assert found == Session(child.pid, stat.start, name)
        assert find_session(child.pid, None) is None
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        os.close(master)
        os.close(slave)
    assert find_session(child.pid, pidfd) is None
    os.close(pidfd)


@pytest.mark.parametrize("pid", [0, -1, 2**31 - 1])
def test_a_process_that_is_not_there_is_unknown(pid):
    assert read_stat(pid) is None


@pytest.fixture
def passed(monkeypatch):
    """Play the service manager; descriptors 3 and up are not touched, only described."""

    def set_up(count: str, names: str, pid: str | None = None) -> None:
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()) if pid is None else pid)
        monkeypatch.setenv("LISTEN_FDS", count)
        monkeypatch.setenv("LISTEN_FDNAMES", names)

    return set_up


def test_no_sockets_are_taken_that_are_meant_for_another(passed):
    passed("1", "relay", pid="1")
    assert listen_fds() == {}
    assert "LISTEN_FDS" not in os.environ


@pytest.mark.parametrize(("count", "names"), [("2", "relay"), ("1", "a:b"), ("99", "a")])
def test_sockets_that_do_not_fit_their_names_are_an_error(passed, count, names):
    passed(count, names)
    with pytest.raises(ConfigError):
        listen_fds()


@pytest.mark.parametrize("count", ["", "-1", "x", "1 "])
def test_no_count_is_no_sockets(passed, count):
    passed(count, "relay")
    assert listen_fds() == {}


def test_passed_sockets_come_by_name_and_are_not_inherited():
    """Pins the real hand-over: descriptors 3 and 4, closed on exec, variables gone."""
    code = (
        "import os; os.environ['LISTEN_PID'] = str(os.getpid());"
        "from stepupd.host.systemd import listen_fds; found = listen_fds();"
        "print(found, [os.get_inheritable(fd) for fd in found.values()], len(os.environ))"
    )
    one, other = socket.socketpair()
    with one, other:

        def place():
            os.dup2(one.fileno(), 30)
            os.dup2(other.fileno(), 31)
            os.dup2(30, 3)
            os.dup2(31, 4)

        output = subprocess.run(
            [sys.executable, "-c", code],
            env={"LISTEN_FDS": "2", "LISTEN_FDNAMES": "relay:rpc"},
            preexec_fn=place,
            close_fds=False,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    assert output.strip() == "{'relay': 3, 'rpc': 4} [False, False] 1"


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_is_told(monkeypatch, tmp_path, is_abstract):
    name = f"@stepupd-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0") if is_abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert notify("READY=1")
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "vsock:2:3", "/nowhere/at/all"])
def test_no_service_manager_is_no_error(monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert not notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "pid", "seconds"),
    [
        ("30000000", "", 15),
        ("30000000", "1", None),
        ("0", "", None),
        ("x", "", None),
        ("", "", None),
    ],
)
def test_the_watchdog_is_fed_twice_per_limit(monkeypatch, microseconds, pid, seconds):
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", pid)
    assert watchdog_interval() == seconds


def test_hardening_holds():
    """Pins, in a child: no dumps, no core file, umask 077, and a raised descriptor limit."""
    code = (
        "import ctypes, os, resource; from stepupd.host import hardening;"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200)); hardening.harden();"
        "print(ctypes.CDLL(None).prctl(3), resource.getrlimit(resource.RLIMIT_CORE), os.umask(0),"
        "hardening.raise_descriptor_limit(150), hardening.raise_descriptor_limit(1000))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "0 (0, 0) 63 150 200"


def test_a_limit_is_never_lowered():
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert raise_descriptor_limit(8) == soft


def test_the_initial_namespace_is_fine():
    refuse_user_namespace()
