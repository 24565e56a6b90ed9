"""What the order of files and of rules changes, and what it must not."""

import itertools

from core_support import ADA, NOW, make_request
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.decision import Allow, Deny
from stepupd.core.model import Claim, Risk
from stepupd.core.policy import decide
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document

ACTIONS = ("pam:sudo", "pam:su", "cli:x")
COMMANDS = ("", "ls", "rm x", "rm ls")
EFFECTS = ("allow = true", 'require = "touch"', 'require = "verify"', "deny = true")
RISK = '[risk]\nladder = [{ score = 30, require = "verify" }, { score = 60, deny = true }]\n'
MODE = '[policy]\nmode = "enforce"\n'


def read(*texts):
    return make_policy(
        [parse_document(f"{number}.toml", text.encode()) for number, text in enumerate(texts)]
    )


def write_rule(name, action, effect, command=""):
    claim = f'command = "{command}"\n' if command else ""
    return f'[[rule]]\nname = "{name}"\naction = "{action}"\n{claim}{effect}\n'


def measure(policy, action, command, score=0):
    """Return how much is asked."""
    request = make_request(
        action=action, subject=ADA, claim=Claim(tuple(command.split())), level=None
    )
    decision = decide(policy, request, Risk(score), (), NOW)
    if isinstance(decision, Deny):
        return 9
    return 0 if isinstance(decision, Allow) else decision.requirement.level.value


def measure_all(policy):
    return [
        measure(policy, action, command, score)
        for action in ACTIONS
        for command in COMMANDS
        for score in (0, 40, 80)
    ]


@given(st.tuples(*[st.sampled_from(EFFECTS)] * len(ACTIONS)))
def test_files_about_different_actions_may_come_in_any_order(effects):
    """And so may those with `[risk]` and `[policy]`."""
    files = [RISK, MODE]
    files += [write_rule(a, a, effect) for a, effect in zip(ACTIONS, effects, strict=True)]
    expected = measure_all(read(*files))

    for order in itertools.islice(itertools.permutations(files), 0, None, 7):
        assert measure_all(read(*order)) == expected


rules = st.lists(
    st.tuples(
        st.sampled_from([*ACTIONS, "pam:*", "*"]),
        st.sampled_from(EFFECTS),
        st.sampled_from(["", "*rm*", "*ls*"]),
    ).map(lambda one: (one[0], EFFECTS[1], one[2]) if one[2] and "allow" in one[1] else one),
    max_size=4,
)


def write_all(made):
    return "".join(write_rule(str(number), *rule) for number, rule in enumerate(made))


@given(rules, st.sampled_from([*ACTIONS, "pam:*", "*"]), st.data())
def test_a_rule_more_that_denies_never_weakens(made, action, data):
    """Wherever it is put, with a command or without."""
    command = data.draw(st.sampled_from(["", "*rm*"]))
    at = data.draw(st.integers(0, len(made)))
    more = [*made[:at], (action, "deny = true", command), *made[at:]]

    before, after = (measure_all(read(write_all(one))) for one in (made, more))
    assert all(new >= old for new, old in zip(after, before, strict=True))


@given(rules, st.sampled_from(["pam:*", "*"]), st.sampled_from(EFFECTS[1:]), st.data())
def test_a_command_more_never_weakens(made, action, effect, data):
    """Wherever it is put: all rules that fit a claim count, not the first."""
    at = data.draw(st.integers(0, len(made)))
    more = [*made[:at], (action, effect, "*rm*"), *made[at:]]

    before, after = (measure_all(read(write_all(one))) for one in (made, more))
    assert all(new >= old for new, old in zip(after, before, strict=True))
