"""What can be traded at the rehearsal TWS: stocks, futures, options, currency pairs, as IB names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final

from copydesk.model import Contract, Instrument
from copydesk_paper.synthetic import Character

from copydesk_ib.rehearsal.wire import number, plain

USD = "USD"
MONTH_CODES = "FGHJKMNQUVXZ"
_ORDER_TYPES: Final = (
    "ACTIVETIM,AD,ADJUST,ALERT,ALLOC,AVGCOST,BASKET,COND,CONDORDER,DAY,DEACT,DEACTDIS,DEACTEOD,GAT,GTC,GTD,GTT,HID,IOC,LIT,LMT,"
    "MIT,MKT,NONALGO,OCA,SCALE,SCALERST,STP,STPLMT,TRAIL,TRAILLIT,TRAILLMT,TRAILMIT,WHATIF"
)


@dataclass(frozen=True, slots=True)
class Listing:
    """One contract. `multiplier` is 1 where IB writes none.

    `step` is the smallest quantity and its increment; `rule` the number of its market rule; `venue` where it is executed.
    """

    con_id: int
    symbol: str
    sec_type: str
    local_symbol: str
    exchange: str
    primary_exchange: str
    venue: str
    currency: str
    trading_class: str
    tick: Decimal
    step: Decimal
    long_name: str
    rule: int
    expiry: str = ""
    strike: Decimal | None = None
    right: str = ""
    multiplier: Decimal = Decimal(1)
    timezone: str = "US/Eastern"
    under_con_id: int = 0
    under_symbol: str = ""
    stock_type: str = ""
    hours: tuple[str, str] = ("0400-2000", "0930-1600")

    @property
    def name(self) -> str:
        """Its symbol at the exchange and in the rehearsal's control: `AAPL:STK:SMART:USD`, as copydesk writes it."""
        return f"{self.local_symbol}:{self.sec_type}:{self.exchange}:{self.currency}"

    @property
    def told_multiplier(self) -> str:
        return plain(self.multiplier) if self.sec_type in ("FUT", "OPT") else ""

    @property
    def exchanges(self) -> tuple[str, ...]:
        """Where an order for it can be sent."""
        return ("SMART", self.primary_exchange, self.venue) if self.exchange == "SMART" else (self.exchange,)

    @property
    def has_hours(self) -> bool:
        """Whether it trades in regular hours only, unless an order says otherwise."""
        return self.sec_type in ("STK", "OPT")

    def told(self, exchange: str = "") -> dict[str, Any]:
        """The contract as messages have it; without `exchange` at its primary exchange."""
        return {
            "conId": self.con_id,
            "symbol": self.symbol,
            "secType": self.sec_type,
            "expiry": self.expiry,
            "strike": None if self.strike is None else _strike(self.strike),
            "right": self.right or None,
            "multiplier": self.told_multiplier,
            "exchange": exchange or self.primary_exchange,
            "primaryExchange": self.primary_exchange,
            "currency": self.currency,
            "localSymbol": self.local_symbol,
            "tradingClass": self.trading_class,
        }

    def instrument(self) -> Instrument:
        """It at the exchange: everything settles in its currency, stocks and currencies too, for they can be sold short."""
        return Instrument(
            symbol=self.name,
            base=self.symbol,
            quote=self.currency,
            settle=self.currency,
            contract=Contract.LINEAR,
            price_tick=self.tick,
            quantity_step=self.step,
            min_quantity=self.step,
            max_quantity=Decimal(10_000_000),
            contract_size=self.multiplier,
        )


