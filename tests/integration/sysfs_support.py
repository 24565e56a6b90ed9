"""A made-up sysfs tree with hidraw nodes."""

from pathlib import Path

from stepupd.devices.hidraw import HidrawSource

FIDO = bytes.fromhex(
    "06d0f1 0901 a101 0920 1500 26ff00 7508 9540 8102 0921 1500 26ff00 7508 9540 9102 c0"
)
KEYBOARD = bytes.fromhex("05010906a101050719e029e71500250175019508810295017508810195057501c0")


class Sysfs:
    """A tree with the few files that are read, and the device nodes."""

    def __init__(self, root: Path) -> None:
        self.classes = root / "sys/class/hidraw"
        self.devices = root / "sys/devices"
        self.dev = root / "dev"
        for folder in (self.classes, self.devices, self.dev):
            folder.mkdir(parents=True)

    def plug(self, node="hidraw0", number=5, descriptor=FIDO, name="Yubico YubiKey OTP+FIDO+CCID"):
        device = self.devices / f"0003:1050:0407.{number:04X}"
        device.mkdir()
        (device / "report_descriptor").write_bytes(descriptor)
        (device / "uevent").write_text(f"DRIVER=hid-generic\nHID_NAME={name}\nHID_UNIQ=\nodd\n")
        (self.classes / node).mkdir(exist_ok=True)
        (self.classes / node / "device").symlink_to(device)
        if not (self.dev / node).exists():
            # A node that is open and says nothing: the key "is gone" as soon as it is asked.
            (self.dev / node).symlink_to("/dev/null")

    def unplug(self, node="hidraw0"):
        (self.classes / node / "device").unlink()
        (self.classes / node).rmdir()

    def source(self) -> HidrawSource:
        return HidrawSource(self.classes, self.dev)
