"""Advisers as they are: programs that run, endpoints that listen, and what goes wrong with them."""

import json
import os
import socket
import sys
from functools import partial
from time import monotonic

import pytest
from adviser_support import (
    GOOD,
    QUESTION,
    endpoint,
    list_children,
    make_identity,
    respond,
    write_program,
)

from stepupd.core.risk.advice import MAX_ANSWER, Address, AdviserFailed, AdviserPlan, Format
from stepupd.core.risk.facts import Advice
from stepupd.host.advisers import make_adviser, make_advisers
from stepupd.host.advisers.executable import ProgramAdviser
from stepupd.host.advisers.http import HttpAdviser
from stepupd.store.adviser_table import check_program

ADVICE = Advice("engine", 42, "seen before")
PATIENT = 20.0
"""Seconds: more than may be configured. Machines are busy, and what answers is not timed here."""
HASTY = 0.3


@pytest.fixture
def run(tmp_path):
    """Return what a program says, by its text."""

    def ask(text, *words, deadline=PATIENT, **plan):
        path = write_program(tmp_path / "risk", text)
        plan = AdviserPlan("engine", (str(path), *words), deadline=deadline, **plan)
        return make_adviser(plan, check_program).advise(QUESTION)

    before = list_children()
    yield ask
    assert list_children() == before


def post(server, path="/", *, deadline=PATIENT, context=None, host="127.0.0.1", **plan):
    address = Address(host, server.port, path, is_secure=context is not None)
    plan = AdviserPlan("engine", address=address, deadline=deadline, **plan)
    return HttpAdviser(plan, context).advise(QUESTION)


ANSWERING = "import sys, json; asked = json.load(sys.stdin)\n"
SAY = f"sys.stdout.write({GOOD.decode()!r})"


def test_a_program_answers(run):
    assert run(ANSWERING + SAY) == ADVICE


def test_a_program_may_be_a_script_of_the_shell(run):
    assert run(f"#!/bin/sh\ncat > /dev/null\necho '{GOOD.decode()}'") == ADVICE


def test_a_program_need_not_read_its_question(run):
    assert run(f"import sys; sys.stdin.close()\n{SAY}") == ADVICE


def test_a_program_gets_its_words_and_question_as_they_are(run):
    """No shell looks at them."""
    said = run(
        ANSWERING + "print(json.dumps({'score': 1, 'reason': repr((sys.argv[1:], asked))}))",
        "$HOME",
        "a b;id",
        sends_command=True,
    )

    assert said.reason == repr((["$HOME", "a b;id"], QUESTION))


def test_a_program_gets_nothing_of_ours(run, monkeypatch):
    """No environment, directory, descriptor or terminal; a session and a group of its own."""
    monkeypatch.setenv("STEPUP_TEST", "geheim")
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    try:
        said = run(
            ANSWERING + "import os\n"
            "told = [sorted(os.environ), os.getcwd(), sorted(map(int, os.listdir('/proc/self/fd')))"
            "[:-1], os.getsid(0) == os.getpid() == os.getpgrp(), os.umask(0)]\n"
            "print(json.dumps({'score': 1, 'reason': json.dumps(told)}))"
        )
    finally:
        os.close(reader)
        os.close(writer)

    names, folder, descriptors, has_session, umask = json.loads(said.reason)
    assert set(names) <= {"LANG", "PATH", "LC_CTYPE"}
    assert (folder, descriptors, has_session, umask) == ("/", [0, 1, 2], True, 0o077)


LATE = {
    "it says nothing": "import time; time.sleep(60)",
    "it answers and stays": f"import sys, time; {SAY}; sys.stdout.flush(); time.sleep(60)",
    "it answers, closes and stays": f"import os, sys, time; {SAY}; sys.stdout.flush(); os.close(1)"
    "; time.sleep(60)",
    "it writes a byte at a time": "import os, time\nwhile True: os.write(1, b' '); time.sleep(.05)",
    "it ignores signals": "import signal, time\n"
    "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\ntime.sleep(60)",
    "a child keeps its output": f"import os, sys, time; {SAY}; sys.stdout.flush()\n"
    "if os.fork() == 0: time.sleep(60)",
}


@pytest.mark.parametrize("text", LATE.values(), ids=LATE)
def test_a_program_that_is_late_has_failed(run, text):
    began = monotonic()
    with pytest.raises(AdviserFailed, match="in time"):
        run(text, deadline=HASTY)

    assert monotonic() - began < 30  # it sleeps for 60


