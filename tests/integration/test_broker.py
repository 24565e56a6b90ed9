"""The broker over real stores and keys: one outcome, one entry, and no failure that allows."""

import pytest
from broker_support import ADA, SUDO, House, Person
from core_support import make_policy, make_rule
from device_support import all_threads_end, blink, idle, make_key, touch

from stepupd.core.effects import TroubleKind
from stepupd.core.errors import InternalError
from stepupd.core.model import Answer, Level, Reason, Scope
from stepupd.core.policy import Rule, RuleEffect
from stepupd.devices.simulated import Lie

PIN = "123456"
REMEMBERED = make_policy(make_rule(max_age=300, scope=Scope.SESSION))
VERIFIED = make_policy(make_rule(Level.VERIFY))


async def test_a_touch_allows_and_is_recorded_with_its_proof(house):
    """Allow names the entry; the entry holds request, rule, proof and times, and verifies."""
    using = house.begin()
    await touch(house.key)
    result = await using

    assert (result.verdict.answer, result.verdict.reason) == (Answer.ALLOW, Reason.PROVED)
    assert (result.level, result.amr, result.auth_age) == (Level.TOUCH, ("swk", "pop"), 0.0)
    entry = house.entries()[-1]
    assert entry["seq"] == result.entry
    assert entry["verdict"] == {"answer": "allow", "reason": "proved"}
    assert entry["decision"]["rule"] == "sudo"
    assert entry["request"]["claim"] == {"command": ["systemctl", "restart", "db"]}
    assert entry["evidence"]["method"] == "fido2"
    assert set(entry["latency_ms"]) == {"gather", "person", "whole"}
    assert all(value >= 0 for value in entry["latency_ms"].values())
    assert entry["latency_ms"]["person"] <= entry["latency_ms"]["whole"]
    report = house.verify()
    assert report.is_intact, report
    assert report.signatures == 2


async def test_the_counter_is_stored_before_anyone_hears_of_it(house):
    """The use of the key is in the store once the answer is out."""
    (before,) = house.credentials.list_credentials(ADA.uid)
    using = house.begin()
    await touch(house.key)
    await using

    (after,) = house.credentials.list_credentials(ADA.uid)
    assert after.sign_count == before.sign_count + 1
    assert after.last_used == house.read_clock().wall


async def test_a_grant_answers_the_next_request(house):
    """The second request shows nothing, touches nothing, and names the grant it rests on."""
    house.policy = REMEMBERED
    using = house.begin()
    await touch(house.key)
    grant = (await using).grant
    blinks = house.key.describe()["blinks"]
    house.clock.now += 7
    person = Person()

    result = await house.step_up(person)

    assert (result.verdict.reason, result.grant) == (Reason.GRANT, grant)
    assert result.auth_age == 7
    assert person.seen == []
    assert house.key.describe()["blinks"] == blinks
    assert house.entries()[-1]["decision"]["grant"] == grant.id


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Rule("no", ("*",), RuleEffect.DENY), Reason.RULE_DENIES),
        (make_rule(actions=("other:*",)), Reason.NO_RULE),
        (Rule("yes", ("*",), RuleEffect.ALLOW), Reason.RULE_ALLOWS),
    ],
)
async def test_what_policy_answers_by_itself_touches_no_key(house, rule, expected):
    """No prompt, one entry."""
    house.policy = make_policy(rule)
    count = len(house.entries())
    person = Person()

    result = await house.step_up(person)

    assert result.verdict.reason is expected
    assert result.verdict.is_allow == (expected is Reason.RULE_ALLOWS)
    assert person.seen == []
    assert len(house.entries()) == count + 1


async def test_the_deadline_is_a_refusal_and_the_key_goes_dark(house):
    """Nobody touches: denied, recorded once."""
    using = house.begin()
    await blink(house.key)
    house.clock.now += 31

    assert (await using).verdict.reason is Reason.TIMEOUT
    await idle(house.key)
    assert house.reasons() == ["timeout"]


