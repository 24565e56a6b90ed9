"""A profile as a person sees it: what counts now, not what was written once."""

from core_support import NOW
from risk_support import DAY, at, make_profile

from stepupd.api.results import describe_profile


def test_weights_are_faded_to_now():
    """After one half-life (a month) half is left, of the habits and of what they are shares of."""
    profile = make_profile()
    before, after = describe_profile(profile, NOW), describe_profile(profile, at(60 * DAY))

    assert before.habits
    assert [one.value for one in after.habits] == [one.value for one in before.habits]
    pairs = zip(before.habits, after.habits, strict=True)
    assert all(0 < new.weight < old.weight / 2 for old, new in pairs)
    assert after.requests < before.requests / 2
