"""The real pam_stepup.so against a scripted daemon, in two host programs."""

import struct
import threading
from pathlib import Path

import pytest
from pam_support import (
    ALLOW,
    AUTH_ERR,
    AUTHINFO_UNAVAIL,
    CRED_UNAVAIL,
    DENY,
    MAXTRIES,
    PATIENCE,
    PERM_DENIED,
    QUESTION,
    SANITIZERS,
    SUCCESS,
    FakeDaemon,
    Host,
    build,
    reply,
)

from stepupd.api.relay_frames import Frame, Kind, decode_answer, encode, encode_text

VECTORS = Path(__file__).parents[1] / "vectors" / "relay"
VERDICTS = {"A": SUCCESS, "D": AUTH_ERR, "P": PERM_DENIED, "M": MAXTRIES}


@pytest.fixture(scope="session")
def built():
    return build()


@pytest.fixture
def host(tmp_path, built):
    return Host(tmp_path, built)


def authenticate(host, script, *options, **settings):
    """One conversation with a daemon that follows `script`."""
    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", *options))
        return host.run_harness(**settings), daemon


def read_vector(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    head = dict(line[2:].split(": ", 1) for line in lines if line.startswith("# "))
    return head, bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


def verdict(code: bytes):
    return encode(Frame(Kind.VERDICT, code))


def test_pamtester_succeeds_on_allow(host):
    """An independent program agrees that the module authenticates."""
    with FakeDaemon(reply(ALLOW)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        status, output = host.run_pamtester()

    assert status == 0, output
    assert "successfully authenticated" in output


def test_pamtester_fails_on_deny(host):
    """An independent program agrees that the module refuses."""
    with FakeDaemon(reply(encode_text(Kind.ERROR, "No."), DENY)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        status, output = host.run_pamtester()

    assert status == 1
    assert "No." in output
    assert "Authentication failure" in output


@pytest.mark.parametrize("kind", [Kind.ASK_HIDDEN, Kind.ASK_VISIBLE])
def test_pamtester_relays_what_is_typed(host, kind):
    """A prompt reaches the person and the line typed reaches the daemon, once."""
    answers = []

    def script(connection):
        connection.read_request()
        connection.send(encode_text(kind, "Code: "))
        answers.append(decode_answer(connection.read_frame().payload).reveal())
        connection.send(ALLOW)

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        status, output = host.run_pamtester("geheim €\n")

    assert status == 0, output
    assert answers == ["geheim €"]
    assert "Code: " in output


@pytest.mark.parametrize(
    ("code", "text"), [(b"D", "Authentication failure"), (b"M", "maximum number of retries")]
)
def test_a_daemon_that_concluded_during_the_typing_is_still_heard(host, code, text):
    """The answer comes too late: its texts and its verdict are read, not "gave no answer"."""
    is_over = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(QUESTION + encode_text(Kind.ERROR, "Too late.") + verdict(code))
        connection.sock.close()
        is_over.set()

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        process = host.start_pamtester()
        assert is_over.wait(PATIENCE)
        output, _ = process.communicate("1234\n", timeout=PATIENCE)

    assert process.returncode == 1
    assert "Too late." in output
    assert text in output
    assert "gave no answer" not in output


def test_every_verdict_byte_has_its_fixed_meaning(host):
    """Four bytes mean something, 252 mean unavailable; success is one byte only."""
    codes = iter(range(256))

    def script(connection):
        connection.read_request()
        connection.send(verdict(bytes([next(codes)])))

    result, _ = authenticate(host, script, steps=" ".join(["authenticate"] * 256))

    expected = [VERDICTS.get(chr(code), AUTHINFO_UNAVAIL) for code in range(256)]
    assert [code for _, code in result.steps] == expected


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(VECTORS.glob("*.hex")) if "# from: daemon" in path.read_text()],
    ids=lambda path: path.stem,
)
@pytest.mark.parametrize("is_split", [False, True], ids=["whole", "bytewise"])
def test_golden_frames_mean_the_same_to_the_module(host, path, is_split):
    """Text is shown, verdicts and broken frames return what the file says, also byte by byte."""
    head, data = read_vector(path)
    typed = []

    def script(connection):
        connection.read_request()
        for chunk in [data[i : i + 1] for i in range(len(data))] if is_split else [data]:
            connection.send(chunk)
        if head.get("kind", "").startswith("ASK"):
            typed.append(decode_answer(connection.read_frame().payload).reveal())
        if "pam" not in head:
            connection.send(ALLOW)

    result, _ = authenticate(host, script, answer="4711")

    assert result.code == int(head.get("pam", SUCCESS))
    if "shown" in head:
        style, text = head["shown"].split(" ", 1)
        assert result.messages == [(int(style), text)]
    assert typed == (["4711"] if head.get("kind", "").startswith("ASK") else [])


def test_the_module_writes_the_golden_request(host):
    """Byte for byte, but for the two numbers that only this run can know."""
    _, golden = read_vector(VECTORS / "request-full.hex")
    facts = []

    def script(connection):
        leader = connection.read_request().leader
        facts.append(f"leader={leader}".encode())
        stat = Path(f"/proc/{leader}/stat").read_text()
        facts.append(f"leader_start={stat.rpartition(')')[2].split()[19]}".encode())
        connection.send(ALLOW)

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        host.run_harness(
            argv=("sudo", "systemctl", "restart", "db zwölf"),
            ruser="grace",
            tty="/dev/pts/3",
            rhost="2001:db8::7",
        )

    payload = daemon.seen[0].received[5:]
    payload = payload.replace(facts[0] + b"\0", b"leader=4242\0")
    payload = payload.replace(facts[1] + b"\0", b"leader_start=987654\0")
    assert encode(Frame(Kind.REQUEST, payload)) == golden
    assert (
        len(daemon.seen[0].received) - 5 == struct.unpack(">I", daemon.seen[0].received[:4])[0] - 1
    )


def test_a_long_command_is_cut_and_says_so(host):
    requests = []

    def script(connection):
        requests.append(connection.read_request())
        connection.send(ALLOW)

    result, _ = authenticate(host, script, argv=("sudo", "x" * 5000))

    assert result.code == SUCCESS
    assert requests[0].command == ("sudo", "x" * (2048 - 5))
    assert requests[0].command_is_cut


def test_a_command_of_exactly_the_limit_is_whole(host):
    requests = []

    def script(connection):
        requests.append(connection.read_request())
        connection.send(ALLOW)

    authenticate(host, script, argv=("sudo", "x" * (2048 - 5)))

    assert requests[0].command == ("sudo", "x" * (2048 - 5))
    assert not requests[0].command_is_cut


@pytest.mark.parametrize("item", ["user", "ruser", "tty", "rhost", "service"])
def test_a_value_over_its_limit_refuses(host, item):
    """257 bytes are never sent as 256: the daemon is not even asked."""
    long = "a" * 250 + "€€" + "b"
    with FakeDaemon(reply(ALLOW)) as daemon:
        for name in ("stepup", long) if item == "service" else ("stepup",):
            # A file name ends at 255 bytes: libpam falls back to `other` for the long service.
            if len(name.encode()) <= 255:
                host.write_service(host.line(f"socket={daemon.path}"), name=name)
        host.write_service(host.line(f"socket={daemon.path}"), name="other")
        result = host.run_harness(**{item: long})

    assert len(long.encode()) == 257
    assert result.code == AUTHINFO_UNAVAIL
    assert not daemon.seen


@pytest.mark.parametrize("user", ["ada\x1b[2J", "ada\nroot", "\x7f", ""])
def test_a_user_name_with_control_characters_refuses(host, user):
    result, daemon = authenticate(host, reply(ALLOW), user=user, answer="")

    assert result.code == AUTHINFO_UNAVAIL
    assert not daemon.seen


def test_prompts_are_shown_though_the_host_asked_for_silence(host):
    """Sudo always passes PAM_SILENT; the harness does too."""
    result, _ = authenticate(host, reply(encode_text(Kind.INFO, "Touch your key"), ALLOW))

    assert result.messages == [(4, "Touch your key")]
    assert result.code == SUCCESS


def test_a_text_that_cannot_be_shown_changes_no_verdict(host):
    result, _ = authenticate(
        host, reply(encode_text(Kind.INFO, "Touch your key"), ALLOW), conv="error"
    )

    assert result.code == SUCCESS


def test_setcred_succeeds_only_after_this_handle_authenticated(host):
    """Also when the host changes PAM_USER between the two, as sudo does."""
    result, _ = authenticate(host, reply(ALLOW), steps="authenticate user:root setcred")

    assert result.steps == [("authenticate", SUCCESS), ("user:root", SUCCESS), ("setcred", SUCCESS)]


def test_a_later_failure_takes_setcred_back(host):
    verdicts = iter([ALLOW, DENY])

    def script(connection):
        connection.read_request()
        connection.send(next(verdicts))

    result, _ = authenticate(host, script, steps="authenticate setcred authenticate setcred")

    assert [code for _, code in result.steps[:3]] == [SUCCESS, SUCCESS, AUTH_ERR]
    assert result.code == CRED_UNAVAIL


def test_debug_changes_no_result(host):
    """Also when the verdict carries a reason that is no plain text."""
    result, _ = authenticate(host, reply(verdict(b"Dtouch-missing\x1b[2J%n")), "debug")

    assert result.code == AUTH_ERR


FALLBACK = "[success=done ignore=ignore authinfo_unavail=ignore default=die]"


@pytest.mark.parametrize(
    ("code", "expected"), [(b"A", SUCCESS), (b"D", AUTH_ERR), (b"M", MAXTRIES), (b"U", SUCCESS)]
)
def test_the_documented_fallback_is_for_unavailable_only(host, code, expected):
    """The manual's stack goes on to the next module for one code, never for a denial."""
    with FakeDaemon(reply(verdict(code))) as daemon:
        line = host.line(f"socket={daemon.path}", control=FALLBACK)
        host.write_service(line, "auth required pam_permit.so")
        result = host.run_harness()

    assert result.code == expected


@pytest.mark.parametrize("conv", ["error", "null-array", "null-text", "long"])
def test_the_person_cannot_choose_the_fallback(host, conv):
    """Ending the conversation is a denial, not "unavailable": the next module is not reached."""

    def script(connection):
        connection.read_request()
        connection.send(encode_text(Kind.ASK_HIDDEN, "PIN: "))
        connection.read_frame()

    with FakeDaemon(script) as daemon:
        line = host.line(f"socket={daemon.path}", control=FALLBACK)
        host.write_service(line, "auth required pam_permit.so")
        result = host.run_harness(conv=conv)

    assert result.code == AUTH_ERR


KEY_LINE = "publickey ssh-ed25519 AAAA signature count = 7\n"


def read_requests(host, **settings):
    """Authenticate once and return the code with what the daemon was asked."""
    requests = []

    def script(connection):
        requests.append(connection.read_request())
        connection.send(ALLOW)

    result, _ = authenticate(host, script, **settings)
    return result.code, requests


def test_what_sshd_says_of_the_key_is_passed_on(host):
    """Pins SSH_AUTH_INFO_0 of the PAM environment, as it stands there."""
    code, (request,) = read_requests(host, putenv=f"SSH_AUTH_INFO_0={KEY_LINE}")

    assert (code, request.ssh_auth, request.ssh_auth_is_long) == (SUCCESS, KEY_LINE, False)


@pytest.mark.parametrize("putenv", ["SSH_AUTH_INFO_0=", "SSH_AUTH_INFO_1=x", "PATH=/"])
def test_without_a_word_of_sshd_nothing_is_said(host, putenv):
    """The process's own variable of that name is no word of sshd's."""
    code, (request,) = read_requests(host, putenv=putenv, extra={"SSH_AUTH_INFO_0": KEY_LINE})

    assert (code, request.ssh_auth, request.ssh_auth_is_long) == (SUCCESS, "", False)


@pytest.mark.parametrize("variant", ["", "asan"])
@pytest.mark.parametrize("size", [4096, 4097, 100_000])
def test_a_long_word_of_sshd_is_left_out_and_that_is_said(host, size, variant):
    """Also with every other value at its limit, the request fits into its frame."""
    requests = []

    def script(connection):
        requests.append(connection.read_request())
        connection.send(ALLOW)

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", variant=variant))
        result = host.run_harness(
            program="harness-asan" if variant else "harness",
            extra=SANITIZERS if variant else None,
            argv=("sshd", "x" * 5000),
            putenv="SSH_AUTH_INFO_0=" + "k" * size,
            user="u" * 256,
            ruser="r" * 256,
            tty="t" * 256,
            rhost="h" * 256,
        )

    (request,) = requests
    assert result.code == SUCCESS
    assert request.ssh_auth == ("k" * size if size <= 4096 else "")
    assert request.ssh_auth_is_long == (size > 4096)
    assert request.command_is_cut
