"""What every kind of test may use."""

import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# The machines are shared: no example is too slow, only too many would be.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

TESTS = Path(__file__).parent
sys.path[:0] = [str(TESTS / name) for name in ("unit", "integration")]


@pytest.fixture
def machine():
    """Make a daemon's directory; whatever runs there at the end is stopped.

    Not below `tmp_path`: a socket's path has at most 107 bytes.
    """
    from daemon_support import Machine  # noqa: PLC0415 - its folder was added just above

    base = Path(tempfile.mkdtemp(prefix="stepup-"))
    made = Machine(base / "m")
    base.chmod(0o755)
    yield made
    made.kill()
    shutil.rmtree(base)


@pytest.fixture
def running(machine):
    """Start a daemon with one enrolled key that waits for `touch()`."""
    machine.start()
    machine.enroll()
    return machine
