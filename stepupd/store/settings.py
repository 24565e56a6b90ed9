"""`stepupd.toml`: the daemon's own settings.

The law of this file: leaving a key out is always the stricter choice. Nobody but root may name
other subjects or push events, unless listed; a first key is root's to enrol; no attestation root
means that no key counts as attested.
"""

from dataclasses import dataclass, field, fields
from pathlib import Path

from stepupd.core.errors import ConfigError
from stepupd.core.risk.advice import AdviserPlan
from stepupd.store.adviser_table import AdviserEntry, read_advisers
from stepupd.store.file_checks import read_trusted_file
from stepupd.store.geo_table import GeoEntry, read_geo_database
from stepupd.store.identity import is_rp_id
from stepupd.store.toml_files import MAX_FILE_SIZE, Document, Entry

_OVERFLOW_UID = 65534
"""What the kernel shows for a user it cannot map: it may be anybody."""
_MAX_UID = 2**32 - 2
MOST = {"requests": 64, "requests_per_uid": 4}
"""The queue at the keys is no longer than that (one at them, three of a uid behind it), and a
higher limit would promise what nobody keeps."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the daemon takes on at once."""

    requests: int = 64
    """Requests that wait or are served, of everybody."""
    requests_per_uid: int = 4


@dataclass(frozen=True, slots=True)
class Settings:
    """What `stepupd.toml` says."""

    rp_id: str | None = None
    """The relying party's name to fix at the first start."""
    trusted_uids: frozenset[int] = frozenset()
    """Besides root, who may name other subjects."""
    trusted_groups: frozenset[str] = frozenset()
    pushing_uids: frozenset[int] = frozenset()
    """Besides root, who may push events."""
    pushing_groups: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    attestation_roots: tuple[bytes, ...] = ()
    """DER certificates."""
    geo_database: Path | None = None
    """The file that says where addresses are; None for none."""
    lock_on_removal: bool = False
    """Whether a person's sessions are locked when a key is pulled out that a grant was bound to."""
    is_first_key_open: bool = False
    """Whether an account without a key may enrol its first one itself."""
    advisers: tuple[AdviserPlan, ...] = ()


class CallersEntry(Entry, frozen=True):
    """`[callers]`."""

    may_name_others: tuple[int | str, ...] = ()
    may_push_events: tuple[int | str, ...] = ()


class LimitsEntry(Entry, frozen=True):
    """`[limits]`."""

    requests: int | None = None
    requests_per_uid: int | None = None


class AttestationEntry(Entry, frozen=True):
    """`[attestation]`."""

    roots: tuple[str, ...] = ()


class SessionsEntry(Entry, frozen=True):
    """`[sessions]`."""

    lock_on_removal: bool = False


class EnrolmentEntry(Entry, frozen=True):
    """`[enrolment]`."""

    own_first_key: bool = False


class SettingsEntry(Entry, frozen=True):
    """The whole file."""

    rp_id: str | None = None
    callers: CallersEntry = CallersEntry()
    limits: LimitsEntry = LimitsEntry()
    attestation: AttestationEntry = AttestationEntry()
    geo: GeoEntry = GeoEntry()
    sessions: SessionsEntry = SessionsEntry()
    enrolment: EnrolmentEntry = EnrolmentEntry()
    adviser: tuple[AdviserEntry, ...] = ()


def read_settings(document: Document) -> Settings:
    """Return the settings a document holds. Raises ConfigError."""
    written = document.convert(SettingsEntry)
    if written.rp_id is not None and not is_rp_id(written.rp_id):
        raise document.fault(("rp_id",), f"{written.rp_id!r} is no lower-case domain name")
    uids, groups = _read_callers(document, written.callers, "may_name_others")
    pushing_uids, pushing_groups = _read_callers(document, written.callers, "may_push_events")
    return Settings(
        rp_id=written.rp_id,
        trusted_uids=uids,
        trusted_groups=groups,
        pushing_uids=pushing_uids,
        pushing_groups=pushing_groups,
        limits=_read_limits(document, written.limits),
        attestation_roots=_read_roots(document, written.attestation),
        geo_database=read_geo_database(document, written.geo),
        lock_on_removal=written.sessions.lock_on_removal,
        is_first_key_open=written.enrolment.own_first_key,
        advisers=read_advisers(document, written.adviser),
    )


def _read_callers(
    document: Document, written: CallersEntry, right: str
) -> tuple[frozenset[int], frozenset[str]]:
    listed: tuple[int | str, ...] = getattr(written, right)
    for index, who in enumerate(listed):
        at = ("callers", right, index)
        if isinstance(who, str):
            if not who or who.isdecimal():
                raise document.fault(at, f"{who!r} is no group name", "write a uid without quotes")
        elif not 0 <= who <= _MAX_UID or who == _OVERFLOW_UID:
            raise document.fault(at, f"{who} is nobody's uid")
    return (
        frozenset(who for who in listed if isinstance(who, int)),
        frozenset(who for who in listed if isinstance(who, str)),
    )


def _read_limits(document: Document, written: LimitsEntry) -> Limits:
    given = {}
    for limit in fields(Limits):
        value = getattr(written, limit.name)
        if value is None:
            continue
        most = MOST[limit.name]
        if not 1 <= value <= most:
            raise document.fault(("limits", limit.name), f"this limit is from 1 to {most}")
        given[limit.name] = value
    return Limits(**given)


def _read_roots(document: Document, written: AttestationEntry) -> tuple[bytes, ...]:
    roots: list[bytes] = []
    if written.roots:
        # Only here: few machines list roots, and certificates cost more than a megabyte.
        from cryptography import x509  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415
    for index, name in enumerate(written.roots):
        at = ("attestation", "roots", index)
        if not Path(name).is_absolute():
            raise document.fault(at, "the path of a certificate file starts with /")
        try:
            content = read_trusted_file(Path(name), limit=MAX_FILE_SIZE)
            found = x509.load_pem_x509_certificates(content)
        except ConfigError as error:
            raise document.fault(at, str(error), error.hint) from error
        except (FileNotFoundError, ValueError) as error:
            raise document.fault(at, f"{name} holds no PEM certificate") from error
        roots.extend(certificate.public_bytes(Encoding.DER) for certificate in found)
    return tuple(roots)
