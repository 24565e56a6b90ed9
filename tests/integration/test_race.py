"""The race of all keys, on real links: calls, packets, and our own connection on descriptors."""

import asyncio

import pytest
from device_support import (
    PATIENCE,
    SEAMS,
    Bench,
    all_threads_end,
    blink,
    enrol,
    idle,
    key_threads,
    kind_of,
    make_key,
    make_op,
    sign_op,
    touch,
)

from stepupd.core.effects import (
    Asserted,
    Notice,
    PinNeeded,
    Registered,
    Trouble,
    TroubleKind,
)
from stepupd.core.secret import Secret
from stepupd.devices.simulated import Command, Fault, Step

PIN = "123456"


@pytest.fixture(params=SEAMS)
async def lay(request):
    """Make a bench with keys on it; afterwards no thread may still hold one of them."""
    benches = []

    def make(*keys) -> Bench:
        benches.append(Bench(SEAMS[request.param](keys)))
        return benches[-1]

    yield make
    for bench in benches:
        for key in bench.bus.keys:
            key.change_script(fault=None)
    await all_threads_end()


async def test_the_first_valid_answer_wins_and_the_losers_stop_blinking(lay):
    """Of three keys that blink, the one that is touched signs; the others are let go."""
    keys = [make_key() for _ in range(3)]
    credentials = [enrol(key) for key in keys]
    bench = lay(*keys)

    using = bench.begin(sign_op(*credentials))
    for key in keys:
        await blink(key)
    assert keys[1].touch()

    answer = await using
    assert isinstance(answer, Asserted)
    assert answer.credential_id == credentials[1].id
    await idle(*keys)
    assert [key.describe()["waiting"] for key in keys] == [False] * 3
    assert Notice.TOUCH in bench.notices
    assert Notice.WRONG_KEY not in bench.notices


async def test_a_strangers_key_beside_the_right_one_says_nothing(lay):
    """A key that nobody touched and that is not the subject's neither wins nor ends the race."""
    mine, other = make_key(), make_key()
    credential = enrol(mine)
    bench = lay(other, mine)

    using = bench.begin(sign_op(credential))
    await touch(mine)

    assert isinstance(await using, Asserted)
    assert Notice.WRONG_KEY not in bench.notices


async def test_a_lone_strangers_key_is_told_and_a_late_one_wins(lay):
    """The only key is not enrolled: the person hears so, and may plug in another."""
    mine, other = make_key(), make_key()
    credential = enrol(mine)
    mine.unplug()
    bench = lay(other, mine)

    using = bench.begin(sign_op(credential))
    await bench.hear(Notice.WRONG_KEY)
    mine.plug()
    await touch(mine)

    assert isinstance(await using, Asserted)


async def test_late_insertion(lay):
    """With no key plugged in the person is asked for one, and it counts when it comes."""
    key = make_key()
    credential = enrol(key)
    key.unplug()
    bench = lay(key)

    using = bench.begin(sign_op(credential))
    await bench.hear(Notice.INSERT)
    key.plug()
    await touch(key)

    assert isinstance(await using, Asserted)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [("none", TroubleKind.NO_AUTHENTICATOR), ("strangers", TroubleKind.NO_CREDENTIALS)],
)
async def test_nobody_answers_before_the_deadline(lay, keys, expected):
    """What is missing is named: any key, or one of the subject's."""
    credential = enrol(make_key())
    bench = lay(*([make_key()] if keys == "strangers" else []))

    using = bench.begin(sign_op(credential))
    await bench.hear(Notice.WRONG_KEY if keys == "strangers" else Notice.INSERT)
    bench.clock.now += 31

    assert kind_of(await using) is expected


async def test_the_deadline_ends_the_blinking(lay):
    """A key that is never touched is a timeout, and goes dark."""
    key = make_key()
    bench = lay(key)

    using = bench.begin(sign_op(enrol(key)))
    await blink(key)
    bench.clock.now += 31

    assert kind_of(await using) is TroubleKind.TIMEOUT
    await idle(key)


