"""Options and errors at the D-Bus door: exact types in, nothing of ours out."""

from dataclasses import replace

import pytest
from doors_support import CREDENTIAL, FAULTS, PRIVATE_PATH

from stepupd.api.dbus_bus import find_lost_name, make_rule, read_number
from stepupd.api.dbus_message import (
    Kind,
    Message,
    Typed,
    describe_failure,
    make_variant,
    make_view,
    name_error,
    read_options,
)
from stepupd.api.results import describe_credential
from stepupd.core.errors import RequestError

TYPES = {"subject": "s", "max_age": "d", "command": "as"}


def test_options_are_read_by_name():
    found = read_options({"subject": Typed("s", "ada"), "max_age": Typed("d", 1.0)}, TYPES)

    assert found == {"subject": "ada", "max_age": 1.0}


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("subject", Typed("u", 0)),
        ("subject", Typed("o", "/ada")),
        ("subject", Typed("v", Typed("s", "ada"))),
        ("subject", "ada"),
        ("max_age", Typed("u", 1)),
        ("max_age", Typed("x", 1)),
        ("command", Typed("av", [])),
        ("uid", Typed("u", 1000)),
        ("Subject", Typed("s", "ada")),
        ("", Typed("s", "ada")),
    ],
)
def test_attack_022_another_type_or_name_is_an_error(name, item):
    """Never ignored: an option that is not understood would have asked for less or for another."""
    with pytest.raises(RequestError):
        read_options({name: item}, TYPES)


@pytest.mark.parametrize("item", [None, 0, Typed("i", 0), Typed("t", 0), Typed("s", "0")])
def test_attack_022_an_account_is_a_uint32_or_unknown(item):
    assert read_number(item) is None


def test_numbers_have_the_type_of_their_field():
    """`created` is a double, also where it happens to be 0."""
    view = make_view(describe_credential(CREDENTIAL))

    assert (view["created"].signature, view["sign_count"].signature) == ("d", "x")


def test_what_is_not_there_is_left_out_and_what_is_not_plain_fails():
    assert make_variant(None) is None
    with pytest.raises(TypeError):
        make_variant(object())


@pytest.mark.parametrize("name", FAULTS)
def test_only_what_the_caller_can_mend_is_told(name):
    """A failure of ours leaves no path, no class name and no message."""
    reason, text = describe_failure(FAULTS[name])

    assert PRIVATE_PATH not in text
    assert "Error" not in text
    assert name_error(reason).startswith("org.stepupd1.Error.")


def test_error_names():
    assert name_error("not-permitted") == "org.stepupd1.Error.NotPermitted"


LOST = Message(
    Kind.SIGNAL,
    sender="org.freedesktop.DBus",
    path="/org/freedesktop/DBus",
    interface="org.freedesktop.DBus",
    member="NameOwnerChanged",
    signature="sss",
    body=(":1.5", ":1.5", ""),
)


def test_a_connection_ends_when_the_bus_says_so():
    assert find_lost_name(LOST) == ":1.5"
    assert ":1.5" in make_rule(":1.5")


@pytest.mark.parametrize(
    "change",
    [
        {"sender": ":1.9"},
        {"path": "/org/stepupd1"},
        {"interface": "org.stepupd1.Manager"},
        {"member": "NameLost"},
        {"signature": "ss", "body": (":1.5", "")},
        {"body": (":1.5", "", ":1.5")},
        {"body": ("org.example", ":1.5", "")},
    ],
)
def test_attack_035_nobody_else_says_it(change):
    """A signal from another sender, about another thing, or of another shape ends nothing."""
    assert find_lost_name(replace(LOST, **change)) == ""
