"""The past as it was: profiles, activity and keys rebuilt by folding the audit log.

The law of this file: an entry is looked at with what stood before it and nothing that came after;
then it is taken in exactly as the daemon takes in what happens. So whoever folds a whole log has
what the daemon had at its end.

Nothing is decided here, and no line is read.
"""

from base64 import urlsafe_b64decode
from dataclasses import dataclass, field, replace
from datetime import datetime, tzinfo

from stepupd.core.model import Caller, Credential, Grant, Moment, Risk, StepUpRequest, Subject
from stepupd.core.policy import Policy
from stepupd.core.rehearsal.past import LEVELS, Past, PastRequest, parse_time
from stepupd.core.risk.activity import Activity, Alert, Event, remember
from stepupd.core.risk.alerts import join_alerts
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.learning import Lesson, learn, learn_crowd, may_teach
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile, make_stranger

CROWD = 2**32 - 1
"""The uid that no account has: the profile of all subjects together."""

_SAME_BOOT = 600.0
"""Seconds by which wall minus boot may drift, or entries be out of order, within one boot."""


@dataclass(slots=True)
class Person:
    """One subject, as far as the fold has come."""

    profile: Profile
    activity: Activity = field(default_factory=Activity)
    credentials: dict[str, Credential] = field(default_factory=dict)
    subject: Subject | None = None
    told: tuple[str, tuple[str, ...] | None] = ("", None)
    """Name and groups as the last entry had them."""


