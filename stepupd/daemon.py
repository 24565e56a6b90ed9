"""The daemon put together: every object is made here, once, and closed here."""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from stepupd.api.admission import Admission
from stepupd.api.dbus_door import BusDoor
from stepupd.api.house import House
from stepupd.api.limits import Limits
from stepupd.api.listener import Entrance, Listener, adopt_socket, bind_socket
from stepupd.api.relay import relay_entrance
from stepupd.api.rpc import rpc_entrance
from stepupd.broker import Broker
from stepupd.bus_wiring import look_outside, watch_logind
from stepupd.core.errors import StepUpError
from stepupd.core.model import Caller, Door
from stepupd.core.policy import Policy
from stepupd.core.record import describe_change, describe_known_key
from stepupd.devices.key_ring import KeyRing
from stepupd.devices.plugged import Source
from stepupd.host import accounts, clock, systemd
from stepupd.host.bus import find_bus_address
from stepupd.host.peer import identify
from stepupd.outlook import Outlook
from stepupd.places import Places
from stepupd.removal import BoundGrants
from stepupd.service import Service
from stepupd.store.audit_log import BATCH_LIMIT
from stepupd.store.configuration import load_policy, load_settings
from stepupd.store.master_key import MasterKey, load_master_key
from stepupd.store.secret_service import SecretService
from stepupd.store.settings import Settings
from stepupd.stores import Stores
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
        master = _open_master_key(mode)
        self._key_place = master.place
        now = clock.read_clock()
        self._stores = Stores(places, master, self._settings.rp_id, now)
        self._journal = self._stores.journal
        self._keys = KeyRing(mode.sources, lambda: clock.read_clock().boot)
        self._bound_grants = self._bind_grants()
        self._world = World(
            accounts=accounts,
            credentials=self._stores.credentials,
            recovery_codes=self._stores.recovery_codes,
            grants=self._bound_grants,
            journal=self._journal,
            profiles=self._stores.profiles,
            activities=self._stores.activities,
            observe=Outlook(self._settings, now, lambda: self._logind.resumed_at).observe,
            authenticators=self._keys,
            read_clock=clock.read_clock,
            make_nonce=os.urandom,
            read_policy=lambda: self._policy,
            may_name_others=self._may_name_others,
            may_push_events=self._may_push_events,
            rp_id=self._stores.rp_id,
            is_simulated=mode.is_simulated,
            attestation_roots=self._settings.attestation_roots,
        )
        self._broker = Broker(self._world)
        self._logind = watch_logind(self._broker, self._keys)
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
                self._logind.start()
                doors.push_async_callback(self._logind.close)
                self._bound_grants.start()
                doors.push_async_callback(self._bound_grants.close)
                for door in self._open_doors():
                    door.start()
                    doors.push_async_callback(door.close)
                if self._bus is not None:
                    await self._bus.settle()
                await self._logind.settle()
                # What lives now lives on; to search it for garbage again takes milliseconds.
                gc.collect()
                gc.freeze()
                _log.info("the key is %s", self._key_place)
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
        known = self._stores.credentials.list_all()
        # Any other log has an entry for each key and one for each start; after a crash in the
        # middle of this it has not, and saying it twice does no harm.
        if self._journal.count() <= len(known):
            for start in range(0, len(known), BATCH_LIMIT):
                batch = [describe_known_key(OWN, one) for one in known[start : start + BATCH_LIMIT]]
                await asyncio.gather(*map(self._journal.append, batch))
        boot_id = clock.read_clock().boot_id
        await self._journal.append(self._describe("start", boot_id=boot_id))

    def close(self) -> None:
        """Let go of the stores."""
        self._broker.close()
        self._stores.close()

    def _open_doors(self) -> list[Listener | BusDoor]:
        limits = limit_connections(self._settings)
        admission = Admission(limits)
        service = Service(
            self._broker,
            mode=self._mode.word,
            own_uid=OWN.uid,
            is_first_key_open=self._mode.is_user or self._settings.is_first_key_open,
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

    def _bind_grants(self) -> BoundGrants:
        lock = self._lock_sessions if self._settings.lock_on_removal else None
        return BoundGrants(
            self._stores.grants, self._keys, self._journal, clock.read_clock, OWN, on_removal=lock
        )

    async def _lock_sessions(self, uid: int) -> None:
        await self._logind.lock_sessions(uid)

    def _may_name_others(self, caller: Caller) -> bool:
        settings = self._settings
        return _is_listed(caller, settings.trusted_uids, settings.trusted_groups)

    def _may_push_events(self, caller: Caller) -> bool:
        settings = self._settings
        return _is_listed(caller, settings.pushing_uids, settings.pushing_groups)

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


def _is_listed(caller: Caller, uids: frozenset[int], groups: frozenset[str]) -> bool:
    if caller.uid in uids or not groups:
        return caller.uid in uids
    account = accounts.find_subject_by_uid(caller.uid)
    return account is not None and bool(account.groups & groups)


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


def read_policy_only(places: Places) -> Policy:
    """Return the policy, for `--check`. Raises ConfigError."""
    load_settings(places.configuration)
    return load_policy(places.configuration)


def _open_master_key(mode: Mode) -> MasterKey:
    places, given = mode.places, os.environ.get("CREDENTIALS_DIRECTORY", "")
    store = (places.database, places.audit_log, places.checkpoint)
    return load_master_key(
        places.master_key,
        credentials_directory=Path(given) if given else None,
        keyring=SecretService(find_bus_address(is_user=True)) if mode.is_user else None,
        has_store=any(path.exists() for path in store),
        # What was simulated leaves nothing behind in anybody's keyring.
        prefer_file=mode.is_simulated,
    )
