"""A town of people at their machines, made from a seed: what `population` is measured on.

Ordinary life is untidy on purpose: people travel, change addresses, work late before a release,
run things in loops, get a new laptop. An attack is one that has what a thief would have (a live
session, a stolen key of ssh, a program let loose) and does what a thief would do. Nothing in a
policy knows of it.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from stepupd.core.model import Caller, Claim, Door, Moment, Session, StepUpRequest, Subject
from stepupd.core.risk.facts import Facts

START = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday."""
DAY = 86400.0

HOMES = (
    ("NO", 59.91, 10.75), ("DE", 52.52, 13.40), ("FR", 48.86, 2.35), ("PL", 52.23, 21.01),
    ("GB", 51.51, -0.13), ("ES", 40.42, -3.70),
)  # fmt: skip
AWAY = (("US", 40.71, -74.01), ("JP", 35.68, 139.69), ("PT", 38.72, -9.14), ("IT", 41.90, 12.50))
STRANGE = (
    ("BR", -23.55, -46.63),
    ("VN", 21.03, 105.85),
    ("NG", 6.52, 3.38),
    ("US", 47.61, -122.33),
)

COMMANDS = (
    ("/usr/bin/systemctl", "restart"), ("/usr/bin/systemctl", "status"), ("/usr/bin/apt", "update"),
    ("/usr/bin/apt", "install"), ("/usr/bin/journalctl", "-u"), ("/usr/bin/docker", "ps"),
    ("/usr/bin/docker", "restart"), ("/usr/bin/vim", "/etc/hosts"), ("/usr/bin/less", "/var/log"),
    ("/usr/sbin/nft", "list"), ("/usr/bin/tcpdump", "-i"), ("/usr/bin/rsync", "-a"),
)  # fmt: skip
RARE = (
    ("/usr/bin/cat", "/etc/shadow"), ("/usr/sbin/useradd", "-m"), ("/usr/bin/tar", "cf"),
    ("/usr/bin/chmod", "u+s"), ("/usr/bin/crontab", "-e"), ("/usr/bin/scp", "-r"),
)  # fmt: skip
OFFICE = "192.0.2.{}"


@dataclass(frozen=True, slots=True)
class Event:
    """One request of the town; `attack` names its kind, "" for ordinary life."""

    request: StepUpRequest
    facts: Facts
    now: Moment
    attack: str = ""
    case: int = 0
    """Requests of one attack have one number."""


@dataclass(slots=True)
class Person:
    """Somebody with habits."""

    subject: Subject
    dice: random.Random
    home: tuple[str, float, float]
    address: str
    begins: float
    requests: float
    commands: tuple[tuple[str, str], ...]
    agent: bool
    away: tuple[int, int] = (0, 0)
    place: tuple[str, float, float] = ("", 0.0, 0.0)
    sessions: int = field(default=0)


def people(count: int, seed: int) -> list[Person]:
    """Return that many people."""
    dice = random.Random(seed)  # noqa: S311 - seeds are fixed
    return [_make_person(number, random.Random(dice.random())) for number in range(count)]  # noqa: S311


def live(persons: list[Person], days: int, seed: int) -> Iterator[Event]:
    """Yield everybody's requests and the attacks, in the order of time."""
    dice = random.Random(seed)  # noqa: S311 - seeds are fixed
    for day in range(days):
        events = [event for person in persons for event in _spend_day(person, day)]
        events += _attack(persons, day, dice)
        yield from sorted(events, key=lambda event: event.now.wall)


def _make_person(number: int, dice: random.Random) -> Person:
    away = dice.randint(20, 80)
    return Person(
        subject=Subject(1000 + number, f"user{number}", frozenset({"ops", f"user{number}"})),
        dice=dice,
        home=dice.choice(HOMES),
        address=f"198.51.{number % 200}.{dice.randint(2, 250)}",
        begins=dice.gauss(8.5, 1.0),
        requests=dice.choice((2.0, 4.0, 6.0, 10.0, 16.0)),
        commands=tuple(dice.sample(COMMANDS, dice.randint(3, 8))),
        agent=dice.random() < 0.15,
        away=(away, away + dice.randint(3, 10)) if dice.random() < 0.4 else (0, 0),
    )


def _spend_day(person: Person, day: int) -> Iterator[Event]:
    dice = person.dice
    is_free = day % 7 >= 5
    if dice.random() < (0.9 if is_free else 0.08):
        return
    is_away = person.away[0] <= day < person.away[1]
    at_office = not is_away and dice.random() < 0.4
    country, latitude, longitude = AWAY[person.subject.uid % len(AWAY)] if is_away else person.home
    if is_away:
        source = f"203.0.{person.subject.uid % 200}.{person.away[0]}"
    elif at_office:
        source = OFFICE.format(person.subject.uid % 250 + 1)
    else:
        source = person.address
        if dice.random() < 0.02:  # a new address from the provider
            person.address = source = source.rpartition(".")[0] + f".{dice.randint(2, 250)}"
    begins = person.begins + dice.gauss(0, 0.5) + (6 if dice.random() < 0.03 else 0)
    times = sorted(
        (begins + dice.triangular(0, 9, 3)) % 24
        for _ in range(max(1, round(dice.gauss(person.requests, 2))))
    )
    if dice.random() < 0.03:  # something is run in a loop
        times = sorted([*times, *(times[0] + n / 300 for n in range(15))])
    facts = Facts(
        source=source,
        country=country,
        latitude=latitude,
        longitude=longitude,
        is_active=None,
        ssh_client="SSH-2.0-OpenSSH_9.6",
    )
    person.sessions += 1
    for hour in times:
        is_agent = person.agent and dice.random() < 0.3
        programs = ("sudo", "bash", "claude", "bash") if is_agent else ("sudo", "bash", "sshd")
        command = dice.choice(person.commands if dice.random() < 0.97 else COMMANDS)
        yield _event(person, day, hour, replace(facts, programs=programs), command, person.sessions)


