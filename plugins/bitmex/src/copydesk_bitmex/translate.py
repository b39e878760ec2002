"""Between BitMEX's wire and copydesk's records, both ways. Pure: no clock, no I/O, no state.

Quantities are contracts, money is in the smallest unit of its currency (`XBt` is a hundred-millionth of a bitcoin, `USDt` a
millionth of a tether). What is missing or does not have the documented form raises `Unreadable`, which names the field.
Source of all names: BitMEX's published swagger, and its API documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from copydesk.model import (
    Candle,
    Contract,
    Fill,
    Instrument,
    Order,
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    PriceEvent,
    Record,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_wire.errors import Unreadable
from copydesk_wire.fields import Payload, decimal, decimal_or_zero, number, positive, rows, text, text_or, word, word_or

UNITS: dict[str, tuple[str, Decimal]] = {
    # the venue's unit: (the currency's name, how many units are one)
    "XBt": ("XBT", Decimal(100_000_000)),
    "USDt": ("USDT", Decimal(1_000_000)),
    "MAMUSd": ("MAMUSD", Decimal(1_000_000)),
    "BMEx": ("BMEX", Decimal(1_000_000)),
    "Gwei": ("ETH", Decimal(1_000_000_000)),
    "LAMp": ("SOL", Decimal(1_000_000_000)),
}
UNIT_OF: dict[str, str] = {name: unit for unit, (name, _) in UNITS.items()}

SIDES: dict[str, Side] = {"Buy": Side.BUY, "Sell": Side.SELL}
ORDER_TYPES: dict[str, OrderType] = {
    "Market": OrderType.MARKET,
    "Limit": OrderType.LIMIT,
    "Stop": OrderType.STOP_MARKET,
    "StopLimit": OrderType.STOP_LIMIT,
    "MarketIfTouched": OrderType.TAKE_PROFIT_MARKET,
    "LimitIfTouched": OrderType.TAKE_PROFIT_LIMIT,
    "Pegged": OrderType.LIMIT,  # at the price that its peg had when it was taken
}
TYPE_WORDS: dict[OrderType, str] = {ours: theirs for theirs, ours in ORDER_TYPES.items()} | {
    OrderType.LIMIT: "Limit",
    OrderType.TRAILING_STOP: "Stop",
}
TRAILING = "TrailingStopPeg"
CANCELS_OTHER, TRIGGERS_OTHER = "OneCancelsTheOther", "OneTriggersTheOther"
TRIGGERED = frozenset({"StopOrderTriggered", "Triggered"})
STATUSES: dict[str, OrderStatus] = {
    "New": OrderStatus.NEW,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "DoneForDay": OrderStatus.EXPIRED,
    "Canceled": OrderStatus.CANCELLED,
    "PendingCancel": OrderStatus.NEW,
    "PendingNew": OrderStatus.NEW,
    "Stopped": OrderStatus.NEW,
    "Rejected": OrderStatus.REJECTED,
    "Expired": OrderStatus.EXPIRED,
    "Triggered": OrderStatus.NEW,
    "Untriggered": OrderStatus.NEW,
}
TIMES: dict[str, TimeInForce] = {
    "GoodTillCancel": TimeInForce.GTC,
    "Day": TimeInForce.GTC,  # the venue expires it at the end of the day and reports that
    "ImmediateOrCancel": TimeInForce.IOC,
    "FillOrKill": TimeInForce.FOK,
    "AtTheClose": TimeInForce.GTC,
}
TIME_WORDS: dict[TimeInForce, str] = {
    TimeInForce.GTC: "GoodTillCancel",
    TimeInForce.IOC: "ImmediateOrCancel",
    TimeInForce.FOK: "FillOrKill",
}
TRIGGERS: dict[str, TriggerBy] = {
    "LastPrice": TriggerBy.LAST,
    "MarkPrice": TriggerBy.MARK,
    "IndexPrice": TriggerBy.INDEX,
}
TRIGGER_WORDS: dict[TriggerBy, str] = {ours: theirs for theirs, ours in TRIGGERS.items()}
POST_ONLY, REDUCE_ONLY, CLOSE = "ParticipateDoNotInitiate", "ReduceOnly", "Close"
BINS: dict[str, int] = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}
KINDS = frozenset({"FFWCSX", "FFCCSX"})
"""Perpetual and dated futures. Spot, indices, options and spreads are of other kinds."""


class Untranslatable(ValueError):
    """An order that this venue cannot carry; the sentence says why. Nothing was sent."""


class MarginRow(Record):
    """What one currency of an account is worth, in that currency."""

    asset: str
    equity: Decimal
    cash: Decimal
    available: Decimal


# --- fields -------------------------------------------------------------------------------------------------


def time_ms(payload: Payload, *names: str) -> int:
    """Milliseconds since the epoch of `2020-05-29T01:24:53.824Z`; 0 for none."""
    for name in names:
        value = payload.get(name)
        if value not in (None, ""):
            try:
                return int(datetime.fromisoformat(str(value)).timestamp() * 1000)
            except ValueError:
                raise Unreadable(f"the venue sent {name}={str(value)[:60]!r}, which is no time") from None
    return 0


def _instructions(payload: Payload) -> frozenset[str]:
    return frozenset(part.strip() for part in text_or(payload, "execInst").split(",") if part.strip())


# --- orders -------------------------------------------------------------------------------------------------


def order(payload: Payload) -> Order:
    """A whole row of the `order` table, from REST or the stream."""
    type_ = word(payload, ORDER_TYPES, "ordType")
    trailing = text_or(payload, "pegPriceType") == TRAILING
    if trailing:
        type_ = OrderType.TRAILING_STOP
    does = _instructions(payload)
    status = word(payload, STATUSES, "ordStatus")
    filled = decimal_or_zero(payload, "cumQty")
    terms = Terms(
        symbol=text(payload, "symbol"),
        side=word(payload, SIDES, "side"),
        type=type_,
        quantity=decimal_or_zero(payload, "orderQty"),
        price=decimal(payload, "price") if type_.has_price else None,
        trigger_price=decimal(payload, "stopPx") if type_.has_trigger else None,
        trigger_by=next(
            (TRIGGERS[one] for one in does if one in TRIGGERS), TriggerBy.MARK if type_.is_conditional else TriggerBy.LAST
        ),
        trail_percent=_trail(payload) if trailing else None,
        time_in_force=_time_in_force(payload, type_),
        post_only=POST_ONLY in does,
        reduce_only=REDUCE_ONLY in does or CLOSE in does,
        close_position=CLOSE in does and not decimal_or_zero(payload, "orderQty"),
    )
    if status is OrderStatus.NEW and filled:
        status = OrderStatus.PARTIALLY_FILLED
    at_ms = time_ms(payload, "timestamp", "transactTime")
    return Order(
        venue_id=text(payload, "orderID"),
        client_id=text_or(payload, "clOrdID"),
        terms=terms,
        status=status,
        filled=filled,
        average_price=positive(payload, "avgPx"),
        triggered=text_or(payload, "triggered") in TRIGGERED,
        created_ms=at_ms,  # no row tells it: whoever remembers when the order was first heard of knows better
        updated_ms=at_ms,
        reason=reason(payload) if status.is_final and status is not OrderStatus.FILLED else "",
        group=link(payload) if text_or(payload, "contingencyType") == CANCELS_OTHER else "",
    )


def link(payload: Payload) -> str:
    """The name that orders which hang together have in common; empty for an order that stands by itself."""
    return text_or(payload, "clOrdLinkID")


def primaries(orders: Iterable[Payload]) -> frozenset[str]:
    """The links among these orders of which one is open that the others wait for."""
    return frozenset(
        link(row) for row in orders if text_or(row, "contingencyType") == TRIGGERS_OTHER and not _is_final(row)
    )


def waits(payload: Payload, primaries: frozenset[str]) -> bool:
    """It waits for the primary order of its link, and is not in the market before that is filled as a whole."""
    others = text_or(payload, "contingencyType") != TRIGGERS_OTHER and not _is_final(payload)
    return others and bool(link(payload)) and link(payload) in primaries


def _is_final(payload: Payload) -> bool:
    return word(payload, STATUSES, "ordStatus").is_final


def _time_in_force(payload: Payload, type_: OrderType) -> TimeInForce:
    """A market order is told as GoodTillCancel or ImmediateOrCancel, whichever; it means the same."""
    if type_ in (OrderType.MARKET, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET, OrderType.TRAILING_STOP):
        return TimeInForce.GTC
    return word_or(payload, TIMES, "timeInForce", TimeInForce.GTC)


def _trail(payload: Payload) -> Decimal:
    """BitMEX trails by an amount; the percentage is of the price at which the trail began."""
    offset, stop = decimal(payload, "pegOffsetValue"), decimal(payload, "stopPx")
    start = stop - offset
    if start <= 0:
        raise Unreadable("the venue sent a trailing stop whose trail is longer than its price")
    return abs(offset) / start * 100


def reason(payload: Payload) -> str:
    """Why an order ended, in the venue's words."""
    return (text_or(payload, "ordRejReason") or text_or(payload, "text")).partition("\n")[0]


