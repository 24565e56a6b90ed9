"""What the audit log says of ceremonies and changes."""

import json
from dataclasses import replace

import pytest
from core_support import (
    ADA,
    NOW,
    RP_ID,
    SUDO,
    UP,
    UV,
    make_grant,
    make_key,
    make_policy,
    make_request,
    make_rule,
    make_snapshot,
)
from explore import play

from stepupd.core.authentication import authenticate
from stepupd.core.challenge import commit_to
from stepupd.core.conclude import refuse
from stepupd.core.decision import StepUp
from stepupd.core.effects import PinNeeded, Typed
from stepupd.core.entry import encode_record
from stepupd.core.evidence import Evidence
from stepupd.core.model import Claim, Level, Reason, Requirement, Risk, Scope, Signal
from stepupd.core.record import (
    describe_change,
    describe_credential,
    describe_known_key,
    describe_step_up,
    encode_bytes,
)
from stepupd.core.secret import Secret

LATENCIES = {"gather": 1.23456, "person": 2.0, "whole": 3.0}


def run(snapshot, *replies):
    """Play a ceremony; a callable reply is given the effect's operation."""
    given = []
    while True:
        effects, outcome = play(authenticate(snapshot), given)
        if outcome is not None:
            return outcome
        reply = replies[len(given)]
        given.append(reply(effects[-1].operations[0]) if callable(reply) else reply)


def prove(**changes):
    key = make_key()
    snapshot = make_snapshot(key.credential(), **changes)
    return snapshot, run(snapshot, lambda operation: key.sign(operation, flags=UP | UV)), key


def test_a_proof_is_recorded_so_that_anyone_can_check_it():
    """Nonce and canonical request give the challenge; the signed bytes are there as they came."""
    snapshot, outcome, key = prove(policy=make_policy(make_rule(max_age=60, scope=Scope.SESSION)))

    record = describe_step_up(snapshot, outcome, LATENCIES)

    assert record["kind"] == "step-up"
    assert record["verdict"] == {"answer": "allow", "reason": "proved"}
    assert record["policy"] == "d" * 64
    assert record["latency_ms"] == {"gather": 1.235, "person": 2.0, "whole": 3.0}
    challenge = record["challenge"]
    assert commit_to(snapshot.nonce, challenge["request"].encode()) == snapshot.challenge
    assert challenge["nonce"] == encode_bytes(snapshot.nonce)
    assert record["evidence"]["credential"] == encode_bytes(key.id)
    assert record["evidence"]["client_data_json"] == outcome.evidence.client_data_json.decode()
    assert (record["level"], record["aal"], record["amr"]) == ("verify", 2, ["hwk", "pop", "user"])
    assert record["grant"] == {
        "id": outcome.grant.id,
        "scope": "session",
        "level": "verify",
        "lasts": 60.0,
    }


def test_the_request_is_recorded_as_attested_and_as_claimed():
    """What the kernel says and what the caller says stand apart."""
    snapshot, outcome, _ = prove()

    request = describe_step_up(snapshot, outcome, LATENCIES)["request"]

    assert request["action"] == "pam:sudo"
    assert (request["subject"], request["subject_uid"]) == ("ada", ADA.uid)
    assert (request["caller_uid"], request["caller_pid"]) == (SUDO.uid, SUDO.pid)
    assert request["session"] == {"leader": 4000, "leader_start": 123456, "tty": "pts/3"}
    assert request["claim"] == {"command": ["sudo", "systemctl", "restart", "db"]}


def test_what_was_not_said_is_left_out():
    """No session, no claim: no fields that look like them."""
    snapshot, outcome, _ = prove(request=make_request(session=None, claim=Claim()))

    request = describe_step_up(snapshot, outcome, LATENCIES)["request"]

    assert "session" not in request
    assert "claim" not in request


