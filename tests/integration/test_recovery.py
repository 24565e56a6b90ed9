"""Recovery codes on the whole daemon: made, used once, gone; also after kill -9."""

import json

import pytest
from daemon_support import POLICY

from stepupd.core.errors import InternalError
from stepupd.core.recovery_code import store_code
from stepupd.store.recovery import RecoveryStore

KEY = b"k" * 32
CODES = tuple(store_code(code * 20, b"s" * 16) for code in "ABC")


@pytest.fixture
def codes(running):
    """Make a set for root, lose the only key for good, under a rule that takes codes."""
    running.write_policy(POLICY + "recovery = true\n")
    running.stop()
    running.start()
    with running.client() as client:
        made = client.call("MakeRecoveryCodes")
        client.call("RemoveCredential", {"credential": "blue"})
    return made["codes"]


def recover(machine, *typed):
    """Ask for a step-up, type these codes one after another; return the answer and the prompts."""
    answers, texts = iter(typed), []

    def answer(text, _is_hidden):
        texts.append(text)
        return next(answers, None)

    with machine.client() as client:
        return client.step_up("cli:verify", on_ask=answer), texts


def test_a_code_works_once(running, codes):
    """Attack 91: the second use of the same code is refused, the next code works."""
    first, texts = recover(running, codes[0])
    again, _ = recover(running, codes[0], "")
    other, _ = recover(running, codes[1].lower())

    assert first.is_allowed
    assert first.fields["amr"] == ["otp"]
    assert "Recovery code" in texts[0]
    assert again.reason == "cancelled"
    assert other.is_allowed


def test_a_used_code_stays_used_after_kill_9(running, codes):
    """Durable before the answer leaves."""
    assert recover(running, codes[0])[0].is_allowed
    running.kill()
    running.start()

    assert recover(running, codes[0], codes[0])[0].reason == "bad-code"


def test_new_codes_replace_the_old_ones(running, codes):
    with running.client() as client:
        client.call("MakeRecoveryCodes")
        left = client.call("ListCredentials")["recovery_codes"]

    assert left == len(codes)
    assert recover(running, codes[0], codes[0])[0].reason == "bad-code"


def test_no_code_is_written_anywhere(running, codes):
    """Attack 91, 125: the log knows which code by its tag, and nobody stores the rest."""
    recover(running, codes[0])
    running.stop()
    secret = codes[0].replace("-", "")[4:].encode()
    everything = b"".join(path.read_bytes() for path in running.base.rglob("*") if path.is_file())

    assert secret not in everything
    assert codes[0].encode() not in everything
    entry = json.loads(running.log.read_text().splitlines()[-2])
    assert entry["evidence"] == {"method": "recovery", "code": codes[0][:4]}
    assert entry["alarm"]


def test_two_users_of_one_code_race_for_it(tmp_path):
    """Attack 100's like: only one consumes it."""
    tmp_path.chmod(0o700)
    store = RecoveryStore(tmp_path, KEY)
    store.replace_codes(7, CODES)
    store.consume(7, CODES[1].tag)

    with pytest.raises(InternalError):
        store.consume(7, CODES[1].tag)
    assert store.list_codes(7) == (CODES[0], CODES[2])


@pytest.mark.parametrize("damage", ["flip", "cut", "other", "empty"])
def test_a_damaged_file_means_no_codes(tmp_path, damage):
    """Empty means no: never somebody else's codes, never a used one back by an edit."""
    tmp_path.chmod(0o700)
    RecoveryStore(tmp_path, KEY).replace_codes(7, CODES)
    path = tmp_path / "7.codes"
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage == "other":
        path.rename(tmp_path / "8.codes")
    path = tmp_path / ("8.codes" if damage == "other" else "7.codes")
    path.write_bytes({"cut": content[:-1], "empty": b""}.get(damage, bytes(content)))
    path.chmod(0o600)

    assert RecoveryStore(tmp_path, KEY).list_codes(8 if damage == "other" else 7) == ()
