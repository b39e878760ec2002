"""IB's orders and executions as copydesk's records, and back. Pure: no clock, no socket.

What an IB order can say and copydesk's terms cannot (a day order, trading outside regular hours, a trail by an amount
...) is carried in `Terms.native` as `name=value;name=value`, the names those of the TWS API, in this module's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from copydesk.model import Fill, Order, OrderStatus, OrderType, Record, Side, Terms, TimeInForce, TriggerBy

from copydesk_ib import contracts
from copydesk_ib.contracts import Listing

ZERO = Decimal(0)

TYPES: dict[str, OrderType] = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP_MARKET,
    "STP LMT": OrderType.STOP_LIMIT,
    "MIT": OrderType.TAKE_PROFIT_MARKET,
    "LIT": OrderType.TAKE_PROFIT_LIMIT,
    "TRAIL": OrderType.TRAILING_STOP,
}
VARIANTS: dict[str, OrderType] = {
    "TRAIL LIMIT": OrderType.TRAILING_STOP,
    "MOC": OrderType.MARKET,
    "LOC": OrderType.LIMIT,
    "MTL": OrderType.MARKET,
    "MIDPRICE": OrderType.MARKET,
    "REL": OrderType.LIMIT,
}
"""Order types that are copied as they are, by the type that they are most like."""
NO_ORDERS = frozenset({"EXERCISE", "LAPSE"})
"""What IB lists among the orders and is none: the exercise of an option is its holder's own decision, and is not copied."""
SPELT = {"STPLMT": "STP LMT", "TRAILLMT": "TRAIL LIMIT", "TRAILLIMIT": "TRAIL LIMIT", "TRAIL LMT": "TRAIL LIMIT"}
_NAMES = {type_: name for name, type_ in TYPES.items()}
TIMES = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
_TIMES = {time: name for name, time in TIMES.items()}
_ACTIONS = {Side.BUY: "BUY", Side.SELL: "SELL"}

# What is carried beside, and as what kind of value. Prices and amounts are not scaled: they are per unit.
_TEXTS = ("tif", "goodTillDate", "goodAfterTime", "algoStrategy")
_FLAGS = ("outsideRth", "hidden", "allOrNone", "sweepToFill")
_COUNTS = ("triggerMethod",)
_AMOUNTS = ("discretionaryAmt", "percentOffset")
_PRICES = ("trailAmount", "trailStopPrice", "lmtPriceOffset", "lmtPrice")  # of a trailing order, or a variant
_ORDER = ("orderType", *_TEXTS, *_FLAGS, *_COUNTS, *_AMOUNTS, *_PRICES, "exchange")
_ALGO = "algo."


class Untranslatable(Exception):
    """Terms that an order of IB cannot have, in a sentence."""


class Execution(Record):
    """One execution, with what commission there was as far as it is told."""

    fill: Fill
    listed: Listing
    revision: int
    """Corrections of an execution come under its number with a higher last part."""


# --- orders from IB -----------------------------------------------------------------------------------------------


def terms(order: Any, listed: Listing, exchange: str = "", first_stop: Decimal | None = None) -> Terms:
    """What an order asks for. `exchange` is the one that it was sent to; `first_stop` where a trailing limit order began.

    A trailing order's stop and limit move with the market and are no part of it.
    """
    name = SPELT.get(order.orderType, order.orderType)
    type_ = TYPES.get(name) or VARIANTS.get(name) or (OrderType.LIMIT if order.lmtPrice else OrderType.MARKET)
    quantity = order.totalQuantity or order.filledQuantity or ZERO
    return Terms(
        symbol=listed.symbol,
        side=Side.BUY if order.action == "BUY" else Side.SELL,
        type=type_,
        quantity=quantity,
        price=order.lmtPrice if type_.has_price else None,
        trigger_price=order.auxPrice if type_.has_trigger else None,
        trail_percent=order.trailingPercent if type_ is OrderType.TRAILING_STOP else None,
        time_in_force=TIMES.get(order.tif, TimeInForce.GTC),
        native=_join(_native(order, name, listed, exchange, first_stop)),
    )


def _native(order: Any, name: str, listed: Listing, exchange: str, first_stop: Decimal | None) -> dict[str, str]:
    said: dict[str, str] = {}
    if name not in TYPES:
        said["orderType"] = name
    for field in _TEXTS:
        said[field] = getattr(order, field)
    if order.tif in TIMES:
        said["tif"] = ""
    for field in _FLAGS:
        said[field] = "1" if getattr(order, field) else ""
    for field in (*_COUNTS, *_AMOUNTS):
        value = getattr(order, field)
        said[field] = plain(value) if value else ""
    if name in ("TRAIL", "TRAIL LIMIT") and order.trailingPercent is None:
        said["trailAmount"] = plain(order.auxPrice) if order.auxPrice else ""
    if name == "TRAIL LIMIT":
        said["lmtPriceOffset"] = plain(order.lmtPriceOffset) if order.lmtPriceOffset is not None else ""
        said["trailStopPrice"] = plain(first_stop) if first_stop is not None else ""
    if name == "MIDPRICE":
        said["lmtPrice"] = plain(order.lmtPrice) if order.lmtPrice else ""
    if exchange and exchange != listed.exchange:
        said["exchange"] = exchange
    for param in order.algoParams or () if order.algoStrategy else ():
        said[_ALGO + param.tag] = param.value
    return said


def _join(said: Mapping[str, str]) -> str:
    algo = sorted(name for name in said if name.startswith(_ALGO))
    return ";".join(f"{name}={said[name]}" for name in (*_ORDER, *algo) if said.get(name))


