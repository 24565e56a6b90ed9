"""What a check says: good, worth knowing or broken, in one sentence, and what mends it."""

from dataclasses import dataclass
from enum import Enum, unique


@unique
class Status(Enum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One result. `mend` is a command, or empty where nothing has to be mended."""

    check: str
    status: Status
    text: str
    mend: str = ""

    def to_json(self) -> dict[str, str]:
        """Return it as JSON values."""
        return {
            "check": self.check,
            "status": self.status.value,
            "text": self.text,
            "mend": self.mend,
        }


def ok(check: str, text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(check, Status.OK, text)


def warn(check: str, text: str, mend: str = "") -> Finding:
    """Return that something is worth knowing, or could not be looked at."""
    return Finding(check, Status.WARN, text, mend)


def bad(check: str, text: str, mend: str) -> Finding:
    """Return that something is broken."""
    return Finding(check, Status.BAD, text, mend)
