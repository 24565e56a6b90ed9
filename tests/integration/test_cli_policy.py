"""`stepup policy` check and test on real files."""

import json
from pathlib import Path

import pytest
from policy_support import NOW, THEN, make_invoke, make_policy_verb

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("**/*.toml"))
POLICIES = [path for path in EXAMPLES if path.name != "stepupd.toml"]


@pytest.fixture
def invoke(capsys, monkeypatch, tmp_path):
    return make_invoke(capsys, monkeypatch, tmp_path)


@pytest.fixture
def policy(invoke, tmp_path):
    return make_policy_verb(invoke, tmp_path)


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_the_examples_are_clean_policies(path, invoke):
    """Notes at most."""
    code, out, err = invoke("policy", "check", str(path))

    assert (code, err) == (0, ""), out
    assert "0 warnings" in out or "nothing to complain of" in out


@pytest.mark.parametrize(
    "path",
    [path for path in POLICIES if path.parent.name == "policies"],
    ids=lambda path: path.stem,
)
def test_the_example_policies_pass_their_own_tests(path, invoke):
    code, out, err = invoke("policy", "test", str(path))

    assert (code, err) == (0, ""), out
    assert ", 0 failed." in out


def test_check_says_where_and_what_helps(policy):
    """File, line and column of the rule; status 1."""
    shadowed = THEN + '[[rule]]\nname = "su"\naction = "pam:su"\nrequire = "verify"\n'
    code, out, _ = policy("check", "it.toml", it=shadowed)

    assert code == 1
    assert "it.toml:8:3: warning" in out
    assert "'su' never applies: 'sudo' before it matches all of it" in out
    assert "hint: put 'su' before 'sudo'" in out
    assert out.endswith("1 file, 2 rules, 0 tests: 1 warning and 0 notes.\n")
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_check_locates_what_cannot_be_loaded(policy):
    code, out, err = policy("check", "it.toml", it=THEN.replace('"touch"', '"tuch"'))

    assert (code, out) == (1, "")
    assert "it.toml:5:11: 'tuch' is no level" in err or "it.toml:5:1: 'tuch' is no level" in err


@pytest.mark.parametrize(
    ("wrong", "drawn"),
    [
        ('reqire = "touch"', '  reqire = "touch"\n  ^'),
        ('require = "tuch"', '  require = "tuch"\n  ^'),
        ("require = \"touch\"\nwhen = 'hourr > 3'", "  hourr > 3\n  ^"),
        ('require = "touch', '  require = "touch\n                  ^'),
    ],
    ids=["key", "value", "condition", "syntax"],
)
def test_what_is_wrong_is_drawn_with_a_caret(policy, wrong, drawn):
    code, _, err = policy("check", "it.toml", it=THEN.replace('require = "touch"', wrong))

    assert code == 1
    assert drawn in err


def test_a_long_or_odd_line_is_drawn_in_part(policy):
    """One column for each character, the caret below the right one, nothing a terminal acts on."""
    wrong = f"reqire = '\u202e{'x' * 300}', wrong"
    _, _, err = policy("check", "it.toml", it=THEN.replace('require = "touch"', wrong))

    line, caret = err.splitlines()[1:3]
    assert len(line) <= 80
    assert line[caret.index("^")] == ","
    assert "\u202e" not in err


def test_a_policy_that_is_not_there_is_said_without_a_hint_about_logs(policy):
    assert policy("check", "/nonexistent.toml") == (
        2,
        "",
        "stepup: error: /nonexistent.toml: No such file or directory\n",
    )


def test_what_is_wrong_with_risk_is_found_in_its_file(policy):
    """`[risk]` may stand in any of them."""
    risk = '\n[risk]\nladder = [{ score = 30, require = "touch" }]\n[risk.weights]\nremote = 1\n'
    code, out, _ = policy("check", "one.toml", "two.toml", one=THEN, two=risk)

    assert code == 1
    assert "two.toml:2:2: warning" in out


def test_check_knows_who_is_here(policy):
    """A name that nobody has is a note."""
    misspelt = THEN.replace("require", 'subject = "no-such-person"\nrequire')
    code, out, _ = policy("check", "it.toml", it=misspelt)

    assert code == 0
    assert "'sudo' applies to nobody here: there is no account 'no-such-person'" in out
    assert policy("check", "it.toml", it=misspelt.replace("no-such-person", "root"))[1].endswith(
        "nothing to complain of.\n"
    )


def test_several_files_are_one_policy(policy):
    """In their order; the place is in the file that the rule stands in."""
    code, out, _ = policy(
        "check",
        "one.toml",
        "two.toml",
        one=THEN,
        two='\n[[rule]]\nname = "su"\naction = "pam:su"\nrequire = "verify"\n',
    )

    assert code == 1
    assert "two.toml:2:3: warning" in out


def test_check_has_a_document_for_programs(policy):
    code, out, _ = policy(
        "check", "--json", "it.toml", it='[[rule]]\nname = "a"\naction = "*"\nallow = true'
    )

    found = json.loads(out)["findings"]
    assert code == 1
    assert [(one["kind"], one["rule"], one["line"]) for one in found] == [
        ("allows-everything", "a", 1)
    ]


def test_the_installed_policy_is_the_default(policy, tmp_path):
    """With its folder, as the daemon reads it."""
    folder = tmp_path / "config" / "stepupd"
    (folder / "policy.d").mkdir(parents=True)
    (folder / "policy.toml").write_text(NOW)
    (folder / "policy.d" / "b.toml").write_text('[[rule]]\nname = "b"\naction = "b"\ndeny = true\n')

    assert policy("check")[1].startswith("2 files, 2 rules, 1 test:")
    assert policy("test")[0] == 0


def test_no_policy_at_all_is_an_error(policy):
    code, out, err = policy("check")

    assert (code, out) == (1, "")
    assert "no such file" in err


def test_a_failing_test_says_what_came_instead(policy):
    wrong = NOW.replace(
        'expect = "touch"', 'expect = "verify"\nrule = "sudo"\nsignals = ["remote"]'
    )
    code, out, _ = policy("test", "it.toml", it=wrong)

    assert code == 1
    assert "FAIL  sudo asks for a touch" in out
    assert "expected verify by rule 'sudo'" in out
    assert "got touch by rule 'sudo'" in out
    assert "at risk 5: remote 5" in out
    assert out.endswith("1 test: 0 passed, 1 failed.\n")


def test_tests_have_a_document_for_programs(policy):
    code, out, _ = policy("test", "it.toml", "--json", it=NOW)

    document = json.loads(out)
    assert (code, document["tests"], document["failed"]) == (0, 1, 0)
    assert document["results"][0]["got"] == "touch"


def test_no_test_is_no_success(policy):
    """Nothing was tried, so nothing is known."""
    assert policy("test", "it.toml", it=THEN)[0] == 1
