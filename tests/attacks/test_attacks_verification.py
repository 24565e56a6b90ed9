"""Attacks on FIDO2 verification, one test or more for each row of the threat model.

Where a row also speaks of ceremonies, stores or devices, only the verifier's part is here.
"""

import struct
from dataclasses import replace

import pytest
from fido2 import cbor as fido2_cbor
from fido2.server import Fido2Server
from fido2.webauthn import AuthenticatorData, CollectedClientData

from stepupd.core.assertion import check_assertion
from stepupd.core.client_data import ClientDataType, check_client_data, make_client_data, origin_of
from stepupd.core.model import Level, Reason
from tests.vectors.refusal import reason_of
from tests.vectors.webauthn.enrolment import (
    CREDENTIAL,
    EXPECTED,
    KEY,
    enrol,
    move_counter,
    verdict,
)
from tests.vectors.webauthn.soft_key import (
    AT,
    BE,
    BS,
    CHALLENGE,
    EDDSA,
    ES256,
    NO_CA,
    ORIGIN,
    RP_ID,
    UID,
    UP,
    UV,
    Maker,
    SoftKey,
    hash_of,
    make_aaguid_extension,
    make_authenticator_data,
    make_expectation,
    sign_with,
)

STRICT = replace(EXPECTED, is_uv_required=True)
NEW_CHALLENGE = hash_of(b"the next ceremony")
ALGORITHMS = pytest.mark.parametrize("algorithm", [ES256, EDDSA], ids=["ES256", "EdDSA"])


@ALGORITHMS
@pytest.mark.parametrize("flags", [0, UV])
def test_attack_037_a_signature_without_presence(algorithm, flags):
    """A valid signature over UP=0, with UV or without: nobody touched anything."""
    key = SoftKey(algorithm)
    expected = make_expectation(key.make_credential())

    assert verdict(key.make_assertion(flags=flags), expected) == Reason.UP_MISSING
    assert (
        verdict(key.make_assertion(flags=flags), replace(expected, is_uv_required=True))
        == Reason.UP_MISSING
    )


def test_attack_038_verification_asked_and_not_enforced():
    """The ceremony required UV; the reply, signed and honest, says there was none."""
    assert verdict(KEY.make_assertion(flags=UP), STRICT) == Reason.UV_MISSING


def test_attack_038_the_flag_cannot_be_set_on_the_way():
    """Setting UV in the reply breaks the signature."""
    reply = KEY.make_assertion(flags=UP)
    lifted = replace(reply, authenticator_data=make_authenticator_data(UP | UV))

    assert verdict(lifted, STRICT) == Reason.BAD_SIGNATURE


def test_attack_038_touch_alone_never_reaches_verify():
    """Even where UV was merely preferred, the level says what happened."""
    assert check_assertion(KEY.make_assertion(flags=UP), EXPECTED).level is Level.TOUCH


def test_attack_040_a_replay_in_another_ceremony():
    """The next ceremony has another challenge."""
    reply = KEY.make_assertion()
    check_assertion(reply, EXPECTED)

    assert verdict(reply, replace(EXPECTED, challenge=NEW_CHALLENGE)) == Reason.CHALLENGE_MISMATCH


def test_attack_040_a_replay_after_the_counter_was_stored():
    """Even under the same challenge, the second use of an assertion is not newer."""
    reply = KEY.make_assertion()
    expected = move_counter(EXPECTED, check_assertion(reply, EXPECTED))

    assert verdict(reply, expected) == Reason.COUNTER_REGRESSED


@pytest.mark.parametrize("rp_id", ["host2.example", "ssh:", "example", "a.host.example", ""])
def test_attack_042_an_assertion_of_another_relying_party(rp_id):
    """Another host, ssh, the parent, a child: signed by the very key, for somebody else."""
    elsewhere = KEY.make_assertion(rp_id=rp_id, origin=origin_of(rp_id))
    hash_only = KEY.make_assertion(rp_id=rp_id)
    origin_only = KEY.make_assertion(origin=origin_of(rp_id))

    assert verdict(elsewhere) == Reason.ORIGIN_MISMATCH
    assert verdict(hash_only) == Reason.RP_ID_MISMATCH
    assert verdict(origin_only) == Reason.ORIGIN_MISMATCH


