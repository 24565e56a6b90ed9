"""What a subject's requests did in the last hour; kept in memory only, gone with the daemon."""

from dataclasses import dataclass

import msgspec

WINDOW = 3600.0
"""Seconds."""
MAX_EVENTS = 256
"""More than that is a burst whatever the rest was."""


class Event(msgspec.Struct, frozen=True):
    """One request that ended. `at` is the boot clock."""

    at: float
    action: str
    is_allowed: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a trusted caller told us of a subject; `until` is the boot clock."""

    kind: str
    """The event's name in OpenID CAEP or RISC, such as "session-revoked"."""
    reason: str
    until: float


class Activity(msgspec.Struct, frozen=True):
    """The last hour of one subject, oldest first, and the alerts that hold."""

    events: tuple[Event, ...] = ()
    alerts: tuple[Alert, ...] = ()


def remember(activity: Activity, event: Event) -> Activity:
    """Return the activity with one more event, and without what is older than the window."""
    events, alerts = activity.events, activity.alerts
    if events:
        events = tuple([old for old in events if event.at - old.at < WINDOW])
    if alerts:
        alerts = tuple([alert for alert in alerts if alert.until > event.at])
    return Activity((*events, event)[-MAX_EVENTS:], alerts)
