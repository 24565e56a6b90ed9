"""Where a log ends, found without reading all of it.

Law: what the last checkpoint covers must still be there, byte for byte where it ended. Whole
entries after it were written before a crash and count; a torn one at the very end does not. Any
other difference is somebody's doing: it is refused, never repaired.

Not done here: looking at entries before the checkpoint's last one. `verify_log` reads them all.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stepupd.core.checkpoint import Checkpoint
from stepupd.core.entry import LINE_LIMIT, parse_line
from stepupd.core.errors import ConfigError, InternalError
from stepupd.core.merkle import hash_leaf

_HINT = "keep both files as evidence; to begin a new log on purpose: stepupd --set-aside-log"


@dataclass(frozen=True, slots=True)
class Recovery:
    """The true head; how many entries lie after the checkpoint, and torn bytes after those."""

    head: Checkpoint
    replayed: int
    torn: int


def recover(fd: int, path: Path, checkpoint: Checkpoint) -> Recovery:
    """Compare an open log with its checkpoint. Raises ConfigError if they do not belong together.

    Reads the last entry covered and what comes after it, however long the log is.
    """
    size = os.fstat(fd).st_size
    if size < checkpoint.end:
        lost = checkpoint.end - size
        raise _refuse(path, f"{lost} bytes of entries that were on disk are gone from its end")
    with open(fd, "rb", closefd=False) as stream:
        if not _is_last(stream, checkpoint):
            raise _refuse(path, "its last entries are not the ones that were written")
        head = _replay(stream, path, checkpoint)
    return Recovery(head, head.size - checkpoint.size, size - head.end)


def _is_last(stream: BinaryIO, checkpoint: Checkpoint) -> bool:
    if checkpoint.size == 0:
        return checkpoint.end == 0
    start = max(0, checkpoint.end - LINE_LIMIT - 2)
    stream.seek(start)
    before, newline, line = stream.read(checkpoint.end - start)[:-1].rpartition(b"\n")
    stream.seek(checkpoint.end - 1)
    is_whole = stream.read(1) == b"\n" and bool(newline or start == 0 or before)
    return is_whole and hash_leaf(line) == checkpoint.last


def _replay(stream: BinaryIO, path: Path, checkpoint: Checkpoint) -> Checkpoint:
    seq, end, last = checkpoint.size, checkpoint.end, checkpoint.last
    hashes = []
    stream.seek(end)
    for line in _read_whole_lines(stream):
        try:
            entry = parse_line(line)
        except InternalError as error:
            raise _refuse(path, f"at byte {end}: {error}") from None
        if entry.seq != seq or entry.previous != last:
            raise _refuse(path, f"at byte {end}: an entry that does not follow the one before")
        last = hash_leaf(line)
        hashes.append(last)
        seq, end = seq + 1, end + len(line) + 1
    return Checkpoint(checkpoint.frontier.extend(hashes), end, last)


def _read_whole_lines(stream: BinaryIO) -> Iterator[bytes]:
    while line := stream.readline(LINE_LIMIT + 2):
        # Entries hold no NUL; a file system leaves them where a power loss came before the data.
        is_torn = len(line) <= LINE_LIMIT and not line.endswith(b"\n")
        if is_torn or b"\0" in line:
            return
        yield line.removesuffix(b"\n")


def _refuse(path: Path, what: str) -> ConfigError:
    return ConfigError(f"the audit log was changed: {what}", file=str(path), hint=_HINT)
