"""Where the audit log is, and opening it to read."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stepup.errors import CommandError, refuse_usage
from stepup.exits import ExitCode

_HINT = "say where it is with --log, --checkpoint and --key"


@dataclass(frozen=True, slots=True)
class LogPaths:
    """The log, its newest checkpoint, and the public key that signs checkpoints."""

    log: Path
    checkpoint: Path
    key: Path


_SYSTEM = LogPaths(
    Path("/var/log/stepupd/audit.log"),
    Path("/var/lib/stepupd/audit.checkpoint"),
    Path("/var/log/stepupd/audit.vkey"),
)


def find_log(log: Path | None, checkpoint: Path | None = None, key: Path | None = None) -> LogPaths:
    """Return what was named, and the defaults for what was not: beside a log that was named."""
    found = _find_default() if log is None else _list_beside(log)
    return LogPaths(found.log, checkpoint or found.checkpoint, key or found.key)


def _find_default() -> LogPaths:
    if _SYSTEM.log.parent.exists():
        return _SYSTEM
    state = Path(os.environ.get("XDG_STATE_HOME", ""))
    base = state if state.is_absolute() else Path.home() / ".local/state"
    return _list_beside(base / "stepupd" / "audit.log")


def _list_beside(log: Path) -> LogPaths:
    return LogPaths(log, log.with_suffix(".checkpoint"), log.with_suffix(".vkey"))


def open_log(path: Path) -> BinaryIO:
    """Return the file, open to read; raises CommandError."""
    try:
        return path.open("rb")
    except OSError as error:
        raise explain_file_error(error, path) from None


def explain_file_error(error: OSError, path: Path) -> CommandError:
    """Return what an unreadable file means to the person."""
    if isinstance(error, PermissionError):
        return CommandError(
            f"{path}: you may not read it", ExitCode.NOT_PERMITTED, hint="run this as root"
        )
    return refuse_usage(f"{path}: {error.strerror}", _HINT)
