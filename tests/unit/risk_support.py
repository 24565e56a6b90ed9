"""Factories for the tests of risk: a subject with a past, seen in ordinary circumstances."""

from dataclasses import replace

from core_support import NOW, make_request
from msgspec.structs import replace as change

from stepupd.core.risk.activity import Activity, Event
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.learning import Lesson, learn
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile

HOUR, DAY = 3600.0, 86400.0
KEY = b"usual-key"
OFFICE = Facts(
    hour=10,
    weekday=1,
    source="198.51.100.7",
    country="DE",
    latitude=52.5,
    longitude=13.4,
    programs=("sudo", "bash", "sshd"),
    ssh_key="SHA256:usual",
    ssh_client="SSH-2.0-OpenSSH_9.9",
)


def at(seconds, base=NOW):
    """Return a moment so much later than another."""
    return replace(base, wall=base.wall + seconds, boot=base.boot + seconds)


def make_lesson(now=NOW, facts=OFFICE, **changes) -> Lesson:
    request = changes.pop("request", None) or make_request()
    made = Lesson(request, facts, now, is_proved=True, credential_id=KEY)
    return change(made, **changes)


def make_profile(hours=60, facts=OFFICE, now=NOW, **changes) -> Profile:
    """Return the profile of one who proved himself once in each of the hours before now."""
    profile = Profile(1000)
    for ago in range(hours, 0, -1):
        profile = learn(profile, make_lesson(at(-ago * HOUR, now), facts, **changes))
    return profile


SETTLED = make_profile(signals=("remote",))


def observe(facts=OFFICE, **changes) -> Observation:
    made = Observation(make_request(), NOW, facts, SETTLED, Activity())
    return change(made, **changes)


def make_activity(*ages, action="pam:sudo", is_allowed=True, alerts=()) -> Activity:
    """Return an activity with one event for each age, in seconds before now."""
    events = (Event(NOW.boot - age, action, is_allowed) for age in sorted(ages, reverse=True))
    return Activity(tuple(events), tuple(alerts))
