"""Who may ask for what, and what managing keys leaves in the log."""

import pytest
from broker_support import ADA, OTHER, OWN, SUDO, House, Person
from core_support import make_policy, make_rule
from device_support import make_key, touch

from stepupd.core.errors import RequestError
from stepupd.core.model import Level, Reason, Scope

PIN = "123456"
REMEMBERED = make_policy(make_rule(max_age=300, scope=Scope.SESSION))
VERIFIED = make_policy(make_rule(Level.VERIFY))


async def test_nobody_asks_for_another_account(house):
    """The same words whether or not the account exists; root may ask for anybody."""
    told = set()
    for name in ("ada", "nobody-at-all"):
        with pytest.raises(RequestError) as caught:
            await house.step_up(caller=OTHER, subject=name)
        told.add((str(caught.value), caught.value.reason))
    assert len(told) == 1

    with pytest.raises(RequestError, match="no such account"):
        await house.step_up(caller=SUDO, subject="nobody-at-all")


async def test_each_path_of_enrolment_leaves_one_entry(tmp_path):
    """Enrolled, enrolled again, declined: one entry each; only the first has a credential."""
    house = House(tmp_path, make_key())
    house.key.change_script(touch_after_ms=0)

    first = await house.service.enroll(OWN, "", "blue", Person())
    again = await house.service.enroll(SUDO, "ada", "red", Person())
    other = make_key()
    house.bus.add(other)
    house.key.unplug()
    other.change_script(deny=True)
    declined = await house.service.enroll(SUDO, "ada", "red", Person())

    assert first.verdict.is_allow
    assert again.verdict.reason is Reason.ALREADY_ENROLLED
    assert declined.verdict.reason is Reason.DECLINED
    assert house.reasons("enrol") == ["proved", "already-enrolled", "declined"]
    assert len(house.credentials.list_credentials(ADA.uid)) == 1
    assert house.verify().is_intact
    house.close()


async def test_removing_a_key_takes_its_grants_with_it(house):
    """Also a grant that is being stored in the very moment in which its key is removed."""
    house.policy = REMEMBERED
    using = house.begin()
    await touch(house.key)
    grant = (await using).grant

    await house.service.remove_credential(SUDO, "ada", "blue", Person())
    assert house.list_grants() == ()
    # A ceremony that ended meanwhile stores what it earned: it serves nobody.
    house.grants.add(grant)

    assert (await house.step_up()).verdict.reason is Reason.NO_CREDENTIAL
    assert house.verify().is_intact


async def test_changes_by_a_person_need_a_touch_with_its_own_entry(house):
    """Rename and remove ask for proof first; a refusal changes nothing."""
    house.key.change_script(deny=True)
    refused = await house.service.rename_credential(OWN, "", "blue", "red", Person())
    assert refused.verdict.reason is Reason.DECLINED
    house.key.change_script(deny=False, touch_after_ms=0)

    renamed = await house.service.rename_credential(OWN, "", "blue", "red", Person())
    removed = await house.service.remove_credential(OWN, "", "red", Person())

    assert renamed.verdict.is_allow
    assert removed.verdict.is_allow
    kinds = [entry["kind"] for entry in house.entries()]
    assert kinds == ["enrol", "step-up", "step-up", "rename", "step-up", "removing", "remove"]
    assert house.credentials.list_credentials(ADA.uid) == ()
    assert house.verify().is_intact


async def test_revoking_is_at_once_and_recorded(house):
    """The next check asks again; another account cannot revoke."""
    house.policy = REMEMBERED
    using = house.begin()
    await touch(house.key)
    await using

    with pytest.raises(RequestError):
        await house.service.revoke(OTHER, "ada", "")
    assert await house.service.revoke(OWN, "", "") == 1
    assert house.entries()[-1]["kind"] == "revoke"
    using = house.begin()
    await touch(house.key)
    assert (await using).verdict.reason is Reason.PROVED
