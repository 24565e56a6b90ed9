"""Levels as people write them."""

from stepupd.core.model import Level
from stepupd.store.toml_files import Document
from stepupd.store.toml_positions import Path


def read_level(document: Document, at: Path, word: str) -> Level:
    """Return the level of that name. Raises ConfigError."""
    for level in Level:
        if level.word == word:
            return level
    words = ", ".join(level.word for level in Level)
    raise document.fault(at, f"{word!r} is no level; there are {words}")
