"""What somebody may have meant: a hint for names that are not there."""

from collections.abc import Iterable


def suggest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return "did you mean ...?" for a name that is near a known one."""
    import difflib  # noqa: PLC0415 - only for mistakes

    near = difflib.get_close_matches(name, list(known), 1)
    return f"did you mean {near[0]}?" if near else otherwise
