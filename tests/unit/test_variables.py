"""The variables of conditions: the table, the values, and what is left out."""

from dataclasses import replace

import pytest
from condition_support import make_observation
from core_support import ADA, NOW, TERMINAL, make_key, make_request
from msgspec.structs import replace as change

from stepupd.core.condition import CLAIMED
from stepupd.core.model import Caller, Claim, Door, Risk, Session, Signal
from stepupd.core.risk.activity import Activity, Alert
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.risk.profile import Feature, Profile, Sighting
from stepupd.core.variables import (
    NEVER,
    VARIABLES,
    Kind,
    list_observers,
    list_variables,
    needs_profile,
)

TYPES = {Kind.BOOL: bool, Kind.INT: int, Kind.STRING: str, Kind.STRINGS: tuple}
DAY = 86400


def ask(risk=Risk(), **changes):
    return list_variables(make_observation(**changes), risk)


def learned(**seen):
    """Return a profile that saw each value once, proved, so many days ago."""
    made = {}
    for name, (value, days) in seen.items():
        at = NOW.wall - days * DAY
        made[Feature(name)] = {value: Sighting(1.0, at, at)}
    return Profile(ADA.uid, made)


def test_every_variable_has_a_value_of_its_type():
    """And there is no value that the table does not know."""
    values = ask()

    assert values.keys() == VARIABLES.keys()
    for name, value in values.items():
        assert type(value) is TYPES[VARIABLES[name].kind], name


def test_who_and_what():
    values = ask(request=make_request(), credentials=(make_key().credential(),))

    assert values["subject"] == "ada"
    assert values["uid"] == 1000
    assert values["groups"] == ("ada", "ops")
    assert values["keys"] == 1
    assert (values["caller_uid"], values["caller_is_root"]) == (0, True)
    assert values["caller_is_subject"] is False
    assert (values["action"], values["door"]) == ("pam:sudo", "relay")
    assert (values["has_session"], values["terminal"]) == (True, "pts/3")
    assert values["command"] == "sudo systemctl restart db"


def test_a_request_without_a_session():
    values = ask(request=make_request(session=None, caller=Caller(1000, 5, Door.SOCKET)))

    assert (values["has_session"], values["terminal"]) == (False, "")
    assert (values["caller_is_root"], values["caller_is_subject"]) == (False, True)


def test_this_machine_is_known():
    values = ask()

    assert (values["remote"], values["source"]) == (False, "")
    assert values["source_known"] is values["network_known"] is values["country_known"] is True


def test_a_place_is_known_for_a_month_after_a_proof():
    """One that nobody proved himself from, or long ago, is not."""
    facts = Facts(source="198.51.100.7", country="NO")
    near = learned(network=("198.51.100.0/24", 29), country=("NO", 31))
    values = ask(facts=facts, profile=near)

    assert values["remote"] is True
    assert values["source_known"] is False
    assert values["network_known"] is True
    assert values["country_known"] is False


def test_a_country_that_cannot_be_told_is_not_known():
    assert ask(facts=Facts(source="198.51.100.7"))["country_known"] is False


@pytest.mark.parametrize(
    ("proved", "age"), [(None, NEVER), (NOW.wall - 90.7, 90), (NOW.wall + 1, NEVER)]
)
def test_a_proof_is_as_old_as_it_is(proved, age):
    """One in the future shows that a clock was set, and is none."""
    assert ask(profile=Profile(ADA.uid, proved=proved))["since_proved"] == age


def test_a_seat_that_cannot_be_seen_is_the_riskier_one():
    seen = ask(facts=Facts(is_active=True, is_locked=False, since_resume=7.9))
    unseen = ask()

    assert (seen["is_active"], seen["is_locked"], seen["since_resume"]) == (True, False, 7)
    assert (unseen["is_active"], unseen["is_locked"]) == (False, True)
    assert unseen["since_resume"] == NEVER


def test_alerts_that_hold_are_listed_once():
    alerts = tuple(
        Alert(kind, "", NOW.boot + seconds)
        for kind, seconds in (("session-revoked", 5), ("session-revoked", 9), ("old", 0))
    )

    assert ask(activity=Activity(alerts=alerts))["alerts"] == ("session-revoked",)


def test_risk_and_its_signals():
    values = ask(Risk(30, (Signal("burst", 30, "why"),)))

    assert (values["risk"], values["signals"]) == (30, ("burst",))


@pytest.mark.parametrize("observer", Observer)
def test_what_a_failed_observer_would_have_told_is_left_out(observer):
    """Country with its source: where an address comes from cannot be known without the address."""
    values = ask(facts=Facts(missing=frozenset({observer})))

    gone = {name for name in VARIABLES if observer in list_observers([name])}
    assert values.keys() == VARIABLES.keys() - gone
    assert gone or observer is Observer.ADVICE
    assert ("country" in gone) is (observer in {Observer.SOURCE, Observer.GEO})


def test_what_the_caller_says_changes_only_what_is_marked_as_claimed():
    """Command, reason, PAM's remote names, names of programs, the ssh client's version."""
    quiet = make_observation()
    claim = Claim(("vi", "x"), command_is_cut=True, reason="r", ruser="u", rhost="h.example")
    facts = replace(quiet.facts, programs=("vi", "claude"), ssh_client="OpenSSH_9.9")
    loud = change(quiet, request=replace(quiet.request, claim=claim), facts=facts)

    before, after = list_variables(quiet, Risk()), list_variables(loud, Risk(5))

    changed = {name for name in VARIABLES if before[name] != after[name]}
    assert changed == CLAIMED - {"signals"}
    assert VARIABLES.keys() > CLAIMED


def test_needs_are_told():
    assert list_observers(["hour", "subject"]) == frozenset()
    assert list_observers(["country", "asker"]) == {
        Observer.GEO,
        Observer.SOURCE,
        Observer.PROGRAMS,
    }
    assert needs_profile(["hour", "source_known"])
    assert not needs_profile(["hour", "source"])


def test_the_terminal_is_the_sessions():
    request = make_request(session=Session(TERMINAL.leader, TERMINAL.leader_start, "tty2"))

    assert ask(request=request)["terminal"] == "tty2"
