"""Audit entries as people read them, one line each. Nothing is verified here."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from stepup.errors import refuse_usage
from stepup.terminal import clean
from stepup.times import parse_duration, say_time

LINE_LIMIT = 1024 * 1024
"""Bytes: more than the daemon ever writes as one line."""

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are wanted; `since` is RFC 3339 in UTC, as the log has it."""

    seq: int | None = None
    since: str = ""
    kind: str = ""

    def accepts(self, fields: Fields) -> bool:
        """Return whether the entry is wanted; one that cannot be read always is."""
        if not fields:
            return self.seq is None
        return (
            (self.seq is None or fields.get("seq") == self.seq)
            and (not self.since or str(fields.get("time")) >= self.since)
            and (not self.kind or fields.get("kind") == self.kind)
        )


def read_entries(stream: BinaryIO) -> Iterator[Fields]:
    """Yield each whole line as fields; nothing in them if the line cannot be read."""
    while line := stream.readline(LINE_LIMIT):
        yield read_entry(line)


def read_entry(line: bytes) -> Fields:
    """Return the fields of one line, none if it is no entry."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def find_last_lines(stream: BinaryIO, count: int) -> int:
    """Return where the last `count` lines begin."""
    end = stream.seek(0, 2)
    size = 64 * 1024
    while True:
        start = max(0, end - size)
        stream.seek(start)
        block = stream.read(end - start)
        ends = [at for at, byte in enumerate(block[:-1]) if byte == ord("\n")]
        if len(ends) >= count:
            return start + ends[-count] + 1
        if start == 0:
            return 0
        size *= 4


def parse_since(text: str, now: float) -> str:
    """Return "2h" (ago) or an ISO 8601 date or time (local unless it says) as the log writes it."""
    if not text:
        return ""
    try:
        moment = _parse_moment(text, now).astimezone(UTC)
    except OverflowError:
        raise refuse_usage(f"{text!r} is in no calendar") from None
    return moment.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def _parse_moment(text: str, now: float) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.fromtimestamp(now, UTC) - timedelta(seconds=parse_duration(text))


def say_entry(fields: Fields, now: float) -> str:
    """Return an entry as one line: number, time, kind, how it ended, who, what."""
    if not fields:
        return "     ?  (this line cannot be read)"
    words = [word for word in _list_words(fields) if word]
    kind = _text(fields, "kind")
    line = f"{_text(fields, 'seq'):>6}  {_say_moment(fields, now):<16}  {kind:<9}  "
    return clean(line + " ".join(words)).replace("\n", "\\n").rstrip()


def _list_words(fields: Fields) -> Iterator[str]:
    verdict, request = _part(fields, "verdict"), _part(fields, "request")
    if verdict:
        yield f"{_text(verdict, 'answer')} ({_text(verdict, 'reason')})"
    yield _text(request, "subject")
    yield _text(request, "action")
    claim = _part(request, "claim")
    command = claim.get("command")
    if isinstance(command, list):
        yield "$ " + " ".join(str(word) for word in command)
    elif claim.get("reason"):
        yield f"({_text(claim, 'reason')})"
    if not request:
        yield _text(fields, "subject") or _say_uid(fields)
        yield _text(fields, "event")
        yield _text(_part(fields, "credential"), "name")
    if fields.get("alarm"):
        yield f"ALARM: {_text(fields, 'alarm')}"


def _say_uid(fields: Fields) -> str:
    """Return whom an entry without a request is about; nobody, where the daemon tells of itself."""
    uid = _text(fields, "subject_uid")
    return f"uid {uid}" if uid and _text(fields, "kind") not in {"start", "stop"} else ""


def _say_moment(fields: Fields, now: float) -> str:
    try:
        return say_time(datetime.fromisoformat(_text(fields, "time")).timestamp(), now)
    except (ValueError, OverflowError):
        return _text(fields, "time")[:16]


def _part(fields: Fields, name: str) -> Fields:
    part = fields.get(name)
    return part if isinstance(part, dict) else {}


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return "" if value is None else str(value)
