"""How fast an account may ask: the bucket empties, fills again, and is forgotten when full."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.api.admission import Admission
from stepupd.api.allowance import Allowance
from stepupd.api.limits import Limits
from stepupd.core.errors import RequestError


def test_a_burst_passes_and_then_the_rate_counts():
    allowance = Allowance(3, 2)

    assert [allowance.take(1000, 0) for _ in range(4)] == [True, True, True, False]
    assert [allowance.take(1000, 0.5) for _ in range(2)] == [True, False]
    assert [allowance.take(1000, 99) for _ in range(4)] == [True, True, True, False]


def test_each_owner_has_its_own_bucket():
    allowance = Allowance(1, 2)

    assert allowance.take(1000, 0)
    assert not allowance.take(1000, 0)
    assert allowance.take(1001, 0)


def test_a_refusal_costs_nothing():
    """Asking again and again does not keep the bucket empty."""
    allowance = Allowance(1, 1)
    taken = [allowance.take(1000, step / 8) for step in range(8 * 5 + 1)]

    assert taken.count(True) == 6


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 10)), max_size=50))
def test_whoever_came_by_is_forgotten(visits):
    """Memory goes back to nothing: an account that can be many leaves no trace."""
    allowance, now = Allowance(3, 2), 0.0
    for owner, pause in visits:
        now += pause
        allowance.take(owner, now)
    allowance.take(99, now + 1000)

    assert len(allowance) == 1


def test_an_account_that_asks_too_often_is_busy_and_root_is_not():
    now = 0.0
    admission = Admission(Limits(burst=2, calls_per_second=1), clock=lambda: now)
    for _ in range(100):
        admission.spend(0)
    for _ in range(2):
        admission.spend(1000)

    with pytest.raises(RequestError) as caught:
        admission.spend(1000)

    assert caught.value.reason == "busy"
    now = 1.0
    admission.spend(1000)
