"""What advisers are asked, and which of their answers count."""

import json

import pytest

from stepupd.core.model import Caller, Claim, Door, Session, StepUpRequest, Subject
from stepupd.core.risk.advice import (
    MAX_ANSWER,
    MAX_QUESTION,
    MAX_REASON,
    AdviserFailed,
    AdviserPlan,
    Format,
    encode_question,
    make_question,
    read_answer,
)
from stepupd.core.risk.facts import Advice, Facts

PLAIN = AdviserPlan("engine", ("/bin/true",))
OPA = AdviserPlan("opa", ("/bin/true",), format=Format.OPA)
REQUEST = StepUpRequest(
    Subject(1000, "ada", frozenset({"ops"})),
    Caller(0, 4711, Door.RELAY),
    "pam:sudo",
    Session(4000, 123456, "pts/3"),
    Claim(command=("mysql", "-pgeheim"), reason="because"),
)
FACTS = Facts(hour=3, source="192.0.2.7", country="DE", programs=("sudo", "bash"))


def test_the_question_has_fixed_fields():
    """Pins what stepupd-adviser(5) promises."""
    asked = make_question(REQUEST, FACTS)

    assert json.loads(encode_question(PLAIN, asked)) == {
        "version": 1,
        "action": "pam:sudo",
        "subject": "ada",
        "uid": 1000,
        "source": "192.0.2.7",
        "country": "DE",
        "hour": 3,
        "programs": ["sudo", "bash"],
        "session": {"leader": 4000, "start": 123456, "tty": "pts/3"},
    }


def test_opa_gets_it_as_input():
    asked = make_question(REQUEST, FACTS)

    told = json.loads(encode_question(OPA, asked))

    assert told == {"input": json.loads(encode_question(PLAIN, asked))}


def test_a_command_line_is_told_only_where_that_is_wanted():
    """It may hold a password; whoever did not ask for it never sees it."""
    asked = make_question(REQUEST, FACTS)
    trusted = AdviserPlan("engine", ("/bin/true",), sends_command=True)

    assert json.loads(encode_question(trusted, asked))["command"] == ["mysql", "-pgeheim"]
    assert b"geheim" not in encode_question(PLAIN, asked)
    assert b"geheim" not in encode_question(OPA, asked)


def test_a_question_has_an_end():
    with pytest.raises(AdviserFailed):
        encode_question(PLAIN, {"action": "x" * MAX_QUESTION})


@pytest.mark.parametrize("score", [0, 1, 99, 100])
def test_a_whole_answer_counts(score):
    body = json.dumps({"score": score, "reason": "seen before"}).encode()

    assert read_answer(PLAIN, body) == Advice("engine", score, "seen before")
    assert read_answer(OPA, b'{"result":' + body + b"}") == Advice("opa", score, "seen before")


def test_opa_may_add_fields_of_its_own_but_not_to_the_result():
    good = b'{"decision_id":"4ca6","result":{"score":7,"reason":""},"metrics":{}}'

    assert read_answer(OPA, good).score == 7
    with pytest.raises(AdviserFailed):
        read_answer(OPA, b'{"result":{"score":7,"reason":"","allow":true}}')


def test_a_reason_is_cut_and_made_visible():
    """It stands in prompts and in the log: no control character, and an end."""
    told = read_answer(PLAIN, json.dumps({"score": 1, "reason": "a\x1b[2Jb" + "c" * 999}).encode())

    assert told.reason.isprintable()
    assert told.reason.startswith("a\\x1b[2Jb")
    assert len(told.reason) == MAX_REASON


BAD = {
    "nothing": b"",
    "no JSON": b"ok",
    "a number": b"50",
    "a list": b"[50]",
    "null": b"null",
    "an empty object": b"{}",
    "no score": b'{"reason":"x"}',
    "no reason": b'{"score":0}',
    "a reason that is none": b'{"score":0,"reason":null}',
    "a negative score": b'{"score":-1,"reason":""}',
    "a score over 100": b'{"score":101,"reason":""}',
    "an endless score": b'{"score":1e999,"reason":""}',
    "a huge score": b'{"score":' + b"9" * 400 + b',"reason":""}',
    "a fraction": b'{"score":0.5,"reason":""}',
    "NaN": b'{"score":NaN,"reason":""}',
    "Infinity": b'{"score":-Infinity,"reason":""}',
    "a text": b'{"score":"0","reason":""}',
    "yes": b'{"score":true,"reason":""}',
    "another field": b'{"score":0,"reason":"","allow":true}',
    "two answers": b'{"score":0,"reason":""}{"score":0,"reason":""}',
    "two scores": b'{"score":100,"score":0,"reason":""}',
    "two scores, one escaped": b'{"score":100,"scor\\u0065":0,"reason":""}',
    "half an answer": b'{"score":0,"reason":"',
    "bad UTF-8": b'{"score":0,"reason":"\xff"}',
    "nesting": b'{"reason":' + b"[" * 4000,
    "too long": b'{"score":0,"reason":"' + b"x" * MAX_ANSWER + b'"}',
    "the answer of the other format": b'{"result":{"score":0,"reason":""}}',
}


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_anything_else_is_no_answer(body):
    with pytest.raises(AdviserFailed) as failed:
        read_answer(PLAIN, body)

    assert failed.value.reason == "adviser-failed"
    assert str(failed.value).startswith("engine: ")


@pytest.mark.parametrize(
    "body", [b"{}", b'{"result":null}', b'{"result":true}', b'{"score":0,"reason":""}'], ids=str
)
def test_an_undefined_rule_is_no_answer(body):
    """OPA leaves `result` out where no rule holds: nobody said that all is well."""
    with pytest.raises(AdviserFailed):
        read_answer(OPA, body)
