"""The tables of a policy file, as written: shapes only, no meaning yet."""

from typing import Any

from stepupd.store.toml_files import Entry

OneOrMore = str | tuple[str, ...]
Duration = int | float | str


class RuleEntry(Entry, frozen=True):
    """One `[[rule]]`."""

    name: str
    action: OneOrMore
    subject: OneOrMore | None = None
    group: OneOrMore | None = None
    command: OneOrMore | None = None
    allow: bool | None = None
    deny: bool | None = None
    require: str | None = None
    max_age: Duration | None = None
    scope: str | None = None
    methods: tuple[str, ...] | None = None
    attempts: int | None = None
    deadline: Duration | None = None
    recovery: bool | None = None


class RungEntry(Entry, frozen=True):
    """One step of `risk.ladder`."""

    score: int
    require: str | None = None
    deny: bool | None = None


class RiskEntry(Entry, frozen=True):
    """`[risk]`."""

    ladder: tuple[RungEntry, ...] = ()
    weights: dict[str, Any] | None = None


class PolicyEntry(Entry, frozen=True):
    """A whole policy file."""

    rule: tuple[RuleEntry, ...] = ()
    risk: RiskEntry | None = None
