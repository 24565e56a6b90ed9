"""What the service manager says, and what it wants to hear: three small protocols, no library.

Sources: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3). The variables are taken out of the
environment once read, so that no child takes them for its own.
"""

import os
import socket

from stepupd.core.errors import ConfigError

_FIRST_FD = 3
_MOST_FDS = 16
"""More than all the doors there are."""


def listen_fds() -> dict[str, int]:
    """Return the sockets that were passed in, by name; empty if none are meant for us.

    `ConfigError` for names that do not fit the sockets.
    """
    pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    os.environ.pop("LISTEN_PIDFDID", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return {}
    if int(count) > _MOST_FDS or (int(count) and len(names) != int(count)):
        raise ConfigError(
            f"{count} sockets were passed in under {len(names)} names",
            hint="Give each socket unit a FileDescriptorName= of its own.",
        )
    found: dict[str, int] = {}
    for fd, name in enumerate(names[: int(count)], _FIRST_FD):
        os.set_inheritable(fd, False)
        if name in found:
            raise ConfigError(f"two sockets were passed in under the name {name!r}")
        found[name] = fd
    return found


def notify(state: str) -> bool:
    """Tell the service manager, e.g. "READY=1"; False if there is none or it does not listen."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in {"/", "@"}:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(
                state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address
            )
        except OSError:
            return False
    return True


def watchdog_interval() -> float | None:
    """Return how many seconds may pass between two "WATCHDOG=1" (half of the limit), or None."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    pid = os.environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if pid and pid != str(os.getpid()):
        return None
    return int(microseconds) / 2_000_000
