"""Times as TWS writes and reads them, in the time zone that it is set to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

ZONE_NAME: Final = "US/Eastern"
ZONE: Final = ZoneInfo(ZONE_NAME)


def now() -> datetime:
    return datetime.now(ZONE)


def stamp(time_ms: int) -> str:
    """A time with its zone: `20261123 09:30:00 US/Eastern`."""
    return f"{datetime.fromtimestamp(time_ms / 1000, ZONE):%Y%m%d %H:%M:%S} {ZONE_NAME}"


def moment(told: str, *, end_of_day: bool = False) -> datetime:
    """Read `yyyymmdd [hh:mm:ss [zone]]` in the zone of TWS, or `yyyymmdd-hh:mm:ss` in UTC. Raises ValueError.

    Another zone than these two is taken for that of TWS.
    """
    day, _, rest = told.strip().replace("-", " ").partition(" ")
    words = rest.split()
    clock = words[0] if words else ("23:59:59" if end_of_day else "00:00:00")
    zone = UTC if "-" in told or words[1:2] == ["UTC"] else ZONE
    return datetime.strptime(f"{day} {clock}", "%Y%m%d %H:%M:%S").replace(tzinfo=zone)


def is_over(told: str) -> bool:
    """Whether that moment has passed; a day without a time is over at its end. False for what is no time."""
    try:
        return moment(told, end_of_day=True) <= now()
    except ValueError:
        return False
