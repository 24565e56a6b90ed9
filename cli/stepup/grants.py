"""`stepup grants` and `stepup revoke`: what was earned, and giving it back."""

from typing import Annotated

import typer

from stepup import options
from stepup.calls import call
from stepup.errors import refuse_usage
from stepup.replies import Answer, read_answers, read_number, read_text
from stepup.tables import draw_table
from stepup.terminal import print_json, print_result
from stepup.times import say_age, say_span

GrantId = Annotated[str, typer.Argument(metavar="[ID]", help="A grant's id, or its start.")]
All = Annotated[bool, typer.Option("--all", help="Every grant.")]

_HEAD = ("ID", "ACTION", "SCOPE", "LEVEL", "TERMINAL", "EARNED", "ENDS IN")


def list_grants(
    context: typer.Context, *, user: options.User = "", is_json: options.Json = False
) -> None:
    """List live grants.

    They say what needs no new proof, and for how long.
    """
    answer = call(context, "ListGrants", options.keep(subject=user))
    found = read_answers(answer, "grants")
    if is_json:
        print_json(answer)
    elif found:
        print_result(draw_table(_HEAD, map(_row, found)))
    else:
        print_result("No grants.")


def _row(grant: Answer) -> tuple[str, ...]:
    return (
        read_text(grant, "id")[:8],
        read_text(grant, "action"),
        read_text(grant, "scope"),
        read_text(grant, "level"),
        read_text(grant, "tty") or "-",
        say_age(read_number(grant, "age")),
        say_span(read_number(grant, "expires_in")),
    )


def revoke(
    context: typer.Context,
    grant: GrantId = "",
    *,
    is_all: All = False,
    user: options.User = "",
    is_json: options.Json = False,
) -> None:
    """Revoke one grant, or all of them.

    The next request needs a new proof.
    """
    if bool(grant) == is_all:
        raise refuse_usage("name one grant, or say --all", "`stepup grants` shows their ids")
    params = options.keep(subject=user)
    if grant:
        params["grant"] = _find_grant(context, grant, dict(params))
    answer = call(context, "Revoke", params)
    count = int(read_number(answer, "revoked"))
    if is_json:
        print_json(answer)
    else:
        print_result("Revoked 1 grant." if count == 1 else f"Revoked {count} grants.")


def _find_grant(context: typer.Context, start: str, subject: dict[str, object]) -> str:
    listed = read_answers(call(context, "ListGrants", subject), "grants")
    found = [id_ for item in listed if (id_ := read_text(item, "id")).startswith(start)]
    if len(found) != 1:
        what = "no grant has that id" if not found else "more than one grant fits"
        raise refuse_usage(what, "`stepup grants` shows their ids")
    return found[0]
