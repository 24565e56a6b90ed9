"""The last look before the entry is written, whether what was proved still holds.

A ceremony knows the world as it was when it began, and a person takes seconds. Meanwhile the key
may have been removed, its counter may have moved, the code may have been used. What no longer holds
is an ordinary refusal, with the alarm that belongs to it; the log never says "allow" for it.
"""

from stepupd.core.assertion import is_newer_count
from stepupd.core.conclude import refuse
from stepupd.core.evidence import Evidence
from stepupd.core.model import Credential, Reason, RecoveryCode
from stepupd.core.outcome import Outcome


def confirm(
    outcome: Outcome, credentials: tuple[Credential, ...], codes: tuple[RecoveryCode, ...]
) -> Outcome:
    """Return the outcome, or the refusal that it is by now. Both lists are the subject's, fresh."""
    if not outcome.verdict.is_allow:
        return outcome
    if outcome.credential is not None:
        new = outcome.credential
        is_taken = any(other.id == new.id or other.name == new.name for other in credentials)
        return refuse(Reason.ALREADY_ENROLLED, outcome.decision) if is_taken else outcome
    if outcome.evidence is None:
        return outcome
    reason = _find_fault(outcome.evidence, credentials, codes)
    if reason is None:
        return outcome
    return refuse(reason, outcome.decision, credential_id=outcome.evidence.credential_id)


def _find_fault(
    evidence: Evidence, credentials: tuple[Credential, ...], codes: tuple[RecoveryCode, ...]
) -> Reason | None:
    if evidence.recovery_tag:
        is_unused = any(code.tag == evidence.recovery_tag for code in codes)
        return None if is_unused else Reason.BAD_CODE
    stored = next((item for item in credentials if item.id == evidence.credential_id), None)
    if stored is None:
        return Reason.UNKNOWN_CREDENTIAL
    if not is_newer_count(evidence.sign_count, stored.sign_count):
        return Reason.COUNTER_REGRESSED
    return None
