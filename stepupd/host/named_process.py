"""The process that somebody names by a pidfd: its account and its session, as the kernel says.

The law of this file: only a pidfd counts; its process id is read from it, everything else from
/proc, and all of it counts only if the process lived until it was read. A process between two
accounts (a set-user-ID program, or one that has laid its own aside for a moment) is nobody's, and
so is one whose account the kernel cannot map.
Not done here: the owner of /proc/PID is not asked, which is the effective account alone; and the
descriptor is its holder's to close.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from stepupd.core.errors import RequestError
from stepupd.core.model import Session
from stepupd.host.process import find_session, is_running

_LINKS = ("anon_inode:[pidfd]", "pidfd:[")
"""What the kernel calls a pidfd, until Linux 6.8 and today, and in between. No path begins so."""
_OVERFLOW_UID = 65534
_MOST = 16 * 1024


@dataclass(frozen=True, slots=True)
class NamedProcess:
    """One process; `pidfd` is borrowed."""

    pid: int
    uid: int
    pidfd: int

    def find_session(self) -> Session | None:
        """Return its terminal session, None if anything is uncertain."""
        return find_session(self.pid, self.pidfd)


def identify_process(pidfd: int) -> NamedProcess:
    """Return the process behind a descriptor.

    Raises RequestError: for what is no pidfd, "client-gone" for a process that has ended, and
    "unauthenticated" for one whose account cannot be told.
    """
    pid = _read_pid(pidfd)
    status = _read_fields(f"/proc/{pid}/status")
    uids = set(status.get("Uid", "").split())
    if pid <= 0 or not is_running(pidfd):
        raise RequestError("that process is gone", reason="client-gone")
    if status.get("Tgid") != str(pid):
        raise RequestError("the descriptor is of a thread, not of a process")
    uid = uids.pop() if len(uids) == 1 else ""
    if not uid.isdecimal() or int(uid) == _OVERFLOW_UID:
        raise RequestError("nobody can say whose process that is", reason="unauthenticated")
    return NamedProcess(pid, int(uid), pidfd)


def _read_pid(pidfd: int) -> int:
    """Return the process id, -1 once the process is gone, 0 for one of another namespace."""
    try:
        link = os.readlink(f"/proc/self/fd/{pidfd}")  # noqa: PTH115 - no path, the kernel's word
    except OSError:
        link = ""
    pid = _read_fields(f"/proc/self/fdinfo/{pidfd}").get("Pid", "") if _is_pidfd(link) else ""
    try:
        return int(pid)
    except ValueError as error:
        raise RequestError("the descriptor is no pidfd") from error


def _is_pidfd(link: str) -> bool:
    return link == _LINKS[0] or link.startswith(_LINKS[1])


def _read_fields(path: str) -> dict[str, str]:
    """Return the lines `Name: value` of a file in /proc; nothing if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            text = file.read(_MOST).decode("ascii", "replace")
    except OSError:
        return {}
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name, value.strip())
    return fields
