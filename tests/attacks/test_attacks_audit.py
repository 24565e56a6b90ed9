"""Attacks on the audit log: forged lines, lost tails, forks, crashes."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

# The test folders are no packages; what the audit tests share lives beside the integration tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

from audit_support import ORIGIN, Key, Site, enrol, grant, prove

from stepupd.core.entry import LINE_LIMIT
from stepupd.core.errors import ConfigError

BLUE = Key("blue")

HOSTILE = [
    'x"}\n{"seq":1,"kind":"enrol","verdict":{"answer":"allow"}}',
    "\r\nOct 1 host sudo: root : COMMAND=/bin/true\r\n",
    "nul\0nul",
    "\x1b]52;c;cm0gLXJmIC8=\x07\x1b[2K\x9b1A",
    "\u202egnp.exe\u2066\u2069\u200b\u2028\u2029\x85",
    "".join(map(chr, range(0x20))) + "\x7f",
    b"\xff\xfe\x80".decode("utf-8", "surrogateescape"),
    "\ud800 \udfff \udfff\ud800",
    '\\"\\\\"}}]]',
    "\U0001f511" * 10,
]


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


@pytest.mark.parametrize("text", HOSTILE)
def test_attack_121_text_of_a_caller_never_leaves_its_field(site, text):
    """Wherever it stands, a text is one value in one printable line, and comes back unchanged."""
    record = {
        "kind": "step-up",
        "request": {"action": text, "subject": text},
        "claim": {"command": [text, text], "reason": text},
        "signals": [{"name": "x", "reason": text}],
        text: text,
    }
    site.write([record, grant()])
    first, second = site.lines()
    assert all(0x20 <= byte < 0x7F for byte in first[:-1])
    fields = json.loads(first)
    assert {name: fields[name] for name in record} == record
    assert json.loads(second)["kind"] == "step-up"
    assert site.verify().entries == 2


def test_attack_121_a_mebibyte_in_every_field_is_one_bounded_line(site):
    huge = "\U0001f511" * (1 << 18)
    record = {
        "kind": "step-up",
        "request": {"action": huge, "subject": huge},
        "claim": {"command": [huge] * 10, "reason": huge, "rhost": huge},
    }
    site.write([record, grant()])
    first, _ = site.lines()
    assert len(first) <= LINE_LIMIT
    assert json.loads(first)["claim"]["reason"].endswith("]")
    assert site.verify().entries == 2


def write_ten(site):
    notes = []
    with site.open(notes.append) as log:
        for record in (enrol(BLUE), prove(BLUE), *map(grant, range(8))):
            log.append_now(record)
    return notes


@pytest.mark.parametrize("lost", [1, 2, 5, 9, 10])
def test_attack_122_a_lost_tail_is_found(site, lost):
    write_ten(site)
    site.log.write_bytes(b"".join(site.lines()[: 10 - lost]))
    fault = site.verify().fault
    assert (fault.line, fault.reason) == (11 - lost, "truncated")
    with pytest.raises(ConfigError, match="gone from its end"):
        site.open()


def delete_middle(lines):
    del lines[4]


def swap_two(lines):
    lines[4], lines[6] = lines[6], lines[4]


def reorder(lines):
    lines[4:] = reversed(lines[4:])


def renumber(lines):
    """Take one out and close the gap."""
    del lines[4]
    for index, line in enumerate(lines[4:], 4):
        lines[index] = line.replace(f'"seq":{index + 1}'.encode(), f'"seq":{index}'.encode())


def unseal(lines):
    """Begin the log anew from the fifth line on, as if it had been empty."""
    lines[4] = lines[4].replace(b'"seq":4', b'"seq":0')


@pytest.mark.parametrize("attack", [delete_middle, swap_two, reorder, renumber, unseal])
def test_attack_122_a_splice_is_found_at_its_first_line(site, attack):
    write_ten(site)
    lines = site.lines()
    attack(lines)
    site.log.write_bytes(b"".join(lines))
    assert site.verify().fault.line == 5


def test_attack_122_yesterdays_file_is_found(site):
    """The log alone is restored: it is shorter than its checkpoint."""
    site.write([grant()])
    backup = site.log.read_bytes()
    site.write([grant()])
    site.log.write_bytes(backup)
    assert site.verify().fault[:2] == (2, "truncated")
    with pytest.raises(ConfigError):
        site.open()


def test_attack_122_yesterdays_file_with_its_checkpoint_is_found_by_the_journal(site):
    site.write([grant()])
    backup = {path: path.read_bytes() for path in (site.log, site.checkpoint)}
    notes = write_ten(site)
    for path, content in backup.items():
        path.write_bytes(content)
    assert site.verify(anchors=notes).fault[:2] == (2, "truncated")


def test_attack_122_a_log_sealed_again_with_a_newer_key_is_found(site, tmp_path):
    """Old entries under a new key: the key that was trusted did not sign it."""
    write_ten(site)
    forger = Site(tmp_path / "forger")
    forger.write([enrol(BLUE), *map(grant, range(9))])
    site.log.write_bytes(forger.log.read_bytes())
    site.checkpoint.write_bytes(forger.checkpoint.read_bytes())
    assert site.verify(checkpoint=forger.note).fault[:2] == (0, "bad-checkpoint")
    with pytest.raises(ConfigError, match="signed"):
        site.open()


def test_attack_122_an_empty_file_is_found(site):
    write_ten(site)
    site.log.write_bytes(b"")
    assert site.verify().fault[:2] == (1, "truncated")
    with pytest.raises(ConfigError):
        site.open()


def test_attack_123_fifty_writers_make_one_chain(site):
    def write(log, seqs):
        seqs.extend(log.append_now(grant(number)) for number in range(40))

    lists = [[] for _ in range(50)]
    with site.open() as log:
        threads = [threading.Thread(target=write, args=(log, seqs)) for seqs in lists]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(seq for seqs in lists for seq in seqs) == list(range(2000))
    assert all(seqs == sorted(seqs) for seqs in lists)
    report = site.verify()
    assert (report.fault, report.entries, report.covered) == (None, 2000, 2000)


WRITER = """
import sys, threading
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from stepupd.store.audit_log import AuditLog
log, checkpoint, seed, origin = sys.argv[1:]
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(seed))
audit = AuditLog(Path(log), Path(checkpoint), key, origin)
def write():
    while True:
        seq = audit.append_now({"kind": "step-up", "text": "x" * 500})
        sys.stdout.write(f"{seq}\\n")
        sys.stdout.flush()
for _ in range(2):
    threading.Thread(target=write).start()
write()
"""


def test_attack_123_a_killed_writer_loses_nothing_it_had_acknowledged(site):
    """SIGKILL at 30 points, one log throughout: each start finds every acknowledged entry."""
    command = [sys.executable, "-I", "-c", WRITER, site.log, site.checkpoint]
    command += [site.key.private_bytes_raw().hex(), ORIGIN]
    newest = -1
    for run in range(30):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            for _ in range(7 * run % 37 + 1):
                newest = max(newest, int(writer.stdout.readline()))
            writer.kill()
            # The last line may be cut short; whole ones were acknowledged before the kill.
            rest = [line for line in writer.stdout if line.endswith(b"\n")]
        newest = max([newest, *map(int, rest)])
        with site.open() as log:
            assert log.count() > newest
            newest = log.append_now(grant())
        report = site.verify()
        assert (report.fault, report.uncovered, report.torn_bytes) == (None, 0, 0)
