"""Policy: which rule applies, and what it asks for.

The law of this file:
* rules are tried in order and the first that matches gives the floor; no rule means no;
* risk, the caller's own wishes and what it claims may raise the floor, nothing lowers it;
* a rule that names commands, or whose condition uses anything claimed, may tighten what the other
  rules say, and never replaces it by something weaker;
* a rule whose condition cannot be decided is in error, and where it would have counted the answer
  is no, whatever the rules below it say.

Nothing is read here: text becomes a `Policy` in `store`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum, unique

from stepupd.core.condition import CLAIMED, Condition, Variable
from stepupd.core.decision import Allow, Decision, Deny, Satisfied, StepUp
from stepupd.core.glob import find_prefix, match_any
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
from stepupd.core.risk.facts import Observer

_REMEMBERED = 256
"""For how many pairs of action and subject the rules are kept; actions come from callers."""
NO_VARIABLES: Mapping[str, Variable] = {}


@unique
class RuleEffect(Enum):
    """What a rule does."""

    ALLOW = "allow"
    REQUIRE = "require"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """One `[[rule]]`. Patterns are globs with `*` and `?`; an empty tuple means "any".

    `when` is looked at only where all patterns match; None means "always".
    """

    name: str
    actions: tuple[str, ...]
    effect: RuleEffect
    requirement: Requirement | None = None
    subjects: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    when: Condition | None = None

    @property
    def names(self) -> frozenset[str]:
        """The variables that its condition uses."""
        return frozenset() if self.when is None else self.when.names

    @property
    def is_claimed(self) -> bool:
        """Whether it turns on what the caller claims, and so may only tighten."""
        return bool(self.commands) or not CLAIMED.isdisjoint(self.names)

    def holds(self, variables: Mapping[str, Variable]) -> bool | None:
        """Return whether its condition holds; None if it is in error."""
        return True if self.when is None else self.when.holds(variables)

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


@unique
class Mode(StrEnum):
    """Whether what risk asks for is asked."""

    ENFORCE = "enforce"
    OBSERVE = "observe"
    """Only recorded: the rules hold, the ladder does not."""


@unique
class Score(StrEnum):
    """How risk is counted; see `risk.scores`."""

    WEIGHTS = "weights"
    LIKELIHOOD = "likelihood"


@dataclass(frozen=True, slots=True)
class Policy:
    """All rules, in order. `digest` names the text they came from (hex SHA-256)."""

    rules: tuple[Rule, ...] = ()
    ladder: tuple[Rung, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    mode: Mode = Mode.ENFORCE
    score: Score = Score.WEIGHTS
    denied_models: frozenset[bytes] = frozenset()
    """AAGUIDs of models of authenticators that are distrusted: what `denied_model` looks for."""
    names: frozenset[str] = field(init=False, default=frozenset(), compare=False)
    """The variables that its conditions use."""
    observers: frozenset[Observer] = field(init=False, default=frozenset(), compare=False)
    """What has to be looked at for its signals and conditions."""
    _found: dict[tuple[str, Subject], tuple[Rule, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _index: dict[str, list[int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    """Positions of rules, by how an action pattern begins: its text before any wildcard."""

    def __post_init__(self) -> None:
        used = (rule.when.names for rule in self.rules if rule.when is not None)
        names: frozenset[str] = frozenset().union(*used)
        object.__setattr__(self, "names", names)
        if self.is_weighing:
            # Only here: most machines weigh nothing, and the signals take two megabytes.
            from stepupd.core.risk.assess import find_observers  # noqa: PLC0415

            object.__setattr__(self, "observers", find_observers(self.weights, names))

    @property
    def is_weighing(self) -> bool:
        """Whether circumstances count; else nothing is observed and nothing learned."""
        return bool(self.weights or self.names)

    def rules_for(self, action: str, subject: Subject) -> tuple[Rule, ...]:
        """Return the rules whose action, subject and group match, in order."""
        found = self._found.get((action, subject))
        if found is None:
            found = tuple(self._match(action, subject))
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            self._found[action, subject] = found
        return found

    def _match(self, action: str, subject: Subject) -> Iterator[Rule]:
        known: dict[tuple[tuple[str, ...], ...], bool] = {}
        for rule in self._list_candidates(action):
            # Many rules share their patterns: what is known of one holds for all of those.
            patterns = (rule.actions, rule.subjects, rule.groups)
            if patterns not in known:
                known[patterns] = match_any(rule.actions, action) and rule.admits(subject)
            if known[patterns]:
                yield rule

    def _list_candidates(self, action: str) -> Iterator[Rule]:
        """Yield, in order, the rules of which an action pattern begins as the action does."""
        if not self._index:
            for position, rule in enumerate(self.rules):
                for pattern in rule.actions:
                    self._index.setdefault(find_prefix(pattern), []).append(position)
        beginnings = (action[:end] for end in range(len(action) + 1))
        positions = {one for text in beginnings for one in self._index.get(text, ())}
        return (self.rules[position] for position in sorted(positions))


@dataclass(frozen=True, slots=True)
class Floor:
    """What must hold at least, and the rule that says so."""

    effect: RuleEffect
    rule: str
    reason: Reason
    requirement: Requirement | None = None


def decide(  # noqa: PLR0913 - each is one thing that a decision rests on
    policy: Policy,
    request: StepUpRequest,
    risk: Risk,
    grants: tuple[Grant, ...],
    now: Moment,
    *,
    variables: Mapping[str, Variable] = NO_VARIABLES,
    is_enforced: bool = True,
) -> Decision:
    """Return what policy says to this request, at this risk, with these grants.

    `variables` are for the rules' conditions: without them, a rule that has one is in error.
    Without `is_enforced`, the risk raises nothing.
    """
    floor = find_floor(policy, request, variables)
    if is_enforced:
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


def find_floor(
    policy: Policy, request: StepUpRequest, variables: Mapping[str, Variable] = NO_VARIABLES
) -> Floor:
    """Return the first matching rule's floor, tightened by every rule that a claim matches.

    All of them, for a claim that fits one must never lead past a stricter one.
    """
    rules = policy.rules_for(request.action, request.subject)
    floor = _first_floor(rules, variables)
    command, is_cut = " ".join(request.claim.command), request.claim.command_is_cut
    for rule in rules:
        if not rule.is_claimed:
            continue
        # What was cut off may be what any rule about commands is about.
        is_open = is_cut and (bool(rule.commands) or "command" in rule.names)
        if rule.commands and not is_open and not match_any(rule.commands, command):
            continue
        holds = rule.holds(variables)
        if holds is None:
            return _in_error(rule)
        if holds or (is_open and "command" in rule.names):
            floor = stiffen(floor, _floor_of(rule))
    return floor


def _first_floor(rules: tuple[Rule, ...], variables: Mapping[str, Variable]) -> Floor:
    for rule in rules:
        if rule.is_claimed:
            continue
        holds = rule.holds(variables)
        if holds is None:
            return _in_error(rule)
        if holds:
            return _floor_of(rule)
    return Floor(RuleEffect.DENY, "", Reason.NO_RULE)


def _in_error(rule: Rule) -> Floor:
    return Floor(RuleEffect.DENY, rule.name, Reason.RULE_IN_ERROR)


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
        while_plugged=one.while_plugged or other.while_plugged,
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
