"""What the audit log costs, side by side with the least it could cost.

1. An entry with sync, tree and signed checkpoint, against a bare synced append of the same bytes.
2. Opening a log, against how long it is.
3. Verifying 100,000 entries, a quarter of them signed by a security key, against their number.

Usage: audit.py [folder on the disk to measure; a temporary one by default]
"""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "integration"))

from audit_support import Key, Site, enrol, grant, prove

from stepupd.core.entry import encode_record

ROUNDS = 1500
LENGTHS = (1_000, 10_000, 100_000)
MICRO = 1e6


def main() -> None:
    """Run all three, or verify one log and print what it took."""
    if sys.argv[1:2] == ["--verify"]:
        verify(Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as folder:
        root = Path(folder)
        asyncio.run(compare_appends(root / "append"))
        sites = {length: make_log(root / str(length), length) for length in LENGTHS}
        asyncio.run(compare_openings(sites))
        for site in sites.values():
            subprocess.run([sys.executable, __file__, "--verify", site.root], check=True)


async def compare_appends(root: Path) -> None:
    """Interleave the ways to append, so that all of them meet the same disk."""
    site = Site(root)
    record = prove(Key())
    body = encode_record(record)
    with site.open() as log:
        log.append_now(record)
        line = site.lines()[0]
        bare = os.open(root / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        async def append_bare() -> None:
            os.write(bare, line)
            os.fdatasync(bare)

        async def commit() -> None:
            log._commit([body])  # noqa: SLF001 - the work alone, without the hand-over

        async def append_now() -> None:
            log.append_now(record)

        async def append() -> None:
            await log.append(record)

        ways = {
            "bare write and fdatasync": append_bare,
            "commit, in the writer": commit,
            "append_now, from a thread": append_now,
            "append, from an event loop": append,
        }
        print(f"append {len(line)} bytes, {ROUNDS} rounds, interleaved")
        show_all(await measure(ways, ROUNDS))
        os.close(bare)


async def compare_openings(sites: dict[int, Site]) -> None:
    """Print how long opening and closing takes, for each length."""

    async def reopen(site: Site) -> None:
        site.open().close()

    print("open and close a log")
    ways = {f"{length:,} entries": partial(reopen, site) for length, site in sites.items()}
    show_all(await measure(ways, 100))


async def measure(
    ways: dict[str, Callable[[], Awaitable[None]]], rounds: int
) -> dict[str, list[float]]:
    """Return the seconds of each round of each way."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            await way()
            times[name].append(time.perf_counter() - start)
    return times


def show_all(times: dict[str, list[float]]) -> None:
    """Print each way's times, and the ratio of its median to that of the first."""
    base = statistics.median(next(iter(times.values())))
    for name, taken in times.items():
        median, last = statistics.median(taken), statistics.quantiles(taken, n=100)[98]
        figures = f"p50 {median * MICRO:6.0f} µs  p99 {last * MICRO:6.0f} µs"
        print(f"  {name:28} {figures}  x {median / base:.2f}")


def make_log(root: Path, length: int) -> Site:
    """Write a log: one proof to three grants."""
    site, key = Site(root), Key()
    with site.open() as log:
        log.append_now(enrol(key))
        for number in range(1, length):
            is_proof = number % 4 == 0
            future = log.submit(prove(key) if is_proof else grant(number))
            if number % 1000 == 0:
                future.result()
    return site


def verify(root: Path) -> None:
    """Verify with one and with two processes; print time for each entry and peak memory."""
    site = Site(root)
    for jobs in (1, 2):
        start = time.perf_counter()
        report = site.verify(jobs=jobs)
        taken = time.perf_counter() - start
        each = taken / report.entries
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        if not report.is_intact:
            raise SystemExit(f"not intact: {report.fault}")
        print(
            f"verify {report.entries:,} entries, {report.signatures:,} signatures, {jobs} jobs:"
            f" {taken:.2f} s, {each * MICRO:.1f} µs each, 1,000,000 in {each * 1e6:.0f} s;"
            f" peak {peak:.0f} MiB, largest worker {worker:.0f} MiB"
        )


if __name__ == "__main__":
    main()