@pytest.mark.parametrize(
    ("kind", "answer", "reason"),
    [
        (TroubleKind.CANCELLED, Answer.DENY, Reason.CANCELLED),
        (TroubleKind.HANG_UP, Answer.UNAVAILABLE, Reason.CALLER_GONE),
    ],
)
async def test_leaving_while_the_key_blinks(house, kind, answer, reason):
    """Cancelling is the person's refusal, hanging up is nobody's; the blinking ends either way."""
    person = Person()
    using = house.begin(person)
    await blink(house.key)
    person.leave(kind)

    verdict = (await using).verdict
    assert (verdict.answer, verdict.reason) == (answer, reason)
    await idle(house.key)
    assert house.reasons() == [reason.value]


async def test_leaving_at_every_moment(tmp_path):
    """Whatever was shown or asked last: one entry, no allow, no grant, no counter, no thread."""
    house = House(tmp_path, make_key(pin=PIN), policy=VERIFIED)
    await house.enrol(house.key)
    (before,) = house.credentials.list_credentials(ADA.uid)
    house.key.change_script(touch_after_ms=0)
    moment, is_allowed = 0, False
    while not is_allowed:
        count = len(house.entries())
        person = _make_leaver(moment)
        result = await house.step_up(person)
        is_allowed = result.verdict.is_allow
        assert len(house.entries()) == count + 1
        assert is_allowed == (not person.gone.done())
        if not is_allowed:
            assert result.verdict.reason is Reason.CALLER_GONE
            assert house.credentials.list_credentials(ADA.uid) == (before,)
        await idle(house.key)
        moment += 1

    # At once, at the PIN and at the touch; the fourth time nobody leaves.
    assert moment == 4
    await all_threads_end()
    house.close()


def _make_leaver(moment: int) -> Person:
    """Return somebody who knows the PIN and leaves at the n-th text; 0 is before all of them."""
    person = Person(PIN)

    def leave_in_time() -> None:
        if len(person.seen) == moment:
            person.leave()

    person._on_event = leave_in_time
    leave_in_time()
    return person


async def test_leaving_between_the_touch_and_the_entry(house):
    """A touch that was made for a caller who is gone allows nothing."""
    person = Person()
    house.policy = REMEMBERED
    using = house.begin(person)
    await blink(house.key)
    # In the same turn of the loop: the answer of the key is under way when the caller goes.
    house.key.touch()
    person.leave()

    assert (await using).verdict.reason is Reason.CALLER_GONE
    assert house.list_grants() == ()


async def test_a_question_nobody_answers_ends(tmp_path):
    """Somebody who never types the PIN is a timeout."""
    policy = make_policy(make_rule(Level.VERIFY, deadline=0.1))
    house = House(tmp_path, make_key(pin=PIN), policy=policy)
    await house.enrol(house.key)

    assert (await house.step_up(Person())).verdict.reason is Reason.TIMEOUT
    assert house.reasons() == ["timeout"]
    house.close()


class BrokenJournal:
    """A log whose disk is full."""

    def __init__(self) -> None:
        self.records = []

    def append_now(self, record):
        self.records.append(record)
        raise InternalError("the audit log cannot be written: No space left on device")

    async def append(self, record):
        self.append_now(record)

    def count(self) -> int:
        return 0


async def test_without_an_entry_nothing_is_allowed_or_stored(house):
    """The entry fails: unavailable, no entry number, no grant, no counter, no credential."""
    house.policy = REMEMBERED
    journal = BrokenJournal()
    house.change(journal=journal)
    (before,) = house.credentials.list_credentials(ADA.uid)

    using = house.begin()
    await touch(house.key)
    result = await using

    assert (result.verdict.answer, result.entry) == (Answer.UNAVAILABLE, None)
    assert result.grant is result.level is None
    assert house.list_grants() == ()
    assert house.credentials.list_credentials(ADA.uid) == (before,)
    assert [record["verdict"]["answer"] for record in journal.records] == ["allow"]

    other = make_key()
    house.bus.add(other)
    house.key.unplug()
    other.change_script(touch_after_ms=0)
    enrolled = await house.service.enroll(SUDO, "ada", "red", Person())
    assert enrolled.verdict.answer is Answer.UNAVAILABLE
    assert enrolled.credential is None
    assert house.credentials.list_credentials(ADA.uid) == (before,)


