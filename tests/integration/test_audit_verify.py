"""The verifier: whatever was done to a log, it says so and at which line."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from audit_support import ORIGIN, Key, Site, change, enrol, grant, make_request, prove, remove
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

# The test folders are no packages; the core's factories live beside its own tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from core_support import make_key, make_policy, make_rule, make_snapshot

from stepupd.core.authentication import ask_for_assertion, conclude_assertion
from stepupd.core.checkpoint import open_checkpoint, sign_checkpoint
from stepupd.core.client_data import ClientDataType
from stepupd.core.decision import StepUp
from stepupd.core.errors import ConfigError
from stepupd.core.merkle import EMPTY_TREE
from stepupd.core.model import Level, Reason, Requirement
from stepupd.core.note import make_signer, sign_note, split_notes
from stepupd.core.record import describe_change, describe_credential, describe_step_up
from stepupd.store.audit_prover import CHUNK
from stepupd.store.audit_verify import verify_log

BLUE, GREEN = Key("blue"), Key("green")
ATTESTED = bytes(16) + len(BLUE.id).to_bytes(2, "big") + BLUE.id + BLUE.cose
OTHERS_SIGNATURE = prove(BLUE, action="pam:su")["evidence"]["signature"]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Make a log with a bit of everything, which nobody may write to."""
    site = Site(tmp_path_factory.mktemp("whole"))
    site.write(
        [enrol(BLUE), prove(BLUE), grant(), enrol(GREEN, 1001), grant("\x1b\u202e\udc80\U0001f511")]
    )
    site.write([remove(GREEN), prove(BLUE), *map(grant, range(8))])
    return site


def verify_lines(site, lines):
    changed = site.root / "changed.log"
    changed.write_bytes(b"".join(lines))
    return site.verify(log=changed).fault


def test_an_honest_log_is_intact(whole):
    report = whole.verify()
    assert report.is_intact
    assert (report.entries, report.covered, report.signatures) == (15, 15, 2)
    assert json.loads(json.dumps(report.to_json()))["is_intact"] is True


lines_of_whole = st.integers(0, 14)


@given(lines_of_whole, st.data())
@settings(deadline=None, max_examples=300)
def test_any_changed_byte_is_found_at_its_line(whole, index, data):
    lines = whole.lines()
    at = data.draw(st.integers(0, len(lines[index]) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda byte: byte != lines[index][at]))
    lines[index] = lines[index][:at] + bytes([value]) + lines[index][at + 1 :]
    assert verify_lines(whole, lines).line == index + 1


@given(lines_of_whole, st.sampled_from(["verdict", "time", "note"]))
@settings(deadline=None)
def test_an_entry_that_is_rewritten_well_is_found_at_its_line(whole, index, name):
    """Valid, canonical and with evidence that holds: only its hash tells."""
    lines = whole.lines()
    fields = json.loads(lines[index])
    fields[name] = "2026-01-01T00:00:00.000000Z" if name == "time" else {"answer": "deny"}
    lines[index] = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    fault = verify_lines(whole, lines)
    assert (fault.line, fault.reason) == (index + 1, "changed")


@given(lines_of_whole)
def test_a_removed_line_is_found(whole, index):
    lines = whole.lines()
    del lines[index]
    fault = verify_lines(whole, lines)
    expected = "truncated" if index == 14 else "out-of-order"
    assert (fault.line, fault.reason) == (index + 1, expected)


@given(lines_of_whole, lines_of_whole)
def test_swapped_lines_are_found_at_the_first(whole, one, other):
    lines = whole.lines()
    lines[one], lines[other] = lines[other], lines[one]
    fault = verify_lines(whole, lines)
    assert (fault.line if fault else None) == (None if one == other else min(one, other) + 1)


@given(lines_of_whole, lines_of_whole)
def test_a_line_that_stands_twice_is_found_where_it_is_too_many(whole, index, to):
    lines = whole.lines()
    lines.insert(to, lines[index])
    expected = to + 1 + (to == index)
    assert verify_lines(whole, lines).line == expected


