"""Public keys as authenticators send them: COSE_Key (RFC 9052 section 7, RFC 9053 section 7).

Law: a key has exactly the labels of its kind, its algorithm is the one it was enrolled with, and a
point lies on its curve. A signature has one encoding (DER for ECDSA, RFC 8032 for EdDSA).

Not done here: which bytes ought to be signed, and single use. (r, n - s) is as valid as (r, s):
nothing may take a signature for an identity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stepupd.core import cbor
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Reason

ES256 = -7
EDDSA = -8

ALGORITHMS = (ES256, EDDSA)
"""What enrolment offers, in order of preference: what every current key can do comes first."""

CACHE_SIZE = 256
"""Parsed keys kept, a few hundred bytes each; they cannot change, and parsing costs a verify."""

_KTY, _ALG, _CRV, _X, _Y = 1, 3, -1, -2, -3
_KTY_OKP, _KTY_EC2 = 1, 2
_CRV_P256, _CRV_ED25519 = 1, 6
_COORDINATE_SIZE = 32

_ED25519_PRIME = 2**255 - 19
# The y of a point of order 8 on edwards25519; its mirror image has the other one.
_ED25519_Y8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_ED25519_SMALL_ORDER = {0, 1, _ED25519_PRIME - 1, _ED25519_Y8, _ED25519_PRIME - _ED25519_Y8}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key and the only algorithm it may be used with."""

    algorithm: int
    key: EllipticCurvePublicKey | Ed25519PublicKey

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise AuthenticatorError (`bad-signature`) unless `signature` is over `message`."""
        try:
            if isinstance(self.key, Ed25519PublicKey):
                self.key.verify(signature, message)
            else:
                self.key.verify(signature, message, ECDSA(SHA256()))
        except (InvalidSignature, ValueError):
            raise AuthenticatorError(
                "the signature does not match", reason=Reason.BAD_SIGNATURE
            ) from None

    def encode_point(self) -> bytes:
        """Return the raw key: 0x04 || x || y (ANSI X9.62), or the 32 bytes of RFC 8032."""
        if isinstance(self.key, Ed25519PublicKey):
            return self.key.public_bytes_raw()
        return self.key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


@lru_cache(maxsize=CACHE_SIZE)
def parse_public_key(cose: bytes) -> PublicKey:
    """Read a COSE_Key in canonical CBOR.

    Raises AuthenticatorError: `bad-encoding`, or `algorithm-mismatch` when algorithm, key type and
    curve do not belong together or are not among `ALGORITHMS`.
    """
    labels = cbor.decode(cose)
    if not isinstance(labels, dict):
        raise _refuse("not a map")
    algorithm = labels.get(_ALG)
    # `True` equals 1, so every number is checked for its type as well.
    if type(algorithm) is not int or algorithm not in _PARSERS:
        raise _mismatch("an algorithm that is not offered")
    return PublicKey(algorithm, _PARSERS[algorithm](labels))


def adopt_key(algorithm: int, key: object) -> PublicKey:
    """Bind a key that came in a certificate to `algorithm`.

    Raises AuthenticatorError (`algorithm-mismatch`) if the two do not belong together.
    """
    if (
        algorithm == ES256
        and isinstance(key, EllipticCurvePublicKey)
        and isinstance(key.curve, SECP256R1)
    ):
        return PublicKey(algorithm, key)
    if algorithm == EDDSA and isinstance(key, Ed25519PublicKey):
        return PublicKey(algorithm, key)
    raise _mismatch("a certificate key of another algorithm")


def _parse_es256(labels: dict[cbor.Key, cbor.Value]) -> EllipticCurvePublicKey:
    _check_labels(labels, {_KTY, _ALG, _CRV, _X, _Y}, _KTY_EC2, _CRV_P256)
    x, y = (int.from_bytes(_take_coordinate(labels, label), "big") for label in (_X, _Y))
    try:
        return EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    except ValueError:
        raise _refuse("a point that is not on the curve") from None


def _parse_eddsa(labels: dict[cbor.Key, cbor.Value]) -> Ed25519PublicKey:
    _check_labels(labels, {_KTY, _ALG, _CRV, _X}, _KTY_OKP, _CRV_ED25519)
    raw = _take_coordinate(labels, _X)
    # Under a key of small order, one signature may fit any message (RFC 8032 leaves this to us).
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= _ED25519_PRIME or y in _ED25519_SMALL_ORDER:
        raise _refuse("a point of small order, or longer than the prime")
    return Ed25519PublicKey.from_public_bytes(raw)


_PARSERS: dict[
    int, Callable[[dict[cbor.Key, cbor.Value]], EllipticCurvePublicKey | Ed25519PublicKey]
] = {ES256: _parse_es256, EDDSA: _parse_eddsa}


def _check_labels(
    labels: dict[cbor.Key, cbor.Value], expected: set[int], key_type: int, curve: int
) -> None:
    if set(labels) != expected:
        raise _refuse("labels missing or added")
    for label, value in ((_KTY, key_type), (_CRV, curve)):
        if type(labels[label]) is not int or labels[label] != value:
            raise _mismatch("key type or curve of another algorithm")


def _take_coordinate(labels: dict[cbor.Key, cbor.Value], label: int) -> bytes:
    value = labels[label]
    if not isinstance(value, bytes) or len(value) != _COORDINATE_SIZE:
        raise _refuse("a coordinate that is not 32 bytes")
    return value


def _refuse(what: str) -> AuthenticatorError:
    return AuthenticatorError(f"malformed public key: {what}", reason=Reason.BAD_ENCODING)


def _mismatch(what: str) -> AuthenticatorError:
    return AuthenticatorError(f"public key: {what}", reason=Reason.ALGORITHM_MISMATCH)
