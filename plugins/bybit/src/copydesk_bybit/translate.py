"""Between Bybit's wire and copydesk's records, both ways. Pure: no clock, no I/O, no state.

Numbers become `Decimal` from their text and text from their `Decimal`; no float is ever in between. What is missing or does
not have the documented form raises `Unreadable`, which names the field. Source of all names: Bybit v5 API documentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from copydesk.model import (
    ZERO,
    Balance,
    Candle,
    Contract,
    Fill,
    Instrument,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
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
from copydesk_wire.fields import Payload

from copydesk_bybit.symbols import SPOT, category_of, name_of, ours

Params = dict[str, Any]

# --- words --------------------------------------------------------------------------------------------------

SIDES: dict[str, Side] = {"Buy": Side.BUY, "Sell": Side.SELL, "BUY": Side.BUY, "SELL": Side.SELL}
SIDE_WORDS: dict[Side, str] = {Side.BUY: "Buy", Side.SELL: "Sell"}

STATUSES: dict[str, OrderStatus] = {
    "Created": OrderStatus.NEW,
    "New": OrderStatus.NEW,
    "Untriggered": OrderStatus.NEW,
    "Triggered": OrderStatus.NEW,
    "Active": OrderStatus.NEW,
    "PendingCancel": OrderStatus.NEW,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
}
_WAITING = frozenset({"Untriggered", "Deactivated", "Created"})
_BY_THE_VENUE = frozenset({"EC_PostOnlyWillTakeLiquidity", "EC_NoImmediateQtyToFill", "EC_CancelForNoFullFill"})
"""An order that ends so was not cancelled by anybody: it could not live by its own terms."""

TIMES_IN_FORCE: dict[str, tuple[TimeInForce, bool]] = {
    # the venue's word: (ours, post-only)
    "GTC": (TimeInForce.GTC, False),
    "GoodTillCancel": (TimeInForce.GTC, False),
    "IOC": (TimeInForce.IOC, False),
    "ImmediateOrCancel": (TimeInForce.IOC, False),
    "FOK": (TimeInForce.FOK, False),
    "FillOrKill": (TimeInForce.FOK, False),
    "PostOnly": (TimeInForce.GTC, True),
    "RPI": (TimeInForce.GTC, True),
}
TIME_WORDS: dict[TimeInForce, str] = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}

TRIGGERS: dict[str, TriggerBy] = {
    "LastPrice": TriggerBy.LAST,
    "MarkPrice": TriggerBy.MARK,
    "IndexPrice": TriggerBy.INDEX,
    "UNKNOWN": TriggerBy.LAST,
}
TRIGGER_WORDS: dict[TriggerBy, str] = {
    TriggerBy.LAST: "LastPrice",
    TriggerBy.MARK: "MarkPrice",
    TriggerBy.INDEX: "IndexPrice",
}
RISES, FALLS = 1, 2
POSITION_SIDES: dict[int, PositionSide] = {0: PositionSide.NET, 1: PositionSide.LONG, 2: PositionSide.SHORT}
POSITION_INDEXES: dict[PositionSide, int] = {side: index for index, side in POSITION_SIDES.items()}

_STOPS = frozenset({"StopLoss", "PartialStopLoss"})
_TARGETS = frozenset({"TakeProfit", "PartialTakeProfit"})
_TRAILS = frozenset({"TrailingStop", "TrailingProfit"})
_ON_POSITION = frozenset({"StopLoss", "TakeProfit"})
_NO_STOP = frozenset({"", "UNKNOWN"})

TRADES = frozenset(
    {"Trade", "AdlTrade", "BustTrade", "Delivery", "Settle", "BlockTrade", "MovePosition", "FutureSpread", "UNKNOWN"}
)
"""Executions that move a position. `Funding` and `CorporateAction` move money only."""

INTERVALS = {"1m": "1", "5m": "5", "15m": "15", "1h": "60", "4h": "240", "1d": "D"}


class Untranslatable(ValueError):
    """An order that this venue cannot carry; the sentence says why. Nothing was sent."""

    def __init__(self, message: str, reason: RejectReason = RejectReason.OTHER) -> None:
        super().__init__(message)
        self.reason = reason


# --- frames and replies -------------------------------------------------------------------------------------


def rows_of(reply: Any, what: str) -> list[Payload]:
    """The `result.list` of a read."""
    return fields.rows(result_of(reply).get("list"), what)


def result_of(reply: Any) -> Payload:
    """The `result` of a reply."""
    return fields.object_(fields.object_(reply, "a reply").get("result"), "a result")


def cursor_of(reply: Any) -> str:
    """Where the next page begins; empty at the end."""
    return fields.text_or(result_of(reply), "nextPageCursor")


def placed_id(reply: Any) -> str:
    """The venue's id in the reply to an order request; empty where it sends none."""
    result = fields.object_(reply, "a reply").get("result")
    return fields.text_or(result, "orderId") if isinstance(result, Mapping) else ""


