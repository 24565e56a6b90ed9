"""Keys that are pulled out: the grants that end with that, and who is told.

The law of this file:
* a grant that is bound to a stay of its key is looked at again before each use, also after a
  restart, whether or not anybody told us that the key went; a key that is put back begins another;
* the grant ends first; its entry and the locking of sessions follow, and nothing waits for them;
* where nobody tells of keys that go, we look every second; with no such grant, neither happens.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from stepupd.core.errors import InternalError
from stepupd.core.grants import drop_pulled, is_alive
from stepupd.core.model import Caller, Grant, Moment
from stepupd.core.record import describe_change
from stepupd.world import Grants, Journal

LOOK_EVERY = 1.0
"""Seconds between looks where nobody tells us."""

CLOSING = 2.0
"""Seconds that the end of the daemon waits for entries and locks under way."""

_log = logging.getLogger(__name__)


class BindingStore(Grants, Protocol):
    """A store of grants that knows which are bound to a key's stay."""

    def list_bound(self) -> tuple[Grant, ...]:
        """Return everybody's bound grants."""


class Keys(Protocol):
    """What is plugged in."""

    def list_plugged(self) -> frozenset[str]:
        """Return the identities of all keys that are plugged in. May be called in any thread."""

    def watch(self, told: Callable[[], None]) -> Callable[[], None]:
        """Have `told` called, from any thread, after a key went; OSError where nobody tells."""


class BoundGrants:
    """The grants as the broker sees them. `start` and `close` it in the event loop."""

    def __init__(
        self,
        store: BindingStore,
        keys: Keys,
        journal: Journal,
        read_clock: Callable[[], Moment],
        own: Caller,
        on_removal: Callable[[int], Awaitable[object]] | None = None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._journal = journal
        self._read_clock = read_clock
        self._own = own
        self._on_removal = on_removal
        self._loop: asyncio.AbstractEventLoop | None = None
        self._end_watch: Callable[[], None] | None = None
        self._next_look: asyncio.TimerHandle | None = None
        self._is_untold = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Look after the grants that the store holds; once the journal takes entries."""
        self._loop = asyncio.get_running_loop()
        self._look()

    async def close(self) -> None:
        """Watch no longer; what began is finished, if that does not take long."""
        self._stop_watching()
        self._loop = None
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSING)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def list_grants(self, uid: int, now: Moment) -> tuple[Grant, ...]:
        """Return the subject's live grants; see `Grants`."""
        grants = self._store.list_grants(uid, now)
        if not any(grant.plugged_as for grant in grants):
            return grants
        kept = drop_pulled(grants, self._keys.list_plugged())
        if len(kept) < len(grants):
            self._look_soon()
        return kept

    def add(self, grant: Grant) -> None:
        """Remember a grant; see `Grants`."""
        self._store.add(grant)
        if grant.plugged_as:
            # Looked at again: the key may have gone since it signed.
            self._look_soon()

    def revoke(
        self,
        *,
        uid: int | None = None,
        grant_id: str | None = None,
        credential_id: bytes | None = None,
    ) -> int:
        """Forget grants; see `Grants`."""
        return self._store.revoke(uid=uid, grant_id=grant_id, credential_id=credential_id)

    def _look_soon(self) -> None:
        """Look in the event loop; called from any thread."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # a loop that is closed ends no grants: `start` will
                loop.call_soon_threadsafe(self._look)

    def _look(self) -> None:
        """End the grants whose key has gone, and watch the others."""
        if self._loop is None:
            return
        now = self._read_clock()
        bound = [grant for grant in self._store.list_bound() if is_alive(grant, now)]
        if bound:
            self._watch()  # before the look: what goes in between is told of
            plugged = self._keys.list_plugged()
            gone = [grant for grant in bound if grant.plugged_as not in plugged]
            self._end(gone)
            bound = [grant for grant in bound if grant not in gone]
        if not bound:
            self._stop_watching()

    def _end(self, gone: list[Grant]) -> None:
        for grant in gone:
            try:
                self._store.revoke(uid=grant.subject_uid, grant_id=grant.id)
            except InternalError as error:
                _log.error("a grant of uid %d is left on disk: %s", grant.subject_uid, error)
        for grant in gone:
            self._spawn(self._record(grant))
        if self._on_removal is not None:
            for uid in sorted({grant.subject_uid for grant in gone}):
                self._spawn(self._follow(self._on_removal, uid))

    async def _record(self, grant: Grant) -> None:
        uid = grant.subject_uid
        record = describe_change("revoke", self._own, uid, grant=grant.id, why="key-removed")
        try:
            await self._journal.append(record)
        except Exception:  # noqa: BLE001 - the grant has ended all the same
            _log.exception("the end of a grant of uid %d could not be recorded", uid)

    async def _follow(self, on_removal: Callable[[int], Awaitable[object]], uid: int) -> None:
        try:
            await on_removal(uid)
        except Exception:  # noqa: BLE001 - the grant has ended all the same
            _log.exception("what follows a removed key of uid %d failed", uid)

    def _watch(self) -> None:
        if self._loop is None or self._end_watch is not None:
            return
        if not self._is_untold:
            try:
                self._end_watch = self._keys.watch(self._look_soon)
            except OSError as error:
                _log.warning("nobody tells of keys that go, so we look: %s", error)
                self._is_untold = True
        if self._is_untold:
            if self._next_look is not None:
                self._next_look.cancel()
            self._next_look = self._loop.call_later(LOOK_EVERY, self._look)

    def _stop_watching(self) -> None:
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        end, self._end_watch = self._end_watch, None
        if end is not None:
            end()

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
