"""The control socket: the hand of the key for other processes."""

import json
import socket
from pathlib import Path

import pytest
from fido2.ctap2 import Ctap2
from simulated_support import PATIENCE, elsewhere, make_key

from stepupd.core.errors import ConfigError, RequestError
from stepupd.devices.simulated import Control, ControlServer, SimulatedDevice


@pytest.fixture
def keys():
    return [make_key(touch_after_ms=None), make_key(seed=b"other", touch_after_ms=None)]


@pytest.fixture
def server(tmp_path, keys):
    server = ControlServer(tmp_path, keys)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def control(server):
    return Control(server.path)


def talk(path, data):
    """Send raw bytes; return the lines that come back."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as lines:
            return [json.loads(line) for line in lines]


def test_a_touch_from_another_program_counts_while_the_key_blinks(keys, control):
    ctap = Ctap2(SimulatedDevice(keys[0]))
    assert not control.touch()

    with elsewhere(ctap.selection) as done:
        assert control.wait_for_blink(PATIENCE)
        assert control.state()["waiting"] is True
        assert control.state()["command"] == "selection"
        assert control.touch()
        done.result(PATIENCE)

    assert control.wait_for_idle(PATIENCE)
    assert control.state()["blinks"] == 1


def test_a_refusal_counts_too(keys, control):
    ctap = Ctap2(SimulatedDevice(keys[0]))

    with elsewhere(ctap.selection) as done:
        assert control.wait_for_blink(PATIENCE)
        assert control.deny()
        assert done.exception(PATIENCE) is not None


def test_waiting_for_a_blink_ends(control):
    assert not control.wait_for_blink(0)


def test_the_key_comes_and_goes(control):
    control.unplug()
    assert control.state()["plugged"] is False
    control.plug()
    assert control.state()["plugged"] is True


def test_the_script_is_changed_and_told(keys, control):
    told = control.script(fault="silent", touch_after_ms=5)

    assert told["fault"] == "silent"
    assert keys[0].script.touch_after_ms == 5
    assert control.script() == told


def test_a_pin_is_set(control):
    control.set_pin("1234")

    assert control.state()["pin_set"] is True
    with pytest.raises(RequestError, match="PIN_POLICY"):
        control.set_pin("1")


def test_several_keys_are_told_apart(keys, server):
    Control(server.path, key=1).unplug()

    assert [key.describe()["plugged"] for key in keys] == [True, False]


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"nonsense",
        b"\xff",
        b'{"do": "explode"}',
        b'{"do": ["touch"]}',
        b'{"do": "touch", "key": 2}',
        b'{"do": "touch", "key": -1}',
        b'{"do": "touch", "key": true}',
        b'{"do": "wait"}',
        b'{"do": "wait", "for": "blink", "timeout": "5"}',
        b'{"do": "script", "set": {"lie": "white"}}',
        b'{"do": "script", "set": []}',
        b'{"do": "set_pin", "pin": 1234}',
        b"[" * 60_000,
    ],
)
def test_a_bad_request_is_answered_and_the_next_one_served(server, line):
    replies = talk(server.path, line + b'\n{"do": "state"}\n')

    assert [*replies[0]] == ["error"]
    assert replies[1]["plugged"] is True


def test_a_line_without_end_is_refused(server):
    [reply] = talk(server.path, b" " * 65_537)

    assert "64 KiB" in reply["error"]


def test_no_secret_is_told(keys, server):
    keys[0].set_pin("1234")

    [reply] = talk(server.path, b'{"do": "state"}\n')

    assert "1234" not in json.dumps(reply)
    assert "pin_hash" not in reply


def test_the_socket_is_for_its_owner_alone(server):
    assert server.path.stat().st_mode & 0o777 == 0o600


def test_the_socket_goes_with_the_server(tmp_path, keys):
    server = ControlServer(tmp_path, keys)
    server.start()
    server.stop()

    assert not server.path.exists()


def test_the_production_directory_is_refused(keys):
    """The simulated key never stands beside the daemon's own sockets."""
    for directory in ("/run/stepupd", "/run/stepupd/sub", "/run/x/../stepupd"):
        with pytest.raises(ConfigError, match="/run/stepupd"):
            ControlServer(Path(directory), keys).start()


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path, keys):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "key.sock"))
    server = ControlServer(tmp_path, keys)
    server.start()

    with pytest.raises(ConfigError, match="another process"):
        ControlServer(tmp_path, keys).start()
    server.stop()


@pytest.mark.parametrize("is_link", [False, True])
def test_a_file_in_the_way_is_left_alone(tmp_path, keys, is_link):
    path = tmp_path / "key.sock"
    if is_link:
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path.write_text("mine")

    with pytest.raises(ConfigError, match="not a socket"):
        ControlServer(tmp_path, keys).start()

    assert path.is_symlink() is is_link
