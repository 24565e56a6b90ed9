"""Check again, from the audit log alone, that a person's key approved what an entry tells.

Law: the challenge is computed from what the entry says was asked, and the public key comes from an
earlier entry that enrolled it; neither is taken from the evidence.

Not done here: the order of signature counters, and single use of a nonce. The daemon saw to both
when it mattered, and an entry that was added later shows in the tree.
"""

import hashlib
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stepupd.core.authenticator_data import (
    check_presence,
    check_rp_id,
    parse_authenticator_data,
)
from stepupd.core.challenge import NONCE_SIZE, commit_to, digest_claim
from stepupd.core.client_data import ClientDataType, check_client_data, origin_of
from stepupd.core.cose import parse_public_key
from stepupd.core.entry import Entry
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Answer, Claim, Level, Method, Reason

_TOLD = ("action", "subject", "subject_uid", "caller_uid")
_CUT = re.compile(r"\[\+\d+\]\Z")
_NONE_NEEDED = {"answer": Answer.ALLOW.value}
_LEVELS = {level.word: level for level in Level}


@dataclass(frozen=True, slots=True)
class EnrolledKey:
    """Whose key it is, and the key: a COSE_Key."""

    subject_uid: int
    public_key: bytes


def follow_enrolment(keys: dict[str, EnrolledKey], entry: Entry) -> None:
    """Add the key that an entry enrols to `keys`, by credential id; drop the one it removes.

    Raises AuthenticatorError if the entry claims to do so, but does not say it properly.
    """
    if entry.kind == "withdrawn" and "credential" not in entry.fields:
        return
    if entry.kind not in {"enrol", "remove", "withdrawn"} or not _is_done(entry):
        return
    credential = _take_mapping(entry.fields, "credential")
    credential_id = _take_text(credential, "id")
    if entry.kind in {"remove", "withdrawn"}:
        keys.pop(credential_id, None)
        return
    public_key = _take_bytes(credential, "public_key")
    algorithm = parse_public_key(public_key).algorithm
    if credential.get("algorithm", algorithm) != algorithm:
        raise AuthenticatorError(
            "the enrolled key has another algorithm", reason=Reason.ALGORITHM_MISMATCH
        )
    keys[credential_id] = EnrolledKey(_take_number(credential, "subject_uid"), public_key)


def find_key(keys: Mapping[str, EnrolledKey], entry: Entry) -> EnrolledKey | None:
    """Return the key that has to have signed for this entry; None if none had to.

    Raises AuthenticatorError if the entry needs evidence and has none, or names no enrolled key.
    """
    if "evidence" not in entry.fields:
        verdict = entry.fields.get("verdict")
        is_proved = isinstance(verdict, dict) and verdict.get("reason") == Reason.PROVED
        if is_proved and entry.kind == "step-up":
            raise _refuse("said to be proved, without evidence")
        return None
    evidence = _take_mapping(entry.fields, "evidence")
    if evidence.get("method") == Method.RECOVERY:
        # Nothing was signed: a code proves itself to whoever held its hash, then and only then.
        if _take_level(entry.fields) is not Level.CODE:
            raise _refuse("a recovery code never reaches that level")
        return None
    key = keys.get(_take_text(evidence, "credential"))
    if key is None:
        raise AuthenticatorError(
            "signed by a credential that was not enrolled then", reason=Reason.UNKNOWN_CREDENTIAL
        )
    return key


