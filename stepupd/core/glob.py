"""Shell-like patterns with `*` and `?` only: no regular expressions, no backtracking blow-up."""


def match_glob(pattern: str, text: str) -> bool:
    """Return whether the whole of `text` matches; at worst len(pattern) * len(text) steps."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
    if "?" not in pattern:
        return _match_parts(pattern.split("*"), text)
    at, star, resume = 0, -1, 0
    position = 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, resume = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:
            at = star + 1
            resume += 1
            position = resume
        else:
            return False
    return not pattern[at:].strip("*")


def _match_parts(parts: list[str], text: str) -> bool:
    """Return whether the text is the parts in this order, with anything between them."""
    if len(parts) == 3 and not (parts[0] or parts[2]):  # noqa: PLR2004 - *text*, the usual one
        return parts[1] in text
    first, *middle, last = parts
    at, end = len(first), len(text) - len(last)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def match_any(patterns: tuple[str, ...], text: str) -> bool:
    """Return whether one of the patterns matches; none of them match when there are none."""
    for pattern in patterns:  # noqa: SIM110 - a generator costs more than most matches
        if pattern in {text, "*"} or match_glob(pattern, text):
            return True
    return False


def find_prefix(pattern: str) -> str:
    """Return how every text that matches begins: the pattern up to its first wildcard."""
    return pattern.partition("*")[0].partition("?")[0]
