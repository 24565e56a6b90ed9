"""Advice from outside: what is asked, and which answers count.

The law of this file: an answer is one small JSON object of exactly the known fields, or it is none;
whoever gets none counts the adviser as failed, which weighs as the worst answer would. The question
tells what the machine attests. A command line, which may hold secrets, is in it only for an adviser
of whom the administrator says so.
Not done here: asking. That is `stepupd.host.advisers`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Annotated

import msgspec

from stepupd.core.display import escape, shorten
from stepupd.core.errors import InternalError
from stepupd.core.model import StepUpRequest
from stepupd.core.risk.facts import Advice, Facts

VERSION = 1
"""Of the question. New fields come without a new version."""

MAX_ANSWER = 4096
"""Bytes. A number and a sentence; what is longer is not for us."""
MAX_QUESTION = 65536
"""Bytes: room for the longest command that a door lets in, every character escaped."""
MAX_REASON = 200
"""Characters of a reason that are kept."""

DEADLINE = 1.0
LONGEST_DEADLINE = 2.0
"""Seconds. A person waits for it before anything blinks."""

_COMMAND = "command"


@unique
class Format(StrEnum):
    """How question and answer are wrapped."""

    PLAIN = "plain"
    OPA = "opa"
    """Open Policy Agent's Data API: {"input": question}, and the answer in "result"."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an adviser listens; without TLS only on this machine."""

    host: str
    port: int
    path: str
    is_secure: bool = False


@dataclass(frozen=True, slots=True)
class AdviserPlan:
    """One adviser as configured: a `program` and its arguments, or an `address`.

    A `socket` is the path of a Unix socket to reach the address by. `deadline` is in seconds.
    """

    name: str
    program: tuple[str, ...] = ()
    address: Address | None = None
    socket: str = ""
    deadline: float = DEADLINE
    format: Format = Format.PLAIN
    sends_command: bool = False


class AdviserFailed(InternalError):  # noqa: N818 - it is a fact about the adviser
    """An adviser was late, said nothing, or nothing that counts."""

    reason = "adviser-failed"


class _Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    score: Annotated[int, msgspec.Meta(ge=0, le=100)]
    reason: str


class _Result(msgspec.Struct, frozen=True):
    """The Data API adds fields of its own, such as `decision_id`."""

    result: _Answer


_PLAIN = msgspec.json.Decoder(_Answer)
_WRAPPED = msgspec.json.Decoder(_Result)


def make_question(request: StepUpRequest, facts: Facts) -> dict[str, object]:
    """Return what advisers are asked about one request."""
    session = request.session
    return {
        "version": VERSION,
        "action": request.action,
        "subject": request.subject.name,
        "uid": request.subject.uid,
        "source": facts.source,
        "country": facts.country,
        "hour": facts.hour,
        "programs": list(facts.programs),
        "session": None
        if session is None
        else {"leader": session.leader, "start": session.leader_start, "tty": session.tty},
        _COMMAND: list(request.claim.command),
    }


def encode_question(plan: AdviserPlan, question: Mapping[str, object]) -> bytes:
    """Return the question as this adviser gets it. Raises AdviserFailed."""
    told = {
        name: value for name, value in question.items() if plan.sends_command or name != _COMMAND
    }
    try:
        body = msgspec.json.encode({"input": told} if plan.format is Format.OPA else told)
    except (TypeError, ValueError) as error:
        raise AdviserFailed(f"{plan.name}: the question cannot be written") from error
    if len(body) > MAX_QUESTION:
        raise AdviserFailed(f"{plan.name}: the question is too long")
    return body


def read_answer(plan: AdviserPlan, body: bytes) -> Advice:
    """Return what an adviser said. Raises AdviserFailed for everything but a whole answer."""
    if len(body) > MAX_ANSWER:
        raise AdviserFailed(f"{plan.name}: its answer is longer than {MAX_ANSWER} bytes")
    try:
        json.loads(body, object_pairs_hook=_refuse_doubles)  # msgspec takes the last of two
        is_wrapped = plan.format is Format.OPA
        answer = _WRAPPED.decode(body).result if is_wrapped else _PLAIN.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise AdviserFailed(f"{plan.name}: its answer is none: {error}") from error
    return Advice(plan.name, answer.score, shorten(escape(answer.reason), MAX_REASON))


def _refuse_doubles(pairs: list[tuple[str, object]]) -> None:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("the same key twice")
