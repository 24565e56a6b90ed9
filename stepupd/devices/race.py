"""All keys at once: the first valid kind of answer wins, the others are cancelled.

The law of this file:
* every key that is plugged in takes part, and so does one that comes late;
* a stranger's key, a broken one and one that another program holds do not end the race;
* when it is over, by whatever way, every key is told to stop, and none is used again before it has.

One thread per key, because a key's link blocks. Everything else happens in the event loop.
"""

import asyncio
from collections.abc import Callable, Iterable
from threading import Event, Thread
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
from stepupd.devices.plugged import Plugged

RESCAN = 0.2
"""Seconds between looks for a new key, only while somebody waits for one."""

CLOSING = 5.0
"""Seconds that cancelled keys get to let go; a bounded link needs less than half."""

Answer = Asserted | Registered | PinNeeded | Trouble

_PASSES_ON = frozenset(
    {TroubleKind.NO_CREDENTIALS, TroubleKind.UNSUPPORTED, TroubleKind.BUSY, TroubleKind.CANCELLED}
)
"""Troubles of one key that leave room for another, also one that is not plugged in yet."""

_LEAVES_OTHERS = _PASSES_ON | {TroubleKind.GONE, TroubleKind.SILENT, TroubleKind.GARBLED}
"""Troubles that end the race only when no other key is left running."""


class _Runner(NamedTuple):
    stop: Event
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
        self._last = TroubleKind.NO_AUTHENTICATOR

    async def run(self) -> Answer:
        """Return the winner's answer, or at the deadline the trouble that best says why not."""
        while True:
            self._start_new_keys()
            left = self._use.deadline - self._read_boot_clock()
            if left <= 0:
                return await self._run_out()
            try:
                identity, answer = await asyncio.wait_for(self._answers.get(), min(RESCAN, left))
            except TimeoutError:
                continue
            self._running.pop(identity, None)
            if self._is_final(answer):
                return answer

    async def close(self) -> None:
        """Stop every key and wait, within bounds, until it has let go."""
        for runner in self._running.values():
            runner.stop.set()
        try:
            async with asyncio.timeout(CLOSING):
                while self._running:
                    identity, answer = await self._answers.get()
                    self._running.pop(identity, None)
                    if isinstance(answer, Trouble) and answer.kind is TroubleKind.BUSY:
                        self._last = TroubleKind.BUSY
        except TimeoutError:
            return

    def _start_new_keys(self) -> None:
        present = list(self._find_keys())
        wanted = self._use.operations[0].authenticator
        for plugged in present:
            if plugged.identity in self._met or (wanted and plugged.identity != wanted):
                continue
            self._met.add(plugged.identity)
            self._start(plugged, is_alone=len(present) == 1 or bool(wanted))
        if not present:
            self._notify(Notice.INSERT)

    def _start(self, plugged: Plugged, *, is_alone: bool) -> None:
        stop = Event()
        operation = self._use.operations[0]

        def on_wait() -> None:
            self._loop.call_soon_threadsafe(self._notify_touch, stop)

        def work() -> None:
            answer = operate(plugged, operation, stop, on_wait, is_alone=is_alone)
            self._loop.call_soon_threadsafe(self._answers.put_nowait, (plugged.identity, answer))

        self._running[plugged.identity] = _Runner(stop, plugged)
        Thread(target=work, name=f"key {plugged.name}", daemon=True).start()

    def _notify_touch(self, stop: Event) -> None:
        if not stop.is_set():
            self._notify(Notice.TOUCH)

    def _is_final(self, answer: Answer) -> bool:
        if not isinstance(answer, Trouble) or answer.kind not in _LEAVES_OTHERS:
            return True
        self._last = answer.kind
        if answer.kind is TroubleKind.NO_CREDENTIALS:
            self._notify(Notice.WRONG_KEY)
        if answer.kind is TroubleKind.BUSY:
            self._notify(Notice.BUSY)
        return not self._running and answer.kind not in _PASSES_ON

    async def _run_out(self) -> Trouble:
        """Say why nobody answered: keys tell only when stopped that they were busy all along."""
        if self._running:
            self._last = TroubleKind.TIMEOUT
            await self.close()
        return Trouble(self._last)
