"""What looks around requests, put together from the settings, with the first request that needs it.

Most machines weigh nothing, and an idle daemon shall be small: what libsystemd, a database and
advisers need is loaded late. Only a database is opened at once, so that a bad one stops the start.
"""

from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING

from stepupd.core.model import Moment, StepUpRequest
from stepupd.core.risk.facts import Facts, Observer
from stepupd.store.settings import Settings

if TYPE_CHECKING:
    from stepupd.host.circumstances import Circumstances


class Outlook:
    """The observers of this machine. `observe` may block; any thread may call it."""

    def __init__(
        self, settings: Settings, start: Moment, resumed_at: Callable[[], float | None]
    ) -> None:
        """`resumed_at` tells of wakings. Raises ConfigError for a bad database."""
        self._settings = settings
        self._start = start
        self._resumed_at = resumed_at
        self._lock = Lock()
        self._circumstances: Circumstances | None = None
        if settings.geo_database is not None:
            self._circumstances = self._build()

    def observe(self, request: StepUpRequest, wanted: frozenset[Observer], now: Moment) -> Facts:
        """Return what the wanted observers saw; those that failed are named in the facts."""
        with self._lock:
            if self._circumstances is None:
                self._circumstances = self._build()
        return self._circumstances.observe(request, wanted, now)

    def _build(self) -> "Circumstances":
        from stepupd.host.advisers import make_advisers  # noqa: PLC0415 - see above
        from stepupd.host.circumstances import Circumstances  # noqa: PLC0415
        from stepupd.host.logins import Logins  # noqa: PLC0415
        from stepupd.host.suspend import Wakefulness  # noqa: PLC0415
        from stepupd.store.adviser_table import check_program  # noqa: PLC0415

        find_spot = None
        if self._settings.geo_database is not None:
            from stepupd.host.geo import GeoDatabase  # noqa: PLC0415

            find_spot = GeoDatabase(self._settings.geo_database).find
        return Circumstances(
            sessions=Logins(),
            since_resume=Wakefulness(self._start, self._resumed_at).since_resume,
            find_spot=find_spot,
            advisers=make_advisers(self._settings.advisers, check_program),
        )
