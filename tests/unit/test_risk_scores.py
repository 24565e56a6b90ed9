"""Both scores: sums over the same findings, never lowered by a signal more or a higher weight."""

from dataclasses import replace
from math import log2

import pytest
from core_support import NOW, make_request
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as change
from risk_support import DAY, HOUR, KEY, OFFICE, SETTLED, at, make_lesson, make_profile, observe

from stepupd.core.model import Claim, Level, Risk, Signal
from stepupd.core.policy import Rung, Score
from stepupd.core.risk.activity import Activity, Alert, Event
from stepupd.core.risk.assess import assess_observation, find_observers
from stepupd.core.risk.explanation import explain_risk
from stepupd.core.risk.facts import Advice, Facts, Observer
from stepupd.core.risk.learning import learn, learn_crowd
from stepupd.core.risk.profile import Feature, Profile
from stepupd.core.risk.scores import MIN_RATE, POINTS_PER_BIT, count_bits, find_rate
from stepupd.core.risk.signals import DEFAULT_WEIGHTS, SIGNALS

BRAZIL = Facts(
    hour=3,
    weekday=6,
    source="192.0.2.1",
    country="BR",
    latitude=-23.5,
    longitude=-46.6,
    programs=("sudo", "python3", "nginx"),
    ssh_key="SHA256:other",
    ssh_client="SSH-2.0-Go",
    is_active=False,
    is_locked=True,
    since_resume=1.0,
    advice=(Advice("engine", 90, ""),),
)
STORM = Activity(
    tuple(Event(NOW.boot - 1, f"dbus:{n}", is_allowed=False) for n in range(60)),
    (Alert("credential-compromise", "", NOW.boot + 60),),
)
WORST = observe(
    BRAZIL,
    request=make_request(action="ssh:login", session=None, claim=Claim(command=("useradd", "eve"))),
    activity=STORM,
    profile=change(SETTLED, proved=None),
)


def names_of(risk):
    return {signal.name for signal in risk.signals}


# --- both ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("score", Score)
def test_an_ordinary_request_is_hardly_risky(score):
    risk = assess_observation(observe(), method=score)

    assert risk.score < 10
    assert names_of(risk) == {"remote"}
    assert assess_observation(observe(Facts(hour=10, weekday=1)), method=score).score == 0


@pytest.mark.parametrize("score", Score)
def test_a_stolen_session_from_far_away_is(score):
    risk = assess_observation(WORST, method=score)

    assert risk.score > 200
    assert {"new_country", "impossible_travel", "burst_requests", "alert"} <= names_of(risk)
    assert all(signal.reason for signal in risk.signals)


@pytest.mark.parametrize("score", Score)
def test_the_score_is_the_sum_of_what_is_told(score):
    """Additive, and thus explainable: whole numbers, none negative."""
    risk = assess_observation(WORST, method=score)

    assert risk.score == sum(signal.weight for signal in risk.signals)
    assert all(type(signal.weight) is int and signal.weight >= 0 for signal in risk.signals)


@pytest.mark.parametrize("score", Score)
def test_only_what_is_weighed_is_looked_at(score):
    assert assess_observation(WORST, {}, score) == Risk()
    assert assess_observation(WORST, {"remote": 0}, score) == Risk()
    assert names_of(assess_observation(WORST, {"remote": 1}, score)) == {"remote"}


def test_every_signal_is_whole():
    """A name that policy can write, a phrase, a weight, probabilities that can be compared."""
    for name, kind in SIGNALS.items():
        assert name == kind.name
        assert name.isidentifier()
        assert kind.meaning
        assert not kind.meaning.endswith(".")
        assert 0 < kind.weight <= 100
        assert MIN_RATE < kind.usual < kind.attack <= 1
        assert not kind.given or kind.given in SIGNALS
    assert {name: kind.weight for name, kind in SIGNALS.items()} == DEFAULT_WEIGHTS


# --- properties ---------------------------------------------------------------------------------

facts = st.builds(
    Facts,
    hour=st.integers(0, 23),
    weekday=st.integers(0, 6),
    source=st.sampled_from(["", "198.51.100.7", "192.0.2.1", "203.0.114.1", "junk"]),
    country=st.sampled_from(["", "DE", "BR"]),
    latitude=st.sampled_from([None, 52.5, -23.5]),
    longitude=st.sampled_from([None, 13.4, -46.6]),
    programs=st.sampled_from([(), ("sudo", "bash", "sshd"), ("sudo", "nginx")]),
    is_active=st.sampled_from([None, True, False]),
    is_locked=st.sampled_from([None, True, False]),
    since_resume=st.sampled_from([None, 5.0, 500.0]),
    ssh_key=st.sampled_from(["", "SHA256:usual", "SHA256:other"]),
    ssh_client=st.sampled_from(["", "SSH-2.0-Go"]),
    advice=st.sampled_from([(), (Advice("a", 50, ""),), (Advice("a", 100, "bad"),)]),
    missing=st.frozensets(st.sampled_from(list(Observer))),
)
profiles = st.sampled_from([Profile(1000), make_profile(3), SETTLED])
crowds = st.sampled_from([None, Profile(0), make_profile(200)])
observations = st.builds(
    observe,
    facts,
    profile=profiles,
    crowd=crowds,
    activity=st.sampled_from([Activity(), STORM]),
    now=st.sampled_from([NOW, at(DAY), at(400 * DAY), at(-400 * DAY)]),
)
weights = st.dictionaries(st.sampled_from(sorted(SIGNALS)), st.integers(0, 100))
scores = st.sampled_from(list(Score))


