"""The daemon put together: every object is made here, once, and closed here."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepupd.api.admission import Admission
from stepupd.api.dbus_door import BusDoor
from stepupd.api.house import House
from stepupd.api.limits import Limits
from stepupd.api.listener import Entrance, Listener, adopt_socket, bind_socket
from stepupd.api.relay import relay_entrance
from stepupd.api.rpc import rpc_entrance
from stepupd.broker import Broker
from stepupd.bus_wiring import look_outside
from stepupd.core.errors import StepUpError
from stepupd.core.model import Caller, Door
from stepupd.core.policy import Policy
from stepupd.core.record import describe_change, describe_known_key
from stepupd.devices.key_ring import KeyRing
from stepupd.devices.plugged import Source
from stepupd.host import accounts, clock, systemd
from stepupd.host.bus import find_bus_address
from stepupd.host.journal import send_to_journal
from stepupd.host.peer import identify
from stepupd.places import Places
from stepupd.service import Service
from stepupd.store.audit_log import BATCH_LIMIT, AuditLog
from stepupd.store.configuration import load_policy, load_settings
from stepupd.store.credentials import CredentialStore
from stepupd.store.grants import GrantStore
from stepupd.store.identity import fix_rp_id
from stepupd.store.master_key import Purpose, derive_key, load_master_key
from stepupd.store.recovery import RecoveryStore
from stepupd.store.settings import Settings
from stepupd.world import World

_log = logging.getLogger(__name__)

OWN = Caller(uid=os.getuid(), pid=os.getpid(), door=Door.SOCKET)
"""The daemon itself, in entries about itself."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What the command line decided."""

    places: Places
    is_user: bool
    sources: Sequence[Source]
    is_simulated: bool

    @property
    def word(self) -> str:
        """The mode as status shows it."""
        return "user" if self.is_user else "system"