def test_what_a_program_leaves_behind_is_killed(run, tmp_path):
    """Its child holds the other end of a pipe: it is gone when the answer is there."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    try:
        said = run(
            f"import os, sys, time\nheld = os.open({str(fifo)!r}, os.O_WRONLY)\n"
            "if os.fork() == 0:\n os.close(1)\n time.sleep(60)\n"
            f"{SAY}"
        )
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)

    assert said == ADVICE


@pytest.mark.parametrize(
    "text",
    [
        f"import sys; {SAY}; sys.exit(1)",
        f"import os, signal, sys; {SAY}; sys.stdout.flush(); os.kill(os.getpid(), signal.SIGKILL)",
        "raise SystemError",
        "pass",
        f"import sys; sys.stdout.write(' ' * {MAX_ANSWER} + '{{}}')",
        "import sys\nwhile True: sys.stdout.write('x' * 65536)",
        'print(\'{"score": -1, "reason": ""}\')',
        'print(\'{"score": NaN, "reason": ""}\')',
        "print('nonsense')",
        "#!/nonexistent\n",
        "#!",
    ],
    ids=lambda text: text[-40:],
)
def test_a_program_that_says_something_else_has_failed(run, text):
    with pytest.raises(AdviserFailed):
        run(text)


@pytest.mark.parametrize("change", ["writable", "gone", "a folder", "in a folder of others"])
def test_a_program_is_checked_before_each_start(tmp_path, change):
    """What was right when the daemon started may not be so any more."""
    folder = tmp_path / "libexec"
    folder.mkdir(mode=0o755)
    path = write_program(folder / "risk", ANSWERING + SAY)
    adviser = ProgramAdviser(AdviserPlan("engine", (str(path),), deadline=PATIENT), check_program)
    assert adviser.advise(QUESTION) == ADVICE

    match change:
        case "writable":
            path.chmod(0o777)
        case "gone":
            path.unlink()
        case "a folder":
            path.unlink()
            path.mkdir()
        case "in a folder of others":
            folder.chmod(0o777)

    with pytest.raises(AdviserFailed, match="cannot be run"):
        adviser.advise(QUESTION)


def test_an_endpoint_answers():
    with endpoint(respond()) as server:
        assert post(server, "/v1/score?x=y") == ADVICE

    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/score?x=y HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {k: v for k, v in QUESTION.items() if k != "command"}


def test_an_endpoint_behind_a_socket_answers_as_opa_does(short_path):
    path = short_path / "opa.sock"
    with endpoint(respond(b'{"result":' + GOOD + b"}"), path) as server:
        plan = AdviserPlan(
            "engine",
            address=Address("localhost", 80, "/v1/data/stepup/risk"),
            socket=str(path),
            deadline=PATIENT,
            format=Format.OPA,
        )
        assert make_adviser(plan, check_program).advise(QUESTION) == ADVICE

    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/data/stepup/risk HTTP/1.1\r\nHost: localhost\r\n")
    assert json.loads(body)["input"]["subject"] == "ada"


def test_an_answer_may_come_in_chunks():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with endpoint(chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)) as server:
        assert post(server) == ADVICE


def test_an_endpoint_behind_tls_answers(tmp_path):
    identity = make_identity(tmp_path)
    with endpoint(respond(), context=identity.serve()) as server:
        assert post(server, context=identity.trust()) == ADVICE


def test_a_name_is_looked_up_and_has_to_be_in_the_certificate(tmp_path):
    identity = make_identity(tmp_path, "localhost")
    with endpoint(respond(), context=identity.serve()) as server:
        assert post(server, context=identity.trust(), host="localhost") == ADVICE
        with pytest.raises(AdviserFailed, match="certificate verify failed"):
            post(server, context=identity.trust())


@pytest.mark.parametrize("wrong", ["unknown", "another's", "expired"])
def test_a_certificate_that_does_not_hold_ends_it_before_a_word(tmp_path, wrong):
    """The question tells who does what: it is for nobody else."""
    days = -1 if wrong == "expired" else 1
    shown, trusted = make_identity(tmp_path, days=days), make_identity(tmp_path, days=2)
    context = {
        "unknown": lambda: None,  # what the machine trusts
        "another's": trusted.trust,
        "expired": shown.trust,
    }[wrong]()
    with endpoint(respond(), context=shown.serve()) as server:
        address = Address("127.0.0.1", server.port, "/", is_secure=True)
        adviser = HttpAdviser(AdviserPlan("engine", address=address, deadline=PATIENT), context)
        with pytest.raises(AdviserFailed, match="certificate verify failed"):
            adviser.advise(QUESTION)

    assert server.asked == []


def test_plain_http_where_tls_was_wanted(tmp_path):
    with endpoint(respond()) as server, pytest.raises(AdviserFailed):
        post(server, context=make_identity(tmp_path).trust(), deadline=HASTY)


OTHER = {
    "redirect": respond(b"", "302 Found", "Location: /ok"),
    "redirect with an answer": respond(GOOD, "307 Temporary Redirect", "Location: /ok"),
    "created": respond(GOOD, "201 Created"),
    "no content": respond(b"", "204 No Content"),
    "not found": respond(GOOD, "404 Not Found"),
    "failure": respond(GOOD, "500 Internal Server Error"),
    "nothing": b"",
    "no HTTP": GOOD,
    "bad status": respond(GOOD, "two hundred"),
    "half a head": b"HTTP/1.1 200 OK\r\nContent-",
    "half an answer": respond()[:-5],
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9999,
    "endless line": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 99999,
    "too long": respond(b" " * MAX_ANSWER + GOOD),
    "junk": respond(b"nonsense"),
    "negative": respond(b'{"score":-1,"reason":""}'),
    "NaN": respond(b'{"score":NaN,"reason":""}'),
    "squeezed": respond(b"\x1f\x8b\x08", "200 OK", "Content-Encoding: gzip"),
    "bad chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("raw", OTHER.values(), ids=OTHER)
def test_any_other_answer_is_none(raw):
    with endpoint(raw) as server:
        with pytest.raises(AdviserFailed):
            post(server)

        assert len(server.asked) == 1  # no redirect was followed, nothing tried again


def hang(_connection, ended):
    ended.wait(20)


def drip(raw, connection, ended):
    """Send a byte at a time, each soon enough for a timeout that begins anew with it."""
    for index in range(len(raw)):
        connection.sendall(raw[index : index + 1])
        if ended.wait(0.05):
            return


SLOW = {
    "silent": hang,
    "head by bytes": partial(drip, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200),
    "body by bytes": partial(drip, respond(GOOD + b" " * 1000)),
    "one interim response after another": partial(drip, b"HTTP/1.1 100 Continue\r\n\r\n" * 200),
}


@pytest.mark.parametrize("talk", SLOW.values(), ids=SLOW)
def test_one_deadline_covers_every_byte(talk):
    began = monotonic()
    with endpoint(talk) as server, pytest.raises(AdviserFailed):
        post(server, deadline=HASTY)

    assert monotonic() - began < 10  # they take longer


def test_nobody_listens(short_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = Address("127.0.0.1", free.getsockname()[1], "/")
        for plan in (
            AdviserPlan("engine", address=address),
            AdviserPlan("engine", address=address, socket=str(short_path / "gone.sock")),
        ):
            with pytest.raises(AdviserFailed):
                HttpAdviser(plan).advise(QUESTION)


def test_a_name_that_nobody_has():
    plan = AdviserPlan("engine", address=Address("risk.invalid", 443, "/", is_secure=True))

    with pytest.raises(AdviserFailed):
        HttpAdviser(plan).advise(QUESTION)


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_socket_that_anybody_may_have_put_there_is_not_asked(short_path, mode):
    """It may answer that all is well."""
    folder = short_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with endpoint(respond(), folder / "opa.sock") as server:
        plan = AdviserPlan(
            "engine", address=Address("localhost", 80, "/"), socket=str(folder / "opa.sock")
        )
        with pytest.raises(AdviserFailed, match="anybody may have put"):
            HttpAdviser(plan).advise(QUESTION)

    assert server.asked == []


def test_each_plan_becomes_an_adviser(tmp_path):
    path = str(write_program(tmp_path / "risk", ANSWERING + SAY))
    plans = (
        AdviserPlan("one", (path,), deadline=PATIENT),
        AdviserPlan("two", address=Address("127.0.0.1", 9, "/")),
    )

    advisers = make_advisers(plans, check_program)

    assert [(type(one), one.name) for one in advisers] == [
        (ProgramAdviser, "one"),
        (HttpAdviser, "two"),
    ]
    assert advisers[0].advise(QUESTION) == Advice("one", 42, "seen before")


def test_no_adviser_no_tls():
    """A daemon without advisers pays nothing for them."""
    import subprocess  # noqa: PLC0415 - only here

    program = (
        "import sys; import stepupd.host.advisers, stepupd.store.configuration\n"
        "print(*sorted({'ssl', 'http.client', 'subprocess'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == []
