"""Times as the command reads and writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepup.errors import CommandError
from stepup.fast_path import encode_request
from stepup.times import parse_duration, say_age, say_span, say_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("45s", 45), ("10m", 600), ("8h", 28800), ("2d", 172800)],
)
def test_durations_are_read_as_policies_write_them(text, seconds):
    """Seconds without a unit; s, m, h and d."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "m", "1.5h", "-1", "+1", "1 m", "\u0661", "9" * 10, "1w", "1mm"]
)
def test_what_is_no_duration_is_wrong_usage(text):
    """No sign, no fraction, no other digits, nothing endless."""
    with pytest.raises(CommandError) as caught:
        parse_duration(text)

    assert caught.value.code == 2


@given(st.one_of(st.text(max_size=12), st.from_regex(r"[0-9]{1,11}[smhd]?", fullmatch=True)))
def test_the_fast_path_reads_durations_as_the_slow_path_does(text):
    """Two readers of one option must not differ where the fast one reads it at all."""
    request = encode_request(["--max-age", text])

    if request is not None:
        assert f'"max_age":{parse_duration(text):.0f}}}' in request.decode()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (7200, "2 h ago"),
        (86400, "1 day ago"),
        (200000, "2 days ago"),
        (-5, "just now"),
    ],
)
def test_ages_are_short_and_rounded_down(seconds, text):
    """One unit says enough."""
    assert say_age(seconds) == text


def test_a_moment_of_today_has_no_date():
    """The day is shown only where it is another."""
    noon = 1_700_000_000.0

    assert say_time(noon, noon + 1).startswith("today ")
    assert say_time(noon, noon + 10 * 86400).startswith("2023-11-1")
    assert say_time(0, noon) == "never"


@given(st.floats(-1e15, 1e15), st.floats(0, 4e9))
def test_no_number_of_the_daemon_breaks_a_time(value, now):
    """Whatever passes `read_number` can be shown."""
    assert say_time(value, now)
    assert say_span(value)
