"""The challenge commits to the request: a touch counts only for what was shown.

challenge = SHA-256("stepup challenge v1" || 0 || nonce || canonical request). The nonce makes it
single use, the canonical request makes it useless for any other action, subject, caller, command,
host or time. Whoever has the audit entry can compute it again.
"""

import hashlib
import json

from stepupd.core.model import Claim, Moment, StepUpRequest

NONCE_SIZE = 32
_LABEL = b"stepup challenge v1\0"


def describe_request(request: StepUpRequest, rp_id: str, now: Moment) -> bytes:
    """Return the canonical request: JSON, keys sorted, no spaces, ASCII only."""
    fields = {
        "action": request.action,
        "caller_uid": request.caller.uid,
        "command_sha256": digest_claim(request.claim),
        "rp_id": rp_id,
        "subject": request.subject.name,
        "subject_uid": request.subject.uid,
        "time": f"{now.wall:.6f}",
    }
    return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def digest_claim(claim: Claim) -> str:
    """Return the hex SHA-256 of the claimed command, each argument ended by NUL."""
    whole = b"".join(
        argument.encode("utf-8", "surrogatepass") + b"\0" for argument in claim.command
    )
    return hashlib.sha256(whole).hexdigest()


def commit_to(nonce: bytes, description: bytes) -> bytes:
    """Return the 32-byte challenge for a canonical request."""
    return hashlib.sha256(_LABEL + nonce + description).digest()


def make_challenge(nonce: bytes, request: StepUpRequest, rp_id: str, now: Moment) -> bytes:
    """Return the 32-byte challenge of one ceremony."""
    return commit_to(nonce, describe_request(request, rp_id, now))