def refusal_of(frame: Payload) -> str | None:
    """Why the venue refuses an operation on a stream (login, subscription); None where it does not.

    The private and the public streams say it in `success`, newer ones beside it in `retCode`.
    """
    if frame.get("success") is False or frame.get("retCode") not in (None, 0):
        return fields.text_or(frame, "ret_msg") or fields.text_or(frame, "retMsg") or "no reason given"
    return None


def frame_rows(frame: Payload) -> list[Payload]:
    """The `data` of a private frame."""
    return fields.rows(frame.get("data"), f"{frame.get('topic')} rows")


# --- orders -------------------------------------------------------------------------------------------------


def _order_type(row: Payload, side: Side) -> OrderType:
    """A conditional order is a stop where the price comes against its side, a take-profit where it comes towards it."""
    kind = fields.text_or(row, "orderType")
    if kind not in ("Market", "Limit", "UNKNOWN"):
        raise Unreadable(f"the venue sent orderType={kind!r}; known are Market, Limit")
    stop = fields.text_or(row, "stopOrderType")
    limit = kind == "Limit"
    if stop in _TRAILS:
        return OrderType.TRAILING_STOP
    if stop in _TARGETS or (stop not in _STOPS and _is_target(row, side)):
        return OrderType.TAKE_PROFIT_LIMIT if limit else OrderType.TAKE_PROFIT_MARKET
    if stop not in _NO_STOP and fields.positive(row, "triggerPrice") is not None:
        return OrderType.STOP_LIMIT if limit else OrderType.STOP_MARKET
    return OrderType.LIMIT if limit else OrderType.MARKET


def _is_target(row: Payload, side: Side) -> bool:
    """A conditional order, by its direction; on spot, which tells none, by the price it was made at."""
    trigger = fields.positive(row, "triggerPrice")
    if trigger is None or fields.text_or(row, "stopOrderType") in _NO_STOP:
        return False
    direction = fields.whole(row, "triggerDirection")
    if not direction:
        before = fields.positive(row, "basePrice", "lastPriceOnCreated")
        if before is None:
            return False
        direction = RISES if trigger > before else FALLS
    return (direction == FALLS) == (side is Side.BUY)


def _terms(row: Payload, category: str) -> Terms:
    side = fields.word(row, SIDES, "side")
    type_ = _order_type(row, side)
    time_in_force, post_only = TimeInForce.GTC, False
    if type_.has_price:  # a market order is always told as IOC
        time_in_force, post_only = fields.word_or(row, TIMES_IN_FORCE, "timeInForce", (TimeInForce.GTC, False))
    stop = fields.text_or(row, "stopOrderType")
    whole = stop in _ON_POSITION and fields.text_or(row, "tpslMode", fields.text_or(row, "tpSlMode", "Full")) == "Full"
    closes = fields.flag(row, "closeOnTrigger")
    quantity = _quantity(row, type_)
    return Terms(
        symbol=ours(category, fields.text(row, "symbol")),
        side=side,
        type=type_,
        quantity=quantity,
        price=fields.positive(row, "price") if type_.has_price else None,
        trigger_price=fields.positive(row, "triggerPrice") if type_.is_conditional else None,
        trigger_by=fields.word_or(row, TRIGGERS, "triggerBy", TriggerBy.LAST),
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=fields.flag(row, "reduceOnly") or whole,
        close_position=type_ is not OrderType.TRAILING_STOP and (whole or (closes and not quantity)),
        position_side=_position_side(row),
    )


