"""What a replay found, as a table of 80 columns and as JSON values."""

from collections.abc import Iterator, Sequence
from statistics import median

from stepup.policy.words import count, wrap
from stepup.tables import draw_table
from stepup.terminal import clean
from stepupd.core.policy import Mode, Policy
from stepupd.core.rehearsal.replay import WORDS, Row
from stepupd.core.rehearsal.tally import Person, RuleCount, Tally

PEOPLE = 15
"""Rows of people that a terminal shows: those for whom most changes."""

ASSUMED = (
    "Who was let through then is taken to answer a prompt, and who was refused is not."
    " A new prompt takes the person's own median time."
)


def say_tally(tally: Tally, policy: Policy, log: str) -> str:
    """Return the comparison as tables."""
    return "\n".join(_list_lines(tally, policy, log))


def list_figures(tally: Tally) -> list[tuple[str, float, float]]:
    """Return what is compared: name, then, under the candidate."""
    people = tally.people.values()
    one, other = tally.list_daily()
    before, after = tally.count_seconds()
    return [
        ("prompts", sum(p.before for p in people), sum(p.after for p in people)),
        ("prompts in a person's day, median", median(one or [0]), median(other or [0])),
        ("prompts in a person's day, most", max(one, default=0), max(other, default=0)),
        ("seconds of people's time", before, after),
        (
            "requests denied by policy",
            sum(person.denials[0] for person in people),
            sum(person.denials[1] for person in people),
        ),
    ]


def list_people(tally: Tally) -> list[Person]:
    """Return the people, those for whom most changes first."""
    return sorted(
        tally.people.values(), key=lambda one: (-_count_changes(one), -one.after, one.name)
    )


def _count_changes(person: Person) -> int:
    then, now = person.denials
    return abs(person.after - person.before) + abs(now - then)


def list_rules(tally: Tally) -> list[tuple[str, RuleCount, RuleCount]]:
    """Return the rules, the busiest first; "" is no rule."""
    rows = [(name, then, now) for name, (then, now) in tally.count_rules().items()]
    return sorted(rows, key=lambda row: (-max(row[1].requests, row[2].requests), row[0]))


def say_bare(tally: Tally) -> str:
    """Return what is not known of requests that were made while nothing was weighed."""
    return (
        f"Of {count(tally.bare, 'request')} no circumstances were recorded, for the policy of that"
        " time weighed none: signals about them cannot fire here."
    )


def say_row(row: Row) -> str:
    """Return one request and how it was met, and is."""
    before, after = row.before, row.after
    score = max(before.score, after.score)
    signals = ", ".join(after.signals or before.signals)
    return (
        f"#{row.seq} {row.time[:16]}Z {row.subject} {row.action}:"
        f" {WORDS[before.met]} -> {WORDS[after.met]}, risk {score} ({signals or 'no signal'})"
    )


def _list_lines(tally: Tally, policy: Policy, log: str) -> Iterator[str]:
    yield clean(log)
    if not tally.requests:
        yield "No request in that time."
        return
    people = count(len(tally.people), "person", "people")
    requests = count(tally.requests, "request")
    yield f"{tally.first[:10]} to {tally.last[:10]}: {requests} of {people}."
    if policy.mode is Mode.OBSERVE:
        yield "The candidate is only to be watched; here it counts as if it were in force."
    if tally.bare and policy.is_weighing:
        yield wrap(say_bare(tally))
    yield ""
    yield _draw_figures(tally)
    yield ""
    yield from _say_risky(tally)
    yield ""
    yield "Rules, then and now under the candidate:"
    yield _draw_rules(tally)
    yield ""
    yield "People, those for whom most changes first:"
    yield _draw_people(tally)
    yield ""
    yield wrap(ASSUMED)


def _draw_figures(tally: Tally) -> str:
    rows = [
        (name, f"{before:,.6g}", f"{after:,.6g}", f"{after - before:+,.6g}")
        for name, before, after in list_figures(tally)
    ]
    return _draw_numbers(("", "then", "candidate", "change"), rows)


def _say_risky(tally: Tally) -> Iterator[str]:
    if tally.denials_added or tally.denials_removed:
        yield (
            f"Newly denied: {tally.denials_added:,} that were allowed."
            f" No longer denied: {tally.denials_removed:,}."
        )
    if tally.lowest is None:
        yield "Nothing is risky: neither the candidate nor the installed policy has a ladder."
        return
    yield (
        f"Risky requests (score {tally.lowest} or more): {tally.risky:,};"
        f" newly caught {tally.caught:,}, newly missed {tally.missed:,}."
    )
    for what, rows in (("caught", tally.better), ("missed", tally.worse)):
        for row in rows[:5]:
            yield wrap(f"{what} {say_row(row)}", "  ", "    ")


