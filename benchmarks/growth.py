"""Whether a grant is answered as fast beside many credentials and after many audit entries."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from time import perf_counter

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from daemon import Daemon
from idle import read_memory
from measure import Row, bound, compare, say_size, say_time, take_turns

from stepupd.core.model import Credential
from stepupd.store.audit_log import AuditLog
from stepupd.store.credentials import CredentialStore
from stepupd.store.master_key import Purpose, derive_key, load_master_key

CREDENTIALS = 10_000
ENTRIES = 1_000_000
GOAL = 1.1
ROUNDS = 1000
PUBLIC_KEY = bytes(77)
RECORD = {
    "kind": "step-up",
    "request": {"action": "pam:sudo", "subject": "ada", "subject_uid": 1000, "caller_uid": 0},
    "policy": "0" * 64,
    "verdict": {"answer": "allow", "reason": "grant"},
    "decision": {"is": "satisfied", "rule": "sudo", "grant": "0" * 16},
}


def measure() -> Iterator[Row]:
    """Yield latency beside much against latency beside nothing, start-up and memory too."""
    with ExitStack() as stack:
        small, keys, log = (stack.enter_context(Daemon()) for _ in range(3))
        for daemon in (keys, log):
            daemon.stop()
        add_credentials(keys, CREDENTIALS)
        add_entries(log, ENTRIES)
        started = [restart(daemon) for daemon in (small, keys, log)]
        ways = {}
        for name, daemon in (("small", small), ("keys", keys), ("log", log)):
            daemon.enroll()
            client = stack.enter_context(daemon.client())
            ways[name] = partial(client.step_up, "cli:deploy")
        times = take_turns(ways, ROUNDS)
        memory = [read_memory(daemon.pid) for daemon in (small, keys, log)]
    yield compare(f"grant, {CREDENTIALS:,} credentials : 1", times["keys"], times["small"], GOAL)
    yield bound("  start", started[1], None, say_time, started[0])
    yield bound("  memory", memory[1], None, say_size, memory[0])
    yield compare(f"grant, {ENTRIES:,} entries : 0", times["log"], times["small"], GOAL)
    yield bound("  start", started[2], None, say_time, started[0])
    yield bound("  memory", memory[2], None, say_size, memory[0])


def restart(daemon: Daemon) -> float:
    """Return the seconds until it is ready."""
    daemon.stop()
    started = perf_counter()
    daemon.start()
    return perf_counter() - started


def add_credentials(daemon: Daemon, count: int) -> None:
    """Enrol a key for as many other accounts, in the store of a daemon that does not run."""
    store = CredentialStore(daemon.state / "credentials.db", find_key(daemon, Purpose.STORE_MAC))
    # Each change is synced, which is right and here takes minutes.
    store._rows._connection.execute("PRAGMA synchronous = OFF")  # noqa: SLF001
    for number in range(count):
        store.add(
            Credential(
                id=number.to_bytes(64),
                subject_uid=100_000 + number,
                name="blue",
                rp_id=store.rp_id,
                public_key=PUBLIC_KEY,
                aaguid=bytes(16),
                sign_count=0,
            )
        )
    store.close()


def add_entries(daemon: Daemon, count: int) -> None:
    """Lengthen the log of a daemon that does not run."""
    mac = find_key(daemon, Purpose.STORE_MAC)
    store = CredentialStore(daemon.state / "credentials.db", mac)
    key = Ed25519PrivateKey.from_private_bytes(find_key(daemon, Purpose.AUDIT_SIGNING))
    files = (daemon.state / "audit.log", daemon.state / "audit.checkpoint")
    with AuditLog(*files, key, f"{store.rp_id}/audit") as log:
        for number in range(count):
            future = log.submit({**RECORD, "number": number})
            if number % 1000 == 0:
                future.result()
    store.close()


def find_key(daemon: Daemon, purpose: Purpose) -> bytes:
    """Derive one of the daemon's keys."""
    return derive_key(load_master_key(daemon.state / "master.key"), purpose)
