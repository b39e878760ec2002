"""Between Bitfinex's arrays and copydesk's records. Pure: no clock, no connection.

Everything of API v2 is an array whose places have meanings; rows that are too short, or have something else in a place,
raise `Unreadable`. Source: Bitfinex API v2, "Orders", "Positions", "Trades", "Wallets", "Notifications", "Flag values".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from copydesk.model import (
    ZERO,
    Candle,
    Contract,
    Fill,
    Instrument,
    Order,
    OrderGroup,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    PriceEvent,
    Record,
    RejectReason,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_wire import fields
from copydesk_wire.errors import Unreadable

from copydesk_bitfinex.symbols import (
    EXCHANGE,
    MARGIN_MARK,
    currencies,
    is_derivative,
    is_exchange,
    name_of,
    of_position,
    ours,
)

Row = list[Any]
Params = dict[str, Any]

HIDDEN, CLOSE, REDUCE_ONLY, POST_ONLY, OCO = 64, 512, 1024, 4096, 16384
"""Flags of an order; they are added up."""
AMOUNT_STEP = Decimal("1e-8")
PRICE_DIGITS = 5
"""Prices have five significant digits; what is longer the venue cuts."""
FINEST_TICK = Decimal("1e-8")
CID_BITS = 45
LABEL, STOP_LABEL = "label", "stop_label"
"""Where in an order's meta its client id stands as text. The two orders of an OCO have one meta, with both."""

TYPES: dict[str, tuple[OrderType, TimeInForce]] = {
    # the venue's type without "EXCHANGE ": (ours, how long it stands)
    "LIMIT": (OrderType.LIMIT, TimeInForce.GTC),
    "IOC": (OrderType.LIMIT, TimeInForce.IOC),
    "FOK": (OrderType.LIMIT, TimeInForce.FOK),
    "MARKET": (OrderType.MARKET, TimeInForce.GTC),
    "STOP": (OrderType.STOP_MARKET, TimeInForce.GTC),
    "STOP LIMIT": (OrderType.STOP_LIMIT, TimeInForce.GTC),
    "TRAILING STOP": (OrderType.TRAILING_STOP, TimeInForce.GTC),
}
WORDS: dict[tuple[OrderType, TimeInForce], str] = {meaning: word for word, meaning in TYPES.items()}
INTERVALS: dict[str, str] = {"1m": "1m", "5m": "5m", "15m": "15m", "1h": "1h", "4h": "4h", "1d": "1D"}
_ENDED: tuple[tuple[str, OrderStatus], ...] = (
    # (how a status begins, what it is): what was filled stands behind it
    ("EXECUTED", OrderStatus.FILLED),
    ("POSTONLY CANCELED", OrderStatus.CANCELLED),
    ("FILLORKILL CANCELED", OrderStatus.EXPIRED),
    ("IOC CANCELED", OrderStatus.EXPIRED),
    ("CANCELED", OrderStatus.CANCELLED),
    ("INSUFFICIENT", OrderStatus.EXPIRED),  # INSUFFICIENT MARGIN / BALANCE was: ...
    ("RSN_", OrderStatus.EXPIRED),  # RSN_DUST, RSN_PAUSE: too small to trade, trading paused
)


class Untranslatable(ValueError):
    """An order that this venue cannot carry; the sentence says why. Nothing was sent."""

    def __init__(self, sentence: str, reason: RejectReason = RejectReason.OTHER) -> None:
        super().__init__(sentence)
        self.reason = reason


class Wallet(Record):
    """One currency in one of the three wallets. `available` is None where the venue has not worked it out."""

    wallet: str
    currency: str
    balance: Decimal
    available: Decimal | None = None


class Told(Record):
    """An order as the venue tells it. `cid` zero for none; `trail`: a trailing stop's distance, in price units."""

    order: Order
    cid: int = 0
    trail: Decimal = ZERO
    gid: int = 0


# --- places of a row ----------------------------------------------------------------------------------------


def rows(body: Any, what: str) -> list[Row]:
    """A list of arrays, as most reads answer."""
    if not isinstance(body, list) or not all(isinstance(row, list) for row in body):
        raise Unreadable(f"Bitfinex sent no list of {what}.")
    return body


def _at(row: Row, place: int) -> Any:
    return row[place] if place < len(row) else None


