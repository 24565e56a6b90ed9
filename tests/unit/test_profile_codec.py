"""A profile as plain data: there and back, and nothing else is a profile."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as change
from risk_support import SETTLED

from stepupd.core.errors import InternalError
from stepupd.core.risk.profile import Feature, Profile, Sighting, Whereabouts
from stepupd.core.risk.profile_codec import decode_profile, encode_profile

numbers = st.floats(-1e10, 1e10)
weights = st.floats(0, 1e5)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
profiles = st.builds(
    Profile,
    uid=st.integers(0, 2**32 - 1),
    seen=st.dictionaries(
        st.sampled_from(list(Feature)),
        st.dictionaries(texts, st.builds(Sighting, weights, numbers, numbers), max_size=5),
    ),
    requests=weights,
    at=numbers,
    hours=st.integers(0, 10**6),
    hourly=weights,
    hour_at=numbers,
    hour_count=st.integers(0, 10**6),
    last=st.none()
    | st.builds(
        Whereabouts,
        texts,
        texts,
        st.floats(-90, 90),
        st.floats(-180, 180),
        numbers,
        st.floats(0, 3000),
    ),
    proved=st.none() | numbers,
)


def pack(profile):
    return json.dumps(encode_profile(profile), allow_nan=False)


@given(profiles)
def test_a_profile_comes_back_as_it_was(profile):
    assert decode_profile(json.loads(pack(profile))) == profile


@given(profiles)
def test_equal_profiles_have_one_form(profile):
    """Whatever order things were learned in."""
    turned = {
        feature: dict(reversed(profile.seen[feature].items())) for feature in reversed(profile.seen)
    }

    assert pack(change(profile, seen=turned)) == pack(profile)


def test_a_profile_is_small():
    assert len(pack(SETTLED)) < 10_000


FORM = encode_profile(SETTLED)
SIGHTING = [1.0, 5.0, 5.0]


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": None},
        {"uid": -1},
        {"uid": 1.5},
        {"uid": True},
        {"requests": float("nan")},
        {"requests": -1},
        {"hourly": float("inf")},
        {"at": "now"},
        {"at": 10**400},
        {"hours": 2**63},
        {"proved": "never"},
        {"last": []},
        {"last": ["192.0.2.1", "DE", 91.0, 0.0, 1.0, 0.0]},
        {"last": ["192.0.2.1", "DE", 0.0, 0.0, 1.0, -1.0]},
        {"last": [4, "DE", 0.0, 0.0, 1.0, 0.0]},
        {"seen": []},
        {"seen": {"shoe-size": {}}},
        {"seen": {"source": []}},
        {"seen": {"source": {"a": [1.0, 5.0]}}},
        {"seen": {"source": {"a": [-1.0, 5.0, 5.0]}}},
        {"seen": {"source": {"a": "often"}}},
        {"seen": {"source": {"a" * 257: SIGHTING}}},
        {"seen": {"source": {str(number): SIGHTING for number in range(65)}}},
        {"seen": {"hour": {str(number): SIGHTING for number in range(169)}}},
        {"extra": 1},
    ],
    ids=str,
)
def test_what_cannot_be_a_profile_is_corrupt(change):
    with pytest.raises(InternalError) as fault:
        decode_profile(FORM | change)

    assert fault.value.reason == "store-corrupt"


@pytest.mark.parametrize("field", FORM)
def test_no_field_may_be_missing(field):
    with pytest.raises(InternalError):
        decode_profile({name: value for name, value in FORM.items() if name != field})


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


@given(json_values, st.dictionaries(st.sampled_from(list(FORM)), json_values, max_size=3))
def test_any_data_is_a_profile_or_corrupt(form, changes):
    for one in (form, FORM | changes):
        try:
            decoded = decode_profile(one)
        except InternalError:
            continue
        pack(decoded)
