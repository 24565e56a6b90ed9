"""Shell-like patterns with `*` and `?` only: no regular expressions, no backtracking blow-up."""


def match_glob(pattern: str, text: str) -> bool:
    """Return whether the whole of `text` matches; at worst len(pattern) * len(text) steps."""
    if "*" not in pattern and "?" not in pattern:
        return pattern == text
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


def match_any(patterns: tuple[str, ...], text: str) -> bool:
    """Return whether one of the patterns matches; none of them match when there are none."""
    for pattern in patterns:  # noqa: SIM110 - a generator costs more than most matches
        if pattern in {text, "*"} or match_glob(pattern, text):
            return True
    return False
