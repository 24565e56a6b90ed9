"""Rules compared with those before them: which never apply, and which ones weaken others.

The law of this file: a rule is said to be shadowed only where one earlier rule matches everything
that it matches; nothing is said of what takes two rules together, or a condition, to see.
"""

from collections.abc import Iterator

from stepupd.core.policy import Rule, RuleEffect, join_requirements
from stepupd.core.rehearsal.finding import Finding, Grade
from stepupd.core.rehearsal.glob_sets import cover_all, overlap_any


def compare_rules(rules: tuple[Rule, ...]) -> Iterator[Finding]:
    """Yield what the order of the rules gives away."""
    index = _Index()
    for number, rule in enumerate(rules):
        earlier = [rules[at] for at in index.find(rule)]
        yield from _compare(number, rule, earlier)
        index.add(number, rule)


class _Index:
    """Earlier rules by what they may have in common with a later one."""

    def __init__(self) -> None:
        self._plain: dict[str, list[int]] = {}
        self._wild: list[int] = []
        self._all: list[int] = []

    def add(self, number: int, rule: Rule) -> None:
        self._all.append(number)
        if any(_is_wild(action) for action in rule.actions):
            self._wild.append(number)
            return
        for action in rule.actions:
            self._plain.setdefault(action, []).append(number)

    def find(self, rule: Rule) -> list[int]:
        if any(_is_wild(action) for action in rule.actions):
            return self._all
        same = {at for action in rule.actions for at in self._plain.get(action, ())}
        return sorted(same.union(self._wild))


def _is_wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _compare(number: int, rule: Rule, earlier: list[Rule]) -> Iterator[Finding]:
    hiding = next((other for other in earlier if _hides(other, rule)), None)
    if hiding is not None:
        yield Finding(
            Grade.WARNING,
            "shadowed",
            number,
            f"{rule.name!r} never applies: {hiding.name!r} before it matches all of it",
            f"put {rule.name!r} before {hiding.name!r}, or take it out",
        )
        return
    idling = _find_idling(rule, earlier)
    if idling is not None:
        yield Finding(
            Grade.WARNING,
            "no-effect",
            number,
            f"{rule.name!r} changes nothing: {idling.name!r} before it is as strict",
            "what is claimed can only ask for more than the rules without a claim",
        )
        return
    for other in earlier:
        yield from _find_weakening(number, rule, other)


def _hides(earlier: Rule, later: Rule) -> bool:
    """Return whether the earlier rule leaves nothing to the later one."""
    if earlier.is_claimed is not later.is_claimed or not _takes_in(earlier, later):
        return False
    return cover_all(earlier.commands, later.commands)


def _find_idling(rule: Rule, earlier: list[Rule]) -> Rule | None:
    """Return the rule whose floor a claim-bound rule never raises; None unless that is certain."""
    if not rule.is_claimed:
        return None
    for other in earlier:
        if other.is_claimed or not _overlap(other, rule):
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


def _overlap(one: Rule, other: Rule) -> bool:
    return (
        overlap_any(one.actions, other.actions)
        and overlap_any(one.subjects, other.subjects)
        and overlap_any(one.groups, other.groups)
    )


def _is_as_strict(one: Rule, other: Rule) -> bool:
    if one.effect is RuleEffect.DENY or other.effect is RuleEffect.ALLOW:
        return one.effect is RuleEffect.DENY or one.effect is other.effect
    if one.requirement is None or other.requirement is None:
        return other.effect is not RuleEffect.DENY and other.requirement is None
    return join_requirements(one.requirement, other.requirement) == one.requirement


def _find_weakening(number: int, later: Rule, earlier: Rule) -> Iterator[Finding]:
    """Yield where an earlier rule asks less for a part of what a later one is about."""
    if later.is_claimed or earlier.is_claimed or _height(earlier) >= _height(later):
        return
    if not _overlap(earlier, later):
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
