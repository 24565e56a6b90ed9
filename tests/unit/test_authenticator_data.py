"""Authenticator data: every byte is accounted for."""

import pytest
from fido2 import cbor
from fido2.webauthn import AuthenticatorData as Fido2AuthenticatorData
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.authenticator_data import (
    AttestedCredential,
    Flag,
    check_presence,
    check_rp_id,
    parse_authenticator_data,
)
from stepupd.core.model import Reason
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn.soft_key import (
    AT,
    BE,
    BS,
    ED,
    RP_ID,
    UP,
    UV,
    SoftKey,
    hash_of,
    make_authenticator_data,
)

KEY = SoftKey()
EXTENSIONS = cbor.encode({"credProtect": 2})


def assert_refused(data, reason=Reason.BAD_ENCODING):
    assert reason == reason_of(parse_authenticator_data, data)


def with_credential_id(credential_id):
    return (
        make_authenticator_data(AT) + SoftKey(key=KEY.key, credential_id=credential_id).attested()
    )


@pytest.mark.parametrize(
    ("flags", "is_up", "is_uv", "eligible", "backed_up"),
    [
        (0, False, False, False, False),
        (UP, True, False, False, False),
        (UV, False, True, False, False),
        (UP | UV | BE, True, True, True, False),
        (UP | BE | BS, True, False, True, True),
    ],
)
def test_reads_the_header(flags, is_up, is_uv, eligible, backed_up):
    """37 bytes: RP ID hash, flags, counter."""
    data = parse_authenticator_data(make_authenticator_data(flags, 0xFFFFFFFF))

    assert hash_of(RP_ID.encode()) == data.rp_id_hash
    assert data.sign_count == 0xFFFFFFFF
    assert (is_up, is_uv) == (data.is_up, data.is_uv)
    assert (eligible, backed_up) == (data.backup_eligible, data.backed_up)
    assert (data.attested, data.extensions) == (None, b"")


@pytest.mark.parametrize("extensions", [b"", EXTENSIONS])
def test_reads_credential_and_extensions(extensions):
    """Key and extensions are kept as sent; python-fido2 reads the same."""
    raw = make_authenticator_data(UP | AT | (ED if extensions else 0)) + KEY.attested() + extensions
    data = parse_authenticator_data(raw)
    other = Fido2AuthenticatorData(raw)

    assert AttestedCredential(KEY.aaguid, KEY.credential_id, KEY.cose) == data.attested
    assert extensions == data.extensions
    assert other.credential_data.credential_id == data.attested.id
    assert other.credential_data.public_key == cbor.decode(data.attested.public_key)


def test_reads_extensions_without_a_credential():
    """An assertion may carry extension outputs."""
    data = parse_authenticator_data(make_authenticator_data(UP | ED) + EXTENSIONS)

    assert data.extensions == EXTENSIONS


@pytest.mark.parametrize("bit", [0x02, 0x20, 0x22])
def test_reserved_flags_are_refused(bit):
    """What they will mean is not known: nothing may pass for it."""
    assert_refused(make_authenticator_data(UP | bit), Reason.RESERVED_FLAGS)


def test_a_backup_without_eligibility_is_refused():
    """WebAuthn Level 3 section 6.1.3: BS without BE must not occur."""
    assert_refused(make_authenticator_data(UP | BS), Reason.BACKUP_STATE)


@pytest.mark.parametrize("size", range(37))
def test_a_short_header_is_refused(size):
    """No byte of the header may be missing."""
    assert_refused(make_authenticator_data()[:size])


def test_a_cut_credential_is_refused_wherever_it_is_cut():
    """Every shorter form of a credential with extensions is refused."""
    raw = make_authenticator_data(UP | AT | ED) + KEY.attested() + EXTENSIONS

    for size in range(37, len(raw)):
        assert_refused(raw[:size])


@pytest.mark.parametrize(
    "raw",
    [
        make_authenticator_data() + b"\0",
        make_authenticator_data() + EXTENSIONS,
        make_authenticator_data() + KEY.attested(),
        make_authenticator_data(UP | AT) + KEY.attested() + EXTENSIONS,
        make_authenticator_data(UP | ED),
        make_authenticator_data(UP | ED) + b"\x80",
        make_authenticator_data(UP | AT) + EXTENSIONS,
        make_authenticator_data(UP | AT) + KEY.attested()[: -len(KEY.cose)] + b"\x00",
    ],
    ids=[
        "a byte too many",
        "extensions without their flag",
        "a credential without its flag",
        "extensions after a credential, without their flag",
        "the extension flag without extensions",
        "extensions that are an array",
        "the credential flag without a credential",
        "a key that is a number",
    ],
)
def test_flags_and_content_must_agree(raw):
    """What the flags announce is there, and nothing else."""
    assert_refused(raw)


@pytest.mark.parametrize(("size", "is_fine"), [(0, False), (1, True), (1023, True), (1024, False)])
def test_credential_ids_have_1_to_1023_bytes(size, is_fine):
    """WebAuthn Level 3 section 4."""
    raw = with_credential_id(bytes(size))
    if not is_fine:
        assert_refused(raw)
        return

    assert bytes(size) == parse_authenticator_data(raw).attested.id


def test_the_rp_id_is_compared_by_hash():
    """Another relying party's data is refused, a subdomain's too."""
    data = parse_authenticator_data(make_authenticator_data())
    check_rp_id(data, RP_ID)

    for other in ("", "sub." + RP_ID, RP_ID.upper(), "ssh:"):
        assert reason_of(check_rp_id, data, other) == Reason.RP_ID_MISMATCH


@pytest.mark.parametrize(
    ("flags", "is_uv_required", "reason"),
    [
        (UP, False, None),
        (UP | UV, True, None),
        (UP, True, Reason.UV_MISSING),
        (UV, True, Reason.UP_MISSING),
        (UV, False, Reason.UP_MISSING),
        (0, False, Reason.UP_MISSING),
    ],
)
def test_presence_always_and_verification_when_required(flags, is_uv_required, reason):
    """UV never stands in for UP."""
    data = parse_authenticator_data(make_authenticator_data(flags))

    assert reason == reason_of(check_presence, data, is_uv_required=is_uv_required)


@given(st.binary(max_size=120))
def test_any_bytes_are_data_or_one_error(raw):
    """The parser never raises anything else."""
    reason = reason_of(parse_authenticator_data, raw)

    assert reason in {None, Reason.BAD_ENCODING, Reason.RESERVED_FLAGS, Reason.BACKUP_STATE}
    assert reason or Flag(raw[32]) == parse_authenticator_data(raw).flags
