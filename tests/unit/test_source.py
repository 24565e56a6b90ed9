"""Where a request comes from: who may come from elsewhere never looks local."""

import pytest

from stepupd.core.errors import InternalError
from stepupd.core.model import Caller, Claim, Door, StepUpRequest, Subject
from stepupd.host.logins import Belonging, Login
from stepupd.host.source import (
    UNKNOWN_SOURCE,
    find_source,
    find_told_source,
    is_remote_unit,
    normalize_address,
)

LOCAL = Login("2", has_seat=True, is_active=True)
SHELL = ("sudo", "bash", "gnome-terminal-", "systemd", "systemd")
SSH = ("sudo", "bash", "sshd-session", "sshd", "systemd")


def remote(host):
    return Login("7", is_remote=True, remote_host=host)


def make_request(*, uid=0, door=Door.RELAY, rhost=""):
    return StepUpRequest(
        Subject(1000, "ada"), Caller(uid, 4711, door), "pam:sudo", claim=Claim(rhost=rhost)
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("127.0.0.1", "127.0.0.1"),
        ("", ""),
        ("0.0.0.0", ""),  # noqa: S104 - nothing is bound
        ("::", ""),
        ("::ffff:0.0.0.0", ""),
        ("gate.example.org", ""),
        ("203.0.113.9 ", ""),
        ("203.0.113.09", ""),
        ("3405803785", ""),
        ("[::1]", ""),
        ("%", ""),
        ("\x1b[2J", ""),
    ],
)
def test_an_address_has_one_spelling(text, address):
    assert normalize_address(text) == address


def test_the_placeholder_is_nobodys_address():
    """Pins that nothing observed is ever written like the unknown."""
    assert normalize_address(UNKNOWN_SOURCE) == ""


@pytest.mark.parametrize(
    ("belonging", "programs", "source"),
    [
        (Belonging(session=LOCAL), SHELL, ""),
        (Belonging(session=remote("203.0.113.9")), SSH, "203.0.113.9"),
        (Belonging(session=remote("::1")), SSH, "::1"),
        (Belonging(unit="backup.service"), ("backup.sh", "systemd"), ""),
        (Belonging(account=(LOCAL,)), SHELL, ""),
        (Belonging(account=(LOCAL, remote("203.0.113.9"))), SHELL, "203.0.113.9"),
        (Belonging(account=(remote("203.0.113.9"),) * 2), SHELL, "203.0.113.9"),
    ],
)
def test_a_session_tells_where_it_comes_from(belonging, programs, source):
    """Any session of an account can have started what its service manager runs."""
    assert find_source(make_request(uid=1000), belonging, programs) == source


@pytest.mark.parametrize(
    ("belonging", "programs"),
    [
        (Belonging(session=remote("gate.example.org")), SSH),
        (Belonging(session=remote("")), SSH),
        (Belonging(session=LOCAL), SSH),
        (Belonging(unit="ssh.service"), ("sudo", "bash", "systemd")),
        (Belonging(unit="sshd@3-10.0.0.1:22-10.0.0.2:5022.service"), ("sudo", "systemd")),
        (Belonging(unit="backup.service"), ("sudo", "dropbear", "systemd")),
        (Belonging(account=(remote("203.0.113.9"), remote("198.51.100.7"))), SHELL),
        (Belonging(account=(LOCAL, remote("gate.example.org"))), SHELL),
    ],
)
def test_a_source_that_cannot_be_told_is_an_error(belonging, programs):
    """Never "this machine": a session without an address, and a remote login without a session."""
    with pytest.raises(InternalError):
        find_source(make_request(uid=1000), belonging, programs)


def test_a_host_that_root_names_without_an_address_is_an_error():
    """Pins sshd with UseDNS: there is no session yet, and a name is no address."""
    request = make_request(rhost="gate.example.org")

    assert find_told_source(request) == ""
    with pytest.raises(InternalError):
        find_source(request, Belonging(unit="other.service"), ("login", "systemd"))


def test_a_host_that_root_names_inside_a_session_is_no_remote_one():
    """Pins sudo's `pam_rhost`: it names this machine."""
    request = make_request(rhost="thismachine")

    assert find_source(request, Belonging(session=LOCAL), SHELL) == ""


def test_only_roots_pam_program_is_taken_at_its_word():
    address = "::ffff:203.0.113.9"

    assert find_told_source(make_request(rhost=address)) == "203.0.113.9"
    assert find_told_source(make_request(uid=1000, rhost=address)) == ""
    assert find_told_source(make_request(door=Door.SOCKET, rhost=address)) == ""
    assert find_told_source(make_request(door=Door.BUS, rhost=address)) == ""


def test_anybodys_claim_makes_nothing_remote_or_local():
    request = make_request(uid=1000, rhost="gate.example.org")

    assert find_source(request, Belonging(session=remote("203.0.113.9")), SSH) == "203.0.113.9"
    assert find_source(request, Belonging(session=LOCAL), SHELL) == ""


@pytest.mark.parametrize(
    ("unit", "is_remote"),
    [
        ("ssh.service", True),
        ("sshd.service", True),
        ("sshd@1-2.service", True),
        ("dropbear.service", True),
        ("ssh-agent.service", False),
        ("cron.service", False),
        ("", False),
    ],
)
def test_units_that_let_people_in(unit, is_remote):
    assert is_remote_unit(unit) is is_remote
