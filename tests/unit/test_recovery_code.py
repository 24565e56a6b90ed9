"""Recovery codes: 80 secret bits, readable, checked by one hash, proof of one use."""

import pytest
from core_support import NOW, make_key, make_policy, make_rule, make_snapshot
from explore import explore
from hypothesis import given, settings
from hypothesis import strategies as st

from stepupd.core.authentication import authenticate
from stepupd.core.effects import Ask, Show, Trouble, TroubleKind, Typed, Use
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Answer, Level, Method, Reason, Scope
from stepupd.core.recovery_code import COUNT, check_code, make_code, make_codes, store_code
from stepupd.core.secret import Secret

CODE = make_code(bytes(range(20)))
OTHER = make_code(bytes(range(100, 120)))
KEPT = (store_code(CODE, b"s" * 16), store_code(OTHER, b"t" * 16))


def test_a_code_has_four_groups_of_five():
    assert CODE == "01234-56789-ABCDE-FGHJK"


def test_a_set_has_ten_codes_with_different_tags():
    randomness = iter(range(256))
    codes = make_codes(lambda size: bytes([next(randomness) // 2] * size))

    assert len(codes) == COUNT == len({code[:4] for code in codes})


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        CODE.lower(),
        CODE.replace("-", ""),
        CODE.replace("-", " "),
        f" {CODE} ",
        "oI" + CODE[2:],
    ],
)
def test_a_code_may_be_written_as_people_write(typed):
    """Case, dashes and spaces do not matter, and O and I are what they look like."""
    evidence = check_code(Secret(typed), KEPT)

    assert (evidence.level, evidence.method) == (Level.CODE, Method.RECOVERY)
    assert evidence.recovery_tag == "0123"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "0123",
        CODE[:-1],
        CODE + "0",
        CODE[:-1] + "0",
        OTHER[:5] + CODE[5:],
        "U" * 20,
        "0123-" * 5,
    ],
)
def test_anything_else_is_refused(typed):
    with pytest.raises(AuthenticatorError) as refused:
        check_code(Secret(typed), KEPT)

    assert refused.value.reason == Reason.BAD_CODE


@settings(max_examples=30)
@given(st.text(max_size=30))
def test_no_text_is_a_code_by_chance(typed):
    with pytest.raises(AuthenticatorError):
        check_code(Secret(typed), KEPT)


def test_a_hash_does_not_hold_the_code():
    assert CODE.replace("-", "")[4:].encode() not in KEPT[0].digest + KEPT[0].salt


# --- the ceremony -------------------------------------------------------------------------------


OPEN = make_policy(make_rule(is_recoverable=True))

KEY_IS_LOST = {
    TroubleKind.NO_AUTHENTICATOR,
    TroubleKind.NO_CREDENTIALS,
    TroubleKind.SILENT,
    TroubleKind.GONE,
    TroubleKind.PIN_BLOCKED,
}


def list_replies(effect, _replies):
    """Return every way a lost key and a typed code can go."""
    match effect:
        case Use():
            return [Trouble(kind, "tiny") for kind in TroubleKind]
        case Show():
            return [None]
        case Ask():
            return [
                Typed(Secret(CODE)),
                Typed(Secret("wrong")),
                Typed(Secret("")),
                Trouble(TroubleKind.HANG_UP),
                Trouble(TroubleKind.TIMEOUT),
                None,
            ]


def play(*credentials, policy=None, codes=KEPT):
    snapshot = make_snapshot(*credentials, policy=policy or OPEN, recovery_codes=codes)
    return list(explore(lambda: authenticate(snapshot), list_replies))


def is_allow(run):
    return run.outcome.verdict.answer is Answer.ALLOW


def test_a_code_stands_in_for_a_lost_key_only():
    """Allowed after the right code and nothing else, asked only where no key could answer."""
    runs = play(make_key().credential())

    assert any(is_allow(run) for run in runs)
    for run in runs:
        last = run.replies[-1]
        assert is_allow(run) == (isinstance(last, Typed) and last.secret == Secret(CODE))
        assert sum(isinstance(effect, Ask) for effect in run.effects) <= 2
        asked = [isinstance(effect, Ask) for effect in run.effects]
        if any(asked):
            assert run.replies[asked.index(True) - 1].kind in KEY_IS_LOST


def test_a_use_raises_an_alarm_and_earns_no_grant():
    """One code, one request, whatever the rule remembers of a touch."""
    rule = make_rule(max_age=300, scope=Scope.SESSION, is_recoverable=True)
    policy = make_policy(rule)
    used = [run for run in play(policy=policy) if is_allow(run)]

    assert used
    for run in used:
        assert run.outcome.grant is None
        assert run.outcome.alarm
        assert run.outcome.evidence.recovery_tag == "0123"


@pytest.mark.parametrize("level", [Level.VERIFY, Level.ATTESTED])
def test_a_code_never_stands_in_for_more_than_a_touch(level):
    runs = play(
        make_key().credential(is_attested=True),
        policy=make_policy(make_rule(level, is_recoverable=True)),
    )

    assert not any(isinstance(effect, Ask) for run in runs for effect in run.effects)


def test_a_rule_has_to_say_so():
    """Without `recovery = true` a lost key is a refusal."""
    runs = play(make_key().credential(), policy=make_policy())

    assert not any(isinstance(effect, Ask) for run in runs for effect in run.effects)


def test_without_codes_nothing_is_asked():
    (run,) = play(codes=())

    assert run.outcome.verdict.reason is Reason.NO_CREDENTIAL


def test_waiting_for_a_first_key_is_short_where_a_code_would_do():
    """Ten seconds, not thirty, before the person may type."""
    snapshot = make_snapshot(make_key().credential(), policy=OPEN, recovery_codes=KEPT)
    use = next(authenticate(snapshot))

    assert use.insert_deadline == NOW.boot + 10
    assert use.deadline == NOW.boot + 30
