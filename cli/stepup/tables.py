"""Columns that fit a terminal of 80."""

from collections.abc import Iterable, Sequence

from stepup.terminal import clean

_WIDTH = 80
_GAP = 2
_LEAST = 8
"""Characters that a column keeps, however long the others are."""


def draw_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return aligned columns, without trailing spaces; the widest ones are cut to fit."""
    cells = [
        tuple(head),
        *(tuple(clean(cell).replace("\n", "\\n") for cell in row) for row in rows),
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    while sum(widths) + _GAP * (len(head) - 1) > _WIDTH and max(widths) > _LEAST:
        widths[widths.index(max(widths))] -= 1
    return "\n".join(_draw_row(row, widths) for row in cells)


def _draw_row(row: Sequence[str], widths: Sequence[int]) -> str:
    cut = (_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True))
    return (" " * _GAP).join(cut).rstrip()


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 3] + "..."