def _number(row: Row, place: int, name: str) -> Decimal:
    value = _at(row, place)
    if value is None:
        raise Unreadable(f"Bitfinex sent no {name} in place {place} of an array of {len(row)}.")
    return fields.number(value, name)


def _number_or(row: Row, place: int, name: str) -> Decimal:
    value = _at(row, place)
    return ZERO if value is None else fields.number(value, name)


def _whole(row: Row, place: int, name: str) -> int:
    return fields.whole({name: _at(row, place)}, name)


def _text(row: Row, place: int, name: str) -> str:
    value = _at(row, place)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"Bitfinex sent {name}={value!r}, which is no text.")
    return value


def _id(row: Row, place: int, name: str) -> str:
    number = _whole(row, place, name)
    if number <= 0:
        raise Unreadable(f"Bitfinex sent {name}={_at(row, place)!r}, which is no id.")
    return str(number)


def text_of(value: Decimal) -> str:
    """A number without exponent and without trailing zeros: it is exactly `value`."""
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


# --- identity -----------------------------------------------------------------------------------------------


def cid_of(client_id: str) -> int:
    """The number under which an order of this client id is placed: below 2**45, always the same for the same text.

    A client id that is such a number already stands for itself, so that orders of other programs keep theirs.
    """
    if client_id.isdecimal() and client_id == str(int(client_id)) and 0 < int(client_id) < 1 << CID_BITS:
        return int(client_id)
    return int.from_bytes(blake2b(client_id.encode(), digest_size=8).digest(), "big") % ((1 << CID_BITS) - 1) + 1


def cid_date(time_ms: int) -> str:
    """The day, in UTC, in which a client id counts."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d")


def client_id_of(cid: int, meta: Any) -> str:
    """The client id of an order: the text that it was placed with where the venue gives it back, else its number."""
    labels = [meta.get(name) for name in (LABEL, STOP_LABEL)] if isinstance(meta, Mapping) else []
    named = (label for label in labels if isinstance(label, str) and label and cid_of(label) == cid)
    return next(named, str(cid) if cid else "")


# --- orders -------------------------------------------------------------------------------------------------


def order(row: Row) -> Told:
    """An order from REST or from `os`, `on`, `ou`, `oc`.

    A stop that was triggered has another type, and what it was before in the place behind: here it stays what it was.
    A trailing stop's percentage is of the price at which its trail began; the session knows better where it placed it.
    """
    word, before = _text(row, 8, "type"), _at(row, 9)
    type_, time_in_force = _type(word)
    triggered = False
    if isinstance(before, str) and before != word:
        was, _ = _type(before)
        if was.is_conditional and not type_.is_conditional:
            type_, time_in_force, triggered = was, TimeInForce.GTC, True
    left, whole = _number(row, 6, "amount"), _number(row, 7, "amount_orig")
    flags, cid, meta = _whole(row, 12, "flags"), _whole(row, 2, "cid"), _at(row, 31)
    price, aux, trail = (_number_or(row, place, "price") for place in (16, 19, 18))
    limit, trigger = _prices(type_, price, aux, triggered=triggered)
    side = Side.BUY if whole > 0 or (not whole and left > 0) else Side.SELL
    quantity, filled = abs(whole), abs(whole) - abs(left)
    if filled < 0:
        quantity, filled = abs(left), ZERO
    status_text = _text(row, 13, "status")
    created = _whole(row, 4, "mts_create")
    return Told(
        cid=cid,
        gid=_whole(row, 1, "gid"),
        trail=abs(trail),
        order=Order(
            venue_id=_id(row, 0, "id"),
            client_id=client_id_of(cid, meta),
            terms=Terms(
                symbol=ours(_text(row, 3, "symbol"), word),
                side=side,
                type=type_,
                quantity=quantity,
                price=limit,
                trigger_price=trigger,
                trail_percent=trail_percent(side, trail, price) if type_ is OrderType.TRAILING_STOP else None,
                time_in_force=time_in_force,
                post_only=bool(flags & POST_ONLY) or _is_post_only(meta),
                reduce_only=bool(flags & (REDUCE_ONLY | CLOSE)),
            ),
            status=_status(status_text, quantity, filled),
            filled=filled,
            average_price=_number_or(row, 17, "price_avg") or None,
            triggered=triggered,
            created_ms=created,
            updated_ms=max(created, _whole(row, 5, "mts_update")),
            reason=_reason(status_text),
            group=_group(row, flags),
        ),
    )


def _group(row: Row, flags: int) -> str:
    """What the two orders of an OCO have in common: the number of the one that caused the other to be placed."""
    caused_by = _whole(row, 25, "placed_id")
    if caused_by > 0:
        return str(caused_by)
    return _id(row, 0, "id") if flags & OCO else ""


def _type(word: str) -> tuple[OrderType, TimeInForce]:
    known = TYPES.get(word.removeprefix(EXCHANGE))
    if known is None:
        raise Unreadable(f"Bitfinex sent type={word!r}; known are {', '.join(TYPES)}, with EXCHANGE and without.")
    return known


def _prices(type_: OrderType, price: Decimal, aux: Decimal, *, triggered: bool) -> tuple[Decimal | None, Decimal | None]:
    """(limit price, trigger price). Once triggered, a stop-limit order's price is its limit."""
    if type_ is OrderType.LIMIT:
        return price, None
    if type_ is OrderType.STOP_LIMIT:
        return (price if triggered and not aux else aux), price
    if type_ is OrderType.STOP_MARKET:
        return None, price
    return None, None


