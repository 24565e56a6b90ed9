"""`stepup event push` against a scripted daemon."""

import json

import cli_support as support
import pytest
from cli_support import Invoke, listening, make_invoke

PUSHED = {"entry": 7, "revoked": 1, "lasts": 0}


@pytest.fixture
def invoke(monkeypatch, capsys) -> Invoke:
    return make_invoke(monkeypatch, capsys)


def test_what_was_said_is_sent(invoke):
    """An alert lasts a day unless said otherwise."""
    with listening(PushEvent=PUSHED) as daemon:
        assert invoke(daemon, "event", "push", "ada", "session-revoked")[0] == 0
        words = "ada risk-level-change --reason x --lasts 2h"
        assert invoke(daemon, "event", "push", *words.split())[0] == 0

    assert daemon.calls == [
        ("PushEvent", {"subject": "ada", "event": "session-revoked", "lasts": 86400}),
        (
            "PushEvent",
            {"subject": "ada", "event": "risk-level-change", "reason": "x", "lasts": 7200},
        ),
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (PUSHED, "Revoked 1 grant.\n"),
        (PUSHED | {"revoked": 0}, "Revoked 0 grants.\n"),
        (PUSHED | {"revoked": 2, "lasts": 86400}, "Revoked 2 grants. An alert holds for 1 day.\n"),
    ],
)
def test_what_came_of_it_is_said(invoke, answer, text):
    with listening(PushEvent=answer) as daemon:
        assert invoke(daemon, "event", "push", "ada", "account-disabled") == (0, text, "")
        code, out, err = invoke(daemon, "event", "push", "ada", "account-disabled", "--json")

    assert (code, json.loads(out), err) == (0, answer, "")


def test_a_refusal_is_an_error(invoke):
    with listening(PushEvent=support.refusal("not-permitted", "You may not.")) as daemon:
        code, out, err = invoke(daemon, "event", "push", "ada", "session-revoked")

    assert (code, out, err) == (8, "", "stepup: error: You may not.\n")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "ada",
        "ada account-enabled",
        "ada session-revoked --lasts soon",
        "ada session-revoked --lasts 8d",
        "ada x y",
        "--json",
    ],
)
def test_what_cannot_be_meant_is_not_sent(invoke, words):
    with listening() as daemon:
        code, out, _ = invoke(daemon, "event", "push", *words.split())

    assert (code, daemon.calls) == (2, [])
    assert "--json" in words or out == ""
