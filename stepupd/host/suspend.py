"""How long ago the machine woke up.

The law of this file: the answer errs towards "just now". That the machine slept at all is the
kernel's word (`Moment.asleep`). When it woke is told by whoever watches for it (logind's
PrepareForSleep); a sleep that nobody told of, or that ended before we started, counts from the
moment we noticed.
"""

import math
from collections.abc import Callable
from threading import Lock

from stepupd.core.errors import InternalError
from stepupd.core.model import Moment

_SLACK = 1.0
"""Seconds: no sleep is that short, and the clocks are read one after the other."""


def _know_nothing() -> float | None:
    return None


class Wakefulness:
    """When the machine last woke up. Any thread may ask."""

    def __init__(
        self, start: Moment, resumed_at: Callable[[], float | None] = _know_nothing
    ) -> None:
        """Begin to watch at `start`; `resumed_at` tells the last waking, on the boot clock."""
        self._resumed_at = resumed_at
        self._accounted = start.asleep
        self._looked = start.boot
        self._woke = start.boot if start.asleep > _SLACK else None
        self._lock = Lock()

    def since_resume(self, now: Moment) -> float | None:
        """Return seconds since the last waking, None if there was none.

        `InternalError` for a waking in the future or at no time at all.
        """
        told = self._resumed_at()
        if told is not None and not (math.isfinite(told) and 0 <= told <= now.boot + _SLACK):
            raise InternalError("a waking was told of that cannot be")
        with self._lock:
            if now.asleep - self._accounted > _SLACK:
                self._accounted = now.asleep
                is_of_this_sleep = told is not None and told >= self._looked
                self._woke = told if is_of_this_sleep else now.boot
            elif told is not None and (self._woke is None or told > self._woke):
                self._woke = told
            self._looked = max(self._looked, now.boot)
            return None if self._woke is None else max(0.0, now.boot - self._woke)
