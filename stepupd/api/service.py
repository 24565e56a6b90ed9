"""What the doors need from the rest of the daemon, said by the doors.

A door decodes and bounds; it decides nothing. Who may name which subject is the service's to say,
from the caller that the kernel attests: it raises `RequestError` ("not-permitted").
"""

import socket
from collections.abc import Callable
from typing import Protocol

from stepupd.api.conversation import Conversation
from stepupd.core.call import Result, Status, StepUpCall
from stepupd.core.model import Caller, Credential, Door, Grant, Moment, Session
from stepupd.core.risk.alerts import Pushed, SecurityEvent
from stepupd.core.risk.profile import Profile


class Service(Protocol):
    """The broker, as doors see it. An empty `subject` is the caller's own account.

    A refusal is a `Result`; a fault is a `StepUpError`.
    """

    async def step_up(self, caller: Caller, call: StepUpCall, conversation: Conversation) -> Result:
        """Ask for proof."""
        ...

    async def enroll(
        self, caller: Caller, subject: str, name: str, conversation: Conversation
    ) -> Result:
        """Register a new key under `name`."""
        ...

    async def list_credentials(self, caller: Caller, subject: str) -> tuple[Credential, ...]:
        """Return the subject's keys."""
        ...

    async def rename_credential(
        self, caller: Caller, subject: str, which: str, name: str, conversation: Conversation
    ) -> Result:
        """Give the key `which` (its id or name) another name."""
        ...

    async def remove_credential(
        self, caller: Caller, subject: str, which: str, conversation: Conversation
    ) -> Result:
        """Forget the key `which` (its id or name)."""
        ...

    async def make_recovery_codes(
        self, caller: Caller, subject: str, conversation: Conversation
    ) -> tuple[Result, tuple[str, ...]]:
        """Make new recovery codes in place of the old ones; none unless the result is an allow."""
        ...

    async def count_recovery_codes(self, caller: Caller, subject: str) -> int:
        """Return how many of the subject's recovery codes are unused."""
        ...

    async def list_grants(self, caller: Caller, subject: str) -> tuple[tuple[Grant, ...], Moment]:
        """Return the subject's live grants and the time they were read at."""
        ...

    async def revoke(self, caller: Caller, subject: str, grant_id: str) -> int:
        """End one grant, or all for an empty id; return how many ended."""
        ...

    async def show_profile(self, caller: Caller, subject: str) -> tuple[Profile, Moment]:
        """Return what was learned to be usual for the subject and the time it was read at."""
        ...

    async def forget_profile(
        self, caller: Caller, subject: str, conversation: Conversation
    ) -> Result:
        """Forget what was learned of the subject."""
        ...

    async def push_event(self, caller: Caller, event: SecurityEvent) -> Pushed:
        """Take in what somebody outside knows of an account; only for who may push events."""
        ...

    async def get_status(self, caller: Caller) -> Status:
        """Return what the daemon tells about itself."""
        ...


class Peer(Protocol):
    """The other end of a connection, as the kernel attests it."""

    @property
    def caller(self) -> Caller:
        """Account and process, fixed when it connected."""
        ...

    def is_sender(self, pid: int) -> bool:
        """Return whether a message from `pid` came from the process that connected."""
        ...

    def find_session(self) -> Session | None:
        """Return the process's terminal session, None if anything is uncertain."""
        ...

    def close(self) -> None:
        """Give up what is held for the peer."""
        ...


Identify = Callable[[socket.socket, Door], Peer]
"""Raises `RequestError` for a peer that nobody can name, `OSError` without descriptors."""