async def test_cancelling_ends_the_blinking(lay):
    """Cancelling the task cancels the keys, and the next request has them at once."""
    key = make_key()
    bench = lay(key)
    operation = sign_op(enrol(key))

    using = bench.begin(operation)
    await blink(key)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    await idle(key)
    again = bench.begin(operation)
    await touch(key)

    assert isinstance(await again, Asserted)


async def test_a_busy_key_is_named_and_waited_for(lay):
    """While another program holds the key the person is told; when it lets go, a touch counts."""
    key = make_key()
    bench = lay(key)
    operation = sign_op(enrol(key))
    key.change_script(fault=Fault.BUSY)

    using = bench.begin(operation)
    await bench.hear(Notice.BUSY)
    key.change_script(fault=None)
    await touch(key)

    assert isinstance(await using, Asserted)


async def test_a_key_that_stays_busy_is_the_reason(lay):
    """At the deadline the answer is "busy", not "nobody touched it"."""
    key = make_key()
    bench = lay(key)
    operation = sign_op(enrol(key))
    key.change_script(fault=Fault.BUSY)

    using = bench.begin(operation)
    await bench.hear(Notice.BUSY)
    bench.clock.now += 31

    assert kind_of(await using) is TroubleKind.BUSY


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.GARBAGE, TroubleKind.GARBLED),
        (Fault.EMPTY, TroubleKind.GARBLED),
        (Fault.NON_CANONICAL, TroubleKind.GARBLED),
    ],
)
async def test_nonsense_is_named_and_leaves_the_others_racing(lay, fault, expected):
    """A lone broken key ends the race; beside another one it does not."""
    broken, good = make_key(), make_key()
    credentials = enrol(broken), enrol(good)
    good.unplug()
    bench = lay(broken, good)
    broken.change_script(fault=fault, touch_after_ms=0)
    assert kind_of(await bench.use(sign_op(*credentials))) is expected

    good.plug()
    using = bench.begin(sign_op(*credentials))
    await touch(good)
    assert isinstance(await using, Asserted)


async def test_a_silent_key_is_given_up():
    """A key that says nothing is given up by itself, long before the deadline."""
    key = make_key()
    bench = Bench(SEAMS["descriptors"]([key]))
    operation = sign_op(enrol(key))
    key.change_script(fault=Fault.SILENT)

    assert kind_of(await bench.use(operation)) is TroubleKind.SILENT
    key.change_script(fault=None)
    await all_threads_end()


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.PIN_TOKEN])
async def test_unplugging_at_every_step_ends_it_and_plugging_in_again_works(lay, step):
    """Pulled at any moment the key is gone, at once; plugged in again it signs."""
    key = make_key()
    credential = enrol(key)
    bench = lay(key)
    operation = make_op() if step is Step.GET_INFO else sign_op(credential)
    key.change_script(unplug_at=step, touch_after_ms=0 if step is not Step.TOUCH else None)

    using = bench.begin(operation)
    if step is Step.ENUMERATE:
        await bench.hear(Notice.INSERT)
        key.plug()
    else:
        answer = await asyncio.wait_for(using, PATIENCE)
        # The last packet of a reply may be read although the key is gone already.
        is_answer = isinstance(answer, Asserted | Registered) and step is Step.AFTER_REPLY
        assert is_answer or kind_of(answer) is TroubleKind.GONE
        key.plug()
        key.change_script(touch_after_ms=0)
        using = bench.begin(operation)

    assert isinstance(await asyncio.wait_for(using, PATIENCE), Asserted | Registered)


async def test_declining_on_the_key_ends_the_race(lay):
    """A "no" on one key is a no, whoever else still blinks."""
    keys = make_key(), make_key()
    bench = lay(*keys)

    using = bench.begin(sign_op(*[enrol(key) for key in keys]))
    for key in keys:
        await blink(key)
    keys[0].deny()

    assert kind_of(await using) is TroubleKind.DECLINED
    await idle(*keys)


