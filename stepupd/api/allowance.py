"""How fast each account may ask: a bucket of tokens that fills again with time.

The law of this file: a full bucket is no bucket, so memory goes back to nothing once it is quiet,
whoever came by. Not done here: who is exempt, and what a refusal says.
"""


class Allowance:
    """One bucket per owner, all of the same size. The caller brings the time, in seconds."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._interval = 1 / per_second
        self._span = burst * self._interval
        self._full_at: dict[int, float] = {}
        """When an owner's bucket is full again: the one who took last comes last."""

    def __len__(self) -> int:
        """Return how many owners are remembered."""
        return len(self._full_at)

    def take(self, owner: int, now: float) -> bool:
        """Take a token; False, and nothing is taken, if there is none."""
        self._forget_full(now)
        full_at = max(self._full_at.get(owner, now), now) + self._interval
        if full_at - now > self._span:
            return False
        self._full_at.pop(owner, None)
        self._full_at[owner] = full_at
        return True

    def _forget_full(self, now: float) -> None:
        # A bucket is full again within one span, so none stays behind another for longer.
        while self._full_at:
            oldest = next(iter(self._full_at))
            if self._full_at[oldest] > now:
                return
            del self._full_at[oldest]
