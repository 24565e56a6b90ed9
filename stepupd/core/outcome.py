"""How a ceremony ended, and everything that has to be made durable because of it."""

from dataclasses import dataclass

from stepupd.core.decision import Decision
from stepupd.core.evidence import Evidence
from stepupd.core.model import Credential, Grant, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """The one result of a ceremony; the broker commits it, audit entry first.

    `grant` is a new one to remember, `credential` one to store (registration), `alarm` something
    the administrator must see, `suspect` the id of a stored credential that may have been copied.
    """

    verdict: Verdict
    decision: Decision | None = None
    evidence: Evidence | None = None
    grant: Grant | None = None
    credential: Credential | None = None
    alarm: str = ""
    suspect: bytes = b""
