"""Events pushed at the service: who may, what they take away, and what the log says."""

from dataclasses import replace

import pytest
from broker_support import ADA, BOB, OTHER, OWN, ROOT, SUDO, Person
from core_support import make_policy

from stepupd.core.errors import InternalError, RequestError
from stepupd.core.model import Answer, Caller, Door, Level, Reason, Requirement, Scope
from stepupd.core.policy import Rule, RuleEffect
from stepupd.core.risk.alerts import CONSEQUENCES, EventName, Pushed, SecurityEvent

DETECTOR = Caller(990, 4714, Door.SOCKET)
REVOKED = SecurityEvent("ada", EventName.SESSION_REVOKED, "logged out elsewhere")
ATTACKED = SecurityEvent("ada", EventName.RISK_LEVEL_CHANGE, "many wrong passwords", 600.0)

REMEMBERING = make_policy(
    Rule(
        name="sudo",
        actions=("pam:sudo",),
        effect=RuleEffect.REQUIRE,
        requirement=Requirement(Level.TOUCH, max_age=300, scope=Scope.SESSION),
    )
)


@pytest.fixture
def machine(house):
    """Let DETECTOR push events, and remember proofs for five minutes."""
    house.policy = REMEMBERING
    house.change(may_push_events=lambda caller: caller.uid == DETECTOR.uid)
    return house


def alerts(machine, uid=ADA.uid):
    return machine.world.activities.find(uid, machine.read_clock()).alerts


async def earn_grant(machine):
    machine.key.change_script(touch_after_ms=0)
    assert (await machine.step_up()).verdict.reason is Reason.PROVED
    machine.key.change_script(touch_after_ms=None)
    assert (await machine.step_up()).verdict.reason is Reason.GRANT


async def asks_again(machine):
    """Return whether the next request waits for a touch."""
    person = Person()
    asking = machine.begin(person)
    await person.sees("Touch")
    person.leave()
    return (await asking).verdict.answer is Answer.UNAVAILABLE


@pytest.mark.parametrize("caller", [SUDO, DETECTOR], ids=["root", "listed"])
async def test_a_revoked_session_ends_every_grant_at_once(machine, caller):
    await earn_grant(machine)

    pushed = await machine.service.push_event(caller, REVOKED)

    assert (pushed.revoked, pushed.lasts) == (1, 0)
    assert machine.list_grants() == ()
    assert await asks_again(machine)
    assert alerts(machine) == ()


@pytest.mark.parametrize("name", EventName)
async def test_each_event_does_what_the_table_says(machine, name):
    await earn_grant(machine)

    pushed = await machine.service.push_event(DETECTOR, replace(ATTACKED, name=name))

    does = CONSEQUENCES[name]
    assert pushed == Pushed(pushed.entry, int(does.revokes), 600.0 if does.alerts else 0)
    assert len(machine.list_grants()) == (0 if does.revokes else 1)
    assert [alert.kind for alert in alerts(machine)] == ([name.value] if does.alerts else [])


async def test_an_event_is_for_one_account(machine):
    await earn_grant(machine)

    await machine.service.push_event(
        DETECTOR, SecurityEvent("bob", EventName.CREDENTIAL_COMPROMISE)
    )

    assert len(machine.list_grants()) == 1
    assert alerts(machine) == ()
    assert [alert.kind for alert in alerts(machine, BOB.uid)] == ["credential-compromise"]


async def test_the_log_says_who_said_what(machine):
    await earn_grant(machine)
    event = replace(ATTACKED, name=EventName.ACCOUNT_DISABLED)

    pushed = await machine.service.push_event(DETECTOR, event)

    entry = machine.entries()[pushed.entry]
    known = {key: entry[key] for key in entry if key not in {"seq", "prev", "time"}}
    assert known == {
        "kind": "event",
        "caller_uid": 990,
        "caller_pid": 4714,
        "subject_uid": 1000,
        "event": "account-disabled",
        "subject": "ada",
        "reason": "many wrong passwords",
        "revoked": 1,
        "lasts": 600.0,
    }