async def test_a_key_is_enrolled_once(lay):
    """A key that holds an excluded credential says so; a new one is made on another."""
    old, new = make_key(), make_key()
    credential = enrol(old)
    bench = lay(old)
    old.change_script(touch_after_ms=0)
    assert kind_of(await bench.use(make_op(credential))) is TroubleKind.EXCLUDED

    bench.bus.add(new)
    old.unplug()
    new.change_script(touch_after_ms=0)
    assert isinstance(await bench.use(make_op(credential)), Registered)


async def test_a_key_is_enrolled_once_whatever_stands_before_it(lay):
    """The exclusion list may be longer than one command holds."""
    key = make_key()
    others = [enrol(make_key()) for _ in range(9)]
    credential = enrol(key)
    bench = lay(key)
    key.change_script(touch_after_ms=0)

    assert kind_of(await bench.use(make_op(*others, credential))) is TroubleKind.EXCLUDED
    assert isinstance(await bench.use(sign_op(*others, credential)), Asserted)


class TestPins:
    """User verification: built in where it can, by PIN where it must."""

    async def test_one_key_asks_for_its_pin_and_then_for_a_touch(self, lay):
        """No touch is needed to know which key is meant when there is only one."""
        key = make_key(pin=PIN)
        bench = lay(key)
        operation = sign_op(enrol(key), is_uv=True)

        needed = await bench.use(operation)
        assert isinstance(needed, PinNeeded)
        assert needed.retries == 8
        assert bench.notices == []
        with_pin = sign_op(
            is_uv=True, allow=operation.allow, pin=Secret(PIN), authenticator=needed.authenticator
        )
        using = bench.begin(with_pin)
        await touch(key)
        answer = await using
        assert isinstance(answer, Asserted)
        assert answer.authenticator_data[32] & 0x05 == 0x05

    async def test_of_two_keys_one_is_touched_before_its_pin_is_asked(self, lay):
        """So no PIN goes to a key that nobody chose."""
        keys = make_key(pin=PIN), make_key(pin=PIN)
        credentials = [enrol(key) for key in keys]
        bench = lay(*keys)

        using = bench.begin(sign_op(*credentials, is_uv=True))
        for key in keys:
            await blink(key)
        keys[1].touch()

        needed = await using
        assert isinstance(needed, PinNeeded)
        assert keys[1].serial in needed.authenticator
        await idle(*keys)
        assert [key.describe()["pin_retries"] for key in keys] == [8, 8]

    async def test_a_strangers_key_is_asked_nothing(self, lay):
        """Neither a touch nor a PIN of a key that holds nothing of the subject's."""
        mine, other, bare = make_key(pin=PIN), make_key(pin=PIN), make_key()
        bench = lay(other, bare, mine)

        using = bench.begin(sign_op(enrol(mine), is_uv=True))
        await touch(mine)

        needed = await using
        assert isinstance(needed, PinNeeded)
        assert mine.serial in needed.authenticator
        assert [key.describe()["blinks"] for key in (other, bare)] == [0, 0]

    async def test_a_wrong_pin_costs_one_try_and_says_so(self, lay):
        """The key is named, so that the question can be asked again."""
        key = make_key(pin=PIN)
        bench = lay(key)
        operation = sign_op(enrol(key), is_uv=True)
        needed = await bench.use(operation)

        wrong = sign_op(
            is_uv=True,
            allow=operation.allow,
            pin=Secret("000000"),
            authenticator=needed.authenticator,
        )
        answer = await bench.use(wrong)

        assert answer == Trouble(TroubleKind.PIN_INVALID, needed.authenticator)
        assert (await bench.use(operation)).retries == 7

    async def test_three_wrong_in_a_row_ask_for_replugging_before_any_pin(self, lay):
        """A key that takes no PIN until it is plugged in again is not asked for one."""
        key = make_key(pin=PIN)
        bench = lay(key)
        operation = sign_op(enrol(key), is_uv=True)
        needed = await bench.use(operation)
        wrong = sign_op(
            is_uv=True,
            allow=operation.allow,
            pin=Secret("000000"),
            authenticator=needed.authenticator,
        )
        kinds = [kind_of(await bench.use(wrong)) for _ in range(3)]

        assert kinds[-1] is TroubleKind.PIN_AUTH_BLOCKED
        assert kind_of(await bench.use(operation)) is TroubleKind.PIN_AUTH_BLOCKED
        key.unplug()
        key.plug()
        assert (await bench.use(operation)).retries == 5

    async def test_a_key_without_a_pin_says_what_it_lacks(self, lay):
        """Verification on a key that can verify nobody yet: set a PIN first."""
        key = make_key()
        bench = lay(key)

        answer = await bench.use(sign_op(enrol(key), is_uv=True))

        assert kind_of(answer) is TroubleKind.PIN_NOT_SET

    async def test_built_in_verification_needs_one_touch(self, lay):
        """A finger on the reader is presence and verification in one."""
        key = make_key(has_builtin_uv=True)
        bench = lay(key)

        using = bench.begin(sign_op(enrol(key), is_uv=True))
        await touch(key)

        answer = await using
        assert isinstance(answer, Asserted)
        assert answer.authenticator_data[32] & 0x05 == 0x05

    async def test_a_finger_that_is_not_recognised_is_told_apart(self, lay):
        """It can be tried again, and in the end the reader blocks itself and the PIN is asked."""
        key = make_key(has_builtin_uv=True, pin=PIN)
        key.change_script(verifies=False)
        bench = lay(key)
        operation = sign_op(enrol(key), is_uv=True)
        kinds = []
        for _ in range(3):
            using = bench.begin(operation)
            await touch(key)
            kinds.append(kind_of(await using))

        assert kinds == [TroubleKind.UV_INVALID, TroubleKind.UV_INVALID, PinNeeded]

    async def test_a_blocked_reader_without_a_pin_says_so(self, lay):
        """Nothing is left to verify with."""
        key = make_key(has_builtin_uv=True)
        key.change_script(verifies=False, touch_after_ms=0)
        bench = lay(key)
        operation = sign_op(enrol(key), is_uv=True)
        for _ in range(2):
            await bench.use(operation)

        assert kind_of(await bench.use(operation)) is TroubleKind.UV_BLOCKED

    async def test_a_key_that_always_verifies_asks_for_its_pin_unasked(self, lay):
        """alwaysUv: a mere touch is not enough for this key, whatever policy asks."""
        key = make_key(pin=PIN)
        credential = enrol(key)
        key._model = key._model.__class__(always_uv=True)
        key.unplug()
        key.plug()
        bench = lay(key)

        assert isinstance(await bench.use(sign_op(credential)), PinNeeded)

    async def test_enrolling_on_a_protected_key_asks_for_its_pin(self, lay):
        """A key whose registration needs verification gets its PIN, then makes the credential."""
        key = make_key(pin=PIN, registers_without_uv=False)
        bench = lay(key)
        needed = await bench.use(make_op())
        assert isinstance(needed, PinNeeded)

        using = bench.begin(make_op(pin=Secret(PIN), authenticator=needed.authenticator))
        await touch(key)
        assert isinstance(await using, Registered)

    async def test_unplugging_while_the_pin_is_typed(self, lay):
        """The key that was chosen is gone, also when it is plugged in again meanwhile."""
        key = make_key(pin=PIN)
        bench = lay(key)
        operation = sign_op(enrol(key), is_uv=True)
        needed = await bench.use(operation)
        key.unplug()
        key.plug()

        with_pin = sign_op(
            is_uv=True, allow=operation.allow, pin=Secret(PIN), authenticator=needed.authenticator
        )
        answer = await bench.use(with_pin)

        assert answer == Trouble(TroubleKind.GONE, needed.authenticator)
        assert key.describe()["pin_retries"] == 8

    async def test_unplugging_while_the_pin_is_checked(self, lay):
        """Pulled in the middle of the PIN's exchange."""
        key = make_key(pin=PIN)
        bench = lay(key)
        operation = sign_op(enrol(key), is_uv=True)
        needed = await bench.use(operation)
        key.change_script(unplug_at=Step.PIN_TOKEN)

        with_pin = sign_op(
            is_uv=True, allow=operation.allow, pin=Secret(PIN), authenticator=needed.authenticator
        )
        assert kind_of(await bench.use(with_pin)) is TroubleKind.GONE


