"""The request that the fast path writes by hand is the one the slow path would send."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepup.fast_path import encode_request

WORDS = ["--action", "--level", "--max-age", "--reason", "--user", "-q", "--quiet", "touch", "10m"]


def decode(arguments):
    return json.loads(encode_request(arguments))


def test_without_arguments_it_asks_for_the_default_action():
    """Byte for byte, so that a daemon's log of it stays comparable."""
    expected = b'{"jsonrpc":"2.0","id":1,"method":"StepUp","params":{"action":"cli:verify"}}\n'

    assert encode_request([]) == expected


def test_every_option_becomes_its_parameter():
    """Both spellings, `--name value` and `--name=value`; the last one counts."""
    words = "--action=a:b --level verify --max-age=10m --user ada -q --action cli:x"
    request = decode([*words.split(), "--reason", "a b"])

    assert request["params"] == {
        "action": "cli:x",
        "level": "verify",
        "max_age": 600,
        "reason": "a b",
        "subject": "ada",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["-v"],
        ["--help"],
        ["--action"],
        ["--action="],
        ["--action", 'a"b'],
        ["--action", "a\\b"],
        ["--action", "a\nb"],
        ["--action", "é"],
        ["--reason", "\udcff"],
        ["--level", "code"],
        ["--max-age", "soon"],
        ["--max-age", "1" * 10],
        ["--", "x"],
        ["x"],
        ["--actio", "a:b"],
    ],
)
def test_whatever_needs_thought_is_left_to_the_slow_path(arguments):
    """An unknown option, a character that JSON would escape, a value to be refused."""
    assert encode_request(arguments) is None


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=8)), max_size=6))
def test_no_argument_can_write_json_of_its_own(arguments):
    """Whatever is given, the line is one request with texts and one number in it."""
    line = encode_request(arguments)

    if line is not None:
        request = json.loads(line)
        assert line.count(b"\n") == 1
        assert set(request) == {"jsonrpc", "id", "method", "params"}
        assert set(request["params"]) <= {"action", "level", "max_age", "reason", "subject"}
        texts = [value for name, value in request["params"].items() if name != "max_age"]
        assert all(text in " ".join(["cli:verify", *arguments]) for text in texts)