def test_attack_042_an_assertion_from_a_web_page():
    """A page cannot have our origin, whatever its RP ID."""
    assert verdict(KEY.make_assertion(origin=f"https://{RP_ID}")) == Reason.ORIGIN_MISMATCH


def test_attack_044_a_registration_is_no_assertion_and_the_reverse():
    """The types swapped, both ways, everything else right."""
    created = KEY.make_assertion(kind=ClientDataType.CREATE)
    got = KEY.make_registration(kind=ClientDataType.GET)

    assert verdict(created) == Reason.TYPE_MISMATCH
    assert reason_of(enrol, got) == Reason.TYPE_MISMATCH


def test_attack_044_authenticator_data_of_a_registration():
    """A self-attested registration is a signature by the key, yet no assertion."""
    registered = KEY.make_registration(style="self")
    whole = fido2_cbor.decode(registered.attestation_object)
    moved = replace(
        KEY.make_assertion(),
        authenticator_data=whole["authData"],
        client_data_json=registered.client_data_json,
        signature=whole["attStmt"]["sig"],
    )
    signed_again = KEY.make_assertion(authenticator_data=whole["authData"])

    assert verdict(moved) == Reason.TYPE_MISMATCH
    assert verdict(signed_again) == Reason.BAD_ENCODING


def ssh_string(data):
    return struct.pack(">I", len(data)) + data


def make_sshsig(namespace):
    """PROTOCOL.sshsig: what `ssh-keygen -Y sign` has signed."""
    parts = (namespace, b"", b"sha512", hash_of(b"a file") * 2)
    return b"SSHSIG" + b"".join(map(ssh_string, parts))


def make_userauth():
    """RFC 4252 section 7: what a login signs."""
    parts = (b"ada", b"ssh-connection", b"publickey")
    return ssh_string(bytes(32)) + b"\x32" + b"".join(map(ssh_string, parts)) + b"\x01"


@ALGORITHMS
@pytest.mark.parametrize(
    "message",
    [make_sshsig(b"file"), make_sshsig(b"git"), make_sshsig(b"stepup@host"), make_userauth()],
    ids=["a file", "a commit", "our own namespace", "a login"],
)
def test_attack_045_a_signature_made_for_ssh(algorithm, message):
    """As an sk key signs it ("ssh:"), then under our client data, then under all that is ours."""
    key = SoftKey(algorithm)
    expected = make_expectation(key.make_credential())
    as_it_is = key.make_assertion(client_data=message, rp_id="ssh:")
    ours = make_client_data(ClientDataType.GET, CHALLENGE, ORIGIN)

    assert verdict(as_it_is, expected) == Reason.BAD_ENCODING
    under_ours = replace(as_it_is, client_data_json=ours)
    assert verdict(under_ours, expected) == Reason.RP_ID_MISMATCH
    under_both = replace(under_ours, authenticator_data=make_authenticator_data())
    assert verdict(under_both, expected) == Reason.BAD_SIGNATURE
    plain = replace(under_both, signature=sign_with(key.key, message))
    assert verdict(plain, expected) == Reason.BAD_SIGNATURE


def test_attack_045_an_assertion_over_another_client_data_hash():
    """Ours is presented, something else was signed."""
    other = KEY.make_assertion(challenge=NEW_CHALLENGE)
    ours = KEY.make_assertion()

    assert verdict(replace(other, client_data_json=ours.client_data_json)) == Reason.BAD_SIGNATURE


def test_attack_045_what_is_signed_names_this_host():
    """The origin is in the signed bytes and belongs to no other protocol."""
    assert b'"origin":"stepup://host.example"' in KEY.make_assertion().client_data_json


