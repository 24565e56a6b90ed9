"""The bytes of the audit log on disk.

Law: one process at a time writes (flock), only at the end, and what was there when `sync` returned
is on the disk. A file that was moved away, or that somebody else wrote to, is written to no more.

Not done here: what the bytes mean.
"""

import fcntl
import os
import stat
from pathlib import Path

from stepupd.core.errors import ConfigError, InternalError

MODE = 0o640

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class LogFile:
    """An open, locked log. `size` is what it should be; only `write` and `cut` change it."""

    def __init__(self, path: Path) -> None:
        """Create or open. Raises OSError, or ConfigError if it is no file of ours alone."""
        self.path = path
        self.fd = os.open(path, _FLAGS, MODE)
        try:
            _check_plain(self.fd, path)
            lock_file(self.fd, path)
            self.size = os.fstat(self.fd).st_size
            if self.size == 0:
                os.fchmod(self.fd, MODE)
            self.check()
        except BaseException:
            os.close(self.fd)
            raise

    def check(self) -> None:
        """Raise InternalError if the file is no longer the one we left, in place and size."""
        here = os.fstat(self.fd)
        try:
            there = self.path.lstat()
        except FileNotFoundError:
            there = None
        if there is None or (here.st_dev, here.st_ino) != (there.st_dev, there.st_ino):
            raise InternalError(
                "the audit log was moved or replaced while in use",
                hint=f"put {self.path} back; the log must not be rotated",
            )
        if here.st_size != self.size:
            raise InternalError("somebody else wrote to the audit log, or cut it")

    def write(self, content: bytes) -> None:
        """Write at the end. Raises OSError; then `cut`."""
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self.fd, rest) :]
        self.size += len(content)

    def sync(self) -> None:
        """Return once all that was written is on the disk. Raises OSError; then `cut`."""
        os.fdatasync(self.fd)

    def cut(self, end: int) -> None:
        """Drop everything after `end` bytes, durably. Raises OSError."""
        os.ftruncate(self.fd, end)
        os.fdatasync(self.fd)
        self.size = end

    def close(self) -> None:
        """Close, and let the next writer in."""
        os.close(self.fd)


def _check_plain(fd: int, path: Path) -> None:
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        raise ConfigError("not a plain file with one name", file=str(path))


def lock_file(fd: int, path: Path) -> None:
    """Take the log for this process. Raises ConfigError if another one has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            "another process writes this audit log", file=str(path), hint="stop it first"
        ) from None
