"""`stepup profile`: what is usual for a person, as risk sees it, and forgetting it."""

import time

import typer

from stepup import options
from stepup.calls import call
from stepup.exits import ExitCode
from stepup.outcomes import print_answer, require_allowed
from stepup.replies import Answer, read_answers, read_number, read_text
from stepup.tables import draw_table
from stepup.terminal import print_json, print_result
from stepup.times import say_time

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_HEAD = ("KIND", "VALUE", "WEIGHT", "SINCE", "LAST SEEN")


def show(context: typer.Context, *, user: options.User = "", is_json: options.Json = False) -> None:
    """Show what is usual: addresses, hours, programs.

    Small counts that fade by half in a month; no history is kept.
    """
    answer = call(context, "ShowProfile", options.keep(subject=user))
    found = read_answers(answer, "habits")
    if is_json:
        print_json(answer)
    elif found:
        now = time.time()
        print_result(draw_table(_HEAD, (_row(one, now) for one in found)))
    else:
        print_result("Nothing is known yet.")


def _row(habit: Answer, now: float) -> tuple[str, ...]:
    kind = read_text(habit, "feature")
    return (
        kind,
        _say_value(kind, read_text(habit, "value")),
        f"{read_number(habit, 'weight'):.1f}",
        say_time(read_number(habit, "since"), now),
        say_time(read_number(habit, "seen"), now),
    )


def _say_value(kind: str, value: str) -> str:
    """Return a value as people read it: an hour of the week by its day, in the machine's time."""
    if kind != "hour" or not value.isdecimal():
        return value
    day, hour = divmod(int(value), 24)
    return f"{_DAYS[day % 7]} {hour:02}:00"


def forget(
    context: typer.Context, *, user: options.User = "", is_json: options.Json = False
) -> ExitCode:
    """Forget all of it; everything is new then.

    It takes a touch, for whoever forgets what is usual hides what is not.
    """
    answer = call(context, "ForgetProfile", options.keep(subject=user))
    if is_json:
        return print_answer(answer)
    require_allowed(answer)
    print_result("Forgotten. Everything counts as new until it is learned again.")
    return ExitCode.ALLOWED
