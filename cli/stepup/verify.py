"""`stepup verify`: ask for a step-up, and let the exit status say how it ended."""

from typing import Annotated

import typer

from stepup import options
from stepup.calls import call
from stepup.exits import ExitCode, find_verdict_code
from stepup.outcomes import print_answer, require_allowed, say_allowed
from stepup.replies import read_verdict
from stepup.terminal import print_result
from stepup.times import parse_duration

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print prompts only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say how it was allowed.")]


def verify(  # noqa: PLR0913 - one parameter per option
    context: typer.Context,
    *,
    action: options.Action = "cli:verify",
    level: options.LevelChoice = None,
    max_age: options.MaxAge = "",
    reason: options.Reason = "",
    user: options.User = "",
    is_json: options.Json = False,
    is_quiet: Quiet = False,
    is_verbose: Verbose = False,
) -> ExitCode:
    """Ask for proof that you are here.

    Exits with 0 only if it is given, and then prints nothing, so that it fits any script:

    stepup verify --action cli:deploy && ./deploy
    """
    params = options.keep(action=action, reason=reason, subject=user)
    if level is not None:
        params["level"] = level.value
    if max_age:
        params["max_age"] = parse_duration(max_age)
    answer = call(context, "StepUp", params)
    if is_json:
        return print_answer(answer)
    if is_quiet:
        verdict = read_verdict(answer)
        return find_verdict_code(verdict.word, verdict.reason)
    require_allowed(answer)
    if is_verbose:
        print_result(say_allowed(answer))
    return ExitCode.ALLOWED
