"""Lines of the log as a replay reads them: typed, or not at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.rehearsal.past import Past, parse_past
from stepupd.core.risk.facts import Advice, Facts, Observer, describe_facts

LINE = {
    "seq": 7,
    "prev": "",
    "time": "2026-03-02T10:00:01.500000Z",
    "kind": "step-up",
    "request": {"action": "pam:sudo", "subject": "ada", "subject_uid": 1000, "caller_uid": 0},
    "latency_ms": {"whole": 1500.0},
}


def write(**changes):
    return json.dumps({**LINE, **changes}).encode()


def test_a_request_is_dated_to_its_beginning():
    """The line is written at the end; a proof may take half a minute."""
    assert parse_past(write()).wall == 1772445600.0


def test_facts_come_back_as_they_were_written():
    facts = Facts(
        hour=3,
        source="192.0.2.1",
        latitude=1.5,
        longitude=-2.0,
        programs=("sudo", "bash"),
        is_locked=False,
        advice=(Advice("engine", 40, "odd"),),
        missing=frozenset({Observer.SEAT}),
    )
    assert parse_past(write(facts=describe_facts(facts))).facts == facts


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"seq":1}',
        write(time="yesterday"),
        write(seq="7"),
        write(request={"action": 5}),
        write(facts={"hour": "noon"}),
        write(verdict={"answer": "perhaps", "reason": "proved"}),
        b'{"a":' * 100_000,
    ],
)
def test_what_is_no_entry_is_none(line):
    """Counted by the caller, and never guessed at."""
    assert parse_past(line) is None


@given(st.binary(max_size=200))
def test_no_bytes_raise(line):
    found = parse_past(line)
    assert found is None or isinstance(found, Past)
