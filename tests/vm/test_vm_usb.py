"""Keys on USB as udev sees them: a vendor and several interfaces, which uhid does not have."""

import pytest
from vm_support import LIMIT_S, TAIL

pytestmark = pytest.mark.timeout(LIMIT_S)

YUBICO, OTHER = 0x1050, 0x046D
# HID 1.11, appendix B.1, without the LEDs: what a YubiKey types one-time codes with.
KEYBOARD = "05010906a101050719e029e71500250175019508810295017508810195057501c0"
FIDO, KEYS = 0, 1

GADGET = f"""
import sys
from guest_gadget import REPORT_DESCRIPTOR, change_vendor, make_gadget
keyboard = bytes.fromhex("{KEYBOARD}")
if sys.argv[1] == "make":
    make_gadget("key", int(sys.argv[2]), [REPORT_DESCRIPTOR, keyboard])
else:
    change_vendor(int(sys.argv[2]))
"""


@pytest.fixture
def gadget(installed):
    """Give a machine with a device of two interfaces, and ada at its seat."""
    installed.write("/etc/pam.d/login", "session required pam_systemd.so\n" + TAIL)
    installed.sit_down("ada")
    installed.write("/opt/key/gadget.py", GADGET)
    return installed


def plug(guest, how, vendor):
    """Plug it in as a vendor's; wait until udev is through with it."""
    guest.run(f"PYTHONPATH=/opt/key python3 /opt/key/gadget.py {how} {vendor}")
    guest.await_true(f"ls {find(FIDO)} {find(KEYS)} >/dev/null 2>&1")
    guest.run("udevadm settle")


def find(interface):
    """Return the shell's pattern for an interface's node in sysfs."""
    return f"/sys/bus/usb/devices/*-1:1.{interface}/*/hidraw/hidraw*"


def look(guest, interface):
    """Return a node's owner and mode, and the people whom its ACL names."""
    node = f"/dev/$(basename {find(interface)})"
    named = f"getfacl -cp {node} | grep '^user:[^:]' || true"
    return guest.run(f"stat -c '%U:%G %a' {node} && {{ {named}; }}").splitlines()


def test_both_interfaces_of_a_yubikey_are_the_daemons(gadget):
    """The one that types one-time codes too, by its vendor; nobody else's keyboard is."""
    plug(gadget, "make", YUBICO)
    assert look(gadget, FIDO) == ["root:stepupd 660", "user:ada:rw-"]
    assert look(gadget, KEYS) == ["root:stepupd 660"]

    plug(gadget, "change", OTHER)
    assert look(gadget, FIDO) == ["root:stepupd 660", "user:ada:rw-"]
    assert look(gadget, KEYS) == ["root:root 600"]


def test_who_sits_at_the_seat_has_the_same_access_without_the_rules(gadget):
    """Of her own, to the key, and none to what is typed on it."""
    gadget.run("mv /usr/lib/udev/rules.d/70-stepupd.rules /root && udevadm control --reload")
    plug(gadget, "make", YUBICO)
    fido, keys = look(gadget, FIDO), look(gadget, KEYS)

    assert fido[1:] == ["user:ada:rw-"]
    assert keys == ["root:root 600"]
