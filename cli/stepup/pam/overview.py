"""`stepup pam status`: which services ask for a step-up, how, and what is on trial."""

import contextlib
from dataclasses import dataclass

from stepup.pam.flat_stack import flatten
from stepup.pam.judgement import (
    AFTER_PASSWORD,
    INSTEAD_OF_PASSWORD,
    KEY_ALONE,
    PASSWORD_ALONE,
    Stack,
    compare,
    find_leaks,
    tabulate,
)
from stepup.pam.modules import KEY_MODULE, Role
from stepup.pam.pam_files import MACHINE, PamPlaces, list_services, read_inclusions, read_service
from stepup.pam.plan import Way
from stepup.pam.stack_file import StackError, parse_file
from stepup.pam.trials import list_trials, read_moment
from stepup.tables import draw_table
from stepup.terminal import print_json, print_result
from stepup.times import say_span

FOR_SHOW = "for show: a password alone lets in"

_POSTURES = {
    AFTER_PASSWORD: Way.AFTER.value,
    INSTEAD_OF_PASSWORD: Way.INSTEAD.value,
    KEY_ALONE: "without a password",
    PASSWORD_ALONE: FOR_SHOW,
}


@dataclass(frozen=True, slots=True)
class Posture:
    """What one service asks for. `problem` is empty if the stack does what it seems to."""

    service: str
    has_key: bool
    is_own: bool = False
    """Whether our line is in the service's own file, not in one that it includes."""
    how: str = ""
    problem: str = ""
    leaks: tuple[str, ...] = ()
    arguments: tuple[tuple[str, ...], ...] = ()
    """The options of each of our lines."""
    modules: tuple[str, ...] = ()
    """How each of our lines names our module."""


def inspect_stack(places: PamPlaces, name: str) -> Posture:
    """Return what a service asks for. Raises StackError, OSError."""
    content = read_service(places, name).content
    lines = parse_file(content, name)
    stack = Stack(flatten(lines, read_inclusions(places, name, content)))
    ours = [s for s, role in zip(stack.steps, stack.roles, strict=True) if role is Role.KEY]
    if not ours:
        return Posture(name, has_key=False)
    table = tabulate(stack)
    meant = table if table in _POSTURES else AFTER_PASSWORD
    return Posture(
        name,
        has_key=True,
        is_own=any(line.entry is not None and line.entry.name == KEY_MODULE for line in lines),
        how=_POSTURES.get(table, "in a way of its own"),
        problem=compare(table, meant),
        leaks=tuple(find_leaks(stack)),
        arguments=tuple(step.entry.arguments for step in ours),
        modules=tuple(step.entry.module for step in ours),
    )


def list_own_stacks(places: PamPlaces) -> list[str]:
    """Return the services whose own files have our line, or name it unreadably, or are on trial."""
    names = set(list_trials(places))
    for name in list_services(places):
        try:
            lines = parse_file(read_service(places, name).content, name)
        except (StackError, OSError):
            if _names_module(places, name):
                names.add(name)
            continue
        if any(line.entry is not None and line.entry.name == KEY_MODULE for line in lines):
            names.add(name)
    return sorted(names)


def show_status(service: str, *, is_json: bool) -> None:
    """Print one service, or all that ask for a step-up."""
    now = read_moment()
    trials = {
        name: None if record is None else record.count_left(now)
        for name, record in list_trials(MACHINE).items()
    }
    postures = [
        look_at(MACHINE, name) for name in ([service] if service else list_services(MACHINE))
    ]
    if is_json:
        print_json({"services": [_describe(one, trials) for one in postures]})
        return
    shown = [one for one in postures if service or one.has_key]
    if shown:
        rows = [(one.service, _say(one), _say_trial(one.service, trials)) for one in shown]
        print_result(draw_table(("SERVICE", "STEP-UP", "TRIAL"), rows))
    else:
        print_result("No PAM service asks for a step-up. For example: stepup pam enable sudo")


def look_at(places: PamPlaces, name: str) -> Posture:
    """Return what a service asks for; what cannot be read is its problem."""
    try:
        return inspect_stack(places, name)
    except (StackError, OSError) as error:
        has_key = _names_module(places, name)
        return Posture(name, has_key=has_key, problem=str(error))


def _names_module(places: PamPlaces, name: str) -> bool:
    with contextlib.suppress(StackError, OSError):
        return KEY_MODULE.encode() in read_service(places, name).content
    return False


def _say(posture: Posture) -> str:
    if posture.problem:
        return posture.problem
    return posture.how if posture.has_key else "no"


def _say_trial(service: str, trials: dict[str, float | None]) -> str:
    if service not in trials:
        return ""
    left = trials[service]
    return "on trial" if left is None else f"{say_span(left)} left"


def _describe(posture: Posture, trials: dict[str, float | None]) -> dict[str, object]:
    return {
        "service": posture.service,
        "asks": posture.has_key,
        "how": posture.how,
        "problem": posture.problem,
        "leaks": list(posture.leaks),
        "on_trial": posture.service in trials,
        "seconds_left": trials.get(posture.service),
    }
