"""What the D-Bus door, and what listens to logind, need of the rest of the daemon."""

import os
from collections.abc import Callable

from stepupd.api.dbus_logind import Logind
from stepupd.api.dbus_outside import Outside
from stepupd.broker import Broker
from stepupd.core.errors import InternalError, RequestError
from stepupd.devices.key_ring import KeyRing
from stepupd.host.bus import find_bus_address
from stepupd.host.named_process import identify_process
from stepupd.places import Places
from stepupd.store.audit_tail import read_tail


def look_outside(
    broker: Broker, places: Places, *, is_user: bool, reload: Callable[[], None]
) -> Outside:
    """Return the daemon as the D-Bus door sees it. A person's own session bus has no polkit."""

    async def name_account(uid: int) -> str:
        found = await broker.look_up(lambda: broker.world.accounts.find_subject_by_uid(uid))
        if found is None:
            raise RequestError("there is no such account", reason="no-such-account")
        return found.name

    async def read_log(count: int) -> tuple[str, ...]:
        try:
            return await broker.look_up(lambda: read_tail(places.audit_log, count))
        except OSError as error:
            raise InternalError(f"cannot read the audit log: {error.strerror}") from error

    return Outside(
        name_account,
        read_log,
        reload,
        identify_process,
        own_uid=os.getuid(),
        has_polkit=not is_user,
    )


def watch_logind(broker: Broker, keys: KeyRing) -> Logind:
    """Return what cancels everything, and lets go of the keys, when the machine sleeps."""

    async def let_go() -> None:
        await broker.interruption.cut_short()
        await keys.let_go()

    # A person's own daemon too: logind is on no other bus.
    return Logind(find_bus_address(is_user=False), let_go, broker.world.read_clock)
