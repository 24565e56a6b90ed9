"""What the verbs of `stepup pam` do.

The law of this file: the order of `enable`. The plan is judged, the person's own key is tried, and
the person agrees, all before anything changes; then the change is a trial. See trials.py.
"""

import os
import sys

import typer

from stepup.calls import call
from stepup.errors import CommandError, refuse_usage
from stepup.exits import ExitCode
from stepup.outcomes import require_allowed
from stepup.pam.overview import list_own_stacks
from stepup.pam.pam_files import MACHINE, ServiceFile, check_service, read_inclusions, read_service
from stepup.pam.plan import Way, plan_edit, plan_removal
from stepup.pam.stack_file import StackError
from stepup.pam.trials import (
    Change,
    Ending,
    begin_trial,
    cancel_trial,
    confirm_trial,
    list_trials,
    read_moment,
    restore_due,
    write_service,
)
from stepup.replies import read_answers, read_number
from stepup.terminal import ask, clean, has_terminal, print_error, print_result
from stepup.times import say_span

_SHORTEST, _LONGEST = 0.01, 60.0
"""Minutes of a trial."""

_COMPANIONS = {"sudo": "sudo-i", "su": "su-l"}
"""Services that the same program uses for login shells."""


def enable(
    context: typer.Context, service: str, way: Way, *, minutes: float, user: str, is_sure: bool
) -> None:
    """Put our line into a service, on trial, once everything about it is known to be good."""
    _require_root()
    if not _SHORTEST <= minutes <= _LONGEST:
        raise refuse_usage("a trial takes at most 60 minutes")
    person = user or _find_person()
    try:
        restore_due(MACHINE, read_moment())
        file = read_service(MACHINE, check_service(service))
        files = read_inclusions(MACHINE, service, file.content)
        plan = plan_edit(service, file.content, files, way, MACHINE.module)
    except StackError as error:
        raise _explain(error) from None
    if MACHINE.find_module() is None:
        raise CommandError(f"{MACHINE.module} is not installed where PAM looks", ExitCode.FAILED)
    _show_diff(file, plan.content)
    warnings = [*plan.warnings, *_try_key(context, service, person)]
    for warning in warnings:
        print_error("warning", warning)
    if not is_sure:
        _agree(service)
    from stepup.pam.alarm import arm

    change = Change(file, plan.content, minutes * 60)
    try:
        begin_trial(MACHINE, change, lambda: arm(MACHINE, service, change.seconds), read_moment())
    except StackError as error:
        raise _explain(error) from None
    _advise(service, change.seconds)


def disable(service: str, *, is_all: bool) -> None:
    """Take our line out of one service or all; if one of them has to keep it, out of none."""
    _require_root()
    if bool(service) == is_all:
        raise refuse_usage("name a service, or say --all")
    try:
        names = list_own_stacks(MACHINE) if is_all else [service]
        plans = {name: _plan_out(check_service(name)) for name in names}
        for name, plan in plans.items():
            if cancel_trial(MACHINE, name) is None:
                write_service(MACHINE, *(plan or _plan_removal(name)))
            print_result(f"{name} asks for no step-up any more.")
    except StackError as error:
        raise _explain(error) from None


def _plan_out(service: str) -> tuple[ServiceFile, bytes] | None:
    """Return the file and what it will say; None if a trial gives the old one back."""
    return None if service in list_trials(MACHINE) else _plan_removal(service)


def _plan_removal(service: str) -> tuple[ServiceFile, bytes]:
    file = read_service(MACHINE, service)
    files = read_inclusions(MACHINE, service, file.content)
    return file, plan_removal(service, file.content, files)


def confirm(service: str) -> None:
    """Keep what is on trial."""
    _require_root()
    names = [service] if service else list(list_trials(MACHINE))
    if not names:
        raise CommandError("nothing is on trial", ExitCode.USAGE, hint="see: stepup pam status")
    for name in names:
        try:
            ending = confirm_trial(MACHINE, name, read_moment())
        except StackError as error:
            raise _explain(error) from None
        if ending is Ending.EXPIRED:
            text = f"the trial of {name} was over: its old file is back"
            raise CommandError(text, ExitCode.TIMEOUT, hint=f"try again: stepup pam enable {name}")
        print_result(f"Confirmed: {name} asks for a step-up from now on.")


def restore(*, is_boot: bool) -> None:
    """Restore what was not confirmed in time."""
    _require_root()
    try:
        ended = restore_due(MACHINE, read_moment(), is_boot=is_boot)
    except StackError as error:
        raise _explain(error) from None
    for name, ending in ended.items():
        print_result(f"{name}: {ending.value}")


def _require_root() -> None:
    if os.geteuid() != 0:
        raise CommandError("only root may do that", ExitCode.NOT_PERMITTED, hint="use sudo")


def _find_person() -> str:
    person = os.environ.get("SUDO_USER", "")
    if not person or person == "root":
        raise refuse_usage("whose key shall be tried first?", "say so with --user NAME")
    return person


def _explain(error: StackError) -> CommandError:
    return CommandError(str(error), ExitCode.FAILED, reason="pam-stack")


def _show_diff(file: ServiceFile, planned: bytes) -> None:
    from difflib import unified_diff

    path = str(MACHINE.services / file.name)
    before, after = (
        content.decode("utf-8", "replace").splitlines() for content in (file.content, planned)
    )
    lines = unified_diff(before, after, path, f"{path} (new)", lineterm="")
    # A tab between two words may stay one.
    print_result("\n".join("\t".join(map(clean, line.split("\t"))) for line in lines))


def _try_key(context: typer.Context, service: str, person: str) -> list[str]:
    """Have the person prove who it is, as the service will; return what else to think of."""
    params = {
        "action": f"pam:{service}",
        "subject": person,
        "reason": "to see that it works before PAM relies on it",
        "max_age": 0,
    }
    print_result(f"\nFirst, {clean(person)} proves that it would work:")
    require_allowed(call(context, "StepUp", params))
    answer = call(context, "ListCredentials", {"subject": person})
    keys = len(read_answers(answer, "credentials"))
    codes = read_number(answer, "recovery_codes") if "recovery_codes" in answer else 0
    if keys > 1 or codes > 0:
        return []
    text = f"{person} has one key and no recovery codes: without it, {service} is shut. "
    return [text + f"See: stepup enroll --user {person}; stepup recovery-codes --user {person}"]


def _agree(service: str) -> None:
    if not has_terminal():
        raise refuse_usage("there is no terminal to ask whether you mean it", "say so with --yes")
    answer = ask(f"Change {service}, on trial? [y/N] ", is_hidden=False)
    if (answer or "").strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed", ExitCode.CANCELLED)


def _advise(service: str, seconds: float) -> None:
    lines = [
        f"\n{service} is on trial for {say_span(seconds)}. Keep this shell open. Now:",
        f"  1. try {service} in ANOTHER terminal;",
        f"  2. if it let you in, keep it: stepup pam confirm {service}",
        "Otherwise the old file comes back by itself, at the latest when the machine restarts.",
        f"A copy of it: {MACHINE.state / service}.before",
    ]
    companion = _COMPANIONS.get(service, "")
    if companion and (MACHINE.services / companion).exists():
        lines.append(f"Login shells use {companion}: enable that one as well.")
    print_result("\n".join(lines))
    sys.stdout.flush()
