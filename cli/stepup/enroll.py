"""`stepup enroll`: make a key known, try it at once, and think of the day it is lost."""

from collections.abc import Iterable
from os import getuid
from pwd import getpwuid
from typing import Annotated

import typer

from stepup import options
from stepup.aaguids import name_model
from stepup.calls import call
from stepup.exits import ExitCode
from stepup.outcomes import print_answer, require_allowed
from stepup.replies import Answer, read_answer, read_answers, read_flag, read_text
from stepup.terminal import clean, print_result

Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What to call the key.")]


def enroll(
    context: typer.Context,
    *,
    name: Name = "",
    user: options.User = "",
    is_json: options.Json = False,
) -> ExitCode:
    """Enrol a key, and try it at once.

    Touch it once to enrol it, and once more to prove that it works.
    """
    subject = options.keep(subject=user)
    known = read_answers(call(context, "ListCredentials", subject), "credentials")
    chosen = name or _find_free_name(read_text(item, "name") for item in known)
    answer = call(context, "Enroll", {"name": chosen, **subject})
    if is_json:
        return print_answer(answer)
    require_allowed(answer)
    print_result(_say_enrolled(read_answer(answer, "credential"), user, is_only=not known))
    return ExitCode.ALLOWED


def _find_free_name(taken: Iterable[str]) -> str:
    names = set(taken)
    return next(name for n in range(1, len(names) + 2) if (name := f"key {n}") not in names)


def _say_enrolled(credential: Answer, user: str, *, is_only: bool) -> str:
    name = clean(read_text(credential, "name"))
    lines = [f'Enrolled "{name}": {name_model(read_text(credential, "aaguid"))}.']
    if read_flag(credential, "is_simulated"):
        lines.append("It is simulated: good for trying things out, no proof of anything.")
    lines.append("The second touch tested it: it works.")
    if read_flag(credential, "backup_eligible"):
        lines.append("Its secret can be copied to other devices by whoever made it.")
    if is_only:
        lines += _advise_second_key(name, user)
    return "\n".join(lines)


def _advise_second_key(name: str, user: str) -> list[str]:
    account = clean(user or getpwuid(getuid()).pw_name)
    return [
        "",
        "This is the only key. Without it there is no step-up, so enrol a spare now,",
        "or make recovery codes:",
        f"  stepup enroll --name spare{f' --user {clean(user)}' if user else ''}",
        f"  stepup recovery-codes{f' --user {clean(user)}' if user else ''}",
        "If the only key is lost, root removes it and enrols another:",
        f'  stepup keys remove "{name}" --user {account}',
        f"  stepup enroll --user {account}",
    ]
