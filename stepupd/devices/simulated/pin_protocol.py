"""The authenticator's half of PIN/UV auth protocols one and two (CTAP 2.1, 6.5.6 and 6.5.7).

Written apart from the platform's half that it is tested against, so that a shared mistake shows.
"""

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from fido2.ctap import CtapError

from stepupd.devices.simulated.entropy import Entropy
from stepupd.devices.simulated.request import Fields
from stepupd.devices.simulated.signing import Algorithm, load_ec_private, make_private

_BLOCK: Final = 16
_INVALID = CtapError.ERR.INVALID_PARAMETER
_ECDH_ES_HKDF_256: Final = -25


class Secret:
    """The keys both sides share for one exchange; prints as nothing."""

    __slots__ = ("_aes", "_hmac", "_version")

    def __init__(self, version: int, z: bytes) -> None:
        self._version = version
        if version == 1:
            self._aes = self._hmac = hashlib.sha256(z).digest()
        else:
            self._hmac = _derive(z, b"CTAP2 HMAC key")
            self._aes = _derive(z, b"CTAP2 AES key")

    def encrypt(self, plain: bytes, entropy: Entropy) -> bytes:
        """Encrypt whole blocks; protocol two sends its initialisation vector in front."""
        start = bytes(_BLOCK) if self._version == 1 else entropy.take(_BLOCK)
        encryptor = Cipher(algorithms.AES(self._aes), modes.CBC(start)).encryptor()
        sealed = encryptor.update(plain) + encryptor.finalize()
        return sealed if self._version == 1 else start + sealed

    def decrypt(self, sealed: bytes) -> bytes:
        """Undo `encrypt`. CtapError INVALID_PARAMETER if the length is wrong."""
        start = bytes(_BLOCK)
        if self._version != 1:
            start, sealed = sealed[:_BLOCK], sealed[_BLOCK:]
        if len(start) != _BLOCK or not sealed or len(sealed) % _BLOCK:
            raise CtapError(_INVALID)
        decryptor = Cipher(algorithms.AES(self._aes), modes.CBC(start)).decryptor()
        return decryptor.update(sealed) + decryptor.finalize()

    def check(self, message: bytes, code: bytes) -> None:
        """CtapError PIN_AUTH_INVALID unless `code` authenticates `message`."""
        check_code(self._version, self._hmac, message, code)


class Agreement:
    """The authenticator's key agreement key, one for both protocols."""

    def __init__(self, entropy: Entropy) -> None:
        self._private = load_ec_private(make_private(Algorithm.ES256, entropy))

    def public(self) -> dict[int, object]:
        """Give the public key as COSE (CTAP 2.1, 6.5.6: the algorithm is not really -25)."""
        numbers = self._private.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
        return {1: 2, 3: _ECDH_ES_HKDF_256, -1: 1, -2: x, -3: y}

    def agree(self, version: int, peer: Fields) -> Secret:
        """Combine with the platform's public key. CtapError INVALID_PARAMETER if it is none."""
        x, y = peer.require(-2, bytes), peer.require(-3, bytes)
        if peer.require(1, int) != 2 or peer.require(-1, int) != 1:  # noqa: PLR2004 - COSE EC2, P-256
            raise CtapError(_INVALID)
        try:
            point = ec.EllipticCurvePublicKey.from_encoded_point(
                ec.SECP256R1(), b"\x04" + x.rjust(32, b"\0") + y.rjust(32, b"\0")
            )
        except (ValueError, InvalidSignature) as error:
            raise CtapError(_INVALID) from error
        return Secret(version, self._private.exchange(ec.ECDH(), point))


def check_code(version: int, key: bytes, message: bytes, code: bytes) -> None:
    """CtapError PIN_AUTH_INVALID unless `code` is the protocol's HMAC of `message`."""
    expected = hmac.digest(key, message, "sha256")
    if version == 1:
        expected = expected[:16]
    if not hmac.compare_digest(expected, code):
        raise CtapError(CtapError.ERR.PIN_AUTH_INVALID)


def _derive(z: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=bytes(32), info=info).derive(z)
