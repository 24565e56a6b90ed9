"""A character of a TOML string is found where it is written, in all four kinds of string."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.store.toml_strings import locate_character

PIECES = ["a", "ü", " ", "#", "'", "\\\\", '\\"', "\\n", "\\u0041", "\\U0001F511"]
LONG = [*PIECES, "\n", '"', "\\\n  \n ", "\\  \n"]
"""As written in double quotes; the last two are line endings that are no part of the text."""


def find(text, index):
    line, column = locate_character(text, ("table", "key"), index)
    return sum(len(one) + 1 for one in text.split("\n")[: line - 1]) + column - 1


def write(opening, pieces, closing):
    """Return a file, and where in it each character of the string is written."""
    text = f"[table]\n# before\n'key' =\t{opening}"
    places = []
    for piece in pieces:
        if not piece.startswith(("\\\n", "\\  ")):
            places.append(len(text))
        text += piece
    return text + closing + " # after\n", [*places, len(text)]


@given(st.lists(st.sampled_from(PIECES), max_size=8))
def test_short_strings_in_double_quotes(pieces):
    text, places = write('"', pieces, '"')

    assert [find(text, index) for index in range(len(places))] == places
    assert len(tomllib.loads(text)["table"]["key"]) == len(places) - 1


@given(st.lists(st.sampled_from(LONG), max_size=8), st.sampled_from(["", "\n"]))
def test_long_strings_in_double_quotes(pieces, start):
    """A first line break is dropped, and what follows a backslash at the end of a line."""
    pieces = ["x", *(piece for pair in pieces for piece in (pair, "y"))]  # no gap runs on
    text, places = write('"""' + start, pieces, '"""')

    assert len(tomllib.loads(text)["table"]["key"]) == len(places) - 1
    assert [find(text, index) for index in range(len(places))] == places


@pytest.mark.parametrize(("opening", "closing"), [("'", "'"), ("'''", "'''"), ("'''\n", "'''")])
@given(content=st.text('aü\\"# ', max_size=8))
def test_strings_in_single_quotes(opening, closing, content):
    text, places = write(opening, [content], closing)
    places = [places[-1] - len(content) + index for index in range(len(content) + 1)]

    assert [find(text, index) for index in range(len(places))] == places


@pytest.mark.parametrize("value", ["1", "['a']", "{ x = 'a' }"])
def test_without_a_string_it_is_the_place_of_the_key(value):
    text = f"[table]\n  key = {value}\n"

    assert locate_character(text, ("table", "key"), 0) == (2, 3)


def test_without_the_key_it_is_the_place_of_its_table():
    assert locate_character("\n[table]\n", ("table", "key"), 3) == (2, 2)
