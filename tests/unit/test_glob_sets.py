"""Patterns compared: what is said of two patterns holds for every text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.glob import match_glob
from stepupd.core.rehearsal.glob_sets import cover_all, covers, overlap_any, overlaps

PATTERNS = st.text("ab*?", max_size=7)
TEXTS = st.text("abc", max_size=7)


def match_slowly(pattern, text):
    written = "".join({"*": ".*", "?": "."}.get(letter, re.escape(letter)) for letter in pattern)
    return re.fullmatch(written, text, re.DOTALL) is not None


@given(PATTERNS, TEXTS)
def test_a_pattern_matches_what_its_letters_say(pattern, text):
    """The quick way for `*` alone and the one with `?` agree with a regular expression."""
    assert match_glob(pattern, text) is match_slowly(pattern, text)


@given(PATTERNS, PATTERNS, TEXTS)
def test_what_is_covered_is_matched(general, special, text):
    """`covers` is never a guess: a text of the one is always a text of the other."""
    if covers(general, special) and match_glob(special, text):
        assert match_glob(general, text)


@given(PATTERNS, PATTERNS, TEXTS)
def test_what_has_a_text_in_common_overlaps(one, other, text):
    """`overlaps` misses nothing."""
    if match_glob(one, text) and match_glob(other, text):
        assert overlaps(one, other)
        assert overlaps(other, one)


@pytest.mark.parametrize(
    ("general", "special"),
    [("*", ""), ("pam:*", "pam:su*"), ("a?", "ab"), ("a?*", "ab*"), ("*b*", "abc"), ("a", "a")],
)
def test_plain_cases_are_covered(general, special):
    assert covers(general, special)


@pytest.mark.parametrize(
    ("general", "special"),
    [("a?", "a*"), ("a", "a*"), ("?", "*"), ("pam:su", "pam:sudo"), ("", "*")],
)
def test_what_is_wider_is_not_covered(general, special):
    assert not covers(general, special)


def test_no_overlap_where_the_letters_differ():
    assert not overlaps("pam:*", "cli:*")
    assert not overlaps("a?", "abc")
    assert overlaps("*:sudo", "pam:*")


def test_no_pattern_means_any():
    """As in rules: nothing written is no restriction."""
    assert cover_all((), ("a",))
    assert not cover_all(("a",), ())
    assert overlap_any((), ("a",))
    assert overlap_any(("a",), ())
    assert not overlap_any(("a",), ("b", "c"))
