"""Who is asking: a person at a terminal, or a program on its own.

Who asks is told from the chain of parent programs, see `asker`; a program can hide in it by its
name, so these raise risk and never lower it.
"""

from functools import lru_cache

from stepupd.core.risk.asker import Asker, find_asker
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.signals.kinds import Finding

_AUTOMATED = frozenset({Asker.CRON, Asker.WEB, Asker.SERVICE})

_find_asker = lru_cache(maxsize=1024)(find_asker)


def look_automated(observation: Observation) -> Finding | None:
    """Find a request that a timer, a web server or a service makes."""
    asker = _ask(observation)
    if asker not in _AUTOMATED:
        return None
    return Finding(1.0, f"a program asks, not a person ({asker.value}): {_chain(observation)}")


def look_agent(observation: Observation) -> Finding | None:
    """Find a request that an AI agent makes."""
    if _ask(observation) is not Asker.AGENT:
        return None
    return Finding(1.0, f"an AI agent asks: {_chain(observation)}")


def look_editor(observation: Observation) -> Finding | None:
    """Find a request that comes out of an editor."""
    if _ask(observation) is not Asker.EDITOR:
        return None
    return Finding(1.0, f"an editor asks: {_chain(observation)}")


def _ask(observation: Observation) -> Asker:
    session = observation.request.session
    return _find_asker(observation.facts.programs, session.tty if session is not None else "")


def _chain(observation: Observation) -> str:
    return " < ".join(observation.facts.programs[:4])
