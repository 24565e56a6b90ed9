"""Client data: what a signature says it is for (WebAuthn Level 3 sections 5.8.1 and 5.8.1.1).

Law: type, challenge and origin must be exactly ours. A repeated member, a cross-origin claim or
anything that is no JSON object is refused; members we do not know are tolerated, as the
specification demands.

Not done here: single use of the challenge, which whoever issued it must see to.
"""

import hmac
import json
from base64 import urlsafe_b64encode
from enum import StrEnum, unique
from typing import Never

from stepupd.core.errors import AuthenticatorError, InternalError
from stepupd.core.model import Reason

MAX_SIZE = 8 * 1024
"""Bytes. Ours take about 170; browsers add some members, none add kilobytes."""

MIN_CHALLENGE_SIZE = 16
"""Bytes. WebAuthn Level 3 section 13.4.3."""

_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {0x22: '\\"', 0x5C: "\\\\"}


@unique
class ClientDataType(StrEnum):
    """What kind of signature it is."""

    CREATE = "webauthn.create"
    GET = "webauthn.get"


def origin_of(rp_id: str) -> str:
    """Return the origin that stepupd signs for: no browser can ever have it."""
    return f"stepup://{rp_id}"


def make_client_data(type: ClientDataType, challenge: bytes, origin: str) -> bytes:  # noqa: A002 - the specification's word
    """Return clientDataJSON, byte for byte as WebAuthn Level 3 section 5.8.1.1 serialises it."""
    members = {"type": type.value, "challenge": _encode_challenge(challenge), "origin": origin}
    body = ",".join(f'"{name}":{_quote(value)}' for name, value in members.items())
    return f'{{{body},"crossOrigin":false}}'.encode()


def check_client_data(data: bytes, *, type: ClientDataType, challenge: bytes, origin: str) -> None:  # noqa: A002 - the specification's word
    """Check steps 8 to 14 of WebAuthn Level 3 section 7.2 (the same in 7.1).

    Raises AuthenticatorError: `bad-encoding`, `type-mismatch`, `challenge-mismatch`,
    `origin-mismatch`. Raises InternalError if the expected challenge is too short to be one.
    """
    if len(challenge) < MIN_CHALLENGE_SIZE:
        raise InternalError("the expected challenge is too short")
    members = _parse(data)
    if members.get("type") != type.value:
        raise AuthenticatorError("signed for another operation", reason=Reason.TYPE_MISMATCH)
    if not _is_same(members.get("challenge"), _encode_challenge(challenge)):
        raise AuthenticatorError("signed for another request", reason=Reason.CHALLENGE_MISMATCH)
    if members.get("origin") != origin:
        raise AuthenticatorError("signed for another origin", reason=Reason.ORIGIN_MISMATCH)
    if members.get("crossOrigin", False) is not False or "topOrigin" in members:
        raise AuthenticatorError("signed inside another page", reason=Reason.ORIGIN_MISMATCH)


def _encode_challenge(challenge: bytes) -> str:
    return urlsafe_b64encode(challenge).rstrip(b"=").decode("ascii")


def _is_same(given: object, expected: str) -> bool:
    return isinstance(given, str) and hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), expected.encode()
    )


def _quote(text: str) -> str:
    """`CCDToString`: unlike JSON encoders, it has no short escape for, say, a newline."""
    return f'"{text.translate(_ESCAPES)}"'


def _parse(data: bytes) -> dict[str, object]:
    if len(data) > MAX_SIZE:
        raise _refuse("too large")
    try:
        members = json.loads(
            data.decode(), object_pairs_hook=_collect, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        raise _refuse("not JSON") from None
    if not isinstance(members, dict):
        raise _refuse("not a JSON object")
    return members


def _collect(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _refuse("a member twice")
    return members


def _refuse_constant(name: str) -> Never:
    raise _refuse(f"{name} is not JSON")


def _refuse(what: str) -> AuthenticatorError:
    return AuthenticatorError(f"malformed client data: {what}", reason=Reason.BAD_ENCODING)
