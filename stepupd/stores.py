"""Everything the daemon keeps on disk: opened together, closed together."""

import socket

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from stepupd.core.model import Moment
from stepupd.host.journal import send_to_journal
from stepupd.places import Places
from stepupd.store.activities import ActivityStore
from stepupd.store.audit_log import AuditLog
from stepupd.store.credentials import CredentialStore
from stepupd.store.grants import GrantStore
from stepupd.store.identity import fix_rp_id
from stepupd.store.master_key import MasterKey, Purpose, derive_key
from stepupd.store.profiles import ProfileStore
from stepupd.store.recovery import RecoveryStore


class Stores:
    """The open stores. Opening raises ConfigError or InternalError."""

    def __init__(self, places: Places, master: MasterKey, rp_id: str | None, now: Moment) -> None:
        """`rp_id` is what the administrator set, None for none."""
        # Where there is a log there was a store: a missing one is a loss, not a first start.
        self.credentials = CredentialStore(
            places.database,
            derive_key(master, Purpose.STORE_MAC),
            minimum_epoch=int(places.audit_log.exists()),
        )
        self.rp_id = fix_rp_id(self.credentials, configured=rp_id, hostname=socket.gethostname())
        self.recovery_codes = RecoveryStore(
            places.recovery_codes, derive_key(master, Purpose.RECOVERY_MAC)
        )
        self.grants = GrantStore(places.grants)
        self.profiles = ProfileStore(places.profiles, derive_key(master, Purpose.PROFILE_MAC))
        self.activities = ActivityStore(places.alerts, now)
        signing = Ed25519PrivateKey.from_private_bytes(derive_key(master, Purpose.AUDIT_SIGNING))
        origin = f"{self.rp_id}/audit"
        self.journal = AuditLog(
            places.audit_log, places.checkpoint, signing, origin, publish_checkpoint
        )

    def close(self) -> None:
        """Let go of all of them."""
        self.journal.close()
        self.grants.close()
        self.profiles.close()
        self.activities.close()
        self.credentials.close()


def publish_checkpoint(note: str) -> None:
    """Hand a checkpoint to the journal, where whoever cuts the log cannot reach it as easily."""
    size = note.split("\n", 2)[1]
    send_to_journal(f"audit log: {size} entries", STEPUPD_CHECKPOINT=note)
