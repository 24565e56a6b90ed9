"""How long ago the machine woke up: in doubt, just now."""

import math

import pytest

from stepupd.core.errors import InternalError
from stepupd.core.model import Moment
from stepupd.host.suspend import Wakefulness


def at(boot, asleep=0.0):
    return Moment(wall=1e9 + boot, boot=boot, boot_id="b", asleep=asleep)


class Watcher:
    def __init__(self):
        self.last = None

    def __call__(self):
        return self.last


def test_a_machine_that_never_slept_never_woke():
    awake = Wakefulness(at(100))

    assert awake.since_resume(at(5000, 0.004)) is None


def test_a_waking_is_counted_from_when_it_was_told():
    watcher = Watcher()
    awake = Wakefulness(at(100), watcher)

    watcher.last = 900.0

    assert awake.since_resume(at(910, 300)) == 10
    assert awake.since_resume(at(990, 300)) == 90


def test_a_waking_is_counted_once_it_is_told_even_before_the_clocks_show_it():
    watcher = Watcher()
    awake = Wakefulness(at(100), watcher)

    watcher.last = 900.0

    assert awake.since_resume(at(910, 0.5)) == 10


def test_a_sleep_that_nobody_told_of_counts_from_when_it_is_noticed():
    """Pins that a deaf watcher makes a waking look later than it was, never earlier."""
    watcher = Watcher()
    awake = Wakefulness(at(100), watcher)
    watcher.last = 900.0
    awake.since_resume(at(910, 300))

    assert awake.since_resume(at(5000, 600)) == 0
    assert awake.since_resume(at(5060, 600)) == 60


def test_a_sleep_before_the_start_counts_from_the_start():
    assert Wakefulness(at(100, 50)).since_resume(at(160, 50)) == 60


def test_an_older_waking_takes_nothing_back():
    watcher = Watcher()
    awake = Wakefulness(at(1000, 50), watcher)

    watcher.last = 10.0

    assert awake.since_resume(at(1060, 50)) == 60


@pytest.mark.parametrize("told", [-1.0, 1e12, math.nan, math.inf, -math.inf])
def test_a_waking_that_cannot_be_is_an_error(told):
    watcher = Watcher()
    awake = Wakefulness(at(100), watcher)

    watcher.last = told

    with pytest.raises(InternalError):
        awake.since_resume(at(200))
