"""Recovery codes: what they look like, how they are kept, how one is checked.

The law of this file: a code holds 80 random bits that are stored nowhere, only as an Argon2id hash
(RFC 9106; NIST SP 800-63B-4 section 3.1.2.2 asks for 64 bits); its first four letters say which one
it is, so that checking costs one hash, not one for each code there is. Single use is the store's.
"""

import hmac
from collections.abc import Callable

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from stepupd.core.errors import AuthenticatorError
from stepupd.core.evidence import Evidence, make_recovery_evidence
from stepupd.core.model import Reason, RecoveryCode
from stepupd.core.secret import Secret

COUNT = 10
"""Codes in a set, as people know it from elsewhere."""

SIZE = 20
"""Letters of a code: 4 that name it, 16 of 5 bits each that are secret."""

SALT_SIZE = 16

_TAG_SIZE = 4
_GROUP = 5
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no letter looks like another."""

_MISREAD = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def make_code(random: bytes) -> str:
    """Return a code, in groups for the eye, from `SIZE` random bytes."""
    letters = "".join(_LETTERS[byte % len(_LETTERS)] for byte in random[:SIZE])
    return "-".join(letters[at : at + _GROUP] for at in range(0, SIZE, _GROUP))


def make_codes(make_random: Callable[[int], bytes]) -> tuple[str, ...]:
    """Return a set of `COUNT` codes, each with another tag."""
    codes: dict[str, str] = {}
    while len(codes) < COUNT:
        code = make_code(make_random(SIZE))
        codes[code[:_TAG_SIZE]] = code
    return tuple(codes.values())


def store_code(code: str, salt: bytes) -> RecoveryCode:
    """Return what is kept of a code."""
    plain = _read(code)
    return RecoveryCode(plain[:_TAG_SIZE], salt, _hash(plain, salt))


def check_code(typed: Secret, codes: tuple[RecoveryCode, ...]) -> Evidence:
    """Return the evidence of an unused code, or raise AuthenticatorError (`bad-code`)."""
    plain = _read(typed.reveal())
    for code in codes:
        is_named = hmac.compare_digest(code.tag.encode(), plain[:_TAG_SIZE].encode())
        if is_named and hmac.compare_digest(code.digest, _hash(plain, code.salt)):
            return make_recovery_evidence(code.tag)
    raise AuthenticatorError("no unused code", reason=Reason.BAD_CODE.value)


def _read(typed: str) -> str:
    """Return the letters of a code, however they were written; empty for what is none."""
    plain = typed.upper().translate(_MISREAD)
    return plain if len(plain) == SIZE and set(plain) <= set(_LETTERS) else ""


def _hash(plain: str, salt: bytes) -> bytes:
    # OWASP's parameters: about 20 ms, and each guess at 80 bits costs as much.
    kdf = Argon2id(salt=salt, length=32, iterations=2, lanes=1, memory_cost=19 * 1024)
    return kdf.derive(plain.encode("ascii"))
