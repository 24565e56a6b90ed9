"""Foreign text made safe to show: one line, visible, bounded, and honest about what was left out.

Claims come from processes that may want to forge a prompt. Every character that a terminal acts
on, that has no glyph, or that reorders its neighbours is shown as an escape; the end of a long
text stays visible, because that is where a dangerous argument would hide.
"""

import unicodedata

from stepupd.core.challenge import digest_claim
from stepupd.core.model import Claim

LINE_WIDTH = 72
"""Characters of a claim that are shown: with its label it fits 80 columns."""

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN = frozenset("%+,-./:=@_^~")


def escape(text: str) -> str:
    """Return the text with every invisible or active character written as a backslash escape."""
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES
    if not hidden and (character == " " or not character.isspace()):
        return character
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
        notes.append("cut by the caller")
    if not whole.isascii():
        notes.append("holds non-ASCII letters")
    return f"{shown}\n  ({'; '.join(notes)})" if notes else shown


def show_name(name: str) -> str:
    """Return a name (of a key, a person, a terminal, a host) for a prompt."""
    return shorten(escape(name), 40)
