"""Running one command line: the one place where what a verb raises becomes words and a status."""

import os
import sys

import typer

from stepup.calls import Invocation, Started
from stepup.completion import COMPLETE_VARIABLE, teach_shells
from stepup.errors import CommandError
from stepup.exits import ExitCode, find_error_code
from stepup.terminal import drop_output, print_error, print_json
from stepup.verbs import build_app

_INTERRUPTED = 130
"""What typer returns after Ctrl-C."""


def run(arguments: list[str], started: Started | None = None) -> int:
    """Run one command line and return its exit status; only bugs of Python itself get out.

    `started` is a request that was sent already, with what came back so far.
    """
    _make_output_forgiving()
    invocation = Invocation(started)
    try:
        return _dispatch(arguments, invocation)
    except CommandError as error:
        return _report(error, invocation)
    except (KeyboardInterrupt, typer.Abort):
        return _report(CommandError("cancelled", ExitCode.CANCELLED), invocation)
    except Exception as error:  # noqa: BLE001 - the last line: a traceback helps no caller
        return _report(_explain(error), invocation)
    finally:
        invocation.close()


def _dispatch(arguments: list[str], invocation: Invocation) -> int:
    command = typer.main.get_command(build_app())
    if COMPLETE_VARIABLE in os.environ:
        teach_shells()
    try:
        result = command.main(arguments, prog_name="stepup", standalone_mode=False, obj=invocation)
    except SystemExit as stopped:  # typer, after a completion or on a closed pipe
        return ExitCode.FAILED if stopped.code else ExitCode.ALLOWED
    if result == _INTERRUPTED:
        raise KeyboardInterrupt
    return int(result or 0)


def _explain(error: Exception) -> CommandError:
    """Return what an error means that is none of ours."""
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        hint = f"see: {context.command_path} --help" if context else ""
        return CommandError(error.format_message(), ExitCode.USAGE, hint=hint)
    if isinstance(error, OSError):
        drop_output()
        return CommandError(f"{error.strerror or error}", ExitCode.FAILED)
    reason = getattr(error, "reason", None)
    if isinstance(reason, str):
        code = find_error_code(reason)
        return CommandError(str(error), code, reason=reason, hint=getattr(error, "hint", ""))
    return CommandError(
        f"stepup failed: {type(error).__name__}: {error}", ExitCode.FAILED, reason="internal"
    )


def _report(error: CommandError, invocation: Invocation) -> int:
    if invocation.is_json:
        document = {"reason": error.reason, "text": str(error), "hint": error.hint}
        print_json({"error": document})
    elif str(error).startswith("Usage:"):  # typer shows the help when a group stands alone
        print(error, file=sys.stderr)
    else:
        print_error(error.label, str(error), error.hint)
    return int(error.code)


def _make_output_forgiving() -> None:
    """Make no name unprintable, whatever the locale."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
