"""What an administrator may do for others, and that nothing but a clear yes of polkit lets him."""

import pytest
from dbus_support import ADA, BOB, NAMES, open_door, run_as
from polkit_support import CHALLENGE, NO, YES, polkit_on

# Every method with which one account may act for another, and polkit's action for it.
FOR_OTHERS = {
    "Enroll": ("sa{sv}", ["mine"], "enroll"),
    "RenameCredential": ("ssa{sv}", ["blue", "mine"], "rename"),
    "RemoveCredential": ("sa{sv}", ["blue"], "remove"),
    "ListCredentials": ("a{sv}", [], "read-others"),
    "ListGrants": ("a{sv}", [], "read-others"),
    "Revoke": ("sa{sv}", [""], "revoke-others"),
}
FOR_THE_MACHINE = {"AuditTail": ("u", [1], "read-log"), "Reload": ("", [], "reload")}


async def ask(setup, member, signature, body, flags=0):
    """Call as an ordinary account and return the error's name, "" for none."""
    code = f"""
body = {body!r}
if {signature!r}.endswith('a{{sv}}'):
    body.append({{'subject': Variant('s', {NAMES[BOB]!r})}})
print((await call(bus, *manager, {member!r}, {signature!r}, body, {flags}))[0], bus.unique_name)
"""
    error, name = (await run_as(ADA, setup.bus, code)).strip("\n").split(" ")
    return error.rpartition(".")[2], name


@pytest.mark.parametrize("member", [*FOR_OTHERS, *FOR_THE_MACHINE])
async def test_polkits_yes_lets_an_administrator(member):
    """With its own action; the log still names the account that asked."""
    signature, body, action = (FOR_OTHERS | FOR_THE_MACHINE)[member]
    async with open_door() as setup, polkit_on(setup.bus) as polkit:
        error, name = await ask(setup, member, signature, body)

        assert error == ""
        assert polkit.asked == [(name, f"org.stepupd1.{action}", 0)]
        assert all(who.uid == ADA for _, who, *_ in setup.service.calls)


@pytest.mark.parametrize("member", [*FOR_OTHERS, *FOR_THE_MACHINE])
@pytest.mark.parametrize("answer", [NO, CHALLENGE])
async def test_polkits_no_is_a_no(member, answer):
    signature, body, _ = (FOR_OTHERS | FOR_THE_MACHINE)[member]
    async with open_door() as setup, polkit_on(setup.bus) as polkit:
        polkit.answer = answer
        error, _ = await ask(setup, member, signature, body)

        assert error == "NotPermitted"
        assert len(polkit.asked) == 1


async def test_attack_022_an_answer_of_another_type_is_a_no():
    """A true that stands elsewhere, or is a number, is no yes."""
    for signature in ("bba{ss}", "b", "(uba{ss})", "v"):
        async with open_door() as setup, polkit_on(setup.bus) as polkit:
            polkit.signature = signature
            error, _ = await ask(setup, "Reload", "", [])

            assert error == "NotPermitted"
            assert setup.reloads == []


async def test_a_silent_polkit_is_a_no_in_time():
    """Two seconds, then no; whoever wants a password dialogue says so and may wait longer."""
    async with open_door() as setup, polkit_on(setup.bus) as polkit:
        polkit.answer = None
        error, _ = await ask(setup, "Reload", "", [])

        assert error == "NotPermitted"
        assert setup.reloads == []


async def test_without_polkit_only_root_administers():
    async with open_door() as setup:
        error, _ = await ask(setup, "ListGrants", "a{sv}", [])

        assert error == "NotPermitted"


async def test_interaction_is_the_callers_choice():
    """ALLOW_INTERACTIVE_AUTHORIZATION (0x4) in the message becomes polkit's flag."""
    async with open_door() as setup, polkit_on(setup.bus) as polkit:
        await ask(setup, "Reload", "", [], flags=4)

        assert polkit.asked[0][2] == 1


async def test_no_polkit_is_asked_for_a_step_up_or_for_ones_own():
    """Asking for others' proof is for [callers] alone; one's own keys need one's own proof."""
    async with open_door() as setup, polkit_on(setup.bus) as polkit:
        polkit.answer = YES
        error, _ = await ask(setup, "Check", "sa{sv}", ["test:allow"])
        code = "print(await call(bus, *manager, 'Enroll', 'sa{sv}', ['mine', {}]))"
        own = await run_as(ADA, setup.bus, code)

        assert error == "NotPermitted"
        assert "/org/stepupd1/ceremony/" in own
        assert polkit.asked == []
