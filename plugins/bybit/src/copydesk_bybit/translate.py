"""What Bybit tells of orders, executions and the account, as copydesk's records. Pure: no clock, no I/O, no state.

Numbers become `Decimal` from their text and text from their `Decimal`; no float is ever in between. What is missing or does
not have the documented form raises `Unreadable`, which names the field. Source of all names: Bybit v5 API documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from copydesk.model import (
    ZERO,
    Balance,
    Fill,
    Order,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Record,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_wire import fields
from copydesk_wire.errors import Unreadable
from copydesk_wire.fields import Payload

from copydesk_bybit.symbols import ours
from copydesk_bybit.words import (
    BY_THE_VENUE,
    FALLS,
    NO_STOP,
    ON_POSITION,
    POSITION_SIDES,
    RISES,
    SIDES,
    STATUSES,
    STOPS,
    TARGETS,
    TIMES_IN_FORCE,
    TRADES,
    TRAILS,
    TRIGGERS,
    WAITING,
)

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
    if stop in TRAILS:
        return OrderType.TRAILING_STOP
    if stop in TARGETS or (stop not in STOPS and _is_target(row, side)):
        return OrderType.TAKE_PROFIT_LIMIT if limit else OrderType.TAKE_PROFIT_MARKET
    if stop not in NO_STOP and fields.positive(row, "triggerPrice") is not None:
        return OrderType.STOP_LIMIT if limit else OrderType.STOP_MARKET
    return OrderType.LIMIT if limit else OrderType.MARKET


def _is_target(row: Payload, side: Side) -> bool:
    """A conditional order, by its direction; on spot, which tells none, by the price it was made at."""
    trigger = fields.positive(row, "triggerPrice")
    if trigger is None or fields.text_or(row, "stopOrderType") in NO_STOP:
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
    whole = stop in ON_POSITION and fields.text_or(row, "tpslMode", fields.text_or(row, "tpSlMode", "Full")) == "Full"
    closes = fields.flag(row, "closeOnTrigger")
    quantity = _quantity(row, type_)
    return Terms(
        symbol=ours(category, fields.text(row, "symbol")),
        side=side,
        type=type_,
        quantity=quantity,
        price=fields.positive(row, "price") if type_.has_price else None,
        trigger_price=fields.positive(row, "triggerPrice") if type_.has_trigger else None,  # a trailing one moves its own
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
    if status is OrderStatus.CANCELLED and reason in BY_THE_VENUE:
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
        triggered=terms.type.is_conditional and word not in WAITING and (status is not OrderStatus.CANCELLED or filled > 0),
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


def trail_of(row: Payload) -> Decimal | None:
    """How far the trailing stop of a position trails, in price; None where it has none."""
    return fields.positive(row, "trailingStop")


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


def permissions(reply: Any) -> tuple[str, ...]:
    """What a key may do, as `GET user/query-api` tells it: `Spot: SpotTrade`, `Wallet: Withdraw`."""
    told = result_of(reply)
    if told.get("readOnly"):
        return ("read only",)
    granted = fields.object_(told.get("permissions") or {}, "permissions")
    return tuple(f"{group}: {name}" for group, names in granted.items() for name in names or ())
