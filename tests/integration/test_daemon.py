"""The daemon as a process: how it starts, what it is handed, how it reloads and ends."""

import signal
import socket
import subprocess
import sys

import pytest

from stepupd.core.note import parse_vkey
from stepupd.store.audit_verify import verify_log
from stepupd.store.checkpoint_file import read_checkpoint

PATIENCE = 20
DENY_ALL = '[[rule]]\nname = "never"\naction = "*"\ndeny = true\n'


def run_daemon(machine, *options, **environment):
    """Run a daemon that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "stepupd", *options],
        env=machine.environment | environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def ask(machine):
    with machine.client() as client:
        return client.step_up("cli:verify")


def test_it_stops_when_told_to_and_says_both_in_the_log(running):
    running.stop()

    kinds = [entry["kind"] for entry in running.read_entries()]
    assert (kinds[0], kinds[-1]) == ("start", "stop")


def test_enrolments_survive_a_restart(running):
    running.stop()
    running.start()
    running.key().script(touch_after_ms=0)

    assert ask(running).is_allowed


def test_grants_survive_a_restart_within_the_same_boot(running):
    """The runtime directory remembers; a person is not asked twice because of an upgrade."""
    running.key().script(touch_after_ms=0)
    assert ask(running).reason == "proved"
    running.stop()
    running.start()

    assert ask(running).reason == "grant"


def test_a_good_reload_takes_effect(running):
    """SIGHUP: the new policy decides the next request, and the log has its digest."""
    running.write_policy(DENY_ALL)
    reload_and_wait(running)

    assert ask(running).reason == "rule-denies"


def test_a_bad_reload_keeps_the_good_policy(running):
    """Attack 107: a broken file changes nothing, and the log says which line is wrong."""
    running.write_policy('[[rule]]\nname = "x"\nacton = "*"\ndeny = true\n')
    entry = reload_and_wait(running)
    running.key().script(touch_after_ms=0)

    assert "policy.toml:3:1" in entry["error"]
    assert ask(running).is_allowed


def reload_and_wait(machine):
    """Send SIGHUP and return the log's entry about it; each call to the daemon lets it work."""
    machine.send_signal(signal.SIGHUP)
    for _ in range(1000):
        with machine.client() as client:
            client.call("Status")
        entries = [entry for entry in machine.read_entries() if entry["kind"] == "reload"]
        if entries:
            return entries[-1]
    pytest.fail("the daemon did not reload")


def test_it_serves_sockets_that_systemd_opened(machine, tmp_path):
    """Socket activation: both doors come in by name, and the daemon binds nothing itself."""
    doors = {name: tmp_path / name for name in ("pam", "rpc")}
    listeners = []
    for path in doors.values():
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listener.bind(str(path))
        listener.listen()
        listeners.append(listener)
    launcher = (
        "import os, sys; "
        f"os.dup2({listeners[0].fileno()}, 3); os.dup2({listeners[1].fileno()}, 4); "
        "os.environ['LISTEN_PID'] = str(os.getpid()); "
        "os.execv(sys.executable, [sys.executable, '-m', 'stepupd', '--user', '--simulate'])"
    )
    environment = {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "pam:rpc"}
    with subprocess.Popen(
        [sys.executable, "-c", launcher],
        env=machine.environment | environment,
        pass_fds=[listener.fileno() for listener in listeners],
        stderr=subprocess.PIPE,
    ) as process:
        for listener in listeners:
            listener.close()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE)
            client.connect(str(doors["rpc"]))
            client.sendall(b'{"jsonrpc":"2.0","id":1,"method":"Status","params":{}}\n')
            answer = client.recv(65536)
        process.terminate()
        process.communicate(timeout=PATIENCE)

    assert b'"mode":"user"' in answer
    assert not (machine.runtime / "stepupd.sock").exists()


def test_a_second_daemon_is_refused(running):
    """Two daemons never share a store, a log or a socket."""
    second = run_daemon(running, "--user")

    assert second.returncode == 1
    assert second.stderr.startswith("stepupd: error: ")
    assert "hint: " in second.stderr


def test_a_simulated_key_needs_user_mode(machine):
    """The system's daemon never takes software for a key."""
    refused = run_daemon(machine, "--simulate")

    assert refused.returncode == 1
    assert "needs --user" in refused.stderr


def test_check_says_where_the_configuration_is_wrong(machine):
    good = run_daemon(machine, "--user", "--check")
    machine.write_policy('[[rule]]\nname = "x"\naction = "*"\nrequire = "toch"\n')
    bad = run_daemon(machine, "--user", "--check")

    assert (good.returncode, good.stdout.endswith("good, 1 rules\n")) == (0, True)
    assert bad.returncode == 1
    assert "policy.toml:4:" in bad.stderr


def test_a_damaged_log_stops_the_daemon_until_it_is_set_aside(running):
    """Attack 122: loss of the tail is found at start; the file is kept, a new log begins."""
    running.stop()
    lines = running.log.read_bytes().splitlines(keepends=True)
    running.log.write_bytes(b"".join(lines[:-1]))

    refused = run_daemon(running, "--user", "--simulate")
    aside = run_daemon(running, "--user", "--set-aside-log")
    running.start()

    assert refused.returncode == 1
    assert "--set-aside-log" in refused.stderr
    assert aside.returncode == 0
    assert "kept as" in aside.stdout
    assert running.read_entries()[0]["seq"] == 0
    running.key().script(touch_after_ms=0)
    assert ask(running).reason == "proved"
    assert verify(running).is_intact  # the new log was told of the key


def verify(machine):
    state = machine.state
    vkey = (state / "audit.vkey").read_text()
    note = read_checkpoint(state / "audit.checkpoint", parse_vkey(vkey.strip()))
    return verify_log(machine.log, note, vkey)


def test_a_missing_store_is_a_loss_and_no_first_start(running):
    """Whoever deletes the store does not get a daemon for which nobody is enrolled."""
    running.stop()
    (running.state / "credentials.db").unlink()

    refused = run_daemon(running, "--user", "--simulate")

    assert refused.returncode == 1
    assert "missing" in refused.stderr


def test_an_unknown_option_is_usage(machine):
    assert run_daemon(machine, "--no-such-thing").returncode == 2


def test_the_watchdog_is_fed(machine):
    """With WATCHDOG_USEC the daemon keeps saying that its loop turns."""
    address = machine.base / "watchdog.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(PATIENCE)
        process = subprocess.Popen(
            [sys.executable, "-m", "stepupd", "--user", "--simulate"],
            env=machine.environment | {"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "100000"},
            stderr=subprocess.DEVNULL,
        )
        heard = [notify.recv(100) for _ in range(4)]
        process.terminate()
        process.wait(PATIENCE)

    assert heard.count(b"WATCHDOG=1") >= 2
    assert b"READY=1" in heard


def test_files_are_private(running):
    """Keys, store, log and grants are nobody else's to read; a public key is everybody's."""
    for path in running.state.rglob("*"):
        if path.is_file() and path.suffix != ".vkey":
            assert path.stat().st_mode & 0o027 == 0, path
    assert (running.runtime / "stepupd.sock").stat().st_mode & 0o777 == 0o600
