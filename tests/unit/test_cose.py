"""Public keys: exactly the keys that enrolment offers, and one encoding per signature."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from fido2 import cbor, cose
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.cose import ALGORITHMS, PublicKey, adopt_key, parse_public_key
from stepupd.core.model import Reason
from tests.vectors.refusal import reason_of
from tests.vectors.signatures import P256_ORDER, P256_PRIME, bad_ecdsa, bad_eddsa
from tests.vectors.webauthn.soft_key import EDDSA, ES256, SoftKey, make_private_key, sign_with

EC_KEY, ED_KEY = SoftKey(), SoftKey(EDDSA)
EC_LABELS, ED_LABELS = cbor.decode(EC_KEY.cose), cbor.decode(ED_KEY.cose)
MESSAGE = b"authenticator data and the hash of client data"
SMALL_ORDER_Y8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")


def assert_refused(encoded, reason):
    assert reason == reason_of(parse_public_key, encoded)


def assert_bad_signature(key, signature, message=MESSAGE):
    assert reason_of(key.verify, signature, message) == Reason.BAD_SIGNATURE


@pytest.mark.parametrize("key", [EC_KEY, ED_KEY])
def test_verifies_what_the_key_signed(key):
    """Each algorithm that is offered, with its own key; not with another key or message."""
    parsed = parse_public_key(key.cose)
    signature = sign_with(key.key, MESSAGE)

    assert key.algorithm == parsed.algorithm
    assert key.algorithm in ALGORITHMS
    parsed.verify(signature, MESSAGE)
    assert_bad_signature(parsed, signature, MESSAGE + b"\0")
    assert_bad_signature(parsed, sign_with(make_private_key(key.algorithm), MESSAGE))


def test_a_parsed_key_is_kept():
    """The hot path parses each key once."""
    assert parse_public_key(EC_KEY.cose) is parse_public_key(EC_KEY.cose)


def test_encodes_the_raw_point():
    """X9.62 for P-256, RFC 8032 for Ed25519."""
    raw = b"\4" + EC_LABELS[-2] + EC_LABELS[-3]

    assert raw == parse_public_key(EC_KEY.cose).encode_point()
    assert ED_LABELS[-2] == parse_public_key(ED_KEY.cose).encode_point()


@pytest.mark.parametrize("algorithm", [-9, -19, -35, -36, -37, -47, -53, -257, -65535, -(2**63), 7])
@pytest.mark.parametrize("labels", [EC_LABELS, ED_LABELS])
def test_an_algorithm_that_is_not_offered_is_refused(labels, algorithm):
    """Also those that would fit the curve: RS1, ES256K, Ed448 and numbers nobody assigned."""
    assert_refused(cbor.encode(labels | {3: algorithm}), Reason.ALGORITHM_MISMATCH)


@pytest.mark.parametrize("value", [True, "ES256", b"\x26", [], {}])
@pytest.mark.parametrize("label", [1, 3, -1])
def test_a_parameter_of_another_type_is_refused(label, value):
    """`True` is not 1, and a name is not a number."""
    assert_refused(cbor.encode(ED_LABELS | {label: value}), Reason.ALGORITHM_MISMATCH)


@pytest.mark.parametrize(
    "labels",
    [
        EC_LABELS | {1: 1},
        EC_LABELS | {1: 3},
        EC_LABELS | {-1: 2},
        EC_LABELS | {-1: 6},
        EC_LABELS | {-1: 8},
        ED_LABELS | {1: 2},
        ED_LABELS | {-1: 1},
        ED_LABELS | {-1: 4},
        ED_LABELS | {-1: 7},
    ],
)
def test_key_type_and_curve_belong_to_the_algorithm(labels):
    """No key is read under another kind's rules."""
    assert_refused(cbor.encode(labels), Reason.ALGORITHM_MISMATCH)


@pytest.mark.parametrize("labels", [EC_LABELS | {3: EDDSA}, ED_LABELS | {3: ES256}])
def test_algorithms_are_not_interchangeable(labels):
    """The ES256 key as EdDSA, and the reverse."""
    assert_refused(cbor.encode(labels), Reason.BAD_ENCODING)


@pytest.mark.parametrize("labels", [EC_LABELS, ED_LABELS])
def test_labels_are_exactly_those_of_the_kind(labels):
    """None missing, none added: not a key id, not operations, not a private part."""
    for label in labels:
        rest = {key: value for key, value in labels.items() if key != label}
        expected = Reason.ALGORITHM_MISMATCH if label == 3 else Reason.BAD_ENCODING
        assert_refused(cbor.encode(rest), expected)
    for label in (2, 4, 5, -4, "alg", b"x"):
        assert_refused(cbor.encode(labels | {label: b"more"}), Reason.BAD_ENCODING)


def test_a_coordinate_has_no_second_spelling():
    """The same number with a byte more is another encoding, not the same key."""
    for label in (-2, -3):
        longer = EC_LABELS | {label: b"\0" + EC_LABELS[label]}
        assert_refused(cbor.encode(longer), Reason.BAD_ENCODING)
    assert_refused(cbor.encode(ED_LABELS | {-2: ED_LABELS[-2] + b"\0"}), Reason.BAD_ENCODING)


@pytest.mark.parametrize("value", [b"", bytes(31), bytes(33), "text", True, 7, []])
@pytest.mark.parametrize("label", [-2, -3])
def test_coordinates_are_32_bytes(label, value):
    """Not fewer, not more, and no compressed sign."""
    assert_refused(cbor.encode(EC_LABELS | {label: value}), Reason.BAD_ENCODING)
    if label == -2:
        assert_refused(cbor.encode(ED_LABELS | {label: value}), Reason.BAD_ENCODING)


