"""The daemon is killed at every durable step of a change: all of it or nothing, and no replay."""

import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from crash_support import UNTOLD, Doomed


def enrol(machine: Doomed) -> None:
    machine.key(1).script(touch_after_ms=0)
    machine.key().unplug()
    with machine.client() as client:
        client.call("Enroll", {"name": "red"})


def prove(machine: Doomed) -> None:
    machine.key().script(touch_after_ms=0)
    with machine.client() as client:
        client.call("StepUp", {"action": "cli:other"})


def revoke(machine: Doomed) -> None:
    with machine.client() as client:
        client.call("Revoke")


def remove(machine: Doomed) -> None:
    machine.key().script(touch_after_ms=0)
    with machine.client() as client:
        client.call("RemoveCredential", {"credential": "blue"})


ACTIONS = {"enrol": enrol, "prove": prove, "revoke": revoke, "remove": remove}


@pytest.fixture
def made():
    """Collect machines; whatever runs at the end is killed."""
    machines: list[Doomed] = []
    yield machines
    for machine in machines:
        machine.kill()


@pytest.mark.parametrize("action", ACTIONS)
def test_killed_at_every_durable_step(short_path, made, action):
    """After each crash the store is old or new, the log verifies, and the next request works."""
    origin = _prepare(short_path / "origin")
    made.append(origin)
    before = _Facts(origin)
    origin.arm()
    ACTIONS[action](origin)
    count = int(origin.count_file.read_text())
    after = _Facts(origin)
    origin.kill()
    assert count >= 2
    assert before != after
    seen = []

    for fatal, moment in [
        *((number, "before") for number in range(1, count + 1)),
        (count, "after"),
    ]:
        machine = _copy(short_path / "origin-kept", short_path / f"{fatal}-{moment}")
        made.append(machine)
        machine.moment, machine.fatal = moment, fatal
        machine.start()
        machine.arm()
        with suppress(*UNTOLD):
            ACTIONS[action](machine)
        assert machine.process.wait(20) == -signal.SIGKILL
        machine.fatal = 0
        machine.start()
        seen.append(_Facts(machine))
        _check_aftermath(machine, seen[-1], before, after)
        machine.kill()

    assert before in seen
    assert seen[-1] == after


def _prepare(base: Path) -> Doomed:
    """Return a running machine with an enrolled key and a grant; its files are kept in a copy."""
    base.mkdir()
    machine = Doomed(base, keys=2)
    machine.start()
    machine.enroll()
    assert machine.step_up()["reason"] == "proved"
    machine.stop()
    shutil.copytree(base, base.with_name("origin-kept"), ignore=shutil.ignore_patterns("*.sock"))
    return machine.start()


def _copy(kept: Path, base: Path) -> Doomed:
    machine = Doomed(base, keys=2)
    shutil.copytree(kept, base, dirs_exist_ok=True)
    return machine


class _Facts:
    """What a daemon remembers: keys with their counters, and grants."""

    def __init__(self, machine: Doomed) -> None:
        with machine.client() as client:
            self.keys = {
                key["name"]: key["sign_count"]
                for key in client.call("ListCredentials")["credentials"]
            }
            self.grants = len(client.call("ListGrants")["grants"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Facts) and vars(self) == vars(other)

    __hash__ = None

    def __repr__(self) -> str:
        return f"{self.keys}, {self.grants} grants"


def _check_aftermath(machine: Doomed, found: _Facts, before: _Facts, after: _Facts) -> None:
    assert set(found.keys) in (set(before.keys), set(after.keys))
    assert all(found.keys[name] >= before.keys.get(name, 0) for name in found.keys)
    assert found.grants in (before.grants, after.grants)
    # What was stored was recorded first; two proofs are older than the crash.
    entries = machine.read_entries()
    kinds = [entry["kind"] for entry in entries]
    if set(found.keys) != set(before.keys):
        assert kinds.count("enrol") == 2 or "removing" in kinds
    if found.keys.get("blue", 0) > before.keys["blue"]:
        assert sum("evidence" in entry for entry in entries) > 2
    # A key that is gone keeps no grant alive.
    assert "blue" in found.keys or found.grants == 0
    machine.key().plug()
    result = machine.step_up()
    assert result["verdict"] == ("allow" if "blue" in found.keys else "unavailable"), result
    report = machine.verify()
    assert report.is_intact, report
    nonces = [e["challenge"]["nonce"] for e in machine.read_entries() if "challenge" in e]
    assert len(nonces) == len(set(nonces))


def test_stopped_while_a_key_blinks(running):
    """SIGTERM ends the ceremony as a caller who leaves does: one entry, and the daemon stops."""
    with running.client() as client:
        params = {"action": "cli:test"}
        client._send({"jsonrpc": "2.0", "id": 1, "method": "StepUp", "params": params})
        assert running.key().wait_for_blink()
        running.stop()

    assert running.read_verdicts()[-1] == ("step-up", "caller-gone")
    assert [entry["kind"] for entry in running.read_entries()][-2:] == ["step-up", "stop"]
