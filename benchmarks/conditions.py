"""Loading 10,000 rules of which 2,000 have a condition of their own, and asking one."""

import time
from collections.abc import Iterator

from decision import ADA, NOW, make_request
from measure import Row, bound, compare, find_percentile, say_time, take_turns

from stepupd.core.model import Risk
from stepupd.core.policy import decide
from stepupd.core.risk.activity import Activity
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile
from stepupd.core.variables import list_variables
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import Document, parse_document

LOAD_GOAL = 2.0
DECIDE_GOAL = 0.0002
RULES = 10_000
ROUNDS = 2000


def measure() -> Iterator[Row]:
    """Yield rows for loading without and with conditions, and for deciding by one."""
    plain, guarded = write_policy(is_guarded=False), write_policy(is_guarded=True)
    ours, against = measure_load(guarded), measure_load(plain)
    yield bound("load 10,000 rules, 2,000 `when`", ours, LOAD_GOAL, say_time, against)

    requests = [make_request(f"cli:x{number}") for number in (1, 5)]
    policy = make_policy((guarded,))
    observations = [
        Observation(request, NOW, Facts(hour=14), Profile(ADA.uid), Activity())
        for request in requests
    ]

    def ask(which: int) -> None:
        variables = list_variables(observations[which], Risk())
        decide(policy, requests[which], Risk(), (), NOW, variables=variables)

    times = take_turns({"plain": lambda: ask(0), "guarded": lambda: ask(1)}, ROUNDS)
    yield compare("decide with a condition : without", times["guarded"], times["plain"])
    yield bound("  p99 with one", find_percentile(times["guarded"], 99), DECIDE_GOAL, say_time)


def measure_load(document: Document) -> float:
    """Return the seconds from the parsed file to the policy."""
    started = time.perf_counter()
    make_policy((document,))
    return time.perf_counter() - started


def write_policy(*, is_guarded: bool) -> Document:
    """Return the file; each fifth rule has a condition, no two the same."""
    rules = []
    for number in range(RULES):
        rules.append(f'[[rule]]\nname = "{number}"\naction = "cli:x{number}"\nrequire = "touch"\n')
        if is_guarded and number % 5 == 0:
            rules.append(
                f"when = 'uid != {number} && \"ops\" in groups && hour >= 8 && hour < 18'\n"
            )
    return parse_document("policy.toml", "".join(rules).encode())
