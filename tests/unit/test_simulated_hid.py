"""CTAPHID below the packet seam: CTAP 2.1, section 11.2."""

import struct

import pytest
from fido2.ctap import STATUS
from fido2.ctap2 import Ctap2
from fido2.hid import CTAPHID
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_support import PATIENCE, make_key, make_raw, open_hid

from stepupd.devices.simulated import HidPort
from stepupd.devices.simulated.hid_frame import (
    BROADCAST,
    Assembly,
    count_packets,
    read_packet,
    write_packets,
)

GET_INFO, SELECTION = b"\x04", b"\x0b"
NONCE = b"12345678"
INVALID_COMMAND, INVALID_LENGTH, INVALID_SEQ = 0x01, 0x03, 0x04
TIMEOUT, BUSY, INVALID_CHANNEL = 0x05, 0x06, 0x0B


class Host:
    """A program that speaks packets, and skips those for other channels."""

    def __init__(self, port):
        self.connection = port.open()
        self.channel = BROADCAST
        reply = self.ask(CTAPHID.INIT, NONCE)
        assert reply[:8] == NONCE
        (self.channel,) = struct.unpack(">I", reply[8:12])
        self.info = reply[12:]

    def send(self, command, payload=b"", channel=None):
        for packet in write_packets(self.channel if channel is None else channel, command, payload):
            self.connection.write_packet(packet)

    def receive(self, channel=None):
        """Read a message; return its command and payload."""
        channel = self.channel if channel is None else channel
        message = None
        while message is None or not message.is_complete:
            packet = read_packet(self.connection.read_packet(PATIENCE))
            if packet.channel != channel:
                continue
            if message is None:
                message = Assembly(packet, 0)
            else:
                assert message.add(packet)
        return message.command, message.payload

    def ask(self, command, payload=b""):
        self.send(command, payload)
        answered, reply = self.receive()
        assert answered == command, reply
        return reply

    def refusal(self, channel=None):
        command, payload = self.receive(channel)
        assert command == CTAPHID.ERROR
        return payload[0]


@pytest.fixture
def key():
    return make_key()


@pytest.fixture
def port(key):
    return HidPort(key)


@pytest.fixture
def host(port):
    return Host(port)


def test_init_gives_every_program_its_own_channel(port):
    first, second = Host(port), Host(port)

    assert first.channel != second.channel
    assert first.info == b"\x02\x01\x00\x00\x0d"


@pytest.mark.parametrize("length", [0, 1, 57, 58, 116, 117, 1000, 7609])
def test_ping_comes_back_whole(host, length):
    payload = bytes(index % 251 for index in range(length))

    assert host.ask(CTAPHID.PING, payload) == payload
    assert count_packets(length) == len([*write_packets(1, 1, payload)])


def test_wink_is_seen(key):
    open_hid(key).wink()

    assert key.describe()["winks"] == 1


@pytest.mark.parametrize("command", [CTAPHID.MSG, CTAPHID.LOCK, 0x40])
def test_other_commands_are_refused(host, command):
    host.send(command, b"x")

    assert host.refusal() == INVALID_COMMAND


def test_an_empty_cbor_command_is_refused(host):
    host.send(CTAPHID.CBOR)

    assert host.refusal() == INVALID_LENGTH


@pytest.mark.parametrize("channel", [0, 999, BROADCAST])
def test_a_channel_nobody_was_given_is_refused(host, channel):
    host.send(CTAPHID.PING, b"x", channel)

    assert host.refusal(channel) == INVALID_CHANNEL


def test_a_message_too_long_is_refused(host):
    packet = struct.pack(">IBH", host.channel, 0x80 | CTAPHID.PING, 7610)
    host.connection.write_packet(packet)

    assert host.refusal() == INVALID_LENGTH


def test_init_of_another_length_is_refused(host):
    host.send(CTAPHID.INIT, b"short", BROADCAST)

    assert host.refusal(BROADCAST) == INVALID_LENGTH


def test_packets_out_of_order_are_refused(host):
    first, _, third = write_packets(host.channel, CTAPHID.PING, bytes(150))
    host.connection.write_packet(first)
    host.connection.write_packet(third)

    assert host.refusal() == INVALID_SEQ
    assert host.ask(CTAPHID.PING, b"again") == b"again"


def test_a_message_that_begins_anew_is_refused(host):
    first, *_ = write_packets(host.channel, CTAPHID.PING, bytes(150))
    host.connection.write_packet(first)
    host.connection.write_packet(first)

    assert host.refusal() == INVALID_SEQ


def test_a_message_that_stops_halfway_times_out(host):
    first, *_ = write_packets(host.channel, CTAPHID.PING, bytes(150))
    host.connection.write_packet(first)

    assert host.refusal() == TIMEOUT


def test_a_continuation_of_nothing_is_ignored(host):
    _, second = write_packets(host.channel, CTAPHID.PING, bytes(60))
    host.connection.write_packet(second)

    assert host.ask(CTAPHID.PING, b"next") == b"next"


def test_half_a_message_keeps_the_other_channel_out(port):
    first, second = Host(port), Host(port)
    start, rest = write_packets(first.channel, CTAPHID.PING, bytes(60))
    first.connection.write_packet(start)
    second.send(CTAPHID.PING, b"x")

    assert second.refusal() == BUSY
    first.connection.write_packet(rest)
    assert first.receive() == (CTAPHID.PING, bytes(60))


