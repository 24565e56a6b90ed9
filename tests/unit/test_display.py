"""What is shown cannot move the cursor, hide, reorder or run off the screen."""

import unicodedata

import pytest
from core_support import make_request
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.display import REASON_WIDTH, escape, quote, shorten, show_command, show_reason
from stepupd.core.model import Claim, Reason, Session
from stepupd.core.prompts import REASON_TEXTS, ask_pin_text, say_touch

ACTIVE = ["\x1b[2J", "\x1b]52;c;aGk=\x07", "\x9b31m", "a\rb", "a\bb", "\u202egnp", "\u200b", "\n"]


@pytest.mark.parametrize("text", ACTIVE)
def test_active_characters_become_visible(text):
    """Escape sequences, C1 controls, bidi and zero-width are written out (attacks 114, 115)."""
    shown = escape(text)

    assert shown != text
    assert all(unicodedata.category(character)[0] != "C" for character in shown)


BLANK = ["\u3164", "\u115f", "\u1160", "\uffa0", "\u2800", "\ufe0f", "\ufe00", "\U000e0100"]
BLANK += ["\u034f", "\u17b4", "\u180b", "\U0001d159", "\u3000", "\u00ad", "\u2065", "\U000e0020"]


@pytest.mark.parametrize("character", BLANK)
def test_characters_without_a_glyph_become_visible(character):
    """Fillers, the blank braille pattern, variation selectors: after a letter and alone."""
    for text in (character, f"rm{character}", f"a\u0301{character}"):
        assert character not in escape(text)


def test_nothing_alone_is_shown_that_is_a_control_a_format_or_a_mark():
    """All of Unicode, one by one."""
    shown = {
        unicodedata.category(chr(code))
        for code in range(0x110000)
        if escape(chr(code)) == chr(code)
    }

    assert shown.isdisjoint({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("e\u0301", "e\u0301"),
        ("e\u0301\u0302", "e\u0301\\u0302"),
        ("e\u0301\u0302\u0303x\u0301", "e\u0301\\u0302\\u0303x\u0301"),
        ("\u0301x", "\\u0301x"),
        (" \u0301", " \\u0301"),
        ("\n\u0301", "\\n\\u0301"),
        ("a\u20dd\u20dd", "a\u20dd\\u20dd"),
        ("\\\u0301", "\\\\\\u0301"),
    ],
)
def test_one_mark_stays_on_its_letter_and_more_are_written_out(text, shown):
    """A pile of marks would draw over the lines of the prompt around it."""
    assert escape(text) == shown


@given(st.text())
def test_any_text_is_shown_on_one_line(text):
    shown = escape(text)

    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(character)[0] == "C" for character in shown)


@given(st.text(), st.text())
def test_escaping_loses_nothing(one, other):
    """Two different texts never look the same."""
    assert (escape(one) == escape(other)) == (one == other)


def test_both_ends_of_a_long_command_stay_visible():
    """300 spaces cannot push `rm -rf /` out of sight; length and digest stand beside it."""
    claim = Claim(command=("echo", "hello" + " " * 300, "rm", "-rf", "/"))
    shown = show_command(claim)

    assert "echo" in shown
    assert shown.splitlines()[0].endswith("rm -rf /")
    assert "characters, sha256" in shown


def test_letters_that_imitate_others_are_marked():
    assert "non-ASCII" in show_command(Claim(command=("/usr/bin/\u0430pt",)))


def test_a_reason_is_marked_like_a_command():
    """Foreign letters in it are said, and what is long is cut in the middle."""
    assert show_reason("ticket 42") == "ticket 42"
    assert show_reason("t\u0456cket") == "t\u0456cket\n  (holds non-ASCII letters)"
    assert show_reason("\u200b") == "\\u200b"
    assert show_reason("x" * 250 + "ж" + "x" * 250).splitlines()[1] == "  (holds non-ASCII letters)"
    assert len(show_reason("x" * 500)) == REASON_WIDTH


@pytest.mark.parametrize(("word", "shown"), [("", "''"), ("a b", "'a b'"), ("-x", "-x")])
def test_arguments_are_shown_as_shell_words(word, shown):
    assert quote(word) == shown


@given(st.text(min_size=80, max_size=300))
def test_shortening_keeps_the_width(text):
    assert len(shorten(text)) <= 72


@pytest.mark.parametrize("length", [1, 50, 2000])
def test_prompts_fit_80_columns(length):
    """Whatever the caller claims, no line of a prompt is wider than a terminal."""
    claim = Claim(("x" * length,), reason="y" * length, rhost="h" * length)
    request = make_request(claim=claim, session=Session(1, 2, "t" * length))

    for text in (say_touch(request), ask_pin_text(request, "k" * length, 8)):
        assert max(len(line) for line in text.splitlines()) <= 80


def test_a_prompt_says_who_asks_for_what_and_why():
    claim = Claim(("sudo", "systemctl", "restart", "db"), reason="ticket 42")

    assert say_touch(make_request(claim=claim)) == (
        "pam:sudo asks for ada on pts/3.\n"
        "It says it wants to run:\n"
        "  sudo systemctl restart db\n"
        "It says why: ticket 42\n"
        "Touch your key to allow it; press Ctrl-C to refuse."
    )


def test_every_reason_has_a_sentence():
    assert set(REASON_TEXTS) == set(Reason)
