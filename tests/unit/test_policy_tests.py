"""`[[test]]` tables: read with their place, and run for somebody for whom all of it is usual."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.errors import ConfigError
from stepupd.core.rehearsal.case import run_case
from stepupd.core.risk.signals import DEFAULT_WEIGHTS
from stepupd.store.policy_file import make_policy
from stepupd.store.policy_tests import EXPECTATIONS, read_cases
from stepupd.store.toml_files import parse_document

POLICY = """
[[rule]]
name = "sudo"
action = "pam:sudo"
group = "ops"
require = "touch"

[[rule]]
name = "look"
action = "cli:look"
allow = true

[risk]
ladder = [
    { score = 30, require = "touch" },
    { score = 60, require = "verify" },
    { score = 90, deny = true },
]
"""
SUDO = 'action = "pam:sudo"\ngroups = ["ops"]\n'


def read(test):
    text = f'{POLICY}\n[[test]]\nname = "it"\n{test}\n'
    documents = (parse_document("policy.toml", text.encode()),)
    policy = make_policy(documents)
    [(_, case)] = read_cases(documents, policy)
    return policy, case


def run(test):
    policy, case = read(f'expect = "allow"\n{test}')
    return run_case(policy, case)


@pytest.mark.parametrize(
    ("test", "got"),
    [
        (SUDO, "touch"),
        ('action = "pam:sudo"', "deny"),
        ('action = "cli:look"', "allow"),
        (SUDO + "risk = 59", "touch"),
        (SUDO + "risk = 60", "verify"),
        (SUDO + "risk = 90", "deny"),
        ('action = "cli:look"\nrisk = 30', "touch"),
        (SUDO + 'signals = ["new_country", "new_source", "new_network"]', "verify"),
        (SUDO + 'programs = ["sh", "nginx"]\nlocked = true', "verify"),
    ],
)
def test_a_test_gets_what_the_policy_says(test, got):
    assert run(test).got == got


@pytest.mark.parametrize(
    "test",
    [
        SUDO,
        SUDO + 'from = "203.0.113.9"\ncountry = "NZ"',
        SUDO + 'at = "2026-03-01T03:30"',
        SUDO + 'command = "mkfs /dev/sda"\nterminal = "tty7"',
        SUDO + 'ssh_key = "SHA256:abc"\nssh_client = "PuTTY"\nfrom = "2001:db8::1"',
    ],
)
def test_whatever_a_test_describes_is_usual_for_its_subject(test):
    """Nothing fires that the test does not name, but for coming from elsewhere at all."""
    fired = {signal.name for signal in run(test).decision.risk.signals}
    assert fired <= {"remote"}


def test_signals_that_are_named_add_to_what_shows():
    """Each once, at its weight in this policy."""
    result = run(SUDO + 'from = "203.0.113.9"\nsignals = ["remote", "new_source"]')
    weights = {signal.name: signal.weight for signal in result.decision.risk.signals}
    assert weights == {name: DEFAULT_WEIGHTS[name] for name in ("remote", "new_source")}


def test_a_test_passes_only_with_its_rule():
    policy, case = read('expect = "touch"\nrule = "look"\n' + SUDO)
    assert not run_case(policy, case).is_passed
    policy, case = read('expect = "touch"\nrule = "sudo"\n' + SUDO)
    assert run_case(policy, case).is_passed


@pytest.mark.parametrize(
    ("test", "column", "said"),
    [
        ('expect = "yes"\n' + SUDO, "expect", "is none of allow, code, touch"),
        ('expect = "deny"\nrule = "no such"\n' + SUDO, "rule", "no rule named"),
        ('expect = "deny"\nsignals = ["bad_luck"]\n' + SUDO, "signals", "no signal 'bad_luck'"),
        ('expect = "deny"\nat = "noon"\n' + SUDO, "at", "no time"),
        ('expect = "deny"\nat = "0001-01-01T00:00+14:00"\n' + SUDO, "at", "range"),
        ('expect = "deny"\nfrom = "example.org"\n' + SUDO, "from", "example.org"),
        ('expect = "deny"\nrisk = -1\n' + SUDO, "risk", "at least 0"),
        ('expect = "deny"\nrisk = 1\nsignals = ["remote"]\n' + SUDO, "signals", "either"),
        ('expect = "deny"\nfacts = 1\n' + SUDO, "facts", "unknown key"),
    ],
)
def test_a_test_that_is_wrong_says_where(test, column, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read(test)
    lines = f'{POLICY}\n[[test]]\nname = "it"\n{test}\n'.split("\n")
    assert lines[caught.value.line - 1].startswith(column)


def test_a_signal_without_weight_cannot_be_tested():
    """It would change nothing, and the test would say nothing."""
    text = (
        POLICY
        + "[risk.weights]\nremote = 5\n"
        + (f'[[test]]\nname = "it"\nexpect = "deny"\nsignals = ["agent"]\n{SUDO}')
    )
    documents = (parse_document("policy.toml", text.encode()),)
    with pytest.raises(ConfigError, match="weighs nothing"):
        read_cases(documents, make_policy(documents))


@given(st.sets(st.sampled_from(sorted(DEFAULT_WEIGHTS))), st.sampled_from(sorted(DEFAULT_WEIGHTS)))
def test_a_signal_more_never_gives_less(signals, another):
    """As in every decision: more risk never asks for less."""

    def ask(names):
        words = ", ".join(f'"{name}"' for name in sorted(names))
        return EXPECTATIONS.index(run(f"{SUDO}signals = [{words}]").got)

    assert ask(signals | {another}) >= ask(signals)
