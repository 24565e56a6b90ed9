"""Signals: what makes a request riskier, each a pure function with a name and a reason in words.

The law of this package: a signal sees an `Observation` and nothing else; it finds something or it
does not, and finding more never lowers a risk. Weighing is not done here, see `core.risk.assess`.
"""

from stepupd.core.risk.signals.kinds import Finding, SignalKind
from stepupd.core.risk.signals.table import DEFAULT_WEIGHTS, SIGNALS

__all__ = ["DEFAULT_WEIGHTS", "SIGNALS", "Finding", "SignalKind"]
