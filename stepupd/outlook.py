"""What looks around requests, put together from the settings."""

from collections.abc import Callable

from stepupd.core.model import Moment
from stepupd.host.advisers import make_advisers
from stepupd.host.circumstances import Circumstances
from stepupd.host.logins import Logins
from stepupd.host.suspend import Wakefulness
from stepupd.store.adviser_table import check_program
from stepupd.store.settings import Settings


def look_outward(
    settings: Settings, now: Moment, resumed_at: Callable[[], float | None]
) -> Circumstances:
    """Return the observers; `resumed_at` tells of wakings. ConfigError for a bad database."""
    find_spot = None
    if settings.geo_database is not None:
        # Only here: few have one.
        from stepupd.host.geo import GeoDatabase  # noqa: PLC0415

        find_spot = GeoDatabase(settings.geo_database).find
    return Circumstances(
        sessions=Logins(),
        since_resume=Wakefulness(now, resumed_at).since_resume,
        find_spot=find_spot,
        advisers=make_advisers(settings.advisers, check_program),
    )
