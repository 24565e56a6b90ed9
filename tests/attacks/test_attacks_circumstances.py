"""A failing observer never makes a request look ordinary (attack 110): each of them, each way."""

import math
import os
import threading

import pytest
from circumstances_support import NOW, Sessions, make_circumstances, make_proc, make_request

from stepupd.core.risk.facts import Advice, Observer
from stepupd.host.geo import Spot
from stepupd.host.logins import Belonging, Login
from stepupd.host.patience import MOST_THREADS, look_side_by_side
from stepupd.host.source import UNKNOWN_SOURCE

REMOTE = Belonging(session=Login("7", is_remote=True, remote_host="203.0.113.9"))
OUTSIDE = (Observer.SOURCE, Observer.GEO, Observer.SEAT, Observer.UPTIME, Observer.ADVICE)


class Answering:
    """Each source outside, answering by one function."""

    name = "engine"

    def __init__(self, answer):
        self._answer = answer

    def __call__(self, *_):
        return self._answer()

    find = is_locked = advise = __call__


def break_observer(observer, answer, patience=20):
    """Return circumstances of which one source answers by that function."""
    broken = Answering(answer)
    changes = {
        Observer.SOURCE: {"sessions": broken},
        Observer.SEAT: {"sessions": broken},
        Observer.GEO: {"sessions": Sessions(REMOTE), "find_spot": broken},
        Observer.UPTIME: {"since_resume": broken},
        Observer.ADVICE: {"advisers": (broken,)},
    }[observer]
    return make_circumstances(**changes, patience=patience)


def check_missing(circumstances, observer):
    """Look with that observer and one that works; return the facts."""
    other = Observer.SEAT if observer is Observer.UPTIME else Observer.UPTIME
    facts = circumstances.observe(make_request(), frozenset({observer, other}), NOW)

    assert facts.missing == {observer}
    assert facts.source == (UNKNOWN_SOURCE if observer is Observer.SOURCE else facts.source)
    assert (facts.source != "") == (observer in {Observer.SOURCE, Observer.GEO})
    return facts


@pytest.mark.parametrize("error", [OSError("no"), RuntimeError(), MemoryError(), KeyError("x")])
@pytest.mark.parametrize("observer", OUTSIDE)
def test_attack_110_an_observer_that_raises_is_missing(observer, error):
    def fail():
        raise error

    check_missing(break_observer(observer, fail), observer)


@pytest.mark.parametrize("observer", OUTSIDE)
def test_attack_110_an_observer_that_hangs_is_missing(observer):
    """The answer comes all the same, and what hangs stays behind alone."""
    released = threading.Event()
    try:
        check_missing(break_observer(observer, released.wait, patience=1), observer)
    finally:
        released.set()


JUNK = {
    Observer.SOURCE: [
        None,
        "203.0.113.9",
        Belonging(session=Login("7", is_remote=True, remote_host="\x00")),
        Belonging(session=Login("7", is_remote=True, remote_host=None)),
        Belonging(account=(None,)),
    ],
    Observer.SEAT: [None, True, Belonging(session=Login("2", has_seat=True, is_active=1))],
    Observer.GEO: [None, "DE", ("DE", 1.0, 2.0), {}],
    Observer.UPTIME: [math.nan, -1.0, math.inf, "soon", ()],
    Observer.ADVICE: [
        None,
        99,
        {"score": 0},
        Advice("engine", 101, ""),
        Advice("engine", -1, ""),
        Advice("engine", 0.0, ""),
        Advice("engine", False, ""),
        Advice("engine", math.nan, ""),
        Advice("engine", 0, None),
        Advice("", 0, "nobody says so"),
    ],
}


@pytest.mark.parametrize(
    ("observer", "junk"), [(observer, junk) for observer, all_ in JUNK.items() for junk in all_]
)
def test_attack_110_an_observer_that_says_junk_is_missing(observer, junk):
    facts = check_missing(break_observer(observer, lambda: junk), observer)

    assert facts.advice == ()
    assert facts.since_resume is facts.latitude is None
    assert facts.country == ""


@pytest.mark.parametrize("locked", [None, 0, 1, "no"])
def test_attack_110_a_lock_that_is_neither_open_nor_shut_is_missing(locked):
    facts = check_missing(make_circumstances(sessions=Sessions(is_locked=locked)), Observer.SEAT)

    assert facts.is_active is facts.is_locked is None


@pytest.mark.parametrize("content", [None, b"", b"junk", b"7 (sudo) S 1 " + b"0 " * 20])
def test_attack_110_programs_that_cannot_be_read_are_missing(tmp_path, content):
    proc = make_proc(tmp_path, {} if content is None else {os.getpid(): content})

    facts = check_missing(make_circumstances(proc=proc), Observer.PROGRAMS)

    assert facts.programs == ()


def test_attack_110_programs_that_hang_are_missing(tmp_path):
    """A read that never returns, as of a file system that is gone."""
    folder = tmp_path / str(os.getpid())
    folder.mkdir()
    os.mkfifo(folder / "stat")

    check_missing(make_circumstances(proc=tmp_path, patience=1), Observer.PROGRAMS)

    os.close(os.open(folder / "stat", os.O_RDWR))  # lets the reader go


def test_attack_110_where_the_source_is_unknown_so_is_the_country():
    """And no database is asked for the address that stands for it."""
    asked = []
    circumstances = make_circumstances(
        sessions=Answering(lambda: None),
        find_spot=lambda source: asked.append(source) or Spot("DE"),
    )

    facts = circumstances.observe(make_request(), frozenset({Observer.GEO}), NOW)

    assert facts.missing == {Observer.SOURCE, Observer.GEO}
    assert (facts.source, facts.country, asked) == (UNKNOWN_SOURCE, "", [])


def test_attack_110_one_failing_adviser_does_not_silence_the_others():
    """The advice that came counts, and so does the failure."""

    class Loud:
        name = "loud"

        def advise(self, question):  # noqa: ARG002 - it has made up its mind
            return Advice("loud", 100, "x" * 1000)

    circumstances = make_circumstances(advisers=(Answering(lambda: None), Loud()))

    facts = circumstances.observe(make_request(), frozenset({Observer.ADVICE}), NOW)

    assert [advice.name for advice in facts.advice] == ["loud"]
    assert len(facts.advice[0].reason) == 200
    assert facts.missing == {Observer.ADVICE}


def test_attack_110_hanging_looks_use_up_a_few_threads_and_no_more():
    """Beyond that a look fails before it begins; once they are let go, all is well again."""
    released, before = threading.Event(), threading.active_count()
    hanging = {str(number): released.wait for number in range(MOST_THREADS + 10)}
    try:
        assert look_side_by_side(hanging, 0.1) == {}
        assert threading.active_count() <= before + MOST_THREADS
        assert look_side_by_side({"other": lambda: 1}, 5) == {}
    finally:
        released.set()
    for thread in threading.enumerate():
        if thread.name.startswith("look-"):
            thread.join(20)

    assert look_side_by_side({"other": lambda: 1}, 20) == {"other": 1}


def test_attack_110_the_log_says_which_and_why(caplog):
    def fail():
        raise OSError("the cable is out")

    look_side_by_side({Observer.GEO: fail}, 20)

    assert "cannot tell geo: the cable is out" in caplog.text
