"""What the CEL library complains of, told as an error of the file that the text stands in.

Its messages are `ERROR: <input>:line:column: what`, one after another, each with the line and a
caret below; line and column are within the expression. Only the first is told.
"""

import re

from stepupd.core.errors import ConfigError
from stepupd.core.variables import VARIABLES
from stepupd.store.spelling import suggest
from stepupd.store.toml_files import Document
from stepupd.store.toml_positions import Path

_COMPLAINT = re.compile(
    r"(?:INVALID_ARGUMENT: )?ERROR: <input>:(?P<line>-?\d+):(?P<column>-?\d+): "
    r"(?P<what>.*?)(?:\n \| |\nERROR: | \[[A-Z_]+\]$|$)",
    re.DOTALL,
)
_UNDECLARED = re.compile(r"undeclared reference to '(?P<name>\w+)'")
_PLAIN = re.compile(r"^[A-Z_]+: (?P<what>.*?)(?: \[[A-Z_]+\])?$", re.DOTALL)
_SHOWN = 60
"""Characters of a line that are shown above the caret."""


def explain(document: Document, path: Path, text: str, complaint: str) -> ConfigError:
    """Return what the library says, where it says so, with a caret below."""
    found = _COMPLAINT.match(complaint)
    if found is None:
        plain = _PLAIN.match(complaint)
        return document.fault(path, _tidy(plain["what"] if plain else complaint), index=0)
    what = _tidy(found["what"])
    hint = "stepupd-policy(5) lists the variables and their types"
    undeclared = _UNDECLARED.match(what)
    if undeclared:
        hint = suggest(undeclared["name"], VARIABLES, hint)
    line, column = int(found["line"]), int(found["column"])
    lines = text.split("\n")
    if not 1 <= line <= len(lines) or not 1 <= column <= len(lines[line - 1]) + 1:
        return document.fault(path, what, hint, index=0)
    index = sum(len(one) + 1 for one in lines[: line - 1]) + column - 1
    drawing = _draw(lines[line - 1], column)
    return document.fault(path, f"{what}\n{drawing}", hint, index=index)


def _tidy(what: str) -> str:
    """Return a complaint of the library in one line, without what only its authors need."""
    what = what.partition(" expecting ")[0].replace(" (in container '')", "")
    what = what.removeprefix("Syntax error: ").replace(
        "mismatched input '<EOF>'", "it ends too early"
    )
    return _show(what).strip()


def _draw(line: str, column: int) -> str:
    """Return the part of the line around the column, and a caret below the column."""
    start = max(0, column - _SHOWN // 2) if len(line) > _SHOWN else 0
    return f"  {_show(line[start : start + _SHOWN])}\n  {' ' * (column - 1 - start)}^"


def _show(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)