def fill(payload: Payload) -> Fill | None:
    """A row of the `execution` table; None where it tells of no trade."""
    if payload.get("execType") != "Trade":
        return None
    unit = text_or(payload, "settlCurrency", "XBt")
    asset, scale = UNITS.get(unit, (unit, Decimal(1)))
    return Fill(
        execution_id=text(payload, "execID"),
        venue_id=text(payload, "orderID"),
        client_id=text_or(payload, "clOrdID"),
        symbol=text(payload, "symbol"),
        side=word(payload, SIDES, "side"),
        position_side=PositionSide.NET,
        quantity=decimal(payload, "lastQty"),
        price=decimal(payload, "lastPx"),
        fee=decimal_or_zero(payload, "execComm") / scale,
        fee_asset=asset,
        maker=text_or(payload, "lastLiquidityInd").startswith("Added"),
        time_ms=time_ms(payload, "transactTime", "timestamp"),
    )


# --- the account --------------------------------------------------------------------------------------------


def position(payload: Payload) -> Position:
    """A whole row of the `position` table; `currentQty` is signed."""
    _, scale = UNITS.get(text_or(payload, "currency", "XBt"), ("", Decimal(1)))
    return Position(
        symbol=text(payload, "symbol"),
        quantity=decimal_or_zero(payload, "currentQty"),
        entry_price=decimal_or_zero(payload, "avgEntryPrice"),
        mark_price=decimal_or_zero(payload, "markPrice"),
        unrealised=decimal_or_zero(payload, "unrealisedPnl") / scale,
        leverage=decimal_or_zero(payload, "leverage"),
        liquidation_price=decimal_or_zero(payload, "liquidationPrice"),
    )