@given(st.data())
@settings(deadline=None)
@example(data=None).via("an empty log")
def test_a_cut_log_is_found_where_it_was_cut(whole, data):
    content = whole.log.read_bytes()
    end = data.draw(st.integers(0, len(content) - 1)) if data else 0
    fault = verify_lines(whole, [content[:end]])
    assert (fault.line, fault.reason) == (content[:end].count(b"\n") + 1, "truncated")


def test_a_log_rewritten_from_some_line_on_is_found(whole, tmp_path):
    """All links are right; only the signed root is not."""
    forged = Site(tmp_path)
    forged.write([enrol(BLUE), prove(BLUE), *map(grant, range(20))])
    fault = whole.verify(log=forged.log).fault
    assert fault.reason == "changed"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (change(prove(BLUE), "request.action", "pam:su"), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request.subject", "root"), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request.subject_uid", 0), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request.caller_uid", 1000), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request.caller_uid", False), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request", {}), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request.claim", {}), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request.claim", []), Reason.BAD_ENCODING),
        (change(prove(BLUE), "request.claim.command", ["systemctl restart"]),
         Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "request.claim.command", "systemctl restart"), Reason.BAD_ENCODING),
        (change(prove(BLUE), "request.claim.command", ["\ud800"]), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "challenge.nonce", "A" * 43), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "challenge.nonce", "AAAA"), Reason.BAD_ENCODING),
        (change(prove(BLUE), "challenge.nonce", "A" * 42 + "B"), Reason.BAD_ENCODING),
        (change(prove(BLUE), "challenge.request", "{}"), Reason.CHALLENGE_MISMATCH),
        (change(prove(BLUE), "challenge.request", "\u00e9"), Reason.BAD_ENCODING),
        (change(prove(BLUE), "challenge.request", "[" * 5000), Reason.BAD_ENCODING),
        (change(prove(BLUE), "challenge", None), Reason.BAD_ENCODING),
        (prove(BLUE, type=ClientDataType.CREATE), Reason.TYPE_MISMATCH),
        (prove(BLUE, signed_rp_id="evil.example"), Reason.RP_ID_MISMATCH),
        (prove(BLUE, flags=0x04), Reason.UP_MISSING),
        (prove(BLUE, flags=0x01), Reason.UV_MISSING),
        (prove(BLUE, flags=0x01, level="attested"), Reason.UV_MISSING),
        (prove(BLUE, flags=0x03), Reason.RESERVED_FLAGS),
        (prove(BLUE, flags=0x45, added=ATTESTED), Reason.BAD_ENCODING),
        (prove(BLUE, spelling=(", ", ": ")), Reason.BAD_ENCODING),
        (prove(BLUE, level="VERIFY"), Reason.BAD_ENCODING),
        (change(prove(BLUE), "evidence.signature", OTHERS_SIGNATURE), Reason.BAD_SIGNATURE),
        (change(prove(BLUE), "evidence.signature", ""), Reason.BAD_SIGNATURE),
        (change(prove(BLUE), "evidence.client_data_json", "\udc80"), Reason.BAD_ENCODING),
        (change(prove(BLUE), "evidence.authenticator_data", "AAAA"), Reason.BAD_ENCODING),
        (change(prove(BLUE), "evidence.method", "fingerprint"), Reason.UNSUPPORTED),
        (change(prove(BLUE), "evidence.credential", "AAAA"), Reason.UNKNOWN_CREDENTIAL),
        (change(prove(BLUE), "evidence", None), Reason.BAD_ENCODING),
        (prove(GREEN), Reason.UNKNOWN_CREDENTIAL),
        (prove(BLUE, subject="eve", subject_uid=1001), Reason.UNKNOWN_CREDENTIAL),
        (grant() | {"verdict": {"answer": "allow", "reason": "proved"}}, Reason.BAD_ENCODING),
        (enrol(GREEN, algorithm=-8), Reason.ALGORITHM_MISMATCH),
        (change(enrol(GREEN), "credential.public_key", "AAAA"), Reason.BAD_ENCODING),
        (change(enrol(GREEN), "credential", None), Reason.BAD_ENCODING),
    ],
)  # fmt: skip
def test_a_proof_that_does_not_hold_is_found_even_in_a_log_of_our_own(site, record, reason):
    """Whoever has the log's key can sign anything, but not in the name of a security key."""
    site.write([enrol(BLUE), prove(BLUE), grant(), record, grant()])
    fault = site.verify().fault
    assert (fault.line, fault.reason) == (4, reason)


