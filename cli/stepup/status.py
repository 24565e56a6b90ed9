"""`stepup status`: whether the daemon is there, and what it has."""

import typer

from stepup import options
from stepup.calls import call
from stepup.status_text import say_status
from stepup.terminal import print_json, print_result


def status(context: typer.Context, *, is_json: options.Json = False) -> None:
    """Say whether stepupd is there, and what it has."""
    answer = call(context, "Status", {})
    text = say_status(answer)
    if is_json:
        print_json(answer)
    else:
        print_result(text)
