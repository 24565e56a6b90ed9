"""Whoever breaks an adviser gains nothing (attack 110): its signal counts in full."""

from functools import partial

import pytest
from adviser_support import GOOD, endpoint, respond, write_program

from stepupd.core.model import Caller, Door, Moment, StepUpRequest, Subject
from stepupd.core.risk.activity import Activity
from stepupd.core.risk.advice import MAX_ANSWER, Address, AdviserPlan
from stepupd.core.risk.assess import assess_observation
from stepupd.core.risk.facts import Observer
from stepupd.core.risk.observation import Observation
from stepupd.core.risk.profile import Profile
from stepupd.host.advisers import make_adviser
from stepupd.host.circumstances import Circumstances
from stepupd.host.logins import Belonging
from stepupd.store.adviser_table import check_program

REQUEST = StepUpRequest(Subject(1000, "ada"), Caller(0, 4711, Door.RELAY), "pam:sudo")
NOW = Moment(1_790_000_000.0, 5000.0, "b" * 36)
WEIGHTS = {"advice": 60}
PATIENT = 20.0
HASTY = 0.3


class NoSessions:
    """Nobody is logged in."""

    def find(self, _pid):
        return Belonging()

    def is_locked(self, _session):
        return False


def assess(*plans):
    """Return the risk of one request, with these advisers asked for real."""
    advisers = tuple(make_adviser(plan, check_program) for plan in plans)
    around = Circumstances(
        NoSessions(), lambda _now: None, advisers=advisers, advice_patience=3 * PATIENT
    )
    facts = around.observe(REQUEST, frozenset({Observer.ADVICE}), NOW)
    seen = Observation(REQUEST, NOW, facts, Profile(1000), Activity())
    return facts, assess_observation(seen, WEIGHTS)


def test_attack_110_an_adviser_that_works_is_the_measure(tmp_path):
    """It says 42 of 100, so the signal has that part of its weight."""
    path = write_program(tmp_path / "risk", f"print({GOOD.decode()!r})")
    facts, risk = assess(AdviserPlan("engine", (str(path),), deadline=PATIENT))

    assert facts.missing == frozenset()
    assert risk.score == round(60 * 0.42)


PROGRAMS = {
    "hangs": "import time; time.sleep(60)",
    "crashes": "import os; os.abort()",
    "fails with an answer": 'print(\'{"score":0,"reason":""}\'); raise SystemExit(1)',
    "is silent": "pass",
    "talks junk": "print('all is well')",
    "never stops": "while True: print('x' * 4096)",
    "is too long": f"print('{{\"score\":0,\"reason\":\"' + 'x' * {MAX_ANSWER} + '\"}}')",
    "is below nothing": 'print(\'{"score":-100,"reason":""}\')',
    "is no number": 'print(\'{"score":NaN,"reason":""}\')',
    "is no interpreter's": "#!/nonexistent\n",
}


@pytest.mark.parametrize("text", PROGRAMS.values(), ids=PROGRAMS)
def test_attack_110_a_program_that_fails_counts_in_full(tmp_path, text):
    path = write_program(tmp_path / "risk", text)
    deadline = HASTY if "sleep" in text else PATIENT
    facts, risk = assess(AdviserPlan("engine", (str(path),), deadline=deadline))

    assert facts.missing == {Observer.ADVICE}
    assert risk.score == 60
    assert "advice failed" in risk.signals[0].reason


def test_attack_110_a_program_that_others_may_write_is_not_run(tmp_path):
    """It would say what they want."""
    ran = tmp_path / "ran"
    path = write_program(
        tmp_path / "risk", f'open({str(ran)!r}, \'w\'); print(\'{{"score":0,"reason":""}}\')'
    )
    path.chmod(0o777)
    _, risk = assess(AdviserPlan("engine", (str(path),), deadline=PATIENT))

    assert risk.score == 60
    assert not ran.exists()


def hang(_connection, ended):
    ended.wait(20)


def drip(_raw, connection, ended):
    while not ended.wait(0.05):
        connection.sendall(b"H")


ENDPOINTS = {
    "hangs": hang,
    "talks for ever": partial(drip, b""),
    "hangs up": b"",
    "redirects": respond(b'{"score":0,"reason":""}', "302 Found", "Location: /"),
    "is overloaded": respond(b'{"score":0,"reason":""}', "503 Service Unavailable"),
    "talks junk": respond(b"<html>all is well</html>"),
    "is below nothing": respond(b'{"score":-1,"reason":""}'),
    "is no number": respond(b'{"score":NaN,"reason":""}'),
    "is too long": respond(b'{"score":0,"reason":"' + b"x" * MAX_ANSWER + b'"}'),
    "is cut off": respond(b'{"score":0,"reason":""}')[:-1],
}


@pytest.mark.parametrize("answer", ENDPOINTS.values(), ids=ENDPOINTS)
def test_attack_110_an_endpoint_that_fails_counts_in_full(answer):
    deadline = HASTY if callable(answer) else PATIENT
    with endpoint(answer) as server:
        address = Address("127.0.0.1", server.port, "/")
        facts, risk = assess(AdviserPlan("engine", address=address, deadline=deadline))

    assert facts.missing == {Observer.ADVICE}
    assert risk.score == 60


def test_attack_110_one_adviser_does_not_make_up_for_another(tmp_path):
    """Two are asked, one says that all is well, the other fails: that is the worst answer."""
    good = write_program(tmp_path / "good", 'print(\'{"score":0,"reason":""}\')')
    bad = write_program(tmp_path / "bad", "pass")
    facts, risk = assess(
        AdviserPlan("good", (str(good),), deadline=PATIENT),
        AdviserPlan("bad", (str(bad),), deadline=PATIENT),
    )

    assert [advice.name for advice in facts.advice] == ["good"]
    assert risk.score == 60


POLICY = """
[[rule]]
name = "deploy"
action = "cli:deploy"
allow = true

[risk]
ladder = [{ score = 50, deny = true }]

[risk.weights]
advice = 60
"""


def test_attack_110_a_whole_daemon_asks_and_doubts(machine):
    """A quiet adviser lets a request pass; the same program broken, or worried, does not."""
    program = machine.base / "risk"
    write_program(program, 'print(\'{"score":0,"reason":""}\')')
    (machine.base / "config" / "stepupd" / "stepupd.toml").write_text(
        f"[[adviser]]\nname = 'engine'\nexec = '{program}'\ndeadline = 2\n"
    )
    machine.write_policy(POLICY)
    machine.start()

    def ask():
        with machine.client() as client:
            return client.call("StepUp", {"action": "cli:deploy"})["reason"]

    assert ask() == "rule-allows"
    write_program(program, 'print(\'{"score":90,"reason":"seen in two cities"}\')')
    assert ask() == "risk-denies"
    write_program(program, "print('all is well')")
    assert ask() == "risk-denies"
    program.unlink()
    assert ask() == "risk-denies"

    scores = [entry["decision"] for entry in machine.read_entries() if "decision" in entry]
    assert [decision.get("risk", {}).get("score", 0) for decision in scores] == [0, 54, 60, 60]
