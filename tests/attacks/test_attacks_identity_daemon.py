"""Group B on the whole daemon: an account speaks for itself and for nobody else."""

import json
import os
import traceback

import pytest

from stepupd.api.methods import METHODS
from stepupd.client import CallRefused

CALLER = 1
"""Debian's account `daemon`: it exists everywhere and nobody uses it."""

VICTIM = "nobody"

# Every method that names a subject, with parameters that are good but for the subject.
FOR_ANOTHER = {
    "StepUp": {"action": "cli:verify"},
    "Enroll": {"name": "mine"},
    "ListCredentials": {},
    "RenameCredential": {"credential": "blue", "name": "mine"},
    "RemoveCredential": {"credential": "blue"},
    "MakeRecoveryCodes": {},
    "ListGrants": {},
    "ShowProfile": {},
    "ForgetProfile": {},
    "Revoke": {},
    "PushEvent": {"event": "session-revoked"},
}
NAMES_NOBODY = {"Status"}


@pytest.fixture
def open_machine(machine):
    """Start a daemon that every account may reach, as the system's, with a key of VICTIM."""
    machine.start()
    (machine.runtime / "stepupd.sock").chmod(0o666)
    machine.enroll(subject=VICTIM)
    return machine


def ask_as(uid, machine, method, params):
    """Call from a process of another account; return what came back, or the refusal's reason."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            with machine.client() as client:
                try:
                    answer = {"result": client.call(method, params)}
                except CallRefused as error:
                    answer = {"refused": error.reason, "message": str(error)}
            os.write(writer, json.dumps(answer).encode())
        except BaseException:  # noqa: BLE001 - the child must not go on with the parent's tests
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def test_attack_023_every_method_is_in_the_table():
    """A new method that names a subject fails here until it has a row."""
    assert set(METHODS) == set(FOR_ANOTHER) | NAMES_NOBODY


@pytest.mark.parametrize("method", FOR_ANOTHER)
def test_attack_023_nobody_acts_for_another(open_machine, method):
    """No method serves an ordinary account that names another one, and nothing changes."""
    before = len(open_machine.read_entries())
    answer = ask_as(CALLER, open_machine, method, FOR_ANOTHER[method] | {"subject": VICTIM})

    assert answer.get("refused") == "not-permitted"
    assert open_machine.key().state()["waiting"] is False
    assert len(open_machine.read_entries()) == before


@pytest.mark.parametrize("method", FOR_ANOTHER)
def test_attack_023_a_stranger_learns_nothing_of_who_exists(open_machine, method):
    """Promise 6: the same words for an account that has a key, has none, or does not exist."""
    answers = [
        ask_as(CALLER, open_machine, method, FOR_ANOTHER[method] | {"subject": subject})
        for subject in (VICTIM, "games", "no-such-account-anywhere")
    ]

    assert answers[0] == answers[1] == answers[2]


def test_attack_024_odd_subjects_are_no_accounts(open_machine):
    """Numbers, signs and lists are names that nobody has, for root too."""
    for subject in ("0", "-1", "#-1", "4294967295", "4294967296", "65534", "root\n", " root"):
        with open_machine.client() as client, pytest.raises(CallRefused):
            client.call("StepUp", {"action": "cli:verify", "subject": subject})


def test_attack_097_an_ordinary_grant_never_serves_root(open_machine):
    """What an ordinary process earned under sudo's action name does not let sudo pass."""
    open_machine.enroll("own", subject="daemon")
    open_machine.key().script(touch_after_ms=0)
    params = {"action": "pam:sudo", "subject": "daemon"}
    assert ask_as(CALLER, open_machine, "StepUp", params)["result"]["reason"] == "proved"

    with open_machine.client() as client:
        answer = client.call("StepUp", params)

    assert answer["reason"] == "proved"
