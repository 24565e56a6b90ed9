"""What a verifier of the audit log says."""

from dataclasses import asdict, dataclass
from typing import NamedTuple


class Fault(NamedTuple):
    """What is wrong with the log, and at which line (from 1; 0 if at none)."""

    line: int
    reason: str
    """A code of `core.model.Reason` for a proof that does not hold, else one of: `bad-checkpoint`,
    `bad-anchor`, `bad-entry`, `out-of-order`, `changed`, `truncated`.
    """
    text: str


class BrokenLogError(Exception):
    """Carries the fault that ends a walk; never leaves the verifier."""

    def __init__(self, line: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, reason, text)


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. The counts stop at the fault, if there is one."""

    entries: int = 0
    covered: int = 0
    """Entries that a checkpoint or an anchor covers, and agrees with."""
    signatures: int = 0
    """Hardware signatures that were given to check."""
    anchors: int = 0
    """Anchors that agree with the log."""
    recoveries: int = 0
    """Times the daemon found unfinished work of the one before."""
    lost_bytes: int = 0
    """What it then cut off: entries that nobody had been told were written."""
    torn_bytes: int = 0
    """An unfinished entry at the very end."""
    fault: Fault | None = None

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.fault is None

    @property
    def uncovered(self) -> int:
        """Entries at the end that no signature vouches for yet."""
        return self.entries - self.covered

    def to_json(self) -> dict[str, object]:
        """Return the report as JSON values."""
        fault = self.fault._asdict() if self.fault else None
        derived = {"fault": fault, "is_intact": self.is_intact, "uncovered": self.uncovered}
        return asdict(self) | derived
