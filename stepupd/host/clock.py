"""The clocks, read together. Nothing else in the daemon asks for the time of a ceremony."""

import time
from functools import cache
from pathlib import Path

from stepupd.core.errors import InternalError
from stepupd.core.model import Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_clock() -> Moment:
    """Return wall clock (display only), boot clock (lifetimes) and boot id.

    `InternalError` if the kernel does not tell its boot id: without one no grant could be bound.
    """
    return Moment(time.time(), time.clock_gettime(time.CLOCK_BOOTTIME), _read_boot_id())


@cache
def _read_boot_id() -> str:
    try:
        boot_id = _BOOT_ID.read_text("ascii").strip()
    except OSError as error:
        raise InternalError(f"cannot read {_BOOT_ID}: {error.strerror}") from error
    if not boot_id:
        raise InternalError(f"{_BOOT_ID} is empty")
    return boot_id
