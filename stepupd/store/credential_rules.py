"""What a record must be like before it is stored."""

from stepupd.core.errors import InternalError, RequestError
from stepupd.core.model import Credential

MAX_NAME = 40
"""Fits a prompt line beside the sentence around it."""
MAX_ID = 1023
"""WebAuthn section 4, "Credential ID"."""
_MAX_COUNT = 2**32 - 1
"""WebAuthn section 6.1: signCount is 32 bits."""


def check_name(name: str, others: tuple[Credential, ...]) -> None:
    """Raise RequestError unless the name can be shown, and is not another's of the subject."""
    if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        raise RequestError(
            f"a name has 1 to {MAX_NAME} printable characters, no space at the ends",
            reason="bad-name",
        )
    if any(other.name == name for other in others):
        raise RequestError("you have a key of that name", reason="name-taken")


def check_credential(credential: Credential) -> None:
    """Raise InternalError for a record that no ceremony can have made."""
    if not 0 < len(credential.id) <= MAX_ID:
        raise InternalError(f"a credential id has 1 to {MAX_ID} bytes")
    if credential.subject_uid < 0:
        raise InternalError("a uid is not negative")
    _check_range(credential.sign_count)


def check_use(credential: Credential, sign_count: int) -> None:
    """Raise InternalError unless the count grew, or the key has none (WebAuthn section 6.1.1)."""
    _check_range(sign_count)
    if sign_count <= credential.sign_count and (sign_count or credential.sign_count):
        raise InternalError(
            f"sign count {sign_count} after {credential.sign_count}", reason="counter-regressed"
        )


def _check_range(sign_count: int) -> None:
    if not 0 <= sign_count <= _MAX_COUNT:
        raise InternalError("a sign count has 32 bits")
