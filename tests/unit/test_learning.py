"""Learning: what is usual comes slowly, fades, and cannot be forced by a burst or a clock."""

from dataclasses import replace

import pytest
from core_support import NOW, make_request
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as change
from risk_support import DAY, HOUR, OFFICE, SETTLED, at, make_lesson, make_profile

from stepupd.core.model import Answer, Claim, Reason
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.risk.learning import (
    HOURLY_FLOOR,
    NEW_VALUES,
    SMOOTHING,
    UNPROVED,
    learn,
    learn_crowd,
    list_values,
    may_teach,
)
from stepupd.core.risk.profile import (
    HALF_LIFE,
    HOURS_OF_WEEK,
    LEARNING_PAUSE,
    MAX_VALUES,
    Feature,
    Profile,
    fade,
)

SOURCE = OFFICE.source


def weight(profile, feature=Feature.SOURCE, value=SOURCE, seconds=0.0):
    return profile.weigh(feature, value, at(seconds).wall)


def learn_all(profile, *lessons):
    for lesson in lessons:
        profile = learn(profile, lesson)
    return profile


# --- who teaches --------------------------------------------------------------------------------


def test_only_what_was_allowed_teaches():
    """A refusal teaches nothing, whatever its reason; nor does an allow for a reason unheard of."""
    teaching = {(a, r) for a in Answer for r in Reason if may_teach(a, r)}

    assert teaching == {
        (Answer.ALLOW, reason) for reason in (Reason.PROVED, Reason.GRANT, Reason.RULE_ALLOWS)
    }


def test_one_lesson_teaches_all_that_it_shows():
    profile = learn(Profile(1000), make_lesson(signals=("remote",)))

    assert set(profile.seen) == set(Feature)
    assert {len(values) for values in profile.seen.values()} == {1}
    assert (profile.requests, profile.hours, profile.hour_count) == (1.0, 1, 1)
    assert (profile.last.source, profile.last.at) == (SOURCE, NOW.wall)
    assert profile.proved == NOW.wall


def test_what_is_not_known_is_not_learned():
    facts, request = Facts(), make_request(claim=Claim())
    lesson = make_lesson(facts=facts, request=request, is_proved=False, credential_id=b"")
    profile = learn(Profile(1000), lesson)

    assert set(profile.seen) == {Feature.HOUR, Feature.ACTION, Feature.TERMINAL}
    assert (profile.last, profile.proved) == (None, None)


def test_what_nobody_proved_counts_a_part():
    """Hours and signals are counted whole: they are shares of requests, and let nobody in."""
    profile = learn(Profile(1000), make_lesson(is_proved=False, signals=("remote",)))

    assert weight(profile) == UNPROVED
    assert weight(profile, Feature.SIGNAL, "remote") == 1.0
    assert weight(profile, Feature.HOUR, "34") == 1.0
    assert profile.proved is None


def test_a_proof_makes_up_for_what_an_hour_gave():
    """Let in by a rule, and proved minutes later: it is known, once."""
    passing = make_lesson(is_proved=False)
    profile = learn_all(Profile(1000), passing, make_lesson(at(60)), make_lesson(at(120)))

    assert weight(profile, seconds=60) == pytest.approx(1.0, abs=1e-4)


def test_a_failed_observer_teaches_no_habit():
    """Else a database that was broken for a month would excuse every new country after it."""
    blind = replace(Facts(), missing=frozenset({Observer.GEO}))
    profile = learn(Profile(1000), make_lesson(facts=blind, signals=("new_country", "automated")))

    assert set(profile.seen[Feature.SIGNAL]) == {"automated"}


def test_a_source_that_could_not_be_found_out_is_nobodys_habit():
    """The daemon puts an address there that nobody has; it is not what the person comes from."""
    blind = replace(Facts(), source="0.0.0.0", missing=frozenset({Observer.SOURCE}))  # noqa: S104 - no address is bound
    profile = learn(Profile(1000), make_lesson(facts=blind))

    assert not {Feature.SOURCE, Feature.NETWORK, Feature.COUNTRY} & profile.seen.keys()
    assert Feature.ACTION in profile.seen


