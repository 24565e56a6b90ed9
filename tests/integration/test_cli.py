"""The command against a scripted daemon: every verb, every way it can end."""

import json

import cli_support as support
import pytest
from cli_support import GRANT, GRANTED, KEY, STATUS, Invoke, listening, make_invoke, verdict

from stepup.exits import REASON_CODES, find_verdict_code

ENROLLED = GRANTED | {"reason": "proved", "credential": KEY}
SECOND = KEY | {"name": "spare"}


@pytest.fixture
def invoke(monkeypatch, capsys) -> Invoke:
    return make_invoke(monkeypatch, capsys)


def test_a_live_grant_is_silent_success(invoke):
    """Exit 0, nothing on stdout, nothing on stderr; one call, with what was asked for."""
    with listening(StepUp=GRANTED) as daemon:
        arguments = "--action cli:deploy --level verify --max-age 10m --user ada --reason why"
        assert invoke(daemon, "verify", *arguments.split()) == (0, "", "")

    expected = {
        "action": "cli:deploy",
        "level": "verify",
        "max_age": 600,
        "subject": "ada",
        "reason": "why",
    }
    assert daemon.calls == [("StepUp", expected)]


def test_both_paths_send_the_same(invoke):
    """A word that the fast path leaves alone changes nothing else about the request."""
    arguments = ["verify", "--action", "cli:x", "--max-age", "90", "--level=touch"]
    with listening(StepUp=GRANTED) as daemon:
        invoke(daemon, *arguments)
        invoke(daemon, *arguments, "--verbose")

    assert daemon.calls[0] == daemon.calls[1]


def test_verbose_says_how_it_was_allowed(invoke):
    """Level, methods, age, rule and audit entry."""
    with listening(StepUp=GRANTED) as daemon:
        code, out, err = invoke(daemon, "verify", "-v")

    assert (code, err) == (0, "")
    assert out == "allowed: touch (hwk+user), 2 min ago, rule 'deploys', audit entry 17\n"


CEREMONIES = {
    "verify": ("StepUp", ["verify"]),
    "enroll": ("Enroll", ["enroll", "--name", "blue"]),
    "rename": ("RenameCredential", ["keys", "rename", "blue", "red"]),
    "remove": ("RemoveCredential", ["keys", "remove", "--yes", "blue"]),
    "run": ("StepUp", ["run", "--", "/nonexistent/command"]),
}


@pytest.mark.parametrize("word", ["deny", "unavailable"])
@pytest.mark.parametrize("reason", sorted(REASON_CODES))
@pytest.mark.parametrize("verb", CEREMONIES)
def test_every_refusal_has_its_status_and_its_sentence(invoke, verb, reason, word):
    """On stderr, with the reason code; stdout stays empty; the status is the table's."""
    method, arguments = CEREMONIES[verb]
    with listening({method: verdict(word, reason)}, ListCredentials={"credentials": []}) as daemon:
        code, out, err = invoke(daemon, *arguments)

    assert code == find_verdict_code(word, reason) != 0
    assert out == ""
    label = "denied" if word == "deny" else "error"
    assert err.splitlines()[0] == f"stepup: {label}: A sentence. ({reason})"


@pytest.mark.parametrize("verb", sorted(set(CEREMONIES) - {"run"}))
@pytest.mark.parametrize("word", ["allow", "deny"])
def test_json_prints_the_daemons_answer_whole(invoke, verb, word):
    """One document, also for a refusal."""
    method, arguments = CEREMONIES[verb]
    answer = ENROLLED if word == "allow" else verdict("deny", "timeout")
    with listening({method: answer}, ListCredentials={"credentials": []}) as daemon:
        code, out, _ = invoke(daemon, arguments[0], *arguments[1:], "--json")

    assert json.loads(out) == answer
    assert code == (0 if word == "allow" else 4)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("bad-request", 2),
        ("no-such-key", 2),
        ("busy", 7),
        ("not-permitted", 8),
        ("internal", 10),
        ("something-new", 10),
        ("proved", 10),
        ("", 10),
    ],
)
@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("StepUp", ["verify"]),
        ("Status", ["status"]),
        ("ListCredentials", ["keys", "list"]),
        ("ListCredentials", ["enroll"]),
        ("ListGrants", ["grants"]),
        ("ShowProfile", ["profile", "show"]),
        ("ForgetProfile", ["profile", "forget"]),
        ("Revoke", ["revoke", "--all"]),
    ],
)
def test_an_error_is_an_error_line_and_a_hint(invoke, method, arguments, reason, code):
    """Never success, whatever it calls itself."""
    with listening({method: support.refusal(reason, "It cannot be.", "Do this.")}) as daemon:
        found, out, err = invoke(daemon, *arguments)

    assert (found, out) == (code, "")
    assert err == "stepup: error: It cannot be.\nhint: Do this.\n"


