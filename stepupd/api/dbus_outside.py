"""What the D-Bus door needs beside the service, said by the door."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outside:
    """What this door alone needs of the daemon. `has_polkit` is so for the machine's own."""

    name_account: Callable[[int], Awaitable[str]]
    """Returns the name of an account; raises RequestError for none."""
    read_log: Callable[[int], Awaitable[tuple[str, ...]]]
    """Returns the last entries of the audit log as JSON."""
    reload: Callable[[], None]
    own_uid: int
    has_polkit: bool
