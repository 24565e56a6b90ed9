"""Check an assertion: the only way to an `Evidence`.

Law: a reply proves something only if every obligation of `check_assertion` holds. What is expected
comes from the ceremony, never from the reply.

Not done here: single use of the challenge (the ceremony issues each one once), and storing the new
counter (whoever commits the outcome does, before anyone hears of it).
"""

import hashlib
from dataclasses import dataclass

from stepupd.core.authenticator_data import (
    AuthenticatorData,
    check_presence,
    check_rp_id,
    parse_authenticator_data,
)
from stepupd.core.client_data import ClientDataType, check_client_data, origin_of
from stepupd.core.cose import parse_public_key
from stepupd.core.effects import Asserted
from stepupd.core.errors import AuthenticatorError
from stepupd.core.evidence import Evidence, make_evidence
from stepupd.core.model import Credential, Level, Reason

MAX_DATA = 1024
"""Bytes of authenticator data: 37 and what an extension adds unasked. The log keeps all of it."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the ceremony asked for. No `credentials` means that nothing can satisfy it."""

    rp_id: str
    challenge: bytes
    subject_uid: int
    credentials: tuple[Credential, ...]
    is_uv_required: bool


def check_assertion(reply: Asserted, expected: Expectation) -> Evidence:
    """Return what `reply` proves. WebAuthn Level 3 section 7.2, narrowed to one relying party.

    1. The credential is one of those listed, of this subject and this relying party.
    2. Client data: a `webauthn.get` for this challenge from our own origin.
    3. Authenticator data: well formed, no reserved flags, no backup state without eligibility.
    4. It was made for our RP ID.
    5. It registers nothing.
    6. The credential's key, under the algorithm of its enrolment, signed all of it.
    7. A person was present.
    8. The person was verified, if that was required.
    9. The key is as eligible for backup as it was at enrolment.
    10. The counter moved forward, unless the authenticator keeps none.

    What can raise an alarm (9, 10) comes after the signature: a forger cannot raise it.
    Raises AuthenticatorError whose reason names the first obligation that fails.
    """
    credential = _find_credential(reply.credential_id, expected)  # 1
    check_client_data(  # 2
        reply.client_data_json,
        type=ClientDataType.GET,
        challenge=expected.challenge,
        origin=origin_of(expected.rp_id),
    )
    if len(reply.authenticator_data) > MAX_DATA:
        raise AuthenticatorError("too much was signed", reason=Reason.BAD_ENCODING)
    data = parse_authenticator_data(reply.authenticator_data)  # 3
    check_rp_id(data, expected.rp_id)  # 4
    if data.attested is not None:  # 5
        raise AuthenticatorError("an assertion registers nothing", reason=Reason.BAD_ENCODING)
    signed = reply.authenticator_data + hashlib.sha256(reply.client_data_json).digest()
    parse_public_key(credential.public_key).verify(reply.signature, signed)  # 6
    check_presence(data, is_uv_required=expected.is_uv_required)  # 7, 8
    _check_backup(data, credential)  # 9
    _check_counter(data, credential)  # 10
    return make_evidence(
        level=_level_of(data, credential),
        credential_id=credential.id,
        credential_name=credential.name,
        is_uv=data.is_uv,
        is_simulated=reply.is_simulated or credential.is_simulated,
        sign_count=data.sign_count,
        backed_up=data.backed_up,
        authenticator_data=reply.authenticator_data,
        client_data_json=reply.client_data_json,
        signature=reply.signature,
    )


def _find_credential(credential_id: bytes, expected: Expectation) -> Credential:
    for credential in expected.credentials:
        is_own = (
            credential.subject_uid == expected.subject_uid and credential.rp_id == expected.rp_id
        )
        if is_own and credential.id == credential_id:
            return credential
    raise AuthenticatorError(
        "the credential is not one of the subject's", reason=Reason.UNKNOWN_CREDENTIAL
    )


def _check_backup(data: AuthenticatorData, credential: Credential) -> None:
    if data.backup_eligible != credential.backup_eligible:
        raise AuthenticatorError(
            "eligibility for backup changed since enrolment", reason=Reason.BACKUP_CHANGED
        )


def _check_counter(data: AuthenticatorData, credential: Credential) -> None:
    if not is_newer_count(data.sign_count, credential.sign_count):
        raise AuthenticatorError(
            "the signature counter did not move forward: the key may have been copied",
            reason=Reason.COUNTER_REGRESSED,
        )


def is_newer_count(new: int, stored: int) -> bool:
    """Return whether a signature counter moved forward (WebAuthn Level 3 section 6.1.1).

    Zero both times: the authenticator keeps none.
    """
    return new > stored or new == stored == 0


def _level_of(data: AuthenticatorData, credential: Credential) -> Level:
    if not data.is_uv:
        return Level.TOUCH
    if credential.is_attested and not credential.backup_eligible:
        return Level.ATTESTED
    return Level.VERIFY