def _quantity(row: Payload, type_: OrderType) -> Decimal:
    """A spot market order may be in the quote currency; then it is as much of the base as it bought, or would buy."""
    quantity = fields.decimal_or_zero(row, "qty")
    if type_ is not OrderType.MARKET or fields.text_or(row, "marketUnit") != "quoteCoin":
        return quantity
    filled = fields.decimal_or_zero(row, "cumExecQty")
    if STATUSES.get(fields.text_or(row, "orderStatus"), OrderStatus.NEW).is_final:
        return filled
    price = fields.positive(row, "avgPrice", "basePrice", "lastPriceOnCreated", "price")
    return filled if price is None else max(filled, quantity / price)


def _position_side(row: Payload) -> PositionSide:
    index = fields.whole(row, "positionIdx")
    if index not in POSITION_SIDES:
        raise Unreadable(f"the venue sent positionIdx={index}; known are 0, 1, 2")
    return POSITION_SIDES[index]


def _category(row: Payload, category: str) -> str:
    told = category or fields.text_or(row, "category")
    if not told:
        raise Unreadable("the venue sent an object without category")
    return told


def order(row: Any, category: str = "", account: str = "") -> Order:
    """An order as the stream `order` and the reads of orders tell it. REST tells the category once for all rows."""
    body = fields.object_(row, "an order")
    terms = _terms(body, _category(body, category))
    word = fields.text(body, "orderStatus")
    status = fields.word(body, STATUSES, "orderStatus")
    filled = fields.decimal_or_zero(body, "cumExecQty")
    reason = fields.text_or(body, "rejectReason")
    if status is OrderStatus.CANCELLED and reason in _BY_THE_VENUE:
        status = OrderStatus.EXPIRED
    if status is OrderStatus.NEW and filled > 0:
        status = OrderStatus.PARTIALLY_FILLED
    created = fields.whole(body, "createdTime")
    return Order(
        account=account,
        venue_id=fields.text(body, "orderId"),
        client_id=fields.text_or(body, "orderLinkId"),
        terms=terms,
        status=status,
        filled=filled,
        average_price=fields.positive(body, "avgPrice"),
        triggered=terms.type.is_conditional
        and word not in _WAITING
        and (status is not OrderStatus.CANCELLED or filled > 0),
        created_ms=created,
        updated_ms=fields.whole(body, "updatedTime") or created,
        reason=_reason(body, reason, status),
    )


def _reason(body: Payload, reject: str, status: OrderStatus) -> str:
    if not status.is_final or status is OrderStatus.FILLED:
        return ""
    if reject not in ("", "EC_NoError", "UNKNOWN"):
        return reject
    cancel = fields.text_or(body, "cancelType")
    return "" if cancel == "UNKNOWN" else cancel


class Execution(Record):
    """One row of `execution`. `closed` is how much it took off a position: in hedge mode it tells which side it is of."""

    fill: Fill
    closed: Decimal = ZERO

    def with_side(self, side: PositionSide) -> Fill:
        """The fill as one of this side of a hedge."""
        return Fill(**{name: getattr(self.fill, name) for name in Fill.__struct_fields__} | {"position_side": side})

    @property
    def hedge_side(self) -> PositionSide:
        """Which side it is of in hedge mode: a buy opens a long or closes a short."""
        opens = self.closed == 0
        return PositionSide.LONG if (self.fill.side is Side.BUY) == opens else PositionSide.SHORT