def _is_post_only(meta: Any) -> bool:
    return isinstance(meta, Mapping) and meta.get("$F7") in (1, True)


def trail_percent(side: Side, trail: Decimal, price: Decimal) -> Decimal | None:
    """A trailing stop's distance in percent of where its trail began: the venue trails by an amount, behind `price`."""
    start = price - side.sign * abs(trail)
    return (abs(trail) / start * 100).quantize(Decimal("0.01")).normalize() + ZERO if price and start > 0 else None


def _status(text: str, quantity: Decimal, filled: Decimal) -> OrderStatus:
    for begins, status in _ENDED:
        if text.startswith(begins):
            whole = filled >= quantity
            return OrderStatus.FILLED if whole or (status is OrderStatus.FILLED and not filled) else _but_part(status)
    if text.startswith(("ACTIVE", "PARTIALLY FILLED")):
        return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW
    raise Unreadable(f"Bitfinex sent status={text!r}, which its documentation does not have.")


def _but_part(status: OrderStatus) -> OrderStatus:
    """`EXECUTED` with something left: the rest was taken away."""
    return OrderStatus.CANCELLED if status is OrderStatus.FILLED else status


def _reason(text: str) -> str:
    head = text.partition(" was:")[0]
    ended = head.startswith(tuple(begins for begins, _ in _ENDED)) and not head.startswith(("EXECUTED", "CANCELED"))
    return head if ended else ""


def fill(row: Row) -> Fill:
    """An execution of `tu`, or of trades/hist. `te` is the same without fee. Old ones lack their order's type."""
    amount, word = _number(row, 4, "exec_amount"), _at(row, 6)
    name = _text(row, 1, "symbol")
    cid = _whole(row, 11, "cid")
    return Fill(
        execution_id=_id(row, 0, "id"),
        venue_id=_id(row, 3, "order_id"),
        client_id=str(cid) if cid else "",
        symbol=ours(name, word if isinstance(word, str) else EXCHANGE),
        side=Side.BUY if amount > 0 else Side.SELL,
        position_side=PositionSide.NET,
        quantity=abs(amount),
        price=_number(row, 5, "exec_price"),
        fee=-_number_or(row, 9, "fee"),
        fee_asset=str(_at(row, 10) or ""),
        maker=_number_or(row, 8, "maker") == 1,
        time_ms=_whole(row, 2, "mts_create"),
    )


def says_type(row: Row) -> bool:
    """Whether an execution tells its order's type, without which a pair's two ways to trade look the same."""
    return isinstance(_at(row, 6), str)


# --- the account --------------------------------------------------------------------------------------------


def position(row: Row) -> Position:
    """A margin or derivative position. `pc` tells the amount that it had, with the status CLOSED or even ACTIVE."""
    return Position(
        symbol=of_position(_text(row, 0, "symbol")),
        quantity=_number(row, 2, "amount"),
        entry_price=_number_or(row, 3, "base_price"),
        unrealised=_number_or(row, 6, "pl"),
        liquidation_price=max(ZERO, _number_or(row, 8, "price_liq")),
        leverage=_number_or(row, 9, "leverage"),
    )