def test_errors_are_json_where_results_are(invoke):
    """A program that asked for JSON gets JSON."""
    code, out, err = invoke(None, "keys", "list", "--json")

    assert (code, err) == (6, "")
    assert json.loads(out)["error"]["reason"] == "unreachable"


@pytest.mark.parametrize(
    "arguments",
    [
        "verify",
        "verify -q",
        "run -- true",
        "status",
        "enroll",
        "keys list",
        "keys rename a b",
        "keys remove -y a",
        "grants",
        "revoke --all",
        "revoke x",
    ],
)
def test_no_daemon_is_6(invoke, arguments):
    """Not 0 and not "denied": nobody said no."""
    code, out, err = invoke(None, *arguments.split())

    assert (code, out) == (6, "")
    assert err.startswith("stepup: error: cannot reach stepupd at /nonexistent/socket")


def test_quiet_leaves_only_the_status(invoke):
    """Neither result nor refusal is printed."""
    with listening(StepUp=verdict("deny", "no-rule")) as daemon:
        assert invoke(daemon, "verify", "--quiet") == (1, "", "")


def test_prompts_go_to_stderr_once(invoke):
    """What the daemon shows is shown, and the request is sent a single time."""

    def ceremony(talk):
        talk.show("Touch your key.\x1b[2J")
        talk.show("Not that one.", is_error=True)
        return GRANTED | {"reason": "proved"}

    with listening(StepUp=ceremony) as daemon:
        code, out, err = invoke(daemon, "verify")

    assert (code, out) == (0, "")
    assert err == "Touch your key.\\x1b[2J\nNot that one.\n"
    assert len(daemon.calls) == 1


def test_a_question_without_a_terminal_is_declined(invoke):
    """Nothing is read from a pipe that was meant for something else."""
    replies = []

    def ceremony(talk):
        replies.append(talk.ask("PIN: "))
        return verdict("deny", "cancelled")

    with listening(StepUp=ceremony) as daemon:
        code, out, err = invoke(daemon, "verify")

    assert (code, out) == (5, "")
    assert "no terminal" in err
    assert "result" not in replies[0]
    assert replies[0]["error"]["message"] == "declined"


def test_enrolling_the_first_key_says_what_it_is_and_what_comes_next(invoke):
    """Model, trial, and the advice that keeps people from locking themselves out."""
    with listening(Enroll=ENROLLED, ListCredentials={"credentials": []}) as daemon:
        code, out, err = invoke(daemon, "enroll")

    assert (code, err) == (0, "")
    assert daemon.calls[1] == ("Enroll", {"name": "key 1"})
    assert out.startswith(
        'Enrolled "blue": YubiKey 5 NFC.\nThe second touch tested it: it works.\n'
    )
    assert "only key" in out
    assert "stepup enroll --name spare" in out
    assert "stepup keys remove" in out


def test_enrolling_another_key_gives_no_advice(invoke):
    """It is not the only one; and the name is the first free one."""
    known = {"credentials": [KEY | {"name": "key 1"}, KEY | {"name": "key 3"}]}
    with listening(Enroll=ENROLLED, ListCredentials=known) as daemon:
        code, out, _ = invoke(daemon, "enroll", "--user", "ada")

    assert code == 0
    assert daemon.calls[1] == ("Enroll", {"name": "key 2", "subject": "ada"})
    assert "only key" not in out


def test_keys_are_listed_in_80_columns(invoke):
    """Name, model, dates and an id that can be typed."""
    keys = [KEY, KEY | {"name": "x" * 40, "last_used": 1700000000.0}]
    with listening(ListCredentials={"credentials": keys}) as daemon:
        code, out, _ = invoke(daemon, "keys", "list")

    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["NAME", "MODEL", "ENROLLED", "LAST", "USED", "ID"]
    assert lines[1].split()[0] == "blue"
    assert lines[1].endswith("never             abcdef01")
    assert max(map(len, lines)) <= 80


