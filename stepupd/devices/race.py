"""All keys at once: the first valid kind of answer wins, the others are cancelled.

The law of this file:
* every key that is plugged in takes part, and so does one that comes late;
* a stranger's key, a broken one and one that another program holds do not end the race;
* when it is over, by whatever way, every key is told to stop, and none is used again before it has.

One thread per key, because a key's link blocks. Everything else happens in the event loop.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import NamedTuple

from stepupd.core.effects import (
    Asserted,
    Notice,
    PinNeeded,
    Registered,
    Trouble,
    TroubleKind,
    Use,
)
from stepupd.devices.key import operate
from stepupd.devices.link import Stop
from stepupd.devices.plugged import Plugged

RESCAN = 0.2
"""Seconds between looks for a new key, only while somebody waits for one."""

CLOSING = 5.0
"""Seconds that cancelled keys get to let go; a bounded link needs less than half."""

MAX_RESTARTS = 20
"""How often keys that gave up waiting are asked again: real ones wait 10 s or more."""

Answer = Asserted | Registered | PinNeeded | Trouble

_PASSES_ON = frozenset(
    {
        TroubleKind.NO_AUTHENTICATOR,
        TroubleKind.NO_CREDENTIALS,
        TroubleKind.UNSUPPORTED,
        TroubleKind.BUSY,
        TroubleKind.CANCELLED,
    }
)
"""Troubles of one key that leave room for another, also one that is not plugged in yet."""

_LEAVES_OTHERS = _PASSES_ON | {
    TroubleKind.GONE,
    TroubleKind.SILENT,
    TroubleKind.GARBLED,
    TroubleKind.TIMEOUT,
    TroubleKind.PIN_NOT_SET,
    TroubleKind.PIN_AUTH_BLOCKED,
    TroubleKind.UV_BLOCKED,
}
"""Troubles that end the race only when no other key is left running."""


class _Runner(NamedTuple):
    stop: Stop
    plugged: Plugged


class Race:
    """One `Use`, on all keys. Make it, await `run`, then always await `close`."""

    def __init__(
        self,
        use: Use,
        find_keys: Callable[[], Iterable[Plugged]],
        notify: Callable[[Notice], None],
        read_boot_clock: Callable[[], float],
    ) -> None:
        self._use = use
        self._find_keys = find_keys
        self._notify = notify
        self._read_boot_clock = read_boot_clock
        self._loop = asyncio.get_running_loop()
        self._answers: asyncio.Queue[tuple[str, Answer]] = asyncio.Queue()
        self._running: dict[str, _Runner] = {}
        self._met: set[str] = set()
        self._blinked: set[str] = set()
        self._restarts = 0
        self._trouble = Trouble(TroubleKind.NO_AUTHENTICATOR)

    async def run(self) -> Answer:
        """Return the winner's answer, or at the deadline the trouble that best says why not."""
        while True:
            present = list(self._find_keys())
            left = self._use.deadline - self._read_boot_clock()
            if left <= 0 or self._is_nobody_coming(present):
                return await self._run_out()
            self._start_new_keys(present)
            if self._has_lost_the_chosen_key(present):
                return Trouble(TroubleKind.GONE, self._wanted)
            try:
                async with asyncio.timeout(min(RESCAN, left)):
                    identity, answer = await self._answers.get()
            except TimeoutError:
                continue
            self._running.pop(identity, None)
            final = self._judge(identity, answer)
            if final is not None:
                return final

    async def close(self) -> None:
        """Stop every key and wait, within bounds, until it has let go."""
        for runner in self._running.values():
            runner.stop.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING):
                await self.drain()

    async def drain(self) -> None:
        """Wait until every key has let go, for as long as that takes."""
        while self._running:
            identity, answer = await self._answers.get()
            self._running.pop(identity, None)
            if isinstance(answer, Trouble) and answer.kind is TroubleKind.BUSY:
                self._trouble = answer

    @property
    def running(self) -> set[str]:
        """The identities of keys that have not let go."""
        return set(self._running)

    @property
    def _wanted(self) -> str:
        return self._use.operations[0].authenticator

    def _is_nobody_coming(self, present: list[Plugged]) -> bool:
        """Return whether no key was ever there, and waiting for a first one is over."""
        until = self._use.insert_deadline
        return until is not None and not (present or self._met) and self._read_boot_clock() >= until

    def _has_lost_the_chosen_key(self, present: list[Plugged]) -> bool:
        """Return whether waiting is in vain: no key comes back under the identity it had."""
        return (
            bool(self._wanted)
            and not self._running
            and self._wanted not in {plugged.identity for plugged in present}
        )

    def _start_new_keys(self, present: list[Plugged]) -> None:
        for plugged in present:
            if plugged.identity in self._met or self._wanted not in ("", plugged.identity):
                continue
            self._met.add(plugged.identity)
            self._start(plugged, is_alone=len(present) == 1 or bool(self._wanted))
        if not present:
            self._notify(Notice.INSERT)

    def _start(self, plugged: Plugged, *, is_alone: bool) -> None:
        operation = self._use.operations[0]

        def on_busy() -> None:
            self._call_in_loop(self._notify_of, stop, Notice.BUSY, plugged)

        def on_wait() -> None:
            self._call_in_loop(self._notify_of, stop, Notice.TOUCH, plugged)

        def work() -> None:
            answer = operate(plugged, operation, stop, on_wait, is_alone=is_alone)
            self._call_in_loop(self._answers.put_nowait, (plugged.identity, answer))

        stop = Stop(on_busy)
        self._running[plugged.identity] = _Runner(stop, plugged)
        Thread(target=work, name=f"key {plugged.name}", daemon=True).start()

    def _call_in_loop(self, told: Callable[..., None], *arguments: object) -> None:
        # A loop that is closed has nobody left to tell: the daemon stops.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(told, *arguments)

    def _notify_of(self, stop: Stop, notice: Notice, plugged: Plugged) -> None:
        if stop.is_set():
            return
        if notice is Notice.TOUCH:
            self._blinked.add(plugged.identity)
        self._notify(notice)

    def _judge(self, identity: str, answer: Answer) -> Answer | None:
        """Return what ends the race; None while another key may still do better."""
        if not isinstance(answer, Trouble) or answer.kind not in _LEAVES_OTHERS:
            return answer
        if answer.kind is TroubleKind.TIMEOUT and self._restarts < MAX_RESTARTS:
            # The key's own patience is shorter than the rule's: it blinks again.
            self._restarts += 1
            self._met.discard(identity)
            return None
        if self._trouble.kind in _PASSES_ON or answer.kind not in _PASSES_ON:
            self._trouble = answer
        # Somebody touched it, or it is all there is; else it just sits beside the right one.
        is_tried = identity in self._blinked or not self._running
        if answer.kind is TroubleKind.NO_CREDENTIALS and is_tried:
            self._notify(Notice.WRONG_KEY)
        return None if self._running or self._trouble.kind in _PASSES_ON else self._trouble

    async def _run_out(self) -> Trouble:
        """Say why nobody answered: keys tell only when stopped that they were busy all along."""
        if self._running:
            self._trouble = Trouble(TroubleKind.TIMEOUT)
            await self.close()
        return self._trouble