def test_two_channels_at_once_are_one_too_many(key, port):
    key.change_script(touch_after_ms=None)
    first, second = Host(port), Host(port)
    first.send(CTAPHID.CBOR, SELECTION)
    assert key.wait_for_blink(PATIENCE)

    second.send(CTAPHID.CBOR, GET_INFO)
    assert second.refusal() == BUSY
    second.send(CTAPHID.CANCEL)
    assert first.receive() == (CTAPHID.KEEPALIVE, bytes([STATUS.UPNEEDED]))
    key.touch()

    assert key.wait_for_idle(PATIENCE)
    assert last_of(first) == (CTAPHID.CBOR, b"\0")
    assert second.ask(CTAPHID.CBOR, GET_INFO)[0] == 0


def last_of(host):
    """Skip keepalives."""
    while (message := host.receive())[0] == CTAPHID.KEEPALIVE:
        pass
    return message


def test_a_busy_key_still_gives_channels(key, port, host):
    key.change_script(touch_after_ms=None)
    host.send(CTAPHID.CBOR, SELECTION)
    assert key.wait_for_blink(PATIENCE)

    assert Host(port).channel != host.channel
    host.send(CTAPHID.CANCEL)
    assert last_of(host) == (CTAPHID.CBOR, b"\x2d")


def test_keepalives_come_again_and_again_while_waiting(key, host):
    key.change_script(touch_after_ms=None)
    host.send(CTAPHID.CBOR, SELECTION)

    seen = [host.receive() for _ in range(3)]

    assert seen == 3 * [(CTAPHID.KEEPALIVE, bytes([STATUS.UPNEEDED]))]
    key.touch()


def test_init_on_a_channel_aborts_its_command(key, host):
    """The reply of the aborted command never comes."""
    key.change_script(touch_after_ms=None)
    host.send(CTAPHID.CBOR, SELECTION)
    assert key.wait_for_blink(PATIENCE)

    host.send(CTAPHID.INIT, NONCE)
    command, reply = last_of(host)

    assert (command, reply[:8]) == (CTAPHID.INIT, NONCE)
    assert struct.unpack(">I", reply[8:12]) == (host.channel,)
    assert key.wait_for_idle(PATIENCE)
    assert host.ask(CTAPHID.CBOR, GET_INFO)[0] == 0


def test_the_reply_of_an_aborted_command_is_never_sent(key, host):
    key.change_script(packet_delay_ms=50, on_command="getInfo")
    host.send(CTAPHID.CBOR, GET_INFO)
    host.send(CTAPHID.INIT, NONCE)

    assert host.receive()[0] == CTAPHID.INIT
    with pytest.raises(TimeoutError):
        host.connection.read_packet(0.3)


def test_cancel_without_a_command_is_ignored(host):
    host.send(CTAPHID.CANCEL)

    assert host.ask(CTAPHID.PING, b"x") == b"x"


def test_channels_are_gone_after_a_power_cycle(key, port, host):
    key.unplug()
    key.plug()
    fresh = port.open()

    for packet in write_packets(host.channel, CTAPHID.PING, b"x"):
        fresh.write_packet(packet)

    assert read_packet(fresh.read_packet(PATIENCE)).data[0] == INVALID_CHANNEL


def test_every_opener_sees_every_packet(port):
    first, second = Host(port), Host(port)

    second.ask(CTAPHID.PING, b"mine")

    packets = [read_packet(first.connection.read_packet(PATIENCE)) for _ in range(2)]
    assert [packet.channel for packet in packets] == [BROADCAST, second.channel]


def test_nothing_to_read_times_out(host):
    with pytest.raises(TimeoutError):
        host.connection.read_packet(0.01)


@pytest.mark.parametrize(
    ("fault", "command"), [("busy", CTAPHID.ERROR), ("garbage", CTAPHID.INIT), ("silent", None)]
)
def test_init_itself_can_fail(key, port, fault, command):
    key.change_script(fault=fault, on_command="init")
    connection = port.open()
    for packet in write_packets(BROADCAST, CTAPHID.INIT, NONCE):
        connection.write_packet(packet)

    if command is None:
        with pytest.raises(TimeoutError):
            connection.read_packet(0.05)
    else:
        packet = read_packet(connection.read_packet(PATIENCE))
        assert packet.command == command
        assert packet.data[:8] != NONCE


def test_a_long_reply_crosses_packets(key):
    """Attestation with a certificate takes a dozen packets each way."""
    assert len(make_raw(open_hid(key)).att_stmt["x5c"][0]) > 400


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=70), max_size=8))
def test_no_packets_stop_the_link(packets):
    """Whatever was written before, an honest program gets its answer."""
    key = make_key()
    port = HidPort(key)
    noise = port.open()
    for packet in packets:
        noise.write_packet(packet)

    first = Host(port)
    first.send(CTAPHID.INIT, NONCE)

    assert last_of(first)[0] == CTAPHID.INIT
    noise.close()


def test_the_stock_device_reads_the_descriptor(key):
    device = open_hid(key)

    assert device.product_name == "simulated key"
    assert device.serial_number == key.serial
    assert device.ping(b"hello") == b"hello"
    assert Ctap2(device).info.transports == ["usb"]
