"""What this subject never did before, or not for long.

The law of this file: a value that was never seen fires as strongly as the profile is full; one that
was seen fades back to new as its weight falls below `KNOWN`. What is not known ("") is no novelty
here: if an observer failed to see it, that counts in full elsewhere.
"""

from stepupd.core.risk.features import VALUES, show_values
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import (
    HALF_LIFE,
    KNOWN,
    NOTHING,
    WARM_UP,
    Feature,
    Profile,
    fade,
)
from stepupd.core.risk.signals.kinds import Finding, Look, find

SETTLED = 2 * KNOWN
"""The weight that is `KNOWN` a half-life later, and until then needs no sum."""

_DAY = 86400.0


def judge_warmth(profile: Profile, hours: int = WARM_UP) -> float:
    """Return how much of its warm-up a profile has behind it, from 0 to 1."""
    return min(1.0, profile.hours / hours)


def make_novelty(feature: Feature, what: str) -> Look:
    """Return the signal of a feature's new values; `what` names such a value in words."""
    find_value = VALUES[feature]

    def look(observation: Observation) -> Finding | None:
        value = find_value(observation.request, observation.facts)
        if not value:
            return None
        profile, wall = observation.profile, observation.now.wall
        sighting = profile.seen.get(feature, NOTHING).get(value)
        if sighting is None:
            return find(judge_warmth(profile), f"the first time from this subject: {what} {value}")
        age = wall - sighting.at
        if sighting.weight >= SETTLED and age < HALF_LIFE:
            return None
        strength = 1 - fade(sighting.weight, age) / KNOWN
        if strength <= 0:
            return None
        days = max(0.0, age) / _DAY
        reason = f"seldom from this subject: {what} {value}, last learned {days:.0f} days ago"
        return find(judge_warmth(profile) * strength, reason)

    return look


def has_nothing_new(observation: Observation) -> bool:
    """Return whether all values are settled: then no signal of this file finds anything.

    One look for all of them together. It may say no where none of them would find anything.
    """
    seen, wall = observation.profile.seen, observation.now.wall
    try:
        for feature, value in show_values(observation.request, observation.facts).items():
            sighting = seen[feature][value]
            if sighting.weight < SETTLED or wall - sighting.at >= HALF_LIFE:
                return False
    except KeyError:  # Never seen.
        return False
    return True


look_at_source = make_novelty(Feature.SOURCE, "the address")
look_at_network = make_novelty(Feature.NETWORK, "the network")
look_at_country = make_novelty(Feature.COUNTRY, "the country")
look_at_command = make_novelty(Feature.COMMAND, "the command")
look_at_action = make_novelty(Feature.ACTION, "the action")
look_at_terminal = make_novelty(Feature.TERMINAL, "the kind of terminal")
look_at_program = make_novelty(Feature.PROGRAM, "asked through the program")
look_at_ssh_key = make_novelty(Feature.SSH_KEY, "the ssh key")
look_at_ssh_client = make_novelty(Feature.SSH_CLIENT, "the ssh client")
