"""Facts about a process, read from /proc: its session, its session leader, its terminal.

The law of this file: a process chooses its own name, so `stat` is split at the last ")"; a process
id is reused, so facts count only if the pidfd says that the process lived until they were read;
what cannot be read is unknown, never a default.
Not done here: no environment, no command line. Both are written by the process itself.
"""

import select
from dataclasses import dataclass
from pathlib import Path

from stepupd.core.model import Session

_PTY_MAJORS = range(136, 144)  # Documentation/admin-guide/devices.txt
_STAT_MAX = 4096


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """What is used of proc_pid_stat(5). `start` is in clock ticks since boot."""

    session: int
    tty_number: int
    start: int


def parse_stat(text: bytes) -> ProcessStat | None:
    """Read one `stat` line; None if it is none."""
    _, parenthesis, rest = text.rpartition(b")")
    fields = rest.split()
    try:
        # Field n of the manual is fields[n - 3]: "pid (comm)" are the first two.
        found = ProcessStat(int(fields[3]), int(fields[4]), int(fields[19]))
    except (IndexError, ValueError):
        return None
    return found if parenthesis and found.session > 0 and found.start > 0 else None


def read_stat(pid: int) -> ProcessStat | None:
    """Return the facts about a running process, None if they cannot be read."""
    if pid <= 0:
        return None
    try:
        with Path(f"/proc/{pid}/stat").open("rb") as file:
            return parse_stat(file.read(_STAT_MAX))
    except OSError:
        return None


def is_running(pidfd: int) -> bool:
    """Return whether the process behind a pidfd still runs."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)  # pidfd_open(2): readable once it has ended
    return not poll.poll(0)


def find_session(pid: int, pidfd: int | None) -> Session | None:
    """Return the session of the process that `pidfd` holds, None if anything is uncertain.

    The leader's process id cannot be given away while a member of the session lives, so the leader
    read between two facts about the member is the right one.
    """
    if pidfd is None:
        return None
    member = read_stat(pid)
    leader = read_stat(member.session) if member else None
    if member is None or leader is None or leader.session != member.session:
        return None
    if not is_running(pidfd):
        return None
    return Session(member.session, leader.start, name_tty(member.tty_number))


def name_tty(number: int) -> str:
    """Return a terminal's name without `/dev/`, "" for none or one that is not known."""
    if number <= 0:
        return ""
    major = (number >> 8) & 0xFFF
    minor = (number & 0xFF) | ((number >> 12) & 0xFFF00)
    if major in _PTY_MAJORS:
        return f"pts/{minor + 256 * (major - _PTY_MAJORS.start)}"
    return _ask_sysfs(major, minor)


def _ask_sysfs(major: int, minor: int) -> str:
    try:
        text = Path(f"/sys/dev/char/{major}:{minor}/uevent").read_text("ascii", "replace")
    except OSError:
        return ""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "DEVNAME":
            return value
    return ""
