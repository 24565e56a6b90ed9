"""Judging many requests under one policy: what `judge` says, with what it said before kept.

The law of this file: it never says anything else than `judge` would of a policy in force. Without
conditions, a decision rests on nothing but what the key below holds and on grants, and those turn
"ask" into "satisfied" and do nothing else. With conditions nothing is kept. The signals of new
values are looked at only where a request has any value that is not settled.
"""

from bisect import bisect_right

from stepupd.core.decision import Allow, Decision, Deny, Satisfied, StepUp
from stepupd.core.grants import find_grant
from stepupd.core.model import Risk
from stepupd.core.policy import Policy, decide
from stepupd.core.risk.assess import assess_kinds, list_kinds
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.signals.novelty import has_nothing_new
from stepupd.core.variables import list_variables

KEPT = 4096
"""Decisions kept: a machine's people claim the same commands again and again."""

_NO_RISK = Risk()


class QuickJudge:
    """Judges under one policy, as if it were in force."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._kinds = list_kinds(policy.weights)
        self._old_kinds = tuple([pair for pair in self._kinds if pair[0].feature is None])
        """Those that may fire where nothing is new."""
        self._scores = tuple(rung.score for rung in policy.ladder)
        self._is_weighing, self._has_conditions = policy.is_weighing, bool(policy.names)
        self._kept: dict[object, Decision] = {}

    def judge(self, seen: Observation) -> Decision:
        """Return what the policy says to a request among its circumstances."""
        policy, request = self._policy, seen.request
        risk = _NO_RISK
        if self._is_weighing:
            is_old = not seen.facts.missing and has_nothing_new(seen)
            kinds = self._old_kinds if is_old else self._kinds
            risk = assess_kinds(seen, kinds, policy.score)
        if self._has_conditions:
            variables = list_variables(seen, risk)
            return decide(policy, request, risk, seen.grants, seen.now, variables=variables)
        claim = request.claim
        key = (
            request.action,
            request.subject.name,
            request.subject.groups,
            claim.command,
            claim.command_is_cut,
            request.level,
            request.max_age,
            bisect_right(self._scores, risk.score),
        )
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            kept = self._kept[key] = decide(policy, request, risk, (), seen.now)
        return _renew(kept, risk, seen)


def _renew(kept: Decision, risk: Risk, seen: Observation) -> Decision:
    """Return the decision with this risk and these grants."""
    match kept:
        case StepUp(requirement=requirement, rule=rule):
            grant = find_grant(seen.grants, seen.request, requirement, seen.now)
            if grant is not None:
                return Satisfied(grant, requirement, rule, risk)
            return StepUp(requirement, rule, risk)
        case Deny(reason=reason, rule=rule):
            return Deny(reason, rule, risk)
        case _:
            return Allow(kept.rule, risk)
