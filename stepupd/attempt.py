"""Work in a thread that may be given up, until it takes hold.

The law of this file: of the worker that is about to make something lasting, and whoever is about
to wait no longer, only the first goes on. So what was refused for being late is never done later.
"""

import threading


class Attempt:
    """One piece of work, and the one moment from which it counts."""

    __slots__ = ("_once",)

    def __init__(self) -> None:
        self._once = threading.Lock()

    def seize(self) -> bool:
        """Return True to whoever asks first, False ever after. Safe from any thread."""
        return self._once.acquire(blocking=False)
