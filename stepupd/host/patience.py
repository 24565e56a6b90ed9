"""Several looks side by side, none of which may keep us waiting.

The law of this file: whatever a look does, the answer comes in time and nothing is raised. A look
that hangs keeps its thread, and the daemon's end does not wait for it; no more than `MOST_THREADS`
hang at once, and beyond that a look fails before it begins.
"""

import logging
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from time import monotonic
from typing import TypeVar

MOST_THREADS = 32

_Name = TypeVar("_Name", bound=str)
_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_free = BoundedSemaphore(MOST_THREADS)


def look_side_by_side(looks: Mapping[_Name, Callable[[], _T]], seconds: float) -> dict[_Name, _T]:
    """Return what each look found, by name; those that raised or took too long are not in it."""
    answers: SimpleQueue[tuple[_Name, _T | Exception]] = SimpleQueue()
    started = {name for name, look in looks.items() if _start(name, look, answers)}
    found: dict[_Name, _T] = {}
    until = monotonic() + seconds
    while started:
        try:
            name, answer = answers.get(timeout=max(0.0, until - monotonic()))
        except Empty:
            break
        started.discard(name)
        if isinstance(answer, Exception):
            _log.warning("cannot tell %s: %s", name, answer or type(answer).__name__)
        else:
            found[name] = answer
    for name in started:
        _log.warning("cannot tell %s: no answer in %g seconds", name, seconds)
    return found


def _start(
    name: _Name, look: Callable[[], _T], answers: "SimpleQueue[tuple[_Name, _T | Exception]]"
) -> bool:
    def run() -> None:
        try:
            answers.put((name, look()))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is told on the other side
            answers.put((name, error))
        finally:
            _free.release()

    if not _free.acquire(blocking=False):
        _log.warning("cannot tell %s: too many looks hang", name)
        return False
    try:
        Thread(target=run, name=f"look-{name}", daemon=True).start()
    except RuntimeError:
        _free.release()
        _log.warning("cannot tell %s: no thread to be had", name)
        return False
    return True
