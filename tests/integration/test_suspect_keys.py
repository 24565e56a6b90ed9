"""A key that answered as a copy would: refused, recorded, marked, and remembered by risk."""

from dataclasses import replace

import pytest
from broker_support import ADA, SUDO, House
from core_support import make_policy
from device_support import make_key, touch

from stepupd.core.errors import InternalError
from stepupd.core.model import Answer, Reason
from stepupd.core.policy import Rung
from stepupd.core.record import describe_known_key, encode_bytes
from stepupd.core.rehearsal.history import History
from stepupd.core.rehearsal.past import parse_past
from stepupd.devices.simulated import Lie

WARY = make_policy(weights={"suspect_counter": 60}, ladder=(Rung(60, None),))


@pytest.fixture
async def house(tmp_path):
    """Make a machine with one enrolled key."""
    made = House(tmp_path, make_key())
    await made.enrol(made.key)
    yield made
    made.close()


def find_key(house):
    (credential,) = house.credentials.list_credentials(ADA.uid)
    return credential


async def refuse_copy(house):
    """Let the key answer with a counter that went back."""
    before = house.key.script
    house.key.change_script(lie=Lie.COUNTER_BACK, touch_after_ms=0)
    result = await house.step_up()
    house.key.script = before
    return result


def fold(house):
    """Return what the log tells of ada's keys."""
    history = History()
    for line in (house.folder / "log" / "audit.log").read_bytes().splitlines():
        history.take_in(parse_past(line))
    return history.find(ADA.uid).credentials


async def test_attack_053_a_copy_is_marked_for_every_later_request(house):
    """The refusal is no one-off: the mark outlives a restart, and policy counts it."""
    counted = find_key(house).sign_count
    result = await refuse_copy(house)

    assert (result.verdict.answer, result.verdict.reason) == (
        Answer.DENY,
        Reason.COUNTER_REGRESSED,
    )
    house.close()
    house.open()
    marked = find_key(house)
    assert marked.is_suspect
    assert marked.sign_count == counted
    entry = house.entries()[-1]
    assert entry["suspect"] == encode_bytes(marked.id)
    assert entry["alarm"]

    house.policy = WARY
    assert (await house.step_up()).verdict.reason is Reason.RISK_DENIES
    assert house.verify().is_intact


async def test_without_weights_the_key_still_works_and_stays_marked(house):
    """A copy that was refused locks nobody out; whether the mark asks for more, policy says."""
    await refuse_copy(house)
    using = house.begin()
    await touch(house.key)

    assert (await using).verdict.is_allow
    assert find_key(house).is_suspect


@pytest.mark.parametrize("lie", [Lie.BAD_SIGNATURE, Lie.WRONG_RP_ID, Lie.NO_USER_PRESENCE])
async def test_attack_053_a_forger_cannot_make_a_suspect(house, lie):
    """Only what the enrolled key itself signed leaves a mark."""
    house.key.change_script(lie=lie, touch_after_ms=0)
    result = await house.step_up()

    assert result.verdict.answer is Answer.DENY
    assert not find_key(house).is_suspect
    assert "suspect" not in house.entries()[-1]


async def test_enrolling_anew_clears_the_mark(house):
    """It is another key pair, of which nothing is suspected."""
    await refuse_copy(house)
    old = find_key(house)
    house.credentials.remove(ADA.uid, old.id)
    await house.enrol(house.key)

    assert find_key(house).id != old.id
    assert not find_key(house).is_suspect


async def test_the_log_alone_tells_who_is_a_suspect(house):
    """So a policy that is tried on the past meets the same keys as the daemon does."""
    assert [key.is_suspect for key in fold(house).values()] == [False]
    await refuse_copy(house)

    assert [key.is_suspect for key in fold(house).values()] == [True]


async def test_a_new_log_takes_the_mark_over(house):
    """The entry that carries the key over says it."""
    await refuse_copy(house)
    record = describe_known_key(SUDO, find_key(house))

    assert record["credential"]["is_suspect"]


class Unwilling:
    """A credential store that can mark nothing."""

    def __init__(self, store) -> None:
        self._store = store

    def __getattr__(self, name: str):
        return getattr(self._store, name)

    def mark_suspect(self, credential_id: bytes) -> None:
        raise InternalError(f"no room for {credential_id!r}")


async def test_a_mark_that_cannot_be_stored_is_taken_back_in_the_log(house):
    """The answer stays no; the log does not claim what the store does not have."""
    house.change(credentials=Unwilling(house.credentials))
    result = await refuse_copy(house)

    assert (result.verdict.answer, result.verdict.reason) == (Answer.UNAVAILABLE, Reason.INTERNAL)
    entry, withdrawn = house.entries()[-2:]
    assert withdrawn["kind"] == "withdrawn"
    assert withdrawn["suspect"] == entry["suspect"]
    assert [key.is_suspect for key in fold(house).values()] == [False]


async def test_a_model_on_the_list_counts_at_the_next_request(house):
    """The list is the policy's, so a reload is enough; no key has to be enrolled anew."""
    model = find_key(house).aaguid
    weighing = make_policy(weights={"denied_model": 60}, ladder=(Rung(60, None),))
    for listed, reason in ((b"m" * 16, Reason.PROVED), (model, Reason.RISK_DENIES)):
        house.policy = replace(weighing, denied_models=frozenset({listed}))
        using = house.begin()
        if reason is Reason.PROVED:
            await touch(house.key)
        result = await using

        assert result.verdict.reason is reason
    signals = house.entries()[-1]["decision"]["risk"]["signals"]
    assert signals == {"denied_model": 60}
