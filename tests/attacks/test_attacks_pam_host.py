"""Attacks on the PAM module by way of the conversation, the host program and what is shown."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pam_support import (
    ALLOW,
    AUTH_ERR,
    AUTHINFO_UNAVAIL,
    CRED_UNAVAIL,
    DENY,
    QUESTION,
    SANITIZERS,
    SOURCE,
    SUCCESS,
    FakeDaemon,
    ask_then,
    read_code,
    reply,
)

from stepupd.api.relay_frames import (
    FROM_DAEMON,
    Frame,
    Kind,
    encode,
)


@pytest.mark.parametrize(
    ("conv", "answers"),
    [("null-array", 0), ("null-text", 0), ("error", 0), ("answer", 1)],
)
@pytest.mark.parametrize("variant", ["", "asan"])
def test_attack_006_an_empty_response_is_never_a_success(host, conv, answers, variant):
    """No response ends the attempt; an empty one is sent as such, once, for the daemon to judge."""
    seen = []

    def script(connection):
        connection.read_request()
        connection.send(QUESTION)
        seen.append(connection.read_frame())
        connection.send(DENY)

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", variant=variant))
        program = "harness-asan" if variant else "harness"
        result = host.run_harness(conv=conv, answer="", program=program, extra=SANITIZERS)

    assert result.code == AUTH_ERR
    assert seen == [Frame(Kind.ANSWER, b"")] * answers


@pytest.mark.parametrize(
    ("conv", "code", "size"),
    [("most", SUCCESS, 4096), ("long", AUTH_ERR, None), ("huge", AUTH_ERR, None)],
)
@pytest.mark.parametrize("variant", ["", "asan"])
def test_attack_009_typed_text_is_bounded(host, conv, code, size, variant):
    """4096 bytes pass whole; one more, or ten million, refuse; nothing is cut to fit."""
    sizes = []

    def script(connection):
        connection.read_request()
        connection.send(QUESTION)
        sizes.append(len(connection.read_frame().payload))
        connection.send(ALLOW)

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", variant=variant))
        program = "harness-asan" if variant else "harness"
        result = host.run_harness(conv=conv, program=program, extra=SANITIZERS)

    assert result.code == code
    assert sizes == ([] if size is None else [size])


@pytest.mark.parametrize(
    "conv", ["error", "again", "null-array", "null-text", "dangling", "none", "chatty", "huge"]
)
def test_attack_011_a_hostile_conversation_crashes_nothing(host, conv):
    """Every way a conversation can misbehave, under sanitizers: a refusal, no leak, no report."""
    with FakeDaemon(ask_then(DENY)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", variant="asan"))
        result = host.run_harness(conv=conv, program="harness-asan", extra=SANITIZERS)

    assert result.code in (AUTH_ERR, AUTHINFO_UNAVAIL)


@pytest.mark.parametrize(
    "garbage",
    [
        b"", b"\0", b"\0\0\0\0\x20A", b"\xff" * 9, b"\0\0\x20\0\x20" + b"a" * 8191,
        b"\0\0\0\x01\x20",
        b"\0\0\0\x02\x20a", b"\0\0\0\x02\x11", b"\0\0\0\x02\xffA", b"HTTP/1.1 200 OK\r\n\r\n",
        b"\0\0\x20\x01\x20A" + b"A" * 9000, b"\0\0\0\x01\x11" * 500,
    ],
)  # fmt: skip
def test_attack_011_garbage_from_the_socket_crashes_nothing(host, garbage):
    """Bytes that are no verdict, under sanitizers: unavailable."""
    with FakeDaemon(reply(garbage)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", variant="asan"))
        result = host.run_harness(program="harness-asan", extra=SANITIZERS)

    assert result.code == AUTHINFO_UNAVAIL


@pytest.mark.parametrize(("program", "variant"), [("harness", ""), ("harness-tsan", "tsan")])
def test_attack_012_sixty_four_threads_do_not_mix(host, program, variant):
    """Each thread gets its own user's verdict; ThreadSanitizer reports nothing of ours."""

    def script(connection):
        number = int(connection.read_request().subject.removeprefix("user"))
        connection.send(DENY if number % 2 else ALLOW)

    # ThreadSanitizer's shadow memory wants addresses that are not randomised.
    argv = ("setarch", "-R", str(host.build / "test" / program))
    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", variant=variant))
        process = subprocess.run(
            argv,
            env={
                **host.environment(mode="threads"),
                "TSAN_OPTIONS": f"suppressions={SOURCE / 'test' / 'tsan.supp'}",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    assert (process.returncode, process.stderr) == (0, "")
    expected = [f"user{i} {AUTH_ERR if i % 2 else SUCCESS}" for i in range(64)]
    assert process.stdout.splitlines() == expected


def test_attack_013_no_assert_guards_anything():
    """There is nothing that -DNDEBUG could remove."""
    assert not re.search(r"\bassert\b|NDEBUG", read_code())


@pytest.mark.parametrize(
    ("data", "code"),
    [(ALLOW, SUCCESS), (DENY, AUTH_ERR), (b"\0\0\0\0", AUTHINFO_UNAVAIL), (b"", AUTHINFO_UNAVAIL)],
)
def test_attack_013_the_ndebug_build_answers_the_same(host, data, code):
    with FakeDaemon(reply(data)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}", variant="ndebug"))
        result = host.run_harness()

    assert result.code == code


@pytest.mark.parametrize("steps", ["setcred", "acct", "setcred acct setcred"])
def test_attack_014_nothing_but_authentication_grants(host, steps):
    """Only setcred, only account management: no success and no word with the daemon."""
    with FakeDaemon(reply(ALLOW)) as daemon:
        line = host.line(f"socket={daemon.path}")
        host.write_service(line, line.replace("auth", "account", 1))
        result = host.run_harness(steps=steps)

    assert SUCCESS not in [code for _, code in result.steps]
    assert not daemon.seen


def test_attack_014_setcred_before_and_after_a_denial_fails(host):
    with FakeDaemon(reply(DENY)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        result = host.run_harness(steps="setcred authenticate setcred")

    codes = [code for _, code in result.steps]
    assert codes[1] == AUTH_ERR
    assert SUCCESS not in codes  # libpam makes a failure of a stack that says nothing
    assert codes[2] == CRED_UNAVAIL


def test_attack_015_what_was_typed_is_not_left_in_memory(host):
    """After the ceremony the process's own memory does not hold the answer."""
    with FakeDaemon(ask_then(ALLOW)) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        result = host.run_harness(conv="scan")

    assert dict(result.steps)["authenticate"] == SUCCESS
    assert dict(result.steps)["scan"] == 0
    assert dict(result.steps)["control"] == 1  # the scan finds it where it is


@pytest.mark.parametrize("name", ["a) 0 0 (b", "x\ny", ") S 1 1 1", "((((", "a b c d e"])
def test_attack_096_a_leader_with_a_strange_name_is_read_right(host, name):
    """The start time is found after the last bracket, whatever the program is called."""
    found = []

    def script(connection):
        request = connection.read_request()
        stat = Path(f"/proc/{request.leader}/stat").read_text()
        found.append((name in stat, request.leader_start, int(stat.rpartition(")")[2].split()[19])))
        connection.send(ALLOW)

    # The leader renames itself with prctl(PR_SET_NAME), then runs the host program as its child.
    program = (
        "import ctypes, subprocess, sys; ctypes.CDLL(None).prctl(15, sys.argv[2].encode());"
        "sys.exit(subprocess.run([sys.argv[1]]).returncode)"
    )
    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        subprocess.run(
            [sys.executable, "-c", program, host.build / "test" / "harness", name],
            env=host.environment(),
            start_new_session=True,
            capture_output=True,
            check=True,
        )

    (row,) = found
    assert row[0]
    assert row[1] == row[2]


HOSTILE_TEXTS = [
    b"\x1b[2J\x1b[H[sudo] password for ada:", b"\x1b]52;c;ZXZpbA==\x07", b"a\rb\x08\x08c",
    b"\x9b31m", b"\xc2\x9b31m", b"\xc2\x85", b"\x7f", b"\0\x1b", b"\xe0\x80\x9b",
    b"\xf0\x80\x80\x9b", b"\xc0\x9b",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("kind", sorted(FROM_DAEMON - {Kind.VERDICT}), ids=lambda kind: kind.name)
def test_attack_114_no_terminal_control_reaches_the_person(host, kind, text):
    """Should the daemon ever let one through, the module does not."""

    def script(connection):
        connection.read_request()
        connection.send(encode(Frame(kind, text)))
        if kind in (Kind.ASK_HIDDEN, Kind.ASK_VISIBLE):
            connection.read_frame()
        connection.send(ALLOW)

    with FakeDaemon(script) as daemon:
        host.write_service(host.line(f"socket={daemon.path}"))
        ((_, shown),) = host.run_harness().messages

    assert shown.isprintable()
    assert len(shown.encode()) <= len(text)


def test_attack_129_the_module_changes_no_rights_and_runs_nothing(host):
    """No identity to drop, no program to run, no environment to read: not even imported."""
    listing = subprocess.run(
        ["nm", "-D", "--undefined-only", host.build / "pam_stepup.so"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    imported = {line.split()[-1].split("@")[0] for line in listing.splitlines()}
    forbidden = re.compile(
        r"_*(secure_)?getenv|environ|putenv|setenv|system|popen|exec.*|posix_spawn.*|v?fork|clone"
        r"|set(e|re|res|fs)?[ug]id|setgroups|initgroups|sig(nal|action|procmask)|pthread_.*"
        r"|dlopen|strtok|alloca|malloc|calloc|realloc|strdup|asprintf|fopen|getpwnam|getpwuid"
    )

    assert {name for name in imported if forbidden.fullmatch(name)} == set()
