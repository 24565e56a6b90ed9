"""The audit log: entries that are on disk before anyone hears of them.

Law: `append` returns only after the entry is synced and a checkpoint over it is signed and
written. One thread at a time writes. Whoever comes while nobody does writes by itself, because two
changes of threads take as long as a disk; all others wait for the log's own thread, which takes all
that wait, syncs once and signs once. A write that fails is undone, so no half entry and no
unacknowledged one stays; if it cannot be undone, the log takes nothing more. Everything the last
process left behind is accounted for by a `recovered` entry.

Not done here: what an entry says (the broker), and checking old entries (`audit_verify`).
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepupd.core.checkpoint import Checkpoint, sign_checkpoint
from stepupd.core.entry import encode_line, encode_record
from stepupd.core.errors import InternalError
from stepupd.core.merkle import hash_leaf
from stepupd.core.note import make_signer
from stepupd.store.log_opening import open_log

BATCH_LIMIT = 128
"""Entries synced together: enough for any burst, few enough that the first one need not wait."""

PUBLISH_AFTER = 0.05
"""Seconds from an entry to when its checkpoint is published, or a newer one, which covers it: who
waits for an answer need not wait for the journal to take it, and a burst is one message."""

IDLE_SYNC = 1.0
"""Seconds after which the checkpoint is synced as well, once."""


@dataclass(frozen=True, slots=True)
class _Pending:
    body: bytes
    future: Future[int]


class _Word(Enum):
    """What the log's own thread is told."""

    DUE = 1
    """The newest checkpoint is to be published, and synced."""
    END = 2


