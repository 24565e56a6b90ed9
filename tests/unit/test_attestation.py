"""`check_registration`: what it lets in, and what it takes for attested."""

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fido2 import cbor
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.attestation import NewCredential
from stepupd.core.client_data import ClientDataType, make_client_data
from stepupd.core.model import Reason
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn.enrolment import KEY, MAKER, Chain, check, register
from tests.vectors.webauthn.soft_key import (
    AT,
    BE,
    BS,
    CHALLENGE,
    EDDSA,
    ES256,
    LEAF_SUBJECT,
    NO_CA,
    ORIGIN,
    ROOT_SUBJECT,
    RP_ID,
    UP,
    UV,
    Maker,
    SoftKey,
    hash_of,
    make_certificate,
    make_private_key,
    sign_with,
)

BAD = Reason.BAD_ATTESTATION
CONSTRAINTS = (NO_CA, True)


def assert_refused(reason, reply, **changes):
    assert reason == reason_of(check, reply, **changes)


@pytest.mark.parametrize("algorithm", [ES256, EDDSA])
@pytest.mark.parametrize("style", ["none", "self"])
def test_a_credential_without_certificates_is_accepted_and_not_attested(style, algorithm):
    """Every field is what the authenticator said; nobody vouches for it, whatever the roots."""
    key = SoftKey(algorithm)
    flags = UP | UV | AT | BE | BS
    new = check(key.make_registration(style=style, flags=flags, sign_count=3), roots=(MAKER.root,))

    assert new == NewCredential(
        id=key.credential_id,
        public_key=key.cose,
        algorithm=algorithm,
        aaguid=key.aaguid,
        sign_count=3,
        backup_eligible=True,
        backed_up=True,
        is_uv=True,
        is_attested=False,
        format="packed" if style == "self" else "none",
    )


@pytest.mark.parametrize("style", ["packed", "fido-u2f"])
def test_a_chain_to_a_configured_root_attests(style):
    """And only with roots: without any, the same statement is accepted as not attested."""
    reply = register(style=style)

    assert check(reply, roots=(MAKER.root,)).is_attested
    assert check(reply, roots=(Maker().root, MAKER.root)).is_attested
    assert not check(reply).is_attested


def test_an_ed25519_maker_attests():
    """The maker's algorithm need not be the key's."""
    maker = Maker(algorithm=EDDSA, root_key=make_private_key())

    assert check(register(maker)).format == "packed"


def test_a_u2f_statement_does_not_vouch_for_the_aaguid():
    """It does not sign it, so it is not kept; a packed one does, and it is."""
    assert bytes(16) == check(register(style="fido-u2f"), roots=(MAKER.root,)).aaguid
    assert KEY.aaguid == check(register(), roots=(MAKER.root,)).aaguid


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": ClientDataType.GET}, Reason.TYPE_MISMATCH),
        ({"challenge": bytes(32)}, Reason.CHALLENGE_MISMATCH),
        ({"origin": "https://host.example"}, Reason.ORIGIN_MISMATCH),
        ({"rp_id": "other.example"}, Reason.RP_ID_MISMATCH),
        ({"flags": UV | AT}, Reason.UP_MISSING),
        ({"flags": UP | UV}, Reason.BAD_ENCODING),
        ({"flags": UP | AT | 0x02}, Reason.RESERVED_FLAGS),
        ({"flags": UP | AT | BS}, Reason.BACKUP_STATE),
        ({"members": {"more": 1}}, Reason.BAD_ENCODING),
        ({"members": {"fmt": b"none"}}, Reason.BAD_ENCODING),
        ({"members": {"authData": "text"}}, Reason.BAD_ENCODING),
        ({"members": {"attStmt": []}}, Reason.BAD_ENCODING),
        ({"members": {"fmt": "tpm"}}, Reason.UNSUPPORTED),
        ({"members": {"fmt": "Packed"}}, Reason.UNSUPPORTED),
        ({"members": {"fmt": ""}}, Reason.UNSUPPORTED),
        ({"statement": {"sig": b""}}, BAD),
    ],
)
def test_what_was_not_asked_for_is_refused(changes, reason):
    """Client data, relying party, flags, layout and format, each with its reason."""
    assert_refused(reason, KEY.make_registration(**changes))


def test_verification_is_required_when_asked_for():
    """The requirement is the ceremony's, not the reply's."""
    reply = KEY.make_registration(flags=UP | AT)

    assert not check(reply).is_uv
    assert_refused(Reason.UV_MISSING, reply, is_uv_required=True)


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\x80", b"\xa1cfmtdnone", b"\xff"])
def test_what_is_no_attestation_object_is_refused(data):
    """Nothing, an empty map, an array, a map cut off, a break."""
    assert_refused(Reason.BAD_ENCODING, replace(KEY.make_registration(), attestation_object=data))


