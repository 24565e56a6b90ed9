"""`stepup policy` check, test and explain on real files."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from policy_support import NOW, THEN, live_for_weeks, make_invoke, make_policy_verb
from replay_support import START

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("**/*.toml"))
POLICIES = [path for path in EXAMPLES if path.name != "stepupd.toml"]


@pytest.fixture
def invoke(capsys, monkeypatch, tmp_path):
    return make_invoke(capsys, monkeypatch, tmp_path)


@pytest.fixture
def policy(invoke, tmp_path):
    return make_policy_verb(invoke, tmp_path)


@pytest.fixture
def daemon():
    return live_for_weeks()


@pytest.fixture
def log(daemon, tmp_path):
    path = tmp_path / "audit.log"
    path.write_bytes(daemon.log)
    return path


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


def test_explain_takes_an_imagined_request_apart(policy, log, daemon):
    """With what the log knew of the person by then; within 80 columns and without colour."""
    before = datetime.fromtimestamp(START + daemon.boot - 60, UTC).isoformat()
    code, out, err = policy(
        "explain", "pam:sudo", "--user", "ada", "--from", "203.0.113.9", "--country", "nz",
        "--at", before, "--policy", "it.toml", "--log", str(log), it=NOW,
    )  # fmt: skip

    assert (code, err) == (0, "")
    assert "Asks for verify" in out
    assert "new_source: the first time from this subject: the address 203.0.113.9" in out
    assert "Without " in out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_explain_looks_back_at_an_entry(policy, log, daemon):
    """As it was then: what came later taught nothing."""
    last = len(daemon.lines) - 1
    code, out, _ = policy(
        "explain", "--entry", str(last), "--policy", "it.toml", "--log", str(log), "--json", it=NOW
    )

    document = json.loads(out)
    assert code == 0
    assert (document["entry"], document["then"], document["decision"]) == (last, "touch", "verify")
    assert "impossible_travel" in {one["name"] for one in document["risk"]["signals"]}
    first = policy("explain", "--entry", "0", "--policy", "it.toml", "--log", str(log), "--json")[1]
    assert json.loads(first)["risk"]["score"] < 60


def test_explain_without_a_log_says_so(policy):
    code, out, _ = policy("explain", "pam:sudo", "--user", "ada", "--policy", "it.toml", it=NOW)

    assert code == 0
    assert "The audit log was not read" in out


def test_explain_takes_an_hour_of_today(policy):
    """A time without a date."""
    code, out, _ = policy(
        "explain", "pam:sudo", "--user", "ada", "--at", "23:30", "--policy", "it.toml", it=NOW
    )

    assert code == 0
    assert "at 23:30 " in " ".join(out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["pam:sudo", "--entry", "3"],
        ["pam:sudo", "--at", "noon"],
        ["pam:sudo", "--from", "example.org"],
        ["--entry", "99999"],
        ["pam:sudo", "--log", "/nonexistent/log"],
    ],
    ids=" ".join,
)
def test_a_question_that_cannot_be_meant_is_wrong_usage(policy, log, arguments):
    more = [] if "--log" in arguments else ["--log", str(log)]
    code, out, err = policy("explain", *arguments, "--policy", "it.toml", *more, it=NOW)

    assert (code, out) == (2, "")
    assert err.startswith("stepup: error: ")
