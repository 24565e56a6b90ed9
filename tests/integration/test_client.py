"""The synchronous client against the real door: answers, questions, and whom it trusts."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from doors_support import PATIENCE, open_doors, run_child

from stepupd.client import (
    SILENCE,
    CallRefused,
    Client,
    ClientError,
    DaemonUnreachable,
    StepUpAnswer,
    find_socket,
)
from stepupd.store.policy_file import DEADLINE

LONGEST_DEADLINE = DEADLINE[1]


async def use(path: Path, work):
    """Run blocking `work(client)` beside the daemon's loop."""

    def run():
        with Client(str(path), timeout=PATIENCE) as client:
            return work(client)

    return await asyncio.to_thread(run)


async def test_a_step_up_is_allowed():
    async with open_doors() as doors:
        answer = await use(doors.rpc_path, lambda client: client.step_up("test:allow"))
    assert answer
    assert (answer.verdict, answer.reason, answer.fields["entry"]) == ("allow", "grant", 5)


async def test_a_refusal_is_a_value_and_false():
    """Pins that "deny" is an answer, not an error, and that it reads as no."""
    async with open_doors() as doors:
        answer = await use(doors.rpc_path, lambda client: client.step_up("test:no-rule"))
    assert not answer
    assert (answer.verdict, answer.reason, answer.text) == ("deny", "no-rule", "Says why.")


async def test_texts_and_questions_reach_the_callbacks():
    """Pins `on_show` and `on_ask`, and that no callback means a refusal to answer."""
    shown, asked = [], []

    def answer(text, is_hidden):
        asked.append((text, is_hidden))
        return "1234"

    def work(client):
        first = client.step_up("test:ask", on_ask=answer)
        second = client.step_up("test:ask-visible", on_ask=answer)
        third = client.step_up("test:ask")
        client.call("Enroll", {"name": "x"}, on_show=lambda *told: shown.append(told))
        return first, second, third

    async with open_doors() as doors:
        first, second, third = await use(doors.rpc_path, work)
    assert (first.reason, second.reason, third.reason) == ("proved", "proved", "declined")
    assert asked == [("PIN: ", True), ("PIN: ", False)]
    assert shown == [("Touch the new key.", False)]


async def test_an_error_has_reason_and_hint_and_the_next_call_works():
    def work(client):
        with pytest.raises(CallRefused) as caught:
            client.step_up("test:request")
        with pytest.raises(CallRefused) as unknown:
            client.call("Nothing")
        return caught.value, unknown.value, client.call("Status")

    async with open_doors() as doors:
        refused, unknown, status = await use(doors.rpc_path, work)
    assert (refused.code, refused.reason, refused.hint) == (-32000, "not-found", "Look again.")
    assert unknown.code == -32601
    assert status["rp_id"] == "host.example"


async def test_a_callback_that_raises_cancels_the_ceremony():
    """Pins that Ctrl-C while a key blinks closes the connection."""

    def interrupt(_text, _is_error):
        raise KeyboardInterrupt

    def work(client):
        with pytest.raises(KeyboardInterrupt):
            client.step_up("test:wait", on_show=interrupt)
        return True

    async with open_doors() as doors:
        assert await use(doors.rpc_path, work)
        assert (await doors.service.ended.get()).value == "hang-up"


async def test_a_full_house_is_said_with_its_reason():
    """Pins that the refusal of a connection is heard, not just a broken pipe."""
    code = """
sys.path.insert(0, sys.argv[2])
from stepupd.client import Client, ClientError
become(1000)
held = [connect(sys.argv[1]) for _ in range(16)]
try:
    Client(sys.argv[1]).call("Status")
except ClientError as error:
    print(error.reason)
"""
    root = Path(__file__).parents[2]
    async with open_doors() as doors:
        assert (await run_child(code, doors.rpc_path, root)).strip() == "busy"


def test_nobody_there_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(DaemonUnreachable) as caught:
        Client(str(tmp_path / "none")).call("Status")
    assert caught.value.reason == "unreachable"
    assert caught.value.hint


SPEAKERS = {
    "silence": b"",
    "noise": b"\xff\xfe\n",
    "deep": b"[" * 100_000 + b"\n",
    "no object": b"7\n",
    "no result": b'{"id":1}\n',
    "result of another kind": b'{"id":1,"result":"allow"}\n',
    "error of another kind": b'{"id":1,"error":"x"}\n',
    "half": b'{"id":1,"result":{',
}