# --- time ---------------------------------------------------------------------------------------


def test_everything_fades_by_half_in_a_half_life():
    profile = learn(Profile(1000), make_lesson())

    assert weight(profile, seconds=HALF_LIFE) == pytest.approx(0.5)
    assert profile.count_requests(at(2 * HALF_LIFE).wall) == pytest.approx(0.25)
    assert learn(profile, make_lesson(at(HALF_LIFE))).requests == pytest.approx(1.5)


def test_a_value_gains_once_in_a_pause():
    early = [make_lesson(at(seconds)) for seconds in (0, 1, 1800, LEARNING_PAUSE - 1)]
    once = learn_all(Profile(1000), *early)
    twice = learn(once, make_lesson(at(LEARNING_PAUSE)))

    assert weight(once) == 1.0
    assert weight(twice, seconds=LEARNING_PAUSE) == pytest.approx(2.0, abs=0.01)
    assert (once.hours, twice.hours) == (1, 2)


def test_nothing_learned_is_nothing_copied():
    """Within the pause the counts are the very same object: replaying a log stays fast."""
    profile = learn(SETTLED, make_lesson())

    assert learn(profile, make_lesson(at(10))).seen is profile.seen


def test_a_clock_set_back_gains_and_loses_nothing():
    """What was learned in the future is taken over to the new time, and goes on from there."""
    future = learn(Profile(1000), make_lesson(at(400 * DAY)))
    back = learn(future, make_lesson())

    assert weight(future) == weight(back) == 1.0
    assert (back.requests, back.hours, back.at) == (1.0, 1, NOW.wall)
    assert back.last.at == back.proved == NOW.wall
    assert weight(learn(back, make_lesson(at(HOUR))), seconds=HOUR) == pytest.approx(2, abs=0.01)


def test_a_clock_set_far_ahead_only_forgets():
    """Nothing overflows, nothing becomes familiar, and the warm-up is not made up for."""
    ahead = learn(SETTLED, make_lesson(at(1e12), replace(OFFICE, source="192.0.2.1")))

    assert weight(ahead, seconds=1e12) == 0.0
    assert ahead.requests == pytest.approx(1.0)
    assert ahead.hours == SETTLED.hours + 1


@given(st.floats(0, 1e6), st.floats(-1e12, 1e12))
def test_fading_never_adds(amount, seconds):
    assert 0 <= fade(amount, seconds) <= amount


# --- bursts -------------------------------------------------------------------------------------


def make_burst(count, facts=OFFICE, spread=HOUR, **changes):
    return [make_lesson(at(spread * number / count), facts, **changes) for number in range(count)]


@given(st.integers(1, 300), st.booleans())
def test_a_burst_weighs_as_much_as_one_request(count, is_proved):
    """However many requests an hour has, a value gains one unit from them."""
    strange = replace(OFFICE, source="192.0.2.1", country="BR")
    burst = make_burst(count, strange, is_proved=is_proved)
    profile = learn_all(SETTLED, *burst)
    single = learn(SETTLED, burst[0])

    for feature, value in list_values(burst[0]):
        assert profile.weigh(feature, value, at(HOUR).wall) == pytest.approx(
            single.weigh(feature, value, at(HOUR).wall)
        )


def test_a_burst_of_strange_values_does_not_push_out_the_usual_ones():
    """A few new values an hour are taken; the usual ones and the number kept stay."""
    profile = SETTLED
    for number in range(500):
        request = make_request(claim=Claim(command=(f"tool-{number}",)))
        profile = learn(profile, make_lesson(at(number), request=request))
    new = len(profile.seen[Feature.COMMAND]) - len(SETTLED.seen[Feature.COMMAND])

    assert new == NEW_VALUES
    assert profile.weigh(Feature.COMMAND, "systemctl restart", at(500).wall) > 50


def test_only_so_many_values_are_kept_and_the_faintest_goes():
    profile = SETTLED
    for number in range(200):
        facts = replace(OFFICE, source=f"192.0.2.{number}", hour=number % 24, weekday=number % 7)
        profile = learn(profile, make_lesson(at(number * HOUR), facts))

    assert len(profile.seen[Feature.SOURCE]) == MAX_VALUES
    assert SOURCE in profile.seen[Feature.SOURCE]
    assert "192.0.2.199" in profile.seen[Feature.SOURCE]
    assert "192.0.2.0" not in profile.seen[Feature.SOURCE]
    assert len(profile.seen[Feature.HOUR]) <= HOURS_OF_WEEK


