"""Attacks on the PAM module by way of the daemon, its socket, the service file, the environment."""

import signal
import subprocess
import sys

import pytest
from pam_support import (
    ALLOW,
    AUTH_ERR,
    AUTHINFO_UNAVAIL,
    DENY,
    IGNORE,
    PATIENCE,
    SUCCESS,
    FakeDaemon,
    ask_then,
    read_code,
    reply,
)

from stepupd.api.relay_frames import (
    VerdictCode,
    encode_verdict,
)


def run_faults(host, script):
    """Fail each call of ten functions in turn, in four stacks: rows of strings."""
    with FakeDaemon(script) as daemon:
        host.write_stacks(daemon.path)
        process = host.start_harness(
            mode="faults",
            putenv="SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA\n",
            extra={"LD_PRELOAD": str(host.build / "test" / "shim.so")},
        )
        output, errors = process.communicate(timeout=110)
    assert (process.returncode, errors) == (0, "")
    rows = [line.split() for line in output.splitlines()]
    assert len(rows) == 10 * 4 * 60
    return [(row[0], int(row[1]), row[2], row[3] == "1", int(row[4])) for row in rows]


def test_attack_001_no_fault_makes_a_denial_a_success(host):
    """The n-th call of anything fails while the daemon denies: no stack succeeds, none crashes."""
    rows = run_faults(host, ask_then(DENY))

    assert {result for *_, result in rows if result in (SUCCESS, IGNORE) or result < 0} == set()
    assert {name for name, _, _, is_hit, _ in rows if is_hit} >= {
        "malloc", "socket", "connect", "getsockopt", "poll", "send", "recv", "lstat",
    }  # fmt: skip


def test_attack_001_a_check_that_failed_is_not_a_check_passed(host):
    """While the daemon allows, a fault in any of these still refuses: none is optional."""
    rows = run_faults(host, ask_then(ALLOW))

    needed = {"socket", "connect", "getsockopt", "lstat", "poll", "send", "recv", "clock_gettime"}
    hit = [(name, result) for name, _, _, is_hit, result in rows if is_hit and name in needed]
    assert {name for name, _ in hit} == needed
    assert [row for row in hit if row[1] in (SUCCESS, IGNORE) or row[1] < 0] == []
    assert [row for row in rows if not row[3] and row[4] != SUCCESS] == []


def test_attack_001_ignore_is_no_answer_to_a_request():
    """Nobody can return by accident what is not written: it is only where credentials are set."""
    before, setcred = read_code().split("int pam_sm_setcred(")

    assert "PAM_IGNORE" not in before
    assert setcred.count("PAM_IGNORE") == 1


def test_attack_002_no_enrolment_is_no_success(host):
    """The verdict for "nothing to prove with" fails in each of the usual stacks."""
    unavailable = encode_verdict(VerdictCode.UNAVAILABLE, "not-enrolled")
    with FakeDaemon(reply(unavailable)) as daemon:
        services = host.write_stacks(daemon.path)
        results = [host.run_harness(service=service).code for service in services]

    assert SUCCESS not in results
    assert IGNORE not in results


@pytest.mark.parametrize("how", ["killed", "removed", "not-a-socket", "no-directory"])
def test_attack_003_an_unreachable_daemon_never_lets_anyone_in(host, how):
    """Dead, removed, replaced by a file: failure at once, a message, in every stack."""
    with FakeDaemon(reply(ALLOW)) as daemon:
        path = daemon.path
        if how == "removed":
            path.unlink()
        if how == "not-a-socket":
            path.unlink()
            path.touch()
        if how in ("removed", "not-a-socket"):
            check_all_stacks_refuse(host, path)
    if how == "killed":
        check_all_stacks_refuse(host, left_behind_socket(host))
    if how == "no-directory":
        check_all_stacks_refuse(host, path)


def left_behind_socket(host):
    """Return a socket file whose listener is gone, as after kill -9."""
    path = host.directory / "left"
    program = (
        "import os, signal, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
        "s.listen(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert killed.returncode == -signal.SIGKILL
    return path


def check_all_stacks_refuse(host, path):
    for service in host.write_stacks(path):
        result = host.run_harness(service=service)
        assert result.code not in (SUCCESS, IGNORE)
        assert (3, "Step-up authentication is not available.") in result.messages
        assert result.seconds < PATIENCE


def test_attack_003_a_stopped_daemon_is_given_up_at_the_deadline(host):
    """The kernel accepts for a daemon that is stopped: `timeout` ends the wait."""
    path = host.directory / "stopped"
    program = (
        "import signal, socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]);"
        "s.listen(); print(flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        daemon.send_signal(signal.SIGSTOP)
        host.write_service(host.line(f"socket={path}", "timeout=1"))
        result = host.run_harness()
        daemon.kill()

    assert result.code == AUTHINFO_UNAVAIL
    assert result.seconds < PATIENCE


@pytest.mark.parametrize(
    "option",
    [
        "nouserok", "alwaysok", "Debug", "debug=1", "socket", "socket=", "timeout=", "timeout=0",
        "timeout=301", "timeout=-1", "timeout=1s", "timeout=+5", "timeout=0x10",
        "timeout=4294967301", "socket=pam.sock", "socket=/" + "x" * 200, "tiemout=5", "%n%s",
    ],
)  # fmt: skip
def test_attack_004_a_line_that_means_nothing_refuses(host, option):
    """A misspelt option is a refusal in words, not a default."""
    with FakeDaemon(reply(ALLOW)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", option))
        result = host.run_harness()

    assert result.code == AUTHINFO_UNAVAIL
    assert result.messages == [(3, "Step-up authentication is not available.")]
    assert not daemon.seen


@pytest.mark.parametrize(
    "bad",
    [{"peer": 65534}, {"peer": 1}, {"socket_owner": 1}, {"directory_owner": 1}, {"mode": 0o777}],
    ids=str,
)
def test_attack_007_a_false_daemon_is_not_believed(host, bad):
    """An impostor says "allow": wrong uid, wrong owner, open directory; it never gets a request."""
    with FakeDaemon(reply(ALLOW), **bad) as daemon:
        services = host.write_stacks(daemon.path)
        results = [host.run_harness(service=service).code for service in services]

    assert SUCCESS not in results
    assert IGNORE not in results
    assert all(not connection.received for connection in daemon.seen)


def test_attack_017_debug_opens_no_file(host):
    """`debug` writes to syslog only: no path can be given, followed or blocked on."""
    with FakeDaemon(reply(DENY)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", "debug=/dev/full"))
        refused = host.run_harness()
        host.write_service(host.line(f"socket={daemon.path}", "debug"))
        denied = host.run_harness(user="%n%s%n")

    assert refused.code == AUTHINFO_UNAVAIL
    assert denied.code == AUTH_ERR


def test_attack_130_the_environment_changes_nothing(host):
    """HOME and XDG point at an attacker's socket that allows; the real one denies."""
    with FakeDaemon(reply(ALLOW)) as false, FakeDaemon(reply(DENY)) as real:
        host.write_service(host.line(f"socket={real.path}"))
        here = str(false.path.parent)
        names = ["HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "TMPDIR"]
        extra = dict.fromkeys(names, here) | {"STEPUPD_SOCKET": str(false.path)}
        result = host.run_harness(extra=extra)

    assert result.code == AUTH_ERR
    assert not false.seen
