"""`stepup run`: the command starts after "allow" and only then, just as a shell would start it."""

import signal
import subprocess
import sys

import cli_support as support
import pytest
from cli_support import GRANTED, listening, run_stepup, verdict


def test_the_claim_is_the_command_to_the_letter():
    """Arguments that look like ours are the command's; nothing is split or joined."""
    with listening(StepUp=GRANTED) as daemon:
        command = ["/bin/echo", "--json", "", "a  b", "é\n"]
        done = run_stepup("run", "--reason", "why", *command, path=daemon.path)

    claim = {"action": "cli:run", "reason": "why", "command": command}
    assert daemon.calls == [("StepUp", claim)]
    assert (done.returncode, done.stdout) == (0, "--json  a  b é\n\n")


@pytest.mark.parametrize("status", [0, 1, 3, 42, 255])
def test_the_exit_status_is_the_commands(status):
    """Whatever it is, it goes through."""
    with listening(StepUp=GRANTED) as daemon:
        done = run_stepup("run", "--", "sh", "-c", f"exit {status}", path=daemon.path)

    assert done.returncode == status


def test_a_signal_that_kills_the_command_kills_us():
    """There is no process of ours in between."""
    with listening(StepUp=GRANTED) as daemon:
        done = run_stepup("run", "--", "sh", "-c", "kill -TERM $$", path=daemon.path)

    assert done.returncode == -signal.SIGTERM


def test_the_command_is_not_started_deaf_to_a_broken_pipe():
    """Python ignores SIGPIPE; what we become must not."""
    with listening(StepUp=GRANTED) as daemon:
        probe = ["sh", "-c", "grep SigIgn /proc/self/status"]
        done = run_stepup("run", "--", *probe, path=daemon.path)

    ignored = int(done.stdout.split()[1], 16)
    assert ignored & (1 << (signal.SIGPIPE - 1)) == 0
    assert ignored & (1 << (signal.SIGXFSZ - 1)) == 0


def test_the_command_gets_none_of_our_descriptors():
    """The connection to the daemon is closed before the command starts."""
    with listening(StepUp=GRANTED) as daemon:
        probe = ["sh", "-c", "ls -l /proc/self/fd"]
        done = run_stepup("run", "--", *probe, path=daemon.path)

    assert "socket" not in done.stdout


@pytest.mark.parametrize(
    ("command", "code"),
    [("/nonexistent/x", 127), ("nonexistent-command", 127), ("/etc/passwd", 126)],
)
def test_a_command_that_cannot_start_ends_as_in_a_shell(command, code):
    """127 if there is none, 126 if it is no program."""
    with listening(StepUp=GRANTED) as daemon:
        done = run_stepup("run", "--", command, path=daemon.path)

    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"stepup: error: {command}: ")


@pytest.mark.parametrize(
    "answer",
    [
        verdict("deny", "no-rule"),
        verdict("unavailable", "internal"),
        support.refusal("busy"),
        {"verdict": "allowed", "reason": "", "text": ""},
        {"reason": "proved", "text": ""},
        b"",
    ],
)
def test_without_an_allow_nothing_runs(answer, tmp_path):
    """Not after a refusal, an error, a word that is almost "allow", or a broken connection."""
    mark = tmp_path / "mark"
    with listening(StepUp=answer) as daemon:
        done = run_stepup("run", "--", "touch", str(mark), path=daemon.path)

    assert done.returncode != 0
    assert not mark.exists()


def test_an_argument_that_nobody_could_be_shown_is_refused():
    """Bytes that are no UTF-8 would be shown as something else than what runs."""
    with listening(StepUp=GRANTED) as daemon:
        done = subprocess.run(
            [sys.executable, "-m", "stepup", "run", "--", "echo", b"\xff"],
            capture_output=True,
            text=True,
            check=False,
            env=support.make_environment(daemon.path),
        )

    assert (done.returncode, daemon.calls) == (2, [])
