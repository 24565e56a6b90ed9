"""Advisers: programs and endpoints outside that say how risky a request looks.

The law of this folder: an adviser answers whole and in time, or `AdviserFailed` is raised,
whatever went wrong. `advise` blocks, but hardly longer than its deadline, so it is called in a
worker thread.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from stepupd.core.risk.advice import AdviserFailed, AdviserPlan
from stepupd.core.risk.facts import Advice

__all__ = ["Adviser", "AdviserFailed", "make_adviser", "make_advisers"]


class Adviser(Protocol):
    """One source outside."""

    @property
    def name(self) -> str:
        """The name the administrator gave it."""
        ...

    def advise(self, question: Mapping[str, object]) -> Advice:
        """Ask; may block. Raises AdviserFailed."""
        ...


def make_advisers(
    plans: Iterable[AdviserPlan], check_program: Callable[[Path], object]
) -> tuple[Adviser, ...]:
    """Return the advisers that plans describe, see `make_adviser`."""
    return tuple(make_adviser(plan, check_program) for plan in plans)


def make_adviser(plan: AdviserPlan, check_program: Callable[[Path], object]) -> Adviser:
    """Return the adviser that a plan describes.

    `check_program` raises ConfigError unless only root or we can have written a program.
    """
    if plan.program:
        from stepupd.host.advisers.executable import ProgramAdviser  # noqa: PLC0415 - few have any

        return ProgramAdviser(plan, check_program)
    # Only here: http.client brings TLS along, which is megabytes.
    from stepupd.host.advisers.http import HttpAdviser  # noqa: PLC0415

    return HttpAdviser(plan)
