"""Attacks on rules with conditions (group H): errors taken for yes, claims that open, silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.decision import Allow, Deny
from stepupd.core.errors import ConfigError
from stepupd.core.model import (
    Caller,
    Claim,
    Door,
    Moment,
    Reason,
    Risk,
    StepUpRequest,
    Subject,
)
from stepupd.core.policy import decide
from stepupd.core.risk.activity import Activity
from stepupd.core.risk.facts import Facts, Observer
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile
from stepupd.core.variables import VARIABLES, list_observers, list_variables
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document

NOW = Moment(wall=1_790_000_000.0, boot=5000.0, boot_id="b" * 36)
ADA = Subject(1000, "ada", frozenset({"ada", "ops"}))
OPEN = '[[rule]]\nname = "open"\naction = "*"\nallow = true\n'


def read_policy(text):
    return make_policy((parse_document("f", text.encode()),))


def write_rule(when, does):
    return f'[[rule]]\nname = "guard"\naction = "*"\nwhen = {when}\n{does}\n'


def ask(policy, claim=Claim(), facts=None, subject=ADA):
    request = StepUpRequest(subject, Caller(1000, 5, Door.SOCKET), "cli:deploy", claim=claim)
    observation = Observation(request, NOW, facts or Facts(), Profile(1000), Activity())
    variables = list_variables(observation, Risk())
    return decide(policy, request, Risk(), (), NOW, variables=variables)


@pytest.mark.parametrize("does", ["allow = true", "deny = true", 'require = "touch"'])
@pytest.mark.parametrize(
    "when",
    ["'uid / 0 == 1'", "'groups[9] == \"ops\"'", "'int(subject) > 0'", "'subject.matches(\"(\")'"],
)
def test_attack_107_an_error_of_the_library_is_no_yes_and_no_silence(when, does):
    """Its errors are values that count as true; here the rule neither opens nor steps aside."""
    decision = ask(read_policy(write_rule(when, does) + OPEN))

    assert decision == Deny(Reason.RULE_IN_ERROR, "guard", Risk())


@pytest.mark.parametrize("observer", [one for one in Observer if one is not Observer.ADVICE])
def test_attack_110_an_observer_that_failed_makes_its_rules_deny(observer):
    """Every variable that needs it: the rule below, which asks for nothing, is not reached."""
    for name, row in VARIABLES.items():
        if observer in list_observers([name]):
            same = f"'{name} == {name}'"
            policy = read_policy(write_rule(same, 'require = "touch"') + OPEN)
            failed = Facts(missing=frozenset({observer}))
            assert ask(policy, facts=failed) == Deny(Reason.RULE_IN_ERROR, "guard", Risk()), row


@pytest.mark.parametrize(
    "when",
    [
        "'command == \"/usr/bin/apt update\"'",
        "'reason != \"\" || uid == 1000'",
        "'!(\"burst\" in signals)'",
        "'asker == \"terminal\"'",
        "'[command].exists(part, part == \"ls\")'",
        "'.command == \"ls\"'",
    ],
)
def test_attack_107_a_condition_on_a_claim_cannot_open(when):
    """Nor one on a name that any program can give itself."""
    with pytest.raises(ConfigError, match="claimed"):
        read_policy(write_rule(when, "allow = true"))


words = st.sampled_from(["", "rm", "rm -rf /", "ls", "a\0b", "\udcff", "('\"\\", "ü" * 3000])


@given(st.lists(words, max_size=3).map(tuple), words, st.booleans())
def test_attack_107_no_claim_talks_a_rule_out_of_its_requirement(command, reason, is_cut):
    """Whatever is claimed, what the rules on facts require is the least that is asked."""
    policy = read_policy(
        write_rule('\'command.startsWith("ls") || reason == ""\'', 'require = "touch"')
        + '[[rule]]\nname = "base"\naction = "*"\nwhen = \'"ops" in groups\'\nrequire = "verify"\n'
        + OPEN
    )

    decision = ask(policy, Claim(command, command_is_cut=is_cut, reason=reason))

    assert not isinstance(decision, Allow)
    assert isinstance(decision, Deny) or decision.requirement.level.word == "verify"


@pytest.mark.parametrize("name", ["ada\0", "ada\0root", "\udcffada"])
def test_attack_107_a_name_that_the_library_would_cut_matches_nothing(name):
    """A NUL ends a text in the library, which would take ada for what is not she."""
    odd = Subject(1000, name, frozenset({"ops\0", "staff"}))
    for when in ("'subject == \"ada\"'", "'subject != \"ada\"'"):
        policy = read_policy(write_rule(when, "allow = true") + OPEN)
        assert ask(policy, subject=odd).reason is Reason.RULE_IN_ERROR


@pytest.mark.parametrize(
    "when",
    [
        "'hour == \"14\"'",
        "'hour in [14, \"15\"]'",
        "'dyn(hour) == \"14\"'",
        "'grups.size() == 0'",
        "'\"ops\" in group'",
        "'subject'",
        "''",
        '"true\\u0000 && false"',
        "1",
        "true",
        "['true', 'false']",
    ],
)
def test_attack_107_a_condition_that_could_be_misread_is_refused(when):
    """Unknown names, unlike types, no boolean, and what would compare them in silence."""
    with pytest.raises(ConfigError):
        read_policy(write_rule(when, "deny = true"))
