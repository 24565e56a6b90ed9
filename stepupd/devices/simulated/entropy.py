"""Random bytes of a simulated key: the system's, or a repeatable stream for tests.

Law: without a seed nothing is predictable. With one, every key and every credential id is the same
in every run (ECDSA signatures still differ), so a seeded key protects nothing.
"""

import hashlib
import hmac
import os


class Entropy:
    """A source of random bytes; `draws` counts what was taken, so that a stream can go on."""

    def __init__(self, seed: bytes | None = None, draws: int = 0) -> None:
        self._seed = seed
        self.draws = draws

    def take(self, length: int) -> bytes:
        """Return `length` fresh bytes."""
        if self._seed is None:
            return os.urandom(length)
        taken = b""
        while len(taken) < length:
            self.draws += 1
            taken += hmac.digest(self._seed, self.draws.to_bytes(8), hashlib.sha256)
        return taken[:length]