def _attack(persons: list[Person], day: int, dice: random.Random) -> list[Event]:
    """Return what the thieves do today: nothing in the first three weeks, while habits form."""
    if day < 21:
        return []
    kinds = (steal_session, come_from_abroad, burst_at_night, run_wild, travel_impossibly)
    victims = dice.sample(persons, dice.randint(3, 7))
    return [event for person in victims for event in dice.choice(kinds)(person, day, dice)]


def steal_session(person: Person, day: int, dice: random.Random) -> list[Event]:
    """Take over a live session: through a web server's hole, or with the key from elsewhere."""
    if dice.random() < 0.5:
        facts = _usual_facts(person, ("sudo", "sh", "nginx"))
    else:  # a neighbour's address, in the person's own town
        elsewhere = f"100.64.{dice.randint(0, 255)}.{dice.randint(1, 250)}"
        facts = replace(
            _usual_facts(person, ("sudo", "bash", "sshd")),
            source=elsewhere,
            ssh_client="SSH-2.0-paramiko_3.4.0",
        )
    hour = person.begins + dice.uniform(1, 6)
    return _do(person, day, hour, facts, dice.sample(RARE, 3), "stolen session")


def come_from_abroad(person: Person, day: int, dice: random.Random) -> list[Event]:
    """Use the person's ssh key from a country that the person never was in."""
    country, latitude, longitude = dice.choice(STRANGE)
    facts = Facts(
        source=f"100.{dice.randint(64, 120)}.{dice.randint(0, 255)}.{dice.randint(1, 250)}",
        country=country,
        latitude=latitude,
        longitude=longitude,
        programs=("sudo", "bash", "sshd"),
        ssh_client="SSH-2.0-libssh2_1.11.0",
    )
    hour = dice.uniform(0, 24)
    return _do(person, day, hour, facts, dice.sample(RARE, 2), "new country")


def burst_at_night(person: Person, day: int, dice: random.Random) -> list[Event]:
    """Make forty requests from the usual address at an hour when the person sleeps."""
    facts = _usual_facts(person, ("sudo", "bash", "sshd"))
    hour = (person.begins - dice.uniform(5, 7)) % 24
    commands = [dice.choice(COMMANDS + RARE) for _ in range(40)]
    return _do(person, day, hour, facts, commands, "night burst")


def run_wild(person: Person, day: int, dice: random.Random) -> list[Event]:
    """Let an agent do what nobody asked for in the person's session, quickly."""
    facts = _usual_facts(person, ("sudo", "bash", "node", "claude"))
    hour = person.begins + dice.uniform(1, 8)
    commands = [dice.choice(RARE + COMMANDS) for _ in range(30)]
    return _do(person, day, hour, facts, commands, "agent run wild")


def travel_impossibly(person: Person, day: int, dice: random.Random) -> list[Event]:
    """Have the person at work, and twenty minutes later on another continent."""
    country, latitude, longitude = dice.choice(STRANGE)
    hour = person.begins + dice.uniform(1, 6)
    usual = _event(
        person, day, hour, _usual_facts(person, ("sudo", "bash", "sshd")), person.commands[0], 0
    )
    facts = Facts(
        source=f"100.{dice.randint(64, 120)}.{dice.randint(0, 255)}.{dice.randint(1, 250)}",
        country=country,
        latitude=latitude,
        longitude=longitude,
        programs=("sudo", "bash", "sshd"),
        ssh_client="SSH-2.0-OpenSSH_9.6",
    )
    return [
        usual,
        *_do(person, day, hour + 1 / 3, facts, person.commands[:2], "impossible travel"),
    ]


def _usual_facts(person: Person, programs: tuple[str, ...]) -> Facts:
    country, latitude, longitude = person.home
    return Facts(
        source=person.address,
        country=country,
        latitude=latitude,
        longitude=longitude,
        programs=programs,
        ssh_client="SSH-2.0-OpenSSH_9.6",
    )


def _do(
    person: Person,
    day: int,
    hour: float,
    facts: Facts,
    commands: "list[tuple[str, str]] | tuple[tuple[str, str], ...]",
    kind: str,
) -> list[Event]:
    case = day * 100_000 + person.subject.uid
    return [
        replace(
            _event(person, day, hour + n / 360, facts, command, person.sessions),
            attack=kind,
            case=case,
        )
        for n, command in enumerate(commands)
    ]


def _event(
    person: Person,
    day: int,
    hour: float,
    facts: Facts,
    command: tuple[str, str],
    session: int,
) -> Event:
    moment = START + timedelta(days=day, hours=hour)
    wall = moment.timestamp()
    request = StepUpRequest(
        subject=person.subject,
        caller=Caller(0, 4000, Door.RELAY),
        action="pam:sudo",
        session=Session(5000 + session, 100_000 + session, "pts/1"),
        claim=Claim(command=command),
    )
    facts = replace(facts, hour=moment.hour, weekday=moment.weekday())
    return Event(request, facts, Moment(wall, wall - START.timestamp() + 10 * DAY, "boot"))
