"""How a log is shared out among processes: so that none of them waits for another for long."""

import json
from collections import Counter

from stepupd.store.past_log import EVERYBODY, Shares, share_out


def write(uid, kind="step-up"):
    return json.dumps({"kind": kind, "request": {"subject_uid": uid}}).encode() + b"\n"


def test_busy_subjects_are_spread_by_what_they_do(tmp_path):
    """By uid alone, one process would have all of it."""
    lines = [write(2), write(4), write(2), write(6)] * 500
    log = tmp_path / "audit.log"
    log.write_bytes(b"".join(lines))

    shares = share_out(log, log.stat().st_size, 2)

    assert Counter(map(shares.find, lines)) == {0: 1000, 1: 1000}


def test_every_line_has_its_shard_even_if_no_sample_showed_it():
    """What concerns no subject is for all of them; what is no entry counts once."""
    shares = Shares(2, {7: 0})

    assert [shares.find(write(uid)) for uid in (7, 8, 9)] == [0, 0, 1]
    assert shares.find(b'{"kind":"start"}\n') == EVERYBODY
    assert shares.find(b"no entry\n") == 0


def test_an_empty_log_is_shared_out(tmp_path):
    log = tmp_path / "audit.log"
    log.write_bytes(b"")

    assert share_out(log, 0, 2) == Shares(2)
