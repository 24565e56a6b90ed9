"""Times as people read and write them: local, short, rounded down."""

from datetime import UTC, datetime

from stepup.errors import refuse_usage

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_NAMES = ((86400, "day", "days"), (3600, "h", "h"), (60, "min", "min"), (1, "s", "s"))
_DIGITS = 9
_LATEST = 253402300799.0
"""The last second of the year 9999: `datetime` knows no later one."""


def parse_duration(text: str) -> float:
    """Return seconds for "90", "45s", "10m", "8h" or "2d"; raises CommandError."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    if not (number.isascii() and number.isdigit() and len(number) <= _DIGITS):
        raise refuse_usage(f"{text!r} is no duration", "write 90s, 10m, 8h or 2d")
    return float(int(number) * _UNITS[unit])


def say_span(seconds: float) -> str:
    """Return a length of time: "4 min", "3 h", "2 days"."""
    whole = int(min(max(seconds, 0.0), _LATEST))
    for size, one, many in _NAMES:
        if whole >= size:
            count = whole // size
            return f"{count} {one if count == 1 else many}"
    return "0 s"


def say_age(seconds: float) -> str:
    """Return how long ago something was: "just now", "2 min ago"."""
    return "just now" if seconds < 1 else f"{say_span(seconds)} ago"


def say_time(wall: float, now: float) -> str:
    """Return a moment (seconds since the epoch) as local time; the day only if it is not today."""
    if not 0 < wall < _LATEST:
        return "never"
    moment, today = (datetime.fromtimestamp(at, UTC).astimezone() for at in (wall, now))
    if moment.date() == today.date():
        return f"today {moment:%H:%M}"
    return f"{moment:%Y-%m-%d %H:%M}"
