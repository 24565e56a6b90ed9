"""What is suspicious in a policy that loads: rules that never apply, that weaken, that are risky.

The law of this file: a warning is certain, everything else is a note.

Not done here: what cannot be loaded is an error of `store`, with its place.
"""

from collections.abc import Iterator

from stepupd.core.model import Scope
from stepupd.core.policy import Policy, Rule, RuleEffect
from stepupd.core.rehearsal.finding import Finding, Grade
from stepupd.core.rehearsal.glob_sets import covers, overlap_any
from stepupd.core.rehearsal.lint_order import compare_rules
from stepupd.core.rehearsal.lint_risk import examine_condition, examine_risk

LONG = 3600.0
"""Seconds that a success may count in every session before a note is due."""

_REMOTE = ("pam:sshd", "ssh:login")
"""Actions that open the machine to the network."""


def find_faults(policy: Policy) -> tuple[Finding, ...]:
    """Return the findings, those of the policy as a whole last."""
    found = list(compare_rules(policy.rules))
    for number, rule in enumerate(policy.rules):
        found += (*_examine_rule(number, rule), *examine_condition(number, rule))
    found.sort(key=lambda finding: finding.rule or 0)
    return (*found, *_examine_policy(policy))


def _examine_rule(number: int, rule: Rule) -> Iterator[Finding]:
    is_for_all = any(covers(action, "*") for action in rule.actions)
    if rule.effect is RuleEffect.ALLOW and is_for_all and rule.when is None:
        yield Finding(
            Grade.WARNING,
            "allows-everything",
            number,
            f"{rule.name!r} allows every action without proof",
            "name the actions that need none",
        )
    requirement = rule.requirement
    if requirement is None:
        return
    is_wide = requirement.scope is Scope.SUBJECT
    if is_wide and requirement.max_age > LONG:
        hours = requirement.max_age / 3600
        yield Finding(
            Grade.NOTE,
            "wide-grant",
            number,
            f"one success under {rule.name!r} serves every session of the account for {hours:g} h",
            'scope = "session" keeps it to one terminal',
        )
    if requirement.is_recoverable and (is_for_all or is_wide or overlap_any(rule.actions, _REMOTE)):
        yield Finding(
            Grade.WARNING,
            "recovery-too-far",
            number,
            f"{rule.name!r} takes a recovery code, which can be phished, too far",
            "keep recovery = true for a rule that somebody at the machine needs, such as sudo",
        )


def _examine_policy(policy: Policy) -> Iterator[Finding]:
    if not policy.rules:
        yield Finding(Grade.NOTE, "no-rule", None, "there is no rule: everything is denied")
    yield from examine_risk(policy)
