"""Plots as inline SVG: bars in pairs, nothing that runs, nothing from elsewhere.

Two inks that differ in lightness as well as in hue, so that they are told apart in print.
"""

from collections.abc import Sequence
from html import escape

from stepup.terminal import clean

WIDTH, HEIGHT = 720, 240
_LEFT, _BOTTOM, _TOP = 64, 48, 12
_TICKS = 4
_WIDEST = 36.0
"""Of a bar: a single day does not fill the plot."""
_SEEN = 1.5
"""Height of the lowest bar that is not nothing."""

Bar = tuple[str, float, float]
"""A label, and the values before and after."""


def draw_bars(title: str, bars: Sequence[Bar], across: str, up: str) -> str:
    """Return a plot of pairs of bars; every label is a tooltip, some stand below the axis.

    `across` and `up` say what the axes show.
    """
    most = max((value for bar in bars for value in bar[1:]), default=0) or 1
    step = _find_step(most)
    top = step * -(-most // step)
    plot = HEIGHT - _BOTTOM - _TOP
    parts = [_draw_grid(top, step, plot), _name_axes(across, up, plot)]
    slot = (WIDTH - _LEFT) / max(1, len(bars))
    width = min(slot * 0.4, _WIDEST)
    every = max(1, -(-len(bars) * 64 // (WIDTH - _LEFT)))
    for number, (label, before, after) in enumerate(bars):
        x = _LEFT + number * slot
        tip = f"{label}: {before:,g} then, {after:,g} under the candidate ({up})"
        parts.append(f"<g><title>{text(tip)}</title>")
        for at, (value, ink) in enumerate(((before, "then"), (after, "now"))):
            high = max(plot * value / top, _SEEN if value else 0)
            parts.append(
                f'<rect class="{ink}" x="{x + slot / 2 + width * (at - 1):.2f}"'
                f' y="{_TOP + plot - high:.2f}" width="{width:.2f}" height="{high:.2f}"/>'
            )
        parts.append("</g>")
        if number % every == 0:
            parts.append(
                f'<text x="{x + slot / 2:.1f}" y="{_TOP + plot + 18}" class="mid">'
                f"{text(_cut(label))}</text>"
            )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{text(title)}">'
        f"{''.join(parts)}</svg>"
    )


def text(value: str) -> str:
    """Return foreign text as it may stand in the page: visible, and nothing but text."""
    return escape(clean(value).replace("\n", "\\n"), quote=True)


def _draw_grid(top: float, step: float, plot: float) -> str:
    lines = []
    for number in range(round(top / step) + 1):
        value = number * step
        y = _TOP + plot - plot * value / top
        lines.append(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" class="end">{value:,g}</text>'
        )
    return "".join(lines)


def _name_axes(across: str, up: str, plot: float) -> str:
    middle = _TOP + plot / 2
    return (
        f'<text x="{(_LEFT + WIDTH) / 2:.1f}" y="{HEIGHT - 8}" class="mid">{text(across)}</text>'
        f'<text x="14" y="{middle:.1f}" class="mid" transform="rotate(-90 14 {middle:.1f})">'
        f"{text(up)}</text>"
    )


def _find_step(most: float) -> float:
    """Return a round distance between lines, so that there are about four."""
    size = 1.0
    while size * 10 <= most / _TICKS:
        size *= 10
    return next((size * part for part in (1, 2, 5) if size * part * _TICKS >= most), size * 10)


def _cut(label: str) -> str:
    return label if len(label) <= 10 else label[:9] + "…"  # noqa: PLR2004 - what a slot holds
