"""Attacks by way of the terminal and the environment in which somebody is asked."""

import json
import os
import select
import subprocess
import sys
import termios
from dataclasses import replace

import pytest
from pam_support import ALLOW, PATIENCE, QUESTION, FakeDaemon, Host, build
from sudo_support import Terminal

CTRL_C = b"\x03"
HALF_A_PIN = b"4711"
SHELL = """sh -c 'trap : INT; sudo -k /usr/bin/id -u; status=$?; trap "" INT; exec 3>{fifo}
echo $status >&3; read -r line; echo $line >&3'"""
"""Not on the terminal: with a Ctrl-C the kernel throws away what stands there to be read."""


@pytest.fixture
def open_host(short_path):
    """Make a directory that the mount and an unprivileged sudo can reach."""
    return Host(short_path, build())


def hear(fd):
    ready, _, _ = select.select([fd], [], [], PATIENCE)
    return os.read(fd, 100) if ready else b""


@pytest.mark.parametrize("end", ["ctrl-c", "timeout"])
def test_attack_010_half_a_pin_reaches_no_shell(open_host, end):
    """Sudo asks in our name: what was typed is not shown, and the shell after it reads none of it.

    `passwd_timeout` is in minutes.
    """

    def ask_for_a_pin(connection):
        connection.read_request()
        connection.send(QUESTION)
        connection.wait_for_end()

    fifo = open_host.directory / "said"
    os.mkfifo(fifo)
    fifo.chmod(0o622)
    said = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with FakeDaemon(ask_for_a_pin) as daemon:
        options = [f"socket={daemon.path}", f"timeout={int(PATIENCE)}"]
        limit = "0.1" if end == "timeout" else "5"
        defaults = f"passwd_tries=1, passwd_timeout={limit}"
        terminal = Terminal(open_host, SHELL.format(fifo=fifo), *options, defaults=defaults)
        shown = b""
        while b"PIN: " not in shown:
            shown += os.read(terminal.fd, 4096)
        terminal.press(HALF_A_PIN)
        # Sudo does not see the one that comes just before it reads.
        while end == "ctrl-c" and not select.select([said], [], [], 1)[0]:
            terminal.press(HALF_A_PIN + CTRL_C)
        assert hear(said) not in (b"", b"0\n")
        assert termios.tcgetattr(terminal.fd)[3] & termios.ECHO
        terminal.press(b"end\n")
        assert hear(said) == b"end\n"
        _, lines = terminal.finish()

    os.close(said)
    assert HALF_A_PIN not in shown + "".join(lines).encode()


FORGED = {
    "XDG_SESSION_ID": "1",
    "XDG_SEAT": "seat0",
    "XDG_VTNR": "1",
    "XDG_SESSION_TYPE": "tty",
    "XRDP_SESSION": "",
    "SSH_CONNECTION": "127.0.0.1 1 127.0.0.1 22",
    "SSH_CLIENT": "",
    "SSH_TTY": "/dev/tty1",
    "TMUX": "/tmp/tmux-0/default,1,0;$(id)",  # noqa: S108 - what an attacker would write
    "STY": "`id`",
    "DISPLAY": ":0",
    "WAYLAND_DISPLAY": "wayland-0",
    "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent",
    "DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent",
    "SUDO_USER": "root",
    "LOGNAME": "root",
    "TERM": "x" * 100_000,
}


def test_attack_032_no_variable_reaches_the_request(open_host):
    """Session, seat and place, forged and huge: the module says the same as without."""
    received = []

    def script(connection):
        # Each run has a leader of its own.
        received.append(replace(connection.read_request(), leader=0, leader_start=0))
        connection.send(ALLOW)

    with FakeDaemon(script) as daemon:
        open_host.write_service(open_host.line(f"socket={daemon.path}"))
        for extra in ({}, FORGED):
            open_host.run_harness(extra=extra)

    assert received[0] == received[1]


ASK = """
import json, sys
from stepupd.client import Client
with Client(sys.argv[1]) as daemon:
    print(json.dumps(daemon.call("StepUp", {"action": "cli:verify"})))
"""


def ask(machine, extra, *, is_elsewhere):
    """Ask from a process with these variables, perhaps in a session of its own."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, machine.runtime / "stepupd.sock"],
        env=machine.environment | extra,
        start_new_session=is_elsewhere,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE,
    )
    return json.loads(done.stdout)["reason"], machine.read_entries()[-1]["request"]


def test_attack_032_a_session_is_what_the_kernel_says(running):
    """Variables of a session with a grant give none to another, and take none from its own."""
    running.key().script(touch_after_ms=0)
    own = {name: value for name, value in os.environ.items() if name.startswith(("XDG_", "SSH_"))}
    first = ask(running, {}, is_elsewhere=False)
    forged = ask(running, FORGED, is_elsewhere=False)
    borrowed = ask(running, own | FORGED, is_elsewhere=True)

    assert [reason for reason, _ in (first, forged, borrowed)] == ["proved", "grant", "proved"]
    assert forged[1]["session"] == first[1]["session"]
    assert borrowed[1]["session"] != first[1]["session"]
    assert not any("seat0" in json.dumps(entry) for entry in running.read_entries())
