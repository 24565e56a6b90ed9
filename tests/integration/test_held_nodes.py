"""Nodes that stay open after use: one per key, for a while, and never in anybody's way."""

import asyncio
import os
import pty
import tty
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from device_support import PATIENCE
from sysfs_support import Sysfs

from stepupd.devices import key_ring
from stepupd.devices.hidraw import HidrawSource
from stepupd.devices.key_ring import KeyRing

_INIT = bytes.fromhex("ffffffff86")


class Tty:
    """A terminal in place of a hidraw node: it opens, and what answers is not the line."""

    def __init__(self, node: Path) -> None:
        self._key, self._line = pty.openpty()
        tty.setraw(self._line)
        self.path = os.ttyname(self._line)
        node.symlink_to(self.path)
        self._thread = Thread(target=self._answer)
        self._thread.start()

    def count_open(self) -> int:
        """Return how often others in this process have the node open."""
        targets = [os.path.realpath(one) for one in Path("/proc/self/fd").iterdir()]
        return targets.count(self.path) - 1

    def close(self) -> None:
        """Hang up; whoever still has it open hears of it."""
        os.close(self._line)
        self._thread.join(PATIENCE)
        os.close(self._key)

    def _answer(self) -> None:
        """Give a channel to whoever asks (CTAP 2.1, section 11.2.9.1.3); else say nothing."""
        channel = 0
        with suppress(OSError):  # EIO once nobody has the line open
            while packet := os.read(self._key, 65):
                if packet[1:].startswith(_INIT):
                    channel += 1
                    reply = _INIT + b"\0\x11" + packet[8:16] + channel.to_bytes(4, "big")
                    os.write(self._key, (reply + bytes([2, 0, 0, 1, 4])).ljust(64, b"\0"))


@pytest.fixture
def sysfs(tmp_path):
    return Sysfs(tmp_path)


@pytest.fixture
def node(sysfs):
    """Plug a key in whose node can be opened."""
    made = Tty(sysfs.dev / "hidraw0")
    sysfs.plug()
    yield made
    made.close()


def test_a_node_stays_open_once_however_often_it_was_used(sysfs, node):
    """Each use opens it anew and leaves one descriptor behind, until all is let go."""
    source = sysfs.source()
    (key,) = source.plugged()
    for held in (0, 1, 1):
        device = key.open()
        assert node.count_open() == held + 1
        device.close()
        device.close()
        assert node.count_open() == 1
    source.rest()
    assert node.count_open() == 0


def test_a_key_that_has_gone_is_not_held(sysfs, node):
    """The next look closes what was kept of it; its successor is opened by itself."""
    source = sysfs.source()
    (key,) = source.plugged()
    key.open().close()
    sysfs.unplug()
    sysfs.plug(number=6)
    (other,) = source.plugged()
    assert node.count_open() == 0

    with pytest.raises(OSError, match="another key"):
        key.open()
    other.open().close()
    assert node.count_open() == 1
    source.rest()


async def test_keys_are_let_go_before_the_machine_sleeps(sysfs, node):
    """With whatever else has to end first."""
    source = sysfs.source()
    (key,) = source.plugged()
    key.open().close()

    await KeyRing([source], lambda: 0.0).let_go()

    assert node.count_open() == 0


async def test_keys_are_let_go_some_time_after_a_turn(sysfs, node, monkeypatch):
    """However it went."""
    monkeypatch.setattr(key_ring, "KEPT_OPEN", 0.0)
    source = sysfs.source()
    (key,) = source.plugged()
    key.open().close()

    KeyRing([source], lambda: 0.0).end_turn(None, None)

    async with asyncio.timeout(PATIENCE):
        while node.count_open():  # noqa: ASYNC110 - nothing tells of a closed descriptor
            await asyncio.sleep(0)


class Told(HidrawSource):
    """A bus that tells when the test says so."""

    def watch(self, told):
        self.tell = told
        return lambda: None


async def test_a_key_that_goes_is_let_go_at_once(sysfs, node):
    """So that its node's number is free before the next key comes."""
    source = Told(sysfs.classes, sysfs.dev)
    ring = KeyRing([source], lambda: 0.0)
    (key,) = source.plugged()
    key.open().close()
    ring.end_turn(None, None)
    async with asyncio.timeout(PATIENCE):
        while not hasattr(source, "tell"):  # noqa: ASYNC110 - nothing tells of the turn's end
            await asyncio.sleep(0)
    assert node.count_open() == 1

    sysfs.unplug()
    source.tell()

    async with asyncio.timeout(PATIENCE):
        while node.count_open():  # noqa: ASYNC110 - nothing tells of a closed descriptor
            await asyncio.sleep(0)
    await ring.let_go()
