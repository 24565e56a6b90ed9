"""One request judged: its risk, and what policy says.

The law of this file: the risk is weighed whatever the mode. While a policy is only watched
(`mode = "observe"`), the score raises nothing, and what it would have raised is kept beside it.
"""

from stepupd.core.decision import Decision
from stepupd.core.model import Risk
from stepupd.core.policy import Mode, decide
from stepupd.core.snapshot import Snapshot


def judge(now: Snapshot) -> Decision:
    """Return what policy says to the snapshot's request."""
    return _judge(now, is_enforced=now.policy.mode is Mode.ENFORCE)


def foresee(now: Snapshot) -> Decision | None:
    """Return what a policy that is only watched would say; None for one that is in force."""
    return None if now.policy.mode is Mode.ENFORCE else _judge(now, is_enforced=True)


def _judge(now: Snapshot, *, is_enforced: bool) -> Decision:
    policy, request = now.policy, now.request
    if not policy.is_weighing:
        return decide(policy, request, Risk(), now.grants, now.now)
    # Only here: most machines weigh nothing, and the signals take two megabytes.
    from stepupd.core.risk.assess import assess_observation  # noqa: PLC0415
    from stepupd.core.variables import list_variables  # noqa: PLC0415

    observation = now.observation
    risk = assess_observation(observation, policy.weights, policy.score)
    return decide(
        policy,
        request,
        risk,
        now.grants,
        now.now,
        variables=list_variables(observation, risk) if policy.names else {},
        is_enforced=is_enforced,
    )