@pytest.mark.parametrize(
    "record",
    [
        prove(BLUE),
        prove(BLUE, flags=0x01, level="touch"),
        prove(BLUE, flags=0x1D, level="verify"),
        prove(BLUE, action="ssh:login", caller_uid=1000),
        change(prove(BLUE), "request.claim.command", ["systemctl", "restar[+1]"]),
        enrol(GREEN, answer="deny"),
        grant() | {"verdict": {"answer": "deny", "reason": "timeout"}},
    ],
)
def test_what_holds_is_not_complained_of(site, record):
    site.write([enrol(BLUE), record])
    assert site.verify().fault is None


@pytest.mark.parametrize(
    "history",
    [
        [],
        [enrol(BLUE, answer="deny")],
        [enrol(BLUE), remove(BLUE)],
        [enrol(BLUE), enrol(BLUE, 1001)],
    ],
)
def test_only_a_credential_enrolled_at_that_time_proves(site, history):
    site.write([*history, prove(BLUE), enrol(BLUE)])
    fault = site.verify().fault
    assert (fault.line, fault.reason) == (len(history) + 1, Reason.UNKNOWN_CREDENTIAL)


def test_a_refused_removal_removes_nothing(site):
    refused = remove(BLUE) | {"verdict": {"answer": "deny", "reason": "timeout"}}
    site.write([enrol(BLUE), refused, prove(BLUE)])
    assert site.verify().fault is None


def test_entries_after_the_checkpoint_are_counted_as_uncovered(site):
    site.write([grant()])
    older = site.note
    site.write([grant()] * 2)
    report = site.verify(checkpoint=older)
    assert (report.fault, report.covered, report.uncovered) == (None, 1, 2)


def test_an_unfinished_entry_at_the_end_is_reported(site):
    site.write([grant()])
    with site.log.open("ab") as stream:
        stream.write(b'{"seq"')
    report = site.verify()
    assert (report.fault, report.torn_bytes) == (None, 6)


def test_an_anchor_newer_than_the_checkpoint_extends_what_is_covered(site):
    notes = []
    with site.open(notes.append) as log:
        log.append_now(grant())
        older = site.note
        log.append_now(grant())
        log.append_now(grant())
    report = site.verify(checkpoint=older, anchors=split_notes("\n".join([older, *notes])))
    assert (report.covered, report.anchors) == (3, 1 + len(notes))


def test_a_restored_backup_is_found_by_an_anchor(site):
    """Log and checkpoint of yesterday fit each other; only something kept elsewhere tells."""
    notes = []
    with site.open(notes.append) as log:
        log.append_now(grant())
        backup = site.log.read_bytes(), site.checkpoint.read_bytes()
        log.append_now(grant(1))
    site.log.write_bytes(backup[0])
    site.checkpoint.write_bytes(backup[1])
    assert site.verify().is_intact
    fault = site.verify(anchors=notes).fault
    assert (fault.line, fault.reason) == (2, "truncated")


def test_a_log_that_went_on_from_a_backup_is_found_by_an_anchor(site):
    notes = []
    with site.open() as log:
        log.append_now(grant())
        backup = site.log.read_bytes(), site.checkpoint.read_bytes()
    with site.open(notes.append) as log:
        log.append_now(grant(1))
    site.log.write_bytes(backup[0])
    site.checkpoint.write_bytes(backup[1])
    site.write([grant(2), grant(3)])
    assert site.verify().is_intact
    fault = site.verify(anchors=notes).fault
    assert (fault.line, fault.reason) == (2, "changed")


