"""Evidence: what a checked reply proves. Only a checker can make one.

Law: only `check_assertion` and `check_code` call the makers here; a test reads the imports. Whoever
holds an `Evidence` therefore holds something that was verified against the subject's own record.
"""

from dataclasses import InitVar, dataclass
from typing import final

from stepupd.core.errors import InternalError
from stepupd.core.model import Level, Method

_SEAL = object()


@final
@dataclass(frozen=True, slots=True)
class Evidence:
    """A verified proof. Its bytes are kept, so that anyone can verify it again years later."""

    level: Level
    method: Method
    credential_id: bytes
    credential_name: str
    is_uv: bool
    is_simulated: bool
    sign_count: int
    backed_up: bool
    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes
    recovery_tag: str
    """Which recovery code it was; empty for a key."""
    seal: InitVar[object]
    """No field: what is not stored cannot be taken from one evidence to make another."""

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise InternalError("evidence comes from a checker, not from a constructor")


def make_evidence(  # noqa: PLR0913 - one field each of what was checked
    *,
    level: Level,
    credential_id: bytes,
    credential_name: str,
    is_uv: bool,
    is_simulated: bool,
    sign_count: int,
    backed_up: bool,
    authenticator_data: bytes,
    client_data_json: bytes,
    signature: bytes,
) -> Evidence:
    """Seal a FIDO2 proof. For `check_assertion` alone."""
    return Evidence(
        level=level,
        method=Method.FIDO2,
        credential_id=credential_id,
        credential_name=credential_name,
        is_uv=is_uv,
        is_simulated=is_simulated,
        sign_count=sign_count,
        backed_up=backed_up,
        authenticator_data=authenticator_data,
        client_data_json=client_data_json,
        signature=signature,
        recovery_tag="",
        seal=_SEAL,
    )


def make_recovery_evidence(tag: str) -> Evidence:
    """Seal the use of a recovery code. For `check_code` alone."""
    return Evidence(
        level=Level.CODE,
        method=Method.RECOVERY,
        credential_id=b"",
        credential_name=f"recovery code {tag}",
        is_uv=False,
        is_simulated=False,
        sign_count=0,
        backed_up=False,
        authenticator_data=b"",
        client_data_json=b"",
        signature=b"",
        recovery_tag=tag,
        seal=_SEAL,
    )
