"""Appending to the audit log and verifying it; `audit.py` has the details of both.

Usage by itself: entries.py FOLDER verifies the log there and prints seconds and bytes as JSON.
"""

import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from audit import make_log
from measure import Row, bound, compare, say_size, say_time, take_turns

from stepupd.core.entry import encode_record

APPEND_GOAL = 1.5
ENTRIES = 100_000
VERIFY_GOAL = 60 * ENTRIES / 1_000_000
ROUNDS = 1000
SUPPORT: Any = importlib.import_module("audit_support")
"""Of the tests, which are not typed; `audit` knows where it is."""


def measure() -> Iterator[Row]:
    """Yield rows for one entry, and for many."""
    with tempfile.TemporaryDirectory(prefix="stepup-bench") as folder:
        root = Path(folder)
        yield from compare_appends(root / "append")
        few, many = (verify(root / str(count), count) for count in (ENTRIES // 10, ENTRIES))
    yield bound(
        f"verify {ENTRIES:,} entries : {ENTRIES // 10:,}", many[0], VERIFY_GOAL, say_time, few[0]
    )
    yield bound("  its memory, the largest process", many[1], None, say_size, few[1])


def compare_appends(root: Path) -> Iterator[Row]:
    """Yield an append, without and with the hand-over, against a bare synced one."""
    site, record = SUPPORT.Site(root), SUPPORT.prove(SUPPORT.Key())
    body = encode_record(record)
    with site.open() as log, (root / "bare").open("ab", buffering=0) as bare:
        log.append_now(record)
        line = site.lines()[0]

        def append_bare() -> None:
            bare.write(line)
            os.fdatasync(bare.fileno())

        times = take_turns(
            {
                "bare": append_bare,
                "work": lambda: log._commit([body]),  # noqa: SLF001 - without the hand-over
                "append": lambda: log.append_now(record),
            },
            ROUNDS,
        )
    yield compare("audit append : bare synced append", times["work"], times["bare"], APPEND_GOAL)
    yield compare("  with the way to its thread", times["append"], times["bare"], APPEND_GOAL)


def verify(root: Path, count: int) -> tuple[float, int]:
    """Write a log of that many entries; return the seconds and the bytes it takes to verify."""
    make_log(root, count)
    done = subprocess.run([sys.executable, __file__, root], stdout=subprocess.PIPE, check=True)
    seconds, size = json.loads(done.stdout)
    return seconds, size


def verify_here(root: Path) -> None:
    """Verify and print what it took."""
    started = perf_counter()
    report = SUPPORT.Site(root).verify(jobs=0)
    taken = perf_counter() - started
    if not report.is_intact:
        sys.exit(f"not intact: {report.fault}")
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    print(json.dumps([taken, max(resource.getrusage(who).ru_maxrss for who in both) * 1024]))


if __name__ == "__main__":
    verify_here(Path(sys.argv[1]))
