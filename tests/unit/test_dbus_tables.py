"""The D-Bus door's tables, and the files in dbus/ that say the same to others."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest
from dbus_fast import SignatureTree
from dbus_fast.introspection import Node

from stepupd.api.dbus_interface import (
    CEREMONY_INTERFACE,
    MANAGER,
    MANAGER_INTERFACE,
    NAME,
    PROPERTIES,
    STANDARD,
    write_introspection,
)
from stepupd.api.dbus_lookup import introspect
from stepupd.api.methods import METHODS

FOLDER = Path(__file__).parents[2] / "dbus"
INTERFACES = [MANAGER_INTERFACE, CEREMONY_INTERFACE]

# Codes are shown once, to the person: they do not travel over a bus that root may listen to.
# A person's habits are the person's, and the administrator's, at the socket.
NOT_ON_THE_BUS = {"MakeRecoveryCodes", "ShowProfile", "ForgetProfile"}


def read_interfaces(node):
    """Return name -> (methods, signals, properties) of all interfaces below a node."""
    return {
        one.attrib["name"]: [
            {
                item.attrib["name"]: [tuple(sorted(arg.attrib.items())) for arg in item]
                or item.attrib.get("type")
                for item in one.findall(kind)
            }
            for kind in ("method", "signal", "property")
        ]
        for one in node.iter("interface")
    }


def test_the_file_says_what_the_code_does():
    """dbus/org.stepupd1.xml and the tables are the same, names, types and directions."""
    written = read_interfaces(ET.parse(FOLDER / "org.stepupd1.xml").getroot())  # noqa: S314 - ours
    served = read_interfaces(ET.fromstring(write_introspection(*INTERFACES)))  # noqa: S314 - ours

    assert written == served


def test_everything_in_the_file_is_explained():
    """A comment stands before each method, signal and property."""
    lines = (FOLDER / "org.stepupd1.xml").read_text().splitlines()
    for before, line in pairwise(lines):
        if re.match(r"  <(method|signal|property) ", line):
            assert before.endswith("-->"), line


def test_the_bus_policy_lists_exactly_what_is_served():
    """Attack 34: each method is allowed by name, nothing else is, and all is denied first."""
    policies = ET.parse(FOLDER / "org.stepupd1.conf").getroot().findall("policy")  # noqa: S314 - ours
    default = next(one for one in policies if one.attrib.get("context") == "default")
    allowed = {
        (rule.attrib["send_interface"], rule.attrib["send_member"])
        for rule in default.findall("allow")
    }
    served = {(one.name, method) for one in INTERFACES for method in one.methods}
    standard = {(name, method) for name, methods in STANDARD.items() for method in methods}

    assert allowed == served | standard - {(PROPERTIES, "Set")}
    assert all(rule.attrib["send_type"] == "method_call" for rule in default.findall("allow"))
    assert [rule.attrib for rule in default][:2] == [{"own": NAME}, {"send_destination": NAME}]
    assert [rule.tag for rule in default][:2] == ["deny", "deny"]


def test_only_root_and_the_daemon_may_own_the_name():
    policies = ET.parse(FOLDER / "org.stepupd1.conf").getroot().findall("policy")  # noqa: S314 - ours
    owners = {one.attrib.get("user") for one in policies if one.find("allow[@own]") is not None}

    assert owners == {"root", "stepupd"}


def test_polkit_knows_every_action_and_asks_an_administrator():
    """No action is open to everybody, and each has words for a person."""
    actions = ET.parse(FOLDER / "org.stepupd1.policy").getroot().findall("action")  # noqa: S314 - ours
    used = {method.polkit for method in MANAGER_INTERFACE.methods.values()} - {""}

    assert {one.attrib["id"] for one in actions} == {f"{NAME}.{action}" for action in used}
    for action in actions:
        defaults = {one.tag: one.text for one in action.find("defaults")}
        assert defaults.pop("allow_active").startswith("auth_admin")
        assert set(defaults.values()) == {"no"}
        assert action.findtext("message").startswith("Authentication is required to ")
        owner = action.find("annotate[@key='org.freedesktop.policykit.owner']")
        assert owner.text == "unix-user:stepupd"


def test_a_client_library_understands_the_introspection():
    for path in ("/", "/org", "/org/stepupd1", "/org/stepupd1/ceremony/7", "/elsewhere"):
        Node.parse(introspect(path))

    top = Node.parse(introspect("/org"))
    assert [child.name for child in top.nodes] == ["stepupd1"]
    assert Node.parse(introspect("/org/stepupd1")).nodes == []


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda one: one.name)
def test_every_type_is_one(interface):
    for method in interface.methods.values():
        SignatureTree(method.signature)
        SignatureTree(method.out_signature)
        for kind in (method.options or {}).values():
            SignatureTree(kind)


def test_each_call_of_the_other_door_is_here_or_left_out_on_purpose():
    served = {method.serves for method in MANAGER_INTERFACE.methods.values()} - {""}

    assert served == set(METHODS) - NOT_ON_THE_BUS
    assert MANAGER == "org.stepupd1.Manager"