def execution(row: Any, category: str = "", account: str = "", settle: str = "") -> Execution | None:
    """A row of `execution`, by stream or read; None for what is no trade (funding). The fee is positive when paid.

    `settle`: the currency of fees where the row does not say it, as for linear and inverse reads.
    """
    body = fields.object_(row, "an execution")
    if fields.text_or(body, "execType", "Trade") not in TRADES:
        return None
    category = _category(body, category)
    side = fields.word(body, SIDES, "side")
    return Execution(
        fill=Fill(
            account=account,
            execution_id=fields.text(body, "execId"),
            venue_id=fields.text_or(body, "orderId"),
            client_id=fields.text_or(body, "orderLinkId"),
            symbol=ours(category, fields.text(body, "symbol")),
            side=side,
            quantity=fields.decimal(body, "execQty"),
            price=fields.decimal(body, "execPrice"),
            fee=fields.decimal_or_zero(body, "execFee"),
            fee_asset=fields.text_or(body, "feeCurrency", settle),
            maker=fields.flag(body, "isMaker"),
            time_ms=fields.whole(body, "execTime"),
        ),
        closed=fields.decimal_or_zero(body, "closedSize"),
    )


# --- the account --------------------------------------------------------------------------------------------


def position(row: Any, category: str = "", account: str = "") -> Position:
    """A row of `position`, by stream (`entryPrice`) or read (`avgPrice`). On the wire size has no sign."""
    body = fields.object_(row, "a position")
    size = fields.decimal_or_zero(body, "size")
    if size:
        size *= fields.word(body, SIDES, "side").sign
    return Position(
        account=account,
        symbol=ours(_category(body, category), fields.text(body, "symbol")),
        position_side=_position_side(body),
        quantity=size,
        entry_price=fields.decimal_or_zero(body, "entryPrice", "avgPrice"),
        mark_price=fields.decimal_or_zero(body, "markPrice"),
        unrealised=fields.decimal_or_zero(body, "unrealisedPnl"),
        leverage=fields.decimal_or_zero(body, "leverage"),
        liquidation_price=fields.decimal_or_zero(body, "liqPrice"),
    )


class Wallet(Record):
    """One account of `wallet`: what all of it is worth in USD, and how much there is of each coin."""

    balance: Balance
    coins: dict[str, Decimal] = {}


def wallet(row: Any, account: str = "", time_ms: int = 0) -> Wallet:
    """A unified account, by stream or read. Equity, cash and available are its totals in USD: all coins back each other.

    In isolated margin the venue tells no total that is available: then it is what the coins have free.
    """
    body = fields.object_(row, "an account")
    coins = fields.rows(body.get("coin", []), "coins")
    equity = fields.decimal(body, "totalEquity")
    cash = fields.decimal_or_zero(body, "totalWalletBalance") or equity
    available = body.get("totalAvailableBalance")
    return Wallet(
        balance=Balance(
            account=account,
            currency="USD",
            equity=equity,
            cash=cash,
            available=_free(coins) if available in (None, "") else fields.number(available, "totalAvailableBalance"),
            time_ms=time_ms,
        ),
        coins={fields.text(coin, "coin"): fields.decimal_or_zero(coin, "walletBalance") for coin in coins},
    )


def _free(coins: list[Payload]) -> Decimal:
    """What the coins have free, in USD at the price that the venue values them at."""
    total = ZERO
    for coin in coins:
        equity = fields.decimal_or_zero(coin, "equity")
        bound = sum((fields.decimal_or_zero(coin, name) for name in ("totalOrderIM", "totalPositionIM", "locked")), ZERO)
        if equity:
            total += fields.decimal_or_zero(coin, "usdValue") * max(ZERO, equity - bound) / equity
    return total


# --- the market ---------------------------------------------------------------------------------------------

_CONTRACTS = {"linear": Contract.LINEAR, "inverse": Contract.INVERSE, "spot": Contract.SPOT}


