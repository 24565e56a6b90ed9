"""One subject's past, taken from the audit log as far as it is needed."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import time

import msgspec

from stepup.log_paths import explain_file_error
from stepup.policy.groups import list_all_groups
from stepupd.core.policy import Policy
from stepupd.core.rehearsal.history import History
from stepupd.core.rehearsal.past import Past
from stepupd.core.rehearsal.replay import Replay
from stepupd.core.risk.observation import Observation
from stepupd.store.past_log import needs_everybody, read_past


class _Who(msgspec.Struct, frozen=True):
    subject: str = ""
    subject_uid: int | None = None


class _Head(msgspec.Struct, frozen=True):
    seq: int
    request: _Who | None = None


_decode_head = msgspec.json.Decoder(_Head).decode


@dataclass(slots=True)
class Recalled:
    """What the log tells: the fold, and the entry that was looked for with what was seen then."""

    history: History | None = None
    replay: Replay | None = None
    uid: int | None = None
    past: Past | None = None
    seen: Observation | None = None


def recall(
    path: Path, policy: Policy, *, name: str = "", entry: int | None = None, until: float = 0.0
) -> Recalled:
    """Fold the log for the subject of that name, or of that entry, up to there.

    Raises CommandError if the log cannot be read.
    """
    end = _measure(path)
    uid = None if entry is None else _find_subject(path, end, entry)
    zone = datetime.fromtimestamp(time()).astimezone().tzinfo
    history = History(zone=zone, groups=list_all_groups())
    history.has_rates = needs_everybody(policy)
    recalled = Recalled(history, Replay(policy, history), uid)

    def is_wanted(line: bytes) -> bool:
        try:
            head = _decode_head(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        who = head.request
        if name and who is not None and who.subject == name:
            recalled.uid = who.subject_uid
        return history.has_rates or who is None or who.subject_uid == recalled.uid

    for past in read_past(path, end, is_wanted):
        if past is None:
            continue
        if entry is None and past.wall > until:
            break
        if past.seq == entry:
            _look(recalled, past, policy)
            break
        _take(recalled, past)
    return recalled


def _take(recalled: Recalled, past: Past) -> None:
    if recalled.replay is not None:
        recalled.replay.take(past)


def _look(recalled: Recalled, past: Past, policy: Policy) -> None:
    if recalled.history is None or recalled.replay is None or past.request is None:
        return
    held = recalled.replay.list_grants(past.request.subject_uid)
    recalled.past = past
    recalled.seen = recalled.history.observe(past, policy, held)


def _find_subject(path: Path, end: int, entry: int) -> int | None:
    """Return whom an entry is about."""
    found: list[int | None] = []

    def is_it(line: bytes) -> bool:
        try:
            head = _decode_head(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return False
        if head.seq == entry and head.request is not None:
            found.append(head.request.subject_uid)
        return bool(found)

    next(read_past(path, end, is_it), None)
    return found[0] if found else None


def _measure(path: Path) -> int:
    try:
        with path.open("rb") as stream:
            return stream.seek(0, 2)
    except OSError as error:
        raise explain_file_error(error, path) from None
