"""Policy files: from text to a `Policy`, or to an error that says where.

The law of this file: what is not plainly meant is an error, never a guess. One rule does one thing;
an empty list is refused, for it could be read as "nobody" or as "anybody"; `max_age` and `scope`
come together; what is claimed can only ask for more; the risk ladder only climbs.

Which rule applies is decided in `core.policy`.
"""

import hashlib
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from stepupd.core.condition import CLAIMED, Condition
from stepupd.core.errors import ConfigError
from stepupd.core.model import Level, Method, Requirement, Scope
from stepupd.core.policy import Mode, Policy, Rule, RuleEffect
from stepupd.store.durations import parse_duration
from stepupd.store.levels import read_level
from stepupd.store.policy_entries import (
    Duration,
    OneOrMore,
    PolicyEntry,
    PolicyTable,
    RiskEntry,
    RuleEntry,
)
from stepupd.store.toml_files import Document
from stepupd.store.toml_positions import Path
from stepupd.store.weighing import Weighing

if TYPE_CHECKING:
    from stepupd.store.conditions import Conditions

MAX_NAME = 64
"""A rule's name is shown to people and written to every audit entry."""
MAX_AGE = 24 * 3600
"""Seconds. What was proved yesterday says nothing about now."""
ATTEMPTS = range(1, 6)
"""A key blocks its PIN after eight wrong ones (CTAP 2.1 section 6.5.5.7); stay well below."""
DEADLINE = (5, 120)
"""Seconds: time to reach for the key, and no more than a login may hang."""

_REQUIREMENT_KEYS = (
    "max_age",
    "scope",
    "methods",
    "attempts",
    "deadline",
    "recovery",
    "while_plugged",
)


_T = TypeVar("_T")


def make_policy(documents: tuple[Document, ...]) -> Policy:
    """Return the policy that the files make up, in their order. Raises ConfigError."""
    written = [(document, document.convert(PolicyEntry)) for document in documents]
    risk = _find_only("risk", [(document, entry.risk) for document, entry in written])
    table = _find_only("policy", [(document, entry.policy) for document, entry in written])
    weighing = Weighing() if risk is None else _read_risk(*risk)
    return Policy(
        _read_rules(written),
        weighing.ladder,
        weighing.weights,
        digest_documents(documents),
        mode=Mode.ENFORCE if table is None else _read_mode(*table),
        score=weighing.score,
        denied_models=weighing.denied_models,
    )


def _read_risk(document: Document, table: RiskEntry) -> Weighing:
    # Only here, as with conditions: what a policy does not use is not loaded.
    from stepupd.store.risk_table import read_risk  # noqa: PLC0415

    return read_risk(document, table)


def _make_compiler() -> "Conditions":
    from stepupd.store.conditions import Conditions  # noqa: PLC0415 - see above

    return Conditions()


