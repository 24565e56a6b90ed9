"""PAM's service files on disk: read as they are, replaced whole or not at all.

The law of this file: a reader sees the old file or the new one, and so does a machine whose power
failed. Nothing is written through a link, nor into a directory that anybody but root may write to.
Owner, mode and extended attributes stay as they were.

Not done here: deciding what to write.
"""

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stepup.pam.flat_stack import Files, list_inclusions
from stepup.pam.modules import KEY_MODULE
from stepup.pam.stack_file import StackError

MODULE_DIRECTORIES = ("lib/*/security", "usr/lib/*/security", "lib/security", "lib64/security",
                      "usr/lib/security", "usr/lib64/security")  # fmt: skip

_SERVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@-]{0,99}")
_SHARED = re.compile(
    r"common-.*|other|(system|password|fingerprint|smartcard)-auth(-ac)?|postlogin"
)
_LEFT_OVER = re.compile(r".*\.(dpkg-\w+|ucf-\w+|rpm\w+|orig|bak)")
_MOST = 64 * 1024
_OTHERS_WRITE = 0o022


@dataclass(frozen=True, slots=True)
class PamPlaces:
    """Where everything lies, below `root`; `module` is how a line names our module."""

    root: Path = Path("/")
    module: str = KEY_MODULE

    @property
    def services(self) -> Path:
        """The administrator's service files."""
        return self.root / "etc/pam.d"

    @property
    def vendor(self) -> Path:
        """Those of packages, which count where the administrator has none."""
        return self.root / "usr/lib/pam.d"

    @property
    def state(self) -> Path:
        """Trials and copies: root's alone."""
        return self.root / "var/lib/stepupd-pam"

    def find_module(self) -> Path | None:
        """Return our module where libpam looks for it."""
        name = self.module.split()[0]
        if name.startswith("/"):
            return Path(name) if Path(name).is_file() else None
        found = (self.root.glob(f"{directory}/{name}") for directory in MODULE_DIRECTORIES)
        return next((path for paths in found for path in paths), None)


MACHINE = PamPlaces()
"""This machine's, as the verbs use them."""


@dataclass(frozen=True, slots=True)
class Look:
    """A file's owner, mode and extended attributes."""

    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    attributes: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceFile:
    """A service as it is: `own` is /etc's file, None where only the vendor's counts."""

    name: str
    own: bytes | None
    vendor: bytes | None
    look: Look = Look()

    @property
    def content(self) -> bytes:
        """What libpam reads."""
        return self.own if self.own is not None else self.vendor or b""


def check_service(name: str) -> str:
    """Return the name of one program's service. Raises StackError."""
    if not _SERVICE.fullmatch(name) or _LEFT_OVER.fullmatch(name):
        raise StackError(f"{name!r} is no name of a PAM service")
    if _SHARED.fullmatch(name):
        raise StackError(
            f"{name} is shared by many services; on Debian, to ask in all of them: "
            "pam-auth-update --enable stepup"
        )
    return name


def list_services(places: PamPlaces) -> list[str]:
    """Return the names of all services, shared ones too. Raises OSError."""
    names = {
        path.name
        for directory in (places.services, places.vendor)
        if directory.is_dir()
        for path in directory.iterdir()
    }
    return sorted(n for n in names if _SERVICE.fullmatch(n) and not _LEFT_OVER.fullmatch(n))


def read_service(places: PamPlaces, name: str) -> ServiceFile:
    """Return a service. Raises StackError where there is none or it cannot be one."""
    with open_services(places) as directory:
        own = read_entry(directory, name, str(places.services / name))
    vendor = _read_plain(places.vendor / name)
    if own is None and vendor is None:
        raise StackError(f"there is no PAM service {name} here")
    return ServiceFile(name, own and own[0], vendor, own[1] if own else Look())


def read_inclusions(places: PamPlaces, name: str, content: bytes) -> Files:
    """Return what a file includes, and what that includes. What is missing is left out."""
    files: dict[str, bytes] = {}
    pending = list_inclusions(content, name)
    while pending:
        included = pending.pop()
        if included in files:
            continue
        relative = included.lstrip("/")
        paths = [places.root / relative] if included.startswith("/") else [
            places.services / relative, places.vendor / relative]  # fmt: skip
        found = next(filter(None, map(_read_plain, paths)), None)
        if found is not None:
            files[included] = found
            pending += list_inclusions(found, included)
    return files


def _read_plain(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return path.read_bytes()
    return None


@contextlib.contextmanager
def open_services(places: PamPlaces) -> Iterator[int]:
    """Open the directory of service files. Raises StackError if others may write to it."""
    with open_directory(places.services) as directory:
        status = os.fstat(directory)
        if status.st_uid != 0 or status.st_mode & _OTHERS_WRITE:
            raise StackError(f"{places.services} can be written by others than root")
        yield directory


@contextlib.contextmanager
def open_directory(path: Path) -> Iterator[int]:
    """Open a directory, which is no link. Raises StackError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from None
    try:
        yield fd
    finally:
        os.close(fd)


def read_entry(directory: int, name: str, path: str) -> tuple[bytes, Look] | None:
    """Return a regular file's content and look; None if there is none. Raises StackError."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise StackError(f"{path} is no regular file: whatever made it has to change it")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        fd = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StackError(f"{path}: {error.strerror}") from None
    with os.fdopen(fd, "rb") as stream:
        content = stream.read(_MOST + 1)
        status = os.fstat(fd)
        if len(content) > _MOST:
            raise StackError(f"{path} is too large to be a service file")
        attributes = _read_attributes(fd)
    return content, Look(stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, attributes)


def _read_attributes(fd: int) -> tuple[tuple[str, bytes], ...]:
    with contextlib.suppress(OSError):
        return tuple((name, os.getxattr(fd, name)) for name in os.listxattr(fd))
    return ()


def name_draft(name: str) -> str:
    """Return the name that a file has until it is complete; no service can be called so."""
    return f".{name}.stepup-new"


def replace_entry(directory: int, name: str, content: bytes, look: Look) -> None:
    """Create or replace a file: atomic, and on disk when this returns. Raises OSError."""
    draft = name_draft(name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=directory)  # Left by a crash.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o600, dir_fd=directory)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fchown(fd, look.uid, look.gid)
        os.fchmod(fd, look.mode)
        for attribute, value in look.attributes:
            with contextlib.suppress(OSError):  # A label that this file system does not take.
                os.setxattr(fd, attribute, value)
        os.fsync(fd)
    except OSError:
        os.unlink(draft, dir_fd=directory)
        raise
    finally:
        os.close(fd)
    os.rename(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


def remove_entry(directory: int, name: str) -> None:
    """Remove a file that may be gone already, durably. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=directory)
    os.fsync(directory)
