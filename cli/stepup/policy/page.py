"""A replay as one page of HTML: light, printable, whole in itself.

The law of this file: every text from the log or from a file goes through `plots.text`; the page
loads nothing, runs nothing, and forbids both to the browser.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from stepup.policy.comparison import (
    ASSUMED,
    list_cells,
    list_figures,
    list_people,
    list_rules,
    say_bare,
)
from stepup.policy.plots import Bar, draw_bars, text
from stepupd.core.policy import Mode, Policy
from stepupd.core.rehearsal.tally import Tally

PEOPLE = 200
"""Rows of people on the page."""
_MOST_DAYS = 120
_MOST_PROMPTS = 20

_STYLE = """
:root { --then: #9aa5b1; --now: #1f4e79; --line: #e3e7eb; --ink: #1b2026; --soft: #5b6670; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: #fff;
  max-width: 760px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .4rem 0; } .soft { color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .5rem; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { font-weight: 600; color: var(--soft); font-size: .85rem; }
td.n, th.n { text-align: right; white-space: nowrap; }
svg { width: 100%; height: auto; } svg line { stroke: var(--line); }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.end { text-anchor: end; } .mid { text-anchor: middle; }
.then { fill: var(--then); } .now { fill: var(--now); }
.key::before { content: ""; display: inline-block; width: .8em; height: .8em;
  margin: 0 .4em 0 1em; }
.key.a::before { background: var(--then); } .key.b::before { background: var(--now); }
@media print { body { margin: 0; max-width: none; font-size: 11px; }
  h2 { break-after: avoid; } svg, tr { break-inside: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""

_HEAD = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    '<meta http-equiv="Content-Security-Policy"'
    " content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    f"<title>Policy replay</title><style>{_STYLE}</style></head><body>"
)


def draw_page(tally: Tally, policy: Policy, log: str, files: Sequence[str]) -> str:
    """Return the whole page."""
    parts = [_HEAD, "<h1>Policy replay</h1>", _draw_origin(tally, policy, log, files)]
    if tally.requests:
        parts += [
            _draw_figures(tally),
            _draw_risky(tally),
            _draw_plots(tally),
            _draw_rules(tally),
            _draw_people(tally),
        ]
    parts.append(f'<p class="soft">{text(ASSUMED)} Days are in UTC.</p></body></html>\n')
    return "\n".join(parts)


def _draw_origin(tally: Tally, policy: Policy, log: str, files: Sequence[str]) -> str:
    watched = " It is only to be watched; here it counts as if it were in force."
    span = f"{tally.first[:10]} to {tally.last[:10]}" if tally.requests else "nothing in that time"
    is_bare = tally.bare and policy.is_weighing
    bare = f'<p class="soft">{text(say_bare(tally))}</p>' if is_bare else ""
    return (
        f'<p class="soft">{text(log)}, {text(span)}: {tally.requests:,} requests of'
        f" {len(tally.people):,} people.<br>Candidate: {text(', '.join(files))}"
        f" ({text(policy.digest[:16])}).{watched if policy.mode is Mode.OBSERVE else ''}</p>"
        f"{bare}"
        '<p class="soft"><span class="key a">then</span><span class="key b">candidate</span></p>'
    )


def _draw_figures(tally: Tally) -> str:
    rows = [
        (name.strip(), f"{before:,.6g}", f"{after:,.6g}", f"{after - before:+,.6g}")
        for name, before, after in list_figures(tally)
    ]
    return "<h2>In all</h2>" + _draw_table(("", "then", "candidate", "change"), rows, 1)


def _draw_risky(tally: Tally) -> str:
    parts = ["<h2>Risky requests</h2>"]
    if tally.lowest is None:
        parts.append("<p>Neither the candidate nor the installed policy has a ladder.</p>")
    else:
        parts.append(
            f"<p>{tally.risky:,} with a score of {tally.lowest} or more: newly caught"
            f" <b>{tally.caught:,}</b>, newly missed <b>{tally.missed:,}</b>. Newly denied although"
            f" allowed then: <b>{tally.denials_added:,}</b>.</p>"
        )
    head = ("entry", "time", "person", "action", "then", "candidate", "risk", "signals")
    for title, rows in (("Newly missed", tally.worse), ("Newly caught", tally.better)):
        if rows:
            parts.append(f"<h2>{title}</h2>" + _draw_table(head, list_cells(rows), 8))
    return "".join(parts)


def _draw_plots(tally: Tally) -> str:
    days = [(day, float(a), float(b)) for day, (a, b) in tally.list_days().items()][-_MOST_DAYS:]
    title = "Days of a person, by how many prompts they had"
    return (
        "<h2>Prompts a day</h2>"
        + draw_bars("Prompts a day", [(day[5:], a, b) for day, a, b in days], "of everybody")
        + f"<h2>{title}</h2>"
        + draw_bars(title, _count_days(tally), "days of a person")
    )


def _count_days(tally: Tally) -> list[Bar]:
    then, now = (Counter(min(one, _MOST_PROMPTS) for one in days) for days in tally.list_daily())
    return [
        (f"{number}+" if number == _MOST_PROMPTS else str(number), then[number], now[number])
        for number in range(max((*then, *now), default=0) + 1)
    ]


def _draw_rules(tally: Tally) -> str:
    head = ("rule", "requests", "prompts", "denied", "requests", "prompts", "denied")
    rows = [
        (
            name or "(no rule)",
            *(f"{n:,}" for c in (a, b) for n in (c.requests, c.prompts, c.denials)),
        )
        for name, a, b in list_rules(tally)
    ]
    said = '<p class="soft">Then in the first three columns, under the candidate in the others.</p>'
    return "<h2>Rules</h2>" + said + _draw_table(head, rows, 1)


def _draw_people(tally: Tally) -> str:
    people = list_people(tally)
    head = ("person", "days", "prompts then", "candidate", "a day then", "candidate")
    rows = [
        (
            one.name,
            f"{len(one.days):,}",
            f"{one.before:,}",
            f"{one.after:,}",
            f"{one.before / len(one.days):.1f}",
            f"{one.after / len(one.days):.1f}",
        )
        for one in people[:PEOPLE]
    ]
    left = len(people) - len(rows)
    more = f'<p class="soft">And {left:,} others.</p>' if left else ""
    return "<h2>People</h2>" + _draw_table(head, rows, 1) + more


def _draw_table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int) -> str:
    """Return a table; its first `texts` columns are text, the others numbers."""
    number = ' class="n"'

    def draw(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{number if at >= texts else ''}>{text(cell)}</{tag}>"
            for at, cell in enumerate(cells)
        )

    body = "".join(f"<tr>{draw('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{draw('th', head)}</tr></thead><tbody>{body}</tbody></table>"
