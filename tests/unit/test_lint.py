"""What `policy check` finds in policies that load, and what it leaves alone."""

from dataclasses import replace

import pytest
from core_support import ADA, make_request
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.errors import ConfigError
from stepupd.core.model import Claim, Level
from stepupd.core.policy import find_floor
from stepupd.core.rehearsal.case import run_case
from stepupd.core.rehearsal.finding import Grade
from stepupd.core.rehearsal.lint import find_faults
from stepupd.core.rehearsal.lint_names import find_strangers
from stepupd.store.policy_file import make_policy
from stepupd.store.policy_tests import read_cases
from stepupd.store.toml_files import parse_document

BASE = 'name = "base"\naction = "pam:*"\nrequire = "touch"'


def read(*rules, more=""):
    text = "\n".join(f"[[rule]]\n{rule}" for rule in rules) + "\n" + more
    return make_policy((parse_document("policy.toml", text.encode()),))


def find(*rules, more=""):
    return {(one.kind, one.rule) for one in find_faults(read(*rules, more=more))}


def test_a_plain_policy_has_no_fault():
    assert find(BASE) == set()


@pytest.mark.parametrize(
    "later",
    [
        'name = "x"\naction = "pam:su"\nrequire = "verify"',
        'name = "x"\naction = ["pam:su", "pam:sudo"]\ndeny = true',
        'name = "x"\naction = "pam:su"\ngroup = "ops"\nrequire = "touch"',
        'name = "x"\naction = "pam:su"\nwhen = "hour > 3"\nrequire = "verify"',
    ],
)
def test_a_rule_behind_a_wider_one_is_shadowed(later):
    assert ("shadowed", 1) in find(BASE, later)


@pytest.mark.parametrize(
    "earlier",
    [
        'name = "x"\naction = "pam:su"\nrequire = "touch"',
        'name = "x"\naction = "pam:*"\ngroup = "ops"\nrequire = "verify"',
        'name = "x"\naction = "pam:*"\nsubject = "ada"\nrequire = "verify"',
        'name = "x"\naction = "pam:*"\nwhen = "hour > 3"\nrequire = "verify"',
        'name = "x"\naction = "pam:*"\ncommand = "ls"\nrequire = "verify"',
    ],
)
def test_a_rule_behind_a_narrower_one_is_not(earlier):
    """A subject, a group, a condition or a command leaves something to it."""
    assert not [kind for kind, _ in find(earlier, BASE) if kind == "shadowed"]


def test_the_same_condition_twice_shadows():
    one = 'action = "pam:*"\nwhen = "hour > 3"\nrequire = "touch"'
    assert ("shadowed", 1) in find(f'name = "a"\n{one}', f'name = "b"\n{one}')


def test_a_command_that_asks_no_more_changes_nothing():
    """A claim only tightens, so a rule that is no stricter is idle."""
    command = 'name = "x"\naction = "pam:su"\ncommand = "*rm*"\nrequire = "touch"'
    assert ("no-effect", 1) in find(BASE, command)
    assert ("no-effect", 1) not in find(BASE, command.replace("touch", "verify"))


def test_a_command_is_not_idle_where_an_exception_lets_through():
    """For the group it tightens what the first rule allows."""
    free = 'name = "free"\naction = "pam:*"\ngroup = "ops"\nallow = true'
    command = 'name = "x"\naction = "pam:su"\ncommand = "*rm*"\nrequire = "touch"'
    assert ("no-effect", 2) not in find(free, BASE, command)


def test_nor_where_somebody_may_be_in_both_groups():
    """Whoever is in ops as well as in dev passes the first rule, so the last one counts."""
    free = 'name = "free"\naction = "pam:*"\ngroup = "ops"\nallow = true'
    command = 'name = "x"\naction = "pam:su"\ngroup = "dev"\ncommand = "*rm*"\nrequire = "touch"'
    assert ("no-effect", 2) not in find(free, BASE, command)


def test_an_allow_that_reaches_into_a_stricter_rule_weakens_it():
    """Overlapping, but no exception from it: it goes further than the rule that it cuts into."""
    allow = 'name = "a"\naction = "cli:*"\ngroup = "build"\nallow = true'
    later = 'name = "b"\naction = "cli:deploy"\nrequire = "verify"'
    assert ("weakened", 1) in find(allow, later)


def test_an_exception_is_only_a_note():
    allow = 'name = "a"\naction = "pam:lock"\nallow = true'
    faults = find_faults(read(allow, BASE))
    assert [(one.kind, one.grade) for one in faults] == [("exception", Grade.NOTE)]


def test_a_stricter_rule_first_weakens_nothing():
    later = 'name = "b"\naction = "*"\nrequire = "touch"'
    assert find('name = "a"\naction = "pam:su"\nrequire = "verify"', later) == set()


