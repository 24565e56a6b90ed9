"""`[[test]]` tables of policy files, from text to cases; whatever is wrong comes with its place.

The law of this file: a test that cannot fail is an error. What it expects is one of the words that
a policy can answer with, and the rules and signals that it names are there.

Not done here: running them (`core.rehearsal.case`). The daemon never reads what a test means.
"""

from datetime import datetime
from ipaddress import ip_address

from stepupd.core.model import Caller, Claim, Door, Level, Moment, Session, StepUpRequest, Subject
from stepupd.core.policy import Policy
from stepupd.core.rehearsal.case import Case
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.signals import SIGNALS
from stepupd.store.policy_entries import PolicyEntry, TestEntry
from stepupd.store.spelling import suggest
from stepupd.store.toml_files import Document

EXPECTATIONS = ("allow", *(level.word for level in Level), "deny")
"""What a test may expect."""
UP = 3 * 86400.0
"""Seconds that the machine of a test has been up."""

_UID = 1000
_LOCAL = ("bash", "gnome-terminal-server", "systemd")
_REMOTE = ("bash", "sshd-session", "sshd", "systemd")


def read_cases(
    documents: tuple[Document, ...], policy: Policy
) -> tuple[tuple[Document, Case], ...]:
    """Return the tests of all files, in order, each with its file. Raises ConfigError."""
    found = []
    for document in documents:
        for index, entry in enumerate(document.convert(PolicyEntry).test):
            found.append((document, _CaseReader(document, index, entry, policy).read()))
    return tuple(found)


class _CaseReader:
    """Reads one test; knows where it stands."""

    def __init__(self, document: Document, index: int, entry: TestEntry, policy: Policy) -> None:
        self.document = document
        self.index = index
        self.entry = entry
        self.policy = policy

    def read(self) -> Case:
        entry = self.entry
        if entry.expect not in EXPECTATIONS:
            self.refuse("expect", f"{entry.expect!r} is none of {', '.join(EXPECTATIONS)}")
        if entry.risk is not None and entry.risk < 0:
            self.refuse("risk", "a score is at least 0")
        if entry.risk is not None and entry.signals:
            self.refuse("signals", "a test says either `risk` or `signals`: one gives the other")
        for name in entry.signals:
            if name not in SIGNALS:
                hint = suggest(name, SIGNALS, "stepupd-policy(5) lists them")
                self.refuse("signals", f"there is no signal {name!r}", hint)
            if not self.policy.weights.get(name):
                self.refuse("signals", f"{name!r} weighs nothing in this policy")
        self.check_rule()
        self.check_words()
        return Case(
            name=entry.name,
            request=make_request(entry, _UID),
            now=make_moment(entry),
            facts=make_facts(entry),
            expect=entry.expect,
            rule=entry.rule,
            signals=entry.signals,
            risk=entry.risk,
        )

    def check_rule(self) -> None:
        # "" is what decides where no rule does.
        names = {rule.name for rule in self.policy.rules} | {"", "risk ladder"}
        if self.entry.rule is not None and self.entry.rule not in names:
            self.refuse("rule", f"there is no rule named {self.entry.rule!r}")

    def check_words(self) -> None:
        for key, make in (("at", make_moment), ("from", make_facts)):
            try:
                make(self.entry)
            except (ValueError, OverflowError) as error:
                self.refuse(key, str(error))

    def refuse(self, key: str, message: str, hint: str = "") -> None:
        raise self.document.fault(("test", self.index, key), message, hint)


def make_request(entry: TestEntry, uid: int) -> StepUpRequest:
    """Return the request that is imagined: of root's program for PAM, else of the subject's own."""
    command = entry.command.split() if isinstance(entry.command, str) else entry.command
    is_pam = entry.action.startswith("pam:")
    return StepUpRequest(
        subject=Subject(uid, entry.subject, frozenset(entry.groups)),
        caller=Caller(0, 1, Door.RELAY) if is_pam else Caller(uid, 1, Door.SOCKET),
        action=entry.action,
        session=Session(1, 1, entry.terminal) if entry.terminal else None,
        claim=Claim(tuple(command), reason=entry.reason, rhost=entry.source if is_pam else ""),
    )


def make_moment(entry: TestEntry) -> Moment:
    """Return when it is, for a machine that has been up for long. Raises ValueError."""
    return Moment(_read_time(entry.at).timestamp(), UP, "imagined")


def make_facts(entry: TestEntry) -> Facts:
    """Return the circumstances, ordinary ones where nothing is said. Raises ValueError."""
    moment, source = _read_time(entry.at), entry.source
    if source:
        ip_address(source)
    return Facts(
        hour=moment.hour,
        weekday=moment.weekday(),
        source=source,
        country=entry.country,
        programs=entry.programs or (_REMOTE if source else _LOCAL),
        is_active=True if entry.active is None and not source else entry.active,
        is_locked=False if entry.locked is None and not source else entry.locked,
        ssh_key=entry.ssh_key,
        ssh_client=entry.ssh_client,
    )


def _read_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise ValueError(f'{text!r} is no time; write "2026-03-02T23:30"') from None
