"""Which process a descriptor names, whose it is, and what is none."""

import os
import select
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from stepupd.core.errors import RequestError
from stepupd.host.named_process import identify_process
from stepupd.host.process import find_session

BECOME_BIN = "import os; os.setresuid(2, 2, 2)"
WAIT = "import os, sys; print(flush=True); sys.stdin.read()"


@contextmanager
def process(code="", **options):
    """Run a process that says when it is ready; give it, and its pidfd."""
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", f"{code}\n{WAIT}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        **options,
    )
    pidfd = os.pidfd_open(child.pid)
    try:
        assert child.stdout.readline() == b"\n"
        yield child, pidfd
    finally:
        child.kill()
        child.communicate()
        os.close(pidfd)


def refuse(pidfd):
    with pytest.raises(RequestError) as refused:
        identify_process(pidfd)
    return refused.value.reason


def test_account_and_session_are_the_processs():
    with process(BECOME_BIN, start_new_session=True) as (child, pidfd):
        found = identify_process(pidfd)

        assert (found.pid, found.uid) == (child.pid, 2)
        assert found.find_session() == find_session(child.pid, pidfd)
        assert found.find_session().leader == child.pid


def test_a_process_that_hides_its_memory_is_still_its_owners():
    """Most of its files in /proc are root's then (proc(5)); what is asked is not."""
    code = f"import ctypes; {BECOME_BIN}; ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE"
    with process(code) as (_, pidfd):
        assert identify_process(pidfd).uid == 2


@pytest.mark.parametrize("uids", [(1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 2, 1)])
def test_attack_020_a_process_between_two_accounts_is_nobodys(uids):
    """As a set-user-ID program is, or one that will be somebody else in a moment."""
    with process(f"import os; os.setresuid{uids}") as (_, pidfd):
        assert refuse(pidfd) == "unauthenticated"


def test_an_account_that_cannot_be_mapped_is_nobodys():
    with process("import os; os.setresuid(*[65534] * 3)") as (_, pidfd):
        assert refuse(pidfd) == "unauthenticated"


@pytest.mark.parametrize("is_reaped", [False, True])
def test_attack_020_a_process_that_has_ended_is_gone(is_reaped):
    """A zombie still has its number, a reaped process has none: both are nobody."""
    with process() as (child, pidfd):
        child.kill()
        select.select([pidfd], [], [])
        if is_reaped:
            child.wait()

        assert refuse(pidfd) == "client-gone"


def test_a_session_is_unknown_once_the_process_has_ended():
    with process() as (child, pidfd):
        found = identify_process(pidfd)
        child.kill()
        child.wait()

        assert found.find_session() is None


def test_attack_030_what_is_no_pidfd_names_nobody(tmp_path):
    """Also a file that is called like one, and /proc/PID, which older kernels took for one."""
    lookalike = tmp_path / "anon_inode:[pidfd]"
    lookalike.write_text("Pid:\t1\n")
    with ExitStack() as stack:
        sockets = socket.socketpair()
        numbers = [
            os.open(lookalike, os.O_RDONLY),
            os.open("/proc/1", os.O_RDONLY),
            os.open("/proc/self/status", os.O_RDONLY),
            os.open("/", os.O_PATH),
            os.memfd_create("anon_inode:[pidfd]"),
            os.eventfd(0),
            *os.pipe(),
            *(one.detach() for one in sockets),
        ]
        for number in numbers:
            stack.callback(os.close, number)
        epoll = stack.enter_context(select.epoll())

        assert {refuse(number) for number in [*numbers, epoll.fileno()]} == {"bad-request"}


def test_a_number_that_is_no_descriptor_names_nobody():
    assert refuse(10**6) == "bad-request"


def test_a_thread_names_no_process():
    """Linux 6.9 has pidfds of threads, whose account may be another than the process's."""
    code = """
import threading, time
threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""
    with process(code) as (child, _):
        tasks = {int(one.name) for one in Path(f"/proc/{child.pid}/task").iterdir()}
        (thread,) = tasks - {child.pid}
        try:
            pidfd = os.pidfd_open(thread, os.O_EXCL)
        except OSError:
            pytest.skip("the kernel has no pidfds of threads (before Linux 6.9)")
        try:
            assert refuse(pidfd) == "bad-request"
        finally:
            os.close(pidfd)


def test_the_daemon_may_ask_about_others_when_it_is_not_dumpable():
    """As it runs: an account of its own, with its memory hidden."""
    code = """
import ctypes, os, sys
from stepupd.host.named_process import identify_process
os.setresuid(1, 1, 1)
ctypes.CDLL(None).prctl(4, 0)
print(identify_process(int(sys.argv[1])).uid)
"""
    with process(BECOME_BIN) as (_, pidfd):
        done = subprocess.run(
            [sys.executable, "-c", code, str(pidfd)],
            pass_fds=[pidfd],
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.stdout == "2\n", done.stderr
