"""CEL conditions: true is a yes, false is a no, and everything else is an error with a place."""

import subprocess
import sys

import pytest
from condition_support import (
    FILE,
    make_variables,
    read_condition,
    read_policy,
    write_rule,
    write_toml,
)
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.condition import CLAIMED
from stepupd.core.errors import ConfigError
from stepupd.core.variables import VARIABLES, Kind
from stepupd.store.conditions import MAX_TEXT, Conditions
from stepupd.store.toml_files import parse_document

SHARED = Conditions()


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("true", True),
        ("false", False),
        ('"ops" in groups', True),
        ('"wheel" in groups && hour >= 8', False),
        ('hour >= 8 && hour < 18 && weekday < 5 && "ops" in groups && !remote', True),
        ('subject.startsWith("a") || uid == 0', True),
        ('groups.exists(group, group.endsWith("ps"))', True),
        ("since_proved > 3600", True),
        ('command.matches("^/usr/bin/apt (update|upgrade)$")', False),
        ('terminal == "" ? false : has_session', True),
    ],
)
def test_a_condition_says_yes_or_no(text, holds):
    assert read_condition(text, SHARED).holds(make_variables()) is holds


# --- in error -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("hour / 0 == 1", {}),
        ("groups[7] == 'ops'", {}),
        ("int(subject) == 1", {}),
        ("subject.matches('(')", {}),
        ("hour == 14", {"hour": "14"}),
        ("hour == 14", {"hour": 14.0}),
        ("hour == 1", {"hour": True}),
        ("hour == 14", {"hour": None}),
        ("hour == 14", {"hour": 1 << 63}),
        ("remote || !remote", {"remote": 1}),
        ("subject == 'ada'", {"subject": b"ada"}),
        ("subject != 'ada'", {"subject": "\ud800"}),
        ("'ops' in groups", {"groups": ["ops"]}),
        ("'ops' in groups", {"groups": ("ops", 1)}),
        ("hour + 9223372036854775807 > 0", {}),
        (
            "groups.all(a, groups.all(b, groups.all(c, a + b != c)))",
            {"groups": tuple(f"g{number}" for number in range(300))},
        ),
    ],
)
def test_what_fails_inside_is_an_error_and_no_answer(text, changes):
    """Nothing of it is taken for true, raises, or hangs."""
    assert read_condition(text, SHARED).holds(make_variables(**changes)) is None


@pytest.mark.parametrize("text", ['subject == "ada"', 'subject != "ada"', '"ops" in groups'])
def test_text_with_a_nul_is_an_error(text):
    r"""The library would cut it there: "ada\0x" is not ada, and nothing is said of it."""
    variables = make_variables(subject="ada\0x", groups=("ops\0x", "ops"))

    assert read_condition(text, SHARED).holds(variables) is None


def test_a_missing_variable_is_an_error_only_where_the_answer_turns_on_it():
    """What a failed observer would have told is left out."""
    variables = make_variables()
    del variables["remote"]

    def ask(text):
        return read_condition(text, SHARED).holds(variables)

    assert ask("remote") is None
    assert ask("!remote") is None
    assert ask('remote || "wheel" in groups') is None
    assert ask('remote || "ops" in groups') is True
    assert ask('remote && "wheel" in groups') is False


CODES = st.sampled_from(
    [
        *VARIABLES,
        *("true", "false", "1", "0", "-1", "14", '"ops"', '"a"', "''", "null", "1.5", "2u"),
        *("==", "!=", "<", ">=", "&&", "||", "!", "+", "/", "%", "?", ":", "in", "."),
        *("(", ")", "[", "]", "{", "}", ",", "size", "matches", "startsWith", "exists", "all"),
        *("dyn", "type", "int", "string", "timestamp", "has", "map", "filter", " ", "\n", "//"),
    ]
)
SOUP = st.lists(CODES, max_size=14).map(" ".join)
COMPARED = st.tuples(
    st.sampled_from(["hour", "weekday", "uid", "10 / hour", "size(groups)", "groups.size() % uid"]),
    st.sampled_from(["==", "<", ">="]),
    st.sampled_from(["0", "1", "14", "hour", "uid", "-weekday", "int(subject)"]),
).map(" ".join)
JOINED = st.lists(COMPARED, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from([" && ", " || "]).map(lambda word: word.join(parts))
)