def is_closed(row: Row) -> bool:
    return bool(_at(row, 1) == "CLOSED")


def wallet(row: Row) -> Wallet:
    """A row of `wallets`, `ws` or `wu`."""
    available = _at(row, 4)
    return Wallet(
        wallet=_text(row, 0, "wallet type"),
        currency=_text(row, 1, "currency"),
        balance=_number(row, 2, "balance"),
        available=None if available is None else fields.number(available, "balance_available"),
    )


# --- markets ------------------------------------------------------------------------------------------------


class Listed(Record):
    """What the venue lists of a pair: its name, its rules as they come, a price to go by; `margin`: as traded on margin."""

    name: str
    rules: tuple[Any, ...]
    margin: bool = False
    price: Decimal = ZERO


def instrument(listed: Listed) -> Instrument:
    """A derivative, an exchange pair, or what is traded on margin in one."""
    rules = list(listed.rules)
    base, quote = currencies(listed.name)
    spot = not listed.margin and not is_derivative(listed.name)
    return Instrument(
        symbol=f"{listed.name}{MARGIN_MARK}" if listed.margin else listed.name,
        base=base,
        quote=quote,
        settle=quote,
        contract=Contract.SPOT if spot else Contract.LINEAR,
        price_tick=tick_at(listed.price),
        quantity_step=AMOUNT_STEP,
        min_quantity=_number_or(rules, 3, "minimum order size"),
        max_quantity=_number_or(rules, 4, "maximum order size"),
    )


def tick_at(price: Decimal) -> Decimal:
    """The step of prices around a price: five significant digits."""
    if price <= 0:
        return FINEST_TICK
    return max(FINEST_TICK, Decimal(1).scaleb(price.adjusted() - PRICE_DIGITS + 1))


def ticker(row: Row) -> tuple[str, PriceEvent]:
    """A row of `tickers`: the venue's name, and its prices."""
    name = _text(row, 0, "symbol")
    return name, price(row[1:], name)


def price(row: Row, symbol: str, *, time_ms: int = 0) -> PriceEvent:
    """The array of the `ticker` channel."""
    bid, ask = _number_or(row, 0, "bid"), _number_or(row, 2, "ask")
    return PriceEvent(symbol=symbol, last=_number(row, 6, "last_price"), bid=bid or None, ask=ask or None, time_ms=time_ms)


def candle(row: Row) -> Candle:
    """`[MTS, OPEN, CLOSE, HIGH, LOW, VOLUME]`"""
    return Candle(
        open_ms=_whole(row, 0, "mts"),
        open=_number(row, 1, "open"),
        close=_number(row, 2, "close"),
        high=_number(row, 3, "high"),
        low=_number(row, 4, "low"),
        volume=_number_or(row, 5, "volume"),
    )


# --- requests -----------------------------------------------------------------------------------------------


def place_params(client_id: str, terms: Terms, *, last_price: Decimal | None = None) -> Params:
    """What `order/submit` takes. `last_price` is needed for a trailing stop alone. Raises `Untranslatable`."""
    _check(terms)
    params: Params = {
        "cid": cid_of(client_id),
        "type": word_of(terms),
        "symbol": name_of(terms.symbol),
        "amount": text_of(terms.side.sign * terms.quantity),
        **_price_params(terms),
    }
    if terms.type is OrderType.TRAILING_STOP:
        params["price_trailing"] = text_of(trail_of(terms, last_price))
    flags = (POST_ONLY if terms.post_only else 0) | (REDUCE_ONLY if terms.reduce_only else 0)
    if terms.close_position:
        flags |= CLOSE
    if flags:
        params["flags"] = flags
    params["meta"] = {LABEL: client_id}
    return params


def group_params(group: OrderGroup) -> Params:
    """What `order/submit` takes for a stop and a target of which one cancels the other: a limit order with
    `price_oco_stop`. Raises `Untranslatable`."""
    targets = [leg for leg in group.legs if leg.terms.type is OrderType.LIMIT]
    stops = [leg for leg in group.legs if leg.terms.type is OrderType.STOP_MARKET]
    if len(targets) != 1 or len(stops) != 1:
        raise Untranslatable("Bitfinex links a limit order and a stop, and nothing else.")
    (target,), (stop,) = targets, stops
    if any(getattr(target.terms, name) != getattr(stop.terms, name) for name in _SHARED):
        raise Untranslatable("The two orders of a group have one symbol, one side and one quantity.")
    _check(stop.terms)
    params = place_params(target.client_id, target.terms)
    assert stop.terms.trigger_price is not None
    params["flags"] = params.get("flags", 0) | OCO
    params["price_oco_stop"] = text_of(stop.terms.trigger_price)
    params["cid_oco"] = cid_of(stop.client_id)
    params["meta"] = {LABEL: target.client_id, STOP_LABEL: stop.client_id}
    return params


