"""The authentication ceremony: decide, ask for proof, check it, conclude.

The law of this file: the only roads to "allow" are a rule that says so, a grant that covers the
request, and evidence that a checker made and that reaches the level that was required.
"""

from stepupd.core.assertion import Expectation, check_assertion
from stepupd.core.client_data import ClientDataType, make_client_data, origin_of
from stepupd.core.conclude import refuse, refuse_error, refuse_trouble
from stepupd.core.decision import Allow, Deny, Satisfied, StepUp
from stepupd.core.effects import Asserted, AssertFido2, Ceremony, Trouble, TroubleKind, Use
from stepupd.core.errors import AuthenticatorError
from stepupd.core.evidence import Evidence
from stepupd.core.grants import make_grant
from stepupd.core.judge import judge
from stepupd.core.model import Answer, Credential, Level, Method, Reason, Requirement, Verdict
from stepupd.core.outcome import Outcome
from stepupd.core.pin import use_authenticator
from stepupd.core.prompts import say_touch
from stepupd.core.recovery import INSERT_WAIT, is_key_lost, may_recover, recover
from stepupd.core.snapshot import Snapshot


def authenticate(now: Snapshot) -> Ceremony:
    """Return the ceremony that answers the snapshot's request."""
    decision = judge(now)
    match decision:
        case Deny(reason=reason):
            return refuse(reason, decision)
        case Allow():
            return Outcome(Verdict(Answer.ALLOW, Reason.RULE_ALLOWS), decision)
        case Satisfied():
            return Outcome(Verdict(Answer.ALLOW, Reason.GRANT), decision)
        case StepUp():
            return (yield from prove(now, decision))


def prove(now: Snapshot, decision: StepUp) -> Ceremony:
    """Ask for proof that meets the decision's requirement, and check it."""
    requirement = decision.requirement
    credentials = find_usable(now, requirement)
    if not credentials:
        if may_recover(now, requirement):
            return (yield from recover(now, decision))
        return refuse(Reason.NO_CREDENTIAL, decision)
    use = ask_for_assertion(now, credentials, requirement)
    reply = yield from use_authenticator(use, now.request, requirement.attempts)
    match reply:
        case Asserted():
            return conclude_assertion(now, decision, credentials, reply)
        case Trouble() if is_key_lost(reply) and may_recover(now, requirement):
            return (yield from recover(now, decision))
        case Trouble():
            return refuse_trouble(reply, decision)
        case _:
            return refuse_trouble(Trouble(TroubleKind.INTERNAL), decision)


def find_usable(now: Snapshot, requirement: Requirement) -> tuple[Credential, ...]:
    """Return the subject's credentials that could reach the required level."""
    if Method.FIDO2 not in requirement.methods:
        return ()
    return tuple(
        credential
        for credential in now.credentials
        if requirement.level < Level.ATTESTED
        or (credential.is_attested and not credential.backup_eligible)
    )


def ask_for_assertion(
    now: Snapshot, credentials: tuple[Credential, ...], requirement: Requirement
) -> Use:
    """Return the effect that asks any of the subject's keys to sign the challenge."""
    operation = AssertFido2(
        rp_id=now.rp_id,
        client_data_json=make_client_data(ClientDataType.GET, now.challenge, origin_of(now.rp_id)),
        allow=tuple(credential.id for credential in credentials),
        is_uv=is_uv_required(requirement),
    )
    text = say_touch(now.request, is_simulated=now.is_simulated)
    start = now.now.boot
    insert_deadline = start + INSERT_WAIT if may_recover(now, requirement) else None
    return Use((operation,), text, start + requirement.deadline, insert_deadline)


def is_uv_required(requirement: Requirement) -> bool:
    """Return whether the person must be verified, not only present."""
    return requirement.level >= Level.VERIFY


def conclude_assertion(
    now: Snapshot, decision: StepUp, credentials: tuple[Credential, ...], reply: Asserted
) -> Outcome:
    """Check an assertion and return the outcome."""
    requirement = decision.requirement
    try:
        evidence = check_reply(now, credentials, reply, is_uv=is_uv_required(requirement))
    except AuthenticatorError as error:
        return refuse_error(error, decision, credential_id=reply.credential_id)
    if evidence.level < requirement.level:
        return refuse(Reason.LEVEL_TOO_LOW, decision)
    return Outcome(
        Verdict(Answer.ALLOW, Reason.PROVED),
        decision,
        evidence=evidence,
        grant=make_grant(
            now.request,
            requirement,
            evidence,
            now.now,
            now.nonce,
            authenticator=reply.authenticator,
        ),
    )


def check_reply(
    now: Snapshot, credentials: tuple[Credential, ...], reply: Asserted, *, is_uv: bool
) -> Evidence:
    """Return the evidence of an assertion over this snapshot's challenge."""
    return check_assertion(
        reply,
        Expectation(
            rp_id=now.rp_id,
            challenge=now.challenge,
            subject_uid=now.request.subject.uid,
            credentials=credentials,
            is_uv_required=is_uv,
        ),
    )