def test_attack_046_another_persons_credential():
    """Grace's key answers Ada's ceremony: unlisted, or strayed into the list."""
    grace = SoftKey(credential_id=b"credential of grace")
    strayed = grace.make_credential(subject_uid=UID + 1)

    assert verdict(grace.make_assertion()) == Reason.UNKNOWN_CREDENTIAL
    assert (
        verdict(grace.make_assertion(), make_expectation(CREDENTIAL, strayed))
        == Reason.UNKNOWN_CREDENTIAL
    )


@pytest.mark.parametrize(
    "credential_id",
    [b"", b"unknown", KEY.credential_id[:-1], KEY.credential_id + b"\0", bytes(1024), bytes(70000)],
    ids=["empty", "unknown", "a prefix", "one more byte", "1024 bytes", "70000 bytes"],
)
def test_attack_046_an_id_that_is_not_listed(credential_id):
    """Compared whole."""
    reply = replace(KEY.make_assertion(), credential_id=credential_id)

    assert verdict(reply) == Reason.UNKNOWN_CREDENTIAL


def test_attack_046_an_empty_list():
    """No credential is nobody, not anybody."""
    assert verdict(KEY.make_assertion(), make_expectation()) == Reason.UNKNOWN_CREDENTIAL


def test_attack_046_one_id_for_two_people():
    """Two people with the same credential id: each one's key serves himself alone."""
    grace = SoftKey()
    both = (grace.make_credential(subject_uid=UID + 1, name="grace"), CREDENTIAL)

    assert check_assertion(KEY.make_assertion(), make_expectation(*both)).credential_name != "grace"
    assert verdict(grace.make_assertion(), make_expectation(*both)) == Reason.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("stored", "given"), [(7, 7), (7, 6), (7, 0), (2**32 - 1, 0), (2**32 - 1, 2**32 - 1)]
)
def test_attack_053_a_counter_that_does_not_move_forward(stored, given):
    """Equal, lower, zero after some, wrapped."""
    expected = make_expectation(KEY.make_credential(sign_count=stored))

    assert verdict(KEY.make_assertion(sign_count=given), expected) == Reason.COUNTER_REGRESSED


def test_attack_053_a_key_without_a_counter():
    """Always zero is allowed, for ever; and it may start to count."""
    expected = make_expectation(KEY.make_credential(sign_count=0))
    for given in (0, 0, 1):
        evidence = check_assertion(KEY.make_assertion(sign_count=given), expected)
        expected = move_counter(expected, evidence)

    assert verdict(KEY.make_assertion(sign_count=0), expected) == Reason.COUNTER_REGRESSED


@pytest.mark.parametrize("order", [(8, 9), (9, 8)], ids=["in order", "swapped"])
def test_attack_053_two_honest_assertions_at_once(order):
    """Swapped, the older is refused; either way the next touch works: nobody is locked out."""
    expected = EXPECTED
    passed = []
    for given in order:
        reply = KEY.make_assertion(sign_count=given)
        if verdict(reply, expected) is None:
            expected = move_counter(expected, check_assertion(reply, expected))
            passed.append(given)

    assert passed == ([8, 9] if order == (8, 9) else [9])
    assert verdict(KEY.make_assertion(sign_count=10), expected) is None


def test_attack_053_a_forger_cannot_raise_a_clone_alarm():
    """The counter is looked at only in what the key has signed."""
    forged = replace(KEY.make_assertion(sign_count=1), signature=KEY.make_assertion().signature)

    assert verdict(forged) == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("style", ["none", "self"])
def test_attack_055_a_claimed_model_is_not_an_attested_one(style):
    """A key that names a trusted AAGUID and vouches for itself, roots configured."""
    maker = Maker()

    assert not enrol(KEY.make_registration(style=style), maker.root).is_attested


def test_attack_055_certificates_of_an_unknown_maker():
    """Same names, other root: refused, not merely unattested."""
    reply = KEY.make_registration(style="packed", maker=Maker())

    assert reason_of(enrol, reply, Maker().root) == Reason.BAD_ATTESTATION