def try_to_read(text):
    """Return the condition, or the error, and the file it would stand in."""
    file = write_rule(write_toml(text))
    try:
        return SHARED.read(parse_document(FILE, file.encode()), ("rule", 0, "when"), text), file
    except ConfigError as error:
        return error, file


@given(st.text(max_size=200) | SOUP)
def test_any_text_is_a_condition_or_an_error_with_a_place(text):
    """And the place is within the string, to the character behind it."""
    read, file = try_to_read(text)
    if isinstance(read, ConfigError):
        assert str(read).startswith(f"{FILE}:{read.line}:{read.column}: ")
        assert read.line == 4
        assert 8 <= read.column <= len(file.split("\n")[3])
    else:
        assert read.text == text
        assert read.names <= VARIABLES.keys()


ODD = st.sampled_from([None, True, 0, 1.5, "", "a\0b", "\udcff", (), ("a", 1), 1 << 70, b"", []])
WRONG = st.sampled_from(
    [None, True, 1.5, "1\0", "\udcff", ((),), 1 << 70, -(1 << 63) - 1, b"1", [1]]
)
NAMES = st.sampled_from(list(VARIABLES))


@given(JOINED | SOUP, st.dictionaries(NAMES, ODD), st.sets(NAMES))
def test_a_condition_says_true_false_or_none(text, odd, gone):
    """Whatever the values are, wrong or not there; and it never raises."""
    condition, _ = try_to_read(text)
    if not isinstance(condition, ConfigError):
        variables = {**make_variables(), **odd}
        answer = condition.holds({name: variables[name] for name in variables.keys() - gone})

        assert answer is None or type(answer) is bool


@given(COMPARED, st.data())
def test_an_error_is_never_a_match(text, data):
    """One variable of a comparison that is wrong, or not there, makes it an error."""
    condition, _ = try_to_read(text)
    spoilt = data.draw(st.sampled_from(sorted(condition.names)))
    variables = make_variables(**{spoilt: data.draw(WRONG)})

    assert condition.holds(variables) is None
    del variables[spoilt]
    assert condition.holds(variables) is None


@given(COMPARED, st.integers(0, 23), st.integers(0, 6), st.integers(0, 5))
def test_a_comparison_is_what_it_is_elsewhere(text, hour, weekday, uid):
    """The same expression in Python agrees, and where Python raises, the condition is in error."""
    variables = make_variables(hour=hour, weekday=weekday, uid=uid)
    spelt = text.replace("groups.size()", "size(groups)").replace(" / ", " // ")
    known = {**variables, "size": len, "int": int}
    try:
        expected = eval(spelt, {"__builtins__": {}}, known)  # noqa: S307 - a text of this file
    except (ZeroDivisionError, ValueError):
        expected = None

    assert read_condition(text, SHARED).holds(variables) is expected


# --- what is refused when the file is read --------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "line", "column", "words"),
    [
        ("'sorce == \"a\"'", 4, 9, "'sorce'"),
        ("'\"ops\" in groups && nope'", 4, 28, "'nope'"),
        ("'hour == \"a\"'", 4, 14, "(int, string)"),
        ("'hour =='", 4, 16, "too early"),
        ('"\\"ö\\\\n\\" == subject && nope"', 4, 32, "'nope'"),
        ('"\\u0068our > 3 && nope"', 4, 26, "'nope'"),
        ("'''\n  hour > 3 &&\n  nope'''", 6, 3, "'nope'"),
        ("'''hour > 3 && nope'''", 4, 23, "'nope'"),
        ('"""\n  hour > 3 && \\\n\n    nope"""', 7, 5, "'nope'"),
        ("'subject'", 4, 9, "STRING"),
        ("'1'", 4, 9, "INT"),
        ("''", 4, 9, "too early"),
        ("'dyn(hour) == \"a\"'", 4, 9, "open"),
        ("'hour in [1, \"2\"]'", 4, 9, "open"),
        ('\'{"a": 1, "b": subject}["a"] == hour\'', 4, 9, "open"),
        ("'" + "(" * 40 + "true" + ")" * 40 + "'", 4, 9, "limit"),
        ('"true \\u0000 && false"', 4, 9, "NUL"),
        ("'" + " " * MAX_TEXT + "true'", 4, 9, "characters"),
        ("'" + "hour > 3 && " * 20 + "nope'", 4, 249, "'nope'"),
    ],
)
def test_a_wrong_condition_is_told_where_it_is_wrong(written, line, column, words):
    with pytest.raises(ConfigError) as raised:
        read_policy(write_rule(written))

    assert (raised.value.line, raised.value.column) == (line, column)
    assert words in str(raised.value)


