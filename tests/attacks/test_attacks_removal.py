"""A grant that is bound to its key's stay ends with it, whoever tells and whatever fails."""

import asyncio
import threading

import pytest
from broker_support import ADA, BOB, OWN, SUDO, House, Person
from core_support import make_policy, make_rule
from device_support import PATIENCE, all_threads_end, idle, make_key, touch

from stepupd.core.errors import InternalError
from stepupd.core.model import Reason, Scope
from stepupd.removal import BoundGrants

BOUND = make_policy(make_rule(max_age=600, scope=Scope.SUBJECT, while_plugged=True))
LOOSE = make_policy(make_rule(max_age=600, scope=Scope.SUBJECT))


class Desk(House):
    """A machine that watches its keys. `locked` are the people who were told of."""

    is_told = True
    bound = None

    def begin_watch(self) -> None:
        self.locked: list[int] = []
        self.watches = 0
        self.changed = asyncio.Event()
        self.bound = BoundGrants(self.grants, self, self, self.read_clock, OWN, self.lock_sessions)
        self.change(grants=self.bound)
        self.bound.start()

    async def lock_sessions(self, uid: int) -> None:
        self.locked.append(uid)
        self.changed.set()

    async def append(self, record) -> int:
        """Write an entry, as the journal of the watch."""
        entry = await self.journal.append(record)
        self.changed.set()
        return entry

    async def until(self, holds) -> None:
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    def list_plugged(self) -> frozenset[str]:
        return self.world.authenticators.list_plugged()

    def watch(self, told):
        if not self.is_told:
            raise OSError(97, "Address family not supported by protocol")
        end = self.world.authenticators.watch(told)
        self.watches += 1

        def count_and_end():
            self.watches -= 1
            self.changed.set()
            end()

        return count_and_end

    async def prove(self, **changes):
        asking = self.begin(**changes)
        await touch(self.key)
        result = await asking
        await idle(self.key)
        assert result.verdict.reason is Reason.PROVED
        return result.grant

    async def asks_again(self, **changes) -> bool:
        """Return whether the person has to prove it again; it is given up then."""
        person = Person()
        asking = self.begin(person, **changes)
        seen = asyncio.ensure_future(person.sees("asks for"))
        await asyncio.wait({asking, seen}, return_when=asyncio.FIRST_COMPLETED)
        person.leave()
        seen.cancel()
        return (await asking).verdict.reason is not Reason.GRANT

    async def revoked(self, count: int = 1) -> list[dict]:
        """Wait until the log tells of so many grants that ended, and return its entries."""

        def find():
            return [entry for entry in self.entries() if entry["kind"] == "revoke"]

        await self.until(lambda: len(find()) >= count)
        return find()


@pytest.fixture
async def desk(tmp_path):
    """Make a machine with one enrolled key; a success lasts while that key is plugged in."""
    made = Desk(tmp_path, make_key(), policy=BOUND)
    await made.enrol(made.key)
    made.begin_watch()
    yield made
    await made.bound.close()
    await all_threads_end()
    made.close()


async def test_attack_099_a_key_that_is_pulled_out_ends_its_grants(desk):
    """At once, with an entry that says why; putting it back brings nothing back."""
    grant = await desk.prove()
    assert not await desk.asks_again()

    desk.key.unplug()
    desk.key.plug()
    (entry,) = await desk.revoked()

    assert entry["grant"] == grant.id
    assert (entry["why"], entry["subject_uid"]) == ("key-removed", ADA.uid)
    assert entry["caller_uid"] == OWN.uid
    assert await desk.asks_again()
    assert desk.list_grants() == ()
    assert desk.locked == [ADA.uid]
    assert desk.verify().is_intact


async def test_attack_099_nobody_told_and_it_serves_no_more(tmp_path):
    """Fault matrix, unplugged: without events it is looked at before each use."""
    desk = Desk(tmp_path, make_key(), policy=BOUND)
    desk.is_told = False
    await desk.enrol(desk.key)
    desk.begin_watch()
    await desk.prove()
    assert not await desk.asks_again()

    desk.key.unplug()
    desk.key.plug()
    assert await desk.asks_again()
    await desk.revoked()
    await desk.bound.close()
    desk.close()


async def test_nobody_tells_and_nobody_asks(tmp_path):
    """Then we look: the grant ends, and sessions are locked, without a request."""
    desk = Desk(tmp_path, make_key(), policy=BOUND)
    desk.is_told = False
    await desk.enrol(desk.key)
    desk.begin_watch()
    await desk.prove()
    desk.key.unplug()

    await desk.revoked()
    assert desk.locked == [ADA.uid]
    await desk.bound.close()
    desk.close()


