"""PINs and verification in the race: which key is asked, and what its counters say."""

from device_support import (
    blink,
    enrol,
    idle,
    kind_of,
    make_key,
    make_op,
    sign_op,
    touch,
)

from stepupd.core.effects import (
    Asserted,
    PinNeeded,
    Registered,
    Trouble,
    TroubleKind,
)
from stepupd.core.secret import Secret
from stepupd.devices.simulated import Step

PIN = "123456"


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
