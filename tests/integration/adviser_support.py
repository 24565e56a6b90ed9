"""Advisers for tests: small real programs, and servers on a loopback address or a Unix socket."""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

QUESTION = {"version": 1, "action": "pam:sudo", "subject": "ada", "uid": 1000, "command": ["ls"]}
GOOD = b'{"score":42,"reason":"seen before"}'
PYTHON = "#!/usr/bin/python3 -IS\n"


def write_program(path: Path, text: str) -> Path:
    """Write a program of root's, in Python unless it says itself what it is in."""
    path.write_text(text if text.startswith("#!") else PYTHON + text)
    path.chmod(0o755)
    return path


def respond(body: bytes = GOOD, status: str = "200 OK", *headers: str) -> bytes:
    """Return a whole response of HTTP/1.1."""
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


@dataclass
class Endpoint:
    """A server that says the same to everybody; `asked` is what came in."""

    listener: socket.socket
    talk: Callable[[socket.socket], None]
    context: ssl.SSLContext | None = None
    asked: list[bytes] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection:
                    self.attend(connection)

    def attend(self, connection: socket.socket) -> None:
        connection.settimeout(10)
        with suppress(OSError):
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            with connection:
                self.asked.append(read_request(connection))
                self.talk(connection)


def read_request(connection: socket.socket) -> bytes:
    """Return head and body of a request."""
    raw = b""
    while b"\r\n\r\n" not in raw:
        raw += connection.recv(4096) or b"\r\n\r\n"
    head, _, body = raw.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-len")),
        0,
    )
    while len(body) < length and (piece := connection.recv(4096)):
        body += piece
    return head + b"\r\n\r\n" + body


@contextmanager
def endpoint(
    answer: bytes | Callable[[socket.socket, threading.Event], None],
    path: Path | None = None,
    context: ssl.SSLContext | None = None,
) -> Iterator[Endpoint]:
    """Serve `answer`, or let it talk, until the block is left."""
    family = socket.AF_INET if path is None else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0) if path is None else str(path))
        listener.listen(8)

        def talk(connection: socket.socket) -> None:
            if callable(answer):
                answer(connection, server.ended)
            else:
                connection.sendall(answer)

        server = Endpoint(listener, talk, context)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


@dataclass(frozen=True)
class Identity:
    """A certificate that signs itself, with its key, in one file."""

    file: Path

    def serve(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context

    def trust(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this one and nobody else."""
        return ssl.create_default_context(cafile=str(self.file))


def make_identity(folder: Path, name: str = "127.0.0.1", *, days: int = 1) -> Identity:
    """Make a certificate for a name or an address; a negative number of days has passed."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    try:
        alternative: x509.GeneralName = x509.IPAddress(ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{name}.{days}.pem"
    file.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )
    return Identity(file)


def list_children() -> set[int]:
    """Return the process ids of our children, the dead ones that nobody waited for as well."""
    found = set()
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - names are all that is wanted
        with suppress(OSError):
            text = Path(f"/proc/self/task/{task}/children").read_text()
            found |= {int(pid) for pid in text.split()}
    return found
