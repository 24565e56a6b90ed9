"""Everything that a signal or a condition may look at."""

import msgspec

from stepupd.core.model import Credential, Grant, Moment, StepUpRequest
from stepupd.core.risk.activity import Activity
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.profile import Profile


class Observation(msgspec.Struct, frozen=True):
    """One request among its circumstances and the subject's habits."""

    request: StepUpRequest
    now: Moment
    facts: Facts
    profile: Profile
    activity: Activity
    credentials: tuple[Credential, ...] = ()
    grants: tuple[Grant, ...] = ()
    crowd: Profile | None = None
    """What is usual for everybody on this machine together, for the likelihood ratio."""
    denied_models: frozenset[bytes] = frozenset()
    """AAGUIDs of models of authenticators that the administrator distrusts."""
