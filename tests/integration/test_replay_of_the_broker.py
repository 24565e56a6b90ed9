"""The log that a real broker writes, folded again: what the daemon knew, and what it decided."""

import pytest
from broker_support import House, Person
from device_support import RP_ID, make_key, touch
from replay_support import read_policy

from stepupd.core.model import Session
from stepupd.core.rehearsal.history import History
from stepupd.core.rehearsal.past import parse_past
from stepupd.core.rehearsal.replay import Replay
from stepupd.core.risk.facts import Facts
from stepupd.store.audit_log import AuditLog

POLICY = """
[[rule]]
name = "sudo"
action = "*"
require = "touch"
max_age = "10m"
scope = "session"

[risk]
ladder = [{ score = 45, require = "touch" }, { score = 200, deny = true }]
"""
HERE = Facts(hour=9, weekday=1, source="192.0.2.7", country="NO", latitude=59.9, longitude=10.7)
ABROAD = Facts(hour=9, source="203.0.113.9", country="NZ", latitude=-41.0, longitude=174.0)


@pytest.fixture
async def house(tmp_path):
    """Put a key in a machine whose log is dated by the same clock as its requests."""
    made = House(tmp_path, make_key(), policy=read_policy(POLICY))
    made.journal.close()
    made.journal = AuditLog(
        tmp_path / "log" / "audit.log",
        tmp_path / "state" / "audit.checkpoint",
        made._signing,
        f"{RP_ID}/audit",
        clock=lambda: made.read_clock().wall,
    )
    made.change(journal=made.journal)
    await made.enrol(made.key)
    yield made
    made.close()


async def live(house):
    """Ask with touches, under grants, from elsewhere, and once in vain."""
    for seconds, facts in ((60, HERE), (5000, HERE), (90_000, HERE), (900, ABROAD), (7200, HERE)):
        house.clock.now += seconds
        house.facts = facts
        using = house.begin()
        await touch(house.key)
        await using
        house.clock.now += 60
        await house.broker.store(lambda: None)  # What was learned is in the store.
        await house.step_up()
    house.clock.now += 3000
    person = Person()
    using = house.begin(person, session=Session(1, 1, "tty2"))
    await person.sees("Touch")
    person.leave()
    await using
    await house.broker.store(lambda: None)


async def test_the_recorded_policy_meets_every_request_as_it_did(house):
    await live(house)

    fold = Replay(house.policy, History())
    rows = [fold.take(parse_past(line)) for line in read_lines(house)]
    rows = [row for row in rows if row is not None]

    assert [row.before for row in rows] == [row.after for row in rows]
    assert [row.before.met for row in rows] == [2, 0] * 5 + [2]
    assert max(row.before.score for row in rows) >= 45


async def test_the_fold_ends_with_the_daemons_own_profile(house):
    """Every value with its weight; times to the millisecond, which is what the log keeps."""
    await live(house)

    history = History()
    fold = Replay(house.policy, history)
    for line in read_lines(house):
        fold.take(parse_past(line))
    ours, theirs = history.find(1000).profile, house.profiles.find(1000)

    assert {feature: set(values) for feature, values in ours.seen.items()} == {
        feature: set(values) for feature, values in theirs.seen.items()
    }
    for feature, values in theirs.seen.items():
        for value, sighting in values.items():
            found = ours.seen[feature][value]
            assert found.weight == pytest.approx(sighting.weight, abs=1e-3)
            assert found.at == pytest.approx(sighting.at, abs=5)
    assert (ours.hours, ours.hour_count) == (theirs.hours, theirs.hour_count)
    assert ours.requests == pytest.approx(theirs.requests, abs=1e-3)
    assert set(history.crowd.seen) == set(house.profiles.find_crowd().seen)
    activity = house.activities.find(1000, house.read_clock())
    assert history.find(1000).activity.events[-len(activity.events) :] == activity.events


def read_lines(house):
    return (house.folder / "log" / "audit.log").read_bytes().splitlines()
