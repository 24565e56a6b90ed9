"""Every way a ceremony can go: all replies to all effects, depth first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from stepupd.core.effects import Ceremony, Effect, Reply
from stepupd.core.outcome import Outcome


@dataclass(frozen=True)
class Run:
    """One script, what it was answered to, and how it ended."""

    effects: tuple[Effect, ...]
    replies: tuple[Reply, ...]
    outcome: Outcome


def explore(
    start: Callable[[], Ceremony],
    list_replies: Callable[[Effect, Sequence[Reply]], Sequence[Reply]],
    limit: int = 40,
) -> Iterator[Run]:
    """Yield one run for every script. A script longer than `limit` is a ceremony without end."""
    scripts: list[tuple[Reply, ...]] = [()]
    while scripts:
        replies = scripts.pop()
        assert len(replies) < limit, "the ceremony does not end"
        effects, outcome = play(start(), replies)
        if outcome is not None:
            yield Run(effects, replies, outcome)
        else:
            choices = list_replies(effects[-1], replies)
            scripts += [(*replies, choice) for choice in choices]


def play(ceremony: Ceremony, replies: Sequence[Reply]) -> tuple[tuple[Effect, ...], Outcome | None]:
    """Send the replies in order; return the effects seen and the outcome, if it came to one."""
    effects: list[Effect] = []
    try:
        effects.append(next(ceremony))
        for reply in replies:  # not extend(): what came before the end must not be lost
            effects += [ceremony.send(reply)]
    except StopIteration as stop:
        return tuple(effects), stop.value
    return tuple(effects), None
