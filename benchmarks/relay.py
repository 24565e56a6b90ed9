"""The PAM module under a grant: 300 requests a second, beside 1,000 open connections."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from daemon import Daemon
from measure import Row, bound, compare, find_percentile, say_time, take_turns

from pam import MODULE, Stack

MEDIAN_GOAL, LATE_GOAL = 0.0005, 0.002
RATE = 300
SECONDS = 10
CONNECTIONS = 1000


def measure() -> Iterator[Row | str]:
    """Yield the rows; the module believes only a daemon of root's."""
    if os.getuid() != 0:
        yield "the PAM module believes only root's daemon: run as root for its figures"
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stepup-bench")))
        folder.chmod(0o755)
        daemon = stack.enter_context(Daemon())
        daemon.enroll()
        ours = open_stack(folder, "stepup", daemon.relay_socket)
        floor = open_stack(folder, "floor", stack.enter_context(run_floor(folder)))
        permit = Stack(folder, "permit", "auth required pam_permit.so", "root")
        times = take_turns(
            {
                "ours": ours.authenticate,
                "floor": floor.authenticate,
                "permit": permit.authenticate,
            },
            1000,
        )
        yield compare("PAM grant : one synced line", times["ours"], times["floor"])
        for _ in range(CONNECTIONS):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(str(daemon.rpc_socket))
        paced, least = pace(ours), pace(floor)
    for name, percent, goal in (
        (f"PAM grant, {RATE}/s, p50", 50, MEDIAN_GOAL),
        (f"  beside {CONNECTIONS:,} connections, p99", 99, LATE_GOAL),
    ):
        found, against = find_percentile(paced, percent), find_percentile(least, percent)
        yield bound(name, found, goal, say_time, against)


def open_stack(folder: Path, service: str, path: Path) -> Stack:
    """Return a stack that asks through the module, having earned a grant where one is to be had."""
    stack = Stack(folder, service, f"auth required {MODULE} socket={path}", "root")
    stack.authenticate()
    return stack


@contextmanager
def run_floor(folder: Path) -> Iterator[Path]:
    """Run the server that does nothing but sync one line."""
    program = Path(__file__).with_name("floor.py")
    path = folder / "floor.sock"
    command = (sys.executable, "-I", program, path, folder / "floor.log")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server:
        if server.stdout is not None:
            server.stdout.readline()
        try:
            yield path
        finally:
            server.kill()


def pace(stack: Stack) -> list[float]:
    """Return the seconds of each request, at a steady rate; a late one delays none."""
    times = []
    start = time.perf_counter()
    for number in range(RATE * SECONDS):
        due = start + number / RATE
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        stack.authenticate()
        times.append(time.perf_counter() - began)
    return times
