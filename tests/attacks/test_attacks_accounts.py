"""Attack 111: an account that was closed, or that nobody can look up, gets nothing any more."""

import pytest
from broker_support import ADA, BOB, ROOT, SUDO, House, People
from core_support import make_policy, make_rule
from device_support import make_key, touch

from stepupd.core.errors import InternalError, RequestError
from stepupd.core.model import Reason, Scope
from stepupd.core.policy import Rule, RuleEffect

FOR_OPS = make_policy(
    Rule(
        name="ops",
        actions=("*",),
        effect=RuleEffect.REQUIRE,
        groups=("ops",),
        requirement=make_rule(max_age=3600, scope=Scope.SUBJECT).requirement,
    )
)


class BrokenAccounts(People):
    """A directory service that is down."""

    def find_subject(self, _name):
        raise OSError(5, "no answer")

    find_subject_by_uid = find_subject


@pytest.fixture
async def house(tmp_path):
    """Enrol a key for ada, who has a grant that would serve for an hour."""
    made = House(tmp_path, make_key())
    await made.enrol(made.key)
    made.policy = FOR_OPS
    using = made.begin()
    await touch(made.key)
    assert (await using).verdict.reason is Reason.PROVED
    assert (await made.step_up()).verdict.reason is Reason.GRANT
    yield made
    made.close()


async def test_attack_111_who_left_the_group_has_lost_what_it_gave(house):
    """The next request already, and in spite of a grant that lives."""
    left = type(ADA)(ADA.uid, ADA.name, ADA.groups - {"ops"})
    house.change(accounts=People(ROOT, left, BOB))

    assert (await house.step_up()).verdict.reason is Reason.NO_RULE
    assert house.list_grants()


async def test_attack_111_an_account_that_is_gone_is_refused(house):
    """Whoever was removed is nobody, whatever was granted."""
    house.change(accounts=People(ROOT, BOB))

    with pytest.raises(RequestError, match="no such account"):
        await house.step_up()


async def test_attack_111_a_directory_that_is_down_is_no_way_in(house):
    """Nothing is remembered of who somebody was."""
    house.change(accounts=BrokenAccounts())

    with pytest.raises((InternalError, OSError)):
        await house.step_up(caller=SUDO)
