"""Words that the verbs of `stepup policy` share, in at most 80 columns."""

import textwrap

from stepup.terminal import clean

WIDTH = 80


def count(number: int, one: str, many: str = "") -> str:
    """Return "1 rule", "2 rules"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


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
