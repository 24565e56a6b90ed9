"""What others tell us: events of trusted callers, scores of signals from outside.

The law of this file: the strongest counts; what is not understood counts in full.
"""

from collections.abc import Mapping

from stepupd.core.risk.activity import Alert
from stepupd.core.risk.facts import Advice
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.signals.kinds import Finding, find

_STRENGTH: Mapping[str, float] = {
    "assurance-level-change": 0.5,
    "device-compliance-change": 0.5,
    "identifier-changed": 0.5,
    "recovery-activated": 0.75,
    "token-claims-change": 0.25,
}
"""Events of OpenID CAEP 1.0 and RISC 1.0 that are no alarm by themselves; any other is."""


def look_at_alerts(observation: Observation) -> Finding | None:
    """Find what a trusted caller said of this subject and still holds."""
    if not observation.activity.alerts:
        return None
    now = observation.now.boot
    alerts = [alert for alert in observation.activity.alerts if alert.until > now]
    if not alerts:
        return None
    worst = max(alerts, key=_strength_of)
    said = f"{worst.kind}: {worst.reason}" if worst.reason else worst.kind
    return Finding(_strength_of(worst), f"a trusted caller warned: {said}")


def look_at_advice(observation: Observation) -> Finding | None:
    """Find the highest score that a signal from outside gave."""
    if not observation.facts.advice:
        return None
    worst = max(observation.facts.advice, key=_share_of)
    said = f": {worst.reason}" if worst.reason else ""
    return find(_share_of(worst), f"{worst.name} gives {worst.score} of 100{said}")


def _strength_of(alert: Alert) -> float:
    return _STRENGTH.get(alert.kind, 1.0)


def _share_of(advice: Advice) -> float:
    """Return the score as a part of 1; a score that cannot be counts in full."""
    share = advice.score / 100
    return share if 0 <= share <= 1 else 1.0
