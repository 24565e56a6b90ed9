"""What a signal is, and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from stepupd.core.risk.facts import Observer
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Feature


class Finding(msgspec.Struct, frozen=True):
    """A signal that fired: how strongly, above 0 and up to 1, and why, in words.

    It is `blind` if it fired only because an observer that it needs has failed.
    """

    strength: float
    reason: str
    blind: bool = False


Look = Callable[[Observation], Finding | None]
"""A pure function; None means that there is nothing to see."""


@dataclass(frozen=True, slots=True)
class SignalKind:
    """One signal, and what is expected of it.

    `attack` and `usual` are how often it fires in an attack and in ordinary life, each from 0 to
    1, for the likelihood ratio; `usual` only until the subject's own habits are known. With
    `given`, both count only the requests in which that other signal fired: a new network is told
    apart among new addresses.
    """

    name: str
    meaning: str
    """For the manual page: what makes it fire, as a phrase."""
    look: Look
    weight: int
    attack: float
    usual: float
    observers: frozenset[Observer] = frozenset()
    feature: Feature | None = None
    given: str = ""


def ramp(value: float, none: float, full: float) -> float:
    """Return how far a value has come from `none` to `full`, cut to 0 and 1."""
    return min(1.0, max(0.0, (value - none) / (full - none)))


def find(strength: float, reason: str) -> Finding | None:
    """Return a finding, or None where there is no strength in it."""
    return Finding(min(1.0, strength), reason) if strength > 0 else None
