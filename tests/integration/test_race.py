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
    Registered,
    TroubleKind,
)
from stepupd.devices.simulated import Command, Fault, Step

PIN = "123456"


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
