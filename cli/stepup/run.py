"""`stepup run`: a step-up for one command, then the command in our place.

The law of this file: the command starts only after "allow", as the very arguments that were
shown and logged. Nothing is added to it: same environment, directory and terminal, and signals as
a shell would leave them. Its exit status is our exit status.
"""

import errno
import os
import signal
from typing import Annotated, NoReturn

import typer

from stepup import options
from stepup.calls import call
from stepup.errors import CommandError
from stepup.exits import ExitCode
from stepup.outcomes import require_allowed

Command = Annotated[list[str], typer.Argument(metavar="COMMAND...", help="What to run.")]


def run(
    context: typer.Context,
    command: Command,
    *,
    action: options.Action = "cli:run",
    reason: options.Reason = "",
) -> NoReturn:
    """Ask for a step-up, then run a command.

    The person is shown the command. The exit status is the command's own; where it must be told
    from a refusal, use: stepup verify && COMMAND
    """
    params = options.keep(action=action, reason=reason)
    require_allowed(call(context, "StepUp", params | {"command": command}))
    _execute(command)


def _execute(command: list[str]) -> NoReturn:
    # Python ignores these two, and an ignored signal stays ignored in whatever we become.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - to run what the person approved, as it is
    except (OSError, ValueError) as error:
        is_missing = isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.ENOTDIR)
        code = ExitCode.NOT_FOUND if is_missing else ExitCode.CANNOT_EXECUTE
        what = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"{command[0]}: {what}", code) from None