def _strike(strike: Decimal) -> str:
    told = plain(strike)
    return told if "." in told else f"{told}.0"


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of a combination: `ratio` of the listing for one of the combination; `sign` +1 is bought with a buy."""

    listing: Listing
    ratio: int
    sign: int
    exchange: str


# --- what is listed ---------------------------------------------------------------------------------------------


def third_friday(year: int, month: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(4 - first.weekday()) % 7 + 14)


def quarters(today: date, count: int = 2) -> list[date]:
    """The next expiry days of the quarterly cycle that are at least ten days away."""
    found: list[date] = []
    year, month = today.year, 3
    while len(found) < count:
        day = third_friday(year, month)
        if day >= today + timedelta(days=10):
            found.append(day)
        year, month = (year + 1, 3) if month == 12 else (year, month + 3)
    return found


def _stock(con_id: int, symbol: str, name: str) -> Listing:
    return Listing(
        con_id=con_id,
        symbol=symbol,
        sec_type="STK",
        local_symbol=symbol,
        exchange="SMART",
        primary_exchange="NASDAQ",
        venue="ISLAND",
        currency=USD,
        trading_class="NMS",
        tick=Decimal("0.01"),
        step=Decimal("0.0001"),
        long_name=name,
        rule=26,
        stock_type="COMMON",
    )


def _future(root: str, con_id: int, day: date, size: str, tick: str, rule: int, name: str) -> Listing:
    return Listing(
        con_id=con_id + day.toordinal() % 10_000,
        symbol={"6E": "EUR"}.get(root, root),
        sec_type="FUT",
        local_symbol=f"{root}{MONTH_CODES[day.month - 1]}{day.year % 10}",
        exchange="CME",
        primary_exchange="CME",
        venue="CME",
        currency=USD,
        trading_class=root,
        tick=Decimal(tick),
        step=Decimal(1),
        long_name=name,
        rule=rule,
        expiry=f"{day:%Y%m%d}",
        multiplier=Decimal(size),
        timezone="US/Central",
        under_con_id=11_004_968,
        under_symbol=root,
        hours=("1700-1600", "0830-1600"),
    )


def _option(stock: Listing, day: date, right: str, strike: int) -> Listing:
    return Listing(
        con_id=700_000_000 + day.toordinal() % 10_000 * 1_000 + strike * 2 + (right == "P"),
        symbol=stock.symbol,
        sec_type="OPT",
        local_symbol=f"{stock.symbol:<6}{day:%y%m%d}{right}{strike * 1000:08d}",
        exchange="SMART",
        primary_exchange="CBOE",
        venue="CBOE",
        currency=USD,
        trading_class=stock.symbol,
        tick=Decimal("0.01"),
        step=Decimal(1),
        long_name=stock.long_name,
        rule=32,
        expiry=f"{day:%Y%m%d}",
        strike=Decimal(strike),
        right=right,
        multiplier=Decimal(100),
        under_con_id=stock.con_id,
        under_symbol=stock.symbol,
    )


def _pair(con_id: int, base: str, name: str) -> Listing:
    return Listing(
        con_id=con_id,
        symbol=base,
        sec_type="CASH",
        local_symbol=f"{base}.USD",
        exchange="IDEALPRO",
        primary_exchange="IDEALPRO",
        venue="IDEALPRO",
        currency=USD,
        trading_class=f"{base}.USD",
        tick=Decimal("0.00005"),
        step=Decimal(1),
        long_name=name,
        rule=59,
        hours=("1715-1700", "1715-1700"),
    )


STRIKES = (200, 210)


def characters(today: date) -> tuple[Character, ...]:
    """All listings with how their prices move: the nearest two quarters of the futures, the nearest of the options."""
    return tuple(character for _, character in listed(today))


def listed(today: date) -> list[tuple[Listing, Character]]:
    near, far = quarters(today)
    apple = _stock(265598, "AAPL", "APPLE INC")
    options = [
        (_option(apple, near, right, strike), start, 3.0, "40", 1.0)
        for right, strike, start in (("C", 200, "8.20"), ("C", 210, "3.40"), ("P", 200, "5.10"), ("P", 210, "10.60"))
    ]
    rows = [
        (apple, "201.94", 3.0, "300", 4.0),
        (_stock(272093, "MSFT", "MICROSOFT CORP"), "420.50", 4.0, "200", 3.0),
        (_stock(76792991, "TSLA", "TESLA INC"), "196.52", 6.0, "300", 3.0),
        (_future("ES", 495_500_000, near, "50", "0.25", 67, "E-mini S&P 500"), "5800.00", 2.0, "30", 4.0),
        (_future("ES", 495_500_000, far, "50", "0.25", 67, "E-mini S&P 500"), "5860.00", 2.0, "20", 2.0),
        (
            _future("6E", 496_600_000, near, "125000", "0.00005", 57, "European Monetary Union Euro"),
            "1.09250",
            2.0,
            "20",
            3.0,
        ),
        (_pair(12_087_792, "EUR", "European Monetary Union Euro"), "1.08500", 2.0, "1000000", 3.0),
        (_pair(12_087_797, "GBP", "British pound"), "1.27000", 2.0, "1000000", 2.0),
        *options,
    ]
    return [
        (listing, Character(listing.instrument(), Decimal(start), swing, Decimal(size), pace))
        for listing, start, swing, size, pace in rows
    ]


# --- finding -----------------------------------------------------------------------------------------------------


class Catalogue:
    """Finds listings by what a client says of a contract."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self.by_id = {listing.con_id: listing for listing in listings}
        self.by_name = {listing.name: listing for listing in self.by_id.values()}

    def named(self, text: str) -> Listing | None:
        """The listing of that name, or of that local symbol."""
        return self.by_name.get(text) or next((one for one in self.by_id.values() if one.local_symbol == text), None)

    def matching(self, asked: Mapping[str, str]) -> list[Listing]:
        """All listings that what was asked for describes; nothing is left out for being unsaid."""
        con_id = asked["conId"]
        if con_id not in ("", "0"):
            found = self.by_id.get(int(con_id)) if con_id.isdecimal() else None
            return [found] if found is not None else []
        if not asked["symbol"] and not asked["localSymbol"]:
            return []
        return [listing for listing in self.by_id.values() if _fits(listing, asked)]

    def starting(self, pattern: str) -> list[Listing]:
        """Listings whose symbol begins with, or whose name has, the pattern; one for each symbol and type."""
        wanted = pattern.upper()
        found: dict[tuple[str, str], Listing] = {}
        for listing in self.by_id.values():
            if listing.symbol.startswith(wanted) or wanted in listing.long_name.upper():
                found.setdefault((listing.symbol, listing.sec_type), listing)
        return list(found.values())

    def rule(self, number: int) -> Decimal | None:
        """The price increment of a market rule: one for all prices."""
        return next((listing.tick for listing in self.by_id.values() if listing.rule == number), None)

    def options_on(self, con_id: int) -> list[Listing]:
        return [listing for listing in self.by_id.values() if listing.sec_type == "OPT" and listing.under_con_id == con_id]


