"""The simulated keys of this process, as a bus on which devices come and go.

Law: the bus holds exactly the keys that were put on it by hand. It is empty by default and is never
consulted because a real key is missing.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from errno import ENODEV
from functools import partial

from fido2.ctap import CtapDevice

from stepupd.devices.plugged import Plugged
from stepupd.devices.simulated.device import SimulatedDevice
from stepupd.devices.simulated.hid_port import HidPort
from stepupd.devices.simulated.insertion import Insertion
from stepupd.devices.simulated.key import SimulatedKey
from stepupd.devices.simulated.script import Step


@dataclass(frozen=True, slots=True)
class PluggedKey:
    """A key during one stay. `serial` never changes; `identity` is new at every plugging in."""

    name: str
    serial: str
    identity: str
    insertion: Insertion
    connect: Callable[[], CtapDevice]
    is_simulated: bool = True

    def open(self) -> CtapDevice:
        """Open the key. OSError if this stay is over or the key does not answer."""
        self.insertion.reach(Step.OPEN, ENODEV)
        return self.connect()


class SimulatedBus:
    """A collection of keys. `over_hid`: open them through packets and python-fido2's own device."""

    def __init__(self, keys: Iterable[SimulatedKey] = (), *, over_hid: bool = False) -> None:
        self.keys: list[SimulatedKey] = []
        self._over_hid = over_hid
        self._ports: dict[SimulatedKey, HidPort] = {}
        self._watchers: list[Callable[[], None]] = []
        for key in keys:
            self.add(key)

    def add(self, key: SimulatedKey) -> None:
        """Put a key on the bus, plugged in or not."""
        self.keys.append(key)
        self._ports[key] = HidPort(key)
        key.watch(self._tell_watchers)
        self._tell_watchers()

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have `told` called after every change of `plugged()`, from any thread; return the end."""
        self._watchers.append(told)
        return partial(self._forget, told)

    def rest(self) -> None:
        """Nothing is kept open."""

    def plugged(self) -> list[Plugged]:
        """List the keys that are plugged in now."""
        return [device for key in self.keys for device in self._find(key)]

    def _find(self, key: SimulatedKey) -> Iterable[PluggedKey]:
        try:
            insertion = key.require_insertion()
            insertion.reach(Step.ENUMERATE)
        except OSError:
            return
        yield PluggedKey(
            name=key.name,
            serial=key.serial,
            identity=f"simulated:{key.serial}:{insertion.number}",
            insertion=insertion,
            connect=lambda: self._open(key),
        )

    def _open(self, key: SimulatedKey) -> CtapDevice:
        if self._over_hid:
            return self._ports[key].open_device()
        return SimulatedDevice(key)

    def _forget(self, told: Callable[[], None]) -> None:
        with suppress(ValueError):
            self._watchers.remove(told)

    def _tell_watchers(self) -> None:
        for told in tuple(self._watchers):
            told()
