"""Words that the verbs of `stepup policy` share, in at most 80 columns."""

import textwrap
from collections.abc import Sequence

from stepup.terminal import clean

WIDTH = 80
_LADDER = "risk ladder"
"""What decisions call the ladder, where it denies."""


def count(number: int, one: str, many: str = "") -> str:
    """Return "1 rule", "2 rules"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def join(words: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def name_rule(rule: str) -> str:
    """Return what decided, by its name in decisions and entries."""
    if rule == _LADDER:
        return "the ladder of risk"
    return f"rule {rule!r}" if rule else "no rule"


def wrap(text: str, first: str = "", rest: str = "") -> str:
    """Return foreign text on as many lines as it takes, each after its indentation."""
    return textwrap.fill(
        clean(text).replace("\n", "\\n"),
        WIDTH,
        initial_indent=first,
        subsequent_indent=rest,
        break_on_hyphens=False,
    )


def say_located(where: tuple[str, int, int], grade: str, text: str, hint: str = "") -> str:
    """Return a finding: where it is on a line of its own, then what it is, then what helps."""
    file, line, column = where
    said = [f"{clean(file)}:{line}:{column}: {grade}" if file else grade]
    said.append(wrap(text, "  ", "  "))
    if hint:
        said.append(wrap(f"hint: {hint}", "  ", "  "))
    return "\n".join(said)
