"""When orders that wait for a price are due. Pure, but for the trailing stops that move along."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from copydesk.model import OrderType, Side, Terms, TimeInForce

from copydesk_ib.rehearsal.tickets import PRICED, STOPS, Ticket, to_tick


@dataclass(frozen=True, slots=True)
class Prices:
    """What the market shows of one contract: zero where there is nothing."""

    last: Decimal
    bid: Decimal
    ask: Decimal


_METHODS: Final[Mapping[int, Callable[[Prices, Side], Decimal]]] = {
    1: lambda prices, _: prices.last,
    2: lambda prices, _: prices.last,
    3: lambda prices, _: prices.last,
    4: lambda prices, side: _away(prices, side),
    7: lambda prices, side: _touching(prices, side),
    8: lambda prices, _: (prices.bid + prices.ask) / 2,
}
"""Trigger methods: (double) last, bid or ask, last or bid or ask, the middle."""


def _away(prices: Prices, side: Side) -> Decimal:
    return prices.ask if side is Side.BUY else prices.bid


def _touching(prices: Prices, side: Side) -> Decimal:
    shown = [price for price in (prices.last, _away(prices, side)) if price]
    return (max if side is Side.BUY else min)(shown, default=Decimal(0))


def watched(ticket: Ticket, prices: Prices) -> Decimal:
    """The price that the order looks at: by its trigger method; of currencies bid or ask, of all else the last one."""
    method = ticket.wish.trigger_method
    if not method:
        method = 4 if ticket.listing is not None and ticket.listing.sec_type == "CASH" else 2
    return seen(prices, method, ticket.wish.action)


def seen(prices: Prices, method: int, side: Side) -> Decimal:
    """The price that a trigger method looks at, of an order of that side."""
    return _METHODS.get(method, _METHODS[2])(prices, side)


def start_trailing(ticket: Ticket, price: Decimal) -> None:
    """Set the first stop of a trailing order: what was asked for, else as far from the price as it trails."""
    wish = ticket.wish
    if not wish.type.startswith("TRAIL"):
        return
    ticket.stop = wish.trail_stop if wish.trail_stop is not None else _behind(ticket, price)
    ticket.limit_offset = wish.limit_offset
    if wish.limit_offset is None and wish.limit is not None:
        ticket.limit_offset = abs(wish.limit - ticket.stop)


def _behind(ticket: Ticket, price: Decimal) -> Decimal:
    wish = ticket.wish
    amount = price * wish.trail_percent / 100 if wish.trail_percent is not None else wish.aux or Decimal(0)
    assert ticket.listing is not None
    return to_tick(price + amount if wish.action is Side.BUY else price - amount, ticket.listing.tick)


def is_due(ticket: Ticket, price: Decimal) -> bool:
    """Whether the price brings it about. Moves a trailing stop along first."""
    wish = ticket.wish
    buys = wish.action is Side.BUY
    if not price:
        return False
    if wish.type.startswith("TRAIL"):
        if ticket.stop is None:
            start_trailing(ticket, price)
        assert ticket.stop is not None
        ticket.stop = (min if buys else max)(ticket.stop, _behind(ticket, price))
        return price >= ticket.stop if buys else price <= ticket.stop
    if wish.aux is None:
        return False
    upwards = (wish.type in STOPS) == buys
    return price >= wish.aux if upwards else price <= wish.aux


def terms_of(ticket: Ticket) -> Terms:
    """What it is at the exchange, once nothing holds it back: a market or a limit order for what is left."""
    wish = ticket.wish
    assert ticket.listing is not None
    limit = ticket.limit if wish.type in (*PRICED, "TRAIL LIMIT") else None
    tif = {"IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}.get(wish.tif, TimeInForce.GTC)
    if wish.type == "LOC":
        tif = TimeInForce.IOC
    return Terms(
        symbol=ticket.listing.name,
        side=wish.action,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        quantity=ticket.remaining,
        price=limit,
        time_in_force=tif,
    )
