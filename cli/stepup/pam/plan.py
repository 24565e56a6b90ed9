"""Where our line goes in a service file, and taking it out again.

The law of this file: no other byte of the file changes. A place is taken only if whoever got in
before still gets in with the key, if the key is asked for as was meant, and if whoever a gate kept
out stays out. Where there is no such place, the answer is a StackError that says why. Pure.
"""

from dataclasses import dataclass
from enum import Enum, unique

from stepup.pam.flat_stack import Files, flatten
from stepup.pam.judgement import (
    AFTER_PASSWORD,
    INSTEAD_OF_PASSWORD,
    PASSWORD_ALONE,
    Key,
    Row,
    Stack,
    compare,
    find_leaks,
    tabulate,
)
from stepup.pam.modules import KEY_MODULE, Role
from stepup.pam.stack_file import Line, StackError, parse_file

MARK = b"# stepup pam:"


@unique
class Way(Enum):
    """How the key and the password go together."""

    AFTER = "after the password"
    INSTEAD = "in place of the password"

    @property
    def control(self) -> str:
        """The control of our line."""
        if self is Way.AFTER:
            return "required"
        # "ignore" is what it says to pam_setcred in another process than it was asked in: sshd.
        return "[success=done ignore=ignore authinfo_unavail=ignore default=die]"

    @property
    def table(self) -> frozenset[Row]:
        """Who is meant to get in."""
        return AFTER_PASSWORD if self is Way.AFTER else INSTEAD_OF_PASSWORD


@dataclass(frozen=True, slots=True)
class Plan:
    """The file as it would be, and what to know before wanting it."""

    content: bytes
    warnings: tuple[str, ...]


def plan_edit(
    service: str, content: bytes, files: Files, way: Way, module: str = KEY_MODULE
) -> Plan:
    """Return the file with our line in it. Raises StackError.

    `module` is what the line says after the control: the module, and its options if there are any.
    """
    lines = parse_file(content, service)
    before = Stack(flatten(lines, files))
    if before.has_key:
        raise StackError(f"{service} asks for a step-up already")
    _check_before(service, before)
    own = [step.line for step, role in zip(before.steps, before.roles, strict=True)
           if role is Role.PASSWORD]  # fmt: skip
    places = [own[0]] if way is Way.INSTEAD else [n + 1 for n in range(own[-1], len(lines))]
    complaint = ""
    for place in places:
        planned = _insert(service, lines, place, way, module)
        after = Stack(flatten(parse_file(planned, service), files))
        problem = find_problem(before, after, way)
        if not problem:
            return Plan(planned, tuple(find_leaks(after)))
        complaint = complaint or problem
    raise StackError(f"{service}: there is no place for the key in this stack: {complaint}")


def _check_before(service: str, before: Stack) -> None:
    if not before.steps:
        raise StackError(f"{service} has no auth lines of its own")
    if Role.PASSWORD not in before.roles:
        raise StackError(f"{service}: no module here is known to ask for a password")
    problem = compare(tabulate(before), PASSWORD_ALONE)
    if problem:
        raise StackError(f"{service}, as it stands, is not safe to change: {problem}")


def find_problem(before: Stack, after: Stack, way: Way) -> str:
    """Return why a stack with our line must not replace the one without; empty if it may."""
    problem = compare(tabulate(after), way.table)
    if problem:
        return problem
    key = after.roles.index(Role.KEY)
    for number in before.list_passwords():
        moved = number + (number >= key)
        if not after.admits((True, Key.TOUCHED), only=moved):
            return f"it would lock out whose password {before.steps[number].name} knows"
    for number, role in enumerate(before.roles):
        if role not in (Role.GATE, Role.OTHER):
            continue
        moved = number + (number >= key)
        keeps_out = not before.admits((True, Key.TOUCHED), closed=number)
        if keeps_out and after.admits((True, Key.TOUCHED), closed=moved):
            return f"it would let in whom {before.steps[number].name} keeps out"
    return ""


def _insert(service: str, lines: tuple[Line, ...], place: int, way: Way, module: str) -> bytes:
    head = b"".join(line.raw for line in lines[:place])
    tail = b"".join(line.raw for line in lines[place:])
    if head and not head.endswith(b"\n"):
        head += b"\n"
    note = MARK + f" a step-up {way.value}; `stepup pam disable {service}` removes it\n".encode()
    return head + note + f"auth\t{way.control}\t{module}\n".encode() + tail


def remove_module(service: str, content: bytes) -> bytes:
    """Return the file without our lines and the notes above them. Raises StackError."""
    kept: list[bytes] = []
    for line in parse_file(content, service):
        if line.entry is None or line.entry.is_inclusion or line.entry.name != KEY_MODULE:
            kept.append(line.raw)
        elif kept and kept[-1].startswith(MARK):
            kept.pop()
    return b"".join(kept)


def plan_removal(service: str, content: bytes, files: Files) -> bytes:
    """Return the file without our lines, if a password then lets in and nothing else does."""
    planned = remove_module(service, content)
    if planned == content:
        raise StackError(f"{service} has no line of {KEY_MODULE} of its own")
    problem = compare(tabulate(Stack(flatten(parse_file(planned, service), files))), PASSWORD_ALONE)
    if problem:
        raise StackError(f"{service}: without the key, {problem}")
    return planned