def recheck_evidence(entry: Entry, key: EnrolledKey) -> None:
    """Check the evidence in an entry against the key of its credential.

    1. What was signed for is what the entry tells, and the subject's own key signed.
    2. The client data commits to it.
    3. The authenticator data was made for that relying party, and registers nothing.
    4. The key signed all of it.
    5. A person was present, and verified if the level says so.

    Raises AuthenticatorError whose reason names the first obligation that fails.
    """
    evidence = _take_mapping(entry.fields, "evidence")
    if evidence.get("method") != Method.FIDO2:
        raise AuthenticatorError("evidence of an unknown kind", reason=Reason.UNSUPPORTED)
    challenge = _take_mapping(entry.fields, "challenge")
    description = _take_text(challenge, "request")
    rp_id = _match_request(description, _take_mapping(entry.fields, "request"), key)  # 1
    client_data = _take_text(evidence, "client_data_json").encode("utf-8", "surrogatepass")
    nonce = _take_bytes(challenge, "nonce")
    if len(nonce) != NONCE_SIZE:
        raise _refuse("the nonce has another size")
    check_client_data(  # 2
        client_data,
        type=ClientDataType.GET,
        challenge=commit_to(nonce, description.encode("ascii")),
        origin=origin_of(rp_id),
    )
    raw = _take_bytes(evidence, "authenticator_data")
    data = parse_authenticator_data(raw)
    check_rp_id(data, rp_id)  # 3
    if data.attested is not None:
        raise _refuse("an assertion registers nothing")
    signed = raw + hashlib.sha256(client_data).digest()
    parse_public_key(key.public_key).verify(_take_bytes(evidence, "signature"), signed)  # 4
    check_presence(data, is_uv_required=_take_level(entry.fields) >= Level.VERIFY)  # 5


def _match_request(description: str, told: Mapping[str, Any], key: EnrolledKey) -> str:
    """Return the RP ID in a canonical request that says what `told` says."""
    try:
        request = json.loads(description)
        again = json.dumps(request, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        raise _refuse("the canonical request is no JSON") from None
    if not isinstance(request, dict) or again != description:
        raise _refuse("the canonical request is not canonical")
    for name in _TOLD:
        signed, claimed = request.get(name), told.get(name)
        if signed is None or signed != claimed or type(signed) is not type(claimed):
            raise AuthenticatorError(f"signed for another {name}", reason=Reason.CHALLENGE_MISMATCH)
    if request["subject_uid"] != key.subject_uid:
        raise AuthenticatorError(
            "the credential is another subject's", reason=Reason.UNKNOWN_CREDENTIAL
        )
    _match_command(_take_text(request, "command_sha256"), told)
    return _take_text(request, "rp_id")


def _match_command(digest: str, told: Mapping[str, Any]) -> None:
    claim = told.get("claim", {})
    command = claim.get("command", []) if isinstance(claim, dict) else None
    if not isinstance(command, list) or not all(isinstance(item, str) for item in command):
        raise _refuse("the command is no list of texts")
    # What was too long to be logged whole cannot be compared; it shows that it was cut.
    if any(_CUT.search(item) for item in command):
        return
    if digest_claim(Claim(tuple(command))) != digest:
        raise AuthenticatorError("signed for another command", reason=Reason.CHALLENGE_MISMATCH)


def _is_done(entry: Entry) -> bool:
    """Tell whether it happened: a ceremony has a verdict, what root does has none."""
    is_told = entry.kind in {"remove", "withdrawn"}
    verdict = entry.fields.get("verdict", _NONE_NEEDED if is_told else None)
    return isinstance(verdict, dict) and verdict.get("answer") == Answer.ALLOW.value


def _take_level(fields: Mapping[str, Any]) -> Level:
    level = _LEVELS.get(_take_text(fields, "level"))
    if level is None:
        raise _refuse("level is no level")
    return level


def _take_mapping(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise _refuse(f"{name} is missing")
    return value


def _take_text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str):
        raise _refuse(f"{name} is no text")
    return value


def _take_number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int:
        raise _refuse(f"{name} is no number")
    return value


def _take_bytes(fields: Mapping[str, Any], name: str) -> bytes:
    """Decode base64url without padding, in its one spelling."""
    text = _take_text(fields, name)
    try:
        value = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        raise _refuse(f"{name} is no base64url") from None
    if urlsafe_b64encode(value).rstrip(b"=").decode() != text:
        raise _refuse(f"{name} is no base64url")
    return value


def _refuse(what: str) -> AuthenticatorError:
    return AuthenticatorError(f"malformed entry: {what}", reason=Reason.BAD_ENCODING)
