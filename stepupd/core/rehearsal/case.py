"""A policy's own tests: a made-up request, and what the policy has to say to it.

The law of this file: the subject of a test is somebody for whom all of it is usual, who has one old
key and no grant. So nothing is risky but what the test itself says: what shows in its facts, such
as an agent that asks or a locked screen, and the signals and the score that it names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stepupd.core.decision import Allow, Decision, Deny, Satisfied, StepUp
from stepupd.core.model import Credential, Moment, Risk, Signal, StepUpRequest
from stepupd.core.policy import Policy, decide
from stepupd.core.rehearsal.quick_judge import QuickJudge
from stepupd.core.risk.activity import Activity
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.learning import Lesson, learn
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile
from stepupd.core.variables import list_variables

LESSONS = 60
"""Hours in which the subject did just this before: past every warm-up."""

_HOUR = 3601.0
_YEAR = 365 * 86400.0
_KEY = b"policy test"


@dataclass(frozen=True, slots=True)
class Case:
    """One `[[test]]`: `rule` has to decide, None for any; `risk` forces a score, None does not."""

    name: str
    request: StepUpRequest
    now: Moment
    facts: Facts
    expect: str
    rule: str | None = None
    signals: tuple[str, ...] = ()
    risk: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one test."""

    case: Case
    decision: Decision

    @property
    def got(self) -> str:
        """What the policy says, in the words of `expect`."""
        return say_decision(self.decision)

    @property
    def is_passed(self) -> bool:
        """Whether it is what the test expects."""
        return self.got == self.case.expect and self.case.rule in {None, self.decision.rule}


def run_case(policy: Policy, case: Case) -> Result:
    """Return what the policy says to a test's request, as though it were in force."""
    seen = make_usual(policy, case.request, case.now, case.facts)
    decision = QuickJudge(policy).judge(seen)
    if case.risk is not None or case.signals:
        risk = _force(case, policy.weights, decision.risk)
        variables = list_variables(seen, risk)
        decision = decide(policy, seen.request, risk, (), seen.now, variables=variables)
    return Result(case, decision)


def make_usual(policy: Policy, request: StepUpRequest, now: Moment, facts: Facts) -> Observation:
    """Return a request among its circumstances, for a subject for whom all of it is usual."""
    profile = Profile(request.subject.uid)
    if policy.is_weighing:
        for hours in range(LESSONS, 0, -1):
            then = replace(now, wall=now.wall - hours * _HOUR)
            lesson = Lesson(request, facts, then, is_proved=True, credential_id=_KEY)
            profile = learn(profile, lesson)
    key = Credential(
        id=_KEY,
        subject_uid=request.subject.uid,
        name="old key",
        rp_id="",
        public_key=b"",
        aaguid=bytes(16),
        sign_count=0,
        created=now.wall - _YEAR,
    )
    return Observation(
        request=request,
        now=now,
        facts=facts,
        profile=profile,
        activity=Activity(),
        credentials=(key,),
        denied_models=policy.denied_models,
    )


def say_decision(decision: Decision) -> str:
    """Return `allow`, `deny`, or the level that is asked for."""
    match decision:
        case Deny():
            return "deny"
        case Allow() | Satisfied():
            return "allow"
        case StepUp(requirement=requirement):
            return requirement.level.word


def _force(case: Case, weights: Mapping[str, int], seen: Risk) -> Risk:
    """Return the risk with what the test says of it."""
    if case.risk is not None:
        told = Signal("test", case.risk, "the test says so")
        return Risk(case.risk, (told,))
    fired = {signal.name for signal in seen.signals}
    forced = tuple(
        Signal(name, weights.get(name, 0), "the test says so")
        for name in case.signals
        if name not in fired and weights.get(name, 0) > 0
    )
    signals = (*seen.signals, *forced)
    return Risk(sum(signal.weight for signal in signals), signals)
