"""The software key as a USB gadget, plugged into a host controller that is software too.

    guest_gadget.py DIRECTORY        as root, in the guest; key.json and key.sock lie there

What uhid leaves out is here: usbhid, which starts the transfers when somebody opens the node and
stops them after the last. It cannot be unplugged; that is for uhid.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stepupd.devices.simulated import ControlServer, SimulatedKey
from stepupd.devices.simulated.hid_link import HidLink
from stepupd.devices.simulated.uhid import REPORT_DESCRIPTOR

MODULES = ("dummy_hcd", "libcomposite", "usb_f_hid", "usbhid")
CONFIGURATION = Path("/sys/kernel/config")
GADGET = CONFIGURATION / "usb_gadget" / "key"
NODE = "/dev/hidg0"
CONTROLLER = "dummy_udc.0"
PACKET = 64
# pid.codes' test numbers, as on uhid.
VENDOR = 0x1209


def main() -> None:
    """Make the gadget, and answer on it."""
    directory = Path(sys.argv[1])
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = SimulatedKey(directory / "key.json")
    insertion = key.body.insertion
    if insertion is None:
        sys.exit("the key is not plugged in")
    make_gadget(key.name)
    node = os.open(NODE, os.O_RDWR)
    link = HidLink(key, insertion)
    link.listen(lambda packet: send(node, packet))
    ControlServer(directory, [key]).start()
    while packet := os.read(node, PACKET):
        link.receive(packet)


def send(node: int, packet: bytes) -> None:
    """Hand one packet to whoever polls the key."""
    os.write(node, packet)


def make_gadget(
    name: str, vendor: int = VENDOR, descriptors: Sequence[bytes] = (REPORT_DESCRIPTOR,)
) -> None:
    """Describe a device with HID interfaces (kernel: gadget_configfs), and connect it."""
    subprocess.run(["/usr/sbin/modprobe", "--all", *MODULES], check=True)
    if not GADGET.parent.is_dir():
        subprocess.run(["/usr/bin/mount", "-t", "configfs", "none", CONFIGURATION], check=True)
    configuration, strings = GADGET / "configs/c.1", GADGET / "strings/0x409"
    for directory in (strings, configuration):
        directory.mkdir(parents=True)
    (GADGET / "idVendor").write_text(hex(vendor))
    (GADGET / "idProduct").write_text("0x0001")
    (strings / "product").write_text(name)
    for number, descriptor in enumerate(descriptors):
        function = GADGET / f"functions/hid.{number}"
        function.mkdir()
        (function / "report_length").write_text(str(PACKET))
        (function / "report_desc").write_bytes(descriptor)
        (configuration / function.name).symlink_to(function)
    (GADGET / "UDC").write_text(CONTROLLER)


def change_vendor(vendor: int) -> None:
    """Unplug the device, and plug it in as somebody else's."""
    (GADGET / "UDC").write_text("\n")
    (GADGET / "idVendor").write_text(hex(vendor))
    (GADGET / "UDC").write_text(CONTROLLER)


if __name__ == "__main__":
    main()
