"""The examples do what they say, against a running daemon."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
DECLINED = 5


def describe_shell(machine):
    """Return the environment of somebody who has `stepup` in the path and talks to our daemon."""
    return {
        **machine.environment,
        "PATH": f"{Path(sys.executable).parent}:{machine.environment['PATH']}",
        "STEPUP_SOCKET": str(machine.runtime / "stepupd.sock"),
    }


def begin(running, *command):
    """Start a program that asks for a step-up, and return it once the key blinks."""
    program = subprocess.Popen(
        command,
        env=describe_shell(running),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.key().wait_for_blink(), program.communicate(timeout=20)
    return program


def test_deploy_goes_on_after_a_touch(running):
    program = begin(running, EXAMPLES / "deploy.sh", "v2")
    running.key().touch()
    out, err = program.communicate(timeout=20)

    assert (program.returncode, out) == (0, "deploying v2\n")
    assert "It says why: release v2" in err


def test_deploy_stops_when_the_person_declines(running):
    """Pins that `set -e` is enough: no line after the question runs."""
    program = begin(running, EXAMPLES / "deploy.sh", "v2")
    running.key().deny()
    out, _ = program.communicate(timeout=20)

    assert (program.returncode, out) == (DECLINED, "")


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "old backup"
    made.write_text("everything")
    return made


def test_ask_erases_after_a_touch(running, file):
    program = begin(running, sys.executable, EXAMPLES / "ask.py", file)
    running.key().touch()
    _, err = program.communicate(timeout=20)

    assert program.returncode == 0, err
    assert "files:erase" in err
    assert not file.exists()


def test_ask_erases_nothing_when_the_person_declines(running, file):
    program = begin(running, sys.executable, EXAMPLES / "ask.py", file)
    running.key().deny()
    _, err = program.communicate(timeout=20)

    assert program.returncode == 1
    assert err.endswith("not erased: Declined on the key.\n")
    assert file.exists()


def test_without_a_daemon_neither_goes_on(machine, file):
    """No daemon is no answer, and no answer is no."""
    for command in ([EXAMPLES / "deploy.sh", "v2"], [sys.executable, EXAMPLES / "ask.py", file]):
        done = subprocess.run(
            command,
            env=describe_shell(machine),
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
        assert done.returncode not in {0, 2}, done.stderr
        assert done.stdout == ""
    assert file.exists()
