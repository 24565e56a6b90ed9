"""What libpam makes of a stack and its modules' return codes.

The law of this file: it says what libpam 1.5 to 1.7 does (pam_dispatch.c), not what it should do.
A test runs the same stacks through both. Pure.
"""

from collections.abc import Sequence
from typing import NamedTuple

from stepup.pam.controls import Action
from stepup.pam.flat_stack import Step


class Mood(NamedTuple):
    """What the stack thinks so far: nothing (None), yes or no; and whether its code is success."""

    is_positive: bool | None = None
    is_success: bool = False


class State(NamedTuple):
    """Between two modules."""

    at: int = 0
    """Which module is next."""
    mood: Mood = Mood()
    level: int = 0
    """Of the module before."""
    saved: tuple[Mood, ...] = (Mood(),)
    """The mood at the start of the stack and of each substack that we are in."""


def run(steps: Sequence[Step], codes: Sequence[str]) -> bool:
    """Return whether the stack lets in, when its modules return these codes, one for each step."""
    return can_succeed(steps, [(code,) for code in codes])


def can_succeed(steps: Sequence[Step], codes: Sequence[Sequence[str]]) -> bool:
    """Return whether the stack lets in for any choice among the codes of each step."""
    seen, pending = {State()}, [State()]
    while pending:
        state = pending.pop()
        if state.at >= len(steps):
            if state.mood == Mood(is_positive=True, is_success=True):
                return True
            continue
        for code in codes[state.at]:
            following = _advance(steps, state, code)
            if following not in seen:
                seen.add(following)
                pending.append(following)
    return False


def _advance(steps: Sequence[Step], state: State, code: str) -> State:
    step = steps[state.at]
    saved = state.saved[: step.level + 1]
    if state.level < step.level:
        saved += (state.mood,) * (step.level + 1 - len(saved))
    if step.control is None:
        return State(state.at + 1, state.mood, step.level, saved)
    action = step.control.act(code)
    mood = _judge(state.mood, action, saved[step.level], code)
    index = state.at
    if isinstance(action, int):
        index, is_there = _jump(steps, index, action)
        mood = mood if is_there else Mood(is_positive=False)
    elif action == "die" or (action == "done" and mood.is_positive):
        index = _leave(steps, index)
    return State(index + 1, mood, step.level, saved)


def _judge(mood: Mood, action: Action, at_start: Mood, code: str) -> Mood:
    if action == "reset":
        return at_start
    if action in ("ok", "done"):
        is_open = mood.is_positive is None or mood == Mood(is_positive=True, is_success=True)
        return Mood(is_positive=True, is_success=code == "success") if is_open else mood
    if action in ("bad", "die"):
        return Mood(is_positive=False)
    return mood


def _jump(steps: Sequence[Step], index: int, count: int) -> tuple[int, bool]:
    """Return the last step jumped over, and whether there were that many."""
    level = steps[index].level
    while count and index + 1 < len(steps) and steps[index + 1].level >= level:
        index += 1
        while index + 1 < len(steps) and steps[index + 1].level > level:
            index += 1
        count -= 1
    return index, not count


def _leave(steps: Sequence[Step], index: int) -> int:
    """Return the last step of the stack or substack that this step is in."""
    level = steps[index].level
    while index + 1 < len(steps) and steps[index + 1].level >= level:
        index += 1
    return index
