"""Who may manage what: the permission table, row by row."""

from itertools import product

import pytest

from stepupd.core.management import FALLBACK_RULE, Permission, Verb, permit
from stepupd.core.model import Caller, Door, Level, Scope
from stepupd.core.policy import RuleEffect

ADA = 1000
CALLERS = {"root": 0, "own": ADA, "other": 1001, "nobody": 65534}
GRANTED, PROOF, REFUSED = Permission.GRANTED, Permission.PROOF, Permission.REFUSED

# What a person hears about his own account; columns: has a key? first key open?
#                     key+open  key      open     neither
OWN = {
    Verb.LIST: (GRANTED, GRANTED, GRANTED, GRANTED),
    Verb.LIST_GRANTS: (GRANTED, GRANTED, GRANTED, GRANTED),
    Verb.REVOKE: (GRANTED, GRANTED, GRANTED, GRANTED),
    Verb.ENROLL: (PROOF, PROOF, GRANTED, REFUSED),
    Verb.RENAME: (PROOF, PROOF, REFUSED, REFUSED),
    Verb.REMOVE: (PROOF, PROOF, REFUSED, REFUSED),
    Verb.MAKE_CODES: (PROOF, PROOF, REFUSED, REFUSED),
    Verb.SHOW_PROFILE: (GRANTED, GRANTED, GRANTED, GRANTED),
    Verb.FORGET_PROFILE: (PROOF, PROOF, REFUSED, REFUSED),
}
COLUMNS = [(True, True), (True, False), (False, True), (False, False)]


def test_every_verb_has_a_row():
    """A new verb is not served before somebody decided who may use it."""
    assert set(OWN) == set(Verb)


@pytest.mark.parametrize("door", Door)
@pytest.mark.parametrize(("has_key", "is_open"), COLUMNS)
@pytest.mark.parametrize(("verb", "who"), list(product(Verb, CALLERS)))
def test_permission(verb, who, has_key, is_open, door):
    """Root may everything, others nothing, and the person what the table says; by any door."""
    expected = {"root": GRANTED, "own": OWN[verb][COLUMNS.index((has_key, is_open))]}

    found = permit(
        verb,
        Caller(CALLERS[who], 4711, door),
        ADA,
        has_credentials=has_key,
        is_first_key_open=is_open,
    )

    assert found is expected.get(who, REFUSED)


def test_root_manages_its_own_account_too():
    """Root needs no proof for itself either: it could write the store."""
    caller = Caller(0, 1, Door.SOCKET)
    for verb in Verb:
        assert permit(verb, caller, 0, has_credentials=True, is_first_key_open=False) is GRANTED


def test_managing_keys_needs_a_fresh_touch_where_policy_is_silent():
    """The built-in rule covers every verb and remembers nothing."""
    assert FALLBACK_RULE.effect is RuleEffect.REQUIRE
    assert FALLBACK_RULE.requirement.level is Level.TOUCH
    assert FALLBACK_RULE.requirement.scope is Scope.REQUEST
    assert FALLBACK_RULE.requirement.max_age == 0
    assert {verb.action.partition(":")[0] + ":*" for verb in Verb} == set(FALLBACK_RULE.actions)
