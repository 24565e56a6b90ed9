"""Attacks on keys, signatures and CBOR: another spelling, another kind, another size."""

import gc
import tracemalloc
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from fido2 import cbor as fido2_cbor

from stepupd.core import cbor
from stepupd.core.assertion import check_assertion
from stepupd.core.authenticator_data import parse_authenticator_data
from stepupd.core.cose import parse_public_key
from stepupd.core.model import Reason
from tests.vectors.refusal import reason_of
from tests.vectors.signatures import P256_ORDER, bad_ecdsa, bad_eddsa
from tests.vectors.webauthn.enrolment import (
    EXPECTED,
    KEY,
    enrol,
    move_counter,
    verdict,
)
from tests.vectors.webauthn.soft_key import (
    AT,
    EDDSA,
    ES256,
    UP,
    SoftKey,
    hash_of,
    make_authenticator_data,
    make_expectation,
)

NEW_CHALLENGE = hash_of(b"the next ceremony")
ALGORITHMS = pytest.mark.parametrize("algorithm", [ES256, EDDSA], ids=["ES256", "EdDSA"])


LABELS = fido2_cbor.decode(KEY.cose)
ODD_KEYS = {
    "the EdDSA algorithm": LABELS | {3: EDDSA},
    "RS1": LABELS | {3: -65535},
    "RS256": LABELS | {3: -257},
    "ES256K": LABELS | {3: -47},
    "no algorithm": {key: value for key, value in LABELS.items() if key != 3},
    "a large negative algorithm": LABELS | {3: -(2**64)},
    "key type OKP": LABELS | {1: 1},
    "curve Ed25519": LABELS | {-1: 6},
    "curve P-384": LABELS | {-1: 2},
    "a point off the curve": LABELS | {-3: LABELS[-2]},
    "the point at infinity": LABELS | {-2: bytes(32), -3: bytes(32)},
    "RSA with exponent 1": {1: 3, 3: -257, -1: b"\xff" * 256, -2: b"\1"},
    "RSA of 512 bits": {1: 3, 3: -257, -1: b"\xff" * 64, -2: b"\1\0\1"},
    "an Ed25519 key of order 1": {1: 1, 3: EDDSA, -1: 6, -2: b"\1" + bytes(31)},
}


@pytest.mark.parametrize("labels", ODD_KEYS.values(), ids=ODD_KEYS)
def test_attack_048_a_key_of_another_kind(labels):
    """Refused at enrolment and, should it have got into a record, at use."""

    class OddKey(SoftKey):
        cose = fido2_cbor.encode(labels)

    odd = OddKey(key=KEY.key)
    expected = make_expectation(odd.make_credential())
    refusals = {Reason.ALGORITHM_MISMATCH, Reason.BAD_ENCODING}

    assert reason_of(enrol, odd.make_registration()) in refusals
    assert verdict(KEY.make_assertion(), expected) in refusals


def test_attack_048_a_signature_of_order_one_fits_nothing():
    """Under the neutral element, R = 1 and S = 0 would sign every message."""
    cose = fido2_cbor.encode(ODD_KEYS["an Ed25519 key of order 1"])
    forged = replace(KEY.make_assertion(), signature=b"\1" + bytes(63))

    assert verdict(forged, make_expectation(KEY.make_credential(public_key=cose)))


@ALGORITHMS
def test_attack_049_no_other_encoding_of_a_signature(algorithm):
    """Every family of malleable, oversized, negative, zero or padded signature."""
    key = SoftKey(algorithm)
    expected = make_expectation(key.make_credential())
    reply = key.make_assertion()
    families = bad_ecdsa if algorithm == ES256 else bad_eddsa

    for what, signature in families(reply.signature):
        assert verdict(replace(reply, signature=signature), expected) == Reason.BAD_SIGNATURE, what


def test_attack_049_the_mirrored_signature_is_the_same_use():
    """(r, n - s) verifies as well, and is the same counter and challenge: no second use."""
    reply = KEY.make_assertion()
    r, s = decode_dss_signature(reply.signature)
    mirrored = replace(reply, signature=encode_dss_signature(r, P256_ORDER - s))
    expected = move_counter(EXPECTED, check_assertion(reply, EXPECTED))

    assert verdict(mirrored) is None
    assert verdict(mirrored, expected) == Reason.COUNTER_REGRESSED
    assert (
        verdict(mirrored, replace(expected, challenge=NEW_CHALLENGE)) == Reason.CHALLENGE_MISMATCH
    )


MALFORMED = {
    "cut short": "a1",
    "longer than needed": "1800",
    "a length longer than needed": "580161",
    "an indefinite map": "bf0000ff",
    "a key twice": "a200000000",
    "keys unsorted": "a201000000",
    "a tag": "c000",
    "a float": "fb3ff0000000000000",
    "undefined": "f7",
    "nested 60000 deep": "81" * 60000,
    "nested 30000 deep in maps": "a100" * 30000,
    "nested 100000 deep": "81" * 100000,
    "an array of 2^32": "9b0000000100000000",
    "a byte after the end": "0000",
}


@pytest.mark.parametrize("encoded", MALFORMED.values(), ids=MALFORMED)
def test_attack_050_malformed_cbor_wherever_it_is_read(encoded):
    """One error type, bounded memory: as an object, a statement, a key, an extension."""
    data = bytes.fromhex(encoded)
    places = (
        lambda: cbor.decode(data),
        lambda: parse_public_key(data),
        lambda: enrol(replace(KEY.make_registration(), attestation_object=data)),
        lambda: parse_authenticator_data(make_authenticator_data(UP | 0x80) + data),
        lambda: parse_authenticator_data(
            make_authenticator_data(UP | AT) + KEY.attested()[: -len(KEY.cose)] + data
        ),
    )
    gc.collect()
    tracemalloc.start()
    try:
        for place in places:
            assert reason_of(place) in {Reason.BAD_ENCODING, Reason.ALGORITHM_MISMATCH}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 1024 * 1024


@pytest.mark.parametrize("major", [0x40, 0x60, 0x80, 0xA0], ids=["bytes", "text", "array", "map"])
@pytest.mark.parametrize("claim", [10**3, 10**9, 2**32, 2**64 - 1])
def test_attack_051_a_header_that_claims_a_billion_elements(major, claim):
    """Refused before allocation, whatever follows."""
    data = bytes([major | 27]) + claim.to_bytes(8, "big")
    if claim < 2**32:
        data = fido2_head(major, claim)
    data += bytes(500)
    tracemalloc.start()
    try:
        reason = reason_of(cbor.decode, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert reason == Reason.BAD_ENCODING
    assert peak < 64 * 1024


def fido2_head(major, claim):
    head = fido2_cbor.encode(claim)
    return bytes([head[0] | major]) + head[1:]
