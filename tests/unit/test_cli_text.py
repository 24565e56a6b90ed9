"""What is shown: foreign text made harmless, tables that fit, names of models."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepup.aaguids import NAMES, name_model
from stepup.entries import Filter, find_last_lines, parse_since, read_entry, say_entry
from stepup.errors import CommandError
from stepup.outcomes import HINTS
from stepup.replies import read_answers, read_flag, read_number, read_text, read_texts
from stepup.tables import draw_table
from stepup.terminal import clean
from stepupd.core.model import Reason
from stepupd.devices.simulated.model import AAGUID


@given(st.text())
def test_no_foreign_text_reaches_the_terminal_active(text):
    """Neither an escape sequence, nor a control, nor a letter that reorders its neighbours."""
    assert all(character.isprintable() or character == "\n" for character in clean(text))


@given(st.lists(st.lists(st.text(max_size=60), min_size=5, max_size=5), max_size=5))
def test_every_table_fits_80_columns(rows):
    """However long names and models are; and each row stays one line."""
    lines = draw_table(("NAME", "MODEL", "ENROLLED", "LAST USED", "ID"), rows).split("\n")

    assert len(lines) == len(rows) + 1
    assert max(map(len, lines)) <= 80


def test_every_aaguid_is_written_in_one_form():
    """Lower case with hyphens, as WebAuthn writes it; the name is short and printable."""
    shape = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

    assert all(shape.fullmatch(aaguid) for aaguid in NAMES)
    assert all(name.isprintable() and len(name) <= 44 for name in NAMES.values())


@pytest.mark.parametrize(
    ("aaguid", "name"),
    [
        ("2fc0579f811347eab116bb5a8db9202a", "YubiKey 5 NFC"),
        ("2FC0579F-8113-47EA-B116-BB5A8DB9202A", "YubiKey 5 NFC"),
        (AAGUID.hex(), "simulated key"),
        ("0" * 32, "unnamed model"),
        ("", "unnamed model"),
        ("1234567890abcdef1234567890abcdef", "unknown model 12345678"),
    ],
)
def test_models_are_named_by_aaguid(aaguid, name):
    """With or without hyphens; the simulated key by its own name; others as unknown."""
    assert name_model(aaguid) == name


def test_every_hint_is_for_a_reason_of_the_daemon():
    """A hint for a code that nobody sends would never be seen."""
    assert set(HINTS) <= {reason.value for reason in Reason}


ANY = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


@given(ANY)
@pytest.mark.parametrize(
    "read", [read_answers, read_flag, read_number, read_text, read_texts], ids=lambda f: f.__name__
)
def test_a_field_of_another_type_is_an_error_and_no_guess(read, value):
    """Each reader returns its own type or raises the typed error."""
    try:
        found = read({"field": value}, "field")
    except CommandError as error:
        found, code = value, error.code
    else:
        code = 10

    assert (found is value, code) == (True, 10)


def test_an_audit_entry_is_one_line():
    """Number, time, kind, verdict, who, what; a claimed command cannot break the line."""
    entry = {
        "seq": 17,
        "prev": "",
        "time": "2023-11-14T22:13:20.000000Z",
        "kind": "step-up",
        "request": {
            "subject": "ada",
            "action": "sudo:command",
            "claim": {"command": ["rm", "-rf", "/\n\x1b[2J"]},
        },
        "verdict": {"answer": "deny", "reason": "timeout"},
    }

    line = say_entry(entry, 1_800_000_000)

    assert line.split() == [
        *("17", "2023-11-14", line.split()[2], "step-up", "deny", "(timeout)", "ada"),
        *("sudo:command", "$", "rm", "-rf", "/\\n\\x1b[2J"),
    ]


@given(st.binary(max_size=200))
def test_any_line_of_a_log_can_be_shown(line):
    """A damaged log is shown as far as it can be read, without a failure."""
    assert "\n" not in say_entry(read_entry(line), 0)


@given(st.dictionaries(st.sampled_from(["seq", "time", "kind", "request", "verdict"]), ANY))
def test_any_fields_of_an_entry_can_be_shown(fields):
    """Foreign types included."""
    assert say_entry(fields, 0).isprintable()


def test_lines_that_cannot_be_read_are_never_filtered_away():
    """Damage must show, whatever was asked for; except where one entry was named."""
    assert Filter(kind="step-up", since="2030").accepts({})
    assert not Filter(seq=3).accepts({})


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("", ""),
        ("2h", "2023-11-14T20:13:20.000000Z"),
        ("2023-11-14T08:00:00+00:00", "2023-11-14T08:00:00.000000Z"),
        ("2023-11-14T08:00:00Z", "2023-11-14T08:00:00.000000Z"),
    ],
)
def test_since_takes_an_age_or_a_moment(text, since):
    """It compares as text with the log's own times."""
    assert parse_since(text, 1_700_000_000.0) == since


@pytest.mark.parametrize("text", ["yesterday", "9999999d", "0001-01-01T00:00:00+14:00"])
def test_since_refuses_the_rest(text):
    """As wrong usage, also what no calendar holds."""
    with pytest.raises(CommandError) as caught:
        parse_since(text, 1_700_000_000.0)

    assert caught.value.code == 2


@given(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=30),
    st.integers(1, 8),
)
def test_the_last_lines_are_found_from_the_end(lines, count):
    """The same as reading all of them."""
    stream = io.BytesIO(b"".join(line + b"\n" for line in lines))
    stream.seek(find_last_lines(stream, count))

    assert stream.read().split(b"\n")[:-1] == lines[-count:]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "event", "subject": "ada", "event": "session-revoked"}, "ada session-revoked"),
        ({"kind": "forget-profile", "subject_uid": 1000}, "uid 1000"),
        ({"kind": "stop", "subject_uid": 0}, "stop"),
    ],
    ids=lambda one: one if isinstance(one, str) else one["kind"],
)
def test_an_entry_without_a_request_says_whom_it_is_about(fields, words):
    assert say_entry({"seq": 1} | fields, 0).endswith(words)
