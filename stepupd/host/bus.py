"""Where the message bus listens (D-Bus specification, "Well-known Message Bus Instances")."""

import os

_SYSTEM = "unix:path=/run/dbus/system_bus_socket"


def find_bus_address(*, is_user: bool) -> str:
    """Return the address of the session bus for a person's own daemon, else of the system bus."""
    if not is_user:
        return os.environ.get("DBUS_SYSTEM_BUS_ADDRESS") or _SYSTEM
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={runtime}/bus"