class History:
    """The fold. `groups` are those of subjects whose entries name none, `zone` is the machine's."""

    def __init__(
        self, *, zone: tzinfo | None = None, groups: dict[str, frozenset[str]] | None = None
    ) -> None:
        self.people: dict[int, Person] = {}
        self.crowd = Profile(CROWD)
        self.has_rates = True
        """Whether to keep what only the likelihood ratio asks for: everybody's profile, and how
        often signals fire. It costs time."""
        self.zone = zone
        self.groups = groups or {}
        self._boots = 0
        self._boot_id = ""
        self._started = 0.0
        """When the present boot began, by the wall clock."""

    def find(self, uid: int) -> Person:
        """Return a subject's past; an empty one for who is new."""
        person = self.people.get(uid)
        if person is None:
            person = self.people[uid] = Person(Profile(uid))
        return person

    def observe(
        self, past: Past, policy: Policy, grants: tuple[Grant, ...] = ()
    ) -> Observation | None:
        """Return what the daemon looked at when it answered; None if the entry is no request."""
        if past.request is None:
            return None
        now = self._find_moment(past)
        person, facts = self.find(past.request.subject_uid), past.facts
        return Observation(
            request=self._make_request(past.request, person),
            now=now,
            facts=facts if facts is not None else self._guess_facts(now.wall),
            profile=person.profile,
            activity=person.activity,
            credentials=tuple(person.credentials.values()),
            grants=grants,
            crowd=self.crowd,
            denied_models=policy.denied_models,
        )

    def take_in(
        self, past: Past, seen: Observation | None = None, risk: Risk | None = None
    ) -> None:
        """Take in an entry; of a request, with what was observed and how risky it looked."""
        if seen is not None and past.verdict is not None and past.decision is not None:
            self._teach(past, seen, risk or Risk())
        if past.kind in {"enrol", "remove", "withdrawn"} and past.credential is not None:
            self._follow_key(past)
        elif past.suspect:
            self._suspect_key(past)
        elif past.kind == "forget-profile" and past.subject_uid is not None:
            person = self.find(past.subject_uid)
            person.profile = make_stranger(past.subject_uid)
        elif past.kind == "event" and past.subject_uid is not None and past.lasts > 0:
            self._alert(past, self.find(past.subject_uid))
        elif past.kind == "start":
            # What was done in the last hour is kept in memory only, alerts outlive a restart.
            for person in self.people.values():
                person.activity = Activity(alerts=person.activity.alerts)

    def _alert(self, past: Past, person: Person) -> None:
        now = self.read_clock(past.wall)
        alert = Alert(past.event, past.reason, now.boot + past.lasts)
        held = person.activity.alerts
        joined = join_alerts(held, alert, now.boot, may_shorten=past.caller_uid == 0)
        person.activity = Activity(person.activity.events, joined)

    def _teach(self, past: Past, seen: Observation, risk: Risk) -> None:
        person = self.find(seen.request.subject.uid)
        event = Event(seen.now.boot, seen.request.action, past.is_allowed)
        person.activity = remember(person.activity, event)
        if past.verdict is None or not may_teach(past.verdict.answer, past.verdict.reason):
            return
        evidence = past.evidence
        lesson = Lesson(
            request=seen.request,
            facts=seen.facts,
            now=seen.now,
            signals=tuple(signal.name for signal in risk.signals) if self.has_rates else (),
            is_proved=past.is_proved,
            credential_id=b"" if evidence is None else decode_id(evidence.credential),
        )
        before = person.profile
        person.profile = learn(before, lesson)
        if self.has_rates:
            self.crowd = learn_crowd(self.crowd, before, person.profile, seen.now.wall)

    def read_clock(self, wall: float) -> Moment:
        """Return the moment at which the wall clock shows this, in the boot of the last request."""
        return Moment(wall, wall - self._started, self._boot_id)

    def is_of_this_boot(self, past: Past) -> bool:
        """Return whether a request came in the boot of the last one."""
        wall = past.wall
        return self._is_running(wall - _read_boot(past, wall))

    def _is_running(self, started: float) -> bool:
        return self._boots > 0 and abs(started - self._started) <= _SAME_BOOT

    def _find_moment(self, past: Past) -> Moment:
        wall = past.wall
        boot = _read_boot(past, wall)
        if not self._is_running(wall - boot):
            self._boots += 1
            self._boot_id = str(self._boots)
            self._started = wall - boot
            for person in self.people.values():
                person.activity = Activity()
        return Moment(wall, boot, self._boot_id)

    def _guess_facts(self, wall: float) -> Facts:
        moment = datetime.fromtimestamp(wall, self.zone)
        return Facts(hour=moment.hour, weekday=moment.weekday())

    def _make_request(self, request: PastRequest, person: Person) -> StepUpRequest:
        return StepUpRequest(
            subject=self._find_subject(request, person),
            caller=Caller(request.caller_uid, request.caller_pid, request.door),
            action=request.action,
            session=request.session,
            claim=request.claim,
            level=LEVELS.get(request.level),
            max_age=request.max_age,
        )

    def _find_subject(self, request: PastRequest, person: Person) -> Subject:
        """Return the subject, the same object while nothing about it changes."""
        told = request.subject, request.groups
        if person.subject is None or person.told != told:
            name, groups = told
            found = self.groups.get(name, frozenset()) if groups is None else frozenset(groups)
            person.subject = Subject(request.subject_uid, name, found)
            person.told = told
        return person.subject

    def _follow_key(self, past: Past) -> None:
        credential = past.credential
        if credential is None:
            return
        if past.kind != "enrol":
            for person in self.people.values():
                person.credentials.pop(credential.id, None)
        elif past.is_allowed and credential.subject_uid is not None:
            self.find(credential.subject_uid).credentials[credential.id] = Credential(
                id=decode_id(credential.id),
                subject_uid=credential.subject_uid,
                name=credential.name,
                rp_id="",
                public_key=b"",
                aaguid=bytes.fromhex(credential.aaguid),
                sign_count=0,
                is_attested=credential.is_attested,
                is_simulated=credential.is_simulated,
                created=parse_time(past.time),
                is_suspect=credential.is_suspect,
            )

    def _suspect_key(self, past: Past) -> None:
        """Mark the key that an entry casts suspicion on; an entry that takes it back clears it."""
        for person in self.people.values():
            found = person.credentials.get(past.suspect)
            if found is not None:
                is_suspect = past.kind != "withdrawn"
                person.credentials[past.suspect] = replace(found, is_suspect=is_suspect)


def _read_boot(past: Past, wall: float) -> float:
    """Return the boot clock at a request; older entries do not tell it, and wall stands for it."""
    boot = None if past.request is None else past.request.boot
    return wall if boot is None else boot


def decode_id(text: str) -> bytes:
    """Return a credential's id from base64url without padding; nothing for what is none."""
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        return b""
