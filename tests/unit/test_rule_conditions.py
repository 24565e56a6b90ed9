"""What a rule's condition does to a decision: no match, a match, or an error that denies."""

from dataclasses import replace

import pytest
from condition_support import Told, read_condition
from core_support import ADA, NOW, make_policy, make_request, make_rule
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.decision import Allow, Deny, StepUp
from stepupd.core.glob import match_any
from stepupd.core.model import Claim, Level, Reason, Requirement, Risk
from stepupd.core.policy import Policy, Rule, RuleEffect, decide

YES, NO, ERROR = Told(True), Told(False), Told(None)
CLAIMED = frozenset({"command"})


def rule(name, effect=RuleEffect.ALLOW, **changes):
    return Rule(name, changes.pop("actions", ("*",)), effect, **changes)


def ask(*rules, request=None):
    return decide(Policy(rules), request or make_request(), Risk(), (), NOW, variables={})


def test_a_rule_whose_condition_does_not_hold_is_passed_over():
    assert ask(rule("first", when=NO), rule("second")) == Allow("second", Risk())
    assert ask(rule("first", when=YES), rule("second")) == Allow("first", Risk())
    assert ask(rule("only", when=NO)).reason is Reason.NO_RULE


@pytest.mark.parametrize("effect", [RuleEffect.ALLOW, RuleEffect.DENY])
def test_a_rule_in_error_denies_and_names_itself(effect):
    """Whatever it would have said, and whatever the rules below it say."""
    decision = ask(rule("first", when=NO), rule("broken", effect, when=ERROR), rule("open"))

    assert decision == Deny(Reason.RULE_IN_ERROR, "broken", Risk())


@pytest.mark.parametrize(
    "changes",
    [
        {"actions": ("ssh:*",)},
        {"subjects": ("bob",)},
        {"groups": ("wheel",)},
        {"commands": ("apt *",)},
    ],
)
def test_an_error_counts_only_where_the_rest_of_the_rule_matches(changes):
    broken = rule("broken", RuleEffect.DENY, when=ERROR, **changes)

    assert ask(broken, rule("open")) == Allow("open", Risk())


def test_an_error_below_the_rule_that_decides_is_not_looked_at():
    assert ask(rule("open"), rule("broken", when=ERROR)) == Allow("open", Risk())


def test_without_variables_a_condition_is_in_error():
    """A caller of the core that forgets them opens nothing."""
    policy = make_policy(rule("open", when=read_condition("hour == hour")))

    decision = decide(policy, make_request(), Risk(), (), NOW)

    assert decision.reason is Reason.RULE_IN_ERROR


# --- conditions on what is claimed ----------------------------------------------------------------


def test_a_condition_on_a_claim_tightens_wherever_it_stands():
    harder = replace(make_rule(Level.VERIFY, name="hard"), when=Told(True, CLAIMED))
    base = make_rule(Level.TOUCH, name="base")
    for rules in ((harder, base), (base, harder)):
        decision = ask(*rules)
        assert isinstance(decision, StepUp)
        assert (decision.requirement.level, decision.rule) == (Level.VERIFY, "hard")


def test_a_condition_on_a_claim_never_opens():
    """Alone it is no rule at all, and beside a stricter one it says nothing."""
    opens = rule("opens", when=Told(True, CLAIMED))

    assert ask(opens).reason is Reason.NO_RULE
    assert ask(opens, make_rule(Level.VERIFY)).requirement.level is Level.VERIFY


def test_a_condition_on_a_claim_that_is_in_error_denies():
    """From below too: what it would have asked for is not known."""
    broken = rule("broken", RuleEffect.REQUIRE, requirement=Requirement(Level.TOUCH))
    broken = replace(broken, when=Told(None, CLAIMED))

    assert ask(rule("open"), broken) == Deny(Reason.RULE_IN_ERROR, "broken", Risk())


def test_a_command_that_was_cut_may_be_what_the_condition_is_about():
    """A condition that did not find the word in the first part would have found it in the rest."""
    deny = rule("no rm", RuleEffect.DENY, when=Told(False, CLAIMED))
    other = rule("not at night", RuleEffect.DENY, when=Told(False, frozenset({"reason"})))
    cut = make_request(claim=Claim(command=("env", "X=" + "a" * 2000), command_is_cut=True))

    assert ask(deny, rule("open"), request=cut) == Deny(Reason.RULE_DENIES, "no rm", Risk())
    assert isinstance(ask(other, rule("open"), request=cut), Allow)
    assert isinstance(ask(deny, rule("open")), Allow)


def test_a_condition_narrows_a_rule_about_commands():
    """A fact that does not hold lets the rule rest, also where the command was cut."""
    night = rule("night", RuleEffect.DENY, commands=("*",), when=NO)
    cut = make_request(claim=Claim(command=("vi",), command_is_cut=True))

    assert isinstance(ask(night, rule("open"), request=cut), Allow)
    assert ask(replace(night, when=YES), rule("open"), request=cut).rule == "night"


# --- properties -----------------------------------------------------------------------------------

conditions = st.none() | st.builds(
    Told,
    st.sampled_from([True, False, None]),
    st.sampled_from([frozenset(), frozenset({"hour"}), CLAIMED, frozenset({"risk", "hour"})]),
)


@st.composite
def rules(draw):
    effect = draw(st.sampled_from(list(RuleEffect)))
    level = draw(st.sampled_from(list(Level)))
    return Rule(
        name=draw(st.sampled_from(["a", "b", "c"])),
        actions=draw(st.sampled_from([("*",), ("pam:*",), ("ssh:*",)])),
        effect=effect,
        requirement=Requirement(level) if effect is RuleEffect.REQUIRE else None,
        commands=draw(st.sampled_from([(), ("sudo *",), ("vi",)])),
        when=draw(conditions),
    )


requests = st.builds(
    make_request,
    claim=st.builds(
        Claim,
        command=st.sampled_from([(), ("sudo", "ls"), ("vi",)]),
        command_is_cut=st.booleans(),
    ),
)
policies = st.lists(rules(), max_size=5)


def strictness(decision):
    match decision:
        case Allow():
            return (0, 0)
        case StepUp():
            return (1, decision.requirement.level)
        case _:
            return (2, 0)


@given(policies, requests)
def test_rules_on_claims_never_weaken_what_the_others_say(written, request):
    """With them at least as much is asked as without them: a claim can be a lie."""
    others = [one for one in written if not one.is_claimed]

    assert strictness(ask(*written, request=request)) >= strictness(ask(*others, request=request))


@given(policies, requests)
def test_an_error_never_asks_for_less(written, request):
    """Where conditions turn to errors, nothing is allowed that was not, and no level falls."""
    for index, one in enumerate(written):
        if one.when is not None:
            broken = replace(one, when=replace(one.when, answer=None))
            after = ask(*written[:index], broken, *written[index + 1 :], request=request)
            before = ask(*written, request=request)
            assert strictness(after) >= strictness(before)


patterns = st.text("ab:*?", min_size=1, max_size=4)


@given(
    st.lists(st.lists(patterns, min_size=1, max_size=3).map(tuple), max_size=6),
    st.text("ab:", max_size=4),
)
def test_the_index_finds_what_a_look_at_every_rule_finds(written, action):
    """In the same order, and each rule once."""
    policy = Policy(tuple(rule(str(number), actions=one) for number, one in enumerate(written)))
    slow = tuple(one for one in policy.rules if match_any(one.actions, action))

    assert policy.rules_for(action, ADA) == slow
