"""What a replay adds up to: prompts, seconds, denials, and what became of risky requests.

The law of this file: adding rows one by one and merging two sums gives the same as all rows at
once, so that a log may be replayed in parts, by subject. A request is risky where its score, then
or under the candidate, reaches the ladder's lowest step; it is caught better if it is met by more
than then, and missed if it is met by less.
"""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from stepupd.core.rehearsal.replay import DENIED, PASSED, Row

EXAMPLES = 20
"""Risky entries of each kind that are named."""


@dataclass(slots=True)
class Person:
    """One subject's sum. Milliseconds in `answers` are measured, of proofs."""

    name: str = ""
    requests: int = 0
    days: dict[str, list[int]] = field(default_factory=dict)
    """Prompts before and after, by day on which the subject asked for anything."""
    answers: "array[float]" = field(default_factory=lambda: array("d"))
    new_prompts: int = 0
    kept_ms: float = 0.0
    """Measured milliseconds of the proofs that the candidate asks for as well."""
    denials: list[int] = field(default_factory=lambda: [0, 0])

    @property
    def before(self) -> int:
        """Prompts then."""
        return sum(counts[0] for counts in self.days.values())

    @property
    def after(self) -> int:
        """Prompts under the candidate."""
        return sum(counts[1] for counts in self.days.values())


@dataclass(slots=True)
class RuleCount:
    """What one rule did: requests that it decided, prompts among them, denials."""

    requests: int = 0
    prompts: int = 0
    denials: int = 0


@dataclass(slots=True)
class Tally:
    """The sum of all rows. `lowest` is the score from which a request is risky, None for never."""

    lowest: int | None = None
    entries: int = 0
    unreadable: int = 0
    requests: int = 0
    first: str = ""
    last: str = ""
    people: dict[int, Person] = field(default_factory=dict)
    met: Counter[tuple[str, int, str, int, bool]] = field(default_factory=Counter)
    """Requests by rule and answer then, by rule and answer now, and whether they were allowed."""
    risky: int = 0
    caught: int = 0
    missed: int = 0
    better: list[Row] = field(default_factory=list)
    worse: list[Row] = field(default_factory=list)
    policies: Counter[str] = field(default_factory=Counter)
    """Requests by the digest of the policy that met them then."""
    bare: int = 0
    """Requests of which no circumstances were recorded: that policy weighed nothing."""

    def add(self, row: Row) -> None:
        """Add one request."""
        self.requests += 1
        time = row.time
        if time < self.first or not self.first:
            self.first = time
        self.last = max(self.last, time)
        before, after = row.before, row.after
        self.met[before.rule, before.met, after.rule, after.met, row.was_allowed] += 1
        self._add_to_person(row)
        if self.lowest is not None and max(before.score, after.score) >= self.lowest:
            self._add_risky(row)

    def merge(self, other: "Tally") -> None:
        """Add another sum, of other subjects."""
        self.requests += other.requests
        self.first = min(filter(None, (self.first, other.first)), default="")
        self.last = max(self.last, other.last)
        self.people |= other.people
        self.met += other.met
        self.policies += other.policies
        self.bare += other.bare
        self.risky += other.risky
        self.caught += other.caught
        self.missed += other.missed
        self.better = sorted((*self.better, *other.better), key=_by_seq)[:EXAMPLES]
        self.worse = sorted((*self.worse, *other.worse), key=_by_seq)[:EXAMPLES]

    @property
    def differences(self) -> int:
        """Requests that the candidate meets in another way."""
        return sum(n for (_, before, _, after, _), n in self.met.items() if before != after)

    @property
    def denials_added(self) -> int:
        """Requests that were allowed then, and are denied now."""
        return sum(n for (*_, now, allowed), n in self.met.items() if allowed and now == DENIED)

    @property
    def denials_removed(self) -> int:
        """Requests that policy denied then, and does not now."""
        return sum(n for (_, then, _, now, _), n in self.met.items() if then == DENIED != now)

    def count_rules(self) -> dict[str, tuple[RuleCount, RuleCount]]:
        """Return what each rule did, before and after; "" is no rule."""
        rules: dict[str, tuple[RuleCount, RuleCount]] = {}
        for (one, then, other, now, _), count in self.met.items():
            for at, (name, met) in enumerate(((one, then), (other, now))):
                counts = rules.setdefault(name, (RuleCount(), RuleCount()))[at]
                counts.requests += count
                counts.prompts += count * (PASSED < met < DENIED)
                counts.denials += count * (met == DENIED)
        return rules

    def count_seconds(self) -> tuple[float, float]:
        """Return the seconds that people spent on proofs, and would have spent.

        A new prompt takes the subject's median; where nothing was measured, that of everybody.
        """
        everybody = [ms for person in self.people.values() for ms in person.answers]
        usual = median(everybody) if everybody else 0.0
        before = after = 0.0
        for person in self.people.values():
            own = median(person.answers) if person.answers else usual
            before += sum(person.answers)
            after += person.kept_ms + person.new_prompts * own
        return before / 1000, after / 1000

    def list_daily(self) -> tuple[list[int], list[int]]:
        """Return the prompts of every subject on every day it asked, sorted: before, after."""
        pairs = [counts for person in self.people.values() for counts in person.days.values()]
        return sorted(pair[0] for pair in pairs), sorted(pair[1] for pair in pairs)

    def list_days(self) -> dict[str, list[int]]:
        """Return the prompts of everybody, by day: before, after."""
        days: dict[str, list[int]] = {}
        for person in self.people.values():
            for day, counts in person.days.items():
                total = days.setdefault(day, [0, 0])
                total[0] += counts[0]
                total[1] += counts[1]
        return dict(sorted(days.items()))

    def _add_to_person(self, row: Row) -> None:
        person = self.people.get(row.uid)
        if person is None:
            person = self.people[row.uid] = Person(row.subject)
        person.requests += 1
        day = row.day
        counts = person.days.get(day)
        if counts is None:
            counts = person.days[day] = [0, 0]
        if row.person is not None:
            person.answers.append(row.person)
        before, after = row.before.met, row.after.met
        if before == DENIED:
            person.denials[0] += 1
        elif before != PASSED:
            counts[0] += 1
        if after == DENIED:
            person.denials[1] += 1
        elif after != PASSED:
            counts[1] += 1
            if row.person is not None:
                person.kept_ms += row.person
            elif row.was_allowed:
                person.new_prompts += 1

    def _add_risky(self, row: Row) -> None:
        self.risky += 1
        if row.after.met > row.before.met:
            self.caught += 1
            if len(self.better) < EXAMPLES:
                self.better.append(row)
        elif row.after.met < row.before.met:
            self.missed += 1
            if len(self.worse) < EXAMPLES:
                self.worse.append(row)


def _by_seq(row: Row) -> int:
    return row.seq