def test_a_key_that_may_have_been_copied_is_marked(invoke):
    """With what to do about it; in JSON the field says so."""
    keys = {"credentials": [KEY, SECOND | {"is_suspect": True}]}
    with listening(ListCredentials=keys) as daemon:
        _, out, _ = invoke(daemon, "keys", "list")
        _, document, _ = invoke(daemon, "keys", "list", "--json")

    lines = out.splitlines()
    assert [line.split("  ")[0] for line in lines[1:3]] == ["blue", "! spare"]
    assert "copy" in lines[4]
    assert "stepup keys remove" in lines[-1]
    assert max(map(len, lines)) <= 80
    assert [key["is_suspect"] for key in json.loads(document)["credentials"]] == [False, True]


def test_grants_are_listed_with_what_is_left_of_them(invoke):
    """Where, how strong, how old, how long."""
    with listening(ListGrants={"grants": [GRANT]}) as daemon:
        code, out, _ = invoke(daemon, "grants")

    row = "3f9a0c11 sudo:command session touch pts/3 1 min ago 9 min"
    assert code == 0
    assert " ".join(out.splitlines()[1].split()) == row


@pytest.mark.parametrize(
    ("verb", "method", "answer", "text"),
    [
        ("keys list", "ListCredentials", {"credentials": []}, "No keys are enrolled."),
        ("grants", "ListGrants", {"grants": []}, "No grants."),
        ("profile show", "ShowProfile", {"habits": []}, "Nothing is known yet."),
        ("revoke --all", "Revoke", {"revoked": 0}, "Revoked 0 grants."),
        ("revoke --all", "Revoke", {"revoked": 1}, "Revoked 1 grant."),
    ],
)
def test_nothing_to_show_is_said_and_is_no_error(invoke, verb, method, answer, text):
    """An empty list is a result."""
    with listening({method: answer}) as daemon:
        code, out, _ = invoke(daemon, *verb.split())

    assert code == 0
    assert out.startswith(text)


def test_a_profile_is_shown_as_small_counts(invoke):
    """The kind, the value, how much it counts, since when; no history."""
    habit = {
        "feature": "source",
        "value": "203.0.113.9",
        "weight": 2.512,
        "since": 1_780_000_000.0,
        "seen": 1_790_000_000.0,
    }
    hour = habit | {"feature": "hour", "value": "36"}
    habits = {"requests": 3.0, "proved": None, "habits": [habit, hour]}
    with listening(ShowProfile=habits) as daemon:
        code, out, _ = invoke(daemon, "profile", "show")

    assert code == 0
    assert out.splitlines()[1].split()[:3] == ["source", "203.0.113.9", "2.5"]
    assert out.splitlines()[2].split()[:3] == ["hour", "Tuesday", "12:00"]
    assert max(map(len, out.splitlines())) <= 80


def test_a_grant_is_revoked_by_the_start_of_its_id(invoke):
    """Only if exactly one fits."""
    other = GRANT | {"id": "3f9b"}
    with listening(ListGrants={"grants": [GRANT, other]}, Revoke={"revoked": 1}) as daemon:
        assert invoke(daemon, "revoke", "3f9a")[0] == 0
        assert invoke(daemon, "revoke", "3f9")[0] == 2
        assert invoke(daemon, "revoke", "zz")[0] == 2

    assert [params for method, params in daemon.calls if method == "Revoke"] == [
        {"grant": GRANT["id"]}
    ]


def test_removing_without_a_terminal_needs_yes(invoke):
    """Nothing is sent before it is clear that it is meant."""
    with listening() as daemon:
        code, _, err = invoke(daemon, "keys", "remove", "blue")

    assert (code, daemon.calls) == (2, [])
    assert "--yes" in err


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({}, "4 rules, abababababababab\n"),
        ({"rules": 1}, "1 rule, abababababababab\n"),
        ({"is_observed": True}, "4 rules, abababababababab; risk is only recorded\n"),
    ],
)
def test_the_status_says_what_the_policy_does(invoke, policy, said):
    """One rule is one rule, and a policy that is watched says so."""
    with listening(Status=STATUS | policy) as daemon:
        assert f"policy:        {said}" in invoke(daemon, "status")[1]


@pytest.mark.parametrize("arguments", [["status"], ["status", "--json"]])
def test_the_status_is_the_same_on_both_paths(invoke, monkeypatch, arguments):
    """With and without the parser."""
    with listening(Status=STATUS) as daemon:
        fast = invoke(daemon, *arguments)
        monkeypatch.setattr("stepup.fast_path.try_status", lambda _: False)
        slow = invoke(daemon, *arguments)

    assert fast == slow
    assert fast[0] == 0
    assert "stepupd:       0.1.0, system mode\n" in fast[1] or json.loads(fast[1]) == STATUS