@given(observations, weights, scores, st.sampled_from(sorted(SIGNALS)), st.integers(0, 100))
def test_a_signal_more_or_a_higher_weight_never_lowers(seen, table, score, name, more):
    """Nothing in a policy's table of weights can speak for a request."""
    higher = table | {name: table.get(name, 0) + more}

    assert (
        assess_observation(seen, higher, score).score
        >= assess_observation(seen, table, score).score
    )


@given(observations, scores, st.sampled_from(list(Observer)))
def test_an_observer_that_fails_never_lowers(seen, score, observer):
    """A failure counts at least as much as anything that could have been seen."""
    failed = change(seen, facts=replace(seen.facts, missing=seen.facts.missing | {observer}))
    for name, kind in SIGNALS.items():
        if observer in kind.observers and kind.feature is None:
            one = {name: kind.weight}
            assert (
                assess_observation(failed, one, score).score
                >= assess_observation(seen, one, score).score
            )


@given(observations, scores)
def test_an_alert_never_lowers(seen, score):
    alerts = (*seen.activity.alerts, Alert("session-revoked", "", seen.now.boot + 9))
    warned = change(seen, activity=change(seen.activity, alerts=alerts))

    assert (
        assess_observation(warned, method=score).score
        >= assess_observation(seen, method=score).score
    )


# --- weights ------------------------------------------------------------------------------------


def test_a_weight_counts_as_strongly_as_the_signal_fires():
    half = observe(replace(OFFICE, advice=(Advice("engine", 50, ""),)))

    assert assess_observation(half, {"advice": 61}).score == round(30.5)
    assert assess_observation(observe(), {"advice": 61}).score == 0


def test_what_is_hardly_there_is_not_told():
    """A strength below a twentieth: it would be told, and learned from, for nothing."""
    faint = observe(replace(OFFICE, advice=(Advice("engine", 4, ""),)))

    assert assess_observation(faint, {"advice": 100}) == Risk()


# --- the likelihood ratio -----------------------------------------------------------------------


def bits(name, seen):
    return count_bits(SIGNALS[name], seen)


def test_a_signal_is_worth_the_log_of_its_likelihood_ratio():
    """With nothing known, it is what is expected of the signal: attack by usual, in bits."""
    kind = SIGNALS["locked_screen"]
    seen = observe(replace(OFFICE, is_locked=True), profile=Profile(1000))
    expected = log2(kind.attack / kind.usual)

    assert bits("locked_screen", seen) == pytest.approx(expected)
    assert assess_observation(seen, {"locked_screen": 1}, Score.LIKELIHOOD).score == round(
        POINTS_PER_BIT * expected
    )


def test_what_never_happens_to_a_subject_tells_more_the_longer_it_does_not():
    young, old = (bits("locked_screen", observe(profile=make_profile(hours))) for hours in (5, 500))

    assert old > young > 0


def test_what_happens_every_day_tells_nothing():
    """Somebody who always asks from a locked screen is not risky for it."""
    profile = make_profile(200, signals=("locked_screen",))
    seen = observe(replace(OFFICE, is_locked=True), profile=profile)
    risk = assess_observation(seen, {"locked_screen": 35}, Score.LIKELIHOOD)

    assert bits("locked_screen", seen) < 0
    assert risk.score == 0
    assert names_of(risk) == {"locked_screen"}


def test_what_is_usual_for_everybody_tells_less_of_a_newcomer():
    crowd = make_profile(500, signals=("locked_screen",))
    newcomer = observe(replace(OFFICE, is_locked=True), profile=Profile(1000))

    assert bits("locked_screen", change(newcomer, crowd=crowd)) < bits("locked_screen", newcomer)


def test_no_signal_tells_more_than_its_rate_can_be_small():
    """However long nothing happened, a rate has a floor."""
    settled = change(SETTLED, requests=1e9)

    assert find_rate(SIGNALS["alert"], observe(profile=settled)) == MIN_RATE


