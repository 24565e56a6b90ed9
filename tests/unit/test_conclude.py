"""The end of a ceremony: every trouble and every reason becomes one refusal."""

import pytest

from stepupd.core.conclude import refuse, refuse_error, refuse_trouble
from stepupd.core.decision import Deny
from stepupd.core.effects import Trouble, TroubleKind
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Answer, Reason
from stepupd.core.prompts import REASON_TEXTS, WIDTH

ALLOWING = {Reason.RULE_ALLOWS, Reason.GRANT, Reason.PROVED}
ABOUT_THE_PERSON = {
    TroubleKind.CANCELLED,
    TroubleKind.TIMEOUT,
    TroubleKind.DECLINED,
    TroubleKind.EXCLUDED,
    TroubleKind.PIN_INVALID,
    TroubleKind.PIN_AUTH_BLOCKED,
    TroubleKind.PIN_BLOCKED,
    TroubleKind.PIN_UNSPENT,
    TroubleKind.UV_INVALID,
    TroubleKind.UV_BLOCKED,
}


@pytest.mark.parametrize("reason", sorted(set(Reason) - ALLOWING))
def test_a_refusal_never_allows_and_says_why(reason):
    """No reason for a refusal is without a sentence, and none of them carries a result."""
    decision = Deny(reason, "rule")
    outcome = refuse(reason, decision)

    assert outcome.verdict.answer in (Answer.DENY, Answer.UNAVAILABLE)
    assert outcome.verdict.reason is reason
    assert outcome.verdict.text == REASON_TEXTS[reason] != ""
    assert outcome.decision is decision
    assert outcome.evidence is outcome.grant is outcome.credential is None


def test_every_reason_has_a_sentence_of_one_line():
    """Sentences fit a terminal; what needs no words has none."""
    assert set(REASON_TEXTS) == set(Reason)
    assert {reason for reason, text in REASON_TEXTS.items() if not text} == ALLOWING
    assert all(len(text) <= WIDTH and text.isprintable() for text in REASON_TEXTS.values())


@pytest.mark.parametrize("kind", TroubleKind)
def test_every_trouble_ends_in_a_refusal(kind):
    """What the person did or left undone is a "no"; everything else could not be asked."""
    expected = Answer.DENY if kind in ABOUT_THE_PERSON else Answer.UNAVAILABLE

    assert refuse_trouble(Trouble(kind)).verdict.answer is expected


@pytest.mark.parametrize("reason", [Reason.COUNTER_REGRESSED, Reason.BACKUP_CHANGED])
def test_signs_of_a_copied_key_raise_an_alarm(reason):
    """The administrator hears of them."""
    assert refuse(reason).alarm
    assert refuse_error(AuthenticatorError("x", reason=reason)).alarm


@pytest.mark.parametrize("reason", sorted(set(Reason) - ALLOWING))
def test_a_key_is_a_suspect_exactly_where_there_is_an_alarm(reason):
    """The mark lasts: what raises no alarm leaves none."""
    error = AuthenticatorError("x", reason=reason)
    for outcome in (refuse(reason, credential_id=b"k"), refuse_error(error, credential_id=b"k")):
        assert outcome.suspect == (b"k" if outcome.alarm else b"")
    assert not refuse(reason).suspect


def test_other_refusals_raise_none():
    """A forged signature proves nothing about the key."""
    quiet = set(Reason) - ALLOWING - {Reason.COUNTER_REGRESSED, Reason.BACKUP_CHANGED}
    assert not any(refuse(reason).alarm for reason in quiet)


def test_a_checkers_error_keeps_its_reason():
    """Its code is what the log and the caller see."""
    error = AuthenticatorError("signed for another request", reason=Reason.CHALLENGE_MISMATCH)

    assert refuse_error(error).verdict.reason is Reason.CHALLENGE_MISMATCH
    assert refuse_error(error).verdict.answer is Answer.DENY
