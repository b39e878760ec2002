"""Between FTX's wire and copydesk's records, both ways. Pure: no clock, no I/O, no state.

FTX wrote numbers as JSON numbers. They become `Decimal` from their text, and go out as the shortest JSON number that is
exactly them. What is missing or does not have the documented form raises `Unreadable`, which names the field.
Source of all names: FTX API documentation, REST and websocket, as of 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote

from copydesk.model import (
    ZERO,
    Balance,
    Candle,
    Contract,
    Fill,
    Instrument,
    Order,
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

Payload = Mapping[str, Any]

TRIGGER_PREFIX = "trigger:"
"""Marks the `venue_id` of a trigger order, whose ids come from a service of their own."""
USD = "USD"
_NUMBERS = (str, int, Decimal)  # a union is made anew by each call

SIDES: dict[str, Side] = {"buy": Side.BUY, "sell": Side.SELL}
TRIGGER_TYPES: dict[str, tuple[OrderType, OrderType]] = {
    # the venue's word: (ours at market, ours with a limit price)
    "stop": (OrderType.STOP_MARKET, OrderType.STOP_LIMIT),
    "takeProfit": (OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT),
    "take_profit": (OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT),
    "trailingStop": (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP),
    "trailing_stop": (OrderType.TRAILING_STOP, OrderType.TRAILING_STOP),
}
TRIGGER_WORDS: dict[OrderType, str] = {
    OrderType.STOP_MARKET: "stop",
    OrderType.STOP_LIMIT: "stop",
    OrderType.TAKE_PROFIT_MARKET: "takeProfit",
    OrderType.TAKE_PROFIT_LIMIT: "takeProfit",
    OrderType.TRAILING_STOP: "trailingStop",
}
RESOLUTIONS: dict[str, int] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}


class Untranslatable(ValueError):
    """An order that this venue cannot carry; the sentence says why. Nothing was sent."""


class TriggerOrder(Record):
    """A trigger order. `becomes`: the id of the ordinary order that it placed, empty while it waits."""

    order: Order
    becomes: str = ""


# --- fields -------------------------------------------------------------------------------------------------


def number(value: Any, name: str) -> Decimal:
    """A number from its text, exactly. A float has lost its text already, so it is refused."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise Unreadable(f"FTX sent {name}={value!r}, which is not a number.")
    try:
        result = value if type(value) is Decimal else Decimal(value)
    except InvalidOperation:
        raise Unreadable(f"FTX sent {name}={value!r}, which is not a number.") from None
    if not result.is_finite() or (result and abs(result.adjusted()) > 40):
        raise Unreadable(f"FTX sent {name}={str(value)[:60]!r}, which is no price, size or sum.")
    return result


def text_of(value: Decimal) -> str:
    """A JSON number without exponent and without trailing zeros: it is exactly `value`."""
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _need(payload: Payload, name: str) -> Any:
    value = payload.get(name)
    if value is None:
        raise Unreadable(f"FTX sent no {name!r} where there must be one.")
    return value


def _decimal(payload: Payload, name: str) -> Decimal:
    return number(_need(payload, name), name)


def _decimal_or(payload: Payload, name: str, default: Decimal = ZERO) -> Decimal:
    value = payload.get(name)
    return default if value is None else number(value, name)


def _word(payload: Payload, name: str) -> str:
    value = _need(payload, name)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Unreadable(f"FTX sent {name}={value!r}, which is no text.")
    return str(value)


def _side(payload: Payload) -> Side:
    word = _word(payload, "side")
    if word not in SIDES:
        raise Unreadable(f"FTX sent side={word!r}, which is neither buy nor sell.")
    return SIDES[word]


def time_ms(value: Any, name: str) -> int:
    """Milliseconds since the epoch of `2019-03-05T09:56:55.728933+00:00`; 0 for none."""
    if value is None:
        return 0
    try:
        moment = datetime.fromisoformat(str(value).replace(" ", ""))
    except ValueError:
        raise Unreadable(f"FTX sent {name}={value!r}, which is no time.") from None
    if moment.tzinfo is None:
        raise Unreadable(f"FTX sent {name}={value!r}, a time without its zone.")
    return int(moment.timestamp() * 1000)


def rows(body: Any, what: str) -> list[Payload]:
    """A list of objects."""
    if not isinstance(body, list) or not all(isinstance(row, dict) for row in body):
        raise Unreadable(f"FTX sent no list of {what}.")
    return body


# --- orders -------------------------------------------------------------------------------------------------