def test_a_head_with_another_root_is_found_though_its_last_entry_fits(site):
    """The root counts in its own right: it is what other tools and witnesses compare."""
    site.write([grant(), grant(1)])
    signer = make_signer(ORIGIN, site.key)
    head = open_checkpoint(site.note, signer.vkey)
    forged = replace(head, frontier=EMPTY_TREE.extend([bytes(32), head.last]))
    fault = site.verify(checkpoint=sign_checkpoint(forged, signer)).fault
    assert (fault.line, fault.reason) == (1, "changed")


@pytest.mark.parametrize("note", ["", "hello\n", None])
def test_a_head_that_was_not_signed_by_the_key_is_a_fault(whole, note):
    other = make_signer("laptop.3fa2c1.stepup/audit", Ed25519PrivateKey.generate())
    note = sign_note("x\n", other) if note is None else note
    assert verify_log(whole.log, note, whole.vkey).fault[:2] == (0, "bad-checkpoint")
    assert whole.verify(anchors=[note]).fault[:2] == (0, "bad-anchor")


def test_what_cannot_be_read_is_the_administrators_to_mend(whole, tmp_path):
    with pytest.raises(ConfigError):
        whole.verify(log=tmp_path / "missing")
    with pytest.raises(ConfigError):
        whole.verify(vkey="nonsense")


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """Make enough signatures for several workers, the first bad one among them at a known line."""
    site = Site(tmp_path_factory.mktemp("long"))
    good = prove(BLUE)
    bad = change(good, "request.action", "pam:su")
    records = [enrol(BLUE), *[good] * (2 * CHUNK), bad, *[good] * CHUNK, bad, *[grant()] * 50]
    site.write(records)
    return site


@pytest.mark.parametrize("jobs", [1, 2, 0])
def test_workers_find_the_same_first_fault(long, jobs):
    fault = long.verify(jobs=jobs).fault
    assert (fault.line, fault.reason) == (2 * CHUNK + 2, Reason.CHALLENGE_MISMATCH)


def test_workers_start_from_a_command_without_suffix(long):
    """Workers import the command's file again: it must do nothing then."""
    command = long.root / "command"
    command.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from stepupd.store.audit_verify import verify_log\n"
        "if __name__ == '__main__':\n"
        "    log, note, vkey = sys.argv[1:]\n"
        "    report = verify_log(Path(log), note, vkey, jobs=2)\n"
        "    print(report.fault.line)\n"
    )
    arguments = [sys.executable, "-I", command, long.log, long.note, long.vkey]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=100)
    assert (done.stdout, done.stderr) == (f"{2 * CHUNK + 2}\n", "")


def test_requests_in_tests_are_those_that_are_signed():
    """The factory's request has all that the verifier compares."""
    assert set(make_request()) == {"action", "subject", "subject_uid", "caller_uid"}


@pytest.mark.parametrize(("level", "flags"), [(Level.TOUCH, 0x01), (Level.VERIFY, 0x05)])
def test_what_the_ceremonies_record_can_be_verified(site, level, flags):
    """The records of the core as they are, not as these tests imagine them."""
    key = make_key()
    now = make_snapshot(key.credential(), policy=make_policy(make_rule(level)))
    use = ask_for_assertion(now, now.credentials, Requirement(level))
    decision = StepUp(Requirement(level), "sudo")
    outcome = conclude_assertion(
        now, decision, now.credentials, key.sign(use.operations[0], flags=flags)
    )
    enrolled = replace(outcome, credential=key.credential())
    site.write([describe_step_up(now, enrolled, {}, "enrol"), describe_step_up(now, outcome, {})])
    caller, credential = now.request.caller, describe_credential(key.credential())
    site.write([describe_change("remove", caller, 1000, credential=credential)])
    report = site.verify()
    assert (report.fault, report.signatures) == (None, 2)
    site.write([describe_step_up(now, outcome, {})])
    assert site.verify().fault[:2] == (4, Reason.UNKNOWN_CREDENTIAL)
