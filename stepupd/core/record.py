"""What the audit log says of each ceremony and each change; see docs/audit for the fields.

Nothing typed ever gets here: no PIN, no code, no environment. Foreign text goes in as it came, the
log's encoding makes it harmless.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping

from stepupd.core.assurance import find_assurance_level, list_methods_references
from stepupd.core.challenge import describe_request
from stepupd.core.decision import Decision, Satisfied, StepUp
from stepupd.core.evidence import Evidence
from stepupd.core.judge import foresee
from stepupd.core.model import (
    Answer,
    Caller,
    Credential,
    Grant,
    Method,
    Reason,
    Session,
    StepUpRequest,
)
from stepupd.core.outcome import Outcome
from stepupd.core.risk.facts import describe_facts
from stepupd.core.snapshot import Snapshot

Record = dict[str, object]


def describe_step_up(
    now: Snapshot, outcome: Outcome, latencies: Mapping[str, float], kind: str = "step-up"
) -> Record:
    """Return the record of one ceremony. Latencies are milliseconds, by what took them."""
    record: Record = {
        "kind": kind,
        "request": _describe_request(now.request) | {"boot": round(now.now.boot, 3)},
        "policy": now.policy.digest,
        "verdict": {
            "answer": outcome.verdict.answer.value,
            "reason": outcome.verdict.reason.value,
        },
        "latency_ms": {name: round(value, 3) for name, value in latencies.items()},
    }
    if now.profile is not None:
        record["facts"] = describe_facts(now.facts)
    if outcome.decision is not None:
        record["decision"] = _describe_decision(outcome.decision)
        foreseen = foresee(now)
        if foreseen is not None:
            record["would"] = _describe_decision(foreseen)
    if outcome.evidence is not None:
        record |= _describe_proof(now, outcome.evidence)
    if outcome.grant is not None:
        record["grant"] = describe_grant(outcome.grant)
    if outcome.credential is not None:
        record["credential"] = describe_credential(outcome.credential)
    if outcome.alarm:
        record["alarm"] = outcome.alarm
    if outcome.suspect:
        record["suspect"] = encode_bytes(outcome.suspect)
    return record


def describe_withdrawal(entry: int, outcome: Outcome) -> Record:
    """Return the record that an earlier entry did not come true: storing its result failed."""
    record: Record = {"kind": "withdrawn", "entry": entry}
    if outcome.credential is not None:
        record["credential"] = {"id": encode_bytes(outcome.credential.id)}
    if outcome.suspect:
        record["suspect"] = encode_bytes(outcome.suspect)
    return record


def describe_change(kind: str, caller: Caller, subject_uid: int, **fields: object) -> Record:
    """Return the record of something that was managed without a ceremony of its own."""
    return {
        "kind": kind,
        "caller_uid": caller.uid,
        "caller_pid": caller.pid,
        "subject_uid": subject_uid,
        **fields,
    }


def describe_known_key(caller: Caller, credential: Credential) -> Record:
    """Return the entry that carries a key over into a new log, so that it can be verified."""
    return describe_change(
        "enrol",
        caller,
        credential.subject_uid,
        carried_over=True,
        verdict={"answer": Answer.ALLOW.value, "reason": Reason.PROVED.value},
        credential=describe_credential(credential),
    )


def describe_credential(credential: Credential) -> Record:
    """Return what identifies a credential, with the public key that checks its signatures."""
    return {
        "id": encode_bytes(credential.id),
        "name": credential.name,
        "subject_uid": credential.subject_uid,
        "public_key": encode_bytes(credential.public_key),
        "aaguid": credential.aaguid.hex(),
        "is_attested": credential.is_attested,
        "is_simulated": credential.is_simulated,
        "is_suspect": credential.is_suspect,
    }


def describe_grant(grant: Grant) -> Record:
    """Return what identifies a grant and how far it reaches."""
    record: Record = {
        "id": grant.id,
        "scope": grant.scope.value,
        "level": grant.level.word,
        "lasts": round(grant.expires - grant.auth_time, 3),
    }
    if grant.plugged_as:
        record["while_plugged"] = True
    return record


def encode_bytes(data: bytes) -> str:
    """Return base64url without padding, as WebAuthn writes it."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _describe_request(request: StepUpRequest) -> Record:
    claim = request.claim
    record: Record = {
        "action": request.action,
        "subject": request.subject.name,
        "subject_uid": request.subject.uid,
        "caller_uid": request.caller.uid,
        "caller_pid": request.caller.pid,
        "door": request.caller.door.value,
    }
    if request.subject.groups:
        record["groups"] = sorted(request.subject.groups)
    if request.level is not None:
        record["level"] = request.level.word
    if request.max_age is not None:
        record["max_age"] = request.max_age
    if request.session is not None:
        record["session"] = _describe_session(request.session)
    claimed: Record = {
        name: value
        for name, value in (
            ("command", list(claim.command)),
            ("command_is_cut", claim.command_is_cut),
            ("reason", claim.reason),
            ("ruser", claim.ruser),
            ("rhost", claim.rhost),
        )
        if value
    }
    if claimed:
        record["claim"] = claimed
    return record


def _describe_session(session: Session) -> Record:
    return {"leader": session.leader, "leader_start": session.leader_start, "tty": session.tty}


def _describe_decision(decision: Decision) -> Record:
    record: Record = {"is": type(decision).__name__.lower(), "rule": decision.rule}
    risk = decision.risk
    if risk.signals:
        signals = {signal.name: signal.weight for signal in risk.signals}
        record["risk"] = {"score": risk.score, "signals": signals}
    if isinstance(decision, StepUp | Satisfied):
        requirement = decision.requirement
        record["required"] = {"level": requirement.level.word, "max_age": requirement.max_age}
    if isinstance(decision, Satisfied):
        record["grant"] = decision.grant.id
    return record


def _describe_proof(now: Snapshot, evidence: Evidence) -> Record:
    return {
        "level": evidence.level.word,
        "aal": find_assurance_level(evidence),
        "amr": list(list_methods_references(evidence)),
        "challenge": {
            "nonce": encode_bytes(now.nonce),
            "request": describe_request(now.request, now.rp_id, now.now).decode("ascii"),
        },
        "evidence": _describe_evidence(evidence),
    }


def _describe_evidence(evidence: Evidence) -> Record:
    if evidence.method is Method.RECOVERY:
        return {"method": evidence.method.value, "code": evidence.recovery_tag}
    return {
        "method": evidence.method.value,
        "credential": encode_bytes(evidence.credential_id),
        "authenticator_data": encode_bytes(evidence.authenticator_data),
        "client_data_json": evidence.client_data_json.decode("utf-8"),
        "signature": encode_bytes(evidence.signature),
    }
