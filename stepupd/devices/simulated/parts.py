"""What every command of a key works with, from power-up to power-down."""

from collections.abc import Callable
from dataclasses import dataclass

from fido2.ctap import CtapError

from stepupd.devices.simulated.credentials import Credential
from stepupd.devices.simulated.entropy import Entropy
from stepupd.devices.simulated.insertion import Insertion
from stepupd.devices.simulated.model import CounterKind, Model
from stepupd.devices.simulated.script import Script
from stepupd.devices.simulated.state import KeyState


@dataclass(frozen=True, slots=True)
class Parts:
    """One key under power. `save` writes the state; `clock` counts seconds, for token lifetimes."""

    model: Model
    state: KeyState
    entropy: Entropy
    insertion: Insertion
    save: Callable[[], None]
    clock: Callable[[], float]

    @property
    def script(self) -> Script:
        """The script as it is now."""
        return self.insertion.body.script

    def require_room(self) -> None:
        """CtapError KEY_STORE_FULL if no further credential fits."""
        if len(self.state.credentials) >= self.model.capacity:
            raise CtapError(CtapError.ERR.KEY_STORE_FULL)

    def count_up(self, credential: Credential) -> tuple[Credential, int]:
        """Advance the signature counter; return the credential to keep and the count to report."""
        if self.model.counter is CounterKind.NONE:
            return credential, 0
        if self.model.counter is CounterKind.GLOBAL:
            self.state.counter += 1
            return credential, self.state.counter
        counted = credential.counted()
        return counted, counted.counter

    def keep(self, credential: Credential) -> None:
        """Store a credential, new or changed, and save."""
        self.state.credentials[credential.id] = credential
        self.save()
