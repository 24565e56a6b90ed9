"""The programs that ask: the asking process, its parent, and so on up to process 1.

The law of this file: a chain is whole or it is an error. A process id is reused, so a parent that
started after its child is not its parent, and the asking process has to be the same one before and
after; a chain deeper than `MAX_DEPTH` hides its end and counts as unknown.

A name is the executable's where the kernel lets us look, which for a daemon without privileges is
its own account only; else the kernel's short name, 15 bytes that the process may choose itself
(PR_SET_NAME). A parent that has ended is no longer there to see: its child then hangs from process
1 or from the account's service manager. Not done here: no command lines, no environment.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from stepupd.core.errors import InternalError
from stepupd.core.risk.asker import name_program

MAX_DEPTH = 32
"""A shell in an editor in a terminal over ssh is about 12 deep."""

_STAT_MAX = 4096
_NAME_MAX = 64
_TRIES = 3
"""A parent may end while the chain is read; its child then has another."""
_DELETED = " (deleted)"


@dataclass(frozen=True, slots=True)
class _Process:
    """What is used of proc_pid_stat(5). `start` is in clock ticks since boot."""

    name: str
    parent: int
    start: int


def read_programs(pid: int, proc: Path = Path("/proc")) -> tuple[str, ...]:
    """Return the names from a running process upwards, nearest first.

    `InternalError` if the process cannot be read, or the chain not to its end.
    """
    for _ in range(_TRIES):
        chain = _climb(pid, proc)
        if chain is not None and _read_process(pid, proc) == chain[0]:
            return tuple(process.name for process in chain)
    raise InternalError(f"the parents of process {pid} cannot be read")


def _climb(pid: int, proc: Path) -> list[_Process] | None:
    """Return the chain up to a process without a parent, None if it breaks off."""
    chain: list[_Process] = []
    while pid > 0 and len(chain) < MAX_DEPTH:
        process = _read_process(pid, proc)
        if process is None or (chain and process.start > chain[-1].start):
            return None
        chain.append(process)
        pid = process.parent
    return chain if chain and pid == 0 else None


def _read_process(pid: int, proc: Path) -> _Process | None:
    folder = proc / str(pid)
    try:
        with (folder / "stat").open("rb") as file:
            text = file.read(_STAT_MAX)
        # The name may hold anything, parentheses too; field n of the manual is fields[n - 3].
        start, end = text.index(b"("), text.rindex(b")")
        fields = text[end + 1 :].split()
        parent, started = int(fields[1]), int(fields[19])
    except (OSError, ValueError, IndexError):
        return None
    if parent < 0 or started < 0:
        return None
    kernel_name = text[start + 1 : end].decode("utf-8", "backslashreplace")
    return _Process(name_program(_read_file_name(folder), kernel_name)[:_NAME_MAX], parent, started)


def _read_file_name(folder: Path) -> str:
    try:
        target = os.fsencode((folder / "exe").readlink())
    except OSError:
        return ""  # not ours to see, or a kernel thread
    path = target.decode("utf-8", "backslashreplace").removesuffix(_DELETED)
    return path.rpartition("/")[2]