def margin(payload: Payload) -> MarginRow:
    """A whole row of the `margin` table."""
    unit = text(payload, "currency")
    asset, scale = UNITS.get(unit, (unit, Decimal(1)))
    return MarginRow(
        asset=asset,
        equity=decimal_or_zero(payload, "marginBalance", "amount") / scale,
        cash=decimal_or_zero(payload, "walletBalance", "amount") / scale,
        available=decimal_or_zero(payload, "availableMargin", "excessMargin") / scale,
    )


# --- markets ------------------------------------------------------------------------------------------------


def instrument(payload: Payload) -> Instrument:
    """A row of the `instrument` table. Inverse and linear contracts; of a quanto contract nobody could say the worth."""
    symbol, kind = text(payload, "symbol"), text_or(payload, "typ")
    if kind not in KINDS:
        raise Unreadable(f"{symbol} is of the kind {kind!r}, which is no future")
    if payload.get("isQuanto") is True:
        raise Unreadable(f"{symbol} is a quanto contract")
    unit = text(payload, "settlCurrency")
    if unit not in UNITS:
        raise Unreadable(f"{symbol} is settled in {unit}, which is not known")
    asset, scale = UNITS[unit]
    lot = decimal(payload, "lotSize")
    largest = decimal_or_zero(payload, "maxOrderQty")
    return Instrument(
        symbol=symbol,
        base=text(payload, "underlying"),
        quote=text(payload, "quoteCurrency"),
        settle=asset,
        contract=Contract.INVERSE if payload.get("isInverse") is True else Contract.LINEAR,
        price_tick=decimal(payload, "tickSize"),
        quantity_step=lot,
        min_quantity=lot,
        max_quantity=largest,
        market_max_quantity=largest,
        contract_size=abs(decimal(payload, "multiplier")) / scale,
        trading=payload.get("state") == "Open",
    )


