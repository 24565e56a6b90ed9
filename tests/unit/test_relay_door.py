"""What the relay door makes of the words it is handed."""

import pytest

from stepupd.api.relay import make_call
from stepupd.api.relay_frames import RelayRequest
from stepupd.core.model import Caller, Door


class Root:
    """A privileged peer."""

    caller = Caller(0, 1, Door.RELAY)


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