class AuditLog:
    """An open log. Safe to use from any thread and any event loop."""

    def __init__(
        self,
        log_path: Path,
        checkpoint_path: Path,
        signing_key: Ed25519PrivateKey,
        origin: str,
        publish: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open or begin a log; `origin` names it for ever.

        `publish` receives new checkpoints as text, in the log's own thread; what it raises is
        counted. Raises ConfigError if the log was changed or is in use, InternalError if the
        disk fails.
        """
        self._signer = make_signer(origin, signing_key)
        self._publish, self._clock = publish, clock
        self._fault = ""
        self.publish_failures = 0
        try:
            opened = open_log(log_path, checkpoint_path, self._signer)
        except OSError as error:
            raise InternalError(f"the audit log cannot be opened: {error}") from error
        self._file, self._checkpoints, recovery = opened
        self._head = recovery.head
        self._owed = _describe_recovery(recovery.replayed, recovery.torn)
        self._queue: SimpleQueue[_Pending | _Word] = SimpleQueue()
        self._gate = threading.Lock()
        self._turn = threading.Lock()
        """Held by the thread that writes."""
        self._is_awaited = False
        """Whether the log's own thread is about to write: then nobody goes ahead of it."""
        self._is_synced = True
        """Whether the checkpoint on disk is the newest."""
        self._unpublished = ""
        """The newest checkpoint, until somebody hears of it."""
        self._is_closed = False
        self._pool = ThreadPoolExecutor(1, "audit-sign")
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    def count(self) -> int:
        """Return how many entries are on disk."""
        return self._head.size

    def submit(self, record: Mapping[str, object]) -> Future[int]:
        """Queue a record; the future is its `seq`, once it is on disk. Never blocks.

        Raises InternalError if the record is none or the log is closed; the future fails with
        InternalError if the disk does. Once queued, an entry cannot be cancelled.
        """
        pending = _make_pending(record)
        self._put(pending)
        return pending.future

    async def append(self, record: Mapping[str, object]) -> int:
        """Return the `seq` of a record once it is on disk. Raises InternalError, as `submit`."""
        return await asyncio.wrap_future(self.submit(record))

    def append_now(self, record: Mapping[str, object]) -> int:
        """Do what `append` does, without an event loop: blocks for as long as the disk takes."""
        pending = _make_pending(record)
        if self._is_awaited or not self._turn.acquire(blocking=False):
            self._put(pending)
            return pending.future.result()
        try:
            self._check_open()
            self._settle([pending])
        finally:
            self._turn.release()
        return pending.future.result()

    def _put(self, pending: _Pending) -> None:
        with self._gate:
            self._check_open()
            self._queue.put(pending)

    def _check_open(self) -> None:
        if self._is_closed:
            raise InternalError("the audit log is closed")

    def close(self) -> None:
        """Write what is queued, sync, and let go of the files."""
        with self._gate:
            if self._is_closed:
                return
            self._is_closed = True
            self._queue.put(_Word.END)
        self._thread.join()
        # Whoever writes by itself just now is waited for; whoever comes later is refused.
        self._turn.acquire()
        self._announce()
        self._pool.shutdown()
        with contextlib.suppress(OSError):
            self._checkpoints.sync()
        self._checkpoints.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        is_last = False
        while not is_last:
            try:
                first = self._queue.get(timeout=self._find_pause())
            except Empty:
                self._tidy()
                continue
            if first is _Word.DUE:
                continue
            self._is_awaited = True
            with self._turn:
                self._is_awaited = False
                batch, is_last = self._gather(first)
                if batch:
                    self._settle(batch)

    def _find_pause(self) -> float | None:
        """Return after how many seconds without a word there is something to tidy."""
        if self._unpublished:
            return PUBLISH_AFTER
        return None if self._is_synced else IDLE_SYNC

    def _tidy(self) -> None:
        if self._unpublished:
            self._announce()
            return
        # Before, not after: an entry that is written meanwhile wants another one.
        self._is_synced = True
        with contextlib.suppress(OSError):
            self._checkpoints.sync()

    def _gather(self, first: _Pending | _Word) -> tuple[list[_Pending], bool]:
        """Return what waits, and whether nothing comes after it."""
        batch: list[_Pending] = []
        item = first
        with contextlib.suppress(Empty):
            while item is not _Word.END:
                if isinstance(item, _Pending):
                    batch.append(item)
                if len(batch) == BATCH_LIMIT:
                    return batch, False
                item = self._queue.get_nowait()
            return batch, True
        return batch, False

    def _settle(self, batch: list[_Pending]) -> None:
        owed = [self._owed] if self._owed else []
        try:
            note = self._commit([*owed, *(pending.body for pending in batch)])
        except Exception as error:  # noqa: BLE001 - the writer outlives any failure; callers hear it
            message, hint = str(error), getattr(error, "hint", "")
            for pending in batch:
                pending.future.set_exception(InternalError(message, hint=hint))
            return
        self._owed = b""
        first = self._head.size - len(batch)
        for seq, pending in enumerate(batch, first):
            pending.future.set_result(seq)
        with self._gate:
            is_told = bool(self._unpublished)
            self._is_synced, self._unpublished = False, note
        if not is_told:
            self._queue.put(_Word.DUE)

    def _commit(self, bodies: list[bytes]) -> str:
        if self._fault:
            raise InternalError(self._fault, hint="restart stepupd once the disk is well again")
        self._file.check()
        content, head = self._compose(bodies)
        try:
            if self._file.size != self._head.end:
                self._file.cut(self._head.end)
            self._file.write(content)
            # Signing takes a third of the time the disk does; after `write`, because a thread that
            # wakes sooner would hold the interpreter when the disk could be at work.
            signing = self._pool.submit(sign_checkpoint, head, self._signer)
            self._file.sync()
            self._checkpoints.write(signing.result())
        except BaseException as error:
            self._undo()
            if isinstance(error, OSError):
                reason = f"the audit log cannot be written: {error.strerror or error}"
                raise InternalError(reason, hint="make room on its disk") from error
            raise
        self._head = head
        return signing.result()

    def _compose(self, bodies: list[bytes]) -> tuple[bytes, Checkpoint]:
        wall, last = self._clock(), self._head.last
        lines, hashes = [], []
        for seq, body in enumerate(bodies, self._head.size):
            line = encode_line(seq, last, wall, body)
            last = hash_leaf(line)
            lines.append(line + b"\n")
            hashes.append(last)
        content = b"".join(lines)
        end = self._head.end + len(content)
        return content, Checkpoint(self._head.frontier.extend(hashes), end, last)

    def _undo(self) -> None:
        try:
            self._file.cut(self._head.end)
        except OSError as error:
            self._fault = f"the audit log is broken: a failed write could not be undone ({error})"

    def _announce(self) -> None:
        with self._gate:
            note, self._unpublished = self._unpublished, ""
        if self._publish is None or not note:
            return
        try:
            self._publish(note)
        except Exception:  # noqa: BLE001 - an anchor is best effort; the entry is safe without it
            self.publish_failures += 1


def _make_pending(record: Mapping[str, object]) -> _Pending:
    pending = _Pending(encode_record(record), Future())
    pending.future.set_running_or_notify_cancel()
    return pending


def _describe_recovery(replayed: int, torn: int) -> bytes:
    if not replayed and not torn:
        return b""
    return encode_record({"kind": "recovered", "lost_bytes": torn, "replayed": replayed})
