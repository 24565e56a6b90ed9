"""`stepup audit`: read the log, follow it, verify it. Straight from the files, no daemon needed."""

import json
import shutil
import sys
from pathlib import Path
from time import sleep, time
from typing import Annotated, BinaryIO

import typer

from stepup import entries, options
from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.log_paths import find_log, open_log
from stepup.terminal import print_error, print_json, print_result

_POLL = 0.5
"""Seconds between looks at a log that is followed."""

Log = Annotated[Path | None, typer.Option("--log", metavar="PATH", help="The audit log.")]
Number = Annotated[int | None, typer.Argument(metavar="[N]", help="One entry, in full.", min=0)]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="2h, or 2026-11-24T08:00.")]
Kind = Annotated[str, typer.Option("--kind", metavar="KIND", help="For example: step-up, enrol.")]
Lines = Annotated[int, typer.Option("--lines", "-n", metavar="N", help="How many.", min=0)]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Wait for more.")]
Checkpoint = Annotated[
    Path | None, typer.Option("--checkpoint", metavar="PATH", help="The newest signed head.")
]
Key = Annotated[Path | None, typer.Option("--key", metavar="PATH", help="The public key.")]
Anchor = Annotated[
    list[Path] | None,
    typer.Option("--anchor", metavar="PATH", help="A checkpoint that was kept elsewhere."),
]
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", help="Processes; 0: all cores.", min=0)]


def show(
    number: Number = None,
    *,
    since: Since = "",
    kind: Kind = "",
    log: Log = None,
    is_json: options.Json = False,
) -> ExitCode:
    """Show entries, one line each; one of them in full."""
    wanted = entries.Filter(number, entries.parse_since(since, time()), kind)
    with open_log(find_log(log).log) as stream:
        found = filter(wanted.accepts, entries.read_entries(stream))
        if number is not None:
            return _show_one(next(found, None), is_json=is_json)
        if is_json:
            shown = list(found)
            print_json(shown)
            return _judge(all(shown))
        is_readable = True
        for fields in found:
            is_readable &= _print_line(fields)
        return _judge(is_readable)


def _show_one(fields: entries.Fields | None, *, is_json: bool) -> ExitCode:
    if fields is None:
        raise CommandError("there is no such entry", ExitCode.USAGE)
    print_result(json.dumps(fields, indent=None if is_json else 2))
    return ExitCode.ALLOWED


def tail(
    *,
    lines: Lines = 10,
    is_following: Follow = False,
    log: Log = None,
    is_json: options.Json = False,
) -> ExitCode:
    """Show the last entries.

    With --json, one document a line.
    """
    with open_log(find_log(log).log) as stream:
        stream.seek(entries.find_last_lines(stream, lines) if lines else stream.seek(0, 2))
        is_readable = True
        while True:
            for line in _read_whole_lines(stream):
                is_readable &= _print_line(entries.read_entry(line), is_json=is_json)
            if not is_following:
                return _judge(is_readable)
            sleep(_POLL)


def _read_whole_lines(stream: BinaryIO) -> list[bytes]:
    start = stream.tell()
    if stream.seek(0, 2) < start:
        raise CommandError("the log was cut while it was followed", ExitCode.DAMAGED)
    stream.seek(start)
    content = stream.read()
    whole = content.rfind(b"\n") + 1
    stream.seek(start + whole)
    return content[:whole].splitlines()


def _print_line(fields: entries.Fields, *, is_json: bool = False) -> bool:
    line = json.dumps(fields) if is_json else entries.say_entry(fields, time())
    if not is_json and sys.stdout is not None and sys.stdout.isatty():
        line = line[: shutil.get_terminal_size().columns]
    print_result(line)
    return bool(fields)


def _judge(is_readable: bool) -> ExitCode:  # noqa: FBT001 - one fact, one parameter
    if is_readable:
        return ExitCode.ALLOWED
    print_error("error", "some lines cannot be read", "stepup audit verify")
    return ExitCode.DAMAGED


def verify(
    *,
    log: Log = None,
    checkpoint: Checkpoint = None,
    key: Key = None,
    anchor: Anchor = None,
    jobs: Jobs = 0,
    is_json: options.Json = False,
) -> ExitCode:
    """Verify the whole log.

    That is its chain, its checkpoint, and the signature of every touch.

    Whoever can write the log can also write the key beside it: to find out about root, keep a
    copy of the key and of a checkpoint elsewhere, and name them with --key and --anchor.
    """
    from stepup.log_check import check_log, say_report

    report = check_log(find_log(log, checkpoint, key), anchor or [], jobs)
    if is_json:
        print_json(report.to_json())
    if report.fault is None:
        if not is_json:
            print_result(say_report(report))
        return ExitCode.ALLOWED
    if not is_json:
        where = f" at line {report.fault.line}" if report.fault.line else ""
        raise CommandError(
            f"the audit log is damaged{where}: {report.fault.text} ({report.fault.reason})",
            ExitCode.DAMAGED,
            hint="keep all of it as evidence, and compare it with a backup",
        )
    return ExitCode.DAMAGED
