"""`[risk]`: what signals weigh, what a score asks for, and which models of keys are distrusted.

The law of this file: more risk never asks for less. Scores climb, and so do the levels; a weight is
never negative, and belongs to a signal that exists.
"""

import re

from stepupd.core.policy import Rung, Score
from stepupd.core.risk.signals import DEFAULT_WEIGHTS, SIGNALS
from stepupd.store.levels import read_level
from stepupd.store.policy_entries import RiskEntry, RungEntry
from stepupd.store.spelling import suggest
from stepupd.store.toml_files import Document
from stepupd.store.weighing import Weighing

MAX_SCORE = 1000
"""Ten times what a ladder from 1 to 100 needs."""

DEFAULT_SCORE = Score.WEIGHTS

_AT = ("risk", "ladder")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
"""RFC 9562 section 4: the text form, and no other that Python would take."""


def read_risk(document: Document, written: RiskEntry) -> Weighing:
    """Return what the table says; without weights, each signal has its own. Raises ConfigError."""
    return Weighing(
        _read_ladder(document, written.ladder),
        DEFAULT_WEIGHTS if written.weights is None else _read_weights(document, written.weights),
        _read_score(document, written.score),
        _read_models(document, written.denied_models),
    )


def _read_score(document: Document, written: str | None) -> Score:
    words = [score.value for score in Score]
    if written is None:
        return DEFAULT_SCORE
    if written not in words:
        raise document.fault(("risk", "score"), f"{written!r} is none of {', '.join(words)}")
    return Score(written)


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
            hint = suggest(name, SIGNALS, "stepupd-policy(5) lists them")
            raise document.fault(at, f"there is no signal {name!r}", hint)
        if type(weight) is not int or not 0 <= weight <= MAX_SCORE:
            raise document.fault(at, f"a weight is a whole number from 0 to {MAX_SCORE}")
        weights[name] = weight
    return weights


def _read_models(document: Document, written: tuple[str, ...]) -> frozenset[bytes]:
    for index, model in enumerate(written):
        if _UUID.fullmatch(model) is None:
            raise document.fault(
                ("risk", "denied_models", index),
                f"{model!r} is no AAGUID",
                'write the whole of it, such as "2fc0579f-8113-47ea-b116-bb5a8db9202a"',
            )
    return frozenset(bytes.fromhex(model.replace("-", "")) for model in written)
