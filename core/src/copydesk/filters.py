"""Which symbols a child follows and when it may open: symbol patterns and sessions (rule 22). Pure.

A session is written as people write it, `mon-fri 09:30-16:00 America/New_York`. One that ends before it begins lasts over
midnight and belongs to the day on which it begins; `00:00-24:00` is the whole day. Times are those of the zone's wall
clock, daylight saving included.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from fnmatch import fnmatchcase
from functools import lru_cache
from zoneinfo import ZoneInfo

from copydesk.model import Record

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SESSION = re.compile(r"([a-z]{3})(?:-([a-z]{3}))?\s+(\d\d?):(\d\d)-(\d\d?):(\d\d)\s+(\S+)", re.IGNORECASE)
_DAY_MINUTES = 24 * 60
_MINUTE_NS = 60_000_000_000


class Session(Record):
    """Times in which entries are allowed: weekdays (0 is Monday), minutes after midnight, an IANA time zone."""

    days: tuple[int, ...]
    opens: int
    closes: int
    zone: str


def zone_of(name: str) -> ZoneInfo:
    """Raises `ValueError` with a sentence for a name that no zone has."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):
        raise ValueError(f"{name!r} is not a time zone: write it like Europe/Berlin or UTC") from None


def clock_minutes(text: str) -> int:
    """Minutes after midnight of `17:00`. Raises `ValueError` with a sentence."""
    found = re.fullmatch(r"(\d\d?):(\d\d)", text.strip())
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(f"{text!r} is not a time of day: write it like 17:00")
    return int(found[1]) * 60 + int(found[2])


def session_of(text: str) -> Session:
    """Read `mon-fri 09:30-16:00 America/New_York`. Raises `ValueError` with a sentence."""
    found = _SESSION.fullmatch(text.strip())
    sentence = f"{text!r} is not a session: write it like mon-fri 09:30-16:00 America/New_York"
    if found is None:
        raise ValueError(sentence)
    first, last = found[1].lower(), (found[2] or found[1]).lower()
    opens, closes = int(found[3]) * 60 + int(found[4]), int(found[5]) * 60 + int(found[6])
    minutes = int(found[4]) < 60 and int(found[6]) < 60
    if not {first, last} <= set(DAYS) or not minutes or opens >= _DAY_MINUTES or closes > _DAY_MINUTES or opens == closes:
        raise ValueError(sentence)
    begin, end = DAYS.index(first), DAYS.index(last)
    days = range(begin, end + 1) if begin <= end else (*range(begin, 7), *range(end + 1))
    return Session(days=tuple(days), opens=opens, closes=closes, zone=zone_of(found[7]).key)


def in_session(sessions: tuple[Session, ...], at_ns: int) -> bool:
    """True inside any of them, and where there are none."""
    return not sessions or _stand(sessions, at_ns // _MINUTE_NS)[0]


def next_turn_ns(sessions: tuple[Session, ...], at_ns: int) -> int:
    """When `in_session` may change next, zero for never."""
    return _stand(sessions, at_ns // _MINUTE_NS)[1] * _MINUTE_NS if sessions else 0


@lru_cache(maxsize=256)
def _stand(sessions: tuple[Session, ...], minute: int) -> tuple[bool, int]:
    """(whether that minute of the epoch lies in a session, the minute at which one begins or ends next)."""
    inside, turns = False, []
    for session in sessions:
        zone = zone_of(session.zone)
        today = datetime.fromtimestamp(minute * 60, zone).date()
        for offset in range(-1, 9):
            day = today + timedelta(days=offset)
            if day.weekday() not in session.days:
                continue
            over_night = session.closes <= session.opens
            begin = _minute_of(day, session.opens, zone)
            end = _minute_of(day + timedelta(days=over_night), session.closes, zone)
            inside = inside or begin <= minute < end
            turns += [turn for turn in (begin, end) if turn > minute]
    return inside, min(turns, default=0)


def _minute_of(day: date, minutes: int, zone: ZoneInfo) -> int:
    """The minute of the epoch at which the zone's wall clock shows `minutes` after midnight of `day`."""
    days, minutes = divmod(minutes, _DAY_MINUTES)
    at = datetime.combine(day + timedelta(days=days), time(minutes // 60, minutes % 60), zone)
    return int(at.timestamp()) // 60


def day_of(at_ns: int, starts: int, zone: str) -> tuple[str, int]:
    """(the trading day that `at_ns` belongs to, when the next one begins): a day starts `starts` minutes after midnight."""
    return _day_of(at_ns // _MINUTE_NS, starts, zone)


@lru_cache(maxsize=256)
def _day_of(minute: int, starts: int, zone: str) -> tuple[str, int]:
    place = zone_of(zone)
    day = datetime.fromtimestamp(minute * 60, place).date()
    if _minute_of(day, starts, place) > minute:
        day -= timedelta(days=1)
    return day.isoformat(), _minute_of(day + timedelta(days=1), starts, place) * _MINUTE_NS


def matches(symbol: str, patterns: tuple[str, ...]) -> bool:
    """True where one of the patterns (`*` and `?` as in file names, upper and lower case alike) fits."""
    return any(fnmatchcase(symbol.upper(), pattern.upper()) for pattern in patterns)
