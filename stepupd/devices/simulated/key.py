"""A simulated key: the firmware, its memory, and the hand that holds it.

Law: unplugging ends everything but the memory; plugging in again starts new firmware, with no
channel, no token and no count of wrong PINs in a row. Scripted faults of firmware and link happen
here, below both seams.
"""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from time import monotonic

from fido2.ctap import CtapError

from stepupd.core.errors import ConfigError
from stepupd.devices.simulated.authenticator import Authenticator, name_command
from stepupd.devices.simulated.entropy import Entropy
from stepupd.devices.simulated.insertion import Body, Call, Insertion
from stepupd.devices.simulated.model import NAME, Model
from stepupd.devices.simulated.parts import Parts
from stepupd.devices.simulated.script import (
    Command,
    Fault,
    Script,
    Step,
    change_script,
    describe_script,
)
from stepupd.devices.simulated.state import load_state, make_state, save_state

_FOREVER_S = 1e9


class SimulatedKey:
    """One key, plugged in when made.

    `path`: its state file (None: memory only); ConfigError if it is broken or cannot be written.
    `seed`: makes keys and ids repeatable, for tests. `clock`: seconds, for token lifetimes and the
    reset window.
    """

    name = NAME

    def __init__(
        self,
        path: Path | None = None,
        *,
        seed: bytes | None = None,
        model: Model | None = None,
        script: Script | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._path = path
        self._clock = clock
        self._model = model or Model()
        self.body = Body(script or Script())
        stored = load_state(path) if path is not None else None
        self._entropy = Entropy(seed, stored[1] if stored else 0)
        self._state = stored[0] if stored else make_state(self._entropy)
        self._write_first()
        self.plug()

    @property
    def serial(self) -> str:
        """A name for this key that stays the same for ever."""
        return self._state.serial

    @property
    def attestation_root(self) -> bytes:
        """The certificate (DER) that vouches for this key's attestation."""
        return self._state.batch.root

    @property
    def script(self) -> Script:
        """What the key does; may be replaced at any moment."""
        return self.body.script

    @script.setter
    def script(self, script: Script) -> None:
        with self.body.changed:
            self.body.script = script
            self.body.changed.notify_all()

    def change_script(self, **changes: object) -> None:
        """Change some settings of the script. RequestError if there is no such setting."""
        with self.body.changed:
            self.script = change_script(self.body.script, changes)

    def watch(self, told: Callable[[], None]) -> None:
        """Have `told` called after every plugging and unplugging, from whichever thread did it."""
        self.body.watchers.append(told)

    def plug(self) -> None:
        """Put the key in, if it is not."""
        with self.body.changed:
            if self.body.insertion is not None:
                return
            insertion = self.body.plug()
            self._authenticator = Authenticator(
                Parts(self._model, self._state, self._entropy, insertion, self._save, self._clock)
            )
        self.body.tell_watchers()

    def unplug(self) -> None:
        """Pull the key out, if it is in."""
        self.body.unplug()

    def require_insertion(self) -> Insertion:
        """Give the present stay of the key in its socket. OSError ENODEV if it is not plugged."""
        insertion = self.body.insertion
        if insertion is None:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        return insertion

    def touch(self) -> bool:
        """Touch the key; say whether a command was waiting for it."""
        insertion = self.body.insertion
        return insertion is not None and insertion.touch()

    def deny(self) -> bool:
        """Refuse what the key waits for; say whether it did wait."""
        insertion = self.body.insertion
        return insertion is not None and insertion.deny()

    def set_pin(self, pin: str) -> None:
        """Set the PIN without asking for the old one. CtapError PIN_POLICY_VIOLATION."""
        self._authenticator.pin.replace_pin(pin.encode())

    def wait_for_blink(self, timeout: float) -> bool:
        """Wait until a touch is awaited, at most `timeout` seconds; say whether it is."""
        return self.body.wait_until(lambda insertion: insertion.is_waiting, timeout)

    def wait_for_idle(self, timeout: float) -> bool:
        """Wait until no command runs, at most `timeout` seconds; say whether none does."""
        with self.body.changed:
            return self.body.changed.wait_for(self._is_idle, timeout)

    def describe(self) -> Mapping[str, object]:
        """Give the state as JSON-ready data, without secrets."""
        with self.body.changed:
            insertion = self.body.insertion
            command = insertion.command if insertion else None
            return {
                "name": self.name,
                "serial": self.serial,
                "plugged": insertion is not None,
                "plugs": self.body.plugs,
                "waiting": insertion is not None and insertion.is_waiting,
                "command": command,
                "blinks": self.body.blinks,
                "blinked_at": self.body.blinked_at,
                "winks": self.body.winks,
                "pin_set": self._state.pin_hash is not None,
                "pin_retries": self._state.pin_retries,
                "counter": self._state.counter,
                "credentials": len(self._state.credentials),
                "script": describe_script(self.body.script),
            }

    def run(
        self,
        insertion: Insertion,
        data: bytes,
        cancelled: Event,
        keepalive: Callable[[int], None],
        quiet: float = _FOREVER_S,
    ) -> bytes:
        """Run one CTAP2 request of a device opened at `insertion` and return its reply.

        `quiet`: how many seconds of scripted silence the caller bears before OSError.
        CtapError CHANNEL_BUSY while another command runs. OSError: pulled out, or silent.
        """
        command = name_command(data)
        if self.script.has_fault(Fault.BUSY, command):
            raise CtapError(CtapError.ERR.CHANNEL_BUSY)
        with insertion.running(command):
            if command is Command.GET_INFO:
                insertion.reach(Step.GET_INFO)
            self._stall(insertion, command, Call(cancelled, keepalive), quiet)
            reply = self._find_firmware(insertion).process(data, cancelled, keepalive)
            insertion.check_plugged()
            return _spoil(self.script, command, reply)

    def _find_firmware(self, insertion: Insertion) -> Authenticator:
        with self.body.changed:
            insertion.check_plugged()
            return self._authenticator

    def _stall(self, insertion: Insertion, command: Command, call: Call, quiet: float) -> None:
        def is_silent() -> bool:
            return self.script.has_fault(Fault.SILENT, command)

        def is_endless() -> bool:
            return self.script.has_fault(Fault.ENDLESS_KEEPALIVE, command)

        if is_silent() and not insertion.hold_while(is_silent, None, quiet):
            raise OSError("authenticator silent")
        if is_endless():
            insertion.hold_while(is_endless, call, _FOREVER_S)

    def _is_idle(self) -> bool:
        insertion = self.body.insertion
        return insertion is None or insertion.command is None

    def _write_first(self) -> None:
        try:
            self._save()
        except OSError as error:
            raise ConfigError(
                f"cannot write the simulated key: {error}", file=str(self._path)
            ) from error

    def _save(self) -> None:
        if self._path is not None:
            save_state(self._path, self._state, self._entropy.draws)


def _spoil(script: Script, command: Command, reply: bytes) -> bytes:
    if script.has_fault(Fault.GARBAGE, command):
        return b"\0\xff\x5f" + reply[::-1]
    if script.has_fault(Fault.EMPTY, command):
        return b""
    if script.has_fault(Fault.NON_CANONICAL, command) and len(reply) > 1:
        # The same map with its length in one byte more than needed.
        return reply[:1] + b"\xb8" + bytes([reply[1] & 0x1F]) + reply[2:]
    return reply