def price(payload: Payload) -> PriceEvent | None:
    """A whole row of the `instrument` table as a price; None while nothing was traded."""
    last = positive(payload, "lastPrice")
    if last is None:
        return None
    return PriceEvent(
        symbol=text(payload, "symbol"),
        last=last,
        bid=positive(payload, "bidPrice"),
        ask=positive(payload, "askPrice"),
        time_ms=time_ms(payload, "timestamp"),
    )


def candle(payload: Payload, length_ms: int) -> Candle:
    """A bar of `trade/bucketed`, whose time is its end."""
    close = decimal(payload, "close")
    return Candle(
        open_ms=time_ms(payload, "timestamp") - length_ms,
        open=number(payload.get("open") or close, "open"),
        high=number(payload.get("high") or close, "high"),
        low=number(payload.get("low") or close, "low"),
        close=close,
        volume=decimal_or_zero(payload, "volume"),
    )


# --- requests -----------------------------------------------------------------------------------------------

_encode = msgspec.json.Encoder(decimal_format="number").encode


def place_body(client_id: str, terms: Terms, *, last_price: Decimal | None = None) -> str:
    """The JSON of a placement. `last_price` is needed for a trailing stop alone. Raises `Untranslatable`."""
    if terms.position_side is not PositionSide.NET:
        raise Untranslatable("BitMEX has no hedge mode in this connection.")
    does = []
    if terms.post_only:
        does.append(POST_ONLY)
    if terms.close_position:
        does.append(CLOSE)
    elif terms.reduce_only:
        does.append(REDUCE_ONLY)
    if terms.type.is_conditional:
        does.append(TRIGGER_WORDS[terms.trigger_by])
    fields: dict[str, Any] = {
        "symbol": terms.symbol,
        "side": "Buy" if terms.side is Side.BUY else "Sell",
        "ordType": TYPE_WORDS[terms.type],
        "clOrdID": client_id,
    }
    if not terms.close_position:
        fields["orderQty"] = plain(terms.quantity)
    if terms.price is not None:
        fields["price"] = plain(terms.price)
    if terms.type is OrderType.TRAILING_STOP:
        fields |= {"pegPriceType": TRAILING, "pegOffsetValue": plain(_offset(terms, last_price))}
    elif terms.trigger_price is not None:
        fields["stopPx"] = plain(terms.trigger_price)
    if terms.type.has_price:
        fields["timeInForce"] = TIME_WORDS[terms.time_in_force]
    if does:
        fields["execInst"] = ",".join(does)
    return _encode(fields).decode()


def _offset(terms: Terms, last_price: Decimal | None) -> Decimal:
    if terms.trail_percent is None or last_price is None:
        raise Untranslatable("A trailing stop needs its distance and the last price.")
    if terms.trigger_price is not None:
        raise Untranslatable("BitMEX's trailing stops have no activation price.")
    return terms.side.sign * last_price * terms.trail_percent / 100


def amend_body(change: OrderChange, *, last_price: Decimal | None = None) -> str:
    """The JSON of an amend: price, trigger, trail and total quantity. Raises `Untranslatable`."""
    terms, ref = change.terms, change.ref
    fields: dict[str, Any] = {"orderID": ref.venue_id} if ref.venue_id else {"origClOrdID": ref.client_id}
    fields["orderQty"] = plain(terms.quantity)
    if terms.price is not None:
        fields["price"] = plain(terms.price)
    if terms.type is OrderType.TRAILING_STOP:
        fields["pegOffsetValue"] = plain(_offset(terms, last_price))
    elif terms.trigger_price is not None:
        fields["stopPx"] = plain(terms.trigger_price)
    return _encode(fields).decode()


def cancel_body(ref: OrderRef) -> str:
    """The JSON of a cancel, by BitMEX's own id where that is known."""
    return _encode({"orderID": ref.venue_id} if ref.venue_id else {"clOrdID": ref.client_id}).decode()


def written(value: Decimal) -> str:
    """A number as it stands in a body."""
    return _encode(plain(value)).decode()


def plain(value: Decimal) -> Decimal | int:
    """As BitMEX wrote numbers: without a point where there is nothing behind it."""
    return int(value) if value == value.to_integral_value() else value.normalize()


def permissions(told: Any, key: str) -> tuple[str, ...] | None:
    """What a key may do beside reading, as `GET /apiKey` lists it among the account's keys."""
    for row in rows(told, "keys"):
        if row.get("id") == key:
            return ("read", *(str(one) for one in row.get("permissions") or ()))
    return None
