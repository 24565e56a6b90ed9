"""`stepup policy`: check, test, explain, replay. Straight from the files, no daemon needed."""

from pathlib import Path
from typing import Annotated

import typer

from stepup import options
from stepup.exits import ExitCode

Files = Annotated[
    list[Path] | None, typer.Argument(metavar="[FILES]", help="Default: what is installed.")
]
Candidate = Annotated[
    list[Path], typer.Option("--candidate", metavar="FILE", help="The policy to try; repeatable.")
]
Policy = Annotated[
    list[Path] | None, typer.Option("--policy", metavar="FILE", help="Not the installed policy.")
]
Log = Annotated[Path | None, typer.Option("--log", metavar="PATH", help="The audit log.")]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="30d, or 2026-11-01.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write a page as well.")]
Action = Annotated[str, typer.Argument(metavar="[ACTION]", help="For example pam:sudo.")]
Entry = Annotated[
    int | None, typer.Option("--entry", metavar="N", help="A request of the log.", min=0)
]
User = Annotated[str, typer.Option("--user", metavar="NAME", help="Who asks; default: you.")]
Group = Annotated[
    list[str] | None, typer.Option("--group", metavar="NAME", help="In place of the account's.")
]
Command = Annotated[str, typer.Option("--command", metavar="TEXT", help="What is claimed.")]
From = Annotated[str, typer.Option("--from", metavar="IP", help="Where the session comes from.")]
Country = Annotated[str, typer.Option("--country", metavar="CC", help="The country of that.")]
At = Annotated[str, typer.Option("--at", metavar="TIME", help="When, for example 23:30.")]
Program = Annotated[
    list[str] | None, typer.Option("--program", metavar="NAME", help="Who asks, nearest first.")
]


def check(files: Files = None, *, is_json: options.Json = False) -> ExitCode:
    """Check a policy for what is wrong or suspicious.

    That is: errors, rules that never apply, rules that weaken others, risky constructs. The exit
    status is 1 for errors and warnings, and 0 for notes.
    """
    from stepup.policy.check import check_policy

    return check_policy(files or [], is_json=is_json)


def run_tests(files: Files = None, *, is_json: options.Json = False) -> ExitCode:
    """Run the tests that a policy brings along.

    The exit status is 1 if one fails, or if there is none.
    """
    from stepup.policy.cases import run_cases

    return run_cases(files or [], is_json=is_json)


def explain(  # noqa: PLR0913 - one option each
    action: Action = "",
    *,
    entry: Entry = None,
    user: User = "",
    group: Group = None,
    command: Command = "",
    source: From = "",
    country: Country = "",
    at: At = "",
    program: Program = None,
    policy: Policy = None,
    log: Log = None,
    is_json: options.Json = False,
) -> ExitCode:
    """Explain what policy says to a request.

    It is an imagined one, or, with --entry, one of the log.

    What is usual for the person is taken from the audit log.
    """
    from stepup.policy.explain import Question, explain_request

    question = Question(
        action=action,
        entry=entry,
        user=user,
        groups=None if group is None else tuple(group),
        command=command,
        source=source,
        country=country,
        at=at,
        programs=tuple(program or ()),
    )
    return explain_request(question, policy or [], log, is_json=is_json)


def replay(
    *,
    candidate: Candidate,
    since: Since = "",
    log: Log = None,
    html: Html = None,
    is_json: options.Json = False,
) -> ExitCode:
    """Replay the audit log under another policy."""
    from stepup.policy.replay import replay_policy

    return replay_policy(candidate, since, log, html, is_json=is_json)
