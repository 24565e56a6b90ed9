"""Waiting that Ctrl-C always ends.

A signal that comes after Python's last look for one and before the system call is noticed only
once that call returns. So no call here blocks for longer than a second.
"""

import select

_LOOK_MS = 1000


def wait_readable(fd: int) -> None:
    """Return once there is something to read, or nothing will come any more."""
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    while not poller.poll(_LOOK_MS):
        pass
