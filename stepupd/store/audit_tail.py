"""The newest entries of the audit log, without reading the rest of it."""

import os
from pathlib import Path

_BLOCK = 64 * 1024
_MOST = 1024 * 1024
"""Bytes in all: a log's entry has a few hundred to a few thousand."""


def read_tail(path: Path, count: int) -> tuple[str, ...]:
    """Return the last `count` entries as they stand in the log; fewer if they are long.

    Raises OSError where the log cannot be read. May block.
    """
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        tail = b""
        while start > 0 and tail.count(b"\n") <= count and len(tail) < _MOST:
            step = min(_BLOCK, start)
            start = file.seek(start - step)
            tail = file.read(step) + tail
    # What stands before the first line feed is whole only at the start of the file.
    lines = tail.split(b"\n")[0 if start == 0 else 1 : -1]
    return tuple(line.decode("utf-8", "replace") for line in lines[-count:])
