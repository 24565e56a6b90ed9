"""One message to the systemd journal, by its native protocol; no library (systemd.journal-fields).

What goes there is an anchor and a convenience: a machine without a journal loses nothing else.
"""

import socket
import struct

_ADDRESS = "/run/systemd/journal/socket"


def send_to_journal(message: str, **fields: str) -> bool:
    """Send a message with further fields; False where there is no journal."""
    parts = {"MESSAGE": message, "PRIORITY": "6", "SYSLOG_IDENTIFIER": "stepupd", **fields}
    datagram = b"".join(_encode(name, value.encode()) for name, value in parts.items())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        try:
            sock.sendto(datagram, _ADDRESS)
        except OSError:
            return False
    return True


def _encode(name: str, value: bytes) -> bytes:
    # With its length in front, so that no value can begin another field.
    return name.encode("ascii") + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
