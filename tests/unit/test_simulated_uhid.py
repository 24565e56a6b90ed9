"""The key's side of /dev/uhid, against a stand-in for the kernel: events of linux/uhid.h."""

import socket
import struct
from errno import EIO
from threading import Thread

import pytest
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.hid import CTAPHID, CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor, parse_report_descriptor
from simulated_support import PATIENCE, make_key

from stepupd.devices.simulated.uhid import UhidPort

DESTROY, OUTPUT, GET_REPORT, GET_REPLY = 1, 6, 9, 10
CREATE2, INPUT2, SET_REPORT, SET_REPLY = 11, 12, 13, 14


class Kernel(CtapHidConnection):
    """The other end of the descriptor, and a program that has the node open."""

    def __init__(self, end):
        self.end = end

    def next_event(self):
        event = self.end.recv(8192)
        return struct.unpack_from("=I", event)[0], event[4:]

    def send(self, kind, payload):
        self.end.send(struct.pack("=I", kind) + payload)

    def write_packet(self, data):
        report = b"\0" + data
        self.send(OUTPUT, struct.pack("=4096sHB", report, len(report), 1))

    def read_packet(self):
        kind, payload = self.next_event()
        assert kind == INPUT2
        (size,) = struct.unpack_from("=H", payload)
        assert len(payload) == 2 + size
        return payload[2:]

    def close(self):
        self.end.close()


@pytest.fixture
def key():
    return make_key()


@pytest.fixture
def kernel(key):
    """Start a port on one end of a socket that keeps events apart, as the device does."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.settimeout(PATIENCE)
    serving = Thread(target=UhidPort(key, ours.fileno()).serve)
    serving.start()
    yield Kernel(theirs)
    theirs.close()
    serving.join(PATIENCE)
    assert not serving.is_alive()
    ours.close()


def open_device(kernel):
    assert kernel.next_event()[0] == CREATE2
    return CtapHidDevice(HidDescriptor("uhid", 0, 0, 64, 64, "key", None), kernel)


def test_it_announces_a_usb_key_with_fido_reports(key, kernel):
    """UHID_CREATE2: name, serial number, USB, and the report descriptor of CTAP 2.1, 11.2.8.2."""
    kind, payload = kernel.next_event()
    name, _, serial, size, bus = struct.unpack_from("=128s64s64sHH", payload)

    assert kind == CREATE2
    assert len(payload) == 128 + 64 + 64 + 2 + 2 + 4 * 4 + 4096
    assert name.rstrip(b"\0").decode() == key.name
    assert serial.rstrip(b"\0").decode() == key.serial
    assert bus == 3
    assert parse_report_descriptor(payload[276 : 276 + size]) == (64, 64)


def test_a_client_talks_to_it_through_events(kernel):
    """INIT, a ping of several packets, and getInfo, by python-fido2."""
    device = open_device(kernel)

    assert device.ping(b"x" * 500) == b"x" * 500
    assert "FIDO_2_1" in Ctap2(device).info.versions


def test_unplugging_destroys_the_device_and_plugging_creates_another(key, kernel):
    """What udev sees of a hand that pulls the key out and puts it in."""
    assert kernel.next_event()[0] == CREATE2
    key.unplug()
    assert kernel.next_event()[0] == DESTROY
    key.plug()
    assert kernel.next_event()[0] == CREATE2


@pytest.mark.parametrize(("asked", "answered"), [(GET_REPORT, GET_REPLY), (SET_REPORT, SET_REPLY)])
def test_other_reports_are_refused_at_once(kernel, asked, answered):
    """A key has no feature reports; without an answer the kernel would wait five seconds."""
    assert kernel.next_event()[0] == CREATE2
    kernel.send(asked, struct.pack("=IBB", 77, 0, 0))
    kind, payload = kernel.next_event()

    assert kind == answered
    assert struct.unpack_from("=IH", payload) == (77, EIO)


def test_a_message_that_stops_halfway_is_given_up(kernel):
    """Nobody else writes anything, and yet the key is free again after its half second."""
    device = open_device(kernel)
    channel = device._channel_id
    head = struct.pack(">IBH", channel, 0x80 | CTAPHID.PING, 500)
    kernel.write_packet(head.ljust(64, b"x"))
    answer = kernel.read_packet()

    assert struct.unpack_from(">IBHB", answer) == (channel, 0xBF, 1, CtapError.ERR.TIMEOUT)
