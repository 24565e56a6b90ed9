"""A replay as one page of HTML: light or dark, printable, whole in itself.

The law of this file: every text from the log or from a file goes through `plots.text`; the page
loads nothing, runs nothing, and forbids both to the browser.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta

from stepup.policy.comparison import (
    ASSUMED,
    list_cells,
    list_figures,
    list_people,
    list_rules,
    say_bare,
)
from stepup.policy.page_style import STYLE
from stepup.policy.plots import Bar, draw_bars, text
from stepup.policy.words import count
from stepupd.core.policy import Mode, Policy
from stepupd.core.rehearsal.replay import Row
from stepupd.core.rehearsal.tally import EXAMPLES, Tally

PEOPLE = 200
"""Rows of people on the page."""
_MOST_DAYS = 120
_MOST_PROMPTS = 20
_PAIR = (("", 1), ("then", 3), ("candidate", 3))
"""Headings above others, and how many columns each spans."""

_HEAD = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    '<meta name="color-scheme" content="light dark">'
    '<meta http-equiv="Content-Security-Policy"'
    " content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    f"<title>Policy replay</title><style>{STYLE}</style></head><body>"
)
_KEY = (
    '<p class="soft"><span class="key a">then</span><span class="key b">under the candidate</span>'
    "</p>"
)


def draw_page(tally: Tally, policy: Policy, log: str, files: Sequence[str]) -> str:
    """Return the whole page."""
    parts = [_HEAD, "<h1>Policy replay</h1>", _draw_origin(tally, policy, log, files)]
    if tally.requests:
        parts += [
            _draw_figures(tally),
            _draw_plots(tally),
            _draw_risky(tally),
            _draw_rules(tally),
            _draw_people(tally),
        ]
    parts.append(f'<p class="soft">{text(ASSUMED)} Days are in UTC.</p></body></html>\n')
    return "\n".join(parts)


def _draw_origin(tally: Tally, policy: Policy, log: str, files: Sequence[str]) -> str:
    watched = " It is only to be watched; here it counts as if it were in force."
    span = "No request in that time."
    if tally.requests:
        requests, people = (
            count(tally.requests, "request"),
            count(len(tally.people), "person", "people"),
        )
        span = f"{tally.first[:10]} to {tally.last[:10]}: {requests} of {people}."
    is_bare = tally.bare and policy.is_weighing
    bare = f'<p class="soft">{text(say_bare(tally))}</p>' if is_bare else ""
    return (
        f'<p class="soft">{text(span)}<br>Log: {text(log)}<br>Candidate: {text(", ".join(files))}'
        f" ({text(policy.digest[:16])}).{watched if policy.mode is Mode.OBSERVE else ''}</p>{bare}"
    )


def _draw_figures(tally: Tally) -> str:
    rows = [
        (name, f"{before:,.6g}", f"{after:,.6g}", f"{after - before:+,.6g}")
        for name, before, after in list_figures(tally)
    ]
    return "<h2>In all</h2>" + _draw_table("tnnn", ("", "then", "candidate", "change"), rows)


def _draw_risky(tally: Tally) -> str:
    parts = ["<h2>Risky requests</h2>"]
    if tally.lowest is None:
        parts.append("<p>Neither the candidate nor the installed policy has a ladder.</p>")
    else:
        parts.append(
            f"<p>{tally.risky:,} with a score of {tally.lowest} or more: newly caught"
            f" <b>{tally.caught:,}</b>, newly missed <b>{tally.missed:,}</b>.</p>"
        )
    parts.append(
        f"<p>Newly denied although allowed then: <b>{tally.denials_added:,}</b>. No longer denied:"
        f" <b>{tally.denials_removed:,}</b>.</p>"
    )
    parts.append(_draw_examples("Newly missed", tally.worse, tally.missed))
    parts.append(_draw_examples("Newly caught", tally.better, tally.caught))
    return "".join(parts)


def _draw_examples(title: str, rows: Sequence[Row], number: int) -> str:
    if not rows:
        return ""
    head = ("entry", "time", "person", "action", "then", "candidate", "risk", "signals")
    first = f'<p class="soft">The first {EXAMPLES}.</p>' if number > len(rows) else ""
    return f"<h3>{title}</h3>{first}" + _draw_table("nwttwwnt", head, list_cells(rows))


def _draw_plots(tally: Tally) -> str:
    days, is_cut = _list_days(tally)
    cut = f'<p class="soft">The last {_MOST_DAYS} days.</p>' if is_cut else ""
    title = "Days of a person, by how many prompts they had"
    by_day = draw_bars("Prompts a day", days, "day", "prompts of everybody")
    by_count = draw_bars(title, _count_days(tally), "prompts in a day", "days of a person")
    return (
        f'<h2>Prompts a day</h2>{_KEY}{cut}<div class="wide">{by_day}</div>'
        f'<h2>{title}</h2>{_KEY}<div class="wide">{by_count}</div>'
    )


def _list_days(tally: Tally) -> tuple[list[Bar], bool]:
    """Return the newest days, also those without a request, and whether there were more."""
    found = tally.list_days()
    newest = date.fromisoformat(max(found))
    span = (newest - date.fromisoformat(min(found))).days + 1
    bars = []
    for back in reversed(range(min(span, _MOST_DAYS))):
        day = (newest - timedelta(days=back)).isoformat()
        before, after = found.get(day, (0, 0))
        bars.append((day[5:], float(before), float(after)))
    return bars, span > _MOST_DAYS


def _count_days(tally: Tally) -> list[Bar]:
    then, now = (Counter(min(one, _MOST_PROMPTS) for one in days) for days in tally.list_daily())
    return [
        (f"{number}+" if number == _MOST_PROMPTS else str(number), then[number], now[number])
        for number in range(max((*then, *now), default=0) + 1)
    ]


def _draw_rules(tally: Tally) -> str:
    head = ("rule", *("requests", "prompts", "denied") * 2)
    rows = [
        (
            name or "(no rule)",
            *(f"{n:,}" for c in (a, b) for n in (c.requests, c.prompts, c.denials)),
        )
        for name, a, b in list_rules(tally)
    ]
    return "<h2>Rules</h2>" + _draw_table("tnnnnnn", head, rows, _PAIR)


def _draw_people(tally: Tally) -> str:
    people = list_people(tally)
    head = ("person", "days", *("prompts", "a day", "denied") * 2)
    rows = []
    for one in people[:PEOPLE]:
        days, cells = len(one.days), [one.name, f"{len(one.days):,}"]
        for prompts, denied in zip((one.before, one.after), one.denials, strict=True):
            cells += [f"{prompts:,}", f"{prompts / days:.1f}", f"{denied:,}"]
        rows.append(cells)
    left = len(people) - len(rows)
    more = f'<p class="soft">And {count(left, "other")}.</p>' if left else ""
    above = (("", 2), *_PAIR[1:])
    said = '<p class="soft">Those for whom most changes first.</p>'
    return "<h2>People</h2>" + said + _draw_table("tnnnnnnn", head, rows, above) + more


def _draw_table(
    kinds: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    above: Sequence[tuple[str, int]] = (),
) -> str:
    """Return a table; its columns are of text (t), unbroken words (w) or numbers (n)."""

    def draw(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f'<{tag} class="{kind}">{text(cell)}</{tag}>'
            for kind, cell in zip(kinds, cells, strict=True)
        )

    spans = "".join(f'<th class="m" colspan="{width}">{text(name)}</th>' for name, width in above)
    top = f"<tr>{spans}</tr>" if above else ""
    body = "".join(f"<tr>{draw('td', row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table><thead>{top}<tr>{draw("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
