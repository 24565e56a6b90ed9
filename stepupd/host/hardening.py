"""What the process takes from itself before it opens a door.

The law of this file: no core dump and no debugger of the same account may see a PIN; no file is
ever made readable for others by accident; and the daemon does not start where the kernel could
not tell it one account from another.
"""

import ctypes
import os
import resource
from pathlib import Path

from stepupd.core.errors import ConfigError, InternalError

_PR_SET_DUMPABLE = 4  # prctl(2)
_ALL_UIDS = (0, 0, 2**32 - 1)
_UID_MAP = Path("/proc/self/uid_map")


def harden() -> None:
    """Forbid core dumps and ptrace by our own account, and set the umask to 077."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise InternalError("prctl(PR_SET_DUMPABLE) failed")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.umask(0o077)


def raise_descriptor_limit(wanted: int) -> int:
    """Raise the soft limit of open files towards `wanted`; return what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    new = min(wanted, hard) if hard != resource.RLIM_INFINITY else wanted
    if soft != resource.RLIM_INFINITY and soft < new:
        resource.setrlimit(resource.RLIMIT_NOFILE, (new, hard))
        return new
    return soft


def refuse_user_namespace() -> None:
    """Raise `ConfigError` inside a user namespace that does not map every account to itself.

    There SO_PEERCRED calls all others 65534: who is asking would be a guess (user_namespaces(7)).
    """
    try:
        mapping = _UID_MAP.read_text("ascii")
    except OSError as error:
        raise InternalError(f"cannot read {_UID_MAP}: {error.strerror}") from error
    if not maps_all_uids(mapping):
        raise ConfigError(
            "stepupd runs in a user namespace that hides accounts from it",
            hint="Remove PrivateUsers= from its unit, or start it with --user.",
        )


def maps_all_uids(mapping: str) -> bool:
    """Return whether a `uid_map` is the initial one: one line, every account to itself."""
    lines = [line.split() for line in mapping.splitlines()]
    return [tuple(map(int, line)) for line in lines] == [_ALL_UIDS]
