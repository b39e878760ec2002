"""IB's contracts as symbols and instruments.

IB has no list of what can be traded, and a symbol such as `AAPL` is not one contract. A contract's number (`conId`) is
the same in every login, and most messages name the exchange only in passing; so what a contract is called here is made
from its details: `AAPL:STK:SMART:USD`, `ESZ6:FUT:CME:USD`, `EUR.USD:CASH:IDEALPRO:USD`. From such a symbol any login
finds the contract again. A combination is named by its legs: `SPY:BAG:SMART:USD:+1x265598@SMART,-2x272093@SMART`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from copydesk.model import Contract, Instrument, Record

SMART = "SMART"
COMBO = "BAG"
ONE = Decimal(1)
CENT = Decimal("0.01")
_LEG = re.compile(r"([+-])(\d+)x(\d+)@([A-Z0-9.]+)")
_SIGNS = {"BUY": "+", "SELL": "-"}
_ACTIONS = {sign: action for action, sign in _SIGNS.items()}


class Leg(Record):
    """One leg of a combination: so many (`ratio`) of a contract are bought or sold with one of it."""

    number: int
    ratio: int
    action: str
    exchange: str


class Listing(Record):
    """One contract: what an order in it has to say, and its rules. `number` is IB's `conId`, zero for a combination.

    `magnifier`: prices are so many times those of the currency (pence for pounds). `rule`: the price increments of its
    exchange, each from a price on, the lowest first; empty where there is one increment for all prices.
    """

    number: int
    underlying: str
    security: str
    expiry: str = ""
    strike: Decimal = Decimal(0)
    right: str = ""
    multiplier: str = ""
    exchange: str
    currency: str
    local: str
    trading_class: str = ""
    legs: tuple[Leg, ...] = ()
    tick: Decimal = CENT
    rule: tuple[tuple[Decimal, Decimal], ...] = ()
    step: Decimal = ONE
    least: Decimal = ONE
    magnifier: int = 1

    @property
    def symbol(self) -> str:
        """The name of it here."""
        words = [self.local, self.security, self.exchange, self.currency]
        return ":".join(words + ([legs_text(self.legs)] if self.legs else []))

    @property
    def size(self) -> Decimal:
        """What one of it is worth at a price of 1, in its currency."""
        return Decimal(self.multiplier or 1) / self.magnifier

    def tick_at(self, price: Decimal | None) -> Decimal:
        """The price increment at a price, or the smallest where none is known."""
        steps = [increment for start, increment in self.rule if price is not None and start <= price]
        return steps[-1] if steps else self.tick


class Wanted(Record):
    """What a symbol says of its contract, before IB was asked."""

    local: str
    security: str
    exchange: str
    currency: str
    legs: tuple[Leg, ...] = ()


def read_symbol(symbol: str) -> Wanted | None:
    """The contract that a symbol means; None where it does not have the form of one."""
    words = symbol.rsplit(":", 3) if ":BAG:" not in symbol else symbol.split(":", 4)
    if len(words) == 5:
        legs = read_legs(words[4])
        return Wanted(local=words[0], security=words[1], exchange=words[2], currency=words[3], legs=legs) if legs else None
    if len(words) != 4 or not all(words):
        return None
    return Wanted(local=words[0], security=words[1], exchange=words[2], currency=words[3])


def legs_text(legs: Sequence[Leg]) -> str:
    """`+1x265598@SMART,-2x272093@SMART`."""
    return ",".join(f"{_SIGNS[leg.action]}{leg.ratio}x{leg.number}@{leg.exchange}" for leg in legs)


def read_legs(text: str) -> tuple[Leg, ...]:
    """The legs of a text; none where it is not one."""
    found = [_LEG.fullmatch(part) for part in text.split(",")]
    if not all(found):
        return ()
    return tuple(
        Leg(action=_ACTIONS[match[1]], ratio=int(match[2]), number=int(match[3]), exchange=match[4])
        for match in found
        if match is not None
    )


def legs_of(contract: Any) -> tuple[Leg, ...]:
    """The legs that a message names of its contract, always in the same order."""
    legs = [
        Leg(number=int(leg.conId), ratio=int(leg.ratio), action=_action(leg.action), exchange=leg.exchange or SMART)
        for leg in contract.comboLegs or ()
    ]
    return tuple(sorted(legs, key=lambda leg: (leg.number, leg.action)))


def _action(text: str) -> str:
    return "BUY" if text.upper().startswith("B") else "SELL"


# --- from IB ------------------------------------------------------------------------------------------------------


def listing(details: Any, rule: Sequence[tuple[Decimal, Decimal]] = ()) -> Listing:
    """One row of contract details."""
    contract = details.contract
    return Listing(
        number=contract.conId,
        underlying=contract.symbol,
        security=contract.secType,
        expiry=contract.lastTradeDateOrContractMonth,
        strike=contract.strike or Decimal(0),
        right=contract.right,
        multiplier=contract.multiplier,
        exchange=contract.exchange,
        currency=contract.currency,
        local=contract.localSymbol or contract.symbol,
        trading_class=contract.tradingClass,
        tick=min([increment for _, increment in rule], default=details.minTick or CENT),
        rule=tuple(sorted(rule)) if len(rule) > 1 else (),
        step=details.sizeIncrement or ONE,
        least=details.minSize or details.sizeIncrement or ONE,
        magnifier=max(1, details.priceMagnifier or 1),
    )


def best_row(rows: Sequence[Any]) -> Any:
    """Of the rows of one contract, one for each exchange, the one that orders go to."""
    smart = [row for row in rows if row.contract.exchange == SMART]
    primary = [row for row in rows if row.contract.exchange and row.contract.exchange == row.contract.primaryExchange]
    return (*smart, *primary, *rows)[0]


def rule_number(details: Any) -> int:
    """The number of the market rule of a row's exchange; zero for none."""
    exchanges = details.validExchanges.split(",")
    numbers = details.marketRuleIds.split(",")
    by_exchange = dict(zip(exchanges, numbers, strict=False))
    number = by_exchange.get(details.contract.exchange, numbers[0] if len(set(numbers)) == 1 else "")
    return int(number) if number.strip().isdigit() else 0


