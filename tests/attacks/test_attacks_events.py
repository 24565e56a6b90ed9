"""Events through a whole daemon: only who is listed pushes them (attack 147), and they count.

The right to push one thing is no right to anything else, nor the other way round.
"""

import pytest
from test_attacks_identity_daemon import FOR_ANOTHER, ask_as

PUSHER, NAMER, STRANGER, SUBJECT = 1, 2, 3, "nobody"
"""Debian's accounts daemon, bin and sys; they exist everywhere and nobody uses them."""

SETTINGS = f"[callers]\nmay_push_events = [{PUSHER}]\nmay_name_others = [{NAMER}]\n"
PUSH = {"subject": SUBJECT, "event": "session-revoked", "reason": "logged out elsewhere"}


@pytest.fixture
def listed(machine):
    """Start a daemon with a pusher and a namer; SUBJECT has a key."""
    (machine.base / "config" / "stepupd" / "stepupd.toml").write_text(SETTINGS)
    machine.start()
    (machine.runtime / "stepupd.sock").chmod(0o666)
    machine.enroll(subject=SUBJECT)
    return machine


def push(machine, **changes):
    with machine.client() as client:
        return client.call("PushEvent", PUSH | changes)


def remember_proof(machine):
    """Earn SUBJECT a grant, as sudo would; return how many there are."""
    machine.key().script(touch_after_ms=0)
    with machine.client() as client:
        client.call("StepUp", {"action": "cli:x", "subject": SUBJECT})
        return len(client.call("ListGrants", {"subject": SUBJECT})["grants"])


def read_events(machine):
    return [entry for entry in machine.read_entries() if entry["kind"] == "event"]


def test_attack_147_the_matrix(listed):
    """Role by method, for another's account: all is refused that is not named here."""
    listed.key().script(touch_after_ms=0)
    allowed = {(PUSHER, "PushEvent")}
    # What a namer may: ask for the subject's proof.
    allowed |= {(NAMER, "StepUp")}

    found = set()
    for uid in (PUSHER, NAMER, STRANGER):
        for method, params in FOR_ANOTHER.items():
            answer = ask_as(uid, listed, method, params | {"subject": SUBJECT})
            if answer.get("refused") != "not-permitted":
                found.add((uid, method))

    assert found == allowed


@pytest.mark.parametrize("uid", [NAMER, STRANGER])
@pytest.mark.parametrize("subject", ["own", SUBJECT, "root", "no-such-account-anywhere"])
def test_attack_147_who_is_not_listed_pushes_nothing(listed, uid, subject):
    """Not about himself either, and nothing tells him who exists."""
    before = remember_proof(listed)
    name = {NAMER: "bin", STRANGER: "sys"}[uid] if subject == "own" else subject
    answer = ask_as(uid, listed, "PushEvent", PUSH | {"subject": name})

    assert answer["refused"] == "not-permitted"
    assert answer["message"].startswith("you may not push events")
    assert before == remember_proof(listed) == 1
    assert read_events(listed) == []


def test_attack_147_who_is_listed_revokes_at_once(listed):
    assert remember_proof(listed) == 1

    answer = ask_as(PUSHER, listed, "PushEvent", PUSH)

    assert answer["result"]["revoked"] == 1
    (entry,) = read_events(listed)
    assert entry["seq"] == answer["result"]["entry"]
    assert (entry["caller_uid"], entry["subject"], entry["event"], entry["revoked"]) == (
        PUSHER,
        SUBJECT,
        "session-revoked",
        1,
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "account-enabled"},
        {"event": "Session-Revoked"},
        {"event": ""},
        {"event": None},
        {"event": "https://schemas.openid.net/secevent/caep/event-type/session-revoked"},
        {"subject": ""},
        {"subject": "nobody\n"},
        {"lasts": -1},
        {"lasts": 7 * 86400 + 1},
        {"lasts": "1h"},
        {"reason": "x" * 513},
        {"uid": 0},
        {"strength": 0},
    ],
    ids=str,
)
def test_attack_147_what_is_no_event_is_refused(listed, wrong):
    answer = ask_as(PUSHER, listed, "PushEvent", PUSH | wrong)

    assert answer["refused"] == "bad-request"
    assert read_events(listed) == []


def test_attack_147_a_crash_forgets_no_alert(listed):
    """Killing the daemon is no way to look ordinary again."""
    listed.write_policy(
        '[[rule]]\nname = "x"\naction = "cli:x"\nallow = true\n'
        "[risk]\nladder = [{ score = 50, deny = true }]\n[risk.weights]\nalert = 100\n"
    )
    listed.stop()
    listed.start()
    (listed.runtime / "stepupd.sock").chmod(0o666)
    ask = {"action": "cli:x", "subject": SUBJECT}
    with listed.client() as client:
        assert client.call("StepUp", ask)["reason"] == "rule-allows"
    raised = ask_as(PUSHER, listed, "PushEvent", PUSH | {"event": "risk-level-change"})
    assert raised["result"]["lasts"] == 86400
    with listed.client() as client:
        assert client.call("StepUp", ask)["reason"] == "risk-denies"

    listed.kill()
    listed.start()

    with listed.client() as client:
        assert client.call("StepUp", ask)["reason"] == "risk-denies"
        push(listed, event="risk-level-change", lasts=0)
        assert client.call("StepUp", ask)["reason"] == "rule-allows"