def test_a_refusal_has_no_proof_in_it():
    """Verdict, decision and requirement; nothing that could pass for evidence."""
    snapshot = make_snapshot()
    decision = StepUp(
        Requirement(Level.VERIFY, max_age=5),
        "strict",
        Risk(40, (Signal("remote", 40, "the session comes from afar"),)),
    )

    record = describe_step_up(snapshot, refuse(Reason.TIMEOUT, decision), LATENCIES)

    assert record["verdict"] == {"answer": "deny", "reason": "timeout"}
    assert record["decision"] == {
        "is": "stepup",
        "rule": "strict",
        "risk": {"score": 40, "signals": {"remote": 40}},
        "required": {"level": "verify", "max_age": 5},
    }
    assert not record.keys() & {"evidence", "challenge", "grant", "credential", "level", "alarm"}


def test_a_grant_that_answers_is_named():
    """Whoever reads the log finds the proof that the answer rests on."""
    key = make_key()
    grant = make_grant(credential_id=key.id)
    rule = make_rule(max_age=300, scope=Scope.SESSION)
    snapshot = make_snapshot(key.credential(), grants=(grant,), policy=make_policy(rule))

    record = describe_step_up(snapshot, run(snapshot), LATENCIES)

    assert record["decision"]["is"] == "satisfied"
    assert record["decision"]["grant"] == grant.id


def test_an_alarm_is_recorded():
    """A counter that went back."""
    record = describe_step_up(make_snapshot(), refuse(Reason.COUNTER_REGRESSED), LATENCIES)
    assert "cloned" in record["alarm"]


def test_no_pin_is_recorded():
    """Nothing typed gets anywhere near the log (attack 117)."""
    key = make_key()
    snapshot = make_snapshot(key.credential(), policy=make_policy(make_rule(Level.VERIFY)))
    pin = Secret("hunter2-4711")

    outcome = run(
        snapshot,
        PinNeeded("tiny", "tiny key", 8),
        Typed(pin),
        lambda operation: key.sign(operation, flags=UP | UV),
    )

    assert outcome.verdict.is_allow
    assert "hunter2" not in json.dumps(describe_step_up(snapshot, outcome, LATENCIES))


def test_a_simulated_key_is_told_apart():
    """`swk`, and never more than AAL 1."""
    key = make_key()
    snapshot = make_snapshot(key.credential(is_simulated=True))
    outcome = run(snapshot, lambda operation: key.sign(operation, flags=UP | UV))

    record = describe_step_up(snapshot, outcome, LATENCIES)

    assert record["amr"][0] == "swk"
    assert record["aal"] == 1


def test_a_credential_is_recorded_with_the_key_that_checks_it():
    """And without its counter, which changes."""
    key = make_key()
    described = describe_credential(key.credential(is_attested=True))

    assert described == {
        "id": encode_bytes(key.id),
        "name": "blue",
        "subject_uid": ADA.uid,
        "public_key": encode_bytes(key.cose),
        "aaguid": "00" * 16,
        "is_attested": True,
        "is_simulated": False,
        "is_suspect": False,
    }
    carried = describe_known_key(SUDO, key.credential())
    assert carried["kind"] == "enrol"
    assert carried["carried_over"] is True


@pytest.mark.parametrize("text", ["\ud800", "\0\x1b[2J\n", "é" * 100, "\u202e"])
def test_any_claim_can_be_recorded(text):
    """Foreign text goes in as it came; the encoding makes it harmless, and there is one line."""
    claim = Claim(command=(text,), reason=text, ruser=text, rhost=text)
    snapshot, outcome, _ = prove(request=make_request(claim=claim))

    body = encode_record(describe_step_up(snapshot, outcome, LATENCIES))

    assert body.isascii()
    assert b"\n" not in body


def test_a_change_names_who_and_whose():
    """The caller as the kernel attests it, the subject, and what was done."""
    assert describe_change("revoke", SUDO, 1000, grant="", count=2) == {
        "kind": "revoke",
        "caller_uid": 0,
        "caller_pid": 4711,
        "subject_uid": 1000,
        "grant": "",
        "count": 2,
    }


def test_what_is_recorded_is_what_was_decided():
    """The moment in the canonical request is the snapshot's, and so is the RP ID."""
    snapshot, outcome, _ = prove(now=replace(NOW, wall=1_800_000_000.25))

    request = json.loads(describe_step_up(snapshot, outcome, LATENCIES)["challenge"]["request"])

    assert request["time"] == "1800000000.250000"
    assert request["rp_id"] == RP_ID
    assert isinstance(outcome.evidence, Evidence)
