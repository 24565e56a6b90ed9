"""The exit status: every reason has one, and only "allow" is 0."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepup.exits import (
    ERROR_CODES,
    REASON_CODES,
    ExitCode,
    find_error_code,
    find_verdict_code,
    list_exit_codes,
)
from stepupd.core.model import Reason

MAN_PAGE = Path(__file__).parents[2] / "man" / "stepup.1"


def test_every_reason_of_the_daemon_has_an_exit_status():
    """A reason added to the core fails here until somebody decides its status."""
    assert {reason.value for reason in Reason} == set(REASON_CODES)


def test_only_the_reasons_for_allowing_map_to_zero():
    """No refusal, whatever its reason, can look like success."""
    zero = {reason for reason, code in REASON_CODES.items() if code == 0}

    assert zero == {"rule-allows", "grant", "proved"}
    assert ExitCode.ALLOWED not in ERROR_CODES.values()


@given(st.text(), st.one_of(st.text(), st.sampled_from(sorted(REASON_CODES))))
def test_no_verdict_but_allow_gives_zero(word, reason):
    """Not even with a reason that belongs to "allow"."""
    assert (find_verdict_code(word, reason) == 0) == (word == "allow")


@given(st.one_of(st.text(), st.sampled_from(sorted(REASON_CODES | ERROR_CODES))))
def test_no_error_gives_zero(reason):
    """An error is never success, whatever it calls itself."""
    assert find_error_code(reason) != 0


@pytest.mark.parametrize(
    ("word", "reason", "code"),
    [
        ("deny", "no-rule", 1),
        ("deny", "bad-signature", 1),
        ("deny", "no-credential", 3),
        ("unavailable", "no-authenticator", 3),
        ("deny", "device-gone", 3),
        ("deny", "timeout", 4),
        ("deny", "declined", 5),
        ("deny", "busy", 7),
        ("deny", "not-permitted", 8),
        ("unavailable", "internal", 10),
        ("deny", "something-new", 1),
        ("unavailable", "something-new", 10),
        ("allow", "something-new", 0),
    ],
)
def test_the_published_statuses_stay_what_they_are(word, reason, code):
    """Scripts rely on these numbers."""
    assert find_verdict_code(word, reason) == code


def test_the_man_page_shows_the_same_table():
    """`man stepup` and the code cannot drift apart."""
    items = re.findall(r"^\.It (\d+)\n(.*)$", MAN_PAGE.read_text(), re.MULTILINE)

    assert items == [(str(code.value), code.text) for code in ExitCode]


def test_the_table_has_one_line_for_each_status():
    """What `--help` shows is made from the table itself."""
    lines = list_exit_codes().splitlines()

    assert [int(line.split()[0]) for line in lines] == [code.value for code in ExitCode]
