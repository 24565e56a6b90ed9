"""Requests, processes and observers for what is seen around a request."""

import os
import subprocess
import sys
from contextlib import contextmanager

from stepupd.core.model import Caller, Claim, Door, Moment, StepUpRequest, Subject
from stepupd.host.circumstances import Circumstances
from stepupd.host.logins import Belonging, Login

NOW = Moment(wall=1_700_000_000.0, boot=5000.0, boot_id="b")
AT_THE_DESK = Belonging(session=Login("2", has_seat=True, is_active=True))


def make_request(pid=None, *, uid=1000, door=Door.SOCKET, rhost="", ssh_key=""):
    return StepUpRequest(
        Subject(1000, "ada"),
        Caller(uid, os.getpid() if pid is None else pid, door),
        "cli:x",
        claim=Claim(rhost=rhost),
        ssh_key=ssh_key,
    )


class Sessions:
    """What logind would say."""

    def __init__(self, belonging=AT_THE_DESK, *, is_locked=False):
        self.belonging = belonging
        self.locked = is_locked

    def find(self, pid):  # noqa: ARG002 - everybody sits at the same desk
        return self.belonging

    def is_locked(self, session):  # noqa: ARG002 - and there is one session
        return self.locked


def make_circumstances(*, patience=20, **changes):
    """Make observers that all work, and wait long for each; with changes."""
    working = {"sessions": Sessions(), "since_resume": lambda _: None}
    return Circumstances(**working | changes, patience=patience, advice_patience=patience)


def make_proc(folder, processes):
    """Write a /proc with processes: pid -> (name, parent, start), or the bytes of `stat`."""
    for pid, process in processes.items():
        (folder / str(pid)).mkdir(parents=True)
        if not isinstance(process, bytes):
            name, parent, start = process
            numbers = " ".join(["0"] * 17)
            process = f"{pid} ({name}) S {parent} {numbers} {start} 0 0\n".encode()  # noqa: PLW2901
        (folder / str(pid) / "stat").write_bytes(process)
    return folder


@contextmanager
def chain_of_shells(depth):
    """Start a program below so many shells, each of which waits; yields its pid."""
    inner = f"{sys.executable} -c 'import os,sys; print(os.getpid(),flush=True); sys.stdin.read()'"
    script = inner
    environment = dict(os.environ)
    for level in range(depth):
        environment[f"STEP{level}"] = script
        script = f'sh -c "$STEP{level}"; :'  # with a command after it, no shell makes way
    process = subprocess.Popen(
        ["sh", "-c", script],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()