def _draw_rules(tally: Tally) -> str:
    head = ("rule", "requests then", "now", "prompts then", "now", "denied then", "now")
    rows = [
        (name or "(no rule)", *(f"{n:,}" for pair in _pair_counts(then, now) for n in pair))
        for name, then, now in list_rules(tally)
    ]
    return _draw_numbers(head, rows)


def _pair_counts(then: RuleCount, now: RuleCount) -> tuple[tuple[int, int], ...]:
    return (
        (then.requests, now.requests),
        (then.prompts, now.prompts),
        (then.denials, now.denials),
    )


def _draw_people(tally: Tally) -> str:
    head = ("person", "days", "prompts then", "now", "a day then", "now", "denied then", "now")
    people = list_people(tally)
    rows = [
        (
            one.name,
            f"{len(one.days)}",
            f"{one.before:,}",
            f"{one.after:,}",
            f"{one.before / len(one.days):.1f}",
            f"{one.after / len(one.days):.1f}",
            *(f"{number:,}" for number in one.denials),
        )
        for one in people[:PEOPLE]
    ]
    table = _draw_numbers(head, rows)
    left = len(people) - len(rows)
    return f"{table}\nand {count(left, 'other')}; --json has all of them." if left else table


def _draw_numbers(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose columns after the first are numbers, flush right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    flush = [
        (row[0], *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)))
        for row in (head, *rows)
    ]
    return draw_table(flush[0], flush[1:])


def describe_tally(tally: Tally, policy: Policy, log: str) -> dict[str, object]:
    """Return the comparison as JSON values."""
    before, after = tally.count_seconds()
    one, other = tally.list_daily()
    return {
        "log": log,
        "candidate": policy.digest,
        "first": tally.first,
        "last": tally.last,
        "entries": tally.entries,
        "unreadable": tally.unreadable,
        "requests": tally.requests,
        "differences": tally.differences,
        "prompts": _pair(*(sum(pairs) for pairs in (one, other))),
        "prompts_a_day_median": _pair(median(one or [0]), median(other or [0])),
        "person_seconds": _pair(round(before, 3), round(after, 3)),
        "denials_added": tally.denials_added,
        "denials_removed": tally.denials_removed,
        "risky": {
            "from_score": tally.lowest,
            "requests": tally.risky,
            "newly_caught": tally.caught,
            "newly_missed": tally.missed,
            "caught_examples": [_describe_row(row) for row in tally.better],
            "missed_examples": [_describe_row(row) for row in tally.worse],
        },
        "days": {day: _pair(*pair) for day, pair in tally.list_days().items()},
        "people": [_describe_person(person) for person in list_people(tally)],
        "rules": {
            name: {"before": _describe_counts(then), "after": _describe_counts(now)}
            for name, then, now in list_rules(tally)
        },
        "without_circumstances": tally.bare,
        "policies": dict(tally.policies),
    }


def _pair(before: float, after: float) -> dict[str, float]:
    return {"before": before, "after": after}


def _describe_person(person: Person) -> dict[str, object]:
    return {
        "subject": person.name,
        "requests": person.requests,
        "days": {day: _pair(*pair) for day, pair in sorted(person.days.items())},
        "prompts": _pair(person.before, person.after),
        "denials": _pair(*person.denials),
    }


def _describe_counts(counts: RuleCount) -> dict[str, int]:
    return {
        "requests": counts.requests,
        "prompts": counts.prompts,
        "denials": counts.denials,
    }


def _describe_row(row: Row) -> dict[str, object]:
    return {
        "entry": row.seq,
        "time": row.time,
        "subject": row.subject,
        "action": row.action,
        "before": WORDS[row.before.met],
        "after": WORDS[row.after.met],
        "score": max(row.before.score, row.after.score),
        "signals": list(row.after.signals),
    }


def list_cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """Return requests as the cells of a table."""
    return [
        (
            str(row.seq),
            row.time[:16].replace("T", " "),
            row.subject,
            row.action,
            WORDS[row.before.met],
            WORDS[row.after.met],
            str(max(row.before.score, row.after.score)),
            ", ".join(row.after.signals),
        )
        for row in rows
    ]
