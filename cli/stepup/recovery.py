"""`stepup recovery-codes`: what opens the door on the day the key is lost."""

import typer

from stepup import options
from stepup.calls import call
from stepup.exits import ExitCode
from stepup.outcomes import print_answer, require_allowed
from stepup.replies import read_texts
from stepup.terminal import clean, print_result

_ADVICE = """
Each of them works once, in place of a touch, where none of your keys answers.
Print them or write them down, and keep them away from this machine. They are
not shown again; making new ones ends these."""


def make_codes(
    context: typer.Context, *, user: options.User = "", is_json: options.Json = False
) -> ExitCode:
    """Make new recovery codes, in place of the old ones.

    They are for the day a key is lost. The set is shown once.
    """
    answer = call(context, "MakeRecoveryCodes", options.keep(subject=user))
    if is_json:
        return print_answer(answer)
    require_allowed(answer)
    print_result("\n".join(f"  {clean(code)}" for code in read_texts(answer, "codes")))
    print_result(_ADVICE)
    return ExitCode.ALLOWED
