"""The auth stack of a service as PAM walks it: every inclusion in its place.

Pure: the files that may be included are given as data. An inclusion that is not among them, or
that includes itself, is a StackError.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stepup.pam.controls import Control, parse_control
from stepup.pam.stack_file import Entry, Line, StackError, parse_file

Files = Mapping[str, bytes]
"""The content of service files by the name that inclusions use."""

_DEEPEST = 10
"""Inclusions inside inclusions; a sane system has two or three."""


@dataclass(frozen=True, slots=True)
class Step:
    """One module of the stack, or the place where a substack begins (`control` is None)."""

    entry: Entry
    control: Control | None
    level: int
    """0, and one more inside each substack."""
    line: int
    """The line of the service's own file that brought it, counted from 0."""

    @property
    def name(self) -> str:
        """The module's file name."""
        return self.entry.name


def flatten(lines: Sequence[Line], files: Files) -> tuple[Step, ...]:
    """Return the auth stack. Raises StackError."""
    steps: list[Step] = []
    for number, line in enumerate(lines):
        if line.entry is not None:
            steps += _expand(line.entry, files, level=0, line=number, depth=0)
    return tuple(steps)


def _expand(entry: Entry, files: Files, *, level: int, line: int, depth: int) -> Iterator[Step]:
    if entry.kind not in ("auth", ""):
        return
    if not entry.is_inclusion:
        yield Step(entry, parse_control(entry.control), level, line)
        return
    if depth == _DEEPEST:
        raise StackError(f"{entry.module} includes itself")
    if entry.module not in files:
        raise StackError(f"{entry.module} is included, but cannot be read")
    if entry.control == "substack":
        yield Step(entry, None, level, line)
        level += 1
    for inner in parse_file(files[entry.module], entry.module):
        if inner.entry is not None:
            yield from _expand(inner.entry, files, level=level, line=line, depth=depth + 1)


def list_inclusions(content: bytes, name: str) -> list[str]:
    """Return the files that a file includes for auth. Raises StackError."""
    entries = (line.entry for line in parse_file(content, name))
    return [
        entry.module
        for entry in entries
        if entry is not None and entry.is_inclusion and entry.kind in ("auth", "")
    ]
