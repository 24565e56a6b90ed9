"""Policy: first match is the floor, and nothing but a stricter word moves it."""

from dataclasses import replace

import pytest
from core_support import ADA, NOW, SUDO, make_grant, make_policy, make_request, make_rule
from hypothesis import given
from hypothesis import strategies as st
from risk_support import observe

from stepupd.core.decision import Allow, Deny, Satisfied, StepUp
from stepupd.core.model import Claim, Level, Method, Reason, Requirement, Risk, Scope
from stepupd.core.policy import Policy, Rule, RuleEffect, Rung, decide, join_requirements
from stepupd.core.risk.assess import assess_observation
from stepupd.core.risk.facts import Facts

CALM = Risk()


def rule(name, effect=RuleEffect.ALLOW, **changes):
    return Rule(name, changes.pop("actions", ("*",)), effect, **changes)


def ask(policy, request=None, risk=CALM, grants=()):
    return decide(policy, request or make_request(), risk, grants, NOW)


def test_no_rule_means_no():
    """An empty policy denies, and so does one without a matching rule (empty means no)."""
    assert ask(Policy()) == Deny(Reason.NO_RULE, "")
    assert ask(make_policy(make_rule(actions=("ssh:*",)))).reason is Reason.NO_RULE


def test_the_first_match_decides():
    """Order is meaning: a later rule says nothing once an earlier one matched."""
    policy = make_policy(rule("first", RuleEffect.DENY), rule("second"))

    assert ask(policy) == Deny(Reason.RULE_DENIES, "first")


@pytest.mark.parametrize(
    ("changes", "matches"),
    [
        ({"subjects": ("ada",)}, True),
        ({"subjects": ("a?a", "nobody")}, True),
        ({"subjects": ("bob",)}, False),
        ({"groups": ("ops",)}, True),
        ({"groups": ("op",)}, False),
        ({"subjects": ("ada",), "groups": ("wheel",)}, False),
        ({"actions": ("pam:*",)}, True),
        ({"actions": ("ssh:*", "pam:sudo")}, True),
        ({"actions": ("pam:su",)}, False),
    ],
)
def test_rules_match_by_action_subject_and_group(changes, matches):
    assert isinstance(ask(make_policy(rule("it", **changes))), Allow) == matches


def test_a_claimed_command_never_opens_what_is_closed():
    """A rule that names a command cannot weaken what holds without it: the claim may be a lie."""
    policy = make_policy(rule("apt", commands=("sudo *",)), make_rule(Level.VERIFY))

    decision = ask(policy)

    assert isinstance(decision, StepUp)
    assert decision.requirement.level is Level.VERIFY


def test_a_claimed_command_may_tighten():
    """The same rule the other way round asks for more, and gives the reason its name."""
    harder = make_rule(Level.VERIFY, name="restarts")
    policy = make_policy(replace(harder, commands=("sudo systemctl *",)), make_rule())

    decision = ask(policy)

    assert decision.requirement.level is Level.VERIFY
    assert decision.rule == "restarts"
    assert ask(policy, make_request(claim=Claim())).requirement.level is Level.TOUCH


def test_a_cut_command_may_be_any_of_them():
    """Padding a command past what is handed on does not hide it from the rules about commands."""
    deny = rule("no rm", RuleEffect.DENY, commands=("*rm -rf*",))
    policy = make_policy(deny, make_rule())
    padded = Claim(command=("sudo", "env", "X=" + "a" * 2000), command_is_cut=True)

    assert ask(policy, make_request(claim=padded)) == Deny(Reason.RULE_DENIES, "no rm")
    assert isinstance(
        ask(policy, make_request(claim=replace(padded, command_is_cut=False))), StepUp
    )


def test_only_command_rules_means_no():
    """Without a rule that holds for any command, a claimed one opens nothing."""
    assert ask(make_policy(rule("apt", commands=("*",)))).reason is Reason.NO_RULE


def test_the_callers_wishes_only_sharpen():
    """Acr and max_age of the caller raise the floor, also over `allow`, and never lower it."""
    policy = make_policy(make_rule(Level.VERIFY, max_age=60, scope=Scope.SESSION))
    softer = ask(policy, make_request(level=Level.TOUCH, max_age=3600))
    harder = ask(policy, make_request(level=Level.ATTESTED, max_age=0))
    open_policy = make_policy(rule("open"))

    assert (softer.requirement.level, softer.requirement.max_age) == (Level.VERIFY, 60)
    assert (harder.requirement.level, harder.requirement.max_age) == (Level.ATTESTED, 0)
    assert isinstance(ask(open_policy), Allow)
    assert isinstance(ask(open_policy, make_request(max_age=0)), StepUp)
    assert ask(open_policy, make_request(level=Level.VERIFY)).requirement.level is Level.VERIFY


def test_methods_that_exclude_each_other_mean_no():
    """Two requirements without a common method can be met by nothing."""
    none_left = Requirement(Level.TOUCH, methods=frozenset())
    policy = make_policy(Rule("none", ("*",), RuleEffect.REQUIRE, none_left))

    assert isinstance(ask(policy), Deny)


def test_a_remote_session_weighs_what_policy_says():
    """A signal is named, weighed, and has a reason in words."""
    remote = observe(Facts(), request=make_request(claim=Claim(rhost="gate.example")))
    risk = assess_observation(remote, {"remote": 25})

    assert [(signal.name, signal.weight) for signal in risk.signals] == [("remote", 25)]
    assert "gate.example" in risk.signals[0].reason
    assert assess_observation(remote, {}) == Risk()
    assert assess_observation(observe(Facts()), {"remote": 25}) == Risk()


