"""From a call to its row in the tables of `dbus_interface`; what the standard interfaces say."""

from collections.abc import Mapping

from stepupd.api.dbus_interface import (
    CEREMONY,
    CEREMONY_INTERFACE,
    CEREMONY_PREFIX,
    MANAGER,
    MANAGER_INTERFACE,
    PROPERTIES,
    ROOT_PATH,
    STANDARD,
    Method,
    write_introspection,
)
from stepupd.api.dbus_message import Body, Message, make_dictionary, make_variant
from stepupd.core.call import Status
from stepupd.core.errors import RequestError

_STANDARD_ERROR = "org.freedesktop.DBus.Error."


class UnknownCallError(RequestError):
    """A call of something that is not there; `bus_name` is what D-Bus libraries know it by."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.bus_name = _STANDARD_ERROR + kind


def find_method(call: Message) -> Method:
    """Return the method that is called. Raises UnknownCallError and RequestError."""
    methods = _find_methods(call.path, call.interface)
    method = methods.get(call.member)
    if method is None:
        raise UnknownCallError("UnknownMethod", "there is no such method here")
    if call.signature != method.signature:
        raise RequestError(f"{call.member} takes ({method.signature})")
    return method


def introspect(path: str) -> str:
    """Return what is at a path. Of ceremonies nothing is listed, so that nothing is learnt."""
    if path == ROOT_PATH:
        return write_introspection(MANAGER_INTERFACE)
    if path.startswith(CEREMONY_PREFIX):
        return write_introspection(CEREMONY_INTERFACE)
    child = ROOT_PATH[len(path.rstrip("/")) + 1 :].split("/")[0]
    is_above = path == "/" or ROOT_PATH.startswith(path + "/")
    return f'<node>\n <node name="{child}"/>\n</node>\n' if is_above else "<node/>\n"


def pick_properties(call: Message, status: Status) -> Body:
    """Answer `Get` and `GetAll`; no property can be set."""
    values = {
        "Version": status.version,
        "Mode": status.mode,
        "RpId": status.rp_id,
        "PolicyDigest": status.policy_digest,
    }
    if call.body[0] != MANAGER:
        raise UnknownCallError("UnknownInterface", "there is no such interface here")
    if call.member == "GetAll":
        return Body("a{sv}", (make_dictionary(values),))
    if call.body[1] not in values:
        raise UnknownCallError("UnknownProperty", "there is no such property")
    if call.member == "Set":
        raise UnknownCallError("PropertyReadOnly", "properties are read, not written")
    return Body("v", (make_variant(values[call.body[1]]),))


def _find_methods(path: str, interface: str) -> Mapping[str, Method]:
    if interface == MANAGER and path == ROOT_PATH:
        return MANAGER_INTERFACE.methods
    if interface == CEREMONY and path.startswith(CEREMONY_PREFIX):
        return CEREMONY_INTERFACE.methods
    if interface in STANDARD and (interface != PROPERTIES or path == ROOT_PATH):
        return STANDARD[interface]
    if path != ROOT_PATH and not path.startswith(CEREMONY_PREFIX):
        raise UnknownCallError("UnknownObject", "there is no such object")
    raise UnknownCallError("UnknownInterface", "there is no such interface here")
