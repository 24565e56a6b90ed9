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


def pytest_configure():
    """Give the tests a session with a living leader: grants are kept for one.

    Where CI starts us there may be none, and a request without a session gets no grant, rightly.
    """
    from stepup.demo.stage import ensure_session  # noqa: PLC0415 - pytest's own start stays quick

    ensure_session()


@pytest.fixture
def short_path():
    """Make a directory whose sockets have short paths: 107 bytes are all there is.

    `tmp_path` is longer than that where several processes share the work.
    """
    base = Path(tempfile.mkdtemp(prefix="stepup-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base)


@pytest.fixture
def machine(short_path):
    """Make a daemon's directory; whatever runs there at the end is stopped."""
    from daemon_support import Machine  # noqa: PLC0415 - its folder was added just above

    made = Machine(short_path / "m")
    yield made
    made.kill()


@pytest.fixture
def running(machine):
    """Start a daemon with one enrolled key that waits for `touch()`."""
    machine.start()
    machine.enroll()
    return machine
