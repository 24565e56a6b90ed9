"""Finding keys on USB, on a made-up sysfs tree: what is listed, remembered, and refused."""

import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sysfs_support import FIDO, KEYBOARD, Sysfs

from stepupd.devices.hidraw import HidrawSource


@pytest.fixture
def sysfs(tmp_path):
    """Make an empty tree."""
    return Sysfs(tmp_path)


def test_only_fido_keys_are_listed(sysfs):
    """By the usage page of the report descriptor; with the name that the kernel gives."""
    sysfs.plug("hidraw0", 1, KEYBOARD)
    sysfs.plug("hidraw1", 2)
    (key,) = sysfs.source().plugged()

    assert key.name == "Yubico YubiKey OTP+FIDO+CCID"
    assert key.descriptor.report_size_in == key.descriptor.report_size_out == 64
    assert key.descriptor.path == str(sysfs.dev / "hidraw1")
    assert not key.is_simulated


def test_no_hidraw_at_all_is_no_key(tmp_path):
    """A machine without the class directory."""
    assert HidrawSource(tmp_path / "none", tmp_path).plugged() == []


def test_looking_opens_nothing(sysfs):
    """Listing leaves the nodes alone: another program may be using the key."""
    sysfs.plug()
    (sysfs.dev / "hidraw0").unlink()
    fifo = sysfs.dev / "hidraw0"
    os.mkfifo(fifo)  # to open it would block

    assert len(sysfs.source().plugged()) == 1


def test_a_key_stays_the_same_until_it_is_replugged(sysfs):
    """One identity for one stay; on the same node another key is another one (attack 64)."""
    source = sysfs.source()
    sysfs.plug(number=5)
    (first,) = source.plugged()
    assert source.plugged() == [first]
    sysfs.unplug()
    assert source.plugged() == []
    sysfs.plug(number=6)
    (second,) = source.plugged()

    assert first.descriptor.path == second.descriptor.path
    assert first.identity != second.identity


def test_a_node_at_its_end_is_a_key_that_is_gone(sysfs):
    """Reading nothing means unplugged; the descriptor is closed again."""
    sysfs.plug()
    (key,) = sysfs.source().plugged()
    before = sorted(Path("/proc/self/fd").iterdir())

    with pytest.raises(OSError, match="gone"):
        key.open()

    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_access_may_come_a_moment_after_the_node(sysfs, caplog):
    """A new node is opened to us by udev a little later: it is asked again, and warned of once."""
    source = sysfs.source()
    sysfs.plug()
    node = sysfs.dev / "hidraw0"
    node.unlink()
    with caplog.at_level(logging.WARNING):
        assert source.plugged() == source.plugged() == []
    assert len([record for record in caplog.records if "may not open" in record.message]) == 1
    node.symlink_to("/dev/null")

    assert len(source.plugged()) == 1


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_any_descriptor_is_a_key_or_none(tmp_path_factory, descriptor, uevent):
    """Whatever a device says about itself, looking at it never raises."""
    sysfs = Sysfs(tmp_path_factory.mktemp("sysfs"))
    sysfs.plug(descriptor=FIDO[:12] + descriptor)
    (sysfs.devices / "0003:1050:0407.0005" / "uevent").write_bytes(uevent)

    for key in sysfs.source().plugged():
        assert 8 <= key.descriptor.report_size_out <= 1024
