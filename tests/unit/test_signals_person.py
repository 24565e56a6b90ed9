"""Signals of the person's keys, seat and proofs, of who asks, and of what others tell."""

from dataclasses import replace

import pytest
from core_support import NOW, RP_ID, make_request
from msgspec.structs import replace as change
from risk_support import DAY, KEY, OFFICE, SETTLED, at, make_activity, observe

from stepupd.core.model import Credential
from stepupd.core.risk.activity import Alert
from stepupd.core.risk.alerts import CONSEQUENCES
from stepupd.core.risk.facts import Advice, Facts
from stepupd.core.risk.profile import Profile
from stepupd.core.risk.signals import SIGNALS


def make_credential(key=KEY, age=100 * DAY, **changes):
    made = Credential(key, 1000, "blue", RP_ID, b"", bytes(16), 1, created=NOW.wall - age)
    return replace(made, **changes)


def strength(name, *args, **changes):
    finding = SIGNALS[name].look(observe(*args, **changes))
    return 0.0 if finding is None else finding.strength


# --- authenticators -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "expected"), [(0, 1), (3.5 * DAY, 0.5), (7 * DAY, 0), (99 * DAY, 0), (-DAY, 1)]
)
def test_a_new_key_is_new_for_a_week(age, expected):
    """One enrolled in the future is as new as can be: the clock was set back."""
    keys = (make_credential(), make_credential(b"second", age))

    assert strength("new_authenticator", credentials=keys) == expected
    assert strength("new_authenticator") == 0.0


def test_other_keys_than_usual_are_told():
    """As long as one usual key is enrolled, there is nothing to say."""
    usual, other = make_credential(), make_credential(b"other")

    assert strength("changed_authenticator", credentials=(usual, other)) == 0.0
    assert strength("changed_authenticator", credentials=(other,)) == 1.0
    assert strength("changed_authenticator", credentials=()) == 0.0
    assert strength("changed_authenticator", credentials=(other,), profile=Profile(1000)) == 0.0


def test_a_usual_key_stays_one_in_a_long_absence():
    """Everything fades alike, so the only key there ever was is not another one."""
    usual = (make_credential(),)

    assert strength("changed_authenticator", credentials=usual, now=at(900 * DAY)) == 0.0


def test_suspects_and_distrusted_models_are_told():
    keys = (make_credential(), make_credential(b"other", aaguid=b"m" * 16))

    assert strength("suspect_counter", credentials=keys) == 0.0
    suspect = make_credential(b"copied", is_suspect=True)
    assert strength("suspect_counter", credentials=(*keys, suspect)) == 1.0
    assert strength("denied_model", credentials=keys) == 0.0
    assert strength("denied_model", credentials=keys, denied_models=frozenset({b"m" * 16})) == 1.0


# --- presence -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "field", "bad", "good"),
    [("inactive_seat", "is_active", False, True), ("locked_screen", "is_locked", True, False)],
)
def test_a_seat_tells_only_where_there_is_one(name, field, bad, good):
    assert strength(name, replace(OFFICE, **{field: bad})) == 1.0
    assert strength(name, replace(OFFICE, **{field: good})) == 0.0
    assert strength(name, replace(OFFICE, **{field: None})) == 0.0


@pytest.mark.parametrize(
    ("ago", "expected"),
    [(0, 0), (7 * DAY, 0), (18.5 * DAY, 0.5), (30 * DAY, 1), (-60, 0), (-DAY, 1), (None, 1)],
)
def test_the_last_proof_may_be_long_ago(ago, expected):
    """Never is the longest, and a proof in the future proves that a clock was set."""
    proved = None if ago is None else NOW.wall - ago
    found = strength("long_since_proof", profile=change(SETTLED, proved=proved))

    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("boot", "expected"), [(0, 1), (150, 0.5), (300, 0), (9e9, 0)])
def test_just_booted_fades_in_five_minutes(boot, expected):
    assert strength("just_booted", now=replace(NOW, boot=boot)) == expected


@pytest.mark.parametrize(("since", "expected"), [(None, 0), (0, 1), (60, 0.5), (120, 0)])
def test_just_resumed_fades_in_two_minutes(since, expected):
    assert strength("just_resumed", replace(OFFICE, since_resume=since)) == expected


# --- who asks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("programs", "fired"),
    [
        (("sudo", "bash", "sshd"), None),
        (("sudo", "bash", "alacritty"), None),
        (("sudo", "sh", "cron", "systemd"), "automated"),
        (("sudo", "php-fpm", "systemd"), "automated"),
        (("sudo", "sh", "nginx"), "automated"),
        (("sudo", "bash", "claude", "bash", "alacritty"), "agent"),
        (("sudo", "bash", "nvim", "bash", "alacritty"), "editor"),
    ],
)
def test_who_asks_is_told_apart(programs, fired):
    """The chain of parent programs: at most one of the three fires, and names the chain."""
    seen = observe(Facts(programs=programs))
    found = {
        name: finding
        for name in ("automated", "agent", "editor")
        if (finding := SIGNALS[name].look(seen)) is not None
    }

    assert set(found) == ({fired} if fired else set())
    for finding in found.values():
        assert programs[1] in finding.reason


def test_a_service_without_a_terminal_is_a_program_on_its_own():
    facts = Facts(programs=("sudo", "backup", "systemd"))

    assert strength("automated", facts, request=make_request(session=None)) == 1.0
    assert strength("automated", facts) == 0.0


# --- what others tell ---------------------------------------------------------------------------


def test_the_strongest_alert_that_holds_counts():
    mild = Alert("device-compliance-change", "no disk encryption", NOW.boot + 60)
    bad = Alert("credential-compromise", "seen for sale", NOW.boot + 60)
    over = replace(bad, until=NOW.boot)

    assert strength("alert") == 0.0
    assert strength("alert", activity=make_activity(alerts=[over])) == 0.0
    assert strength("alert", activity=make_activity(alerts=[mild, over])) == 0.5
    seen = observe(activity=make_activity(alerts=[mild, bad]))
    assert SIGNALS["alert"].look(seen).strength == 1.0
    assert "seen for sale" in SIGNALS["alert"].look(seen).reason


def test_every_event_that_alerts_has_a_strength_and_an_unknown_one_the_highest():
    for kind in (*CONSEQUENCES, "something-new"):
        activity = make_activity(alerts=[Alert(str(kind), "", NOW.boot + 1)])

        assert 0.25 <= strength("alert", activity=activity) <= 1
    assert strength("alert", activity=activity) == 1.0


@pytest.mark.parametrize(
    ("scores", "expected"),
    [((), 0), ((0,), 0), ((40,), 0.4), ((10, 80), 0.8), ((100,), 1), ((101,), 1), ((-1, 5), 1)],
)
def test_the_highest_advice_counts_and_an_impossible_one_in_full(scores, expected):
    advice = tuple(Advice(f"engine {score}", score, "") for score in scores)

    assert strength("advice", replace(OFFICE, advice=advice)) == expected


def test_advice_names_who_gave_it():
    advice = (Advice("opa", 80, "unmanaged laptop"),)
    reason = SIGNALS["advice"].look(observe(replace(OFFICE, advice=advice))).reason

    assert "opa" in reason
    assert "unmanaged laptop" in reason
