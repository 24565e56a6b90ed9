"""What the D-Bus door needs of the rest of the daemon, beside the service."""

import os
from collections.abc import Callable

from stepupd.api.dbus_outside import Outside
from stepupd.broker import Broker
from stepupd.core.errors import InternalError, RequestError
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

    return Outside(name_account, read_log, reload, own_uid=os.getuid(), has_polkit=not is_user)
