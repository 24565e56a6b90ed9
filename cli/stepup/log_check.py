"""Verifying the audit log, and saying what was found. Loaded only for `stepup audit verify`."""

from collections.abc import Sequence
from pathlib import Path

from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.log_paths import LogPaths, explain_file_error
from stepupd.core.note import parse_vkey, split_notes
from stepupd.store.audit_report import Report
from stepupd.store.audit_verify import verify_log
from stepupd.store.checkpoint_file import read_checkpoint


def check_log(paths: LogPaths, anchors: Sequence[Path], jobs: int) -> Report:
    """Return the verifier's report; raises CommandError if a file cannot be read."""
    vkey = _read(paths.key)
    notes = [note for path in anchors for note in split_notes(_read(path))]
    try:
        # Before the log: while a daemon writes, the log may only be ahead of its checkpoint.
        checkpoint = read_checkpoint(paths.checkpoint, parse_vkey(vkey.strip()))
    except OSError as error:
        raise explain_file_error(error, paths.checkpoint) from None
    if checkpoint is None:
        raise CommandError(
            f"{paths.checkpoint}: holds nothing that the key {paths.key} signed", ExitCode.DAMAGED
        )
    return verify_log(paths.log, checkpoint, vkey, jobs=jobs, anchors=notes)


def say_report(report: Report) -> str:
    """Return what an intact log holds."""
    entries = _count(report.entries, "entry", "entries")
    signatures = _count(report.signatures, "signature of a key", "signatures of keys")
    lines = [f"The audit log is intact: {entries}, {signatures}."]
    if report.anchors:
        lines.append(f"It agrees with {_count(report.anchors, 'anchor', 'anchors')}.")
    if report.uncovered:
        lines.append(f"Not yet under a checkpoint: {_count(report.uncovered, 'entry', 'entries')}.")
    if report.recoveries:
        times = _count(report.recoveries, "time", "times")
        lines.append(f"Recovered after a crash: {times}, {report.lost_bytes} bytes dropped.")
    if report.torn_bytes:
        lines.append(f"Unfinished at the end: {report.torn_bytes} bytes.")
    return "\n".join(lines)


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError as error:
        raise explain_file_error(error, path) from None
