"""What `policy check` finds in policies that load, and what it leaves alone."""

import pytest
from core_support import ADA, make_request
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.errors import ConfigError
from stepupd.core.model import Level
from stepupd.core.policy import find_floor
from stepupd.core.rehearsal.case import run_case
from stepupd.core.rehearsal.finding import Grade
from stepupd.core.rehearsal.lint import find_faults
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
