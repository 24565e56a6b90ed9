"""What every kind of test may use."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS / name) for name in ("unit", "integration")]


@pytest.fixture
def machine(tmp_path):
    """A daemon's directory with nothing running yet; whatever runs at the end is stopped."""
    from daemon_support import Machine

    made = Machine(tmp_path / "machine")
    yield made
    made.kill()


@pytest.fixture
def running(machine):
    """A running daemon with one enrolled key that waits for `touch()`."""
    machine.start()
    machine.enroll()
    return machine
