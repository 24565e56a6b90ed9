"""What the relay door makes of the words it is handed."""

import pytest

from stepupd.api.relay import make_call
from stepupd.api.relay_frames import RelayRequest
from stepupd.core.model import Caller, Door
from stepupd.core.risk.ssh_auth import UNKNOWN_KEY, read_ssh_key

ED25519 = (
    "publickey ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n"
)


class Root:
    """A privileged peer."""

    caller = Caller(0, 1, Door.RELAY)


class Anybody:
    """Any other peer."""

    caller = Caller(1000, 1, Door.RELAY)

    def find_session(self):
        """Return none."""


def call_with(pairs, peer):
    payload = b"version=1\0service=sshd\0subject=ada\0" + pairs.encode()
    return make_call(RelayRequest.parse(payload), peer)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("sudo\x1ftrue", ("sudo", "true")),
        ("login\x1f\x1f\x1f", ("login",)),
        ("sudo\x1fecho\x1f\x1fx", ("sudo", "echo", "", "x")),
        ("\x1f\x1f", ()),
    ],
)
def test_blanks_at_the_end_of_a_command_are_no_words(line, words):
    """login(1) overwrites its arguments; nobody is to read `login '' '' ''` in a prompt."""
    payload = f"version=1\0service=login\0subject=ada\0command={line}".encode()

    assert make_call(RelayRequest.parse(payload), Root()).claim.command == words


def test_what_sshd_says_of_the_key_is_taken_from_root_alone():
    """Anybody can write what he likes into a PAM environment of his own."""
    pairs = f"ssh_auth={ED25519}"

    assert call_with(pairs, Root()).ssh_key == read_ssh_key(ED25519)
    assert call_with(pairs, Root()).ssh_key.startswith("SHA256:")
    assert call_with(pairs, Anybody()).ssh_key == ""
    assert call_with("ssh_auth_long=1", Anybody()).ssh_key == ""


@pytest.mark.parametrize("pairs", ["ssh_auth_long=1", "ssh_auth=publickey \xff\n"])
def test_a_key_that_was_left_out_or_is_none_is_unknown(pairs):
    """It must not look like a login without a key."""
    assert call_with(pairs, Root()).ssh_key == UNKNOWN_KEY


def test_the_name_on_a_ticket_may_be_any_bytes():
    """Pins that a method's own words, whatever their encoding, keep nobody out."""
    payload = b"version=1\0service=sshd\0subject=ada\0ssh_auth=gssapi-with-mic \xff@REALM\n"

    assert make_call(RelayRequest.parse(payload), Root()).ssh_key == ""