@pytest.mark.parametrize(
    ("rule", "kind"),
    [
        ('action = "*"\nallow = true', "allows-everything"),
        ('action = "pam:*"\nrequire = "touch"\nmax_age = "8h"\nscope = "subject"', "wide-grant"),
        ('action = "pam:sshd"\nrequire = "touch"\nrecovery = true', "recovery-too-far"),
        ('action = "*"\nrequire = "touch"\nrecovery = true', "recovery-too-far"),
    ],
)
def test_risky_rules_are_named(rule, kind):
    assert (kind, 0) in find(f'name = "x"\n{rule}')


@pytest.mark.parametrize(
    ("risk", "kind"),
    [
        ("[risk.weights]\nremote = 5", "no-ladder"),
        ('[risk]\nladder = [{ score = 30, require = "touch" }]\n[risk.weights]', "no-weights"),
        (
            '[risk]\nladder = [{ score = 30, require = "touch" }]\n[risk.weights]\nremote = 5',
            "out-of-reach",
        ),
    ],
)
def test_a_risk_table_that_does_nothing_is_named(risk, kind):
    assert (kind, None) in find(BASE, more=risk)


LADDER = '[risk]\nladder = [{ score = 30, require = "touch" }]\n'
MODELS = 'denied_models = ["2fc0579f-8113-47ea-b116-bb5a8db9202a"]\n'


def grade(kind, *rules, more=""):
    return [one.grade for one in find_faults(read(*rules, more=more)) if one.kind == kind]


@pytest.mark.parametrize("when", ['"agent" in signals', "risk >= 30"])
def test_weights_that_a_condition_asks_for_need_no_ladder(when):
    """Risk does change something then."""
    watching = f'name = "x"\naction = "*"\nwhen = \'{when}\'\ndeny = true'
    assert not grade("no-ladder", BASE, watching, more="[risk.weights]\nagent = 40")


def test_a_ladder_out_of_reach_altogether_is_a_warning_and_one_step_a_note():
    steps = '[risk]\nladder = [{ score = 5, require = "touch" }, { score = 30, deny = true }]\n'
    weights = "[risk.weights]\nremote = 5"
    assert grade("out-of-reach", BASE, more=LADDER + weights) == [Grade.WARNING]
    assert grade("out-of-reach", BASE, more=steps + weights) == [Grade.NOTE]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ("[risk.weights]\nremote = 30", {"models-without-weight"}),
        ("[risk.weights]\nremote = 30\ndenied_model = 0", {"models-without-weight"}),
        ("[risk.weights]\nremote = 30\ndenied_model = 29", {"models-too-light"}),
        ("[risk.weights]\ndenied_model = 30", set()),
        ("", set()),
    ],
)
def test_denied_models_have_to_weigh_enough(weights, expected):
    """Whoever lists models expects that their keys are met with more."""
    found = {kind for kind, _ in find(BASE, more=LADDER + MODELS + weights)}
    assert found == expected


def test_a_light_model_may_be_what_a_condition_looks_at():
    watching = 'name = "x"\naction = "*"\nwhen = \'"denied_model" in signals\'\ndeny = true'
    more = LADDER + MODELS + "[risk.weights]\nremote = 30\ndenied_model = 1"
    assert "models-too-light" not in {kind for kind, _ in find(BASE, watching, more=more)}


@pytest.mark.parametrize("name", ["denied_model", "new_ssh_client"])
def test_a_weight_of_what_never_fires_is_a_note(name):
    assert grade("never-fires", BASE, more=f"{LADDER}[risk.weights]\n{name} = 40") == [Grade.NOTE]
    assert not grade("never-fires", BASE, more=LADDER)


def test_a_policy_that_is_only_watched_is_a_note():
    """It is easily forgotten."""
    assert grade("observed", BASE, more=f'[policy]\nmode = "observe"\n{LADDER}') == [Grade.NOTE]
    assert not grade("observed", BASE, more=LADDER)


@pytest.mark.parametrize(
    ("when", "is_noted"),
    [
        ("risk < 30", True),
        ("30 > risk", True),
        ("risk == 0", True),
        ('!("agent" in signals)', True),
        ("risk >= 30", False),
        ("30 <= risk", False),
        ('"agent" in signals', False),
        ("hour < 8", False),
    ],
)
def test_a_condition_that_low_risk_fulfils_is_a_note(when, is_noted):
    rule = f'name = "x"\naction = "*"\nwhen = \'{when}\'\nrequire = "verify"'
    assert grade("less-for-more", BASE, rule, more=LADDER) == [Grade.NOTE] * is_noted


def claim(name, command, effect, more=""):
    return f'name = "{name}"\naction = "pam:*"\ncommand = "{command}"\n{effect}{more}'


WEAK = claim("weak", "*apt*", 'require = "touch"')
STRICT = claim("strict", "*mkfs*", "deny = true")


def test_of_two_commands_the_stricter_counts_in_either_order():
    assert find(WEAK.replace("touch", "verify"), STRICT, BASE) == set()
    assert find(STRICT, WEAK.replace("touch", "verify"), BASE) == set()


def test_a_command_behind_a_wider_and_as_strict_one_changes_nothing():
    wide = STRICT.replace("*mkfs*", "*m*").replace("strict", "wide")
    assert ("no-effect", 1) in find(wide, STRICT, BASE)
    assert ("no-effect", 1) not in find(wide.replace("deny = true", 'require = "touch"'), STRICT)


