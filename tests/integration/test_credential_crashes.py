"""The credential store when the process dies or the disk is gone: old or new, never mixed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from credential_support import KEY, make_credential

from stepupd.core.errors import InternalError
from stepupd.store.credentials import CredentialStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "stepupd.db"


@pytest.fixture
def store(path):
    store = CredentialStore(path, KEY)
    yield store
    store.close()


CHANGES = """
import os, signal, sys
from pathlib import Path
from stepupd.core.model import Credential
from stepupd.store import database
from stepupd.store.credentials import CredentialStore

set_up = database._set_up
left = 0

def count(statement):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def set_up_and_count(connection):
    connection.set_trace_callback(count)
    set_up(connection)

def change(path, changes):
    store = CredentialStore(path, b"k" * 32)
    credential = Credential(b"id", 1000, "name", "a.b", b"p", bytes(16), 1)
    for number in range(changes):
        if number % 3 == 0:
            store.add(credential)
        elif number % 3 == 1:
            store.record_use(credential.id, sign_count=2, backed_up=False, last_used=1.0)
        else:
            store.remove(1000, credential.id)
        os.write(1, b"done\\n")

database._set_up = set_up_and_count
for line in sys.stdin:
    path, left, changes = line.split()
    left = int(left)
    child = os.fork()
    if child == 0:
        os.write(1, b"%d\\n" % os.getpid())
        change(Path(path), int(changes))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    os.write(1, b"status %d\\n" % status)
"""
"""Changes a store in a fresh process for each line it is told, and says how far it came."""

STATES = [[], [1], [2]]
"""The sign counts of the one key that comes and goes: after 0, 1 and 2 changes of three."""


@pytest.fixture
def forks():
    with subprocess.Popen(
        [sys.executable, "-c", CHANGES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


def run_until_killed(forks, path, *, last=0, kill_after=0):
    """Return how many changes were acknowledged, and whether the process was killed."""
    for file in path.parent.iterdir():
        file.unlink()
    forks.stdin.write(f"{path} {last} {1000 if kill_after else 3}\n")
    forks.stdin.flush()
    child = int(forks.stdout.readline())
    done = 0
    while (line := forks.stdout.readline()) == "done\n":
        done += 1
        if done == kill_after:
            os.kill(child, signal.SIGKILL)
    return done, line == f"status {signal.SIGKILL}\n"


def check_after_crash(path, done):
    """See that what was acknowledged is there, and at most the one change after it, whole."""
    store = CredentialStore(path, KEY)
    counts = [each.sign_count for each in store.list_credentials(1000)]
    changes = store.epoch - 1
    store.close()
    assert changes in (done, done + 1)
    assert counts == STATES[changes % 3]


def test_killed_before_any_statement_the_store_is_old_or_new(path, forks):
    """Each SQL statement, of the creation too, is once the last that is reached."""
    last = 0
    was_killed = True
    while was_killed:
        last += 1
        done, was_killed = run_until_killed(forks, path, last=last)
        check_after_crash(path, done)

    assert last > 25


def test_killed_at_any_time_the_store_is_old_or_new(path, forks):
    """Forty processes, each killed at whatever it does after an acknowledgement."""
    for number in range(40):
        done, was_killed = run_until_killed(forks, path, kill_after=1 + number % 3)
        assert was_killed
        check_after_crash(path, done)


def test_the_store_is_served_from_memory_when_the_disk_is_gone(path, store):
    """A reader never waits for the disk; a change that cannot be stored is refused."""
    store.add(make_credential())
    moved = Path(os.fspath(path) + ".moved")
    path.rename(moved)

    assert store.list_credentials(1000) == (make_credential(),)
    with pytest.raises(InternalError):
        store.record_use(b"id-1", sign_count=9, backed_up=False, last_used=1)


READ_ONLY = """
import os, sys
from pathlib import Path
from stepupd.core.errors import InternalError
from stepupd.store.credentials import CredentialStore

os.system(f"mount --bind {sys.argv[1]} {sys.argv[1]}")
os.system(f"mount -o remount,bind,ro {sys.argv[1]}")
store = CredentialStore(Path(sys.argv[1], "stepupd.db"), b"k" * 32)
print(store.list_credentials(1000)[0].name)
try:
    store.remove(1000, b"id-1")
except InternalError as error:
    print(error.reason)
print(len(store.list_credentials(1000)))
"""


def test_on_a_read_only_file_system_the_store_serves_what_it_has(path, store):
    """In a mount namespace of its own; a change is refused, and is not half made."""
    store.add(make_credential())
    store.close()

    told = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", READ_ONLY, str(path.parent)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.split("\n") == ["key 1", "store-unavailable", "1", ""]
