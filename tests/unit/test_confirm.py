"""The last look: what was proved a moment ago must still hold when the entry is written."""

from dataclasses import replace

import pytest
from core_support import make_key, make_snapshot

from stepupd.core.authentication import authenticate
from stepupd.core.confirm import confirm
from stepupd.core.model import Answer, Reason
from stepupd.core.outcome import Outcome
from stepupd.core.recovery_code import check_code, store_code
from stepupd.core.secret import Secret

CODE = "0123456789ABCDEFGHJK"


@pytest.fixture
def proved():
    """Make a proved outcome and the credential it rests on."""
    key = make_key()
    credential = key.credential(sign_count=5)
    key.counter = 6
    ceremony = authenticate(make_snapshot(credential))
    use = next(ceremony)
    try:
        ceremony.send(key.sign(use.operations[0]))
    except StopIteration as end:
        return end.value, credential
    pytest.fail("the ceremony goes on")


def test_what_still_holds_stays(proved):
    outcome, credential = proved

    assert confirm(outcome, (credential,), ()) is outcome


def test_a_key_that_was_removed_meanwhile_proves_nothing(proved):
    outcome, _ = proved
    refused = confirm(outcome, (), ())

    assert refused.verdict.answer is Answer.DENY
    assert refused.verdict.reason is Reason.UNKNOWN_CREDENTIAL
    assert refused.grant is refused.evidence is None


def test_a_counter_that_moved_past_it_raises_the_alarm(proved):
    """Two assertions in swapped order, or a copied key: the older one is refused (attack 53)."""
    outcome, credential = proved
    refused = confirm(outcome, (replace(credential, sign_count=7),), ())

    assert refused.verdict.reason is Reason.COUNTER_REGRESSED
    assert refused.alarm
    assert refused.suspect == credential.id


def test_a_name_or_key_that_was_enrolled_meanwhile_is_not_enrolled_twice(proved):
    outcome, credential = proved
    new = replace(outcome, credential=replace(credential, id=b"new", name="red"))

    assert confirm(new, (credential,), ()) is new
    for other in (replace(credential, name="red"), replace(credential, id=b"new")):
        assert confirm(new, (other,), ()).verdict.reason is Reason.ALREADY_ENROLLED


def test_a_code_that_was_used_meanwhile_is_used(proved):
    outcome, _ = proved
    kept = store_code(CODE, b"s" * 16)
    typed = replace(outcome, evidence=check_code(Secret(CODE), (kept,)))

    assert confirm(typed, (), (kept,)) is typed
    assert confirm(typed, (), ()).verdict.reason is Reason.BAD_CODE


def test_a_refusal_stays_a_refusal(proved):
    outcome, credential = proved
    refused = confirm(outcome, (), ())

    assert confirm(refused, (credential,), ()) is refused
    assert isinstance(refused, Outcome)
