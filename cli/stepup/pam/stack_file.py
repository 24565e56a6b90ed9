"""A PAM service file as lines: what each one says, and its bytes as they stand.

The law of this file: the bytes of all lines, joined, are the file. What libpam's versions read
differently, or only as an error, is refused here: nobody edits a file that he does not understand.
Pure: no file is opened. Source: pam.d(5), and libpam's pam_handlers.c for what the page leaves out.
"""

from collections.abc import Iterator
from dataclasses import dataclass

KINDS = ("auth", "account", "session", "password")

_LONGEST = 1024
"""Bytes of a line with its continuations, beyond which libpam gives up."""
_BLANK = b" \t\n"


class StackError(Exception):
    """This stack cannot be worked with; the text says which file, which line and why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a line says.

    `control` may be "include", "substack" or "@include": then `module` is a file's name. `kind` is
    empty for "@include", which takes all kinds.
    """

    kind: str
    control: str
    module: str
    arguments: tuple[str, ...] = ()
    is_silent: bool = False

    @property
    def is_inclusion(self) -> bool:
        """Whether it names a file in place of a module."""
        return self.control in ("include", "substack", "@include")

    @property
    def name(self) -> str:
        """The module without its directory."""
        return self.module.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its continuations; without an entry it is blank or a comment."""

    raw: bytes
    entry: Entry | None = None


def parse_file(content: bytes, name: str) -> tuple[Line, ...]:
    """Return the lines of a file. Raises StackError; `name` is for its text."""
    if b"\r" in content or b"\0" in content:
        raise StackError(f"{name}: has bytes that do not belong in a text file")
    lines, number = [], 1
    for raw, text in _join(content, name):
        try:
            entry = _parse_entry(split_words(text.decode("utf-8", "surrogateescape")))
        except StackError as error:
            raise StackError(f"{name}, line {number}: {error}") from None
        lines.append(Line(raw, entry))
        number += raw.count(b"\n")
    return tuple(lines)


def _join(content: bytes, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield each line: its bytes, and its text without comment and continuations."""
    raw, text = b"", b""
    for piece in content.splitlines(keepends=True):
        bare = piece.strip(_BLANK)
        if raw and (not bare or bare.startswith(b"#")):
            break
        before, mark, _ = bare.partition(b"#")
        raw += piece
        if not mark and before.endswith(b"\\"):
            text += before[:-1] + b" "
            continue
        text += before
        if len(text) >= _LONGEST:
            raise StackError(f"{name}: a line is too long for PAM")
        yield raw, text
        raw, text = b"", b""
    if raw:
        raise StackError(f"{name}: a line ends in a backslash, and nothing follows")


def split_words(text: str) -> list[str]:
    """Return the words of a line; brackets hold one word together and are dropped."""
    words, rest = [], text.lstrip(" \t")
    while rest:
        if rest.startswith("["):
            word, rest = _take_bracket(rest[1:])
        else:
            end = next((i for i, letter in enumerate(rest) if letter in " \t"), len(rest))
            word, rest = rest[:end], rest[end:]
        words.append(word)
        rest = rest.lstrip(" \t")
    return words


def _take_bracket(text: str) -> tuple[str, str]:
    word, i = "", 0
    while i < len(text) and text[i] != "]":
        i += text.startswith("\\]", i)
        word += text[i]
        i += 1
    if i == len(text) or text[i + 1 : i + 2] not in ("", " ", "\t"):
        raise StackError("a bracket is not closed")
    return word, text[i + 1 :]


def _parse_entry(words: list[str]) -> Entry | None:
    if not words:
        return None
    first = words[0].lower()
    if first == "@include":
        if len(words) != 2:  # noqa: PLR2004 - the word and a file's name
            raise StackError("@include takes one file")
        return Entry("", "@include", words[1])
    kind = first.removeprefix("-")
    if kind not in KINDS:
        raise StackError(f"{words[0]!r} is no kind of PAM line")
    if len(words) < 3:  # noqa: PLR2004 - kind, control, module
        raise StackError("a control or a module is missing")
    control = words[1].lower()
    return Entry(kind, control, words[2], tuple(words[3:]), is_silent=first != kind)
