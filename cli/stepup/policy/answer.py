"""What policy says to one request, as people and as programs read it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from stepup.policy.words import wrap
from stepup.times import say_span
from stepupd.core.decision import Decision, Deny, Satisfied, StepUp
from stepupd.core.model import Risk
from stepupd.core.policy import Mode, Policy, Rung, decide
from stepupd.core.rehearsal.case import say_decision
from stepupd.core.rehearsal.past import Past
from stepupd.core.rehearsal.replay import WORDS, read_answer
from stepupd.core.risk.explanation import Descent, explain_risk
from stepupd.core.risk.observation import Observation
from stepupd.core.variables import list_variables

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_INDENT = " " * 6


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
    yield wrap(_say_decision(answer.decision))
    if answer.decision.risk.score:
        yield wrap(f"If nothing were risky: {_say_short(answer.floor)}.")
    if answer.policy.mode is Mode.OBSERVE:
        yield wrap("The policy is only watched: risk is recorded, and raises nothing yet.")
    yield ""
    yield from _list_risk(answer)
    if not answer.is_recalled and answer.policy.is_weighing:
        yield ""
        yield wrap(
            "The audit log was not read, so all of this counts as usual for the person: only what"
            " is risky for anybody shows."
        )


def _list_risk(answer: Answer) -> Iterator[str]:
    found = explain_risk(answer.decision.risk, answer.policy.ladder)
    if not found.signals:
        yield "Risk 0: no signal that weighs anything fired."
        return
    step = "below the ladder" if found.rung is None else _say_rung(found.rung)
    yield f"Risk {found.score}: {step}."
    for signal in found.signals:
        yield wrap(f"{signal.name}: {signal.reason}", f"  {signal.weight:>4}  ", " " * 8)
    for descent in found.descents:
        yield wrap(_say_descent(descent))


def _say_descent(descent: Descent) -> str:
    names = " and ".join(signal.name for signal in descent.without)
    step = "below the ladder" if descent.rung is None else _say_rung(descent.rung)
    return f"Without {names}: {descent.score}, {step}."


def _say_rung(rung: Rung) -> str:
    word = "deny" if rung.level is None else f"at least {rung.level.word}"
    return f"{word} from {rung.score} on"


def _say_request(seen: Observation) -> str:
    request, facts = seen.request, seen.facts
    words = [f"{request.action} for {request.subject.name}"]
    if request.claim.command:
        words.append(f"claiming to run {' '.join(request.claim.command)}")
    if facts.source:
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
        f" {_name(met.rule)} under {policy}; the answer was {past.verdict.answer.value}"
        f" ({past.verdict.reason.value})."
    )


def _say_decision(decision: Decision) -> str:
    said = {"allow": "Allowed without proof", "deny": "Denied"}
    word = say_decision(decision)
    text = said.get(word, f"Asks for {word}")
    if isinstance(decision, Satisfied):
        text = f"Allowed by a grant that reaches {decision.grant.level.word}"
    elif isinstance(decision, Deny):
        text = f"Denied ({decision.reason.value})"
    elif isinstance(decision, StepUp) and decision.requirement.max_age:
        requirement = decision.requirement
        text += f"; it then counts for {say_span(requirement.max_age)}"
        text += f" in the same {requirement.scope.value}"
    return f"{text}, by {_name(decision.rule)}."


def _say_short(decision: Decision) -> str:
    return f"{say_decision(decision)} by {_name(decision.rule)}"


def _name(rule: str) -> str:
    return f"rule {rule!r}" if rule else "no rule"


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
                for descent in found.descents
            ],
        },
    }


def _describe_rung(rung: Rung | None) -> dict[str, object] | None:
    if rung is None:
        return None
    return {"score": rung.score, "asks": "deny" if rung.level is None else rung.level.word}
