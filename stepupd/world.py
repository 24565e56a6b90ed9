"""What the broker needs of the world, as small Protocols; `daemon` fills them in.

Everything marked "may block" is called in a worker thread, with a deadline.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, Self

from stepupd.core.effects import Notice, Reply, TroubleKind, Use
from stepupd.core.model import (
    Caller,
    Credential,
    Grant,
    Moment,
    RecoveryCode,
    StepUpRequest,
    Subject,
)
from stepupd.core.policy import Policy
from stepupd.core.record import Record
from stepupd.core.risk.activity import Activity, Alert, Event
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.risk.profile import Profile
from stepupd.core.secret import Secret


class Accounts(Protocol):
    """Who exists on this machine. May block."""

    def find_subject(self, name: str) -> Subject | None:
        """Return the account of that name."""

    def find_subject_by_uid(self, uid: int) -> Subject | None:
        """Return the account of that uid."""


class Credentials(Protocol):
    """Enrolled keys and their counters; durable when a call returns. May block."""

    def list_credentials(self, uid: int) -> tuple[Credential, ...]:
        """Return the subject's credentials; raises InternalError rather than return too few."""

    def add(self, credential: Credential) -> None:
        """Store a new credential."""

    def rename(self, uid: int, credential_id: bytes, name: str) -> None:
        """Give a credential another name."""

    def remove(self, uid: int, credential_id: bytes) -> Credential:
        """Forget a credential."""

    def record_use(
        self, credential_id: bytes, *, sign_count: int, backed_up: bool, last_used: float
    ) -> None:
        """Store the counter of a checked assertion; refuses to go back."""

    def mark_suspect(self, credential_id: bytes) -> None:
        """Note that a key may have been copied; nothing for one that is gone."""


class RecoveryCodes(Protocol):
    """What is kept of recovery codes; durable when a call returns. May block."""

    def list_codes(self, uid: int) -> tuple[RecoveryCode, ...]:
        """Return the subject's unused codes."""

    def replace_codes(self, uid: int, codes: tuple[RecoveryCode, ...]) -> None:
        """Forget the subject's codes and keep these."""

    def consume(self, uid: int, tag: str) -> None:
        """Forget one code; raises InternalError if it is not there: it was used meanwhile."""


class Profiles(Protocol):
    """What is usual for each subject. May block."""

    def find(self, uid: int) -> Profile:
        """Return the subject's profile; an empty one for who is not known."""

    def find_crowd(self) -> Profile:
        """Return the profile of all subjects together."""

    def keep(self, profile: Profile) -> None:
        """Replace a profile; on disk soon."""

    def forget(self, uid: int) -> None:
        """Forget the subject's profile, durably."""


class Activities(Protocol):
    """What each subject did in the last hour, and what trusted callers told of it."""

    def find(self, uid: int, now: Moment) -> Activity:
        """Return the subject's last hour, and the alerts that hold."""

    def remember(self, uid: int, event: Event) -> None:
        """Remember one request that ended."""

    def alert(self, uid: int, alert: Alert, now: Moment, *, may_shorten: bool = False) -> None:
        """Raise an alert; it holds when this returns. Raises InternalError."""


class Grants(Protocol):
    """Successes remembered until they run out, at the latest until the machine goes down."""

    def list_grants(self, uid: int, now: Moment) -> tuple[Grant, ...]:
        """Return the subject's live grants."""

    def add(self, grant: Grant) -> None:
        """Remember a grant."""

    def revoke(
        self,
        *,
        uid: int | None = None,
        grant_id: str | None = None,
        credential_id: bytes | None = None,
    ) -> int:
        """Forget every grant that matches all that is given; return how many."""


class Journal(Protocol):
    """The audit log."""

    async def append(self, record: Record) -> int:
        """Return the entry's number once the entry is durable."""

    def append_now(self, record: Record) -> int:
        """Do the same in a worker thread. Blocks for as long as the disk takes."""

    def count(self) -> int:
        """Return how many entries there are."""


class KeyTurn(Protocol):
    """One request's time at the keys; nobody else comes between its touches."""

    async def __aenter__(self) -> Self:
        """Begin; the keys are taken with the first use."""

    async def __aexit__(self, *exception: object) -> None:
        """Let the next request have the keys."""

    async def use(self, use: Use, notify: Callable[[Notice], None]) -> Reply:
        """Run the operations side by side; cancelling the task cancels the keys.

        `notify` is called, in the event loop, with what the person should know meanwhile.
        """


class Authenticators(Protocol):
    """The keys that are plugged in."""

    def turn(self, owner_uid: int) -> KeyTurn:
        """Return a turn at the keys; owners take turns fairly."""

    def list_names(self) -> tuple[str, ...]:
        """Return what is plugged in, by name."""


class Conversation(Protocol):
    """The person, through whatever door the request came in by."""

    @property
    def gone(self) -> "asyncio.Future[TroubleKind]":
        """Done once the caller has hung up or cancelled."""

    async def show(self, text: str, *, is_error: bool) -> None:
        """Tell the person something."""

    async def ask(self, text: str, *, is_hidden: bool) -> Secret | None:
        """Ask the person; None means the person declined."""


@dataclass(frozen=True, slots=True)
class World:
    """Everything outside the core, and what the administrator set."""

    accounts: Accounts
    credentials: Credentials
    recovery_codes: RecoveryCodes
    grants: Grants
    journal: Journal
    authenticators: Authenticators
    profiles: Profiles
    activities: Activities
    observe: Callable[[StepUpRequest, frozenset[Observer], Moment], Facts]
    """Look around a request; may block. What fails is named in the facts, nothing is raised."""
    read_clock: Callable[[], Moment]
    make_nonce: Callable[[int], bytes]
    read_policy: Callable[[], Policy]
    may_name_others: Callable[[Caller], bool]
    may_push_events: Callable[[Caller], bool]
    rp_id: str
    is_simulated: bool = False
    attestation_roots: tuple[bytes, ...] = ()
