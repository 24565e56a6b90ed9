"""`stepup keys`: list, rename and remove enrolled keys."""

from base64 import urlsafe_b64decode
from time import time
from typing import Annotated

import typer

from stepup import options
from stepup.aaguids import name_model
from stepup.calls import call
from stepup.errors import CommandError, refuse_usage
from stepup.exits import ExitCode
from stepup.outcomes import print_answer, require_allowed
from stepup.replies import Answer, read_answers, read_flag, read_number, read_text
from stepup.tables import draw_table
from stepup.terminal import ask, clean, has_terminal, print_json, print_result
from stepup.times import say_time

Key = Annotated[str, typer.Argument(metavar="KEY", help="Its name, or the start of its id.")]
NewName = Annotated[str, typer.Argument(metavar="NAME", help="The new name.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether you mean it.")]

_SUSPECT = "! "
_SUSPICION = """
! This key once answered as a copy of it would, and was refused.
  Unless you know why, enrol another with "stepup enroll", then remove it with
  "stepup keys remove"."""


def list_keys(
    context: typer.Context, *, user: options.User = "", is_json: options.Json = False
) -> None:
    """List enrolled keys."""
    answer = call(context, "ListCredentials", options.keep(subject=user))
    keys = read_answers(answer, "credentials")
    if is_json:
        print_json(answer)
    elif keys:
        print_result(draw_table(("NAME", "MODEL", "ENROLLED", "LAST USED", "ID"), map(_row, keys)))
        if any(read_flag(key, "is_suspect") for key in keys):
            print_result(_SUSPICION)
    else:
        print_result("No keys are enrolled. To enrol one: stepup enroll")


def _row(key: Answer) -> tuple[str, ...]:
    now = time()
    mark = _SUSPECT if read_flag(key, "is_suspect") else ""
    return (
        mark + read_text(key, "name"),
        name_model(read_text(key, "aaguid")),
        say_time(read_number(key, "created"), now),
        say_time(read_number(key, "last_used"), now),
        _shorten_id(read_text(key, "id")),
    )


def _shorten_id(encoded: str) -> str:
    """Return the start of an id in hex, as people can read it out and the daemon takes it."""
    return urlsafe_b64decode(encoded[:8]).hex()[:8] if encoded[:8].isascii() else ""


def rename_key(
    context: typer.Context,
    key: Key,
    name: NewName,
    *,
    user: options.User = "",
    is_json: options.Json = False,
) -> ExitCode:
    """Give a key another name."""
    params = {"credential": key, "name": name, **options.keep(subject=user)}
    answer = call(context, "RenameCredential", params)
    return _finish(answer, f'Renamed to "{clean(name)}".', is_json=is_json)


def remove_key(
    context: typer.Context,
    key: Key,
    *,
    is_sure: Yes = False,
    user: options.User = "",
    is_json: options.Json = False,
) -> ExitCode:
    """Remove a key and every grant it earned."""
    if not is_sure:
        _confirm(key)
    answer = call(context, "RemoveCredential", {"credential": key, **options.keep(subject=user)})
    return _finish(answer, f'Removed "{clean(key)}".', is_json=is_json)


def _confirm(key: str) -> None:
    if not has_terminal():
        raise refuse_usage("there is no terminal to ask whether you mean it", "say so with --yes")
    answer = ask(
        f'Remove "{key}"? It can then no longer prove anything here. [y/N] ', is_hidden=False
    )
    if (answer or "").strip().lower() not in ("y", "yes"):
        raise CommandError("not removed", ExitCode.CANCELLED)


def _finish(answer: Answer, sentence: str, *, is_json: bool) -> ExitCode:
    if is_json:
        return print_answer(answer)
    require_allowed(answer)
    print_result(sentence)
    return ExitCode.ALLOWED
