"""What the daemon costs while nobody asks: memory, and how often the processor wakes for it.

It is on a bus of its own, where there is `dbus-daemon`, as an installed one is.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon import Daemon
from measure import Row, bound, say_count, say_size

SETTLE = 4.0
"""Seconds after which even the first audit entry's checkpoint is synced."""

WATCH = 5.0
MEMORY_GOAL = 40 * 2**20


def measure() -> Iterator[Row]:
    """Yield memory and wake-ups of a daemon that looks for real keys, and of one that was used."""
    with subprocess.Popen([sys.executable, "-I", "-c", "input()"], stdin=subprocess.PIPE) as bare:
        with Daemon(keys=0) as daemon, run_bus(daemon):
            time.sleep(SETTLE)
            before = count_wakeups(daemon.pid)
            time.sleep(WATCH)
            wakeups = count_wakeups(daemon.pid) - before
            memory, python = read_memory(daemon.pid), read_memory(bare.pid)
        bare.communicate(b"\n")
    yield bound("idle memory (RSS) : bare python", memory, MEMORY_GOAL, say_size, python)
    yield bound(f"idle wake-ups in {WATCH:.0f} s", wakeups, 0, say_count)
    with Daemon() as daemon, run_bus(daemon):
        daemon.enroll()
        time.sleep(SETTLE)
        before = count_wakeups(daemon.pid)
        time.sleep(WATCH)
        wakeups = count_wakeups(daemon.pid) - before
        memory = read_memory(daemon.pid)
    yield bound("memory after use, simulated key", memory, None, say_size, python)
    yield bound("wake-ups after use, in 5 s", wakeups, 0, say_count)


@contextmanager
def run_bus(daemon: Daemon) -> Iterator[None]:
    """Give a daemon the bus that it looks for."""
    program = shutil.which("dbus-daemon")
    if program is None:
        yield
        return
    address = f"--address={daemon.bus}"
    command = (program, "--session", address, "--nofork", "--nopidfile")
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as bus:
        yield
        bus.terminate()


def read_memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    return _read_number(Path(f"/proc/{pid}/status"), "VmRSS") * 1024


def count_wakeups(pid: int) -> int:
    """Return how often the threads of a process have gone to sleep by themselves so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(_read_number(task / "status", "voluntary_ctxt_switches") for task in tasks)


def _read_number(path: Path, name: str) -> int:
    for line in path.read_text().splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0])
    raise LookupError(f"{path} has no {name}")
