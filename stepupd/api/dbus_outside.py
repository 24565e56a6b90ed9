"""What the D-Bus door needs beside the service, said by the door."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from stepupd.core.model import Session


class NamedProcess(Protocol):
    """The process behind a pidfd, as the kernel attests it."""

    @property
    def uid(self) -> int:
        """Its account."""

    @property
    def pidfd(self) -> int:
        """The descriptor, which somebody else closes."""

    def find_session(self) -> Session | None:
        """Return its terminal session, None if anything is uncertain."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What this door alone needs of the daemon. `has_polkit` is so for the machine's own."""

    name_account: Callable[[int], Awaitable[str]]
    """Returns the name of an account; raises RequestError for none."""
    read_log: Callable[[int], Awaitable[tuple[str, ...]]]
    """Returns the last entries of the audit log as JSON."""
    reload: Callable[[], None]
    identify_process: Callable[[int], NamedProcess]
    """Returns the process behind a pidfd, which stays the caller's; raises RequestError for what is
    none, for one that has ended and for one that is nobody's."""
    own_uid: int
    has_polkit: bool
