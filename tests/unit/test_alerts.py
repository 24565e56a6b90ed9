"""What events do, as a table; and how alerts of one kind become one."""

import pytest

from stepup.event import LONGEST, EventWord
from stepupd.core.model import Caller, Door
from stepupd.core.risk.activity import Alert
from stepupd.core.risk.alerts import (
    CONSEQUENCES,
    MOST_SECONDS,
    EventName,
    drop_ended,
    join_alerts,
    may_push,
)

REVOKING = {
    "session-revoked",
    "sessions-revoked",
    "credential-compromise",
    "account-disabled",
    "account-purged",
    "identifier-recycled",
}
ATTACKED = Alert("risk-level-change", "", 100.0)


def test_the_table():
    """Every event does something, those above revoke, and only the end of a session warns not."""
    assert set(CONSEQUENCES) == set(EventName)
    assert {name.value for name, does in CONSEQUENCES.items() if does.revokes} == REVOKING
    assert {name.value for name, does in CONSEQUENCES.items() if not does.alerts} == {
        "session-revoked",
        "sessions-revoked",
    }


def test_the_command_knows_the_same_names():
    assert {word.value for word in EventWord} == {name.value for name in EventName}
    assert LONGEST == MOST_SECONDS


@pytest.mark.parametrize(
    "name", ["account-enabled", "session-established", "session-presented", "opt-in", "", "x"]
)
def test_what_says_that_all_is_well_has_no_name(name):
    with pytest.raises(ValueError, match="not a valid EventName"):
        EventName(name)


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize(
    ("uid", "is_listed", "expected"),
    [(0, False, True), (0, True, True), (1000, True, True), (1000, False, False)],
)
def test_who_may_push(uid, is_listed, expected, door):
    assert may_push(Caller(uid, 7, door), is_listed=is_listed) is expected


def test_kinds_stand_side_by_side():
    other = Alert("credential-compromise", "", 50.0)

    assert join_alerts((ATTACKED,), other, 10.0, may_shorten=False) == (ATTACKED, other)


@pytest.mark.parametrize("may_shorten", [False, True])
def test_a_longer_one_replaces(may_shorten):
    longer = Alert("risk-level-change", "again", 200.0)

    assert join_alerts((ATTACKED,), longer, 10.0, may_shorten=may_shorten) == (longer,)


def test_a_shorter_one_replaces_only_for_root():
    """Whoever may raise an alert cannot end another's with it."""
    shorter = Alert("risk-level-change", "it is over", 20.0)

    assert join_alerts((ATTACKED,), shorter, 10.0, may_shorten=False) == (ATTACKED,)
    assert join_alerts((ATTACKED,), shorter, 10.0, may_shorten=True) == (shorter,)


def test_root_ends_an_alert_with_one_that_has_ended():
    ended = Alert("risk-level-change", "it is over", 10.0)

    assert join_alerts((ATTACKED,), ended, 10.0, may_shorten=False) == (ATTACKED,)
    assert join_alerts((ATTACKED,), ended, 10.0, may_shorten=True) == ()


def test_an_alert_ends_at_its_time():
    assert drop_ended((ATTACKED,), 99.9) == (ATTACKED,)
    assert drop_ended((ATTACKED,), 100.0) == ()
