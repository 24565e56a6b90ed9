"""Durations as people write them: `30s`, `10m`, `1h`, or a number of seconds."""

import re

_WRITTEN = re.compile(r"(?P<number>[0-9]{1,9})(?P<unit>[smh])")
_UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_duration(written: float | str) -> float | None:
    """Return seconds, or None for what is no duration."""
    if not isinstance(written, str):
        return float(written)
    found = _WRITTEN.fullmatch(written)
    return None if found is None else float(int(found["number"]) * _UNITS[found["unit"]])
