"""The command against a daemon that lies, mumbles or dies: a typed error, and never success."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cli_support as support
import pytest
from cli_support import (
    GRANTED,
    KEY,
    STATUS,
    Invoke,
    encode,
    listening,
    make_invoke,
    run_stepup,
    verdict,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stepup.exits import ExitCode
from stepupd.client import Client


@pytest.fixture
def invoke(monkeypatch, capsys) -> Invoke:
    return make_invoke(monkeypatch, capsys)


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "-v"]])
@pytest.mark.parametrize("has_prompt", [False, True])
def test_an_answer_may_come_in_any_pieces(invoke, arguments, has_prompt):
    """Byte by byte it means the same as in one piece."""

    def ceremony(talk):
        if has_prompt:
            talk.show("Touch.")
        for byte in encode({"jsonrpc": "2.0", "id": 1, "result": GRANTED}):
            talk.send(bytes([byte]))
        return ...

    with listening(StepUp=ceremony) as daemon:
        code, _, err = invoke(daemon, *arguments)

    assert (code, err) == (0, "Touch.\n" if has_prompt else "")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allow"',
        b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allow","reason":"","text":""}}',
        b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allow"x}}\n',
        b' {"jsonrpc":"2.0","id":1,"result":{"verdict":"Allow","reason":"","text":""}}\n',
        b'{"jsonrpc":"2.0","id":2,"result":{"verdict":"allow","reason":"","text":""}}\n',
        b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allow\\u0000","reason":"","text":""}}\n',
    ],
)
def test_what_is_almost_an_allow_is_none(invoke, raw):
    """A line without an end, another id, another word: never 0."""
    with listening(StepUp=raw) as daemon:
        assert invoke(daemon, "verify", "--quiet")[0] != 0


IMPOSTOR = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(sys.argv[1])
    listener.listen()
    print("ready", flush=True)
    while True:
        try:
            listener.accept()[0].sendall(sys.argv[2].encode())
        except BrokenPipeError:
            pass  # it would not talk to us
"""


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "-v"], ["run", "true"], ["status"]])
def test_another_accounts_socket_is_not_believed(invoke, arguments):
    """Whoever may set our environment must not be able to say "allow"."""
    allow = encode({"jsonrpc": "2.0", "id": 1, "result": GRANTED}).decode()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o777)
        path = Path(directory) / "s"
        impostor = subprocess.Popen(
            [sys.executable, "-c", IMPOSTOR, path, allow], stdout=subprocess.PIPE
        )
        with impostor:
            assert impostor.stdout.readline() == b"ready\n"
            code, out, err = invoke(support.Daemon(path, {}), *arguments)
            impostor.terminate()

    assert (code, out) == (6, "")
    assert "belongs to uid 65534" in err


JUNK = st.one_of(
    st.binary(max_size=80),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*GRANTED, *KEY, "credentials", "grants", "revoked", "result"]),
                inner,
            )
        ),
    ).map(lambda value: b'{"jsonrpc":"2.0","id":1,"result":%s}\n' % json.dumps(value).encode()),
    st.sampled_from(
        [
            b"\n",
            b"null\n",
            b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allow"',
            b'{"jsonrpc":"2.0","id":1,"result":{"verdict":"allowed","reason":"","text":""}}\n',
            b'{"jsonrpc":"2.0","id":1,"error":{}}\n',
            b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"\\u001b[2J"}}\n',
            b'{"jsonrpc":"2.0","method":"Show","params":{"text":7}}\n',
            b'{"jsonrpc":"2.0","method":"Ask","id":"d1"}\n',
            b"[" * 60000 + b"\n",
            b'{"jsonrpc":"2.0","id":1,"result":{"revoked":1e400}}\n',
        ]
    ),
)


@pytest.mark.parametrize(
    "arguments",
    ["verify", "verify -v", "status", "enroll", "keys list", "grants", "revoke --all"],
)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(junk=JUNK)
def test_no_answer_breaks_the_command(invoke, arguments, junk):
    """Any bytes end in a status of the table, one error, and never in a traceback."""
    methods = ("StepUp", "Status", "ListCredentials", "ListGrants", "Revoke", "Enroll")
    with listening(dict.fromkeys(methods, junk)) as daemon:
        code, out, err = invoke(daemon, *arguments.split())

    is_success = junk.startswith(b'{"jsonrpc":"2.0","id":1,"result":') and junk.endswith(b"}\n")
    assert code in range(1, 11) or (code == 0 and is_success)
    assert "Traceback" not in err
    assert "\x1b" not in out + err


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "-v"], ["status"]])
def test_a_daemon_that_never_answers_cannot_be_reached(invoke, monkeypatch, arguments):
    """After the client's own patience, here a second of it; on the fast path too."""
    monkeypatch.setitem(Client.__init__.__kwdefaults__, "timeout", 1)
    with listening(StepUp=..., Status=...) as daemon:
        code, out, err = invoke(daemon, *arguments)

    assert (code, out) == (ExitCode.UNREACHABLE, "")
    assert "said nothing" in err
    assert "hint: Is it stopped?" in err


def test_a_reader_that_goes_away_changes_nothing():
    """A closed pipe on stdout is no failure of the request, and no traceback."""
    with listening(ListCredentials={"credentials": [KEY] * 2000}) as daemon:
        script = f'"{sys.executable}" -m stepup keys list | true; echo "${{PIPESTATUS[0]}}"'
        done = subprocess.run(
            ["bash", "-c", script],
            capture_output=True,
            text=True,
            check=False,
            env=support.make_environment(daemon.path),
        )

    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_full_disk_is_a_failure_that_is_said():
    """The result did not arrive, so the status is not 0."""
    with listening(Status=STATUS) as daemon, Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "stepup", "keys", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=support.make_environment(daemon.path),
        )

    assert done.returncode != 0
    assert "Traceback" not in done.stderr


def test_nothing_is_coloured_without_a_terminal():
    """No escapes in a log file, whatever TERM says."""
    with listening(StepUp=verdict("deny", "no-rule")) as daemon:
        done = run_stepup("verify", path=daemon.path, TERM="xterm-256color")

    assert done.returncode == 1
    assert "\x1b" not in done.stdout + done.stderr
