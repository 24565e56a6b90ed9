"""How pam_stepup.so finds, trusts and leaves the daemon."""

import signal
import socket
import threading

import pytest
from pam_support import (
    ALLOW,
    AUTH_ERR,
    AUTHINFO_UNAVAIL,
    PATIENCE,
    SUCCESS,
    FakeDaemon,
    Host,
    build,
    reply,
)

from stepupd.api.relay_frames import Kind, encode_text


@pytest.fixture(scope="session")
def built():
    return build()


@pytest.fixture
def host(tmp_path, built):
    return Host(tmp_path, built)


def test_a_dead_daemon_is_told_to_the_person_at_once(host):
    """Well before `timeout`, and in words."""
    with FakeDaemon(reply(ALLOW)) as daemon:
        path = daemon.path
    host.write_service(host.line(f"socket={path}", "timeout=60"))

    result = host.run_harness()

    assert result.code == AUTHINFO_UNAVAIL
    assert result.messages == [(3, "Step-up authentication is not available.")]
    assert result.seconds < PATIENCE


def test_a_silent_daemon_is_given_up_at_the_deadline(host):
    """The daemon accepts and never speaks: `timeout` ends it, and the connection with it."""
    ended = []

    def script(connection):
        connection.read_request()
        ended.append(connection.wait_for_end())

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", "timeout=1"))
        result = host.run_harness()

    assert result.code == AUTHINFO_UNAVAIL
    assert ended == [True]
    assert 0.9 < result.seconds < PATIENCE


def test_a_daemon_that_drips_is_given_up_at_the_deadline(host):
    """The deadline is for the whole ceremony: each byte does not start it anew."""
    ended = threading.Event()

    def script(connection):
        connection.read_request()
        while not ended.wait(0.05):
            connection.send(encode_text(Kind.INFO, "."))

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", "timeout=1"))
        result = host.run_harness()
        ended.set()

    assert result.code == AUTHINFO_UNAVAIL


def test_a_full_queue_is_not_waited_for_long(host, tmp_path_factory):
    """Nobody accepts and the queue is full: unavailable long before `timeout`."""
    path = tmp_path_factory.mktemp("q") / "s"
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        for client in clients:
            client.setblocking(False)
            client.connect_ex(str(path))
        host.write_service(host.line(f"socket={path}", "timeout=60"))
        result = host.run_harness()
        for client in clients:
            client.close()

    assert result.code == AUTHINFO_UNAVAIL
    assert result.seconds < PATIENCE


def wait_for_interrupt(host, start):
    """Interrupt the host program while the daemon waits for a touch."""
    asked, ended = threading.Event(), []

    def script(connection):
        connection.read_request()
        asked.set()
        ended.append(connection.wait_for_end())

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", "timeout=300"))
        process = start()
        assert asked.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
    return process, output, ended


def test_ctrl_c_closes_the_connection(host):
    """The process dies and the daemon sees the end: the ceremony is cancelled."""
    process, _, ended = wait_for_interrupt(host, host.start_pamtester)

    assert process.returncode == -signal.SIGINT
    assert ended == [True]


def test_ctrl_c_that_the_host_blocked_ends_the_wait(host):
    """Sudo blocks SIGINT while PAM runs: the module leaves it pending and returns."""
    _, output, ended = wait_for_interrupt(
        host, lambda: host.start_harness(steps="block-sigint authenticate")
    )

    assert ended == [True]
    assert output.splitlines()[-1] == f"authenticate {AUTH_ERR}"


@pytest.mark.parametrize(
    "bad",
    [
        {"socket_owner": 12345},
        {"directory_owner": 12345},
        {"mode": 0o777},
        {"mode": 0o775},
        {"peer": 12345},
        {"peer": 65534},
    ],
    ids=str,
)
def test_a_socket_that_others_control_is_refused(host, bad):
    """Another owner, a directory others may write, a peer of another uid: never asked."""
    with FakeDaemon(reply(ALLOW), **bad) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        result = host.run_harness()

    assert result.code == AUTHINFO_UNAVAIL
    assert all(not connection.received for connection in daemon.seen)


@pytest.mark.parametrize(("account", "code"), [("12345", SUCCESS), ("12346", AUTHINFO_UNAVAIL)])
def test_the_service_account_is_trusted_like_root(host, account, code):
    """The account `stepupd` may own directory and socket and may listen; no other may."""
    owners = {"socket_owner": 12345, "directory_owner": 12345}
    with FakeDaemon(reply(ALLOW), peer=12345, **owners) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        shim = {"LD_PRELOAD": str(host.build / "test" / "shim.so"), "SHIM_STEPUPD_UID": account}
        result = host.run_harness(extra=shim)

    assert result.code == code


def test_a_socket_behind_a_symbolic_link_is_refused(host, tmp_path):
    with FakeDaemon(reply(ALLOW)) as daemon:
        (tmp_path / "link").symlink_to(daemon.path)
        host.write_service(host.line(f"socket={tmp_path / 'link'}"))
        result = host.run_harness()

    assert result.code == AUTHINFO_UNAVAIL
