"""Where a character of a TOML string stands in the file: escapes and quotes move it.

Like `toml_positions`, this walks text that has been parsed before (TOML 1.0).
"""

import re

from stepupd.store.toml_positions import Path, find_offsets, locate, to_line_and_column

_BEFORE = re.compile(r"""(?:[\w-]+|"(?:[^"\\]|\\.)*"|'[^']*')[ \t]*=[ \t]*""")
"""A key, up to its value."""
_OPENING = re.compile(r'(?P<quote>"""|\'\'\'|"|\')\n?')
_PIECE = re.compile(r"\\(?:u.{4}|U.{8}|[ \t]*\n\s*|.)|.", re.DOTALL)
"""One character of a string in double quotes, however it is written, or a line ending escaped."""


def locate_character(text: str, path: Path, index: int) -> tuple[int, int]:
    """Return line and column, both from 1, of a character of the string that a key is set to.

    Where no such string is found it is the place of the key.
    """
    offset = find_offsets(text).get(path)
    before = None if offset is None else _BEFORE.match(text, offset)
    opening = None if before is None else _OPENING.match(text, before.end())
    if opening is None:
        return locate(text, path)
    is_long = len(opening["quote"]) > 1
    start = opening.end() if is_long else opening.end("quote")
    if opening["quote"][0] == "'":
        return to_line_and_column(text, start + index)
    for piece in _PIECE.finditer(text, start):
        if _is_escaped_line_end(piece[0]):
            continue
        if not index:
            return to_line_and_column(text, piece.start())
        index -= 1
    return locate(text, path)


def _is_escaped_line_end(piece: str) -> bool:
    return piece[0] == "\\" and piece[1] in " \t\n"
