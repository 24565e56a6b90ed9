"""Looking around a request: only what policy wants to know, and whatever fails is named.

The law of this file: nothing is raised, and nothing keeps the request waiting for longer than the
patiences below add up to. An observer that raises, hangs or says what cannot be lands in `missing`,
and what it should have told is left empty; but for the source, which is then `UNKNOWN_SOURCE`, so
that it never reads as "this machine". Not done here: nothing is weighed.

Known only while sshd's own PAM stack asks: the key of an ssh client. What is asked for later in
that session, such as sudo, has none. Not observed: the client's version, which sshd tells nobody.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from stepupd.core.errors import InternalError
from stepupd.core.model import Moment, StepUpRequest
from stepupd.core.risk.advice import LONGEST_DEADLINE, MAX_REASON, make_question
from stepupd.core.risk.facts import Advice, Facts, Observer
from stepupd.core.risk.ssh_auth import UNKNOWN_KEY
from stepupd.host.advisers import Adviser
from stepupd.host.geo import Spot
from stepupd.host.logins import Belonging
from stepupd.host.patience import look_side_by_side
from stepupd.host.programs import read_programs
from stepupd.host.source import UNKNOWN_SOURCE, find_source, find_told_source

PATIENCE = 0.5
"""Seconds for the system to answer; it takes about a millisecond."""
ADVICE_PATIENCE = LONGEST_DEADLINE + 0.25
"""Seconds for advisers, each of whom keeps a deadline of its own."""

_MAX_SCORE = 100

Seen = dict[str, Any]
"""Values for fields of `Facts`."""


class Sessions(Protocol):
    """What is asked of logind; `Logins` is it."""

    def find(self, pid: int) -> Belonging:
        """Return what a process belongs to."""

    def is_locked(self, session: str) -> bool:
        """Return whether a session is locked."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All there is to ask. `observe` may block; any thread may call it."""

    sessions: Sessions
    since_resume: Callable[[Moment], float | None]
    """Seconds since the machine woke up."""
    find_spot: Callable[[str], Spot] | None = None
    """Where a numeric address is; None where no database is configured."""
    advisers: tuple[Adviser, ...] = ()
    proc: Path = Path("/proc")
    patience: float = PATIENCE
    advice_patience: float = ADVICE_PATIENCE

    def observe(self, request: StepUpRequest, wanted: frozenset[Observer], now: Moment) -> Facts:
        """Return what the wanted observers saw; those that failed are in `missing`."""
        time.tzset()  # or a change of the zone would wait for a restart
        local = time.localtime(now.wall)
        facts = Facts(hour=local.tm_hour, weekday=local.tm_wday)
        looks: dict[Observer, Callable[[], Seen]] = {
            Observer.SOURCE: lambda: self._see_source(request),
            Observer.PROGRAMS: lambda: {"programs": read_programs(request.caller.pid, self.proc)},
            Observer.SEAT: lambda: self._see_seat(request.caller.pid),
            Observer.UPTIME: lambda: self._see_uptime(now),
        }
        if Observer.GEO in wanted:
            wanted |= {Observer.SOURCE}
        facts = self._add(facts, {name: look for name, look in looks.items() if name in wanted})
        if Observer.SOURCE in facts.missing:
            facts = replace(facts, source=UNKNOWN_SOURCE)
        if Observer.GEO in wanted:
            source = facts.source
            facts = self._add(facts, {Observer.GEO: lambda: self._see_place(source)})
        return self._ask_advisers(request, facts) if Observer.ADVICE in wanted else facts

    def _see_source(self, request: StepUpRequest) -> Seen:
        if request.ssh_key == UNKNOWN_KEY:
            raise InternalError("sshd tells a key that cannot be read")
        source = find_told_source(request)
        if not source:
            programs = read_programs(request.caller.pid, self.proc)
            source = find_source(request, self.sessions.find(request.caller.pid), programs)
        return {"source": source, "ssh_key": request.ssh_key}

    def _see_seat(self, pid: int) -> Seen:
        belonging = self.sessions.find(pid)
        login = belonging.session or belonging.display
        if login is None or not login.has_seat:
            return {}
        is_locked = self.sessions.is_locked(login.name)
        if type(is_locked) is not bool or type(login.is_active) is not bool:
            raise InternalError("logind gave something else than yes or no")
        return {"is_active": login.is_active, "is_locked": is_locked}

    def _see_uptime(self, now: Moment) -> Seen:
        since = self.since_resume(now)
        if since is not None and not (math.isfinite(since) and since >= 0):
            raise InternalError("the machine cannot have woken up then")
        return {"since_resume": since}

    def _see_place(self, source: str) -> Seen:
        if source == UNKNOWN_SOURCE:
            raise InternalError("the source is not known")
        if not source or self.find_spot is None:
            return {}
        spot = self.find_spot(source)
        if not isinstance(spot, Spot):
            raise InternalError("that is no place")
        return {
            "country": spot.country,
            "latitude": spot.latitude,
            "longitude": spot.longitude,
            "radius": spot.radius,
        }

    def _ask_advisers(self, request: StepUpRequest, facts: Facts) -> Facts:
        question = make_question(request, facts)
        looks: dict[str, Callable[[], Advice]] = {
            adviser.name: lambda adviser=adviser: check_advice(adviser.advise(question))  # type: ignore[misc] # mypy does not infer a default
            for adviser in self.advisers
        }
        found = look_side_by_side(looks, self.advice_patience)
        failed = {Observer.ADVICE} if len(found) < len(looks) else set()
        advice = tuple(found[name] for name in looks if name in found)
        return replace(facts, advice=advice, missing=facts.missing | failed)

    def _add(self, facts: Facts, looks: Mapping[Observer, Callable[[], Seen]]) -> Facts:
        """Return the facts with what the looks saw, and the names of those that saw nothing."""
        found = look_side_by_side(looks, self.patience)
        seen: Seen = {key: value for one in found.values() for key, value in one.items()}
        return replace(facts, **seen, missing=facts.missing | (looks.keys() - found.keys()))


def check_advice(advice: Advice) -> Advice:
    """Return advice that is one, its reason cut; `InternalError` for anything else."""
    if not isinstance(advice, Advice) or not advice.name or not isinstance(advice.reason, str):
        raise InternalError("that is no advice")
    if type(advice.score) is not int or not 0 <= advice.score <= _MAX_SCORE:
        raise InternalError(f"a score is a whole number from 0 to {_MAX_SCORE}")
    return replace(advice, reason=advice.reason[:MAX_REASON])