def read_native(text: str) -> dict[str, str]:
    """The names and values of `Terms.native`. Raises `Untranslatable` for a name that is none."""
    said = dict(part.partition("=")[::2] for part in text.split(";") if part)
    unknown = sorted(name for name in said if name not in _ORDER and not name.startswith(_ALGO))
    if unknown:
        raise Untranslatable(f"an order of IB has no {', '.join(unknown)}.")
    return said


def plain(number: Decimal | int) -> str:
    """A number as the wire has it, without an exponent."""
    return f"{number:f}"


ENDED = frozenset({"Filled", "Cancelled", "ApiCancelled"})


def status(word: str, filled: Decimal, quantity: Decimal, *, refused: bool) -> OrderStatus:
    """What a status of IB means. `Inactive` is an end only with an error that says so: an order may wake up again.

    `Filled` may come before the executions that it counts: until they are there, the order is not told as filled.
    """
    if filled and filled >= quantity:
        return OrderStatus.FILLED
    if (word in ENDED and word != "Filled") or (word == "Inactive" and refused):
        return OrderStatus.REJECTED if refused and not filled else OrderStatus.CANCELLED
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW


# --- orders to IB -------------------------------------------------------------------------------------------------


def contract(library: Any, listed: Listing, wanted: Terms) -> Any:
    """The contract, with the exchange that the order is to be sent to. Raises `Untranslatable`."""
    made = contracts.contract(library, listed)
    made.exchange = read_native(wanted.native).get("exchange", made.exchange)
    return made


def order(library: Any, wanted: Terms, *, account: str, reference: str, group: str = "") -> Any:
    """An order of the library's, with numbers as the wire has them. Raises `Untranslatable`."""
    said = read_native(wanted.native)
    _check(wanted, said)
    made = library.order(
        action=_ACTIONS[wanted.side],
        totalQuantity=plain(wanted.quantity),
        orderType=_type_name(wanted, said),
        account=account,
        orderRef=reference,
        tif=said.get("tif") or _TIMES[wanted.time_in_force],
        transmit=True,
    )
    if wanted.price is not None:
        made.lmtPrice = plain(wanted.price)
    if wanted.trigger_price is not None:
        made.auxPrice = plain(wanted.trigger_price)
    if wanted.type is OrderType.TRAILING_STOP:
        _trail(made, wanted, said)
    if group:
        made.ocaGroup, made.ocaType = group, 1
    _say(library, made, said)
    return made


def _type_name(wanted: Terms, said: Mapping[str, str]) -> str:
    """The variant's name, where the order still is of the type that the variant is most like."""
    name = said.get("orderType", "")
    return name if name and VARIANTS.get(name, wanted.type) is wanted.type else _NAMES[wanted.type]


def _trail(made: Any, wanted: Terms, said: Mapping[str, str]) -> None:
    if wanted.trail_percent is not None:
        made.trailingPercent = plain(wanted.trail_percent)
    elif "trailAmount" in said:
        made.auxPrice = said["trailAmount"]
    else:
        raise Untranslatable("a trailing stop needs a distance: trail_percent, or trailAmount in native.")
    if wanted.trigger_price is not None:
        raise Untranslatable("a trailing stop of IB has no activation price.")
    for name in ("trailStopPrice", "lmtPriceOffset"):
        if name in said:
            setattr(made, name, said[name])


def _say(library: Any, made: Any, said: Mapping[str, str]) -> None:
    for name, value in said.items():
        if name in ("goodTillDate", "goodAfterTime", "algoStrategy", *_AMOUNTS):
            setattr(made, name, value)
        elif name in _FLAGS:
            setattr(made, name, value == "1")
        elif name in _COUNTS:
            setattr(made, name, int(value))
        elif name == "lmtPrice" and made.orderType == "MIDPRICE":
            made.lmtPrice = value
    made.algoParams = [
        library.tag_value(name.removeprefix(_ALGO), value) for name, value in said.items() if name.startswith(_ALGO)
    ]


def _check(wanted: Terms, said: Mapping[str, str]) -> None:
    if wanted.post_only:
        raise Untranslatable("IB has no post-only orders.")
    if wanted.reduce_only or wanted.close_position:
        raise Untranslatable("IB has no reduce-only orders.")
    if wanted.trigger_by is not TriggerBy.LAST:
        raise Untranslatable(f"IB has no {wanted.trigger_by} price that an order could be triggered by.")
    for name in _PRICES:
        if name in said:
            try:
                Decimal(said[name])
            except InvalidOperation:
                raise Untranslatable(f"{name}={said[name]} is no number.") from None


# --- executions ---------------------------------------------------------------------------------------------------


def execution(told: Any, listed: Listing) -> Execution:
    """One execution. Its number's last part counts corrections (`...01.01`, `...01.02`) and is left out of the id."""
    number, _, revision = told.execId.rpartition(".")
    fill = Fill(
        account=told.acctNumber,
        execution_id=number or told.execId,
        venue_id=str(told.permId),
        client_id=told.orderRef,
        symbol=listed.symbol,
        side=Side.BUY if told.side == "BOT" else Side.SELL,
        quantity=told.shares,
        price=told.price,
        maker=told.lastLiquidity == 1,
        time_ms=int(told.time.timestamp() * 1000),
    )
    return Execution(fill=fill, listed=listed, revision=int(revision) if revision.isdigit() and number else 0)


def made_of(fill: Fill, quantity: Decimal, price: Decimal | None, at_ms: int) -> Order:
    """An order of which nothing is known but that it traded: it is told as a market order that did."""
    return Order(
        account=fill.account,
        venue_id=fill.venue_id,
        client_id=fill.client_id,
        terms=Terms(symbol=fill.symbol, side=fill.side, type=OrderType.MARKET, quantity=quantity),
        status=OrderStatus.FILLED,
        filled=quantity,
        average_price=price,
        created_ms=fill.time_ms,
        updated_ms=at_ms,
    )
