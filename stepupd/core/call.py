"""What a door hands to the broker, and what it gets back.

A call is decoded but not trusted: its subject is a name still to be looked up, and whether the
caller may name it is decided behind the door.
"""

from dataclasses import dataclass

from stepupd.core.model import Claim, Credential, Grant, Level, Session, Verdict


@dataclass(frozen=True, slots=True)
class StepUpCall:
    """A decoded request for proof. An empty `subject` means the caller's own account."""

    action: str
    subject: str = ""
    session: Session | None = None
    claim: Claim = Claim()
    level: Level | None = None
    max_age: float | None = None
    ssh_key: str = ""
    """Taken from root's processes only: see `StepUpRequest`."""


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a ceremony, as a door reports it.

    `entry` is the sequence number of its audit entry; None only where none could be written, and
    then the verdict is never "allow". `amr` and `level` describe the proof (RFC 8176, RFC 9470).
    """

    verdict: Verdict
    entry: int | None = None
    rule: str = ""
    level: Level | None = None
    amr: tuple[str, ...] = ()
    auth_age: float | None = None
    """Seconds since the proof was given: 0 for a fresh one, more under a grant."""
    grant: Grant | None = None
    credential: Credential | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What the daemon tells about itself.

    Keys and grants are the caller's own; what is plugged in and how long the log is are told only
    to root and to the account that the daemon runs as.
    """

    version: str
    mode: str
    rp_id: str
    policy_digest: str
    rules: int
    is_observed: bool
    """Whether what risk asks for is only recorded."""
    authenticators: tuple[str, ...]
    credentials: int
    grants: int
    entries: int
    is_simulated: bool
