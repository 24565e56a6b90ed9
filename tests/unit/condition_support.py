"""Conditions for tests of the core, and policies of one rule with a real one."""

from dataclasses import dataclass

from core_support import ADA, NOW, SUDO, TERMINAL

from stepupd.core.model import Claim, Risk, StepUpRequest
from stepupd.core.risk.activity import Activity
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile
from stepupd.core.variables import list_variables
from stepupd.store.conditions import Conditions
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document

FILE = "policy.toml"


@dataclass(frozen=True)
class Told:
    """A condition that answers what it is told to."""

    answer: bool | None
    names: frozenset[str] = frozenset()
    text: str = "told"

    def holds(self, _):
        return self.answer


def write_toml(text):
    """Return the text as a TOML string, whatever is in it."""
    letters = "".join(
        letter if letter.isprintable() and letter not in '"\\' else f"\\U{ord(letter):08x}"
        for letter in text
    )
    return f'"{letters}"'


def write_rule(written, does='require = "touch"', name="it"):
    """Return a rule with a condition that is written so, quotes included."""
    return f'[[rule]]\nname = "{name}"\naction = "*"\nwhen = {written}\n{does}\n'


def read_policy(*rules):
    return make_policy((parse_document(FILE, "".join(rules).encode()),))


def read_condition(text, conditions=None):
    document = parse_document(FILE, f"when = {write_toml(text)}".encode())
    return (conditions or Conditions()).read(document, ("when",), text)


def make_observation(**changes):
    made = {
        "request": StepUpRequest(ADA, SUDO, "pam:sudo", TERMINAL, Claim()),
        "now": NOW,
        "facts": Facts(hour=14, weekday=2),
        "profile": Profile(ADA.uid),
        "activity": Activity(),
    }
    return Observation(**made | changes)


def make_variables(**changes):
    return {**list_variables(make_observation(), Risk()), **changes}
