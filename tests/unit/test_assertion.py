"""`check_assertion`: each obligation fails alone, with its own reason, and in its own order."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.assertion import check_assertion
from stepupd.core.client_data import ClientDataType
from stepupd.core.effects import Asserted
from stepupd.core.errors import AuthenticatorError, InternalError
from stepupd.core.evidence import Evidence
from stepupd.core.model import Level, Method, Reason
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn.soft_key import (
    AT,
    BE,
    BS,
    ED,
    EDDSA,
    ES256,
    UID,
    UP,
    UV,
    SoftKey,
    make_authenticator_data,
    make_expectation,
)

KEY = SoftKey()
CREDENTIAL = KEY.make_credential()
EXPECTED = make_expectation(CREDENTIAL)


def assert_refused(reason, reply, expected=EXPECTED):
    assert reason == reason_of(check_assertion, reply, expected)


def expect(**changes):
    return make_expectation(KEY.make_credential(**changes))


@pytest.mark.parametrize("algorithm", [ES256, EDDSA])
def test_evidence_says_what_was_checked(algorithm):
    """Every field, and the very bytes, so that anyone can check them again."""
    key = SoftKey(algorithm)
    reply = key.make_assertion()
    evidence = check_assertion(reply, make_expectation(key.make_credential()))

    assert (evidence.level, evidence.method, evidence.is_uv) == (Level.VERIFY, Method.FIDO2, True)
    assert (key.credential_id, "blue key") == (evidence.credential_id, evidence.credential_name)
    assert (evidence.sign_count, evidence.backed_up, evidence.is_simulated) == (8, False, False)
    assert reply.authenticator_data == evidence.authenticator_data
    assert reply.client_data_json == evidence.client_data_json
    assert reply.signature == evidence.signature


@pytest.mark.parametrize(
    ("flags", "is_attested", "level"),
    [
        (UP, False, Level.TOUCH),
        (UP, True, Level.TOUCH),
        (UP | BE, True, Level.TOUCH),
        (UP | UV, False, Level.VERIFY),
        (UP | UV, True, Level.ATTESTED),
        (UP | UV | BE, False, Level.VERIFY),
        (UP | UV | BE, True, Level.VERIFY),
        (UP | UV | BE | BS, True, Level.VERIFY),
    ],
)
def test_the_level_follows_from_flags_and_enrolment(flags, is_attested, level):
    """Attested needs all three: verification, attestation, and no way to copy the key."""
    expected = expect(is_attested=is_attested, backup_eligible=bool(flags & BE))
    evidence = check_assertion(KEY.make_assertion(flags=flags), expected)

    assert level is evidence.level
    assert (bool(flags & UV), bool(flags & BS)) == (evidence.is_uv, evidence.backed_up)


@pytest.mark.parametrize("reply", [False, True])
@pytest.mark.parametrize("credential", [False, True])
def test_simulated_on_either_side_is_simulated(reply, credential):
    """A simulated key never passes for hardware."""
    given = replace(KEY.make_assertion(), is_simulated=reply)
    evidence = check_assertion(given, expect(is_simulated=credential))

    assert (reply or credential) is evidence.is_simulated


def test_the_second_credential_serves_as_well():
    """A spare key is as good as the first."""
    spare = SoftKey(credential_id=b"spare")
    expected = make_expectation(CREDENTIAL, spare.make_credential(name="spare"))

    assert check_assertion(spare.make_assertion(), expected).credential_name == "spare"


@pytest.mark.parametrize(
    "expected",
    [
        make_expectation(),
        expect(subject_uid=UID + 1),
        expect(rp_id="other.example"),
        expect(id=b"another"),
        expect(id=KEY.credential_id + b"\0"),
        make_expectation(CREDENTIAL, subject_uid=UID + 1),
        make_expectation(CREDENTIAL, rp_id="other.example"),
    ],
    ids=[
        "none at all",
        "another subject's",
        "another relying party's",
        "another id",
        "a longer id",
        "asked of another subject",
        "asked for another relying party",
    ],
)
def test_1_the_credential_is_the_subjects_own(expected):
    """No list, no luck; a record that strayed into the list does not count."""
    assert_refused(Reason.UNKNOWN_CREDENTIAL, KEY.make_assertion(), expected)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": ClientDataType.CREATE}, Reason.TYPE_MISMATCH),
        ({"challenge": bytes(32)}, Reason.CHALLENGE_MISMATCH),
        ({"origin": "https://host.example"}, Reason.ORIGIN_MISMATCH),
        ({"client_data": b"{"}, Reason.BAD_ENCODING),
    ],
)
def test_2_client_data_is_ours(changes, reason):
    """Signed by the right key, but for something else."""
    assert_refused(reason, KEY.make_assertion(**changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"authenticator_data": b""}, Reason.BAD_ENCODING),
        ({"tail": b"\0"}, Reason.BAD_ENCODING),
        ({"flags": UP | 0x02}, Reason.RESERVED_FLAGS),
        ({"flags": UP | 0x20}, Reason.RESERVED_FLAGS),
        ({"flags": UP | BS}, Reason.BACKUP_STATE),
    ],
)
def test_3_authenticator_data_is_well_formed(changes, reason):
    """A signature does not excuse the layout."""
    assert_refused(reason, KEY.make_assertion(**changes))


@pytest.mark.parametrize("rp_id", ["", "ssh:", "sub.host.example", "example"])
def test_4_it_was_made_for_our_rp_id(rp_id):
    """Neither a subdomain's nor a parent's assertion serves."""
    assert_refused(Reason.RP_ID_MISMATCH, KEY.make_assertion(rp_id=rp_id))


def test_5_an_assertion_registers_nothing():
    """A registration's authenticator data is no assertion, even when signed as one."""
    reply = KEY.make_assertion(flags=UP | UV | AT, tail=KEY.attested())

    assert_refused(Reason.BAD_ENCODING, reply)


