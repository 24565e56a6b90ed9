"""What `lint` says of a policy."""

from dataclasses import dataclass
from enum import Enum, unique


@unique
class Grade(Enum):
    """How bad it is."""

    WARNING = "warning"
    """The policy does not do what it says, or lets through what nobody can have meant."""
    NOTE = "note"
    """It may be meant."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at. `rule` counts from 0 through all files; None is the policy itself."""

    grade: Grade
    kind: str
    """A stable word for programs."""
    rule: int | None
    text: str
    hint: str = ""
