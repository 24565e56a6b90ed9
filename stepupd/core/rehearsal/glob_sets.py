"""Patterns compared with each other: does one take in all of another, do two have texts in common.

The law of this file: `covers` says yes only where it is certain, `overlaps` says no only where it
is certain. Patterns are those of `glob`: `*` and `?`, nothing else.
"""

from functools import lru_cache

from stepupd.core.glob import find_prefix


def is_pattern(text: str) -> bool:
    """Return whether a pattern matches anything but itself."""
    return "*" in text or "?" in text


def covers(general: str, special: str) -> bool:
    """Return whether every text that `special` matches is matched by `general` for certain."""
    if general.strip("*") == "" and general:
        return True
    if not is_pattern(general):
        return general == special
    # A letter of the general one is only ever matched by a letter of the other.
    for run in _list_runs(general):
        if run not in special:
            return False
    reached = _close({0}, general)
    for letter in special:
        reached = _close({at for old in reached for at in _follow(general, old, letter)}, general)
        if not reached:
            return False
    return len(general) in reached


def overlaps(one: str, other: str) -> bool:
    """Return whether some text is matched by both."""
    if not is_pattern(one) and not is_pattern(other):
        return one == other
    # What ends in any text and what begins with any text meet in the one after the other.
    if (one[-1:] == "*" == other[:1]) or (other[-1:] == "*" == one[:1]):
        return True
    first, second = find_prefix(one), find_prefix(other)
    if not first.startswith(second) and not second.startswith(first):
        return False
    above = [False] * (len(other) + 1)
    for row in range(len(one) + 1):
        reached = [False] * (len(other) + 1)
        reached[0] = row == 0 or (one[row - 1] == "*" and above[0])
        for column in range(1, len(other) + 1):
            left, right = one[row - 1] if row else "", other[column - 1]
            if "*" in (left, right):
                reached[column] = above[column] or reached[column - 1]
            else:
                reached[column] = bool(left) and above[column - 1] and _meet(left, right)
        above = reached
    return above[-1]


def cover_all(general: tuple[str, ...], special: tuple[str, ...]) -> bool:
    """Return whether each of `special` is covered by one of `general`; no pattern means any."""
    if not general:
        return True
    return bool(special) and all(any(covers(one, other) for one in general) for other in special)


def overlap_any(some: tuple[str, ...], others: tuple[str, ...]) -> bool:
    """Return whether the two have a text in common; no pattern means any."""
    if not some or not others:
        return True
    return any(overlaps(one, other) for one in some for other in others)


@lru_cache(maxsize=4096)
def _list_runs(pattern: str) -> tuple[str, ...]:
    """Return the texts between the wildcards."""
    return tuple(filter(None, pattern.replace("?", "*").split("*")))


def _meet(one: str, other: str) -> bool:
    return one == other or "?" in (one, other)


def _follow(general: str, at: int, letter: str) -> tuple[int, ...]:
    """Return where the pattern may stand after a letter of the other; its `*` is any text."""
    if at == len(general):
        return ()
    if general[at] == "*":
        return (at,)
    if general[at] == letter != "*" or (general[at] == "?" and letter != "*"):
        return (at + 1,)
    return ()


def _close(reached: set[int], general: str) -> set[int]:
    """Return the places with those that a `*`, which may stand for nothing, leads on to."""
    closed = set(reached)
    for start in reached:
        at = start
        while at < len(general) and general[at] == "*":
            at += 1
            closed.add(at)
    return closed