def test_who_is_nobody_here_is_noted():
    """Only where no pattern has a wildcard, and none of the names is known."""
    rules = [
        f'name = "{number}"\naction = "a"\nrequire = "touch"\n{who}'
        for number, who in enumerate(
            [
                'subject = "adaa"',
                'group = ["ops", "opps"]',
                'group = ["opps", "o*"]',
                'subject = "ada"\ngroup = "opps"',
            ]
        )
    ]
    found = find_strangers(read(*rules).rules, {"ada"}.__contains__, {"ops"}.__contains__)
    assert [(one.rule, one.grade) for one in found] == [(0, Grade.NOTE), (3, Grade.NOTE)]


def test_no_rule_at_all_is_a_note():
    assert find() == {("no-rule", None)}


PARTS = st.sampled_from(["pam:sudo", "pam:su", "pam:*", "*", "cli:*", "pam:su?o"])
EFFECTS = st.sampled_from(
    ["allow = true", "deny = true", 'require = "touch"', 'require = "verify"']
)
GROUPS = st.sampled_from(["", 'group = "ops"\n', 'subject = "ada"\n'])


@given(st.lists(st.tuples(PARTS, GROUPS, EFFECTS), min_size=2, max_size=5))
def test_what_is_called_shadowed_never_decides(rules):
    """Taking such a rule out changes the answer to nothing."""
    written = [
        f'name = "{number}"\naction = "{action}"\n{group}{effect}'
        for number, (action, group, effect) in enumerate(rules)
    ]
    policy = read(*written)
    idle = {one.rule for one in find_faults(policy) if one.kind == "shadowed"}
    left = read(*(text for number, text in enumerate(written) if number not in idle))
    for action in ("pam:sudo", "pam:su", "cli:x", "pam:login", "other"):
        request = make_request(action=action, subject=ADA)
        assert find_floor(policy, request) == find_floor(left, request)


def test_ten_thousand_rules_are_compared():
    """Rules about plain names are only compared with those of the same name."""
    rules = [
        f'name = "{number}"\naction = "cli:{number}"\nrequire = "{Level.TOUCH.word}"'
        for number in range(10_000)
    ]
    assert find_faults(read(*rules)) == ()


PIECES = st.sampled_from(
    [
        "[[rule]]",
        "[[test]]",
        "[risk]",
        "[risk.weights]",
        'name = "a"',
        'name = "b"',
        'action = "*"',
        'action = ["pam:*", "?"]',
        "allow = true",
        "deny = true",
        'require = "verify"',
        'when = "hour > 3"',
        'when = "risk > 3"',
        'command = "*"',
        'expect = "deny"',
        'at = "0001-01-01"',
        'at = "9999-12-31T23:59:59+14:00"',
        'from = "::1"',
        "risk = 10",
        'signals = ["remote"]',
        "remote = 5",
        'ladder = [{ score = 3, require = "touch" }]',
        "nonsense",
    ]
)


@given(st.lists(PIECES, max_size=12).map("\n".join) | st.text(max_size=40))
def test_any_text_gives_findings_or_an_error_with_its_place(text):
    """Nothing else comes out of a file, whatever is in it."""
    fault = None
    try:
        documents = (parse_document("policy.toml", text.encode()),)
        policy = make_policy(documents)
        cases = read_cases(documents, policy)
    except ConfigError as error:
        fault = error
    if fault is None:
        assert all(one.text for one in find_faults(policy))
        assert all(run_case(policy, case).got for _, case in cases)
    else:
        assert (fault.file, fault.line > 0, fault.column > 0) == ("policy.toml", True, True)


WHO = st.sampled_from(["", 'group = "ops"\n', 'group = "dev"\n'])
FEW = st.sampled_from(["pam:*", "pam:su"])


@given(
    st.lists(st.tuples(FEW, WHO, EFFECTS), min_size=1, max_size=3),
    st.tuples(FEW, WHO, st.just('require = "touch"')),
)
def test_a_claim_that_is_called_idle_changes_no_answer(rules, claimed):
    """Whatever groups an account is in."""
    written = [
        f'name = "{number}"\naction = "{action}"\n{who}{effect}'
        for number, (action, who, effect) in enumerate(rules)
    ]
    action, who, effect = claimed
    last = f'name = "claim"\naction = "{action}"\ncommand = "*rm*"\n{who}{effect}'
    policy, left = read(*written, last), read(*written)
    if ("no-effect", len(rules)) not in {(one.kind, one.rule) for one in find_faults(policy)}:
        return
    for groups in ((), ("ops",), ("dev",), ("ops", "dev")):
        subject = replace(ADA, groups=frozenset(groups))
        for action in ("pam:sudo", "pam:su"):
            request = make_request(action=action, subject=subject, claim=Claim(("rm",)))
            one, other = find_floor(policy, request), find_floor(left, request)
            assert (one.effect, one.requirement) == (other.effect, other.requirement)
