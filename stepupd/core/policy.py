"""Policy: which rule applies, and what it asks for.

The law of this file:
* rules are tried in order and the first that matches gives the floor; no rule means no;
* risk, the caller's own wishes and a claimed command may raise the floor, nothing lowers it;
* a command is only claimed, so a rule that names commands may tighten what the rules without a
  command say, and never replaces it by something weaker.

Nothing is read here: text becomes a `Policy` in `store`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, unique

from stepupd.core.decision import Allow, Decision, Deny, Satisfied, StepUp
from stepupd.core.glob import match_any
from stepupd.core.grants import find_grant
from stepupd.core.model import (
    Grant,
    Level,
    Moment,
    Reason,
    Requirement,
    Risk,
    Scope,
    StepUpRequest,
    Subject,
)

_REMEMBERED = 256
"""For how many pairs of action and subject the rules are kept; actions come from callers."""


@unique
class RuleEffect(Enum):
    """What a rule does."""

    ALLOW = "allow"
    REQUIRE = "require"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]`. Patterns are globs with `*` and `?`; an empty tuple means "any"."""

    name: str
    actions: tuple[str, ...]
    effect: RuleEffect
    requirement: Requirement | None = None
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    def admits(self, subject: Subject) -> bool:
        """Return whether subject and group match."""
        return (not self.subjects or match_any(self.subjects, subject.name)) and (
            not self.groups or any(match_any(self.groups, group) for group in subject.groups)
        )


@dataclass(frozen=True, slots=True)
class Rung:
    """From `score` on, at least `level`; None means no."""

    score: int
    level: Level | None


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules, in order. `digest` names the text they came from (hex SHA-256)."""

    rules: tuple[Rule, ...] = ()
    ladder: tuple[Rung, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    _found: dict[tuple[str, Subject], tuple[Rule, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def rules_for(self, action: str, subject: Subject) -> tuple[Rule, ...]:
        """Return the rules whose action, subject and group match, in order."""
        found = self._found.get((action, subject))
        if found is None:
            found = tuple(
                rule
                for rule in self.rules
                if match_any(rule.actions, action) and rule.admits(subject)
            )
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[action, subject] = found
        return found


@dataclass(frozen=True, slots=True)
class Floor:
    """What must hold at least, and the rule that says so."""

    effect: RuleEffect
    rule: str
    reason: Reason
    requirement: Requirement | None = None


def decide(
    policy: Policy, request: StepUpRequest, risk: Risk, grants: tuple[Grant, ...], now: Moment
) -> Decision:
    """Return what policy says to this request, at this risk, with these grants."""
    floor = find_floor(policy, request)
    floor = raise_for_risk(floor, risk, policy.ladder)
    floor = sharpen(floor, request)
    if floor.effect is RuleEffect.DENY:
        return Deny(floor.reason, floor.rule, risk)
    if floor.requirement is None:
        return Allow(floor.rule, risk)
    if not floor.requirement.methods:
        return Deny(Reason.RULE_DENIES, floor.rule, risk)
    grant = find_grant(grants, request, floor.requirement, now)
    if grant is not None:
        return Satisfied(grant, floor.requirement, floor.rule, risk)
    return StepUp(floor.requirement, floor.rule, risk)


def find_floor(policy: Policy, request: StepUpRequest) -> Floor:
    """Return the first matching rule's floor, tightened by what the claimed command matches."""
    rules = policy.rules_for(request.action, request.subject)
    floor = _first_floor(rules)
    command = " ".join(request.claim.command)
    for rule in rules:
        if not rule.commands:
            continue
        if request.claim.command_is_cut:
            # What was cut off may be what any of these rules is about.
            floor = stiffen(floor, _floor_of(rule))
        elif match_any(rule.commands, command):
            return stiffen(floor, _floor_of(rule))
    return floor


def _first_floor(rules: tuple[Rule, ...]) -> Floor:
    first = next((rule for rule in rules if not rule.commands), None)
    return Floor(RuleEffect.DENY, "", Reason.NO_RULE) if first is None else _floor_of(first)


def _floor_of(rule: Rule) -> Floor:
    if rule.effect is RuleEffect.ALLOW:
        return Floor(RuleEffect.ALLOW, rule.name, Reason.RULE_ALLOWS)
    if rule.effect is RuleEffect.REQUIRE and rule.requirement is not None:
        return Floor(RuleEffect.REQUIRE, rule.name, Reason.PROVED, rule.requirement)
    return Floor(RuleEffect.DENY, rule.name, Reason.RULE_DENIES)


def stiffen(one: Floor, other: Floor) -> Floor:
    """Return the floor that meets both; where they differ, the stricter one gives its name."""
    if RuleEffect.DENY in (one.effect, other.effect):
        return one if one.effect is RuleEffect.DENY else other
    if one.requirement is None or other.requirement is None:
        return one if other.requirement is None else other
    both = join_requirements(one.requirement, other.requirement)
    return replace(one if both == one.requirement else other, requirement=both)


def join_requirements(one: Requirement, other: Requirement) -> Requirement:
    """Return the weakest requirement that is at least as strict as both."""
    scopes = list(Scope)
    return Requirement(
        level=max(one.level, other.level),
        max_age=min(one.max_age, other.max_age),
        scope=min(one.scope, other.scope, key=scopes.index),
        methods=one.methods & other.methods,
        attempts=min(one.attempts, other.attempts),
        deadline=min(one.deadline, other.deadline),
        is_recoverable=one.is_recoverable and other.is_recoverable,
    )


def raise_for_risk(floor: Floor, risk: Risk, ladder: tuple[Rung, ...]) -> Floor:
    """Return the floor raised to every rung of the ladder that the score reaches."""
    for rung in ladder:
        if risk.score < rung.score:
            continue
        if rung.level is None:
            floor = stiffen(floor, Floor(RuleEffect.DENY, "risk ladder", Reason.RISK_DENIES))
        else:
            floor = _at_least(floor, rung.level)
    return floor


def sharpen(floor: Floor, request: StepUpRequest) -> Floor:
    """Return the floor with the caller's own wishes: a higher level, a fresher proof."""
    if request.level is not None:
        floor = _at_least(floor, request.level)
    if request.max_age is not None:
        floor = _at_least(floor, Level.TOUCH)
        if floor.requirement is not None:
            fresh = min(floor.requirement.max_age, request.max_age)
            floor = replace(floor, requirement=replace(floor.requirement, max_age=fresh))
    return floor


def _at_least(floor: Floor, level: Level) -> Floor:
    if floor.effect is RuleEffect.DENY:
        return floor
    asked = floor.requirement or Requirement(level)
    raised = replace(asked, level=max(asked.level, level))
    return replace(floor, effect=RuleEffect.REQUIRE, reason=Reason.PROVED, requirement=raised)