def test_an_address_its_network_and_its_country_are_a_chain():
    """A new network is told apart among new addresses only, so nothing is counted twice."""
    roaming = make_profile(100)
    for hour in range(40):
        facts = replace(OFFICE, source=f"203.0.113.{hour}")
        lesson = make_lesson(at(hour * HOUR), facts, signals=("new_source", "new_network"))
        roaming = learn(roaming, lesson)
    seen = observe(BRAZIL, profile=roaming, now=at(41 * HOUR))

    assert find_rate(SIGNALS["new_source"], seen) < 0.4
    assert find_rate(SIGNALS["new_network"], seen) > 0.8
    assert bits("new_country", seen) > bits("new_source", seen) > bits("new_network", seen)


def test_a_value_seen_and_faded_tells_less_than_one_never_seen():
    """The subject's own share of the value goes in, beside everybody's."""
    there = replace(OFFICE, source="192.0.2.1")
    once = learn(SETTLED, make_lesson(facts=there, is_proved=False))
    crowd = make_profile(100, there)

    new = bits("new_source", observe(there, crowd=crowd))
    faded = bits("new_source", observe(there, profile=once, crowd=crowd))

    assert 0 < faded < new


def test_a_burst_does_not_wear_a_signal_out():
    """Fired a hundred times within an hour, and allowed: it counts as once."""
    once = learn(SETTLED, make_lesson(signals=("locked_screen",)))
    often = once
    for number in range(100):
        often = learn(often, make_lesson(at(number), signals=("locked_screen",)))

    assert bits("locked_screen", observe(profile=often)) == pytest.approx(
        bits("locked_screen", observe(profile=once)), abs=1e-3
    )


def test_a_single_subject_is_no_worse_off_for_being_its_own_crowd():
    """On a laptop, everybody is one person: what is new to it is as new as it was."""
    crowd = Profile(0)
    profile = Profile(1000)
    for hour in range(60):
        after = learn(profile, make_lesson(at(hour * HOUR)))
        crowd = learn_crowd(crowd, profile, after, at(hour * HOUR).wall)
        profile = after
    alone = observe(BRAZIL, profile=profile, now=at(60 * HOUR))

    assert bits("new_source", change(alone, crowd=crowd)) > 3
    assert bits("new_country", change(alone, crowd=crowd)) > 3
    assert crowd.weigh(Feature.SOURCE, OFFICE.source, at(60 * HOUR).wall) > 50


# --- observers ----------------------------------------------------------------------------------


def test_nothing_is_looked_at_that_nothing_needs():
    assert find_observers({}) == frozenset()
    assert find_observers({"unusual_hour": 20, "new_country": 0}) == frozenset()
    assert find_observers({"new_country": 1}) == {Observer.SOURCE, Observer.GEO}
    assert find_observers({"locked_screen": 1}, ("asker",)) == {Observer.SEAT, Observer.PROGRAMS}
    assert find_observers({}, ("country_known", "subject")) == {Observer.SOURCE, Observer.GEO}
    assert find_observers(DEFAULT_WEIGHTS) == frozenset(Observer)


# --- explaining ---------------------------------------------------------------------------------

LADDER = (Rung(30, Level.TOUCH), Rung(60, Level.VERIFY), Rung(90, None))


def risk_of(**points):
    signals = tuple(Signal(name, weight, "because") for name, weight in points.items())
    return Risk(sum(points.values()), signals)


def test_an_explanation_starts_with_what_weighs_most():
    told = explain_risk(risk_of(a=5, b=40, c=0, d=20), LADDER)

    assert [signal.name for signal in told.signals] == ["b", "d", "a"]
    assert (told.score, told.rung, told.level) == (65, LADDER[1], Level.VERIFY)


def test_it_says_what_would_have_lowered_it():
    """For each lower step the fewest signals whose absence leads there, the heaviest first."""
    told = explain_risk(risk_of(a=5, b=40, d=50), LADDER)

    assert [
        ([signal.name for signal in one.without], one.score, one.rung) for one in told.descents
    ] == [
        (["d"], 45, LADDER[0]),
        (["d"], 45, LADDER[0]),
        (["d", "b"], 5, None),
    ]


def test_calm_needs_no_lowering():
    told = explain_risk(risk_of(a=5), LADDER)

    assert (told.rung, told.level, told.descents) == (None, None, ())
    assert explain_risk(Risk(), ()).signals == ()


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 60)))
def test_what_would_have_lowered_it_does_and_less_would_not(points):
    risk = risk_of(**points)
    told = explain_risk(risk, LADDER)
    reached = [rung for rung in LADDER if rung.score <= risk.score]

    assert len(told.descents) == len(reached)
    for descent, rung in zip(told.descents, reversed(reached), strict=True):
        assert descent.score == risk.score - sum(signal.weight for signal in descent.without)
        assert descent.score < rung.score
        assert descent.score + min(one.weight for one in descent.without) >= rung.score


def test_keys_of_the_tests_are_usual():
    """The factories' own key must not be a signal, or every figure here would be off."""
    assert SETTLED.weigh(Feature.CREDENTIAL, KEY.hex(), NOW.wall) > 1
