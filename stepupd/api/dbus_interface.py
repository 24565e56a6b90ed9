"""What the D-Bus door offers, as tables: one interface to ask and manage, one per ceremony.

The law of this file: a method that is not in its table is not served, and its arguments have
exactly the types written here. `dbus/org.stepupd1.xml` is the same, with words for people; a test
holds them equal.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, unique

ROOT_PATH = "/org/stepupd1"
CEREMONY_PREFIX = f"{ROOT_PATH}/ceremony/"
NAME = "org.stepupd1"
MANAGER = f"{NAME}.Manager"
CEREMONY = f"{NAME}.Ceremony"
PROPERTIES = "org.freedesktop.DBus.Properties"
INTROSPECTABLE = "org.freedesktop.DBus.Introspectable"
PEER = "org.freedesktop.DBus.Peer"

RESULT = (("verdict", "s"), ("reason", "s"), ("text", "s"), ("details", "a{sv}"))
_STEP_UP = {"subject": "s", "level": "s", "max_age": "d", "command": "as", "reason": "s"}
_FOR_ANOTHER = {name: kind for name, kind in _STEP_UP.items() if name != "subject"}
_SUBJECT = {"subject": "s"}
_TYPES = {"process": "h"}
"""Arguments that are no text."""


@unique
class Ends(Enum):
    """What a method returns, and when."""

    AT_ONCE = "at once"
    """What it has to say."""
    LATER = "later"
    """The path of a ceremony, before anything is asked."""
    WITH_VERDICT = "with verdict"
    """The result of a ceremony that can show, but ask nothing."""


@dataclass(frozen=True, slots=True)
class Method:
    """Arguments as (name, type).

    `options` is what its last argument, an `a{sv}`, may hold; None for no such argument. `serves`
    is the method of the JSON-RPC door whose bounds and meaning it has. `polkit` is the action with
    which an administrator may do what the account itself may not.
    """

    ins: tuple[tuple[str, str], ...] = ()
    options: dict[str, str] | None = None
    outs: tuple[tuple[str, str], ...] = ()
    ends: Ends = Ends.AT_ONCE
    serves: str = ""
    polkit: str = ""

    @property
    def arguments(self) -> tuple[tuple[str, str], ...]:
        """All arguments, the options last."""
        return self.ins if self.options is None else (*self.ins, ("options", "a{sv}"))

    @property
    def is_for_client(self) -> bool:
        """Whether its first argument is the bus name of a client."""
        return self.arguments[:1] == (("bus_name", "s"),)

    @property
    def is_for_process(self) -> bool:
        """Whether its first argument is the pidfd of a process."""
        return self.arguments[:1] == (("process", "h"),)

    @property
    def signature(self) -> str:
        """The signature of a call's body."""
        return "".join(kind for _, kind in self.arguments)

    @property
    def out_signature(self) -> str:
        """The signature of a reply's body."""
        return "".join(kind for _, kind in self.outs)


@dataclass(frozen=True, slots=True)
class Interface:
    """One interface. Signals are arguments as (name, type), properties are types."""

    name: str
    methods: dict[str, Method]
    signals: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    properties: dict[str, str] = field(default_factory=dict)


def _ceremony(
    serves: str, *names: str, options: dict[str, str] = _SUBJECT, polkit: str = ""
) -> Method:
    ins = tuple((name, _TYPES.get(name, "s")) for name in names)
    return Method(ins, options, (("ceremony", "o"),), Ends.LATER, serves, polkit)


def _check(*names: str, options: dict[str, str]) -> Method:
    ins = tuple((name, _TYPES.get(name, "s")) for name in names)
    return Method(ins, options, RESULT, Ends.WITH_VERDICT, "StepUp")


def _read(serves: str, name: str, polkit: str) -> Method:
    return Method((), _SUBJECT, ((name, "aa{sv}"),), serves=serves, polkit=polkit)


MANAGER_INTERFACE = Interface(
    MANAGER,
    methods={
        "StepUp": _ceremony("StepUp", "action", options=_STEP_UP),
        "StepUpFor": _ceremony("StepUp", "bus_name", "action", options=_FOR_ANOTHER),
        "StepUpForProcess": _ceremony("StepUp", "process", "action", options=_FOR_ANOTHER),
        "Check": _check("action", options=_STEP_UP),
        "CheckFor": _check("bus_name", "action", options=_FOR_ANOTHER),
        "CheckForProcess": _check("process", "action", options=_FOR_ANOTHER),
        "Enroll": _ceremony("Enroll", "name", polkit="enroll"),
        "RenameCredential": _ceremony("RenameCredential", "credential", "name", polkit="rename"),
        "RemoveCredential": _ceremony("RemoveCredential", "credential", polkit="remove"),
        "ListCredentials": _read("ListCredentials", "credentials", "read-others"),
        "ListGrants": _read("ListGrants", "grants", "read-others"),
        "Revoke": Method(
            (("grant", "s"),), _SUBJECT, (("count", "u"),), serves="Revoke", polkit="revoke-others"
        ),
        "PushEvent": Method(
            (("subject", "s"), ("event", "s")),
            {"reason": "s", "lasts": "d"},
            (("count", "u"), ("entry", "x")),
            serves="PushEvent",
        ),
        "Status": Method((), None, (("status", "a{sv}"),), serves="Status"),
        "AuditTail": Method((("count", "u"),), None, (("entries", "as"),), polkit="read-log"),
        "Reload": Method(polkit="reload"),
    },
    properties={"Version": "s", "Mode": "s", "RpId": "s", "PolicyDigest": "s"},
)

CEREMONY_INTERFACE = Interface(
    CEREMONY,
    methods={
        "Respond": Method((("id", "u"), ("answer", "s"))),
        "Decline": Method((("id", "u"),)),
        "Cancel": Method(),
    },
    signals={
        "Prompt": (("text", "s"), ("is_error", "b")),
        "Question": (("id", "u"), ("text", "s"), ("is_hidden", "b")),
        "Finished": RESULT,
    },
)

STANDARD = {
    INTROSPECTABLE: {"Introspect": Method((), None, (("xml", "s"),))},
    PEER: {"Ping": Method()},
    PROPERTIES: {
        "Get": Method((("interface", "s"), ("name", "s")), None, (("value", "v"),)),
        "GetAll": Method((("interface", "s"),), None, (("values", "a{sv}"),)),
        "Set": Method((("interface", "s"), ("name", "s"), ("value", "v"))),
    },
}
"""Interfaces of the D-Bus specification that the door speaks; no ObjectManager: it would list
everybody's ceremonies."""


def write_introspection(*interfaces: Interface) -> str:
    """Return introspection data. It names no child object: a ceremony is its caller's alone."""
    body = "\n".join(line for interface in interfaces for line in _write_interface(interface))
    return f"<node>\n{body}\n</node>\n"


def _write_interface(interface: Interface) -> Iterator[str]:
    yield f' <interface name="{interface.name}">'
    for name, method in interface.methods.items():
        yield f'  <method name="{name}">'
        for direction, arguments in (("in", method.arguments), ("out", method.outs)):
            yield from (_write_argument(*one, f' direction="{direction}"') for one in arguments)
        yield "  </method>"
    for name, arguments in interface.signals.items():
        yield f'  <signal name="{name}">'
        yield from (_write_argument(*one) for one in arguments)
        yield "  </signal>"
    for name, kind in interface.properties.items():
        yield f'  <property name="{name}" type="{kind}" access="read"/>'
    yield " </interface>"


def _write_argument(name: str, kind: str, direction: str = "") -> str:
    return f'   <arg name="{name}" type="{kind}"{direction}/>'
