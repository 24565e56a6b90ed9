"""Rules compared with those before them: which never apply, and which ones weaken others.

The law of this file: a rule is said to be shadowed only where one earlier rule matches everything
that it matches; nothing is said of what takes two rules together, or a condition, to see.
"""

from collections.abc import Iterator

from stepupd.core.glob import find_prefix
from stepupd.core.policy import Rule, RuleEffect, join_requirements
from stepupd.core.rehearsal.finding import Finding, Grade
from stepupd.core.rehearsal.glob_sets import cover_all, overlap_any

_NONE: frozenset[int] = frozenset()


def compare_rules(rules: tuple[Rule, ...]) -> Iterator[Finding]:
    """Yield what the order of the rules gives away."""
    claimed, others = _Index(), _Index()
    for number, rule in enumerate(rules):
        earlier = [rules[at] for at in others.find(rule)]
        if rule.is_claimed:
            yield from _compare_claimed(
                number, rule, [rules[at] for at in claimed.find(rule)], earlier
            )
        else:
            yield from _compare(number, rule, earlier)
        (claimed if rule.is_claimed else others).add(number, rule)


class _Index:
    """Earlier rules by how their actions begin.

    Two patterns have a text in common only if one's beginning is how the other's begins.
    """

    def __init__(self) -> None:
        self._at: dict[str, set[int]] = {}
        """By the whole beginning of an action."""
        self._below: dict[str, set[int]] = {}
        """By everything that such a beginning begins with."""

    def add(self, number: int, rule: Rule) -> None:
        for action in rule.actions:
            text = find_prefix(action)
            self._at.setdefault(text, set()).add(number)
            for end in range(len(text)):
                self._below.setdefault(text[:end], set()).add(number)

    def find(self, rule: Rule) -> list[int]:
        """Return, in order, the rules that may have an action in common with this one."""
        found: set[int] = set()
        for action in rule.actions:
            text = find_prefix(action)
            found |= self._below.get(text, _NONE)
            for end in range(len(text) + 1):
                found |= self._at.get(text[:end], _NONE)
        return sorted(found)


def _compare(number: int, rule: Rule, earlier: list[Rule]) -> Iterator[Finding]:
    """Yield how a rule without a claim stands behind those like it."""
    hiding = next((other for other in earlier if _takes_in(other, rule)), None)
    if hiding is not None:
        yield _say_shadowed(number, rule, hiding)
        return
    for other in earlier:
        yield from _find_weakening(number, rule, other)


def _compare_claimed(
    number: int, rule: Rule, claimed: list[Rule], others: list[Rule]
) -> Iterator[Finding]:
    """Yield how a rule that turns on a claim stands behind those like it, and the others."""
    idling = _find_idling(rule, others) or _find_stricter(rule, claimed)
    if idling is not None:
        yield Finding(
            Grade.WARNING,
            "no-effect",
            number,
            f"{rule.name!r} changes nothing: {idling.name!r} before it is as strict",
            "what is claimed can only ask for more than the other rules",
        )


def _say_shadowed(number: int, rule: Rule, hiding: Rule) -> Finding:
    return Finding(
        Grade.WARNING,
        "shadowed",
        number,
        f"{rule.name!r} never applies: {hiding.name!r} before it matches all of it",
        f"put {rule.name!r} before {hiding.name!r}, or take it out",
    )


def _find_stricter(rule: Rule, claimed: list[Rule]) -> Rule | None:
    """Return a rule that asks for as much, of every claim that this one is about."""
    for other in claimed:
        is_wider = _takes_in(other, rule) and cover_all(other.commands, rule.commands)
        if is_wider and _is_as_strict(other, rule):
            return other
    return None


def _find_idling(rule: Rule, earlier: list[Rule]) -> Rule | None:
    """Return the rule whose floor a claim-bound rule never raises; None unless that is certain."""
    for other in earlier:
        if not _may_meet(other, rule):
            continue
        if not _is_as_strict(other, rule):
            return None
        if _takes_in(other, rule):
            return other
    return None


def _takes_in(general: Rule, special: Rule) -> bool:
    """Return whether the one matches whatever the other does, commands left aside."""
    if general.when is not None and (
        special.when is None or general.when.text != special.when.text
    ):
        return False
    return (
        cover_all(general.actions, special.actions)
        and cover_all(general.subjects, special.subjects)
        and cover_all(general.groups, special.groups)
    )


def _may_meet(one: Rule, other: Rule) -> bool:
    """Return whether some request may match both; an account may be in any two groups."""
    return overlap_any(one.actions, other.actions) and overlap_any(one.subjects, other.subjects)


def _overlap(one: Rule, other: Rule) -> bool:
    """Return whether the two are about the same accounts, as far as their names say."""
    return _may_meet(one, other) and overlap_any(one.groups, other.groups)


def _is_as_strict(one: Rule, other: Rule) -> bool:
    if one.effect is RuleEffect.DENY or other.effect is RuleEffect.ALLOW:
        return one.effect is RuleEffect.DENY or one.effect is other.effect
    if one.requirement is None or other.requirement is None:
        return other.effect is not RuleEffect.DENY and other.requirement is None
    return join_requirements(one.requirement, other.requirement) == one.requirement


def _find_weakening(number: int, later: Rule, earlier: Rule) -> Iterator[Finding]:
    """Yield where an earlier rule asks less for a part of what a later one is about."""
    if _height(earlier) >= _height(later) or not _overlap(earlier, later):
        return
    is_exception = cover_all(later.actions, earlier.actions)
    if is_exception and earlier.effect is not RuleEffect.ALLOW:
        return
    said = f"{earlier.name!r} before it {_say(earlier)} part of what {later.name!r} {_say(later)}"
    if is_exception:
        yield Finding(Grade.NOTE, "exception", number, said)
    else:
        hint = f"put {later.name!r} first, or name fewer actions in {earlier.name!r}"
        yield Finding(Grade.WARNING, "weakened", number, said, hint)


def _height(rule: Rule) -> float:
    if rule.effect is RuleEffect.DENY:
        return float("inf")
    return 0 if rule.requirement is None else rule.requirement.level


def _say(rule: Rule) -> str:
    if rule.effect is RuleEffect.ALLOW:
        return "allows"
    if rule.requirement is None:
        return "denies"
    return f"asks {rule.requirement.level.word} for"
