"""Key pairs of credentials: ES256 and EdDSA (COSE, RFC 9053; WebAuthn 5.8.5).

Private keys are 32 raw bytes: the scalar of P-256, the seed of Ed25519.
"""

from enum import IntEnum

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256

from stepupd.devices.simulated.entropy import Entropy

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class Algorithm(IntEnum):
    """COSE algorithm numbers."""

    ES256 = -7
    EDDSA = -8


def make_private(algorithm: Algorithm, entropy: Entropy) -> bytes:
    """Draw a private key."""
    if algorithm is Algorithm.EDDSA:
        return entropy.take(32)
    # 16 bytes more than needed make the bias of the remainder negligible (FIPS 186-5, A.2.1).
    number = int.from_bytes(entropy.take(48)) % (_P256_ORDER - 1) + 1
    return number.to_bytes(32)


def load_ec_private(private: bytes) -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key object of its scalar."""
    return ec.derive_private_key(int.from_bytes(private), ec.SECP256R1())


def public_key(algorithm: Algorithm, private: bytes) -> dict[int, int | bytes]:
    """Give the COSE public key of a private key (RFC 9053, 7.1 and 7.2)."""
    if algorithm is Algorithm.EDDSA:
        ed_key = ed25519.Ed25519PrivateKey.from_private_bytes(private)
        return {1: 1, 3: int(algorithm), -1: 6, -2: ed_key.public_key().public_bytes_raw()}
    numbers = load_ec_private(private).public_key().public_numbers()
    x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
    return {1: 2, 3: int(algorithm), -1: 1, -2: x, -3: y}


def sign(algorithm: Algorithm, private: bytes, message: bytes) -> bytes:
    """Sign `message`; ES256 signatures are DER (WebAuthn 6.5.5)."""
    if algorithm is Algorithm.EDDSA:
        return ed25519.Ed25519PrivateKey.from_private_bytes(private).sign(message)
    return load_ec_private(private).sign(message, ec.ECDSA(SHA256()))
