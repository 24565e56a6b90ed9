"""Deciding with 10 and with 1,000 rules, the last of which applies; the core alone."""

from collections.abc import Iterator
from itertools import count

from measure import Row, bound, compare, find_percentile, say_time, take_turns

from stepupd.core.model import (
    Caller,
    Door,
    Level,
    Moment,
    Requirement,
    Risk,
    StepUpRequest,
    Subject,
)
from stepupd.core.policy import Policy, Rule, RuleEffect, decide

GOAL = 0.0002
ROUNDS = 2000
NOW = Moment(0, 1000, "boot")
ADA = Subject(1000, "ada", frozenset({"ada", "users", "ops"}))


def measure() -> Iterator[Row]:
    """Yield a row for an action asked for again, and one for an action never seen before."""
    few, many = make_policy(10), make_policy(1000)
    unseen = count()

    def ask(policy: Policy, action: str) -> None:
        decide(policy, make_request(action), Risk(), (), NOW)

    times = take_turns(
        {
            "few": lambda: ask(few, "pam:sudo"),
            "many": lambda: ask(many, "pam:sudo"),
            "few, new": lambda: ask(few, f"cli:deploy{next(unseen)}"),
            "many, new": lambda: ask(many, f"cli:deploy{next(unseen)}"),
        },
        ROUNDS,
    )
    yield compare("decide, 1,000 rules : 10", times["many"], times["few"])
    yield bound("  p99 with 1,000", find_percentile(times["many"], 99), GOAL, say_time)
    yield compare("  the same, action never seen", times["many, new"], times["few, new"])
    yield bound("  p50 with 1,000", find_percentile(times["many, new"], 50), GOAL, say_time)


def make_policy(length: int) -> Policy:
    """Return rules of the common kinds; only the last one admits the request."""
    kinds = (
        {"actions": ("pam:sshd", "pam:login"), "subjects": ("bob",)},
        {"actions": ("cli:release*",)},
        {"actions": ("pam:*", "cli:*"), "groups": ("wheel", "admin*")},
        {"actions": ("pam:su?o",), "subjects": ("carol", "dave")},
    )
    touch = Requirement(Level.TOUCH, max_age=300)
    rules = [
        Rule(f"rule {number}", effect=RuleEffect.REQUIRE, requirement=touch, **kinds[number % 4])
        for number in range(length - 1)
    ]
    return Policy((*rules, Rule("last", ("*",), RuleEffect.REQUIRE, touch)))


def make_request(action: str) -> StepUpRequest:
    """Return ada's request, through sudo."""
    return StepUpRequest(ADA, Caller(0, 1, Door.RELAY), action)
