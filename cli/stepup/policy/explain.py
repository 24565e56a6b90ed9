"""`stepup policy explain`: what policy says to one request, and why."""

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from time import time

from msgspec.structs import replace as replace_fields

from stepup.errors import CommandError, refuse_usage
from stepup.exits import ExitCode
from stepup.log_paths import find_log
from stepup.policy.answer import Answer, describe_answer, say_answer
from stepup.policy.files import explain_config_error, load
from stepup.policy.past import Recalled, recall
from stepup.terminal import print_json, print_result
from stepupd.core.errors import ConfigError
from stepupd.core.management import FALLBACK_RULE
from stepupd.core.policy import Policy
from stepupd.core.rehearsal.case import make_usual
from stepupd.core.rehearsal.quick_judge import QuickJudge
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Feature, Profile
from stepupd.store.policy_entries import TestEntry
from stepupd.store.policy_tests import make_facts, make_moment, make_request

_TERMINALS = {"pts": "pts/0", "tty": "tty1", "none": ""}
"""A terminal of each kind that is learned."""
_NOBODY = 2**32 - 2
"""The uid of a name that no account here has."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked on the command line; `groups` None means those of the account."""

    action: str = ""
    entry: int | None = None
    user: str = ""
    groups: tuple[str, ...] | None = None
    command: str = ""
    source: str = ""
    country: str = ""
    at: str = ""
    programs: tuple[str, ...] = ()

    @property
    def is_imagined(self) -> bool:
        """Whether any of it describes a request."""
        return any(
            (
                self.action,
                self.user,
                self.groups,
                self.command,
                self.source,
                self.country,
                self.at,
                self.programs,
            )
        )


def explain_request(
    question: Question, files: Sequence[Path], log: Path | None, *, is_json: bool
) -> ExitCode:
    """Print what policy says, and why; return 0, whatever that is."""
    if question.entry is not None and question.is_imagined:
        raise refuse_usage("an entry is a whole request: describe one, or name one with --entry")
    if question.entry is None and not question.action:
        raise refuse_usage("which action?", "stepup policy explain pam:sudo, or --entry N")
    try:
        policy = _add_built_in(load(files).policy)
        if question.entry is None:
            answer = _imagine(question, policy, log)
        else:
            answer = _look_back(question.entry, policy, log)
    except ConfigError as error:
        raise explain_config_error(error) from None
    if is_json:
        print_json(describe_answer(answer))
    else:
        print_result(say_answer(answer))
    return ExitCode.ALLOWED


def _add_built_in(policy: Policy) -> Policy:
    """Return the policy as the daemon has it, in which managing keys needs no rule of its own."""
    return replace(policy, rules=(*policy.rules, FALLBACK_RULE))


def _look_back(entry: int, policy: Policy, log: Path | None) -> Answer:
    path = find_log(log).log
    recalled = recall(path, policy, entry=entry)
    if recalled.past is None or recalled.seen is None:
        raise refuse_usage(f"entry {entry} is no request, or is not there", "stepup audit show")
    return _judge(policy, recalled.seen, recalled)


def _imagine(question: Question, policy: Policy, log: Path | None) -> Answer:
    user = question.user or _find_own_name()
    entry = TestEntry(
        name="",
        action=question.action,
        expect="",
        subject=user,
        groups=_find_groups(user) if question.groups is None else question.groups,
        command=question.command,
        source=question.source,
        country=question.country.upper(),
        programs=question.programs,
        at=_find_time(question.at),
    )
    try:
        now, facts = make_moment(entry), make_facts(entry)
    except (ValueError, OverflowError) as error:
        raise refuse_usage(str(error)) from None
    try:
        recalled = recall(find_log(log).log, policy, name=user, until=now.wall)
    except CommandError:
        if log is not None:
            raise
        recalled = Recalled()
    uid = _find_uid(user) if recalled.uid is None else recalled.uid
    uid = _NOBODY if uid is None else uid
    if recalled.history is None or recalled.replay is None:
        usual = make_usual(policy, make_request(entry, uid), now, facts)
        return _judge(policy, usual, recalled)
    person = recalled.history.find(uid)
    entry = _fill_in(entry, person.profile, now.wall)
    seen = Observation(
        request=make_request(entry, uid),
        now=recalled.history.read_clock(now.wall),
        facts=make_facts(entry),
        profile=person.profile,
        activity=person.activity,
        credentials=tuple(person.credentials.values()),
        grants=recalled.replay.list_grants(uid),
        crowd=recalled.history.crowd,
        denied_models=policy.denied_models,
    )
    return _judge(policy, seen, recalled)


def _fill_in(entry: TestEntry, profile: Profile, wall: float) -> TestEntry:
    """Return the request with what is usual for the person where nothing was said."""
    program = _find_usual(profile, Feature.PROGRAM, wall)
    terminal = _find_usual(profile, Feature.TERMINAL, wall)
    programs = entry.programs or ((program,) if program else ())
    return replace_fields(
        entry, programs=programs, terminal=_TERMINALS.get(terminal, entry.terminal)
    )


def _find_usual(profile: Profile, feature: Feature, wall: float) -> str:
    """Return the value that was seen most; "" if nothing was."""
    values = profile.seen.get(feature, {})
    return max(values, key=lambda value: profile.weigh(feature, value, wall), default="")


def _judge(policy: Policy, seen: Observation, recalled: Recalled) -> Answer:
    decision = QuickJudge(policy).judge(seen)
    is_recalled = recalled.history is not None
    return Answer(policy, seen, decision, recalled.past, is_recalled=is_recalled)


def _find_time(text: str) -> str:
    """Return the time as ISO 8601: now if it is empty, today if there is no date."""
    today = datetime.fromtimestamp(time()).astimezone()
    if not text:
        return today.isoformat()
    return text if "-" in text else f"{today:%Y-%m-%d}T{text}"


def _find_own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise refuse_usage("you have no name here", "--user NAME") from None


def _find_uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _find_groups(name: str) -> tuple[str, ...]:
    from stepup.policy.groups import list_groups

    return tuple(sorted(list_groups(name)))
