"""JSON-RPC step-ups under a grant with 1, 100 and 1,000 connections: how many, and how late."""

import json
import os
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from daemon import Daemon
from measure import Row, bound, find_percentile, say_rate, say_time

SIZES = (1, 100, 1000)
SECONDS = 5
RATE = 300
CONNECTIONS_PER_ACCOUNT = 16
CALL = {"jsonrpc": "2.0", "id": 1, "method": "StepUp", "params": {"action": "cli:deploy"}}
LINE = json.dumps(CALL).encode() + b"\n"


def measure() -> Iterator[Row | str]:
    """Yield rate, p50 and p99 for each number of connections, against those with one."""
    is_root = os.getuid() == 0
    with Daemon() as daemon:
        daemon.enroll()
        with daemon.client() as client:
            client.step_up("cli:deploy")
        first: tuple[float | None, ...] = (None, None, None)
        for size in SIZES:
            if size > CONNECTIONS_PER_ACCOUNT and not is_root:
                yield f"run as root for {size:,}: an account has {CONNECTIONS_PER_ACCOUNT} of them"
                continue
            with Crowd(daemon.rpc_socket, size) as crowd:
                rate = crowd.keep_busy()
                times = crowd.pace()
            found = (rate, find_percentile(times, 50), find_percentile(times, 99))
            yield bound(f"requests, {size:,} at a time", found[0], None, say_rate, first[0])
            yield bound(f"  {RATE}/s, {size:,} connected, p50", found[1], None, say_time, first[1])
            yield bound("  p99", found[2], None, say_time, first[2])
            first = found if size == SIZES[0] else first


class Crowd:
    """Many connections of one process."""

    def __init__(self, path: Path, size: int) -> None:
        self._socks: dict[int, socket.socket] = {}
        self._epoll = select.epoll()
        for _ in range(size):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(path))
            self._socks[sock.fileno()] = sock
            self._epoll.register(sock, select.EPOLLIN)

    def keep_busy(self) -> float:
        """Return answers a second while each connection always has one request under way."""
        for sock in self._socks.values():
            sock.send(LINE)
        answers, start = 0, time.perf_counter()
        while time.perf_counter() - start < SECONDS:
            for number, _ in self._epoll.poll():
                receive(self._socks[number])
                self._socks[number].send(LINE)
                answers += 1
        taken = time.perf_counter() - start
        for sock in self._socks.values():
            receive(sock)
        return answers / taken

    def pace(self) -> list[float]:
        """Return the seconds of each request, at a steady rate, each on the next connection."""
        socks = list(self._socks.values())
        times = []
        start = time.perf_counter()
        for number in range(RATE * SECONDS):
            sock = socks[number % len(socks)]
            time.sleep(max(0.0, start + number / RATE - time.perf_counter()))
            began = time.perf_counter()
            sock.send(LINE)
            receive(sock)
            times.append(time.perf_counter() - began)
        return times

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._socks.values():
            sock.close()
        self._epoll.close()


def receive(sock: socket.socket) -> None:
    """Read one answer, which must be "allow"."""
    line = b""
    while not line.endswith(b"\n"):
        line += sock.recv(65536)
    if b'"verdict":"allow"' not in line:
        raise OSError(line.decode())
