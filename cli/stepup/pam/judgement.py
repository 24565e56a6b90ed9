"""Whom a stack lets in: a small truth table, and what is wrong with it.

The law of this file: a stack is good only if the table is exactly the one that was meant. The rows
are what a person has (the right password, the key); every other module may return whatever it may.
Only a gate or a foreign module whose success skips the rest (`sufficient`, a jump) is held back
in the table: it was there before, and what it opens by itself is told as a warning.

Not done here: knowing who passes a gate, or what a foreign module asks for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, unique

from stepup.pam.dispatch import can_succeed
from stepup.pam.flat_stack import Step
from stepup.pam.modules import WRONG, Role, find_role, list_codes, may_let_in_alone


@unique
class Key(Enum):
    """What comes of asking for the key; its value is what our module then returns."""

    TOUCHED = ("success",)
    REFUSED = ("auth_err", "perm_denied", "maxtries")
    UNAVAILABLE = ("authinfo_unavail",)


Row = tuple[bool, Key]
"""Whether the password is right, and what came of the key."""

ROWS: tuple[Row, ...] = tuple((password, key) for password in (True, False) for key in Key)

AFTER_PASSWORD = frozenset({(True, Key.TOUCHED)})
INSTEAD_OF_PASSWORD = frozenset(
    {(True, Key.TOUCHED), (False, Key.TOUCHED), (True, Key.UNAVAILABLE)}
)
KEY_ALONE = frozenset({(True, Key.TOUCHED), (False, Key.TOUCHED)})
PASSWORD_ALONE = frozenset((True, key) for key in Key)
"""The table of a stack without our module."""


@dataclass(frozen=True, slots=True)
class Stack:
    """An auth stack to ask about."""

    steps: tuple[Step, ...]

    @property
    def roles(self) -> tuple[Role, ...]:
        """The role of each step."""
        return tuple(map(find_role, self.steps))

    @property
    def has_key(self) -> bool:
        """Whether our module is in it."""
        return Role.KEY in self.roles

    def list_passwords(self) -> list[int]:
        """Return the modules that let somebody in who knows only their password."""
        return [
            number
            for number, role in enumerate(self.roles)
            if role is Role.PASSWORD and self.admits((True, Key.REFUSED), only=number)
        ]

    def admits(
        self, row: Row, *, only: int | None = None, opened: bool = False, closed: int | None = None
    ) -> bool:
        """Return whether somebody can get in with what the row says.

        `only`: the password is right at this module, wrong at the others. `opened`: gates and
        foreign modules that skip the rest may succeed. `closed`: this one does not succeed.
        """
        codes = [
            self._list_codes(number, role, row, only, opened=opened)
            if number != closed
            else ("auth_err", "perm_denied")
            for number, role in enumerate(self.roles)
        ]
        return can_succeed(self.steps, codes)

    def _list_codes(
        self, number: int, role: Role, row: Row, only: int | None, *, opened: bool
    ) -> Sequence[str]:
        is_right, key = row
        if role is Role.KEY:
            codes: tuple[str, ...] = key.value
            return codes
        if role is Role.PASSWORD and is_right and only in (None, number):
            return ("success",) if only == number else ("success", *WRONG)
        possible = list_codes(role)
        if not opened and may_let_in_alone(self.steps[number], role):
            return [code for code in possible if code != "success"]
        return possible


def tabulate(stack: Stack) -> frozenset[Row]:
    """Return the rows that get in."""
    return frozenset(row for row in ROWS if stack.admits(row))


def find_leaks(stack: Stack) -> list[str]:
    """Return, as sentences, which modules let in by themselves, past our module."""
    leaks = []
    for number, step in enumerate(stack.steps):
        if may_let_in_alone(step, find_role(step)):
            is_in, needs_password = (
                stack.admits((password, Key.REFUSED), opened=True)
                and not stack.admits((password, Key.REFUSED), opened=True, closed=number)
                for password in (False, True)
            )
            if is_in:
                leaks.append(f"whoever passes {step.name} needs no key")
            elif needs_password:
                leaks.append(f"whoever passes {step.name} needs a password, but no key")
    if not leaks and stack.admits((True, Key.REFUSED), opened=True):
        leaks.append("several modules above it let in without the key")
    return leaks


SAYINGS = {
    (True, Key.TOUCHED): "the right password and a touched key",
    (True, Key.REFUSED): "the right password without the key",
    (True, Key.UNAVAILABLE): "the right password while stepupd cannot be asked",
    (False, Key.TOUCHED): "a touched key without the password",
    (False, Key.REFUSED): "neither password nor key",
    (False, Key.UNAVAILABLE): "nothing, while stepupd cannot be asked,",
}


def compare(found: frozenset[Row], meant: frozenset[Row]) -> str:
    """Return what is wrong with a table, worst first; empty if it is the one that was meant."""
    for row in ((False, Key.REFUSED), (False, Key.UNAVAILABLE)):
        if row in found - meant:
            return f"it would let everybody in: {SAYINGS[row]} would do"
    if (True, Key.TOUCHED) not in found:
        return f"it would lock everybody out: {SAYINGS[True, Key.TOUCHED]} would not do"
    for row in ROWS:
        if row in found ^ meant:
            return f"{SAYINGS[row]} would {'' if row in found else 'not '}do"
    return ""
