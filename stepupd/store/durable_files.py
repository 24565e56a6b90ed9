"""Small files written whole: a reader sees the old content or the new, never a part.

The directory must be one that only we can write into; `open_trusted_directory` gives it. Names are
ours, never a caller's.
"""

import os
from contextlib import suppress


def create_file(directory: int, name: str, content: bytes) -> None:
    """Create a 0600 file, durable when this returns. Raises FileExistsError, OSError."""
    temporary = _write_temporary(directory, name, content, is_durable=True)
    try:
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.unlink(temporary, dir_fd=directory)
    os.fsync(directory)


def replace_file(directory: int, name: str, content: bytes) -> None:
    """Create or replace a 0600 file; not synced, for a tmpfs. Raises OSError."""
    temporary = _write_temporary(directory, name, content, is_durable=False)
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)


def replace_durably(directory: int, name: str, content: bytes) -> None:
    """Create or replace a 0600 file, durable when this returns. Raises OSError."""
    temporary = _write_temporary(directory, name, content, is_durable=True)
    os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def name_temporary(name: str) -> str:
    """Return the name a file has until it is complete."""
    return f".{name}.new"


def _write_temporary(directory: int, name: str, content: bytes, *, is_durable: bool) -> str:
    temporary = name_temporary(name)
    with suppress(FileNotFoundError):
        os.unlink(temporary, dir_fd=directory)  # Left by a crash.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600, dir_fd=directory)
    try:
        os.fchmod(descriptor, 0o600)
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        if is_durable:
            os.fsync(descriptor)
    except OSError:
        os.unlink(temporary, dir_fd=directory)
        raise
    finally:
        os.close(descriptor)
    return temporary
