"""The kernel's own word that a device went: a netlink socket on the event loop.

The law of this file: only the kernel is heard, never another process, and a message only makes us
look again; what is there is read from sysfs. Messages that were lost count as one that came.
Not done here: no udev. Its events reach no network namespace but its own, and a device that goes
needs none of its work; one that comes does, so that is left to whoever waits for one.

Source: netlink(7), NETLINK_KOBJECT_UEVENT; the kernel's lib/kobject_uevent.c.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

_PROTOCOL = 15  # NETLINK_KOBJECT_UEVENT
_KERNEL_GROUP = 1  # udev speaks in group 2
_KERNEL = 0
_MAX_EVENT = 8192
"""Bytes: the kernel writes 2 KiB of variables at most."""
_MOST_AT_ONCE = 64
"""Events taken before the rest of the daemon has its turn."""


def watch_devices(
    subsystem: str, told: Callable[[], None], action: str = "remove"
) -> Callable[[], None]:
    """Have `told` called, in the running event loop, when a device of a subsystem went.

    Returns what ends it. Raises OSError where the kernel lets us have no such socket.
    """
    loop = asyncio.get_running_loop()
    wanted = {f"SUBSYSTEM={subsystem}".encode(), f"ACTION={action}".encode()}
    kind = socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
    heard = socket.socket(socket.AF_NETLINK, kind, _PROTOCOL)
    try:
        heard.bind((0, _KERNEL_GROUP))
        loop.add_reader(heard, lambda: told() if _read_events(heard, wanted) else None)
    except BaseException:
        heard.close()
        raise

    def end() -> None:
        if heard.fileno() >= 0:
            loop.remove_reader(heard)
            heard.close()

    return end


def _read_events(heard: socket.socket, wanted: set[bytes]) -> bool:
    """Take what has come; return whether any of it says all that is wanted, or was lost."""
    is_ours = False
    for _ in range(_MOST_AT_ONCE):
        try:
            event, (sender, _groups) = heard.recvfrom(_MAX_EVENT)
        except BlockingIOError:
            break
        except OSError as error:
            # The queue ran over: what was lost may have been ours.
            is_ours = True
            if error.errno != errno.ENOBUFS:
                break
            continue
        is_ours |= sender == _KERNEL and says_all(event, wanted)
    return is_ours


def says_all(event: bytes, wanted: set[bytes]) -> bool:
    """Return whether an event has all of these variables; its first part is none."""
    return wanted.issubset(event.split(b"\0")[1:])
