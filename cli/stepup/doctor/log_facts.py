"""Looking at the audit log for `stepup doctor`: short ones are verified, of long ones the end."""

from datetime import datetime

from stepup.doctor.daemon_checks import LogFacts
from stepup.entries import find_last_lines, read_entry
from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.log_paths import LogPaths

SHORT = 4 * 1024 * 1024
"""Bytes that are verified in less than a second."""


def look_at_log(paths: LogPaths) -> tuple[LogFacts, float | None]:
    """Return what is to be said of the log, and the time of its last entry."""
    path = str(paths.log)
    try:
        size = paths.log.stat().st_size
        last = _read_last_time(paths)
    except FileNotFoundError:
        return LogFacts(path, exists=False), None
    except OSError:
        return LogFacts(path, is_hidden=True), None
    if size > SHORT:
        return LogFacts(path), last
    return _verify(paths), last


def _verify(paths: LogPaths) -> LogFacts:
    from stepup.log_check import check_log

    path = str(paths.log)
    try:
        report = check_log(paths, (), 1)
    except CommandError as error:
        if error.code is ExitCode.NOT_PERMITTED:
            return LogFacts(path, is_hidden=True)
        return LogFacts(path, fault=str(error).rstrip("."))
    fault = "" if report.fault is None else f"line {report.fault.line}: {report.fault.text}"
    return LogFacts(path, is_checked=True, entries=report.entries, fault=fault.rstrip("."))


def _read_last_time(paths: LogPaths) -> float | None:
    with paths.log.open("rb") as stream:
        stream.seek(find_last_lines(stream, 1))
        written = read_entry(stream.readline()).get("time")
    try:
        return datetime.fromisoformat(written).timestamp() if isinstance(written, str) else None
    except ValueError:
        return None
