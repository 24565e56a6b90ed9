"""How figures are taken and shown: interleaved runs, medians, ratios, one table of 80 columns.

Ways that are compared take turns, so that both meet the same machine; a ratio is one of medians.
Nothing here fails because a figure is missed: machines are noisy, the table says what it was.
"""

import gc
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_COLUMNS = (32, 9, 9, 6, 9, 7)
_NAMES = ("figure", "ours", "against", "ratio", "goal", "reached")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table, ready to print."""

    figure: str
    ours: str
    against: str = ""
    ratio: str = ""
    goal: str = ""
    reached: str = ""


def compare(
    figure: str, ours: Sequence[float], against: Sequence[float], goal: float | None = None
) -> Row:
    """Return the row of two ways that took turns (seconds); `goal` is the largest ratio."""
    mine, theirs = statistics.median(ours), statistics.median(against)
    ratio = mine / theirs
    return Row(
        figure,
        say_time(mine),
        say_time(theirs),
        f"{ratio:.2f}",
        "" if goal is None else f"<= {goal:g} x",
        "" if goal is None else say_reached(ratio <= goal),
    )


def bound(
    figure: str,
    ours: float,
    goal: float | None,
    say: Callable[[float], str],
    against: float | None = None,
) -> Row:
    """Return the row of a figure that has a limit of its own."""
    return Row(
        figure,
        say(ours),
        "" if against is None else say(against),
        f"{ours / against:.2f}" if against else "",
        "" if goal is None else f"<= {say(goal)}",
        "" if goal is None else say_reached(ours <= goal),
    )


def take_turns(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each round of each way."""
    for way in ways.values():  # once to warm up
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    gc.collect()
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - started)
    return times


def run_quietly(*command: str | Path, environment: dict[str, str] | None = None) -> None:
    """Run a program that must succeed, and let it neither ask nor say anything."""
    null = subprocess.DEVNULL
    subprocess.run(command, env=environment, check=True, stdin=null, stdout=null, stderr=null)


def find_percentile(times: Sequence[float], percent: int) -> float:
    """Return the value that `percent` of the times do not exceed."""
    return statistics.quantiles(times, n=100, method="inclusive")[percent - 1]


def say_time(seconds: float) -> str:
    """Return a time with three figures and its unit."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}" if seconds * factor < 1000 else f"1000 {unit}"
    return f"{seconds:.3g} s"


def say_size(size: float) -> str:
    """Return bytes as MiB."""
    return f"{size / 2**20:.3g} MiB"


def say_count(count: float) -> str:
    """Return a plain number."""
    return f"{count:,.0f}"


def say_rate(rate: float) -> str:
    """Return a number for each second."""
    return f"{rate:,.0f}/s"


def print_head() -> None:
    """Print the names of the columns."""
    _print_cells(_NAMES)
    _print_cells("-" * width for width in _COLUMNS)


def print_row(row: Row) -> None:
    """Print one row."""
    _print_cells((row.figure, row.ours, row.against, row.ratio, row.goal, row.reached))


def _print_cells(cells: Iterable[str]) -> None:
    first, *rest = zip(cells, _COLUMNS, strict=True)
    print(" ".join([f"{first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)]))


def say_reached(is_reached: bool) -> str:  # noqa: FBT001 - the only thing it says
    """Return how the table says whether a goal was reached."""
    return "yes" if is_reached else "NO"