def test_a_key_we_do_not_offer_is_refused():
    """ES384 under a good layout."""
    point = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    labels = {1: 2, 3: -35, -1: 2, -2: point.x.to_bytes(48, "big"), -3: point.y.to_bytes(48, "big")}

    class Es384Key(SoftKey):
        cose = cbor.encode(labels)

    assert_refused(Reason.ALGORITHM_MISMATCH, Es384Key().make_registration())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: good | {"alg": EDDSA},
        lambda good: good | {"alg": -257},
        lambda good: good | {"alg": "ES256"},
        lambda good: good | {"sig": good["sig"][:-1]},
        lambda good: good | {"sig": b""},
        lambda good: good | {"sig": "text"},
        lambda good: good | {"ecdaaKeyId": b"key"},
        lambda good: {"sig": good["sig"]},
        lambda good: {"alg": good["alg"]},
        lambda _good: {},
    ],
)
@pytest.mark.parametrize("style", ["self", "packed"])
def test_a_packed_statement_that_does_not_hold_is_refused(style, spoil):
    """Wrong algorithm, signature, member: with certificates or without, with roots or without."""
    honest = cbor.decode(register(style=style).attestation_object)
    reply = register(style=style, members={"attStmt": spoil(honest["attStmt"])})

    assert reason_of(check, reply) in {BAD, Reason.ALGORITHM_MISMATCH}
    assert reason_of(check, reply, roots=(MAKER.root,)) in {BAD, Reason.ALGORITHM_MISMATCH}


@pytest.mark.parametrize("style", ["self", "packed", "fido-u2f"])
def test_a_statement_about_another_registration_is_refused(style):
    """The signature covers credential and client data: a statement cannot be moved."""
    other = SoftKey(credential_id=b"other").make_registration(style=style, maker=MAKER)
    statement = cbor.decode(other.attestation_object)["attStmt"]

    assert_refused(BAD, register(style=style, statement=statement))


def test_a_signature_of_the_credential_does_not_serve_for_the_certificates():
    """Self-signed, with the maker's certificates beside it."""
    reply = register(style="self")
    statement = cbor.decode(reply.attestation_object)["attStmt"] | {"x5c": MAKER.chain}

    assert_refused(BAD, register(style="self", statement=statement), roots=(MAKER.root,))


def test_a_u2f_statement_has_one_p256_certificate_and_key():
    """WebAuthn Level 3 section 8.6, steps 2 and 4."""
    two = Chain(MAKER.leaf_key, MAKER.chain * 2)
    rsa_key = rsa.generate_private_key(65537, 2048)
    leaf = make_certificate(LEAF_SUBJECT, rsa_key, ROOT_SUBJECT, MAKER.root_key, (CONSTRAINTS,))
    other = Chain(MAKER.leaf_key, [leaf])
    ed_key = SoftKey(EDDSA)
    client_data = make_client_data(ClientDataType.CREATE, CHALLENGE, ORIGIN)
    signed = b"".join(
        (
            b"\0",
            hash_of(RP_ID.encode()),
            hash_of(client_data),
            ed_key.credential_id,
            ed_key.key.public_key().public_bytes_raw(),
        )
    )
    statement = {"sig": sign_with(MAKER.leaf_key, signed), "x5c": MAKER.chain}

    assert_refused(BAD, register(two, "fido-u2f"))
    assert_refused(Reason.ALGORITHM_MISMATCH, register(other, "fido-u2f"))
    assert_refused(BAD, ed_key.make_registration(style="fido-u2f", statement=statement))
    assert_refused(BAD, register(style="fido-u2f", statement={"x5c": MAKER.chain}))


def test_every_changed_byte_of_an_attested_registration_is_refused():
    """Object, statement, certificate, credential and client data: one bit of each byte."""
    reply = register()
    roots = (MAKER.root,)
    assert check(reply, roots=roots).is_attested

    for part in ("attestation_object", "client_data_json"):
        whole = getattr(reply, part)
        for at in range(len(whole)):
            changed = whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :]
            assert reason_of(check, replace(reply, **{part: changed}), roots=roots), (part, at)


@given(st.binary(max_size=200), st.sampled_from(["none", "packed", "fido-u2f"]), st.data())
def test_any_bytes_are_refused_as_an_authenticators_fault(raw, name, data):
    """Random objects, and honest ones with a random statement."""
    fields = st.dictionaries(
        st.sampled_from(["alg", "sig", "x5c", "ver"]),
        st.binary(max_size=80) | st.integers(-300, 300) | st.lists(st.binary(max_size=80)),
        min_size=1,
    )
    statement = data.draw(fields)

    assert reason_of(check, replace(KEY.make_registration(), attestation_object=raw))
    assert reason_of(check, register(members={"fmt": name, "attStmt": statement}))
