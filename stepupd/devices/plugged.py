"""The seam between a key and where it is plugged in: three members, bytes below."""

from collections.abc import Callable
from typing import Protocol

from fido2.ctap import CtapDevice


class Plugged(Protocol):
    """A FIDO2 authenticator that is present now."""

    @property
    def name(self) -> str:
        """What people call the model."""

    @property
    def identity(self) -> str:
        """Who it is since it was plugged in; another plug, another identity."""

    @property
    def is_simulated(self) -> bool:
        """Whether it is software."""

    def open(self) -> CtapDevice:
        """Return a fresh connection; raises OSError once the key has gone."""


class Source(Protocol):
    """A bus to look for keys on."""

    def plugged(self) -> list[Plugged]:
        """Return what is present now. Quick, and never raises."""

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have `told` called, from any thread, after a key went; return what ends it.

        Called in the event loop. Raises OSError where nobody tells.
        """

    def rest(self) -> None:
        """Let go of whatever was kept open for the next request."""
