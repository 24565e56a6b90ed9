"""The least that a relay with an audit log could do: one synced line, one verdict, no thought.

Usage: floor.py SOCKET FILE. One connection at a time, one thread, no event loop.
"""

import os
import socket
import sys

from stepupd.api.relay_frames import VerdictCode, encode_verdict

LINE = b"x" * 600 + b"\n"
ALLOW = encode_verdict(VerdictCode.ALLOW)


def main() -> None:
    """Serve until killed."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(sys.argv[1])
    listener.listen(128)
    file = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    print(flush=True)
    while True:
        sock, _ = listener.accept()
        with sock:
            sock.recv(8192)
            os.write(file, LINE)
            os.fdatasync(file)
            sock.send(ALLOW)


if __name__ == "__main__":
    main()