def test_the_ladder_raises_allow_to_proof_and_proof_to_no():
    policy = make_policy(rule("open"), ladder=(Rung(30, Level.VERIFY), Rung(90, None)))

    assert isinstance(ask(policy, risk=Risk(29)), Allow)
    assert ask(policy, risk=Risk(30)).requirement.level is Level.VERIFY
    assert ask(policy, risk=Risk(90)).reason is Reason.RISK_DENIES


def test_matching_rules_are_remembered_within_bounds():
    """Actions come from callers: a policy does not grow with what they invent."""
    policy = make_policy(rule("open"))
    for number in range(1000):
        policy.rules_for(f"cli:{number}", ADA)

    assert len(policy._found) <= 256


# --- properties ---------------------------------------------------------------------------------

levels = st.sampled_from(list(Level))
requirements = st.builds(
    Requirement,
    level=levels,
    max_age=st.sampled_from([0.0, 60.0, 600.0]),
    scope=st.sampled_from(list(Scope)),
    methods=st.sampled_from([frozenset(Method), frozenset()]),
    attempts=st.integers(1, 5),
    deadline=st.sampled_from([5.0, 30.0]),
)
patterns = st.sampled_from([(), ("*",), ("ada",), ("bob",), ("sudo *",), ("pam:*",)])


@st.composite
def rules(draw):
    effect = draw(st.sampled_from(list(RuleEffect)))
    return Rule(
        name=draw(st.sampled_from(["a", "b", "c"])),
        actions=draw(st.sampled_from([("*",), ("pam:*",), ("ssh:*",)])),
        effect=effect,
        requirement=draw(requirements) if effect is RuleEffect.REQUIRE else None,
        subjects=draw(patterns),
        commands=draw(patterns),
    )


rungs = st.builds(Rung, score=st.integers(0, 100), level=st.none() | levels)
policies = st.builds(
    Policy,
    rules=st.lists(rules(), max_size=5).map(tuple),
    ladder=st.lists(rungs, max_size=4).map(tuple),
)
grants = st.lists(
    st.builds(
        make_grant,
        level=levels,
        scope=st.sampled_from(list(Scope)),
        auth_time=st.floats(NOW.boot - 700, NOW.boot),
        caller_uid=st.sampled_from([0, 1000, 500]),
    ),
    max_size=3,
).map(tuple)
risks = st.integers(0, 120).map(Risk)
requests = st.builds(
    make_request,
    claim=st.sampled_from([Claim(), Claim(command=("sudo", "ls")), Claim(command=("vi",))]),
    level=st.none() | levels,
    max_age=st.none() | st.sampled_from([0.0, 60.0]),
)


def strictness(decision):
    """How much a decision asks: (kind, level). Satisfied asked for its requirement, and had it."""
    match decision:
        case Allow():
            return (0, 0)
        case Satisfied() | StepUp():
            return (1, decision.requirement.level)
        case Deny():
            return (2, 0)


@given(policies, requests, risks, st.integers(0, 100), grants)
def test_more_risk_never_weakens(policy, request, risk, extra, granted):
    """Promise 2: a higher score never yields a weaker requirement."""
    before = decide(policy, request, risk, granted, NOW)
    after = decide(policy, request, Risk(risk.score + extra), granted, NOW)

    assert strictness(after) >= strictness(before)


@given(policies, requests, risks, rungs)
def test_another_rung_never_weakens(policy, request, risk, rung):
    before = decide(policy, request, risk, (), NOW)
    after = decide(replace(policy, ladder=(*policy.ladder, rung)), request, risk, (), NOW)

    assert strictness(after) >= strictness(before)


@given(policies, requests, risks, st.data())
def test_a_stricter_rule_never_weakens(policy, request, risk, data):
    """Replacing any rule by a stricter one with the same matchers never asks for less."""
    if not policy.rules:
        return
    index = data.draw(st.integers(0, len(policy.rules) - 1))
    old = policy.rules[index]
    if old.effect is RuleEffect.REQUIRE:
        stricter = replace(
            old, requirement=join_requirements(old.requirement, data.draw(requirements))
        )
    else:
        stricter = replace(old, effect=RuleEffect.DENY, requirement=None)
    changed = replace(policy, rules=(*policy.rules[:index], stricter, *policy.rules[index + 1 :]))

    before = decide(policy, request, risk, (), NOW)
    after = decide(changed, request, risk, (), NOW)

    assert strictness(after) >= strictness(before)


@given(policies, requests, risks, grants)
def test_a_claim_never_weakens(policy, request, risk, granted):
    """Whatever command a caller claims, it is asked at least what it would be without one."""
    silent = replace(request, claim=Claim())

    before = decide(policy, silent, risk, granted, NOW)
    after = decide(policy, request, risk, granted, NOW)

    assert strictness(after) >= strictness(before)


@given(policies, requests, risks, grants)
def test_satisfied_means_that_the_grant_meets_the_requirement(policy, request, risk, granted):
    decision = decide(policy, request, risk, granted, NOW)

    if isinstance(decision, Satisfied):
        grant, asked = decision.grant, decision.requirement
        assert grant.level >= asked.level
        assert NOW.boot - grant.auth_time < asked.max_age
        assert grant.subject_uid == ADA.uid
        assert grant.caller_uid == 0 or request.caller != SUDO
