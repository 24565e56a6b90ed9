"""What policy says to one request, as people and as programs read it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from stepup.policy.words import join, name_rule, wrap
from stepup.times import say_span
from stepupd.core.decision import Decision, Deny, Satisfied, StepUp
from stepupd.core.model import Reason, Risk, Scope
from stepupd.core.policy import Mode, Policy, Rung, decide
from stepupd.core.rehearsal.case import say_decision
from stepupd.core.rehearsal.past import Past
from stepupd.core.rehearsal.replay import WORDS, read_answer
from stepupd.core.risk.explanation import Descent, explain_risk
from stepupd.core.risk.facts import Observer
from stepupd.core.risk.observation import Observation
from stepupd.core.variables import list_variables

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Answer:
    """A request as it was seen, the decision, and the entry if it is a past one."""

    policy: Policy
    seen: Observation
    decision: Decision
    past: Past | None
    is_recalled: bool
    """Whether what is usual comes from the log; else all of it counts as usual."""

    @property
    def is_bare(self) -> bool:
        """Whether it is a past request whose circumstances were not recorded, and count now."""
        return self.past is not None and self.past.facts is None and self.policy.is_weighing

    @property
    def floor(self) -> Decision:
        """What the rules would say if nothing were risky."""
        seen, policy = self.seen, self.policy
        variables = list_variables(seen, Risk()) if policy.names else {}
        return decide(policy, seen.request, Risk(), seen.grants, seen.now, variables=variables)


def say_answer(answer: Answer) -> str:
    """Return the answer in sentences, within 80 columns and without colour."""
    return "\n".join(_list_lines(answer))


def _list_lines(answer: Answer) -> Iterator[str]:
    yield wrap(_say_request(answer.seen))
    if answer.past is not None:
        yield wrap(_say_past(answer))
    yield ""
    yield from _list_decisions(answer)
    yield ""
    yield from _list_risk(answer)
    if answer.is_bare:
        yield ""
        yield wrap(
            "No circumstances were recorded then, for the policy of that time weighed none: where"
            " the request came from and which program asked is not known, and signals about that"
            " cannot fire here."
        )
    if not answer.is_recalled and answer.policy.is_weighing:
        yield ""
        yield wrap(
            "The audit log was not read, so all of this counts as usual for the person: only what"
            " is risky for anybody shows."
        )


def _list_decisions(answer: Answer) -> Iterator[str]:
    """Yield what the policy says, and what the rules alone would."""
    policy, decision, floor = answer.policy, answer.decision, answer.floor
    is_raised = say_decision(decision) != say_decision(floor)
    if policy.mode is Mode.OBSERVE and is_raised:
        yield wrap(f"{_say_decision(answer, floor)}")
        yield wrap(
            "The policy is only watched, so risk is recorded and raises nothing. Were it in force:"
            f" {_say_short(decision)}."
        )
        return
    yield wrap(_say_decision(answer, decision))
    if is_raised:
        yield wrap(f"If nothing were risky: {_say_short(floor)}.")
    elif decision.risk.score:
        yield "It would be the same if nothing were risky."


def _list_risk(answer: Answer) -> Iterator[str]:
    found = explain_risk(answer.decision.risk, answer.policy.ladder)
    if not found.signals:
        yield "Risk 0: no signal that weighs anything fired."
        return
    step = "below the ladder" if found.rung is None else _say_rung(found.rung)
    yield f"Risk {found.score}: {step}."
    for signal in found.signals:
        yield wrap(f"{signal.name}: {signal.reason}", f"  {signal.weight:>4}  ", " " * 8)
    for descent in dict.fromkeys(found.descents):
        yield wrap(_say_descent(descent))


def _say_descent(descent: Descent) -> str:
    names = join([signal.name for signal in descent.without])
    step = "below the ladder" if descent.rung is None else _say_rung(descent.rung)
    return f"Without {names} it would be {descent.score}: {step}."


def _say_rung(rung: Rung) -> str:
    word = "deny" if rung.level is None else f"at least {rung.level.word}"
    return f"{word} from {rung.score} on"


def _say_request(seen: Observation) -> str:
    request, facts = seen.request, seen.facts
    words = [f"{request.action} for {request.subject.name}"]
    if request.claim.command:
        words.append(f"claiming to run {' '.join(request.claim.command)}")
    if Observer.SOURCE in facts.missing:
        words.append("from where could not be found out")
    elif facts.source:
        place = f" ({facts.country})" if facts.country else ""
        words.append(f"from {facts.source}{place}")
    if facts.programs:
        words.append(f"asked by {' < '.join(facts.programs)}")
    words.append(f"on {_DAYS[facts.weekday % 7]} at {_say_hour(seen)}")
    return ", ".join(words)


def _say_hour(seen: Observation) -> str:
    return f"{datetime.fromtimestamp(seen.now.wall).astimezone():%H:%M}"


def _say_past(answer: Answer) -> str:
    past = answer.past
    if past is None or past.verdict is None:
        return ""
    met = read_answer(past)
    same = past.policy == answer.policy.digest
    policy = "this very policy" if same else "another policy"
    score = f" at risk {met.score}" if met.score else ""
    return (
        f"Entry {past.seq}, {past.time[:16]}Z: met with {WORDS[met.met]}{score} by"
        f" {name_rule(met.rule)} under {policy}; the answer was {past.verdict.answer.value}"
        f" ({past.verdict.reason.value})."
    )


def _say_decision(answer: Answer, decision: Decision) -> str:
    by = name_rule(decision.rule)
    if isinstance(decision, Deny):
        return _say_denial(answer, decision)
    if isinstance(decision, Satisfied):
        return f"Allowed by a grant that reaches {decision.grant.level.word}, by {by}."
    if not isinstance(decision, StepUp):
        return f"Allowed without proof, by {by}."
    requirement, text = decision.requirement, f"Asks for {say_decision(decision)}, by {by}."
    if requirement.max_age:
        place = "session" if requirement.scope is Scope.SESSION else "account, in any session"
        text += f" A success counts for {say_span(requirement.max_age)} in the same {place}."
    return text


def _say_denial(answer: Answer, decision: Deny) -> str:
    if decision.reason is Reason.NO_RULE:
        return "Denied (no-rule): no rule covers this action of this account."
    text = f"Denied ({decision.reason.value}), by {name_rule(decision.rule)}."
    if decision.reason is not Reason.RULE_IN_ERROR:
        return text
    known = list_variables(answer.seen, decision.risk)
    names = {
        name for rule in answer.policy.rules if rule.name == decision.rule for name in rule.names
    }
    unknown = [f"{name!r}" for name in sorted(names - known.keys())]
    why = f": {join(unknown)} could not be found out" if unknown else ""
    return f"{text} Its condition cannot be decided{why}."


def _say_short(decision: Decision) -> str:
    return f"{say_decision(decision)}, by {name_rule(decision.rule)}"


def describe_answer(answer: Answer) -> dict[str, object]:
    """Return the answer as JSON values."""
    seen, decision = answer.seen, answer.decision
    found = explain_risk(decision.risk, answer.policy.ladder)
    return {
        "action": seen.request.action,
        "subject": seen.request.subject.name,
        "entry": None if answer.past is None else answer.past.seq,
        "then": None if answer.past is None else WORDS[read_answer(answer.past).met],
        "decision": say_decision(decision),
        "rule": decision.rule,
        "without_risk": say_decision(answer.floor),
        "is_recalled": answer.is_recalled,
        "is_bare": answer.is_bare,
        "mode": answer.policy.mode.value,
        "risk": {
            "score": found.score,
            "step": _describe_rung(found.rung),
            "signals": [
                {"name": signal.name, "weight": signal.weight, "reason": signal.reason}
                for signal in found.signals
            ],
            "lowered_by": [
                {
                    "without": [signal.name for signal in descent.without],
                    "score": descent.score,
                    "step": _describe_rung(descent.rung),
                }
                for descent in dict.fromkeys(found.descents)
            ],
        },
    }


def _describe_rung(rung: Rung | None) -> dict[str, object] | None:
    if rung is None:
        return None
    return {"score": rung.score, "asks": "deny" if rung.level is None else rung.level.word}
