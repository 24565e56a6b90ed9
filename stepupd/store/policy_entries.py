"""The tables of a policy file, as written: shapes only, no meaning yet."""

from typing import Any

import msgspec

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
    when: str | None = None
    allow: bool | None = None
    deny: bool | None = None
    require: str | None = None
    max_age: Duration | None = None
    scope: str | None = None
    methods: tuple[str, ...] | None = None
    attempts: int | None = None
    deadline: Duration | None = None
    recovery: bool | None = None
    while_plugged: bool | None = None


class RungEntry(Entry, frozen=True):
    """One step of `risk.ladder`."""

    score: int
    require: str | None = None
    deny: bool | None = None


class RiskEntry(Entry, frozen=True):
    """`[risk]`."""

    ladder: tuple[RungEntry, ...] = ()
    score: str | None = None
    weights: dict[str, Any] | None = None
    denied_models: tuple[str, ...] = ()


class PolicyTable(Entry, frozen=True):
    """`[policy]`."""

    mode: str | None = None


class TestEntry(Entry, frozen=True):
    """One `[[test]]`: a request that is made up, and what the policy has to say to it."""

    __test__ = False
    """It is no test of ours, whatever pytest makes of the name."""

    name: str
    action: str
    expect: str
    subject: str = "somebody"
    groups: tuple[str, ...] = ()
    command: OneOrMore = ()
    reason: str = ""
    terminal: str = "pts/0"
    at: str = "2026-03-03T10:00"
    source: str = msgspec.field(name="from", default="")
    country: str = ""
    programs: tuple[str, ...] = ()
    active: bool | None = None
    locked: bool | None = None
    ssh_key: str = ""
    ssh_client: str = ""
    signals: tuple[str, ...] = ()
    risk: int | None = None
    rule: str | None = None


class PolicyEntry(Entry, frozen=True):
    """A whole policy file."""

    rule: tuple[RuleEntry, ...] = ()
    risk: RiskEntry | None = None
    policy: PolicyTable | None = None
    test: tuple[TestEntry, ...] = ()
