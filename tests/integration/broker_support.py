"""A broker and its service over real stores and real key links; people and clocks are scripted."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from core_support import make_policy
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from device_support import PATIENCE, RP_ID, BootClock

from stepupd.broker import Broker
from stepupd.core.call import Result, StepUpCall
from stepupd.core.effects import TroubleKind
from stepupd.core.model import Caller, Claim, Door, Moment, Session, Subject
from stepupd.core.note import parse_vkey
from stepupd.core.policy import Policy
from stepupd.core.risk.facts import Facts
from stepupd.core.secret import Secret
from stepupd.devices.key_ring import KeyRing
from stepupd.devices.simulated import SimulatedBus, SimulatedKey
from stepupd.service import Service
from stepupd.store.activities import ActivityStore
from stepupd.store.audit_log import AuditLog
from stepupd.store.audit_verify import verify_log
from stepupd.store.checkpoint_file import read_checkpoint
from stepupd.store.credentials import CredentialStore
from stepupd.store.grants import GrantStore
from stepupd.store.profiles import ProfileStore
from stepupd.store.recovery import RecoveryStore
from stepupd.world import World

ADA = Subject(1000, "ada", frozenset({"ada", "ops"}))
BOB = Subject(1001, "bob", frozenset({"bob"}))
ROOT = Subject(0, "root")
SUDO = Caller(0, 4711, Door.RELAY)
OWN = Caller(1000, 4712, Door.SOCKET)
OTHER = Caller(1001, 4713, Door.SOCKET)
TERMINAL = Session(4000, 123456, "pts/3")
COMMAND = ("systemctl", "restart", "db")


class People:
    """The accounts of this machine."""

    def __init__(self, *subjects: Subject) -> None:
        self.subjects = subjects

    def find_subject(self, name: str) -> Subject | None:
        return next((subject for subject in self.subjects if subject.name == name), None)

    def find_subject_by_uid(self, uid: int) -> Subject | None:
        return next((subject for subject in self.subjects if subject.uid == uid), None)


class Person:
    """Reads what is shown and answers what was prepared; without an answer left, keeps thinking.

    `on_event` hears of every text and question, before it is taken.
    """

    def __init__(self, *answers: str | None, on_event: Callable[[], None] | None = None) -> None:
        self.gone: asyncio.Future[TroubleKind] = asyncio.get_running_loop().create_future()
        self.seen: list[str] = []
        self.errors: list[str] = []
        self._answers = list(answers)
        self._on_event = on_event
        self._changed = asyncio.Event()

    async def show(self, text: str, *, is_error: bool) -> None:
        self._take(text)
        if is_error:
            self.errors.append(text)

    async def ask(self, text: str, *, is_hidden: bool) -> Secret | None:  # noqa: ARG002 - the seam
        self._take(text)
        if not self._answers:
            await asyncio.get_running_loop().create_future()
        answer = self._answers.pop(0)
        return None if answer is None else Secret(answer)

    def leave(self, kind: TroubleKind = TroubleKind.HANG_UP) -> None:
        if not self.gone.done():
            self.gone.set_result(kind)

    async def sees(self, text: str) -> None:
        """Wait until something that contains the text was shown or asked."""
        async with asyncio.timeout(PATIENCE):
            while not any(text in seen for seen in self.seen):
                self._changed.clear()
                await self._changed.wait()

    def _take(self, text: str) -> None:
        self.seen.append(text)
        self._changed.set()
        if self._on_event is not None:
            self._on_event()


class House:
    """One machine: stores in a directory, keys on a bus, a clock that is set by hand."""

    def __init__(self, folder: Path, *keys: SimulatedKey, policy: Policy | None = None) -> None:
        self.folder = folder
        self.bus = SimulatedBus(keys)
        self.clock = BootClock()
        self.boot_id = "b" * 36
        self.policy = policy or make_policy()
        self.facts = Facts(hour=10)
        self._signing = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        for name in ("state", "log", "grants", "recovery", "profiles", "alerts"):
            (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.open()

    @property
    def key(self) -> SimulatedKey:
        return self.bus.keys[0]

    def open(self) -> None:
        """Open the stores, as a start of the daemon does."""
        self.credentials = CredentialStore(self.folder / "state" / "credentials.db", b"k" * 32)
        self.grants = GrantStore(self.folder / "grants")
        self.journal = AuditLog(
            self.folder / "log" / "audit.log",
            self.folder / "state" / "audit.checkpoint",
            self._signing,
            f"{RP_ID}/audit",
        )
        self.profiles = ProfileStore(self.folder / "profiles", b"p" * 32)
        self.activities = ActivityStore(self.folder / "alerts", self.read_clock())
        nonces = iter(range(1, 10_000))
        self.build(
            World(
                accounts=People(ROOT, ADA, BOB),
                credentials=self.credentials,
                recovery_codes=RecoveryStore(self.folder / "recovery", b"r" * 32),
                grants=self.grants,
                journal=self.journal,
                authenticators=KeyRing([self.bus], self.clock),
                profiles=self.profiles,
                activities=self.activities,
                observe=lambda _request, _wanted, _now: self.facts,
                read_clock=self.read_clock,
                make_nonce=lambda size: next(nonces).to_bytes(size, "big"),
                read_policy=lambda: self.policy,
                may_name_others=lambda _caller: False,
                may_push_events=lambda _caller: False,
                rp_id=RP_ID,
                is_simulated=True,
            )
        )

    def build(self, world: World) -> None:
        """Put broker and service on a world."""
        self.world = world
        self.broker = Broker(world)
        self.service = Service(
            self.broker, mode="user", own_uid=0, is_first_key_open=True, is_simulated=True
        )

    def change(self, **parts: object) -> None:
        """Replace parts of the world."""
        self.build(replace(self.world, **parts))

    def close(self) -> None:
        self.journal.close()
        self.grants.close()
        self.credentials.close()
        self.broker.close()
        self.profiles.close()
        self.activities.close()

    def read_clock(self) -> Moment:
        return Moment(1_790_000_000.0 + self.clock.now, self.clock.now, self.boot_id)

    async def enrol(self, key: SimulatedKey, name: str = "blue", caller: Caller = SUDO) -> Result:
        """Enrol a key that is touched at once; afterwards it waits for touches."""
        subject = "ada" if caller.is_privileged else ""
        before = key.script
        key.change_script(touch_after_ms=0)
        result = await self.service.enroll(caller, subject, name, Person())
        key.script = before
        assert result.verdict.is_allow, result
        return result

    def begin(
        self,
        person: Person | None = None,
        *,
        caller: Caller = SUDO,
        subject: str = "ada",
        **changes: object,
    ) -> "asyncio.Task[Result]":
        """Begin one step-up, as sudo would ask for it."""
        call = StepUpCall("pam:sudo", subject, TERMINAL, Claim(command=COMMAND))
        call = replace(call, **changes)
        return asyncio.ensure_future(self.service.step_up(caller, call, person or Person()))

    async def step_up(self, person: Person | None = None, **changes) -> Result:
        """Run one step-up to its end."""
        async with asyncio.timeout(PATIENCE):
            return await self.begin(person, **changes)

    def entries(self) -> list[dict]:
        lines = (self.folder / "log" / "audit.log").read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def reasons(self, kind: str = "step-up") -> list[str]:
        return [entry["verdict"]["reason"] for entry in self.entries() if entry["kind"] == kind]

    def list_grants(self) -> tuple:
        return self.grants.list_grants(ADA.uid, self.read_clock())

    def verify(self):
        """Verify the audit log, with every signature in it."""
        vkey = (self.folder / "log" / "audit.vkey").read_text()
        note = read_checkpoint(self.folder / "state" / "audit.checkpoint", parse_vkey(vkey.strip()))
        return verify_log(self.folder / "log" / "audit.log", note, vkey, jobs=1)
