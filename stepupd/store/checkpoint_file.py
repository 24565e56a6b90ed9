"""The checkpoint on disk: two slots in one file, written in turn.

Law: a slot is overwritten only while the other one holds a good checkpoint, so a torn write costs
one checkpoint, never both. The file has its full size from the start: a full disk cannot stop it.
It is not synced on each write: after a power loss it may be older than the log, never newer.

Not done here: deciding whether a checkpoint fits the log.
"""

import contextlib
import os
from pathlib import Path
from typing import NamedTuple

from stepupd.core.checkpoint import Checkpoint, open_checkpoint
from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.note import VerifierKey
from stepupd.store.whole_file import write_whole

SLOT_SIZE = 4096
"""Bytes: one page, so that one write is one page write. Notes stay below 3,500 at any log size."""

_FLAGS = os.O_CLOEXEC | os.O_NOFOLLOW
_HINT = "keep the file as evidence; to begin a new log on purpose: stepupd --set-aside-log"


class _Slot(NamedTuple):
    number: int
    checkpoint: Checkpoint
    note: str


class CheckpointFile:
    """An open checkpoint file; `checkpoint` is the newest in it when it was opened."""

    def __init__(self, path: Path, vkey: VerifierKey) -> None:
        """Raise ConfigError if nothing in the file was signed by `vkey`."""
        self._fd = os.open(path, os.O_RDWR | _FLAGS)
        try:
            newest = _find_newest(self._fd, vkey)
        except BaseException:
            os.close(self._fd)
            raise
        if newest is None:
            os.close(self._fd)
            raise ConfigError(
                "no checkpoint in it was signed by the audit key", file=str(path), hint=_HINT
            )
        self.checkpoint = newest.checkpoint
        self._free_slot = 1 - newest.number

    def write(self, note: str) -> None:
        """Replace the older checkpoint. Raises OSError; then the newer one is still in place."""
        block = _pad(note)
        if os.pwrite(self._fd, block, self._free_slot * SLOT_SIZE) != len(block):
            raise OSError("short write of a checkpoint")
        self._free_slot = 1 - self._free_slot

    def sync(self) -> None:
        """Make what was written survive a power loss."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Close the file; writes fail from now on."""
        os.close(self._fd)


def create_checkpoint_file(path: Path, note: str) -> None:
    """Put a new file in place, whole and durable or not at all."""
    write_whole(path, _pad(note) * 2, mode=0o640)


def read_checkpoint(path: Path, vkey: VerifierKey) -> str | None:
    """Return the newest note that `vkey` signed; also while a daemon writes. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        newest = _find_newest(fd, vkey)
    finally:
        os.close(fd)
    return newest.note if newest else None


def _find_newest(fd: int, vkey: VerifierKey) -> _Slot | None:
    content = os.pread(fd, 2 * SLOT_SIZE, 0)
    found = []
    for number in (0, 1):
        block = content[number * SLOT_SIZE : (number + 1) * SLOT_SIZE].rstrip(b"\0\n") + b"\n"
        with contextlib.suppress(InternalError, UnicodeDecodeError):
            note = block.decode()
            found.append(_Slot(number, open_checkpoint(note, vkey), note))
    return max(found, default=None, key=lambda slot: slot.checkpoint.size)


def _pad(note: str) -> bytes:
    block = note.encode()
    if len(block) > SLOT_SIZE:
        raise InternalError("a checkpoint does not fit its slot")
    return block.ljust(SLOT_SIZE, b"\n")