def test_5_extensions_are_allowed():
    """Outputs we did not ask for are ignored, as section 7.2 says."""
    reply = KEY.make_assertion(flags=UP | UV | ED, tail=b"\xa1\x61a\x01")

    assert isinstance(check_assertion(reply, EXPECTED), Evidence)


def test_6_only_the_credentials_own_key_signs():
    """Another key under this id is refused, of whichever kind."""
    for algorithm in (ES256, EDDSA):
        assert_refused(Reason.BAD_SIGNATURE, SoftKey(algorithm).make_assertion())


@pytest.mark.parametrize(
    "public_key",
    [b"", b"\xa0", KEY.cose[:-1], KEY.cose + b"\0"],
    ids=["empty", "an empty map", "cut", "too long"],
)
def test_6_a_damaged_key_verifies_nothing(public_key):
    """A record that lost its key is a refusal."""
    with pytest.raises(AuthenticatorError):
        check_assertion(KEY.make_assertion(), expect(public_key=public_key))


@pytest.mark.parametrize("flags", [0, UV, UV | BE | BS])
def test_7_a_person_was_present(flags):
    """Verified or not."""
    expected = expect(backup_eligible=bool(flags & BE))

    assert_refused(Reason.UP_MISSING, KEY.make_assertion(flags=flags), expected)


def test_8_the_person_was_verified_if_required():
    """The requirement is the ceremony's."""
    expected = replace(EXPECTED, is_uv_required=True)

    assert_refused(Reason.UV_MISSING, KEY.make_assertion(flags=UP), expected)
    assert check_assertion(KEY.make_assertion(flags=UP | UV), expected).is_uv


@pytest.mark.parametrize("was_eligible", [False, True])
def test_9_eligibility_for_backup_does_not_change(was_eligible):
    """BE is fixed for the life of a credential (section 6.1.3); BS may change."""
    reply = KEY.make_assertion(flags=UP if was_eligible else UP | BE)

    assert_refused(Reason.BACKUP_CHANGED, reply, expect(backup_eligible=was_eligible))


@pytest.mark.parametrize(
    ("stored", "given", "is_fine"),
    [
        (0, 0, True),
        (0, 1, True),
        (7, 8, True),
        (7, 2**32 - 1, True),
        (7, 7, False),
        (7, 6, False),
        (7, 0, False),
        (1, 0, False),
        (2**32 - 1, 2**32 - 1, False),
        (2**32 - 1, 0, False),
        (2**32 - 1, 1, False),
    ],
)
def test_10_the_counter_moves_forward(stored, given, is_fine):
    """Unless it was zero and stays zero; it never wraps."""
    reply, expected = KEY.make_assertion(sign_count=given), expect(sign_count=stored)
    if not is_fine:
        assert_refused(Reason.COUNTER_REGRESSED, reply, expected)
        return

    assert given == check_assertion(reply, expected).sign_count


@pytest.mark.parametrize("changes", [{"sign_count": 1}, {"flags": UP | BE}, {"flags": 0}])
def test_a_forger_raises_no_alarm(changes):
    """Without the key, no reply looks like a copied or changed one."""
    forged = replace(KEY.make_assertion(**changes), signature=SoftKey().make_assertion().signature)

    assert_refused(Reason.BAD_SIGNATURE, forged)


def test_an_expectation_without_a_challenge_is_our_fault():
    """An empty challenge would accept an empty one."""
    with pytest.raises(InternalError):
        check_assertion(KEY.make_assertion(challenge=b""), replace(EXPECTED, challenge=b""))


def test_every_changed_byte_is_refused():
    """Each byte of each part, one bit each."""
    reply = KEY.make_assertion()
    for part in ("credential_id", "authenticator_data", "client_data_json", "signature"):
        whole = getattr(reply, part)
        for at in range(len(whole)):
            changed = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
            with pytest.raises(AuthenticatorError):
                check_assertion(replace(reply, **{part: changed}), EXPECTED)


@given(st.binary(max_size=80), st.binary(max_size=200), st.binary(max_size=80), st.booleans())
def test_any_bytes_are_refused_as_an_authenticators_fault(data, client_data, signature, is_ours):
    """Whatever a device sends, the answer is a refusal with a reason."""
    honest = KEY.make_assertion(authenticator_data=make_authenticator_data() + data)
    reply = Asserted(
        KEY.credential_id,
        honest.authenticator_data if is_ours else data,
        signature,
        honest.client_data_json if is_ours else client_data,
    )

    with pytest.raises(AuthenticatorError):
        check_assertion(reply, EXPECTED)