def _fits(listing: Listing, asked: Mapping[str, str]) -> bool:
    exact = (
        ("symbol", listing.symbol),
        ("secType", listing.sec_type),
        ("currency", listing.currency),
        ("localSymbol", listing.local_symbol),
        ("tradingClass", listing.trading_class),
    )
    if any(asked[name] and asked[name].strip().upper() != value.strip().upper() for name, value in exact):
        return False
    if asked["exchange"] and asked["exchange"] not in (*listing.exchanges, "GLOBEX" if listing.exchange == "CME" else ""):
        return False
    if asked["expiry"] and not listing.expiry.startswith(asked["expiry"].split()[0][:8]):
        return False
    if asked["right"] and asked["right"] not in ("?", "0") and asked["right"][0].upper() != listing.right:
        return False
    strike = number(asked["strike"])
    if strike and strike != listing.strike:
        return False
    multiplier = number(asked["multiplier"])
    return not multiplier or multiplier == listing.multiplier


def hours(listing: Listing, today: date, *, liquid: bool) -> str:
    """Trading (or liquid) hours of a week from today, as TWS writes them."""
    opens, closes = listing.hours[liquid].split("-")
    days = []
    for day, after in pairwise(today + timedelta(days=away) for away in range(8)):
        if day.weekday() >= 5:
            days.append(f"{day:%Y%m%d}:CLOSED")
        elif closes < opens:
            days.append(f"{day:%Y%m%d}:{opens}-{after:%Y%m%d}:{closes}")
        else:
            days.append(f"{day:%Y%m%d}:{opens}-{day:%Y%m%d}:{closes}")
    return ";".join(days)


ORDER_TYPES: Final[Mapping[str, str]] = {
    "STK": f"{_ORDER_TYPES},LOC,MOC,OPG,FOK",
    "FUT": _ORDER_TYPES,
    "OPT": f"{_ORDER_TYPES},FOK",
    "CASH": _ORDER_TYPES,
}
