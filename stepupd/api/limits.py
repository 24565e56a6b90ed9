"""How much a stranger may take. Every number has its reason; tests pass smaller ones in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of both doors together; seconds and bytes."""

    connections_per_uid: int = 16
    """A person's terminals, screen locker and scripts; nobody needs more at one moment."""

    connections_of_others: int = 1024
    """All accounts but root together: 64 of them at their own limit."""

    connections_of_root: int = 4096
    """sudo, sshd and login run as root: a login storm after an outage must get through."""

    ceremonies_per_uid: int = 4
    """Running ceremonies of one account. Root has no such limit: it asks for everybody."""

    ceremonies_of_others: int = 64
    """Running ceremonies of all accounts but root: each may wait for the one key."""

    calls: int = 8
    """Calls in flight on one JSON-RPC connection, the ceremony included."""

    line: int = 64 * 1024
    """One JSON-RPC line: a command of a thousand arguments, not an upload."""

    answer: int = 1024
    """What a person types: a PIN has at most 63 bytes (CTAP 2.1 section 6.5.1)."""

    unread: int = 64 * 1024
    """Output kept for a peer that does not read. Beyond it the connection is cut."""

    message_seconds: float = 5
    """From accept, or from a message's first byte, to its last: slow senders hold a place."""

    idle_seconds: float = 900
    """Between messages on a JSON-RPC connection; a client can simply connect again."""

    drain_seconds: float = 5
    """How long a closing connection may take to read its last message."""

    accepts: int = 32
    """New connections per turn of the event loop, so that a storm leaves room for the others."""

    spare_descriptors: int = 16
    """Descriptors left for keys, the audit log and /proc when connections take all others."""

    pause_seconds: float = 0.2
    """How long no connection is accepted once descriptors have run out."""
