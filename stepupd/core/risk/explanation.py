"""Why a request is as risky as it is, and what would have made it less so."""

from dataclasses import dataclass

from stepupd.core.model import Level, Risk, Signal
from stepupd.core.policy import Rung


@dataclass(frozen=True, slots=True)
class Descent:
    """Without these signals, which are as few as possible, the score would be `score`.

    `rung` is the step of the ladder that would then be reached; None for none.
    """

    without: tuple[Signal, ...]
    score: int
    rung: Rung | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """A risk, taken apart."""

    score: int
    signals: tuple[Signal, ...]
    """What contributes, the most first."""
    rung: Rung | None
    """The step of the ladder that is reached; None for none."""
    descents: tuple[Descent, ...]
    """One for each lower step, the nearest first, the last of them below the ladder."""

    @property
    def level(self) -> Level | None:
        """What risk alone asks for; None for nothing, or where the rung says no."""
        return None if self.rung is None else self.rung.level


def explain_risk(risk: Risk, ladder: tuple[Rung, ...]) -> Explanation:
    """Return what a risk is made of, and what would have lowered it."""
    signals = tuple(
        sorted(
            (signal for signal in risk.signals if signal.weight > 0),
            key=lambda signal: (-signal.weight, signal.name),
        )
    )
    reached = [rung for rung in ladder if rung.score <= risk.score]
    descents = tuple(
        _descend(risk.score, signals, ladder, rung.score) for rung in reversed(reached)
    )
    return Explanation(risk.score, signals, reached[-1] if reached else None, descents)


def _descend(
    score: int, signals: tuple[Signal, ...], ladder: tuple[Rung, ...], below: int
) -> Descent:
    """Return the fewest signals whose absence leaves a score under `below`: the heaviest ones."""
    without: list[Signal] = []
    for signal in signals:
        if score < below:
            break
        without.append(signal)
        score -= signal.weight
    rungs = [rung for rung in ladder if rung.score <= score]
    return Descent(tuple(without), score, rungs[-1] if rungs else None)