@pytest.mark.parametrize(
    "changes",
    [
        {-2: bytes(32), -3: bytes(32)},
        {-2: EC_LABELS[-3], -3: EC_LABELS[-2]},
        {-2: b"\xff" * 32},
        {-3: b"\xff" * 32},
        {-2: P256_PRIME.to_bytes(32, "big")},
        {-3: bytes([EC_LABELS[-3][0] ^ 1]) + EC_LABELS[-3][1:]},
    ],
    ids=["origin", "swapped", "x too large", "y too large", "x is the prime", "one bit off"],
)
def test_a_point_off_the_curve_is_refused(changes):
    """The point at infinity has no such encoding; (0, 0) is what people write for it."""
    assert_refused(cbor.encode(EC_LABELS | changes), Reason.BAD_ENCODING)


@pytest.mark.parametrize(
    "raw",
    [
        bytes(32),
        bytes(31) + b"\x80",
        b"\x01" + bytes(31),
        b"\x01" + bytes(30) + b"\x80",
        b"\xec" + b"\xff" * 30 + b"\x7f",
        b"\xed" + b"\xff" * 30 + b"\x7f",
        b"\xee" + b"\xff" * 30 + b"\xff",
        SMALL_ORDER_Y8,
        SMALL_ORDER_Y8[:31] + b"\x85",
        (2**255 - 19 - int.from_bytes(SMALL_ORDER_Y8, "little")).to_bytes(32, "little"),
        b"\xff" * 32,
    ],
    ids=lambda raw: raw.hex()[:8],
)
def test_an_ed25519_key_of_small_order_is_refused(raw):
    """Under such a key one signature fits many messages."""
    assert_refused(cbor.encode(ED_LABELS | {-2: raw}), Reason.BAD_ENCODING)


@pytest.mark.parametrize("value", [[], 7, "key", b"", True])
def test_a_key_is_a_map(value):
    """Any other value is refused."""
    assert_refused(cbor.encode(value), Reason.BAD_ENCODING)


def test_an_rsa_key_is_refused():
    """Whatever its size or exponent: it is not offered."""
    numbers = cose.RS256.from_cryptography_key(rsa.generate_private_key(65537, 2048).public_key())

    assert_refused(cbor.encode(dict(numbers)), Reason.ALGORITHM_MISMATCH)
    assert_refused(
        cbor.encode({1: 3, 3: -257, -1: b"\1" * 64, -2: b"\1"}), Reason.ALGORITHM_MISMATCH
    )


def test_every_family_of_bad_ecdsa_signature_is_refused():
    """Other encodings, other numbers, other ranges: 300 of them, one way wrong each."""
    key = parse_public_key(EC_KEY.cose)
    signature = sign_with(EC_KEY.key, MESSAGE)
    cases = list(bad_ecdsa(signature))

    accepted = [what for what, bad in cases if bad != signature and is_accepted(key, bad)]

    assert len(cases) > 250
    assert accepted == []


def test_every_family_of_bad_eddsa_signature_is_refused():
    """Malleable S, other points, other lengths."""
    key = parse_public_key(ED_KEY.cose)
    cases = list(bad_eddsa(sign_with(ED_KEY.key, MESSAGE)))

    assert len(cases) > 80
    assert [what for what, bad in cases if is_accepted(key, bad)] == []


def is_accepted(key, signature):
    reason = reason_of(key.verify, signature, MESSAGE)
    assert reason in {None, Reason.BAD_SIGNATURE}
    return reason is None


def test_both_halves_of_s_verify():
    """ECDSA as FIDO uses it knows no low-s rule; so no signature may serve as an identity."""
    r, s = decode_dss_signature(sign_with(EC_KEY.key, MESSAGE))

    parse_public_key(EC_KEY.cose).verify(encode_dss_signature(r, P256_ORDER - s), MESSAGE)


@pytest.mark.parametrize("algorithm", [ES256, EDDSA])
def test_adopts_a_certificate_key_under_its_own_algorithm(algorithm):
    """P-256 for ES256, Ed25519 for EdDSA, and nothing crosswise."""
    key = make_private_key(algorithm).public_key()
    others = {ES256, EDDSA, -35, -257, True} - {algorithm}

    assert PublicKey(algorithm, key) == adopt_key(algorithm, key)
    for other in others:
        assert reason_of(adopt_key, other, key) == Reason.ALGORITHM_MISMATCH


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        ed448.Ed448PrivateKey.generate().public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
        None,
    ],
    ids=["P-384", "secp256k1", "Ed448", "RSA", "nothing"],
)
@pytest.mark.parametrize("algorithm", [ES256, EDDSA])
def test_adopts_no_other_key(key, algorithm):
    """A 256-bit curve is not yet P-256."""
    assert reason_of(adopt_key, algorithm, key) == Reason.ALGORITHM_MISMATCH


@given(st.binary(max_size=100))
def test_any_bytes_are_refused_as_a_key(data):
    """Nobody guesses a key either, and the parser never raises anything else."""
    reason = reason_of(parse_public_key, data)

    assert reason in {Reason.BAD_ENCODING, Reason.ALGORITHM_MISMATCH}


@given(st.binary(max_size=100), st.sampled_from([EC_KEY, ED_KEY]))
def test_any_bytes_are_no_signature(data, key):
    """Nobody guesses one, and nothing else is raised."""
    assert not is_accepted(parse_public_key(key.cose), data)
