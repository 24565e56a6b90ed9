"""What the daemon answered, read field by field.

The law of this file: an answer is foreign. A field that is missing or of another type is a
`CommandError`, never a guess and never a success.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from stepup.errors import CommandError
from stepup.exits import ExitCode

Answer = Mapping[str, object]

_Kind = TypeVar("_Kind")

VERDICTS = ("allow", "deny", "unavailable")

_LARGEST = 1e15
"""No time, count or age of ours is larger; infinities and what is no number fail it as well."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to a request that may need proof."""

    word: str
    reason: str
    text: str


def read_verdict(answer: Answer) -> Verdict:
    """Return the verdict of an answer."""
    word = read_text(answer, "verdict")
    if word not in VERDICTS:
        raise refuse_reply("verdict")
    return Verdict(word, read_text(answer, "reason"), read_text(answer, "text"))


def read_text(answer: Answer, name: str) -> str:
    """Return a field that must be text."""
    return _read(answer, name, str)


def read_number(answer: Answer, name: str) -> float:
    """Return a field that must be a number."""
    value = answer.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse_reply(name)
    if not abs(value) <= _LARGEST:
        raise refuse_reply(name)
    return value


def read_flag(answer: Answer, name: str) -> bool:
    """Return a field that must be true or false."""
    return _read(answer, name, bool)


def read_answer(answer: Answer, name: str) -> Answer:
    """Return a field that must be an object."""
    value = answer.get(name)
    if not isinstance(value, Mapping):
        raise refuse_reply(name)
    return value


def read_answers(answer: Answer, name: str) -> list[Answer]:
    """Return a field that must be a list of objects."""
    value = answer.get(name)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise refuse_reply(name)
    return value


def read_texts(answer: Answer, name: str) -> list[str]:
    """Return a field that must be a list of texts."""
    value = answer.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise refuse_reply(name)
    return value


def _read(answer: Answer, name: str, kind: type[_Kind]) -> _Kind:
    value = answer.get(name)
    if not isinstance(value, kind):
        raise refuse_reply(name)
    return value


def refuse_reply(name: str) -> CommandError:
    """Return the error for an answer whose field `name` makes no sense."""
    return CommandError(
        f"stepupd gave an answer without a sensible {name!r}",
        ExitCode.FAILED,
        reason="bad-reply",
        hint="stepup and stepupd may be of different versions",
    )