class Daemon:
    """One running daemon. `run` returns after SIGTERM or SIGINT."""

    def __init__(self, mode: Mode) -> None:
        """Open everything. Raises ConfigError or InternalError before any door is open."""
        self._mode = mode
        places = mode.places
        places.make()
        self._settings = load_settings(places.configuration)
        self._policy = load_policy(places.configuration)
        master = load_master_key(
            places.master_key, credentials_directory=_find_credentials_directory()
        )
        # Where there is a log there was a store: a missing one is a loss, not a first start.
        self._credentials = CredentialStore(
            places.database,
            derive_key(master, Purpose.STORE_MAC),
            minimum_epoch=int(places.audit_log.exists()),
        )
        rp_id = fix_rp_id(
            self._credentials, configured=self._settings.rp_id, hostname=socket.gethostname()
        )
        self._grants = GrantStore(places.grants)
        signing = Ed25519PrivateKey.from_private_bytes(derive_key(master, Purpose.AUDIT_SIGNING))
        self._journal = AuditLog(
            places.audit_log, places.checkpoint, signing, f"{rp_id}/audit", publish_checkpoint
        )
        self._world = World(
            accounts=accounts,
            credentials=self._credentials,
            recovery_codes=RecoveryStore(
                places.recovery_codes, derive_key(master, Purpose.RECOVERY_MAC)
            ),
            grants=self._grants,
            journal=self._journal,
            authenticators=KeyRing(mode.sources, lambda: clock.read_clock().boot),
            read_clock=clock.read_clock,
            make_nonce=os.urandom,
            read_policy=lambda: self._policy,
            may_name_others=self._may_name_others,
            rp_id=rp_id,
            is_simulated=mode.is_simulated,
            attestation_roots=self._settings.attestation_roots,
        )
        self._broker = Broker(self._world)
        self._bus: BusDoor | None = None

    async def run(self) -> None:
        """Open the doors, serve until told to stop, close everything."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            await self._begin_log()
            async with AsyncExitStack() as doors:
                for door in self._open_doors():
                    door.start()
                    doors.push_async_callback(door.close)
                if self._bus is not None:
                    await self._bus.settle()
                # What lives now lives on; to search it for garbage again takes milliseconds.
                gc.collect()
                gc.freeze()
                systemd.notify("READY=1")
                self._feed_watchdog()
                _log.info("ready: %s mode, %d rules", self._mode.word, len(self._policy.rules))
                await stop.wait()
                systemd.notify("STOPPING=1")
            await self._journal.append(self._describe("stop"))
        finally:
            self.close()

    async def _begin_log(self) -> None:
        """Record the start; a new log first learns the keys that were enrolled before it."""
        known = self._credentials.list_all()
        # Any other log has an entry for each key and one for each start; after a crash in the
        # middle of this it has not, and saying it twice does no harm.
        if self._journal.count() <= len(known):
            for start in range(0, len(known), BATCH_LIMIT):
                batch = [describe_known_key(OWN, one) for one in known[start : start + BATCH_LIMIT]]
                await asyncio.gather(*map(self._journal.append, batch))
        await self._journal.append(self._describe("start"))

    def close(self) -> None:
        """Let go of the stores."""
        self._broker.close()
        self._journal.close()
        self._grants.close()
        self._credentials.close()

    def _open_doors(self) -> list[Listener | BusDoor]:
        limits = limit_connections(self._settings)
        admission = Admission(limits)
        service = Service(
            self._broker,
            mode=self._mode.word,
            own_uid=OWN.uid,
            is_first_key_open=self._mode.is_user,
            is_simulated=self._mode.is_simulated,
        )
        places, given = self._mode.places, systemd.listen_fds()
        # Anyone may knock at the machine's doors; only the person at his own.
        access = 0o600 if self._mode.is_user else 0o666
        doors: tuple[tuple[str, Path, Entrance], ...] = (
            ("pam", places.relay_socket, relay_entrance(service, admission, limits)),
            ("rpc", places.rpc_socket, rpc_entrance(service, admission, limits)),
        )
        is_user = self._mode.is_user
        outside = look_outside(self._broker, places, is_user=is_user, reload=self._reload)
        house = House(service, admission, limits)
        self._bus = BusDoor(find_bus_address(is_user=is_user), house, outside)
        listeners = [
            Listener(
                adopt_socket(given[name]) if name in given else bind_socket(path, access),
                entrance,
                identify=identify,
                admission=admission,
                limits=limits,
            )
            for name, path, entrance in doors
        ]
        return [*listeners, self._bus]

    def _may_name_others(self, caller: Caller) -> bool:
        settings = self._settings
        if caller.uid in settings.trusted_uids:
            return True
        if not settings.trusted_groups:
            return False
        account = accounts.find_subject_by_uid(caller.uid)
        return account is not None and bool(account.groups & settings.trusted_groups)

    def _reload(self) -> None:
        """Take a new policy if it is good; keep the old one if it is not."""
        systemd.notify("RELOADING=1")
        try:
            self._policy = load_policy(self._mode.places.configuration, is_reload=True)
        except StepUpError as error:
            _log.error("the old policy stays: %s", error)
            record = self._describe("reload", error=str(error))
        except Exception:  # noqa: BLE001 - whatever it was, the daemon goes on as it was
            _log.exception("the old policy stays")
            record = self._describe("reload", error="stepupd failed")
        else:
            _log.info("new policy: %d rules", len(self._policy.rules))
            record = self._describe("reload")
            if self._bus is not None:
                self._bus.announce(PolicyDigest=self._policy.digest)
        try:
            self._journal.submit(record).add_done_callback(_tell_failure)
        except StepUpError:
            _log.exception("the reload could not be recorded")
        finally:
            systemd.notify("READY=1")

    def _describe(self, kind: str, **fields: object) -> dict[str, object]:
        return describe_change(
            kind,
            OWN,
            OWN.uid,
            mode=self._mode.word,
            policy=self._policy.digest,
            rp_id=self._world.rp_id,
            **fields,
        )

    def _feed_watchdog(self) -> None:
        interval = systemd.watchdog_interval()
        if interval is not None:
            systemd.notify("WATCHDOG=1")
            asyncio.get_running_loop().call_later(interval, self._feed_watchdog)


def _tell_failure(written: "Future[int]") -> None:
    if written.exception() is not None:
        _log.error("the reload could not be recorded: %s", written.exception())


def limit_connections(settings: Settings) -> Limits:
    """Return the doors' limits with what the administrator set."""
    return replace(
        Limits(),
        ceremonies_per_uid=settings.limits.requests_per_uid,
        ceremonies_of_others=settings.limits.requests,
    )


def publish_checkpoint(note: str) -> None:
    """Hand a checkpoint to the journal, where whoever cuts the log cannot reach it as easily."""
    size = note.split("\n", 2)[1]
    send_to_journal(f"audit log: {size} entries", STEPUPD_CHECKPOINT=note)


def read_policy_only(places: Places) -> Policy:
    """Return the policy, for `--check`. Raises ConfigError."""
    load_settings(places.configuration)
    return load_policy(places.configuration)


def _find_credentials_directory() -> Path | None:
    given = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return Path(given) if given else None
