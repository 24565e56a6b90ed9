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

    malformed: int = 16
    """Lines that are no message on one JSON-RPC connection: a broken client shows itself sooner."""

    messages_per_turn: int = 4
    """Messages of one connection per turn of the event loop, so that a flood leaves room for the
    others: all 16 connections of an account together take about a millisecond."""

    burst: int = 60
    """Calls of one account at once: a script that asks before each of its steps. Every step-up
    leaves an entry in the audit log, which root alone may fill as fast as it likes."""

    calls_per_second: float = 2
    """Calls of one account in the long run: at most some 170,000 entries a day, and more than any
    person answers."""

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

    hang_up_seconds: float = 0.2
    """How often a caller that has said all it had to say is looked at: is it still there?"""

    pause_seconds: float = 0.2
    """How long no connection is accepted once descriptors have run out."""