async def test_attack_099_pulled_out_while_the_daemon_was_down(desk):
    """After a restart the key sits there again, but it is another stay."""
    await desk.prove()
    await desk.bound.close()
    desk.close()
    desk.key.unplug()
    desk.key.plug()
    desk.open()
    desk.begin_watch()

    (entry,) = await desk.revoked()
    assert entry["why"] == "key-removed"
    assert await desk.asks_again()


async def test_a_restart_alone_ends_nothing(desk):
    await desk.prove()
    await desk.bound.close()
    desk.close()
    desk.open()
    desk.begin_watch()

    assert not await desk.asks_again()


async def test_attack_099_pulled_out_between_touch_and_grant(desk):
    """The key goes while the entry is written: what it earned ends as soon as it is stored."""
    appending, append = threading.Event(), desk.journal.append_now

    class SlowJournal:
        count = desk.journal.count

        def append_now(self, record):
            if record["kind"] == "step-up":
                appending.set()
                desk.key.unplug()
            return append(record)

    desk.change(journal=SlowJournal())
    asking = desk.begin()
    await touch(desk.key)
    assert (await asking).verdict.reason is Reason.PROVED
    assert appending.is_set()

    await desk.revoked()
    assert desk.list_grants() == ()


async def test_attack_099_a_log_that_fails_saves_no_grant(desk, caplog):
    """What takes away does not wait for the disk."""
    await desk.prove()

    async def fail(_record):
        raise InternalError("the disk is full")

    desk.bound._journal = type("Full", (), {"append": staticmethod(fail)})()
    desk.key.unplug()
    await desk.until(lambda: desk.locked)
    await desk.bound.close()

    assert "could not be recorded" in caplog.text
    assert desk.list_grants() == ()
    assert desk.locked == [ADA.uid]


async def test_attack_099_only_what_that_key_earned_ends(desk):
    """Another key's grant, of the same person, stays; so does one that was not bound."""
    other = make_key()
    other.change_script(deaf=True)
    desk.bus.add(other)
    await desk.prove()
    desk.policy = LOOSE
    await desk.prove(action="pam:login")
    desk.policy = BOUND

    other.unplug()
    assert not await desk.asks_again()
    desk.key.unplug()
    await desk.revoked()
    desk.policy = LOOSE
    assert [grant.action for grant in desk.list_grants()] == ["pam:login"]
    assert not await desk.asks_again(action="pam:login")


async def test_attack_099_a_policy_that_binds_now_takes_no_loose_grant(desk):
    """Today's requirement decides, not that of the grant's birth; and the reverse binds still."""
    desk.policy = LOOSE
    await desk.prove()
    desk.policy = BOUND
    assert await desk.asks_again()

    await idle(desk.key)
    await desk.prove()
    desk.policy = LOOSE
    desk.key.unplug()
    (entry,) = await desk.revoked()
    assert entry["why"] == "key-removed"


async def test_the_stay_is_ours_to_name_and_not_the_keys(desk):
    """A stranger's key that claims the credential ends no race, and binds no grant to itself."""
    stranger = make_key()
    stranger.change_script(touch_after_ms=0)
    desk.bus.add(stranger)
    await desk.prove()
    (grant,) = desk.grants.list_bound()

    assert desk.key.serial in grant.plugged_as
    stranger.unplug()
    assert not await desk.asks_again()


async def test_nothing_is_watched_without_a_bound_grant(desk):
    """An idle daemon listens to nobody: the watch begins with such a grant, and ends with it."""
    assert desk.watches == 0
    desk.policy = LOOSE
    await desk.prove(action="pam:login")
    assert desk.watches == 0
    desk.policy = BOUND
    await desk.prove()
    await asyncio.sleep(0)
    assert desk.watches == 1

    desk.key.unplug()
    await desk.revoked()
    await desk.until(lambda: not desk.watches)


async def test_people_are_told_of_once_each(desk):
    """Two grants of one person and one of another: two people, three entries."""
    desk.key.change_script(touch_after_ms=0)
    assert (await desk.service.enroll(SUDO, "bob", "green", Person())).verdict.is_allow
    desk.key.change_script(touch_after_ms=None)
    for asked in ({}, {"action": "pam:login"}, {"subject": "bob"}):
        await desk.prove(**asked)
    desk.key.unplug()

    entries = await desk.revoked(3)
    assert sorted(entry["subject_uid"] for entry in entries) == [ADA.uid, ADA.uid, BOB.uid]
    assert sorted(desk.locked) == [ADA.uid, BOB.uid]


async def test_what_ran_out_before_is_no_removal(desk):
    """Nobody is locked out of his session for a grant of this morning."""
    await desk.prove()
    desk.clock.now += 601
    desk.key.unplug()
    desk.bound._look()
    await desk.bound.close()

    assert desk.locked == []
    assert [e for e in desk.entries() if e["kind"] == "revoke"] == []
