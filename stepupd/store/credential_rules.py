"""What a record must be like before it is stored."""

from stepupd.core.assertion import is_newer_count
from stepupd.core.errors import InternalError
from stepupd.core.model import Credential

MAX_ID = 1023
"""WebAuthn section 4, "Credential ID"."""
_MAX_COUNT = 2**32 - 1
"""WebAuthn section 6.1: signCount is 32 bits."""


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
    if not is_newer_count(sign_count, credential.sign_count):
        raise InternalError(
            f"sign count {sign_count} after {credential.sign_count}", reason="counter-regressed"
        )


def _check_range(sign_count: int) -> None:
    if not 0 <= sign_count <= _MAX_COUNT:
        raise InternalError("a sign count has 32 bits")
