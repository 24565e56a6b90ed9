"""Risk: a sum of named signals. More of them never lowers it.

Weights come from the policy; a signal without a weight counts nothing, and no weight is negative.
"""

from collections.abc import Mapping

from stepupd.core.model import Risk, Signal, StepUpRequest

SIGNALS = frozenset({"remote"})
"""Every signal a policy may weigh."""


def assess(request: StepUpRequest, weights: Mapping[str, int]) -> Risk:
    """Return the score of a request and the signals that make it up."""
    signals = tuple(signal for signal in observe(request, weights) if signal.weight > 0)
    return Risk(sum(signal.weight for signal in signals), signals)


def observe(request: StepUpRequest, weights: Mapping[str, int]) -> tuple[Signal, ...]:
    """Return the signals that are present."""
    if not request.claim.rhost:
        return ()
    reason = f"the session comes from {request.claim.rhost}"
    return (Signal("remote", max(0, weights.get("remote", 0)), reason),)