def order(payload: Payload, *, updated_ms: int = 0) -> Order:
    """An ordinary order from REST or the `orders` channel. FTX tells no time of a change: the caller's counts.

    `closed` covers filled, cancelled and expired alike; what remained tells them apart.
    """
    type_ = _word(payload, "type")
    if type_ not in ("limit", "market"):
        raise Unreadable(f"FTX sent type={type_!r}, which is no ordinary order's.")
    size, filled = _decimal(payload, "size"), _decimal_or(payload, "filledSize")
    ioc = payload.get("ioc") is True
    average = _decimal_or(payload, "avgFillPrice")
    created = time_ms(payload.get("createdAt"), "createdAt")
    terms = Terms(
        symbol=_word(payload, "market"),
        side=_side(payload),
        type=OrderType(type_),
        quantity=size,
        price=_decimal(payload, "price") if type_ == "limit" else None,
        time_in_force=TimeInForce.IOC if ioc and type_ == "limit" else TimeInForce.GTC,
        post_only=payload.get("postOnly") is True,
        reduce_only=payload.get("reduceOnly") is True,
    )
    return Order(
        venue_id=_word(payload, "id"),
        client_id=str(payload.get("clientId") or ""),
        terms=terms,
        status=order_status(_word(payload, "status"), size, filled, ioc=ioc or type_ == "market"),
        filled=filled,
        average_price=average or None,
        created_ms=created,
        updated_ms=max(updated_ms, created),
    )


def order_status(word: str, size: Decimal, filled: Decimal, *, ioc: bool) -> OrderStatus:
    """What a word for an ordinary order's state means, after so much of it was filled."""
    if word in ("new", "open"):
        return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
    if word not in ("closed", "cancelled", "triggered"):
        raise Unreadable(f"FTX sent status={word!r}, which its documentation does not have.")
    if filled >= size:
        return OrderStatus.FILLED
    return OrderStatus.EXPIRED if ioc else OrderStatus.CANCELLED


def trigger_order(payload: Payload) -> TriggerOrder:
    """A trigger order from REST. It carries no client id: FTX had none for this service."""
    word = _word(payload, "type")
    if word not in TRIGGER_TYPES:
        raise Unreadable(f"FTX sent type={word!r}, which is no trigger order's.")
    limit = _decimal_or(payload, "orderPrice")
    type_ = TRIGGER_TYPES[word][1 if limit else 0]
    size, filled = _decimal(payload, "size"), _decimal_or(payload, "filledSize")
    status = _word(payload, "status")
    triggered = status == "triggered" or payload.get("triggeredAt") is not None
    terms = Terms(
        symbol=_word(payload, "market"),
        side=_side(payload),
        type=type_,
        quantity=size,
        price=limit or None,
        trigger_price=_decimal(payload, "triggerPrice") if type_.has_trigger else None,
        trigger_by=TriggerBy.LAST,
        trail_percent=_trail_percent(payload) if type_ is OrderType.TRAILING_STOP else None,
        reduce_only=payload.get("reduceOnly") is True,
    )
    created = time_ms(payload.get("createdAt"), "createdAt")
    changed = max(time_ms(payload.get(name), name) for name in ("createdAt", "triggeredAt", "cancelledAt"))
    now = {"open": OrderStatus.NEW, "cancelled": OrderStatus.CANCELLED}.get(status)
    if now is None:
        now = order_status(str(payload.get("orderStatus") or "open"), size, filled, ioc=not limit)
    return TriggerOrder(
        order=Order(
            venue_id=TRIGGER_PREFIX + _word(payload, "id"),
            terms=terms,
            status=now,
            filled=filled,
            average_price=_decimal_or(payload, "avgFillPrice") or None,
            triggered=triggered,
            created_ms=created,
            updated_ms=changed,
            reason=str(payload.get("error") or payload.get("cancelReason") or ""),
        ),
        becomes=str(payload.get("orderId") or ""),
    )


def _trail_percent(payload: Payload) -> Decimal:
    """FTX trails by an amount; the percentage is of the price at which the trail began."""
    value, start = _decimal(payload, "trailValue"), _decimal_or(payload, "trailStart")
    start = start or _decimal(payload, "triggerPrice") - value
    if not start:
        raise Unreadable("FTX sent a trailing stop without the price at which its trail began.")
    return abs(value) / start * 100


def fill(payload: Payload) -> Fill:
    """An execution, from REST or the `fills` channel; it names its order by the venue's id alone."""
    return Fill(
        execution_id=_word(payload, "id"),
        venue_id=_word(payload, "orderId"),
        symbol=_word(payload, "market"),
        side=_side(payload),
        position_side=PositionSide.NET,
        quantity=_decimal(payload, "size"),
        price=_decimal(payload, "price"),
        fee=_decimal_or(payload, "fee"),
        fee_asset=str(payload.get("feeCurrency") or USD),
        maker=payload.get("liquidity") == "maker",
        time_ms=time_ms(payload.get("time"), "time"),
    )


# --- the account --------------------------------------------------------------------------------------------


def position(payload: Payload) -> Position:
    """A futures position; `netSize` is signed."""
    size = _decimal(payload, "netSize")
    return Position(
        symbol=_word(payload, "future"),
        quantity=size,
        entry_price=_decimal_or(payload, "entryPrice"),
        unrealised=_decimal_or(payload, "unrealizedPnl"),
        liquidation_price=_decimal_or(payload, "estimatedLiquidationPrice"),
    )


