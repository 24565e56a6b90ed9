"""The registration ceremony: make a credential, check it, and try it before it counts.

Whether the caller may enrol at all is decided before (see `management`); here a key is asked, its
attestation checked, and the new credential used once at once, so that nobody finds out at the
next `sudo` that it does not work.
"""

from dataclasses import replace

from stepupd.core.attestation import NewCredential, check_registration
from stepupd.core.authentication import check_reply
from stepupd.core.client_data import ClientDataType, make_client_data, origin_of
from stepupd.core.conclude import refuse_error, refuse_trouble
from stepupd.core.cose import ALGORITHMS
from stepupd.core.effects import (
    Asserted,
    AssertFido2,
    Ceremony,
    Registered,
    RegisterFido2,
    Trouble,
    TroubleKind,
    Use,
)
from stepupd.core.errors import AuthenticatorError
from stepupd.core.model import Answer, Credential, Reason, Verdict
from stepupd.core.outcome import Outcome
from stepupd.core.pin import use_authenticator
from stepupd.core.prompts import say_enrol, say_second_touch
from stepupd.core.snapshot import Snapshot

DEADLINE = 60.0
"""Seconds for both touches: people look for the new key first."""

ATTEMPTS = 2


def register(now: Snapshot, name: str, user_id: bytes) -> Ceremony:
    """Return the ceremony that enrols a new credential called `name` for the subject.

    `user_id` is the WebAuthn user handle: opaque, random, the same for all of a subject's keys.
    """
    use = _ask_for_registration(now, user_id)
    reply = yield from use_authenticator(use, now.request, ATTEMPTS)
    if not isinstance(reply, Registered):
        return refuse_trouble(_trouble_of(reply))
    try:
        new = check_registration(
            reply,
            rp_id=now.rp_id,
            challenge=now.challenge,
            roots=now.attestation_roots,
            now_wall=now.now.wall,
            is_uv_required=False,
        )
    except AuthenticatorError as error:
        return refuse_error(error)
    credential = _describe_credential(now, name, new, is_simulated=reply.is_simulated)
    return (yield from _try_credential(now, credential, use.deadline))


def _ask_for_registration(now: Snapshot, user_id: bytes) -> Use:
    operation = RegisterFido2(
        rp_id=now.rp_id,
        client_data_json=make_client_data(
            ClientDataType.CREATE, now.challenge, origin_of(now.rp_id)
        ),
        user_id=user_id,
        user_name=now.request.subject.name,
        algorithms=tuple(ALGORITHMS),
        exclude=tuple(credential.id for credential in now.credentials),
    )
    text = say_enrol(now.request.subject.name, is_simulated=now.is_simulated)
    return Use((operation,), text, now.now.boot + DEADLINE)


def _try_credential(now: Snapshot, credential: Credential, deadline: float) -> Ceremony:
    operation = AssertFido2(
        rp_id=now.rp_id,
        client_data_json=make_client_data(ClientDataType.GET, now.challenge, origin_of(now.rp_id)),
        allow=(credential.id,),
        is_uv=False,
    )
    text = say_second_touch(is_simulated=now.is_simulated)
    use = Use((operation,), text, deadline)
    reply = yield from use_authenticator(use, now.request, ATTEMPTS)
    if not isinstance(reply, Asserted):
        return refuse_trouble(_trouble_of(reply))
    try:
        evidence = check_reply(now, (credential,), reply, is_uv=False)
    except AuthenticatorError as error:
        return refuse_error(error)
    used = replace(credential, sign_count=evidence.sign_count, backed_up=evidence.backed_up)
    verdict = Verdict(Answer.ALLOW, Reason.PROVED)
    return Outcome(verdict, evidence=evidence, credential=used)


def _describe_credential(
    now: Snapshot, name: str, new: NewCredential, *, is_simulated: bool
) -> Credential:
    return Credential(
        id=new.id,
        subject_uid=now.request.subject.uid,
        name=name,
        rp_id=now.rp_id,
        public_key=new.public_key,
        aaguid=new.aaguid,
        sign_count=new.sign_count,
        backup_eligible=new.backup_eligible,
        backed_up=new.backed_up,
        is_attested=new.is_attested,
        is_simulated=is_simulated,
        created=now.now.wall,
    )


def _trouble_of(reply: object) -> Trouble:
    return reply if isinstance(reply, Trouble) else Trouble(TroubleKind.INTERNAL)
