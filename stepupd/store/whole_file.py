"""Small files that are on disk whole, or not at all: written beside, synced, renamed."""

import contextlib
import os
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Create or replace a small file, atomically and durably. Raises OSError."""
    draft = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    fd = os.open(draft, _FLAGS, mode)
    try:
        os.fchmod(fd, mode)
        if os.write(fd, content) != len(content):
            raise OSError(f"short write of {draft}")
        os.fsync(fd)
    finally:
        os.close(fd)
    draft.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names created in or removed from a directory survive a power loss."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
