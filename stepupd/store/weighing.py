"""What a policy's `[risk]` says; `risk_table` reads it where there is one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stepupd.core.policy import Rung, Score


@dataclass(frozen=True, slots=True)
class Weighing:
    """Ladder, weights, score and distrusted models; without a table, nothing weighs."""

    ladder: tuple[Rung, ...] = ()
    weights: Mapping[str, int] = field(default_factory=dict)
    score: Score = Score.WEIGHTS
    denied_models: frozenset[bytes] = frozenset()