@pytest.mark.parametrize("name", SPEAKERS)
def test_whatever_answers_it_is_never_an_allow(tmp_path, name):
    """Pins that anything but a response is an error of the daemon's."""
    with pytest.raises(DaemonUnreachable):
        _talk_to(tmp_path / "s", SPEAKERS[name])


@pytest.mark.parametrize("verdict", ["", "ALLOW", "allow ", "true", "deny"])
def test_only_the_word_allow_allows(verdict):
    assert not StepUpAnswer({"verdict": verdict})
    assert not StepUpAnswer({})


@pytest.mark.parametrize("verdict", [True, 1, None, ["allow"], {"allow": 1}])
def test_a_verdict_of_another_type_is_an_error(verdict):
    with pytest.raises(ClientError):
        StepUpAnswer({"verdict": verdict})


def test_a_line_without_end_is_cut(tmp_path):
    """Pins the bound on what the client keeps."""
    with pytest.raises(DaemonUnreachable):
        _talk_to(tmp_path / "s", b"x" * 3_000_000)


def test_a_daemon_that_says_nothing_is_given_up(tmp_path):
    """Pins the error of a stopped daemon: it listens, and nobody ever answers."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        with pytest.raises(DaemonUnreachable, match="said nothing for 1 second") as caught:
            Client(str(tmp_path / "s"), timeout=0.5).step_up("test:allow")
    assert caught.value.reason == "unreachable"
    assert caught.value.hint


def test_a_script_does_not_wait_for_ever_unless_it_says_so():
    """Pins the default: longer than the longest deadline that a rule can have."""
    assert Client("s")._timeout == SILENCE > LONGEST_DEADLINE
    assert Client("s", timeout=None)._timeout is None


def _talk_to(path: Path, raw: bytes) -> None:
    def speak():
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(raw)
            except OSError:
                return

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        speaker = Thread(target=speak)
        speaker.start()
        try:
            Client(str(path), timeout=PATIENCE).step_up("test:allow")
        finally:
            speaker.join()


async def test_a_strangers_socket_is_not_spoken_to():
    """Pins who may listen: uid 1001's socket gets not a byte from root or from uid 1000."""
    code = """
sys.path.insert(0, sys.argv[1])
from stepupd.client import Client, ClientError
path = "\\0stepupd-stranger-%d" % os.getpid()
ready, go = os.pipe()
if os.fork() == 0:
    become(1001)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    os.write(go, b"x")
    for _ in range(3):
        connection, _ = server.accept()
        print(connection.recv(1) != b"", flush=True)
        connection.close()
    os._exit(0)
os.read(ready, 1)
for uid in (0, 1000, 1001):
    if os.fork() == 0:
        if uid:
            become(uid)
        try:
            Client(path).call("Status")
        except ClientError as error:
            print(error.reason, flush=True)
        os._exit(0)
    os.wait()
os.wait()
"""
    words = (await run_child(code, Path(__file__).parents[2])).split()
    assert sorted(words) == sorted(
        ["untrusted-socket", "False", "untrusted-socket", "False", "unreachable", "True"]
    )


def test_the_socket_is_found_in_order(monkeypatch, tmp_path):
    """Pins the choice: the variable, the system's socket, the user's own."""
    system = tmp_path / "system"
    monkeypatch.setattr("stepupd.client.SYSTEM_SOCKET", str(system))
    monkeypatch.delenv("STEPUP_SOCKET", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert find_socket() == "/run/user/7/stepupd/stepupd.sock"
    system.touch()
    assert find_socket() == str(system)
    monkeypatch.setenv("STEPUP_SOCKET", "/else/where")
    assert find_socket() == "/else/where"


def test_the_client_starts_light():
    """Pins what importing the client may cost: none of the slow modules."""
    slow = ["asyncio", "typing", "dataclasses", "inspect", "logging", "msgspec", "pathlib", "ssl"]
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import stepupd.client;"
        "print(*(name for name in sys.argv[2:] if name in sys.modules))"
    )
    root = str(Path(__file__).parents[2])
    # -S: without site-packages, whose .pth files may import anything.
    command = [sys.executable, "-I", "-S", "-c", code, root, *slow]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert output.split() == []