def test_attack_055_a_maker_who_vouches_for_another_model():
    """A certificate for one AAGUID does not serve for another."""
    extensions = ((NO_CA, True), (make_aaguid_extension(b"\7" * 16), False))
    maker = Maker(extensions=extensions)
    reply = KEY.make_registration(style="packed", maker=maker)

    assert reason_of(enrol, reply, maker.root) == Reason.BAD_ATTESTATION


def test_attack_055_a_u2f_key_cannot_claim_a_model():
    """Its statement does not cover the AAGUID, so none is kept."""
    maker = Maker()
    new = enrol(KEY.make_registration(style="fido-u2f", maker=maker), maker.root)

    assert new.is_attested
    assert new.aaguid == bytes(16)


LIBRARY_ACCEPTS = {
    "the counter went back": (
        {"sign_count": 1},
        Reason.COUNTER_REGRESSED,
        EXPECTED,
    ),
    "no verification": ({"flags": UP}, Reason.UV_MISSING, STRICT),
    "a backup without eligibility": ({"flags": UP | BS}, Reason.BACKUP_STATE, EXPECTED),
    "a reserved flag": ({"flags": UP | 0x20}, Reason.RESERVED_FLAGS, EXPECTED),
    "eligibility that changed": ({"flags": UP | BE}, Reason.BACKUP_CHANGED, EXPECTED),
    "an origin that is a subdomain": (
        {"origin": f"https://sub.{RP_ID}"},
        Reason.ORIGIN_MISMATCH,
        EXPECTED,
    ),
}


@pytest.mark.parametrize(
    ("changes", "reason", "expected"), LIBRARY_ACCEPTS.values(), ids=LIBRARY_ACCEPTS
)
def test_attack_m03_what_the_library_accepts_we_refuse(changes, reason, expected):
    """python-fido2's server lets each of these pass; the verifier does not."""
    web = KEY.make_assertion(**{"origin": f"https://{RP_ID}"} | changes)
    ours = KEY.make_assertion(**changes)

    assert fido2_accepts(web)
    assert verdict(ours, expected) == reason


def fido2_accepts(reply):
    server = Fido2Server({"id": RP_ID, "name": RP_ID})
    credential = AuthenticatorData(
        make_authenticator_data(UP | AT) + KEY.attested()
    ).credential_data
    _, state = server.authenticate_begin([credential], challenge=CHALLENGE)
    response = {
        "id": reply.credential_id,
        "rawId": reply.credential_id,
        "response": {
            "clientDataJSON": CollectedClientData(reply.client_data_json),
            "authenticatorData": AuthenticatorData(reply.authenticator_data),
            "signature": reply.signature,
        },
        "type": "public-key",
    }
    server.authenticate_complete(state, [credential], response)
    return True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"origin":"https://evil.example",%s}', Reason.BAD_ENCODING),
        ('{%s,"origin":"https://evil.example"}', Reason.BAD_ENCODING),
        ('{%s,"challenge":"AA"}', Reason.BAD_ENCODING),
        ('{%s,"other":{"a":1,"a":2}}', Reason.BAD_ENCODING),
    ],
)
def test_attack_m04_a_member_twice(text, reason):
    """Whichever comes last: two readers would see two things."""
    ours = make_client_data(ClientDataType.GET, CHALLENGE, ORIGIN).decode()
    reply = KEY.make_assertion(client_data=(text % ours[1:-1]).encode())

    assert verdict(reply) == reason


@pytest.mark.parametrize("name", ["type", "challenge", "origin"])
def test_attack_m04_a_member_missing(name):
    """A refusal with a reason, never a KeyError."""
    ours = make_client_data(ClientDataType.GET, CHALLENGE, ORIGIN)
    without = ours.replace(f'"{name}":'.encode(), f'"not {name}":'.encode())

    assert reason_of(
        check_client_data, without, type=ClientDataType.GET, challenge=CHALLENGE, origin=ORIGIN
    ) in {Reason.TYPE_MISMATCH, Reason.CHALLENGE_MISMATCH, Reason.ORIGIN_MISMATCH}
