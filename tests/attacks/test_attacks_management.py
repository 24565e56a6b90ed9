"""Nobody adds, renames or removes a key without a key (attacks 70, 146), on the whole daemon."""

import threading

import pytest
from test_attacks_identity_daemon import CALLER, ask_as, open_machine  # noqa: F401 - a fixture

CHANGES = {
    "Enroll": {"name": "second"},
    "RenameCredential": {"credential": "first", "name": "mine"},
    "RemoveCredential": {"credential": "first"},
    "MakeRecoveryCodes": {},
}


@pytest.fixture
def owner(open_machine):  # noqa: F811 - the fixture above
    """Give the ordinary account a key of its own."""
    open_machine.enroll("first", subject="daemon")
    return open_machine


def names(machine):
    with machine.client() as client:
        listed = client.call("ListCredentials", {"subject": "daemon"})
    return [credential["name"] for credential in listed["credentials"]]


@pytest.mark.parametrize("method", CHANGES)
def test_attack_070_a_change_without_a_touch_changes_nothing(owner, method):
    """The person of the session declines: the same account's malware gets nothing."""
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(ask_as(CALLER, owner, method, CHANGES[method]))
    )
    asking.start()
    assert owner.key().wait_for_blink(20)
    assert owner.key().deny()
    asking.join(20)

    assert answers[0]["result"]["verdict"] == "deny"
    assert answers[0]["result"]["reason"] == "declined"
    assert names(owner) == ["first"]


@pytest.mark.parametrize(
    ("method", "left"),
    [("RenameCredential", ["mine"]), ("RemoveCredential", []), ("MakeRecoveryCodes", ["first"])],
)
def test_attack_070_a_touch_of_an_enrolled_key_allows_it(owner, method, left):
    """With the proof it works, and proof and change are two entries of the log."""
    owner.key().script(touch_after_ms=0)
    answer = ask_as(CALLER, owner, method, CHANGES[method])

    assert answer["result"]["verdict"] == "allow"
    assert names(owner) == left
    proof, change = [e for e in owner.read_entries() if e["kind"] != "removing"][-2:]
    assert proof["verdict"] == {"answer": "allow", "reason": "proved"}
    assert change["kind"] in {"rename", "remove", "recovery-codes"}


def test_attack_070_a_grant_is_no_proof_for_managing_keys(owner):
    """Managing keys asks for a fresh touch each time, whatever policy remembers."""
    owner.key().script(touch_after_ms=0)
    ask_as(CALLER, owner, "StepUp", {"action": "stepup:remove"})
    ask_as(CALLER, owner, "RemoveCredential", {"credential": "first"})

    proof = [entry for entry in owner.read_entries() if "verdict" in entry][-1]
    assert proof["request"]["action"] == "stepup:remove"
    assert proof["verdict"]["reason"] == "proved"


def test_attack_070_only_root_enrols_for_another(owner):
    answer = ask_as(CALLER, owner, "Enroll", {"name": "mine", "subject": "games"})

    assert answer["refused"] == "not-permitted"
