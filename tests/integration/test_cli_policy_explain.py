"""`stepup policy explain`: imagined requests, and those of the log."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from policy_support import (
    HERE,
    NOW,
    THEN,
    WEIGHED,
    live_for_weeks,
    make_invoke,
    make_policy_verb,
)
from replay_support import START, FakeDaemon, make_request, read_policy

from stepupd.core.risk.facts import Observer


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


def test_explain_says_where_no_circumstances_were_recorded(policy, tmp_path):
    """Entries of a policy that weighed nothing have none; signals about them are silent then."""
    bare = FakeDaemon(read_policy(THEN))
    bare.ask(make_request(), HERE)
    (tmp_path / "bare").write_bytes(bare.log)
    arguments = ("explain", "--entry", "0", "--policy", "it.toml", "--log", str(tmp_path / "bare"))

    assert "No circumstances were recorded then" in policy(*arguments, it=NOW)[1]
    assert json.loads(policy(*arguments, "--json", it=NOW)[1])["is_bare"] is True
    assert "No circumstances" not in policy(*arguments, it=THEN)[1]


def test_explain_tells_what_is_asked_while_a_policy_is_only_watched(policy, log, daemon):
    """The rules hold; what risk would ask for is said beside it."""
    last = str(len(daemon.lines) - 1)
    watched = f'[policy]\nmode = "observe"\n{NOW}'
    code, out, _ = policy(
        "explain", "--entry", last, "--policy", "it.toml", "--log", str(log), it=watched
    )

    said = " ".join(out.split())
    assert code == 0
    assert "Asks for touch, by rule 'sudo'." in said
    assert "risk is recorded and raises nothing. Were it in force: verify" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("\nwhen = '1 / (hour - hour) > 1'", "Its condition cannot be decided."),
        ('\ngroup = "nobody-has-this"', "no rule covers this action of this account."),
    ],
)
def test_explain_says_why_it_is_denied(policy, more, said):
    rule = f"[[rule]]\nname = 'a'\naction = 'a'\nrequire = 'touch'{more}"
    _, out, _ = policy("explain", "a", "--user", "ada", "--policy", "it.toml", it=rule)

    assert said in " ".join(out.split())


def test_explain_names_what_could_not_be_found_out(policy, tmp_path):
    """A condition on the source, of a request whose source was not seen."""
    rule = f"{WEIGHED}\n[[rule]]\nname = 'x'\naction = 'pam:*'\nrequire = 'touch'"
    blind = FakeDaemon(read_policy(rule))
    blind.ask(make_request(), replace(HERE, missing=frozenset({Observer.SOURCE})))
    (tmp_path / "blind").write_bytes(blind.log)
    asking = rule.replace('name = "sudo"', "name = \"sudo\"\nwhen = 'remote'")
    _, out, _ = policy(
        "explain", "--entry", "0", "--policy", "it.toml", "--log", str(tmp_path / "blind"),
        it=asking,
    )  # fmt: skip

    said = " ".join(out.split())
    assert "from where could not be found out" in said
    assert "Denied (rule-in-error), by rule 'sudo'." in said
    assert "cannot be decided: 'remote' could not be found out." in said


def test_explain_knows_that_managing_keys_needs_no_rule(policy):
    """As the daemon does."""
    _, out, _ = policy("explain", "stepup:enroll", "--user", "ada", "--policy", "it.toml", it=THEN)

    assert "Asks for touch, by rule 'built-in: managing keys'." in out


def test_what_explain_is_not_told_is_as_usual_for_the_person(policy, tmp_path):
    """The program that asks and the kind of terminal are hers, not made up."""
    daemon = FakeDaemon(read_policy(WEIGHED))
    for _ in range(70):
        daemon.ask(make_request(tty=0), replace(HERE, programs=("sudo", "zsh", "tmux")))
        daemon.wait(6 * 3600)
    (tmp_path / "log").write_bytes(daemon.log)
    at = datetime.fromtimestamp(START + daemon.boot, UTC).isoformat()
    arguments = ("pam:sudo", "--user", "ada", "--at", at, "--log", str(tmp_path / "log"), "--json")
    told = ("--program", "sudo", "--program", "nginx")
    usual, odd = (
        {one["name"] for one in json.loads(out)["risk"]["signals"]}
        for _, out, _ in (
            policy("explain", *arguments, *more, "--policy", "it.toml", it=NOW)
            for more in ((), told)
        )
    )

    assert not usual & {"new_program", "new_terminal"}
    assert "new_program" in odd


def test_explain_says_no_way_down_twice(policy, log, daemon):
    """Where one signal less skips a step of the ladder."""
    last = str(len(daemon.lines) - 1)
    steps = NOW.replace("score = 60", "score = 31")
    arguments = ("explain", "--entry", last, "--policy", "it.toml", "--log", str(log))
    ways = [line for line in policy(*arguments, it=steps)[1].splitlines() if "Without" in line]

    assert len(ways) == len(set(ways)) > 0


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