def test_every_hour_of_the_week_has_room():
    profile = Profile(1000)
    for number in range(HOURS_OF_WEEK):
        facts = replace(OFFICE, hour=number % 24, weekday=number // 24)
        profile = learn(profile, make_lesson(at(number * HOUR), facts))

    assert len(profile.seen[Feature.HOUR]) == HOURS_OF_WEEK


def test_a_burst_hardly_raises_what_an_hour_has():
    """The hourly rate is what bursts are measured against: one of them moves it by an eighth."""
    calm = change(SETTLED, hourly=5.0)
    burst = learn_all(calm, *make_burst(250, spread=HOUR - 1))
    after = learn(burst, make_lesson(at(2 * HOUR)))

    assert burst.hourly == pytest.approx(5.0, rel=0.2)
    assert after.hourly <= burst.hourly * (1 + SMOOTHING)


def test_the_hourly_rate_follows_what_is_usual():
    profile = Profile(1000)
    for hour in range(200):
        for number in range(6):
            profile = learn(profile, make_lesson(at(hour * HOUR + number)))

    assert profile.hourly == pytest.approx(6.0, rel=0.01)
    assert profile.hourly > HOURLY_FLOOR


# --- any life -----------------------------------------------------------------------------------

moments = st.lists(
    st.tuples(
        st.floats(-400 * DAY, 400 * DAY),
        st.sampled_from(["198.51.100.7", "192.0.2.1", "2001:db8::1", ""]),
        st.booleans(),
        st.sampled_from([(), ("remote",), ("remote", "new_source")]),
    ),
    max_size=40,
)


@given(moments)
def test_any_life_keeps_a_profile_within_bounds(life):
    """Whatever the clock does: no weight above the number of lessons, none negative."""
    profile = Profile(1000)
    for seconds, source, is_proved, signals in life:
        facts = replace(OFFICE, source=source)
        profile = learn(
            profile, make_lesson(at(seconds), facts, is_proved=is_proved, signals=signals)
        )

    for values in profile.seen.values():
        assert len(values) <= MAX_VALUES
        for sighting in values.values():
            assert 0 <= sighting.weight <= len(life)
    assert 0 <= profile.requests <= profile.hours <= len(life)
    assert 0 <= profile.hourly <= 2 * max(len(life), HOURLY_FLOOR)


# --- everybody ----------------------------------------------------------------------------------


def test_the_crowd_gains_what_each_subject_gains():
    """Two subjects in one hour are two; one subject twice in it is one."""
    crowd = Profile(2**32 - 1)
    for uid in (1000, 1001):
        profile = Profile(uid)
        for seconds in (0, 60):
            learned = learn(profile, make_lesson(at(seconds), signals=("remote",)))
            crowd = learn_crowd(crowd, profile, learned, at(seconds).wall)
            profile = learned

    assert weight(crowd, Feature.SIGNAL, "remote") == pytest.approx(2.0, abs=1e-4)
    assert weight(crowd) == pytest.approx(2.0, abs=1e-4)
    assert crowd.requests == pytest.approx(2.0)
    assert Feature.HOUR not in crowd.seen
    assert crowd.uid == 2**32 - 1


def test_the_crowd_keeps_no_more_than_one_subject():
    crowd = Profile(0)
    for number in range(200):
        before = Profile(number)
        facts = replace(OFFICE, source=f"192.0.2.{number}")
        after = learn(before, make_lesson(at(number), facts))
        crowd = learn_crowd(crowd, before, after, at(number).wall)

    assert len(crowd.seen[Feature.SOURCE]) == MAX_VALUES


def test_the_crowd_learns_nothing_within_a_pause():
    before = learn(SETTLED, make_lesson())
    crowd = make_profile(3)

    assert learn_crowd(crowd, before, learn(before, make_lesson(at(5))), at(5).wall) is crowd
