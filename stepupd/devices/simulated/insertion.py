"""The physical side of a key: its plug, its light and its touch sensor.

Law: a touch counts only for the command that waits for it at that moment; a touch made earlier,
later, or after a cancel is lost. A pulled key raises OSError in whoever waits, as hidraw does.
Nothing of CTAP is decided here.
"""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from threading import Condition, Event
from time import monotonic

from fido2.ctap import STATUS, CtapError

from stepupd.devices.simulated.script import Command, Script, Step

# A threading.Event cannot be awaited together with a condition, so a waiting key looks at its
# cancel event this often. It does so only while something is awaited.
_CANCEL_TICK_S = 0.01

# CTAP 2.1, 11.2.9.1.7: a keepalive at least every 100 ms.
_KEEPALIVE_S = 0.1


@dataclass(frozen=True, slots=True)
class Call:
    """One command under way: how it is cancelled, and where its keepalives go."""

    cancelled: Event
    keepalive: Callable[[int], None]


class _Answer(Enum):
    TOUCH = "touch"
    REFUSAL = "refusal"


@dataclass(slots=True)
class Body:
    """What outlives pulling the plug. `changed` guards it and the insertion.

    `blinked_at`: when it last began to blink, in seconds of CLOCK_MONOTONIC.
    """

    script: Script = field(default_factory=Script)
    changed: Condition = field(default_factory=Condition)
    insertion: "Insertion | None" = None
    plugs: int = 0
    blinks: int = 0
    blinked_at: float = 0.0
    winks: int = 0
    watchers: list[Callable[[], None]] = field(default_factory=list)

    def plug(self) -> "Insertion":
        """Put the key in. A key that is in already stays as it is."""
        with self.changed:
            if self.insertion is None:
                self.plugs += 1
                self.insertion = Insertion(self, self.plugs)
                self.changed.notify_all()
            return self.insertion

    def unplug(self) -> None:
        """Pull the key out; whoever waits for it gets OSError."""
        with self.changed:
            self.insertion = None
            self.changed.notify_all()
        self.tell_watchers()

    def tell_watchers(self) -> None:
        """Call everybody who wants to hear of plugging and unplugging."""
        for told in self.watchers:
            told()

    def wait_until(self, is_reached: Callable[["Insertion"], bool], timeout: float) -> bool:
        """Wait until the plugged key is in a state, at most `timeout` seconds."""

        def is_there() -> bool:
            return self.insertion is not None and is_reached(self.insertion)

        with self.changed:
            return self.changed.wait_for(is_there, timeout)


class Insertion:
    """One stay of the key in its socket. Pulled once, it is gone for good."""

    def __init__(self, body: Body, number: int) -> None:
        self.body = body
        self.number = number
        self.command: Command | None = None
        self._is_blinking = False
        self._answer: _Answer | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the key was pulled out since."""
        return self.body.insertion is not self

    @property
    def is_waiting(self) -> bool:
        """Whether a touch would count now."""
        return self._is_blinking and self._answer is None

    def touch(self) -> bool:
        """Touch the sensor; say whether it counted."""
        with self.body.changed:
            return not self.body.script.deaf and self._give(_Answer.TOUCH)

    def deny(self) -> bool:
        """Refuse the command that waits; say whether one did."""
        with self.body.changed:
            return self._give(_Answer.REFUSAL)

    def check_plugged(self, code: int = errno.EIO) -> None:
        """OSError with `code` if the key was pulled out."""
        if self.is_gone:
            raise OSError(code, os.strerror(code))

    def reach(self, step: Step, code: int = errno.EIO) -> None:
        """Pass a moment at which the script may pull the key out. OSError if it is out."""
        if self.leave(step):
            self.body.tell_watchers()
        self.check_plugged(code)

    def leave(self, step: Step) -> bool:
        """Like `reach`, but without an error, and the caller tells the watchers if True."""
        with self.body.changed:
            if self.body.script.unplug_at is not step or self.is_gone:
                return False
            self.body.script = replace(self.body.script, unplug_at=None)
            self.body.insertion = None
            self.body.changed.notify_all()
            return True

    def pause(self, milliseconds: int) -> None:
        """Let time pass. OSError: pulled out meanwhile."""
        with self.body.changed:
            self.body.changed.wait_for(lambda: self.is_gone, milliseconds / 1000)
        self.check_plugged()

    @contextmanager
    def running(self, command: Command) -> Iterator[None]:
        """Hold the key for one command. CtapError CHANNEL_BUSY while another one runs."""
        with self.body.changed:
            self.check_plugged()
            if self.command is not None:
                raise CtapError(CtapError.ERR.CHANNEL_BUSY)
            self.command = command
            self.body.changed.notify_all()
        try:
            yield
        finally:
            with self.body.changed:
                self.command = None
                self.body.changed.notify_all()

    def await_touch(self, call: Call) -> None:
        """Blink until touched.

        CtapError: KEEPALIVE_CANCEL, OPERATION_DENIED or USER_ACTION_TIMEOUT. OSError: pulled out.
        """
        with self.body.changed:
            self._is_blinking, self._answer = True, None
            self.body.blinks += 1
            self.body.blinked_at = started = monotonic()
            self.body.changed.notify_all()
        spoken = -1
        try:
            while True:
                beat = int((monotonic() - started) / _KEEPALIVE_S)
                if beat != spoken:
                    spoken = beat
                    # Without the lock: whoever hears it may touch the key at once.
                    call.keepalive(STATUS.UPNEEDED)
                self.reach(Step.TOUCH)
                if self._has_touch(started, call.cancelled):
                    return
        finally:
            with self.body.changed:
                self._is_blinking = False
                self.body.changed.notify_all()

    def hold_while(self, is_held: Callable[[], bool], call: Call | None, limit: float) -> bool:
        """Do nothing while `is_held()`, at most `limit` seconds, deaf to cancel.

        With a `call` its keepalives go on. Returns whether the end came before the limit.
        OSError: pulled out.
        """
        end = monotonic() + limit
        while (left := end - monotonic()) > 0:
            if call is not None:
                call.keepalive(STATUS.PROCESSING)
            with self.body.changed:
                self.check_plugged()
                if not is_held():
                    return True
                self.body.changed.wait(min(left, _KEEPALIVE_S))
        return False

    def _give(self, answer: _Answer) -> bool:
        if self.is_gone or not self.is_waiting:
            return False
        self._answer = answer
        self.body.changed.notify_all()
        return True

    def _has_touch(self, started: float, cancelled: Event) -> bool:
        """Judge the sensor; when there is nothing yet, wait for a change or a tick."""
        with self.body.changed:
            self.check_plugged()
            script = self.body.script
            if cancelled.is_set():
                raise CtapError(CtapError.ERR.KEEPALIVE_CANCEL)
            if script.deny or self._answer is _Answer.REFUSAL:
                raise CtapError(CtapError.ERR.OPERATION_DENIED)
            if self._answer is _Answer.TOUCH:
                return True
            elapsed_ms = (monotonic() - started) * 1000
            after_ms = script.touch_after_ms
            if after_ms is not None and not script.deaf and elapsed_ms >= after_ms:
                return True
            if elapsed_ms >= script.touch_timeout_ms:
                raise CtapError(CtapError.ERR.USER_ACTION_TIMEOUT)
            self.body.changed.wait(_CANCEL_TICK_S)
            return False
