"""The two scores: how many points a signal that fired contributes.

Both are sums over the same findings, so each can be explained signal by signal.

* `weights`: the policy's weight, times the strength.
* `likelihood`: how much likelier the signal is in an attack than for this subject, in bits, times
  the strength. This is the log-likelihood ratio of Freeman et al. (NDSS 2016), smoothed by linear
  interpolation towards what is usual for everybody; evaluated by Wiefling et al. (ACM TOPS 2022).
  Where a signal is about a value, the value's own probabilities go in: with `everybody`'s share of
  it, and the subject's,

      bits = log2( attack * everybody / ((1 - rate) * share + rate * everybody) )

  A value that the subject never had has no share, and what is left is attack / rate. An address,
  its network and its country are a chain: each rate is taken among those in which the one before
  fired, so nothing is counted twice. Signals else count as independent, which they are not quite.

The law of this file: no contribution is negative, so no signal speaks for a request; what is not
known yet is what is expected of the signal, never a certainty.
"""

from math import log2

from stepupd.core.policy import Score
from stepupd.core.risk.features import VALUES
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Feature, Profile
from stepupd.core.risk.signals.kinds import Finding, SignalKind

POINTS_PER_BIT = 6.0
"""Calibration: 30 points are 5 bits (32 to 1), 60 are 10 (1,000 to 1), 90 are 15 (33,000 to 1)."""
PRIOR = 10.0
"""Hours of observation that an expectation is worth: smoothing, and the warm-up of a rate."""
MIN_RATE = 1 / 4096
"""No signal tells more than 12 bits, however rare it was."""


def score_finding(
    method: Score, kind: SignalKind, finding: Finding, weight: int, observation: Observation
) -> int:
    """Return the points of one finding, at least 0."""
    if method is Score.WEIGHTS:
        return round(weight * finding.strength)
    bits = count_bits(kind, observation)
    if finding.blind:  # No habit excuses what could not be seen.
        bits = max(bits, log2(kind.attack / kind.usual))
    return round(POINTS_PER_BIT * max(0.0, bits) * finding.strength)


def count_bits(kind: SignalKind, observation: Observation) -> float:
    """Return the log-likelihood ratio, in bits; negative if the signal is more usual than not."""
    rate = find_rate(kind, observation)
    if kind.feature is None:
        return log2(kind.attack / rate)
    share = _find_share(kind.feature, observation)
    if share == 0:
        return log2(kind.attack / rate)
    everybody = _find_everybody_share(kind.feature, observation)
    return log2(kind.attack * everybody / ((1 - rate) * share + rate * everybody))


def find_rate(kind: SignalKind, observation: Observation) -> float:
    """Return how often the signal fires for this subject, from `MIN_RATE` to 1.

    Expected is what is usual for everybody here, and of that, what is usual for the signal.
    """
    wall, crowd = observation.now.wall, observation.crowd
    expected = kind.usual if crowd is None else _smooth_rate(kind, crowd, wall, kind.usual)
    return min(1.0, max(MIN_RATE, _smooth_rate(kind, observation.profile, wall, expected)))


def _smooth_rate(kind: SignalKind, profile: Profile, wall: float, expected: float) -> float:
    fired = profile.weigh(Feature.SIGNAL, kind.name, wall)
    if kind.given:
        cases = profile.weigh(Feature.SIGNAL, kind.given, wall)
    else:
        cases = profile.count_requests(wall)
    return (fired + PRIOR * expected) / (max(cases, fired) + PRIOR)


def _find_share(feature: Feature, observation: Observation) -> float:
    value = VALUES[feature](observation.request, observation.facts)
    return _share_of(observation.profile, feature, value, observation.now.wall)


def _find_everybody_share(feature: Feature, observation: Observation) -> float:
    """Return the value's share for everybody, smoothed so that nothing is impossible."""
    profile, wall = observation.crowd or observation.profile, observation.now.wall
    value = VALUES[feature](observation.request, observation.facts)
    weight = profile.weigh(feature, value, wall)
    return min(1.0, (weight + 1) / (profile.count_requests(wall) + 2))


def _share_of(profile: Profile, feature: Feature, value: str, wall: float) -> float:
    requests = profile.count_requests(wall)
    return min(1.0, profile.weigh(feature, value, wall) / requests) if requests > 0 else 0.0
