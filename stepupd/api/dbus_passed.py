"""Descriptors that came with one message over the bus.

The law of this file: whoever holds some closes them, and closing never makes anybody wait. Anyone
may pass one whose end takes its time (a file of a network or of a person's own program, a socket
that lingers), so each message's are closed by a thread of their own.
Not done here: no look at what they are.
"""

import os
import threading
from collections.abc import Sequence
from contextlib import suppress

from stepupd.core.errors import RequestError

MOST_CLOSING = 64
"""Threads that close, before nothing more is taken: by then they are stuck."""
_THREAD = "stepupd-close"


class Passed:
    """The descriptors of one message, in their order."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: Sequence[int] = ()) -> None:
        self._numbers = list(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, numbers: Sequence[int]) -> None:
        """Hold more."""
        self._numbers += numbers

    def release(self) -> list[int]:
        """Return all, and hold none."""
        numbers, self._numbers = self._numbers, []
        return numbers

    def pick(self, index: object) -> int:
        """Return the only descriptor, as a body names it; `RequestError` if that is not so."""
        if len(self._numbers) != 1 or index != 0:
            raise RequestError("the call comes with exactly one descriptor")
        return self._numbers[0]

    def close(self) -> None:
        """Close all, some time soon; more than once does no harm."""
        numbers = self.release()
        if numbers:
            threading.Thread(target=_close, args=(numbers,), name=_THREAD, daemon=True).start()


def find_closing() -> list[threading.Thread]:
    """Return the threads that close something just now."""
    return [one for one in threading.enumerate() if one.name == _THREAD]


def _close(numbers: list[int]) -> None:
    for number in numbers:
        with suppress(OSError):  # close(2): it is gone whatever is said
            os.close(number)