def instrument(row: Any, category: str) -> Instrument:
    """A row of instruments-info. An inverse contract is worth one USD."""
    body = fields.object_(row, "an instrument")
    if category not in _CONTRACTS:
        raise Unreadable(f"the venue listed an instrument of the category {category!r}, which is not copied")
    price = fields.object_(fields.need(body, "priceFilter"), "a priceFilter")
    lot = fields.object_(fields.need(body, "lotSizeFilter"), "a lotSizeFilter")
    quote = fields.text_or(body, "quoteCoin")
    return Instrument(
        symbol=ours(category, fields.text(body, "symbol")),
        base=fields.text_or(body, "baseCoin"),
        quote=quote,
        settle=fields.text_or(body, "settleCoin", quote),
        contract=_CONTRACTS[category],
        price_tick=fields.decimal(price, "tickSize"),
        quantity_step=fields.decimal(lot, "qtyStep", "basePrecision"),
        min_quantity=fields.decimal_or_zero(lot, "minOrderQty"),
        max_quantity=fields.decimal_or_zero(lot, "maxLimitOrderQty", "maxOrderQty"),
        market_max_quantity=fields.decimal_or_zero(lot, "maxMarketOrderQty", "maxMktOrderQty"),
        min_notional=fields.decimal_or_zero(lot, "minNotionalValue", "minOrderAmt"),
        trading=fields.text_or(body, "status") == "Trading",
    )


def candle(row: Any) -> Candle:
    """One row of kline: [start, open, high, low, close, volume, turnover]; volume in base units, contracts for inverse."""
    if not isinstance(row, list) or len(row) < 6:
        raise Unreadable("the venue sent a candle that is not a row of at least six fields beginning with its time")
    names = ("open", "high", "low", "close", "volume")
    opened, high, low, close, volume = (fields.number(value, name) for value, name in zip(row[1:6], names, strict=True))
    return Candle(
        open_ms=fields.whole({"start": row[0]}, "start"), open=opened, high=high, low=low, close=close, volume=volume
    )


def server_time(reply: Any) -> int:
    """The venue's clock in milliseconds, from its time read."""
    body = fields.object_(reply, "the time")
    return fields.whole(body, "time") or fields.whole(result_of(body), "timeNano") // 1_000_000


class Quote(Record):
    """What one tickers frame tells of one symbol; a delta tells only what changed."""

    symbol: str
    last: Decimal | None = None
    bid: Decimal | None = None
    ask: Decimal | None = None
    time_ms: int = 0


def quotes(frame: Payload, category: str) -> Iterator[PriceEvent | Quote]:
    """The prices in a public frame: trades give prices, tickers and the best level of a book quotes, anything else none."""
    topic = fields.text_or(frame, "topic")
    if topic.startswith("publicTrade."):
        for row in fields.rows(frame.get("data"), "trades"):
            yield PriceEvent(
                symbol=ours(category, fields.text(row, "s")),
                last=fields.decimal(row, "p"),
                time_ms=fields.whole(row, "T"),
            )
    elif topic.startswith("tickers."):
        body = fields.object_(frame.get("data"), "a ticker")
        yield Quote(
            symbol=ours(category, fields.text(body, "symbol")),
            last=fields.positive(body, "lastPrice"),
            bid=fields.positive(body, "bid1Price"),
            ask=fields.positive(body, "ask1Price"),
            time_ms=fields.whole(frame, "ts"),
        )
    elif topic.startswith("orderbook.1."):
        body = fields.object_(frame.get("data"), "a book")
        yield Quote(
            symbol=ours(category, fields.text(body, "s")),
            bid=_best(body.get("b")),
            ask=_best(body.get("a")),
            time_ms=fields.whole(frame, "ts"),
        )


def _best(levels: Any) -> Decimal | None:
    for level in levels if isinstance(levels, list) else []:
        if isinstance(level, list) and len(level) == 2 and fields.number(level[1], "size") > 0:
            return fields.number(level[0], "price")
    return None


def ticker(row: Any, category: str) -> Quote:
    """A row of the tickers read."""
    body = fields.object_(row, "a ticker")
    return Quote(
        symbol=ours(category, fields.text(body, "symbol")),
        last=fields.positive(body, "lastPrice"),
        bid=fields.positive(body, "bid1Price"),
        ask=fields.positive(body, "ask1Price"),
    )


# --- requests -----------------------------------------------------------------------------------------------


def text(value: Decimal) -> str:
    """A number as the venue wants it: all its digits, no exponent."""
    return format(value, "f")


def _named(symbol: str) -> Params:
    return {"category": category_of(symbol), "symbol": name_of(symbol)}


