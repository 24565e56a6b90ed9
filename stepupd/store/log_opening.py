"""Open a log and its checkpoint as one thing, or begin both.

Law: only an empty log may begin without a checkpoint, so that removing either of the two is
noticed. Setting aside renames, never deletes, and never under a daemon that writes.

Not done here: noticing that both were removed at once. The anchors in the journal tell.
"""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from stepupd.core.checkpoint import Checkpoint, sign_checkpoint
from stepupd.core.errors import ConfigError
from stepupd.core.note import Signer, VerifierKey
from stepupd.store.checkpoint_file import CheckpointFile, create_checkpoint_file
from stepupd.store.log_file import LogFile, lock_file
from stepupd.store.log_recovery import Recovery, recover
from stepupd.store.whole_file import sync_directory, write_whole


class OpenLog(NamedTuple):
    """The two files, open, and where the log ends."""

    file: LogFile
    checkpoints: CheckpointFile
    recovery: Recovery


def open_log(log_path: Path, checkpoint_path: Path, signer: Signer) -> OpenLog:
    """Open a log, or begin one. Raises OSError, or ConfigError if it was changed or is in use."""
    with contextlib.ExitStack() as stack:
        file = LogFile(log_path)
        stack.callback(file.close)
        # Without entries there is nothing a missing checkpoint could hide.
        if file.size == 0 and not checkpoint_path.exists():
            sync_directory(log_path.parent)
            create_checkpoint_file(checkpoint_path, sign_checkpoint(Checkpoint(), signer))
        checkpoints = _open_checkpoints(checkpoint_path, signer.vkey)
        stack.callback(checkpoints.close)
        recovery = recover(file.fd, log_path, checkpoints.checkpoint)
        _write_vkey(log_path, signer.vkey)
        stack.pop_all()
        return OpenLog(file, checkpoints, recovery)


def set_aside(log_path: Path, checkpoint_path: Path, now: float) -> tuple[Path, ...]:
    """Rename a log and its checkpoint so that a new one can begin; return the new names.

    `now` is seconds since the epoch and becomes the suffix, in UTC. Raises ConfigError if a
    daemon uses the log or a new name is taken, OSError if the disk fails. Can be done again if it
    was interrupted.
    """
    suffix = datetime.fromtimestamp(now, UTC).strftime(".%Y%m%dT%H%M%SZ")
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(log_path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            stack.callback(os.close, fd)
            lock_file(fd, log_path)
        moves = [
            (path, path.with_name(path.name + suffix))
            for path in (log_path, checkpoint_path)
            if path.exists()
        ]
        for _, target in moves:
            if target.exists():
                raise ConfigError("already exists", file=str(target))
        for path, target in moves:
            path.rename(target)
            sync_directory(path.parent)
    return tuple(target for _, target in moves)


def _open_checkpoints(path: Path, vkey: VerifierKey) -> CheckpointFile:
    try:
        return CheckpointFile(path, vkey)
    except FileNotFoundError:
        raise ConfigError(
            "the audit log has entries, but its checkpoint is gone",
            file=str(path),
            hint="keep the log as evidence; to begin a new one on purpose, set it aside",
        ) from None


def _write_vkey(log_path: Path, vkey: VerifierKey) -> None:
    path = log_path.with_suffix(".vkey")
    content = f"{vkey.encode()}\n".encode()
    if not path.exists() or path.read_bytes() != content:
        write_whole(path, content, mode=0o644)
