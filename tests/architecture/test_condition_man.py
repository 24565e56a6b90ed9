"""stepupd-policy(5) lists the variables of conditions: each with type and meaning."""

import re
from pathlib import Path

from stepupd.core.condition import CLAIMED
from stepupd.core.variables import VARIABLES, Kind
from stepupd.store import conditions

TEXT = (Path(__file__).parents[2] / "man" / "stepupd-policy.5").read_text(encoding="utf-8")
SECTION = re.search(r"^\.Sh CONDITIONS\n(.*?)^\.Sh ", TEXT, re.MULTILINE | re.DOTALL)[1]
FACTS, CLAIMS, _ = SECTION.split("\n.El\n")
WORDS = {Kind.BOOL: "bool", Kind.INT: "int", Kind.STRING: "string", Kind.STRINGS: "list"}


def read_items(text):
    return dict(re.findall(r"^\.It Va (\w+)\n(.*)$", text, re.MULTILINE))


def write_items(*, is_claimed):
    return {
        name: f"{WORDS[row.kind]}: {row.meaning}."
        for name, row in VARIABLES.items()
        if (name in CLAIMED) is is_claimed
    }


def test_every_variable_is_described_as_the_table_has_it():
    """In its order, facts and claims apart; and no other."""
    for text, is_claimed in ((FACTS, False), (CLAIMS, True)):
        expected = write_items(is_claimed=is_claimed)
        assert read_items(text) == expected
        assert list(read_items(text)) == list(expected)


def test_the_limit_is_the_codes():
    assert f"at most {conditions.MAX_TEXT}\ncharacters" in SECTION