def place_params(order: NewOrder) -> Params:
    """The parameters of `order/create`. Raises `Untranslatable`.

    Whatever closes the whole position is sent as quantity zero with reduceOnly and closeOnTrigger, as the venue documents.
    A spot market order says that its quantity is in the base currency.
    """
    terms = order.terms
    spot = category_of(terms.symbol) == SPOT
    if spot and terms.position_side is not PositionSide.NET:
        raise Untranslatable(f"{terms.symbol} is spot: it has no {terms.position_side} side.", RejectReason.MODE)
    if spot and (terms.reduce_only or terms.close_position):
        raise Untranslatable(f"{terms.symbol} is spot: there is no position to reduce or to close.")
    if terms.type is OrderType.TRAILING_STOP:
        raise Untranslatable(
            "A trailing stop of Bybit belongs to a position and has no client id: it cannot be placed here."
        )
    params = _named(terms.symbol) | {
        "side": SIDE_WORDS[terms.side],
        "orderType": "Limit" if terms.type.has_price else "Market",
        "qty": "0" if terms.close_position else text(terms.quantity),
        "orderLinkId": order.client_id,
    }
    if terms.type.has_price:
        if terms.price is None:
            raise Untranslatable(f"A {terms.type} order needs a price.")
        params["price"] = text(terms.price)
        params["timeInForce"] = "PostOnly" if terms.post_only else TIME_WORDS[terms.time_in_force]
    elif spot:
        params["marketUnit"] = "baseCoin"
    if terms.type.has_trigger:
        params |= _condition(terms, spot=spot)
    if not spot:
        params["positionIdx"] = POSITION_INDEXES[terms.position_side]
        if terms.reduce_only or terms.close_position:
            params["reduceOnly"] = True
        if terms.close_position:
            params["closeOnTrigger"] = True
    return params


def rises_to_trigger(terms: Terms) -> bool:
    """Whether a conditional order waits for the price to rise."""
    is_stop = terms.type in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT)
    return is_stop == (terms.side is Side.BUY)


def _condition(terms: Terms, *, spot: bool) -> Params:
    if terms.trigger_price is None:
        raise Untranslatable(f"A {terms.type} order needs a trigger price.")
    params: Params = {"triggerPrice": text(terms.trigger_price)}
    if spot:
        if terms.trigger_by is not TriggerBy.LAST:
            raise Untranslatable(
                f"Spot orders of Bybit are triggered by the last price, not by the {terms.trigger_by} price."
            )
        return params | {"orderFilter": "StopOrder"}
    return params | {
        "triggerDirection": RISES if rises_to_trigger(terms) else FALLS,
        "triggerBy": TRIGGER_WORDS[terms.trigger_by],
    }


def modify_params(change: OrderChange) -> Params:
    """The parameters of `order/amend`: total quantity, price and trigger price. Raises `Untranslatable`."""
    terms = change.terms
    if terms.type in (OrderType.MARKET, OrderType.TRAILING_STOP):
        raise Untranslatable(f"Bybit cannot amend a {terms.type} order.")
    params = ref_params(change.ref)
    if not terms.close_position:
        params["qty"] = text(terms.quantity)
    if terms.type.has_price and terms.price is not None:
        params["price"] = text(terms.price)
    if terms.type.has_trigger and terms.trigger_price is not None:
        params["triggerPrice"] = text(terms.trigger_price)
        if category_of(terms.symbol) != SPOT:
            params["triggerBy"] = TRIGGER_WORDS[terms.trigger_by]
    return params


def ref_params(ref: OrderRef) -> Params:
    """The parameters that name one order, for a cancel, an amend or a query. The venue prefers its own id."""
    if ref.venue_id:
        return _named(ref.symbol) | {"orderId": ref.venue_id}
    if ref.client_id:
        return _named(ref.symbol) | {"orderLinkId": ref.client_id}
    raise Untranslatable("An order is named by its client id or its venue id; this one has neither.")


def filter_of(type_: OrderType, symbol: str) -> str:
    """The `orderFilter` that a cancel of a spot order needs, because spot keeps waiting orders apart."""
    return "StopOrder" if type_.is_conditional and category_of(symbol) == SPOT else ""
