"""What is counted of a request: short, in one form, and nothing where nothing is known."""

import pytest
from core_support import make_request
from hypothesis import given
from hypothesis import strategies as st

from stepupd.core.model import Claim, Session
from stepupd.core.risk.facts import Facts
from stepupd.core.risk.features import MAX_VALUE, VALUES, find_network, shorten, show_values
from stepupd.core.risk.profile import Feature


def value_of(feature, facts=None, **changes):
    return VALUES[feature](make_request(**changes), facts or Facts())


@pytest.mark.parametrize(
    ("source", "network"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.114.0", "203.0.114.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::3", "2001:db8:1::/48"),
        ("2001:db8:2::3", "2001:db8:2::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/48"),
        ("no address", "no address"),
    ],
)
def test_a_network_is_what_one_site_has(source, network):
    assert find_network(source) == network


def test_one_address_has_one_form():
    """IPv6 has many spellings, and IPv4 hides in it."""
    same = {value_of(Feature.SOURCE, Facts(source=s)) for s in ("2001:DB8::0:1", "2001:db8::1")}

    assert same == {"2001:db8::1"}
    assert value_of(Feature.SOURCE, Facts(source="::ffff:192.0.2.1")) == "192.0.2.1"


def test_a_local_session_has_no_origin():
    for feature in (Feature.SOURCE, Feature.NETWORK, Feature.COUNTRY, Feature.SSH_KEY):
        assert value_of(feature) == ""


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ((), ""),
        (("/usr/bin/id",), "/usr/bin/id"),
        (("systemctl", "restart", "db"), "systemctl restart"),
        (("mysql", "-psecret", "db"), "mysql"),
        (("sudo", "systemctl", "restart", "db"), "systemctl restart"),
        (("/usr/bin/sudo", "-n", "-u", "bob", "LANG=C", "systemctl", "stop"), "systemctl stop"),
        (("sudo", "-i"), "sudo"),
        (("sudo",), "sudo"),
    ],
)
def test_a_command_is_its_program_and_first_word(command, value):
    """What only runs it and options are left out: an option may carry a secret."""
    assert value_of(Feature.COMMAND, claim=Claim(command=command)) == value


@pytest.mark.parametrize(
    ("tty", "kind"),
    [("pts/3", "pts"), ("/dev/pts/3", "pts"), ("tty1", "tty"), ("", "none"), ("hvc0", "other")],
)
def test_a_terminal_is_its_kind(tty, kind):
    assert value_of(Feature.TERMINAL, session=Session(1, 1, tty)) == kind
    assert value_of(Feature.TERMINAL, session=None) == "none"


def test_the_program_is_the_one_that_started_the_asking_one():
    assert value_of(Feature.PROGRAM, Facts(programs=("sudo", "bash", "sshd"))) == "bash"
    assert value_of(Feature.PROGRAM, Facts(programs=("cron",))) == "cron"
    assert value_of(Feature.PROGRAM) == ""


def test_the_hour_is_of_the_week():
    assert value_of(Feature.HOUR, Facts(hour=23, weekday=6)) == "167"
    assert value_of(Feature.HOUR, Facts(hour=0, weekday=0)) == "0"


@given(st.text(st.characters(), max_size=400))
def test_any_text_is_short_and_can_be_written(text):
    """Lone surrogates come from file names and command lines of any bytes."""
    assert len(shorten(text)) <= MAX_VALUE
    shorten(text).encode()


def test_long_texts_are_told_apart():
    assert shorten("x" * 200 + "a") != shorten("x" * 200 + "b")


WORDS = st.sampled_from(["", "sudo", "/usr/bin/id", "-u", "restart", "é" * 200])
ADDRESSES = st.sampled_from(["", "192.0.2.1", "::ffff:192.0.2.1", "fe80::1%eth0", "no address"])


@given(
    facts=st.builds(
        Facts,
        hour=st.integers(0, 23),
        weekday=st.integers(0, 6),
        source=ADDRESSES,
        country=st.sampled_from(["", "NO"]),
        programs=st.lists(WORDS, max_size=3).map(tuple),
        ssh_key=WORDS,
        ssh_client=WORDS,
    ),
    command=st.lists(WORDS, max_size=4).map(tuple),
    session=st.none() | st.builds(Session, st.just(1), st.just(1), st.sampled_from(["", "tty1"])),
)
def test_what_is_worked_out_once_is_what_each_feature_says(facts, command, session):
    """All known values but the hour, which is another one with each request."""
    request = make_request(claim=Claim(command=command), session=session)
    plain = {feature: find(request, facts) for feature, find in VALUES.items()}
    del plain[Feature.HOUR]

    for _ in range(2):
        assert show_values(request, facts) == {one: text for one, text in plain.items() if text}