def balance(payload: Payload, *, at_ms: int = 0) -> Balance:
    """What the account is worth, in USD: FTX kept one collateral for everything."""
    equity = _decimal(payload, "totalAccountValue")
    return Balance(
        currency=USD,
        equity=equity,
        cash=_decimal(payload, "collateral"),
        available=_decimal(payload, "freeCollateral"),
        time_ms=at_ms,
    )


# --- markets ------------------------------------------------------------------------------------------------


def instrument(payload: Payload) -> Instrument:
    """A market of `/api/markets`. Sizes are in the base coin, for spot and futures alike."""
    name, type_ = _word(payload, "name"), _word(payload, "type")
    if type_ not in ("spot", "future"):
        raise Unreadable(f"FTX lists {name} with type={type_!r}, which is neither spot nor future.")
    spot = type_ == "spot"
    quote = str(payload.get("quoteCurrency") or USD)
    step = _decimal(payload, "sizeIncrement")
    return Instrument(
        symbol=name,
        base=_word(payload, "baseCurrency" if spot else "underlying"),
        quote=quote,
        settle=quote if spot else USD,
        contract=Contract.SPOT if spot else Contract.LINEAR,
        price_tick=_decimal(payload, "priceIncrement"),
        quantity_step=step,
        min_quantity=_decimal_or(payload, "minProvideSize") or step,
        trading=payload.get("enabled") is True and payload.get("restricted") is not True,
    )


def price(payload: Payload, symbol: str) -> PriceEvent:
    """A frame of the `ticker` channel."""
    bid, ask = _decimal_or(payload, "bid"), _decimal_or(payload, "ask")
    return PriceEvent(
        symbol=symbol,
        last=_decimal(payload, "last"),
        bid=bid or None,
        ask=ask or None,
        time_ms=int(_decimal_or(payload, "time") * 1000),
    )


def candle(payload: Payload) -> Candle:
    """A bar of `/api/markets/{name}/candles`."""
    return Candle(
        open_ms=int(_decimal(payload, "time")),
        open=_decimal(payload, "open"),
        high=_decimal(payload, "high"),
        low=_decimal(payload, "low"),
        close=_decimal(payload, "close"),
        volume=_decimal_or(payload, "volume"),
    )


# --- requests -----------------------------------------------------------------------------------------------


def order_path(ref: OrderRef) -> str:
    """Where an ordinary order is read and cancelled."""
    return f"/orders/{ref.venue_id}" if ref.venue_id else f"/orders/by_client_id/{quote(ref.client_id, safe='')}"


def place_body(client_id: str, terms: Terms, *, last_price: Decimal | None = None) -> tuple[str, str]:
    """(path, JSON body) of a placement. `last_price` is needed for a trailing stop alone. Raises `Untranslatable`."""
    if terms.position_side is not PositionSide.NET:
        raise Untranslatable("FTX has no hedge mode.")
    if terms.close_position:
        raise Untranslatable("FTX has no order that closes whatever the position is then.")
    if terms.time_in_force is TimeInForce.FOK:
        raise Untranslatable("FTX has no fill-or-kill orders.")
    if terms.type.is_conditional:
        return "/conditional_orders", _object(_trigger_fields(terms, last_price))
    fields = [
        ("market", _quoted(terms.symbol)),
        ("side", _quoted(terms.side)),
        ("price", text_of(terms.price) if terms.price is not None else "null"),
        ("size", text_of(terms.quantity)),
        ("type", _quoted(terms.type)),
        ("reduceOnly", _boolean(terms.reduce_only)),
        ("ioc", _boolean(terms.time_in_force is TimeInForce.IOC)),
        ("postOnly", _boolean(terms.post_only)),
        ("clientId", _quoted(client_id)),
    ]
    return "/orders", _object(fields)


def _trigger_fields(terms: Terms, last_price: Decimal | None) -> list[tuple[str, str]]:
    if terms.trigger_by is not TriggerBy.LAST:
        raise Untranslatable("FTX triggers by the last price alone.")
    fields = [
        ("market", _quoted(terms.symbol)),
        ("side", _quoted(terms.side)),
        ("size", text_of(terms.quantity)),
        ("type", _quoted(TRIGGER_WORDS[terms.type])),
        ("reduceOnly", _boolean(terms.reduce_only)),
        ("retryUntilFilled", _boolean(terms.price is None)),
    ]
    if terms.type is OrderType.TRAILING_STOP:
        if terms.trail_percent is None or last_price is None:
            raise Untranslatable("A trailing stop needs its distance and the last price.")
        if terms.trigger_price is not None:
            raise Untranslatable("FTX's trailing stops have no activation price.")
        return [*fields, ("trailValue", text_of(terms.side.sign * last_price * terms.trail_percent / 100))]
    assert terms.trigger_price is not None
    fields.append(("triggerPrice", text_of(terms.trigger_price)))
    if terms.price is not None:
        fields.append(("orderPrice", text_of(terms.price)))
    return fields


def _object(fields: list[tuple[str, str]]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in fields) + "}"


def _quoted(text: str) -> str:
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _boolean(value: bool) -> str:
    return "true" if value else "false"