async def test_two_requests_one_touch(lay):
    """One touch answers exactly one request, the one that was shown; the other gets its own."""
    key = make_key()
    credential = enrol(key)
    bench = lay(key)
    first_data, second_data = (
        sign_op(credential).client_data_json + b" " * number for number in (1, 2)
    )

    first = bench.begin(sign_op(credential, client_data_json=first_data))
    await blink(key)
    second = bench.begin(sign_op(credential, client_data_json=second_data), uid=1001)
    await bench.hear(Notice.QUEUED)
    assert key.touch()

    answer = await first
    assert answer.client_data_json == first_data
    assert not second.done()
    await touch(key)
    assert (await second).client_data_json == second_data
    assert key.describe()["blinks"] == 2 + 1  # and one at enrolment


async def test_waiting_for_a_turn_ends_at_the_deadline(lay):
    """Whoever waits behind another request hears "busy", and its place is free again."""
    key = make_key()
    bench = lay(key)
    operation = sign_op(enrol(key))

    first = bench.begin(operation)
    await blink(key)
    assert kind_of(await bench.use(operation, uid=1001, deadline=0.2)) is TroubleKind.BUSY
    await touch(key)

    assert isinstance(await first, Asserted)


@pytest.mark.parametrize("command", [Command.GET_ASSERTION, Command.GET_INFO, Command.CLIENT_PIN])
async def test_endless_keepalives_hold_nothing(command):
    """A key that only ever says "wait" and ignores being cancelled is let go within seconds."""
    key, other = make_key(pin=PIN), make_key(pin=PIN)
    operation = sign_op(enrol(key), is_uv=True)
    other_operation = sign_op(enrol(other))
    other.unplug()
    bench = Bench(SEAMS["descriptors"]([key, other]))
    key.change_script(fault=Fault.ENDLESS_KEEPALIVE, on_command=command)
    if command is Command.GET_ASSERTION:
        operation = sign_op(allow=operation.allow)

    using = bench.begin(operation)
    assert await asyncio.to_thread(_wait_for_command, key)
    using.cancel()
    await asyncio.wait({using})
    await all_threads_end()
    assert key_threads() == []

    other.plug()
    using = bench.begin(other_operation)
    await touch(other)
    assert isinstance(await using, Asserted)
    key.change_script(fault=None)


def _wait_for_command(key) -> bool:
    with key.body.changed:
        return key.body.changed.wait_for(lambda: not key._is_idle(), PATIENCE)


@pytest.mark.parametrize("fault", [Fault.BUSY, Fault.SILENT, Fault.GARBAGE])
async def test_a_key_that_opens_no_channel_is_given_up(fault):
    """INIT that is never answered, answered with "busy" for ever, or with another's nonce."""
    key = make_key()
    operation = sign_op(enrol(key))
    bench = Bench(SEAMS["descriptors"]([key]))
    key.change_script(fault=fault, on_command=Command.INIT)

    assert kind_of(await bench.use(operation)) is TroubleKind.SILENT
    await all_threads_end()


@pytest.mark.parametrize("seam", ["packets", "descriptors"])
async def test_packets_of_other_programs_come_between(seam):
    """Packets for another channel are dropped by our connection, and end only the library's own."""
    key = make_key()
    operation = sign_op(enrol(key))
    bench = Bench(SEAMS[seam]([key]))
    key.change_script(foreign_packets=True, touch_after_ms=0)

    expected = Asserted if seam == "descriptors" else TroubleKind.GARBLED
    assert kind_of(await bench.use(operation)) is expected
    await all_threads_end()
