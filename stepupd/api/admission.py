"""Who may still come in: connections, running ceremonies and calls per account.

The law of this file: root and the others draw from separate pools, so no other account can keep
sudo or sshd out; and a count goes down exactly once for each time it went up. How fast an account
may call bounds how fast it can fill the audit log; root (sudo, sshd, login) is exempt.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from stepupd.api.allowance import Allowance
from stepupd.api.limits import Limits
from stepupd.core.errors import RequestError


class Admission:
    """Shared by all doors of one daemon."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        """`clock` returns seconds that never go back."""
        self._limits = limits
        self._clock = clock
        self._allowance = Allowance(limits.burst, limits.calls_per_second)
        self._connections: Counter[int] = Counter()
        self._ceremonies: Counter[int] = Counter()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._connections.total()

    def enter(self, uid: int) -> None:
        """Count a new connection; `RequestError` ("busy") if there are too many."""
        limits = self._limits
        if uid == 0:
            is_full = self._connections[0] >= limits.connections_of_root
        else:
            others = self._connections.total() - self._connections[0]
            is_full = (
                self._connections[uid] >= limits.connections_per_uid
                or others >= limits.connections_of_others
            )
        if is_full:
            raise _busy("too many connections are open")
        self._connections[uid] += 1

    def leave(self, uid: int) -> None:
        """Count a connection that ended."""
        _lower(self._connections, uid)

    def spend(self, uid: int) -> None:
        """Count a call before anything is done for it; `RequestError` ("busy") if too soon."""
        if uid != 0 and not self._allowance.take(uid, self._clock()):
            raise _busy("this account asks too often")

    @contextmanager
    def ceremony(self, uid: int) -> Iterator[None]:
        """Hold a place for a ceremony; `RequestError` ("busy") if there is none."""
        is_full = uid != 0 and (
            self._ceremonies[uid] >= self._limits.ceremonies_per_uid
            or self._ceremonies.total() - self._ceremonies[0] >= self._limits.ceremonies_of_others
        )
        if is_full:
            raise _busy("too many requests wait already")
        self._ceremonies[uid] += 1
        try:
            yield
        finally:
            _lower(self._ceremonies, uid)


def _lower(counts: Counter[int], uid: int) -> None:
    counts[uid] -= 1
    if counts[uid] <= 0:  # accounts come and go for years: keep no zeros
        del counts[uid]


def _busy(message: str) -> RequestError:
    return RequestError(message, reason="busy", hint="Try again in a moment.")
