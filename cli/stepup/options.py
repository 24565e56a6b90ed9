"""Options that several verbs share, and how they become parameters."""

from enum import Enum
from typing import Annotated

import typer


class LevelWord(Enum):
    """How strong a proof has to be at least."""

    TOUCH = "touch"
    VERIFY = "verify"
    ATTESTED = "attested"


def _note_json(context: typer.Context, value: bool) -> bool:  # noqa: FBT001 - typer's signature
    context.obj.is_json = value
    return value


Action = Annotated[
    str, typer.Option("--action", metavar="ACTION", help="What is to be done, as policy names it.")
]
LevelChoice = Annotated[LevelWord | None, typer.Option("--level", help="Ask for at least this.")]
MaxAge = Annotated[
    str, typer.Option("--max-age", metavar="TIME", help="Accept no older proof: 90s, 10m, 8h.")
]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown and logged.")]
User = Annotated[str, typer.Option("--user", metavar="NAME", help="For another account.")]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document.", is_eager=True, callback=_note_json),
]


def keep(**params: str) -> dict[str, object]:
    """Return the parameters that were given."""
    return {name: value for name, value in params.items() if value}
