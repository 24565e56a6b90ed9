"""Nodes that stay open a while after use: the kernel takes 50 ms over the first open of one.

usbhid waits that long before it lets in what a device says, whenever nobody has its node open
(usbhid_open in drivers/hid/usbhid/hid-core.c). While a descriptor is held, the next open takes a
third of a millisecond; so the second touch of some minutes blinks at once.

The law of this file: what is held is never read and never written. Each request opens the node
anew, checks whose it is and asks for a channel of its own, as if nothing were held. A held node
keeps its key from USB autosuspend, and its number from the next key; hence the key ring lets it go
after a time, and when its key has gone.
"""

import os
from collections.abc import Iterable
from contextlib import suppress
from threading import Lock


class HeldNodes:
    """At most one descriptor for each key. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[str, int] = {}

    def hold(self, identity: str, descriptor: int) -> None:
        """Take over a descriptor that is no longer used, in place of an older one."""
        with self._lock:
            older, self._held[identity] = self._held.get(identity), descriptor
        if older is not None:
            _close(older)

    def keep_only(self, identities: Iterable[str]) -> None:
        """Close those of keys that have gone."""
        with self._lock:
            gone = [self._held.pop(one) for one in self._held.keys() - set(identities)]
        for descriptor in gone:
            _close(descriptor)

    def release(self) -> None:
        """Close all of them."""
        self.keep_only(())


def _close(descriptor: int) -> None:
    with suppress(OSError):  # of a key that has gone
        os.close(descriptor)