def test_a_caret_stands_below_the_place():
    """The line as it is written, and no control character in it."""
    with pytest.raises(ConfigError) as raised:
        read_policy(write_rule("'''\ttrue &&\n\tnope'''"))

    first, line, caret = str(raised.value).split("\n")
    assert first == f"{FILE}:5:2: undeclared reference to 'nope'"
    assert line[caret.index("^") :] == "nope"
    assert "\t" not in line


def test_a_misspelt_name_gets_a_proposal():
    with pytest.raises(ConfigError) as raised:
        read_policy(write_rule("'wekday == 1'"))

    assert raised.value.hint == "did you mean weekday?"


def test_a_condition_in_an_inline_table_is_found_too():
    text = "rule = [{ name = 'a', action = '*', deny = true, when = 'true && nope' }]"
    with pytest.raises(ConfigError) as raised:
        read_policy(text)

    assert raised.value.column == text.index("nope") + 1


def test_when_is_a_text():
    with pytest.raises(ConfigError):
        read_policy(write_rule("true"))


# --- names ----------------------------------------------------------------------------------------


def test_a_condition_knows_its_variables():
    """Not those that only stand in a text."""
    text = 'groups.exists(g, g == subject) && .command != "hour" && size([uid]) == 1'

    assert read_condition(text).names == {"groups", "subject", "command", "uid"}


@pytest.mark.parametrize("name", VARIABLES)
def test_every_variable_has_its_type(name):
    equal = {Kind.BOOL: "true", Kind.INT: "1", Kind.STRING: "''", Kind.STRINGS: "['']"}
    condition = read_condition(f"{name} == {equal[VARIABLES[name].kind]}", SHARED)

    assert condition.names == {name}
    assert condition.holds(make_variables()) is not None


@pytest.mark.parametrize("name", sorted(CLAIMED))
def test_what_is_claimed_never_opens(name):
    """`allow` with a condition that turns on a claim is refused, as it is with a command."""
    same = f"'{name} == {name}'"
    with pytest.raises(ConfigError, match=name):
        read_policy(write_rule(same, "allow = true"))

    (rule,) = read_policy(write_rule(same, "deny = true")).rules
    assert rule.is_claimed


def test_what_is_attested_may_open():
    (rule,) = read_policy(write_rule("'caller_is_root && !remote'", "allow = true")).rules

    assert not rule.is_claimed


# --- cost -----------------------------------------------------------------------------------------


def test_equal_texts_are_compiled_once():
    policy = read_policy(
        write_rule("'hour == 1'", name="a"),
        write_rule("'hour == 1'", name="b"),
        write_rule("'hour == 2'", name="c"),
    )
    one, same, other = (rule.when for rule in policy.rules)

    assert one is same
    assert one is not other


SCRIPT = """
import sys
from stepupd.store.policy_file import make_policy
from stepupd.store.toml_files import parse_document
rule = b'[[rule]]\\nname = "a"\\naction = "*"\\ndeny = true\\n'
make_policy((parse_document("f", rule),))
before = "cel_expr_python" in sys.modules
make_policy((parse_document("f", rule + b"when = 'true'"),))
print(before, "cel_expr_python" in sys.modules)
"""


def test_a_policy_without_conditions_never_loads_the_library():
    """14 MB of somebody else's code are in the daemon only where a rule asks for them."""
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    assert ran.stdout.split() == ["False", "True"]
