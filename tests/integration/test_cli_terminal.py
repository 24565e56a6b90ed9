"""The command at a terminal: hidden answers, colour, Ctrl-C."""

import os
import pty
import select
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress

import cli_support as support
import pytest
from cli_support import GRANTED, Daemon, listening, verdict

STEPUP = (sys.executable, "-m", "stepup")


class Screen:
    """A person at a terminal with one program in it; `text` is all that was on the screen."""

    def __init__(self, daemon: Daemon, *program: str, **environment: str) -> None:
        self._leader, self._follower = pty.openpty()
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *program],
            stdin=self._follower,
            stdout=self._follower,
            stderr=self._follower,
            env=support.make_environment(daemon.path, **environment),
        )
        self.text = ""

    @property
    def has_echo(self) -> bool:
        return bool(termios.tcgetattr(self._follower)[3] & termios.ECHO)

    def read_until(self, words: str) -> None:
        while words not in self.text:
            assert self._read(), self.text

    def type(self, text: str) -> None:
        os.write(self._leader, text.encode())

    def finish(self) -> int:
        code = self._process.wait(60)
        self.had_echo_at_the_end = self.has_echo
        os.close(self._follower)
        with suppress(OSError):  # how the end of a terminal is reported
            while self._read():
                pass
        os.close(self._leader)
        return code

    def _read(self) -> bool:
        ready, _, _ = select.select([self._leader], [], [], 60)
        piece = os.read(self._leader, 4096) if ready else b""
        self.text += piece.decode().replace("\r\n", "\n")
        return bool(piece)


@pytest.fixture
def asking() -> Iterator[Daemon]:
    """Serve a daemon that asks for a PIN and keeps what it hears."""

    def ceremony(talk):
        heard.append(talk.ask("PIN of blue: "))
        return GRANTED

    heard: list[dict] = []
    with listening(StepUp=ceremony) as daemon:
        daemon.heard = heard
        yield daemon


def test_a_hidden_answer_is_never_on_the_screen(asking):
    """It reaches the daemon, and the terminal echoes again afterwards."""
    screen = Screen(asking, *STEPUP, "verify", NO_COLOR="1")
    screen.read_until("PIN of blue: ")
    screen.type("s3cret\n")

    assert screen.finish() == 0
    assert asking.heard[0]["result"] == {"answer": "s3cret"}
    assert screen.text == "PIN of blue: \n"


def test_the_end_of_input_declines(asking):
    """Ctrl-D is a no, not an empty answer."""
    screen = Screen(asking, *STEPUP, "verify")
    screen.read_until("PIN of blue: ")
    screen.type("\x04")

    screen.finish()
    assert "result" not in asking.heard[0]


def test_a_question_reaches_the_person_although_stdin_is_a_pipe(asking):
    """As with ssh and sudo, the terminal is asked, not what was piped in."""
    pipe = f'echo piped | "{sys.executable}" -m stepup verify 2>/dev/null'
    screen = Screen(asking, "sh", "-c", pipe)
    screen.read_until("PIN of blue: ")
    screen.type("typed\n")

    assert screen.finish() == 0
    assert asking.heard[0]["result"] == {"answer": "typed"}
    assert "typed" not in screen.text


@pytest.mark.parametrize("verb", ["verify", "run true", "enroll"])
def test_ctrl_c_hangs_up_and_is_5(verb):
    """The daemon sees the connection close, so the key stops blinking; no traceback."""

    def ceremony(talk):
        talk.show("Touch your key.")
        return next(talk.lines)  # waits for the hang-up

    known = {"credentials": []}
    with listening(StepUp=ceremony, Enroll=ceremony, ListCredentials=known) as daemon:
        screen = Screen(daemon, *STEPUP, *verb.split())
        screen.read_until("Touch your key.")
        screen.type("\x03")
        code = screen.finish()

    assert code == 5
    assert "Traceback" not in screen.text
    assert "cancelled" in screen.text


def test_ctrl_c_at_a_hidden_question_gives_the_echo_back(asking):
    """The next thing typed at this terminal must be seen again."""
    screen = Screen(asking, *STEPUP, "verify")
    screen.read_until("PIN of blue: ")
    assert not screen.has_echo
    screen.type("\x03")

    assert screen.finish() == 5
    assert screen.had_echo_at_the_end


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_only_where_it_is_wanted(environment, is_coloured):
    """On a terminal, unless NO_COLOR is set and not empty, or the terminal is dumb."""
    with listening(StepUp=verdict("deny", "no-rule")) as daemon:
        screen = Screen(daemon, *STEPUP, "verify", **environment)
        code = screen.finish()

    assert code == 1
    assert ("\x1b[" in screen.text) == is_coloured


@pytest.mark.parametrize(("answer", "code"), [("n\n", 5), ("\n", 5), ("\x04", 5), ("y\n", 0)])
def test_removing_asks_first(answer, code):
    """Only a plain yes goes on; everything else sends nothing."""
    with listening(RemoveCredential=GRANTED) as daemon:
        screen = Screen(daemon, *STEPUP, "keys", "remove", "blue")
        screen.read_until("[y/N] ")
        screen.type(answer)
        found = screen.finish()

    assert found == code
    assert len(daemon.calls) == (1 if code == 0 else 0)
