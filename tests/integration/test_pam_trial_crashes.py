"""Trials when the process dies: at any step the service file is whole, and the old one comes back.

Under a directory of its own in place of `/`; the real machine's PAM is not touched.
"""

import signal
import subprocess
import sys

import pytest
from orphans import adopting_orphans
from pam_trial_support import NEW, NEXT_BOOT, OLD, Tree

from stepup.pam.trials import Ending, confirm_trial, list_trials, read_moment, restore_due


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


STEPS = """
import os, signal, sys
from pathlib import Path
from stepup.pam.pam_files import PamPlaces, read_service
from stepup.pam.trial_record import Moment
from stepup.pam.trials import Change, begin_trial, confirm_trial, restore_due, write_service

places, operation, left, new = PamPlaces(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]), None

def count(frame, event, function):
    global left
    if event == "c_call" and getattr(function, "__module__", "") == "posix":
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

now = Moment("this boot", 1000.0)
file = read_service(places, "sudo")
new = sys.stdin.buffer.read()
sys.setprofile(count)
if operation == "enable":
    begin_trial(places, Change(file, new, 300.0), lambda: None, now)
elif operation == "confirm":
    confirm_trial(places, "sudo", now)
elif operation == "restore":
    restore_due(places, now, is_boot=True)
else:
    write_service(places, file, new)
"""
"""One operation; the process is killed before its n-th system call."""


def is_killed(tree, operation, number, new):
    done = subprocess.run(
        [sys.executable, "-c", STEPS, tree.places.root, operation, str(number)],
        input=new,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL)
    return done.returncode != 0


def run_killed_at_every_step(tmp_path, operation, prepare, new=NEW):
    """Yield the tree after a kill before each system call, and at last after none."""
    number, was_killed = 0, True
    while was_killed:
        number += 1
        tree = Tree(tmp_path / str(number))
        prepare(tree)
        was_killed = is_killed(tree, operation, number, new)
        yield tree
    assert number > 10


def test_killed_at_any_step_of_enable_nobody_is_locked_out(tmp_path):
    """Whole old or whole new, and a new one has its record: the next restore brings the old."""
    for tree in run_killed_at_every_step(tmp_path, "enable", lambda _: None):
        found = tree.read()
        assert found in (OLD, NEW)
        assert found == OLD or "sudo" in list_trials(tree.places)

        restore_due(tree.places, NEXT_BOOT)
        assert tree.read() == OLD
        assert list_trials(tree.places) == {}


def test_killed_at_any_step_of_confirm_it_is_confirmed_or_not(tmp_path):
    """The new file stands whole; without the record it stays, with it it does not."""
    for tree in run_killed_at_every_step(tmp_path, "confirm", Tree.begin):
        assert tree.read() == NEW
        expected = OLD if "sudo" in list_trials(tree.places) else NEW

        restore_due(tree.places, NEXT_BOOT)
        assert tree.read() == expected


def test_killed_at_any_step_of_restore_the_next_one_ends_it(tmp_path):
    """Whole at any time, and old in the end."""
    for tree in run_killed_at_every_step(tmp_path, "restore", Tree.begin):
        assert tree.read() in (OLD, NEW)

        restore_due(tree.places, NEXT_BOOT)
        assert tree.read() == OLD
        assert list_trials(tree.places) == {}
        assert "sudo" in tree.list_names()


def test_killed_at_any_step_of_disable_the_file_is_whole(tmp_path):
    """With the line or without it."""
    for tree in run_killed_at_every_step(
        tmp_path, "disable", lambda tree: tree.path.write_bytes(NEW), new=OLD
    ):
        assert tree.read() in (OLD, NEW)


DETACHED = """
import os, sys
from pathlib import Path
from stepup.pam.alarm import arm
from stepup.pam.pam_files import PamPlaces, read_service
from stepup.pam.trials import Change, begin_trial, read_moment

places = PamPlaces(Path(sys.argv[1]))
change = Change(read_service(places, "sudo"), sys.argv[2].encode(), float(sys.argv[3]))
begin_trial(places, change, lambda: arm(places, "sudo", change.seconds), read_moment())
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def orphans():
    with adopting_orphans() as wait:
        yield wait


def start_trial_and_die(tree, seconds):
    command = [sys.executable, "-c", DETACHED, tree.places.root, NEW.decode(), str(seconds)]
    done = subprocess.run(command, check=False)
    assert done.returncode == -signal.SIGKILL


def test_what_waits_outlives_the_command(tree, orphans):
    """`enable` is killed; a process that belongs to no terminal restores all the same."""
    start_trial_and_die(tree, 4)
    assert tree.read() == NEW

    assert orphans() == 1

    assert tree.read() == OLD
    assert list_trials(tree.places) == {}


def test_what_waits_leaves_a_confirmed_file_alone(tree, orphans):
    """It looks at the record, and goes."""
    start_trial_and_die(tree, 6)
    assert confirm_trial(tree.places, "sudo", read_moment()) is Ending.CONFIRMED

    assert orphans() == 1

    assert tree.read() == NEW
