"""What is suspicious in how risk is weighed: what never counts, and where more asks for less.

The law of this file: a warning is certain. What a condition asks of risk cannot be known from its
text, so of conditions there are notes only.
"""

import re
from collections.abc import Iterator

from stepupd.core.policy import Mode, Policy, Rule, RuleEffect, Score
from stepupd.core.rehearsal.finding import Finding, Grade
from stepupd.core.risk.signals import DEFAULT_WEIGHTS

_LOW_RISK = re.compile(r"\brisk\s*(?:<|==|!=)|(?:>=?|==|!=)\s*risk\b|!\s*\(.*\bsignals\b")
"""What holds while risk is low: `risk < 30`, `30 > risk`, `!("agent" in signals)`."""

_WATCHED = frozenset({"risk", "signals"})
"""Variables through which a weight matters without a ladder."""


def examine_condition(number: int, rule: Rule) -> Iterator[Finding]:
    """Yield where a rule may ask for more only while risk is low."""
    if rule.when is None or rule.effect is RuleEffect.ALLOW or _WATCHED.isdisjoint(rule.names):
        return
    if _LOW_RISK.search(rule.when.text):
        yield Finding(
            Grade.NOTE,
            "less-for-more",
            number,
            f"{rule.name!r} seems to hold while risk is low: more risk would ask for less",
            "write it the other way round, such as risk >= 30, for what is stricter",
        )


def examine_risk(policy: Policy) -> Iterator[Finding]:
    """Yield what is suspicious in `[risk]`."""
    yield from _examine_ladder(policy)
    yield from _examine_models(policy)
    if policy.weights.get("new_ssh_client", 0) and policy.weights != DEFAULT_WEIGHTS:
        yield Finding(
            Grade.NOTE,
            "never-fires",
            None,
            "new_ssh_client has a weight, but no observer knows the version of an ssh client",
        )
    if policy.mode is Mode.OBSERVE and policy.ladder:
        yield Finding(
            Grade.NOTE,
            "observed",
            None,
            "the policy is only watched: what risk would ask for is recorded, and not asked",
            'mode = "enforce" puts the ladder in force',
        )


def _examine_ladder(policy: Policy) -> Iterator[Finding]:
    weighed = sum(policy.weights.values())
    if policy.weights and not policy.ladder and _WATCHED.isdisjoint(policy.names):
        yield Finding(
            Grade.WARNING,
            "no-ladder",
            None,
            "signals have weights, but there is no ladder: risk changes nothing",
            'ladder = [ { score = 30, require = "touch" } ]',
        )
    if policy.ladder and not weighed:
        yield Finding(
            Grade.WARNING,
            "no-weights",
            None,
            "there is a ladder, but no signal weighs anything: nobody ever climbs it",
            "give signals their weights in [risk.weights]",
        )
    elif policy.score is Score.WEIGHTS:
        yield from _find_out_of_reach(policy, weighed)


def _find_out_of_reach(policy: Policy, weighed: int) -> Iterator[Finding]:
    far = [rung for rung in policy.ladder if rung.score > weighed]
    if far and len(far) == len(policy.ladder):
        yield Finding(
            Grade.WARNING,
            "out-of-reach",
            None,
            f"all weights together are {weighed}: no step of the ladder is ever reached",
            "lower its scores, or raise the weights",
        )
        return
    for rung in far:
        yield Finding(
            Grade.NOTE,
            "out-of-reach",
            None,
            f"all weights together are {weighed}: the step at {rung.score} is never reached",
        )


def _examine_models(policy: Policy) -> Iterator[Finding]:
    """Yield where distrusted models and the weight of their signal do not go together."""
    weight = policy.weights.get("denied_model", 0)
    if policy.denied_models and not weight:
        yield Finding(
            Grade.WARNING,
            "models-without-weight",
            None,
            "denied_models names models, but the signal denied_model weighs nothing: their keys"
            " are taken like any other",
            "denied_model = 60 in [risk.weights]",
        )
    if policy.denied_models and weight and _is_too_light(policy, weight):
        yield Finding(
            Grade.NOTE,
            "models-too-light",
            None,
            f"a key of a denied model adds {weight}, which alone reaches no step of the ladder",
        )
    if weight and not policy.denied_models and policy.weights != DEFAULT_WEIGHTS:
        yield Finding(
            Grade.NOTE,
            "never-fires",
            None,
            "denied_model has a weight, but denied_models names no model",
        )


def _is_too_light(policy: Policy, weight: int) -> bool:
    """Return whether a weight alone changes nothing; False where that is not certain."""
    is_counted = policy.score is Score.WEIGHTS and _WATCHED.isdisjoint(policy.names)
    return is_counted and bool(policy.ladder) and weight < policy.ladder[0].score
