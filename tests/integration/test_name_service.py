"""A name service that hangs, under the whole daemon: a real module of glibc's, in a namespace."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from daemon_support import Machine

from stepupd.broker import LOOKUP_DEADLINE
from stepupd.client import CallRefused

SOURCE = Path(__file__).with_name("nss_hang.c")
NSSWITCH = "passwd: hang files\ngroup: files\n"
START = 'mount --bind "$0" /etc/nsswitch.conf && exec "$@"'


class Slow(Machine):
    """A daemon that asks `hang` for accounts first."""

    def begin(self) -> "Slow":
        library = self.base / "libnss_hang.so.2"
        compiler = ["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, SOURCE]
        subprocess.run(compiler, check=True)
        (self.base / "nsswitch.conf").write_text(NSSWITCH)
        daemon = [sys.executable, "-m", "stepupd", "--user", "--simulate", "1"]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(self.base / "notify.sock"))
            notify.settimeout(20)
            with (self.base / "stderr").open("ab") as stderr:
                self.process = subprocess.Popen(
                    ["unshare", "-m", "sh", "-c", START, self.base / "nsswitch.conf", *daemon],
                    env={
                        **self.environment,
                        "LD_LIBRARY_PATH": str(self.base),
                        "NOTIFY_SOCKET": str(self.base / "notify.sock"),
                        "STEPUPD_TEST_HANG": str(self.base / "hang"),
                    },
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                )
            assert notify.recv(100) == b"READY=1", self.read_stderr()
        return self

    def hang(self) -> None:
        (self.base / "hang").touch()

    def recover(self) -> None:
        (self.base / "hang").unlink()


@pytest.fixture
def slow(short_path):
    """Start such a daemon, with one enrolled key that is touched at once."""
    if shutil.which("cc") is None:
        pytest.skip("no compiler")
    made = Slow(short_path / "m").begin()
    made.enroll()
    made.key().script(touch_after_ms=0)
    yield made
    (made.base / "hang").unlink(missing_ok=True)
    made.kill()


def ask(machine):
    with machine.client() as client:
        return client.call("StepUp", {"action": "cli:verify", "max_age": 0})


def test_a_name_service_that_hangs_is_a_refusal_in_time(slow):
    """Fault matrix, NSS hangs: no answer is no allow, soon; and afterwards all is as before."""
    assert ask(slow)["reason"] == "proved"
    slow.hang()
    begun = time.monotonic()
    with pytest.raises(CallRefused) as caught:
        ask(slow)

    assert time.monotonic() - begun >= LOOKUP_DEADLINE * 0.9
    assert "stepupd failed" in str(caught.value)
    slow.recover()
    assert ask(slow)["reason"] == "proved"


def test_no_key_blinks_while_nobody_knows_for_whom(slow):
    """The person is not asked for a touch that could count for nothing."""
    slow.hang()
    before = slow.key().state()["blinks"]
    with pytest.raises(CallRefused):
        ask(slow)

    assert slow.key().state()["blinks"] == before


def test_many_that_hang_keep_nobody_out_afterwards(slow):
    """More lookups than there are workers: all are refused, and all workers come back."""
    slow.hang()
    for _ in range(4):
        with pytest.raises(CallRefused):
            ask(slow)
    slow.recover()

    assert ask(slow)["reason"] == "proved"
