"""`[risk]`: what signals weigh, and what a score asks for.

The law of this file: more risk never asks for less. Scores climb, and so do the levels; a weight is
never negative, and belongs to a signal that exists.
"""

from stepupd.core.policy import Rung
from stepupd.core.risk import SIGNALS
from stepupd.store.levels import read_level
from stepupd.store.policy_entries import RiskEntry, RungEntry
from stepupd.store.toml_files import Document

MAX_SCORE = 1000
"""Ten times what a ladder from 1 to 100 needs."""

_AT = ("risk", "ladder")


def read_risk(document: Document, written: RiskEntry) -> tuple[tuple[Rung, ...], dict[str, int]]:
    """Return ladder and weights. Raises ConfigError."""
    return _read_ladder(document, written.ladder), _read_weights(document, written.weights or {})


def _read_ladder(document: Document, written: tuple[RungEntry, ...]) -> tuple[Rung, ...]:
    ladder: list[Rung] = []
    for index, entry in enumerate(written):
        rung = _read_rung(document, index, entry)
        if ladder and rung.score <= ladder[-1].score:
            raise document.fault((*_AT, index, "score"), "scores climb from step to step")
        if ladder and _height(rung) <= _height(ladder[-1]):
            raise document.fault((*_AT, index), "a higher score asks for more than the step before")
        ladder.append(rung)
    return tuple(ladder)


def _read_rung(document: Document, index: int, entry: RungEntry) -> Rung:
    at = (*_AT, index)
    if not 1 <= entry.score <= MAX_SCORE:
        raise document.fault((*at, "score"), f"a score is from 1 to {MAX_SCORE}")
    if entry.deny is False:
        raise document.fault((*at, "deny"), "deny is true, or left out")
    if (entry.deny is None) == (entry.require is None):
        raise document.fault(at, "a step has exactly one of `require` and `deny`")
    if entry.require is None:
        return Rung(entry.score, None)
    return Rung(entry.score, read_level(document, (*at, "require"), entry.require))


def _height(rung: Rung) -> float:
    return float("inf") if rung.level is None else rung.level


def _read_weights(document: Document, written: dict[str, object]) -> dict[str, int]:
    weights = {}
    for name, weight in written.items():
        at = ("risk", "weights", name)
        if name not in SIGNALS:
            raise document.fault(at, f"{name!r} is none of {', '.join(sorted(SIGNALS))}")
        if type(weight) is not int or not 0 <= weight <= MAX_SCORE:
            raise document.fault(at, f"a weight is a whole number from 0 to {MAX_SCORE}")
        weights[name] = weight
    return weights
