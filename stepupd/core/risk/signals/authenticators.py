"""What is odd about the subject's authenticators, as far as the store knows them."""

from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import NOTHING, Feature
from stepupd.core.risk.signals.kinds import Finding, find

NEW = 7 * 86400.0
"""Seconds for which an enrolled key is new."""
USUAL = 1.0
"""A key of this weight in the profile is a usual one."""


def look_new_authenticator(observation: Observation) -> Finding | None:
    """Find a key that was enrolled less than a week ago."""
    if not observation.credentials:
        return None
    newest = max(observation.credentials, key=lambda credential: credential.created)
    age = max(0.0, observation.now.wall - newest.created)
    days = int(age // 86400)
    when = "today" if days == 0 else f"{days} days ago" if days > 1 else "yesterday"
    return find(1 - age / NEW, f"the key {newest.name} was enrolled {when}")


def look_changed_authenticator(observation: Observation) -> Finding | None:
    """Find a subject that has only other keys left than those it used."""
    if not observation.credentials:
        return None
    profile, wall = observation.profile, observation.now.wall
    known = profile.seen.get(Feature.CREDENTIAL, NOTHING)
    if not known:
        return None
    left = max(
        profile.weigh(Feature.CREDENTIAL, credential.id.hex(), wall)
        for credential in observation.credentials
    )
    usual = max(profile.weigh(Feature.CREDENTIAL, one, wall) for one in known)
    if left >= min(USUAL, usual):
        return None
    reason = "the keys that this subject used are no longer enrolled, others are"
    return find(1 - left / USUAL, reason)


def look_suspect_counter(observation: Observation) -> Finding | None:
    """Find a key that once answered as a copy would."""
    for credential in observation.credentials:
        if credential.is_suspect:
            return Finding(1.0, f"the key {credential.name} may have been copied")
    return None


def look_denied_model(observation: Observation) -> Finding | None:
    """Find a key of a model that the administrator distrusts."""
    for credential in observation.credentials:
        if credential.aaguid in observation.denied_models:
            return Finding(1.0, f"the key {credential.name} is of a model that is distrusted")
    return None
