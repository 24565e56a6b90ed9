"""Foreign text made safe to show: one line, visible, bounded, and honest about what was left out.

Claims come from processes that may want to forge a prompt. Every character that a terminal acts
on, that has no glyph, that reorders its neighbours or piles marks on them is shown as an escape;
the end of a long text stays visible, because that is where a dangerous argument would hide.
Not done here: telling letters apart that look alike. Where there may be such, a note says so.
"""

import unicodedata

from stepupd.core.challenge import digest_claim
from stepupd.core.model import Claim

LINE_WIDTH = 72
"""Characters of a claim that are shown: with its label it fits 80 columns."""

REASON_WIDTH = 64
"""The same beside a longer label."""

_NON_ASCII = "holds non-ASCII letters"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MARKS = frozenset({"Mn", "Me"})
_BLANK = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0x16FE4, 0x16FE4),
        (0x1D159, 0x1D159),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)
"""Letters, symbols and marks that are drawn as nothing: what Unicode calls default ignorable
(DerivedCoreProperties.txt) and is in none of the categories above, and the blank ones beside it."""
_PLAIN = frozenset("%+,-./:=@_^~")


def escape(text: str) -> str:
    """Return the text with every invisible or active character written as a backslash escape."""
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text  # which is nearly every text
    shown = []
    has_base = False
    for character in text:
        is_mark = unicodedata.category(character) in _MARKS
        # One mark belongs to the letter before it; more of them draw over the lines around.
        is_visible = _has_glyph(character) and (has_base or not is_mark)
        has_base = is_visible and not is_mark and character != " "
        shown.append(character if is_visible else _escape_character(character))
    return "".join(shown)


def _has_glyph(character: str) -> bool:
    if character in _BLANK or unicodedata.category(character) in _HIDDEN_CATEGORIES:
        return False
    return character == " " or not (character == "\\" or character.isspace())


def _escape_character(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def quote(argument: str) -> str:
    """Return one argument as a shell word, so that spaces and emptiness can be seen."""
    shown = escape(argument)
    if shown and all(c.isalnum() or c in _PLAIN for c in shown):
        return shown
    return "'" + shown.replace("'", "'\\''") + "'"


def shorten(text: str, width: int = LINE_WIDTH) -> str:
    """Return the text cut in the middle to `width` characters, both ends visible."""
    if len(text) <= width:
        return text
    tail = width // 2 - 2
    return f"{text[: width - tail - 3]}...{text[-tail:]}"


def show_command(claim: Claim) -> str:
    """Return a claimed command for a prompt: quoted, bounded, marked where it is not plain."""
    whole = " ".join(quote(argument) for argument in claim.command)
    shown = shorten(whole)
    notes = []
    if shown != whole or claim.command_is_cut:
        notes.append(f"{len(whole)} characters, sha256 {digest_claim(claim)[:16]}")
    if claim.command_is_cut:
        notes.append("cut: the rest is not known")
    if not whole.isascii():
        notes.append(_NON_ASCII)
    return f"{shown}\n  ({'; '.join(notes)})" if notes else shown


def show_reason(reason: str) -> str:
    """Return a claimed reason for a prompt: bounded, marked where it is not plain."""
    whole = escape(reason)
    shown = shorten(whole, REASON_WIDTH)
    return shown if whole.isascii() else f"{shown}\n  ({_NON_ASCII})"


def show_name(name: str) -> str:
    """Return a name (of a key, a person, a terminal, a host) for a prompt."""
    return shorten(escape(name), 40)
