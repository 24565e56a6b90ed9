"""Whether a person is there: the seat, the screen, the last proof, the machine's own waking."""

from stepupd.core.risk.observation import Observation
from stepupd.core.risk.signals.kinds import Finding, find, ramp

BOOTED, RESUMED = 300.0, 120.0
"""Seconds for which a machine has just booted, just woken up."""
LONG, VERY_LONG = 7 * 86400.0, 30 * 86400.0
"""Seconds without a proof from which on it is long, and counts in full."""
CLOCK_SLACK = 300.0
"""Seconds by which the wall clock may be set back before its times mean nothing."""


def look_inactive_seat(observation: Observation) -> Finding | None:
    """Find a session with a seat that somebody else is using."""
    if observation.facts.is_active is not False:
        return None
    return Finding(1.0, "the session is in the background of its seat")


def look_locked_screen(observation: Observation) -> Finding | None:
    """Find a session whose screen is locked."""
    if not observation.facts.is_locked:
        return None
    return Finding(1.0, "the session's screen is locked")


def look_long_since_proof(observation: Observation) -> Finding | None:
    """Find a subject that did not prove itself for a week, or never."""
    proved, wall = observation.profile.proved, observation.now.wall
    if proved is None:
        return Finding(1.0, "this subject never proved itself here, as far as is known")
    if proved > wall + CLOCK_SLACK:
        return Finding(1.0, "the last proof is in the future: the clock was set back")
    if wall - proved <= LONG:
        return None
    strength = ramp(wall - proved, LONG, VERY_LONG)
    return find(strength, f"the last proof was {(wall - proved) / 86400:.0f} days ago")


def look_just_booted(observation: Observation) -> Finding | None:
    """Find a machine in its first minutes."""
    boot = observation.now.boot
    if boot >= BOOTED:
        return None
    return find(1 - boot / BOOTED, f"the machine booted {boot:.0f} seconds ago")


def look_just_resumed(observation: Observation) -> Finding | None:
    """Find a machine that has just woken up."""
    since = observation.facts.since_resume
    if since is None:
        return None
    return find(1 - since / RESUMED, f"the machine woke up {since:.0f} seconds ago")
