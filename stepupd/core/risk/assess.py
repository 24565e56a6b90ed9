"""Risk: a sum of named signals. More of them never lowers it.

The law of this file: a signal without a weight counts nothing, and none counts less than nothing;
a signal that an observer failed counts in full, and says which one failed. The scores themselves
are in `scores`; what a score asks for is the ladder's business, in `policy`.
"""

from collections.abc import Iterable, Mapping

from stepupd.core.model import Risk, Signal
from stepupd.core.policy import Score
from stepupd.core.risk.facts import Observer
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.scores import score_finding
from stepupd.core.risk.signals import DEFAULT_WEIGHTS, SIGNALS
from stepupd.core.risk.signals.kinds import Finding, SignalKind
from stepupd.core.variables import list_observers

MIN_STRENGTH = 0.05
"""What is fainter is not found: it would be told, and learned from, for nothing."""

Kinds = tuple[tuple[SignalKind, int], ...]
"""Signals that are looked at, with their weights."""


def assess_observation(
    observation: Observation,
    weights: Mapping[str, int] = DEFAULT_WEIGHTS,
    method: Score = Score.WEIGHTS,
) -> Risk:
    """Return the score, and every signal that fired with what it contributes.

    The weights choose the signals in both methods: one that weighs nothing is not looked at.
    """
    return assess_kinds(observation, list_kinds(weights), method)


def list_kinds(weights: Mapping[str, int]) -> Kinds:
    """Return the signals that weigh something."""
    return tuple((SIGNALS[name], weight) for name, weight in weights.items() if weight > 0)


def assess_kinds(observation: Observation, kinds: Kinds, method: Score) -> Risk:
    """Return what `assess_observation` does, for weights that were looked through before."""
    signals = []
    is_blind = bool(observation.facts.missing)
    for kind, weight in kinds:
        finding = look(kind, observation) if is_blind else kind.look(observation)
        if finding is not None and finding.strength >= MIN_STRENGTH:
            points = score_finding(method, kind, finding, weight, observation)
            signals.append(Signal(kind.name, points, finding.reason))
    return Risk(sum([signal.weight for signal in signals]), tuple(signals))


def look(kind: SignalKind, observation: Observation) -> Finding | None:
    """Return what a signal finds; in full if an observer that it needs has failed."""
    missing = observation.facts.missing
    if missing and (failed := kind.observers & missing):
        reason = f"not known, so it counts in full: {', '.join(sorted(failed))} failed"
        return Finding(1.0, reason, blind=True)
    return kind.look(observation)


def find_observers(weights: Mapping[str, int], names: Iterable[str] = ()) -> frozenset[Observer]:
    """Return the observers that these weights and the variables of these names need."""
    weighed = (SIGNALS[name].observers for name, weight in weights.items() if weight > 0)
    return list_observers(names).union(*weighed)
