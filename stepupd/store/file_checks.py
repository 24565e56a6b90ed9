"""Whom a file's content can come from.

The law of this file: a file is read only if nobody but root and ourselves could have put it there.
The path is walked one component at a time, each opened relative to the last, so what is checked is
what is used. Each must belong to root or to us and be writable by no one else. A POSIX ACL shows in
the group bits, so the mode covers it. A root-owned sticky directory such as /tmp may be passed
through, to a real directory of ours only: anyone can place a file or a link in it.

Links are followed by hand, where nobody else could have planted them.
"""

import os
import shlex
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from stepupd.core.errors import ConfigError

OTHERS_WRITE = 0o022
"""Mode bits that let somebody else change a file."""
OTHERS_ANY = 0o077
"""Mode bits that let somebody else do anything with a file."""

_MAX_LINKS = 8
"""A sane layout has one or two; a loop has no end."""
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
# Non-blocking: a FIFO that takes the file's place must not hang us.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class _Place:
    """An open directory: its descriptor, what to call it, whether others may write into it."""

    descriptor: int
    name: str
    is_shared: bool = False


def read_trusted_file(path: Path, *, limit: int, forbidden: int = OTHERS_WRITE) -> bytes:
    """Return the content of a regular file that only root or we can have written.

    `limit` is in bytes, `forbidden` are mode bits it must not have. Raises FileNotFoundError where
    there is no such file, ConfigError for everything that is wrong with it.
    """
    with ExitStack() as opened:
        content = _read_all(_open_file(path, forbidden, opened), limit + 1)
    if len(content) > limit:
        raise ConfigError(f"larger than {limit} bytes", file=str(path))
    return content


def read_trusted_start(path: Path, *, size: int, forbidden: int = OTHERS_ANY) -> bytes:
    """Return the first bytes of such a file, however long it is. Raises the same."""
    with ExitStack() as opened:
        return _read_all(_open_file(path, forbidden, opened), size)


def open_trusted_directory(path: Path) -> int:
    """Return a descriptor of a directory that only root or we can write into.

    Raises FileNotFoundError or ConfigError. The caller closes it.
    """
    with ExitStack() as opened:
        descriptor = _open(path, opened)
        status = os.fstat(descriptor)
        if not stat.S_ISDIR(status.st_mode):
            raise ConfigError("not a directory", file=str(path))
        _check(status, str(path), OTHERS_WRITE)
        return os.dup(descriptor)


def _open_file(path: Path, forbidden: int, opened: ExitStack) -> int:
    descriptor = _open(path, opened)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError("not a regular file", file=str(path))
    _check(status, str(path), forbidden)
    return descriptor


def _open(path: Path, opened: ExitStack) -> int:
    try:
        return _walk(path.absolute(), opened)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from error


def _walk(path: Path, opened: ExitStack) -> int:
    links = 0
    here = _enter("/", None, opened)
    pending = list(reversed(path.parts[1:]))
    while pending:
        name = pending.pop()
        status = os.stat(name, dir_fd=here.descriptor, follow_symlinks=False)
        if stat.S_ISLNK(status.st_mode):
            links += 1
            target = _read_link(name, here, opened)
            if links > _MAX_LINKS:
                raise ConfigError("too many symbolic links", file=str(path))
            pending.extend(part for part in reversed(target.parts) if part != "/")
            if target.is_absolute():
                here = _enter("/", None, opened)
        elif stat.S_ISDIR(status.st_mode):
            here = _enter(name, here, opened)
        elif pending or not stat.S_ISREG(status.st_mode):
            kind = "not a directory" if pending else "not a regular file"
            raise ConfigError(kind, file=str(path))
        else:
            _refuse_shared(here, name)
            return _keep(os.open(name, _READ, dir_fd=here.descriptor), opened)
    return _keep(os.open(".", _READ | os.O_DIRECTORY, dir_fd=here.descriptor), opened)


def _enter(name: str, parent: _Place | None, opened: ExitStack) -> _Place:
    above = None if parent is None else parent.descriptor
    descriptor = _keep(os.open(name, _LOOK | os.O_DIRECTORY, dir_fd=above), opened)
    status = os.fstat(descriptor)
    label = name if parent is None else str(Path(parent.name, name))
    is_open = bool(status.st_mode & OTHERS_WRITE)
    is_sticky = bool(status.st_mode & stat.S_ISVTX) and status.st_uid == 0
    _check(status, label, 0 if is_sticky else OTHERS_WRITE)
    return _Place(descriptor, label, is_shared=is_open)


def _read_link(name: str, here: _Place, opened: ExitStack) -> Path:
    _refuse_shared(here, name)
    descriptor = _keep(os.open(name, _LOOK, dir_fd=here.descriptor), opened)
    status = os.fstat(descriptor)
    if not stat.S_ISLNK(status.st_mode):
        raise ConfigError("changed while it was read", file=str(Path(here.name, name)))
    _check(status, str(Path(here.name, name)), 0)
    return Path(os.readlink("", dir_fd=descriptor))


def _refuse_shared(here: _Place, name: str) -> None:
    if here.is_shared:
        raise ConfigError(
            f"{here.name} is writable by others, who may have put this here",
            file=str(Path(here.name, name)),
            hint="move it into a directory of its own",
        )


def _check(status: os.stat_result, name: str, forbidden: int) -> None:
    own = os.geteuid()
    if status.st_uid not in (0, own):
        raise ConfigError(
            f"belongs to user {status.st_uid}, not to root or user {own}",
            file=name,
            hint=f"chown {own} {shlex.quote(name)}",
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & forbidden:
        whom = "read or changed" if forbidden == OTHERS_ANY else "changed"
        raise ConfigError(
            f"may be {whom} by other users (mode {mode:04o})",
            file=name,
            hint=f"chmod {mode & ~forbidden:04o} {shlex.quote(name)}",
        )


def _keep(descriptor: int, opened: ExitStack) -> int:
    opened.callback(os.close, descriptor)
    return descriptor


def _read_all(descriptor: int, limit: int) -> bytes:
    content = b""
    while len(content) < limit and (chunk := os.read(descriptor, limit - len(content))):
        content += chunk
    return content
