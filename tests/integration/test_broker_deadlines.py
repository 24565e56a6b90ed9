"""What the broker does while accounts or the disk keep it waiting."""

import asyncio
import threading

import pytest
from broker_support import ADA, OWN, People
from core_support import make_policy
from device_support import PATIENCE

from stepupd.broker import LOOKUP_DEADLINE
from stepupd.core.errors import InternalError
from stepupd.core.model import Reason
from stepupd.core.policy import Rule, RuleEffect

OPEN = make_policy(Rule("yes", ("*",), RuleEffect.ALLOW))


class Hanging(People):
    """A name service that does not answer until it is let go."""

    def __init__(self) -> None:
        super().__init__(ADA)
        self.release = threading.Event()

    def find_subject(self, name: str):
        self.release.wait(PATIENCE)
        return super().find_subject(name)


class SlowJournal:
    """A disk that takes longer than a look-up may."""

    def __init__(self, journal) -> None:
        self.journal = journal
        self.count = journal.count

    def append_now(self, record):
        threading.Event().wait(LOOKUP_DEADLINE + 0.2)
        return self.journal.append_now(record)


async def test_a_name_service_that_hangs_is_an_answer_in_time(house):
    """The caller hears of it after the deadline for such look-ups; others are served meanwhile."""
    people = Hanging()
    house.change(accounts=people)
    loop = asyncio.get_running_loop()
    started = loop.time()

    using = house.begin()
    status = await house.service.get_status(OWN)
    with pytest.raises(InternalError):
        await using

    assert status.credentials == 1
    assert loop.time() - started >= LOOKUP_DEADLINE * 0.9
    people.release.set()


async def test_what_was_refused_for_being_late_is_never_done(house):
    """Accounts answer after all: no entry says that the request was allowed."""
    people = Hanging()
    house.policy = OPEN
    house.change(accounts=people)
    count = len(house.entries())

    with pytest.raises(InternalError):
        await house.step_up()
    people.release.set()
    house.broker._readers.shutdown()  # until it has noticed

    assert len(house.entries()) == count


async def test_what_was_cancelled_is_never_done(house):
    """The door that asked goes away in the middle of a look-up."""
    people = Hanging()
    house.policy = OPEN
    house.change(accounts=people)
    count = len(house.entries())

    using = house.begin()
    await asyncio.sleep(0)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    people.release.set()
    house.broker._readers.shutdown()

    assert len(house.entries()) == count


async def test_a_slow_disk_is_waited_for(house):
    """What is being recorded is not given up: the answer is that of the entry."""
    house.policy = OPEN
    house.change(journal=SlowJournal(house.journal))

    result = await house.step_up()

    assert result.verdict.reason is Reason.RULE_ALLOWS
    assert result.entry == len(house.entries()) - 1