def _read_rules(written: Iterable[tuple[Document, PolicyEntry]]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    seen: dict[str, str] = {}
    compiler = cache(_make_compiler)  # one for all rules, and made by the first that needs it
    for document, entry in written:
        for index, one in enumerate(entry.rule):
            rule = _RuleReader(document, index, one, compiler).read()
            if rule.name in seen:
                raise document.fault(
                    ("rule", index, "name"),
                    f"a rule named {rule.name!r} is in {seen[rule.name]} already",
                )
            seen[rule.name] = document.file
            rules.append(rule)
    return tuple(rules)


def _find_only(name: str, tables: list[tuple[Document, _T | None]]) -> tuple[Document, _T] | None:
    """Return the one table of that name, wherever it stands; a second one is an error."""
    found: tuple[Document, _T] | None = None
    for document, table in tables:
        if table is None:
            continue
        if found is not None:
            raise document.fault((name,), f"[{name}] is in {found[0].file} already")
        found = document, table
    return found


def _read_mode(document: Document, table: PolicyTable) -> Mode:
    words = [mode.value for mode in Mode]
    if table.mode is None:
        return Mode.ENFORCE
    if table.mode not in words:
        at = ("policy", "mode")
        raise document.fault(at, f"{table.mode!r} is none of {', '.join(words)}")
    return Mode(table.mode)


def digest_documents(documents: Iterable[Document]) -> str:
    """Return the hex SHA-256 over names and texts, each preceded by its length."""
    whole = hashlib.sha256()
    for document in documents:
        for part in (document.file.encode("utf-8", "surrogateescape"), document.text.encode()):
            whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


class _RuleReader:
    """Reads one rule; knows where it stands."""

    def __init__(
        self,
        document: Document,
        index: int,
        written: RuleEntry,
        compiler: "Callable[[], Conditions]",
    ) -> None:
        self.document = document
        self.compiler = compiler
        self.at: Path = ("rule", index)
        self.written = written

    def read(self) -> Rule:
        written = self.written
        name = written.name
        if not 0 < len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
            raise self.fault("name", f"a name has 1 to {MAX_NAME} printable characters")
        effect = self.read_effect()
        if effect is RuleEffect.ALLOW and written.command is not None:
            raise self.fault(
                "command",
                "a command is what the caller claims: it may ask for more, never for less",
                "leave out `command`, or write `require` or `deny`",
            )
        return Rule(
            name=name,
            actions=self.read_patterns("action", written.action),
            effect=effect,
            requirement=self.read_requirement() if effect is RuleEffect.REQUIRE else None,
            subjects=self.read_patterns("subject", written.subject),
            groups=self.read_patterns("group", written.group),
            commands=self.read_patterns("command", written.command),
            when=self.read_condition(effect),
        )

    def read_condition(self, effect: RuleEffect) -> Condition | None:
        if self.written.when is None:
            return None
        condition = self.compiler().read(self.document, (*self.at, "when"), self.written.when)
        claimed = sorted(condition.names & CLAIMED)
        if claimed and effect is RuleEffect.ALLOW:
            raise self.fault(
                "when",
                f"{claimed[0]} depends on what is claimed: it may ask for more, never for less",
                "leave it out, or write `require` or `deny`",
            )
        return condition

    def read_effect(self) -> RuleEffect:
        written = self.written
        for key, value in (("allow", written.allow), ("deny", written.deny)):
            if value is False:
                raise self.fault(key, f"{key} is true, or left out")
        given = [
            effect
            for effect, value in (
                (RuleEffect.ALLOW, written.allow),
                (RuleEffect.DENY, written.deny),
                (RuleEffect.REQUIRE, written.require),
            )
            if value is not None
        ]
        if len(given) != 1:
            raise self.fault("", "a rule has exactly one of `allow`, `deny` and `require`")
        if given[0] is not RuleEffect.REQUIRE:
            for key in _REQUIREMENT_KEYS:
                if getattr(written, key) is not None:
                    raise self.fault(key, f"{key} belongs to a rule with `require`")
        return given[0]

    def read_requirement(self) -> Requirement:
        written = self.written
        level = read_level(self.document, (*self.at, "require"), written.require or "")
        max_age = self.read_seconds("max_age", written.max_age, 0, 0, MAX_AGE)
        deadline = self.read_seconds("deadline", written.deadline, 30, *DEADLINE)
        attempts = 3 if written.attempts is None else written.attempts
        if attempts not in ATTEMPTS:
            raise self.fault("attempts", f"from {ATTEMPTS[0]} to {ATTEMPTS[-1]}")
        return Requirement(
            level=level,
            max_age=max_age,
            scope=self.read_scope(max_age),
            methods=self.read_methods(),
            attempts=attempts,
            deadline=deadline,
            is_recoverable=self.read_recovery(level),
            while_plugged=self.read_while_plugged(max_age),
        )

    def read_while_plugged(self, max_age: float) -> bool:
        if self.written.while_plugged and not max_age:
            raise self.fault("while_plugged", "without max_age no success is kept at all")
        return bool(self.written.while_plugged)

    def read_recovery(self, level: Level) -> bool:
        if self.written.recovery and level > Level.TOUCH:
            raise self.fault("recovery", f"a recovery code never stands in for {level.word!r}")
        return bool(self.written.recovery)

    def read_scope(self, max_age: float) -> Scope:
        words = [scope.value for scope in Scope]
        written = self.written.scope
        if written is not None and written not in words:
            raise self.fault("scope", f"{written!r} is none of {', '.join(words)}")
        scope = Scope(written or Scope.REQUEST)
        if (scope is Scope.REQUEST) != (max_age == 0):
            raise self.fault(
                "max_age" if max_age else "scope",
                "max_age says for how long a success counts, scope how widely: give both",
                'such as max_age = "10m", scope = "session"',
            )
        return scope

    def read_methods(self) -> frozenset[Method]:
        written = self.written.methods
        if written is None:
            return Requirement(Level.TOUCH).methods
        if not written:
            raise self.fault("methods", "the list is empty: no method would ever do")
        words = [Method.FIDO2.value]
        for index, word in enumerate(written):
            if word not in words:
                raise self.document.fault(
                    (*self.at, "methods", index), f"{word!r} is none of {', '.join(words)}"
                )
        return frozenset(Method(word) for word in written)

    def read_patterns(self, key: str, written: OneOrMore | None) -> tuple[str, ...]:
        if written is None:
            return ()
        patterns = (written,) if isinstance(written, str) else written
        if not patterns:
            raise self.fault(key, "the list is empty", f"leave out `{key}` to match any")
        if not all(patterns):
            raise self.fault(key, "an empty pattern matches nothing")
        return patterns

    def read_seconds(
        self, key: str, written: Duration | None, default: float, least: float, most: float
    ) -> float:
        if written is None:
            return default
        seconds = parse_duration(written)
        if seconds is None or not least <= seconds <= most:
            raise self.fault(
                key,
                f"{written!r} is no duration from {least:g} to {most:g} seconds",
                'write a number of seconds, or "30s", "10m", "1h"',
            )
        return seconds

    def fault(self, key: str, message: str, hint: str = "") -> ConfigError:
        return self.document.fault((*self.at, key) if key else self.at, message, hint)
