"""Much in a short time: requests, failures, distinct actions.

The law of this file: the subject's own rate may widen what is ordinary, up to a bound; a floor
keeps a person who types fast from being a burst. What is counted ended within the last hour.
"""

from stepupd.core.risk.activity import MAX_EVENTS
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import NOTHING, Feature
from stepupd.core.risk.signals.kinds import Finding, find, ramp

SHORT = 300.0
"""Seconds of the short look; the long one is an hour."""
LONG = 3600.0
REQUESTS_SHORT, REQUESTS_LONG = 10.0, 20.0
"""Requests that are never a burst."""
RATE_SHORT, RATE_LONG = 2.0, 4.0
"""How many times the subject's own hour is not one."""
MAX_RATE = MAX_EVENTS / 2
"""However busy a subject is, more than this is one; at twice this it counts in full."""
FAILURES, MANY_FAILURES = 2.0, 6.0
"""Failures in an hour that are nobody's fault, and those that count in full."""
ACTIONS = 5.0
"""Distinct actions in an hour that are ordinary for anybody."""


def look_at_requests(observation: Observation) -> Finding | None:
    """Find many more requests than this subject makes."""
    now, events = observation.now.boot, observation.activity.events
    if len(events) < REQUESTS_SHORT:
        return None
    hourly = observation.profile.hourly
    short = 1 + sum(now - event.at < SHORT for event in events)
    long = 1 + sum(now - event.at < LONG for event in events)
    usual_short = min(MAX_RATE, max(REQUESTS_SHORT, RATE_SHORT * hourly))
    usual_long = min(MAX_RATE, max(REQUESTS_LONG, RATE_LONG * hourly))
    in_short = ramp(short, usual_short, 2 * usual_short)
    in_long = ramp(long, usual_long, 2 * usual_long)
    if in_short >= in_long:
        return find(in_short, f"{short} requests in five minutes")
    return find(in_long, f"{long} requests in an hour")


def look_at_failures(observation: Observation) -> Finding | None:
    """Find requests of this subject that were not allowed, several in an hour."""
    now, events = observation.now.boot, observation.activity.events
    if len(events) <= FAILURES:
        return None
    failures = sum(not event.is_allowed and now - event.at < LONG for event in events)
    if failures <= FAILURES:
        return None
    reason = f"{failures} requests in an hour were not allowed"
    return find(ramp(failures, FAILURES, MANY_FAILURES), reason)


def look_at_actions(observation: Observation) -> Finding | None:
    """Find more distinct actions in an hour than this subject is known for."""
    now, events = observation.now.boot, observation.activity.events
    if len(events) < ACTIONS:
        return None
    actions = {event.action for event in events if now - event.at < LONG}
    actions.add(observation.request.action)
    known = len(observation.profile.seen.get(Feature.ACTION, NOTHING))
    usual = max(ACTIONS, known / 2)
    return find(ramp(len(actions), usual, 2 * usual), f"{len(actions)} kinds of action in an hour")