async def test_an_alert_ends_by_itself_and_only_root_ends_it_before(machine):
    await machine.service.push_event(DETECTOR, ATTACKED)
    await machine.service.push_event(DETECTOR, replace(ATTACKED, lasts=0))
    assert len(alerts(machine)) == 1

    await machine.service.push_event(SUDO, replace(ATTACKED, lasts=0))
    assert alerts(machine) == ()

    await machine.service.push_event(DETECTOR, ATTACKED)
    machine.clock.now += 600
    assert alerts(machine) == ()


@pytest.mark.parametrize("caller", [OWN, OTHER], ids=["the subject himself", "another"])
@pytest.mark.parametrize("subject", ["ada", "bob", "root", "nobody-there", ""])
async def test_nobody_else_may(machine, caller, subject):
    """The same words for whoever exists and whoever does not; nothing changes or is logged."""
    await earn_grant(machine)
    before = len(machine.entries())

    with pytest.raises(RequestError) as refused:
        await machine.service.push_event(caller, replace(REVOKED, subject=subject))

    assert refused.value.reason == "not-permitted"
    assert "push events" in str(refused.value)
    assert len(machine.list_grants()) == 1
    assert len(machine.entries()) == before


async def test_may_push_is_no_right_to_name_others(machine):
    """Whoever may warn may neither ask for a proof, nor look at keys, nor revoke by hand."""
    for call in (
        machine.service.list_credentials(DETECTOR, "ada"),
        machine.service.list_grants(DETECTOR, "ada"),
        machine.service.revoke(DETECTOR, "ada", ""),
        machine.begin(caller=DETECTOR),
    ):
        with pytest.raises(RequestError) as refused:
            await call
        assert refused.value.reason == "not-permitted"


async def test_may_name_others_is_no_right_to_push(machine):
    machine.change(may_name_others=lambda caller: caller.uid == OTHER.uid)

    with pytest.raises(RequestError):
        await machine.service.push_event(OTHER, REVOKED)


async def test_an_account_that_is_not_there(machine):
    for subject in ("nobody-there", "", "0"):
        with pytest.raises(RequestError) as refused:
            await machine.service.push_event(SUDO, replace(REVOKED, subject=subject))
        assert refused.value.reason == "no-such-account"


async def test_what_is_taken_away_is_gone_though_the_log_fails(machine):
    """A full disk keeps no attacker's grant alive."""
    await earn_grant(machine)

    class Full:
        async def append(self, _record):
            raise InternalError("no space left", reason="store-unavailable")

    machine.change(journal=Full())
    event = replace(ATTACKED, name=EventName.CREDENTIAL_COMPROMISE)
    with pytest.raises(InternalError):
        await machine.service.push_event(DETECTOR, event)

    assert machine.list_grants() == ()
    assert len(alerts(machine)) == 1


async def test_one_step_that_fails_keeps_no_other_from_being_tried(machine):
    """The alert cannot be stored: the grants are gone all the same, and the log tells of both."""
    await earn_grant(machine)
    (machine.folder / "alerts" / f".{ADA.uid}.alerts.new").mkdir()

    with pytest.raises(InternalError) as failed:
        await machine.service.push_event(
            DETECTOR, replace(ATTACKED, name=EventName.CREDENTIAL_COMPROMISE)
        )

    assert failed.value.reason == "store-unavailable"
    assert machine.list_grants() == ()
    entry = machine.entries()[-1]
    assert (entry["kind"], entry["revoked"]) == ("event", 1)
    assert "cannot be stored" in entry["error"]


async def test_root_is_an_account_like_any_other(machine):
    """Root's own requests can be warned of too."""
    await machine.service.push_event(DETECTOR, replace(ATTACKED, subject="root"))

    assert len(alerts(machine, ROOT.uid)) == 1