async def test_without_an_entry_no_rule_and_no_grant_allows(house):
    """Also what needs no touch needs its entry."""
    house.policy = make_policy(Rule("yes", ("*",), RuleEffect.ALLOW))
    house.change(journal=BrokenJournal())

    assert (await house.step_up()).verdict.answer is Answer.UNAVAILABLE


class Failing:
    """A store that works, but for one method."""

    def __init__(self, store, method: str) -> None:
        self._store = store
        self._method = method

    def __getattr__(self, name: str):
        if name == self._method:
            return self._fail
        return getattr(self._store, name)

    def _fail(self, *_arguments, **_settings):
        raise InternalError("the disk is gone", reason="store-unavailable")


@pytest.mark.parametrize(("part", "method"), [("credentials", "record_use"), ("grants", "add")])
async def test_what_cannot_be_stored_was_not_given(house, part, method):
    """Counter or grant fails after the entry: unavailable, under that entry's number."""
    house.policy = REMEMBERED
    house.change(**{part: Failing(getattr(house, part), method)})

    using = house.begin()
    await touch(house.key)
    result = await using

    assert result.verdict.answer is Answer.UNAVAILABLE
    entry, withdrawn = house.entries()[-2:]
    assert (entry["seq"], entry["verdict"]["answer"]) == (result.entry, "allow")
    assert (withdrawn["kind"], withdrawn["entry"]) == ("withdrawn", result.entry)
    assert result.grant is None
    assert house.list_grants() == ()


async def test_a_store_that_cannot_be_read_enrols_nobody_and_allows_nobody(house):
    """A fault of ours before the ceremony raises; it is never an empty list of keys."""
    house.change(credentials=Failing(house.credentials, "list_credentials"))

    with pytest.raises(InternalError):
        await house.step_up()


class Raising:
    """A device layer with a bug."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def turn(self, _owner_uid):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_exception):
        return None

    async def use(self, *_arguments):
        raise self.error

    def list_names(self):
        return ()


async def test_a_bug_in_the_device_layer_is_a_refusal_with_an_entry(house):
    """Whatever is raised in an effect: unavailable, `internal`, recorded."""
    house.change(authenticators=Raising(ZeroDivisionError("bug")))

    verdict = (await house.step_up()).verdict

    assert (verdict.answer, verdict.reason) == (Answer.UNAVAILABLE, Reason.INTERNAL)
    assert house.reasons() == ["internal"]


async def test_a_conversation_that_breaks_is_a_refusal_with_an_entry(tmp_path):
    """A question that cannot be asked."""

    class Broken(Person):
        async def ask(self, text, *, is_hidden):
            raise OSError(text, is_hidden)

    house = House(tmp_path, make_key(pin=PIN), policy=VERIFIED)
    await house.enrol(house.key)

    assert (await house.step_up(Broken())).verdict.reason is Reason.INTERNAL
    assert house.reasons() == ["internal"]
    house.close()


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        (Lie.BAD_SIGNATURE, Reason.BAD_SIGNATURE),
        (Lie.WRONG_RP_ID, Reason.RP_ID_MISMATCH),
        (Lie.NO_USER_PRESENCE, Reason.UP_MISSING),
        (Lie.UNKNOWN_CREDENTIAL, Reason.UNKNOWN_CREDENTIAL),
        (Lie.COUNTER_BACK, Reason.COUNTER_REGRESSED),
        (Lie.WRONG_ALGORITHM, Reason.BAD_SIGNATURE),
    ],
)
async def test_a_key_that_lies_is_refused_and_recorded(house, lie, reason):
    """The reason names the lie; only a signed sign of cloning raises an alarm."""
    house.policy = REMEMBERED
    house.key.change_script(lie=lie, touch_after_ms=0)

    result = await house.step_up()

    assert (result.verdict.answer, result.verdict.reason) == (Answer.DENY, reason)
    entry = house.entries()[-1]
    assert ("alarm" in entry) == (reason is Reason.COUNTER_REGRESSED)
    assert "evidence" not in entry
    assert house.list_grants() == ()