_SHARED = ("symbol", "side", "quantity", "reduce_only")


def _check(terms: Terms) -> None:
    if terms.position_side is not PositionSide.NET:
        raise Untranslatable("Bitfinex has no hedge mode.", RejectReason.MODE)
    if terms.trigger_by is not TriggerBy.LAST:
        raise Untranslatable("Bitfinex triggers by the last price alone.")
    if terms.quantity <= 0:
        raise Untranslatable("Bitfinex needs an amount, also of an order that closes a position.", RejectReason.QUANTITY)
    if terms.quantity % AMOUNT_STEP:
        raise Untranslatable(f"Bitfinex cuts amounts after eight decimals: {terms.quantity}.", RejectReason.QUANTITY)
    for price in (terms.price, terms.trigger_price):
        if price is not None and price != rounded(price):
            raise Untranslatable(f"Bitfinex cuts prices after five digits: {price}.", RejectReason.PRICE)
    if (terms.type, terms.time_in_force) not in WORDS and terms.type is not OrderType.MARKET:
        raise Untranslatable(f"Bitfinex has no {terms.type} orders that are {terms.time_in_force}.")


def word_of(terms: Terms) -> str:
    """The venue's word for this type in this symbol."""
    time_in_force = TimeInForce.GTC if terms.type is OrderType.MARKET else terms.time_in_force
    word = WORDS[terms.type, time_in_force]
    return f"{EXCHANGE}{word}" if is_exchange(terms.symbol) else word


def _price_params(terms: Terms) -> Params:
    if terms.type is OrderType.STOP_LIMIT:
        assert terms.trigger_price is not None
        assert terms.price is not None
        return {"price": text_of(terms.trigger_price), "price_aux_limit": text_of(terms.price)}
    if terms.type is OrderType.STOP_MARKET:
        assert terms.trigger_price is not None
        return {"price": text_of(terms.trigger_price)}
    if terms.type is OrderType.LIMIT:
        assert terms.price is not None
        return {"price": text_of(terms.price)}
    return {}


def trail_of(terms: Terms, last_price: Decimal | None) -> Decimal:
    """A trailing stop's distance in price units. Raises `Untranslatable`."""
    if terms.trail_percent is None or last_price is None:
        raise Untranslatable("A trailing stop needs its distance and the last price.")
    if terms.trigger_price is not None:
        raise Untranslatable("Bitfinex's trailing stops have no activation price.")
    return rounded(last_price * terms.trail_percent / 100)


def rounded(value: Decimal) -> Decimal:
    """Five significant digits."""
    return value.quantize(Decimal(1).scaleb(value.adjusted() - PRICE_DIGITS + 1)).normalize() + ZERO if value else value


def update_params(venue_id: str, before: Terms, after: Terms) -> Params:
    """What `order/update` takes. The amount goes as a difference of totals: no fill in between can make it wrong."""
    _check(after)
    if after.type is OrderType.TRAILING_STOP:
        raise Untranslatable("A trailing stop begins anew with another distance: cancel and place it.")
    params: Params = {"id": int(venue_id), **_price_params(after)}
    if after.quantity != before.quantity:
        params["delta"] = text_of(after.side.sign * (after.quantity - before.quantity))
    flags = (POST_ONLY if after.post_only else 0) | (REDUCE_ONLY if after.reduce_only else 0)
    if flags:
        params["flags"] = flags
    return params


def permissions(told: list[Row]) -> tuple[str, ...]:
    """What a key may do, as `r/permissions` tells it in rows of (scope, read, write): `orders`, `history (read)`."""
    found = [(str(row[0]), row[1], row[2]) for row in told if len(row) > 2]
    return tuple(scope if write else f"{scope} (read)" for scope, read, write in found if read or write)
