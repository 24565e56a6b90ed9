"""What the caller is told of a ceremony's end."""

from stepupd.core.assurance import list_methods_references
from stepupd.core.call import Result
from stepupd.core.decision import Satisfied
from stepupd.core.outcome import Outcome
from stepupd.core.snapshot import Snapshot


def report(now: Snapshot, outcome: Outcome, entry: int) -> Result:
    """Return the result of an outcome whose audit entry is number `entry`."""
    decision, evidence = outcome.decision, outcome.evidence
    rule = decision.rule if decision is not None else ""
    if isinstance(decision, Satisfied):
        return Result(
            outcome.verdict,
            entry,
            rule,
            level=decision.grant.level,
            auth_age=now.now.boot - decision.grant.auth_time,
            grant=decision.grant,
        )
    return Result(
        outcome.verdict,
        entry,
        rule,
        level=evidence.level if evidence else None,
        amr=list_methods_references(evidence) if evidence else (),
        auth_age=0.0 if evidence else None,
        grant=outcome.grant,
        credential=outcome.credential,
    )
