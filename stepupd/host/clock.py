"""The clocks, read together. Nothing else in the daemon asks for the time of a ceremony."""

import time
from functools import cache
from pathlib import Path

from stepupd.core.errors import InternalError
from stepupd.core.model import Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_READINGS = 8
_CLOSE = 0.001
"""Seconds: far less than any sleep."""


def read_clock() -> Moment:
    """Return wall clock (display only), boot clock (lifetimes) and boot id.

    `InternalError` if the kernel does not tell its boot id: without one no grant could be bound.
    """
    boot, asleep = _read_boot_clock()
    return Moment(time.time(), boot, _read_boot_id(), asleep)


def _read_boot_clock() -> tuple[float, float]:
    """Return CLOCK_BOOTTIME and how far it is ahead of CLOCK_MONOTONIC: the time asleep.

    Both run alike but while the machine sleeps. They are read one after the other, so of some
    readings the one counts in whose middle the least time passed.
    """
    best = (float("inf"), 0.0, 0.0)
    for _ in range(_READINGS):
        before = time.monotonic()
        boot = time.clock_gettime(time.CLOCK_BOOTTIME)
        after = time.monotonic()
        best = min(best, (after - before, boot, max(0.0, boot - after)))
        if after - before < _CLOSE:
            break
    return best[1], best[2]


@cache
def _read_boot_id() -> str:
    try:
        boot_id = _BOOT_ID.read_text("ascii").strip()
    except OSError as error:
        raise InternalError(f"cannot read {_BOOT_ID}: {error.strerror}") from error
    if not boot_id:
        raise InternalError(f"{_BOOT_ID} is empty")
    return boot_id
