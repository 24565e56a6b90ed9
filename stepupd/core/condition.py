"""A rule's `when`: something that holds, does not hold, or is in error."""

from collections.abc import Mapping
from typing import Protocol

Variable = bool | int | float | str | tuple[str, ...]
"""What a condition's variable may be."""

CLAIMED = frozenset(
    {
        "asker",
        "command",
        "program",
        "programs",
        "reason",
        "rhost",
        "risk",
        "ruser",
        "signals",
        "ssh_client",
    }
)
"""Variables that turn on what the caller says, or can make itself look like; see `variables`."""


class Condition(Protocol):
    """A compiled expression; `store` makes it."""

    @property
    def text(self) -> str:
        """The expression as written."""

    @property
    def names(self) -> frozenset[str]:
        """The variables that it uses."""

    def holds(self, variables: Mapping[str, Variable]) -> bool | None:
        """Return whether it holds; None if it is in error, which denies."""
