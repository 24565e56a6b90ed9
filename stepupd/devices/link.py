"""A key's link during one operation: whatever runs on it can be stopped.

The law of this file: every command hears the same stop, also those that python-fido2's PIN
protocols send by themselves, so that a key which answers for ever holds no thread for ever.
"""

from collections.abc import Callable, Iterator
from threading import Event

from fido2.ctap import STATUS, CtapDevice


class Stop(Event):
    """Tells a key's thread to let go.

    A link waits on it only between two tries at a key that another program holds: `on_busy` hears
    of each, in the key's thread.
    """

    def __init__(self, on_busy: Callable[[], None]) -> None:
        super().__init__()
        self._on_busy = on_busy

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until told to stop, at most `timeout` seconds; say whether that came."""
        if not self.is_set():
            self._on_busy()
        return super().wait(timeout)


class StoppableDevice(CtapDevice):
    """An open key, all of whose commands end when `stop` is set."""

    def __init__(self, device: CtapDevice, stop: Event) -> None:
        self._device = device
        self._stop = stop

    @property
    def capabilities(self) -> int:
        """What the key can do."""
        return self._device.capabilities

    def call(
        self,
        cmd: int,
        data: bytes = b"",
        event: Event | None = None,
        on_keepalive: Callable[[STATUS], None] | None = None,
    ) -> bytes:
        """Send a CTAPHID command and return its reply; see `CtapDevice.call`."""
        return self._device.call(cmd, data, event or self._stop, on_keepalive)

    def close(self) -> None:
        """Close the link."""
        self._device.close()

    @classmethod
    def list_devices(cls) -> Iterator["StoppableDevice"]:
        """List nothing: keys are found on a bus."""
        return iter(())