def guess(contract: Any) -> Listing:
    """A listing by what a message says of its contract, where IB does not tell the rest."""
    return Listing(
        number=contract.conId,
        underlying=contract.symbol,
        security=contract.secType,
        expiry=contract.lastTradeDateOrContractMonth,
        strike=contract.strike or Decimal(0),
        right=contract.right if contract.right != "?" else "",
        multiplier=contract.multiplier,
        exchange=contract.exchange or SMART,
        currency=contract.currency,
        local=contract.localSymbol or contract.symbol,
        trading_class=contract.tradingClass,
        legs=legs_of(contract) if contract.secType == COMBO else (),
    )


def combination(contract: Any, legs: Sequence[Leg], parts: Sequence[Listing]) -> Listing:
    """A combination by its legs, and what is known of each of them."""
    sizes = {part.multiplier for part in parts}
    return Listing(
        number=0,
        underlying=contract.symbol,
        security=COMBO,
        exchange=contract.exchange or SMART,
        currency=contract.currency,
        local=contract.symbol,
        legs=tuple(legs),
        multiplier=sizes.pop() if len(sizes) == 1 else "",
        tick=min((part.tick for part in parts), default=CENT),
    )


def instrument(listed: Listing, price: Decimal | None = None) -> Instrument:
    """A contract's rules as the engine wants them. `price`: about where it trades, for the increment that holds there."""
    return Instrument(
        symbol=listed.symbol,
        base=listed.underlying,
        quote=listed.currency,
        settle=listed.currency,
        contract=Contract.LINEAR,
        price_tick=listed.tick_at(price),
        quantity_step=listed.step,
        min_quantity=listed.least,
        contract_size=listed.size,
    )


# --- to IB --------------------------------------------------------------------------------------------------------


def contract(library: Any, listed: Listing) -> Any:
    """The contract as an order has to name it."""
    made = library.contract(
        conId=listed.number,
        symbol=listed.underlying,
        secType=listed.security,
        lastTradeDateOrContractMonth=listed.expiry,
        strike=listed.strike,
        right=listed.right,
        multiplier=listed.multiplier,
        exchange=listed.exchange,
        currency=listed.currency,
        localSymbol="" if listed.legs else listed.local,
        tradingClass=listed.trading_class,
    )
    made.comboLegs = combo_legs(library, listed.legs)
    return made


def combo_legs(library: Any, legs: Sequence[Leg]) -> list[Any]:
    return [library.combo_leg(conId=leg.number, ratio=leg.ratio, action=leg.action, exchange=leg.exchange) for leg in legs]


def question(library: Any, wanted: Wanted) -> Any:
    """The contract that IB is asked for by a symbol."""
    return library.contract(
        secType=wanted.security, localSymbol=wanted.local, exchange=wanted.exchange, currency=wanted.currency
    )
