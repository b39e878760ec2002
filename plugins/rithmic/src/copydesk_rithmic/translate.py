"""Rithmic's messages to records and back. Pure.

A symbol is `EXCHANGE:CONTRACT`, as in `CME:ESH7`. Prices travel as floats; the shortest decimal that a float stands for is
the price that was written, for prices have far fewer digits than a float keeps. Quantities are whole contracts.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from copydesk.model import (
    ZERO,
    Balance,
    Candle,
    Contract,
    Instrument,
    NewOrder,
    OrderType,
    Position,
    PositionSide,
    RejectReason,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_wire.errors import Unreadable

from copydesk_rithmic.library import Message

BUY, SELL = 1, 2
AUTO = 2
DAY, GTC, IOC, FOK = 1, 2, 3, 4
LIMIT, MARKET, STOP_LIMIT, STOP_MARKET, MARKET_IF_TOUCHED, LIMIT_IF_TOUCHED = 1, 2, 3, 4, 5, 6
TYPES = {
    LIMIT: OrderType.LIMIT,
    MARKET: OrderType.MARKET,
    STOP_LIMIT: OrderType.STOP_LIMIT,
    STOP_MARKET: OrderType.STOP_MARKET,
    MARKET_IF_TOUCHED: OrderType.TAKE_PROFIT_MARKET,
    LIMIT_IF_TOUCHED: OrderType.TAKE_PROFIT_LIMIT,
}
PRICE_TYPES = {type_: number for number, type_ in TYPES.items()}
TIMES = {DAY: TimeInForce.GTC, GTC: TimeInForce.GTC, IOC: TimeInForce.IOC, FOK: TimeInForce.FOK}
NATIVE_DAY = "duration=DAY"
"""What `Terms.native` says of an order that ends with the trading day; others rest until they are cancelled."""
BAR_LENGTHS = {"1s": (1, 1), "1m": (2, 1), "5m": (2, 5), "15m": (2, 15), "1h": (2, 60), "4h": (2, 240), "1d": (3, 1)}
"""Rithmic's bar type and period of each interval."""
BAR_SECONDS = {1: 1, 2: 60, 3: 86_400}
FIRST_DATE, LAST_DATE = 19_000_101, 29_991_231
NOT_TRADABLE = frozenset({"false", "f", "no", "n", "0"})


class Untranslatable(Exception):
    """The order cannot be said to Rithmic. `reason` is what can be done about it."""

    def __init__(self, reason: RejectReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


# --- words ---------------------------------------------------------------------------------------------------------


def symbol_of(message: Message) -> str:
    """The symbol of whatever names an exchange and a contract."""
    if not message.symbol or not message.exchange:
        raise Unreadable("Rithmic sent a message without a symbol or an exchange")
    return f"{message.exchange}:{message.symbol}"


def split(symbol: str) -> tuple[str, str]:
    """The exchange and the contract of a symbol. Raises `Untranslatable`."""
    exchange, colon, contract = symbol.partition(":")
    if not (exchange and colon and contract):
        raise Untranslatable(
            RejectReason.SYMBOL, f"{symbol!r} is no symbol of Rithmic: write EXCHANGE:CONTRACT, as in CME:ESH7"
        )
    return exchange, contract


def number(value: float) -> Decimal:
    """The decimal that a price was before it became a float. Raises `Unreadable` for infinities and the like."""
    exact = Decimal(repr(float(value)))
    if not exact.is_finite():
        raise Unreadable(f"Rithmic sent {value} for a price")
    whole = exact.to_integral_value()
    return whole if exact == whole else exact


def money(text: str, name: str) -> Decimal:
    """An amount, which Rithmic sends as text; an empty one is zero."""
    try:
        amount = Decimal(text) if text else ZERO
    except InvalidOperation:
        amount = Decimal("nan")
    if not amount.is_finite():
        raise Unreadable(f"Rithmic sent {name}={text[:40]!r}, which is not an amount")
    return amount


def time_us(message: Message) -> int:
    """When it happened, in microseconds since the epoch."""
    return int(message.ssboe) * 1_000_000 + int(message.usecs)


# --- instruments ---------------------------------------------------------------------------------------------------


def instrument(row: Message) -> Instrument:
    """An instrument from 15. One contract is the step; `contract_size` is the money in one point of the price."""
    tick, point = number(row.min_qprice_change), number(row.single_point_value)
    if tick <= 0 or point <= 0:
        raise Unreadable(f"Rithmic tells no tick or no point value of {row.exchange}:{row.symbol}")
    currency = row.currency or "USD"
    return Instrument(
        symbol=symbol_of(row),
        base=row.product_code or row.symbol,
        quote=currency,
        settle=currency,
        contract=Contract.LINEAR,
        price_tick=tick,
        quantity_step=Decimal(1),
        min_quantity=Decimal(1),
        contract_size=point,
        trading=row.is_tradable.lower() not in NOT_TRADABLE,
    )


# --- orders to the wire --------------------------------------------------------------------------------------------


def new_order(order: NewOrder, rules: Instrument, route: str) -> dict[str, Any]:
    """The fields of 312. Raises `Untranslatable`."""
    terms = order.terms
    exchange, contract = split(terms.symbol)
    if not route:
        message = f"there is no trade route from this account to {exchange} that is up"
        raise Untranslatable(RejectReason.PERMISSION, message)
    fields = {
        "user_tag": order.client_id,
        "symbol": contract,
        "exchange": exchange,
        "transaction_type": BUY if terms.side is Side.BUY else SELL,
        "duration": duration(terms),
        "trade_route": route,
        "manual_or_auto": AUTO,
    }
    return fields | numbers(terms, rules)


def change(terms: Terms, rules: Instrument) -> dict[str, Any]:
    """The fields of 314 that say what the order shall be; its quantity is the total. Raises `Untranslatable`."""
    exchange, contract = split(terms.symbol)
    return {"symbol": contract, "exchange": exchange, "manual_or_auto": AUTO} | numbers(terms, rules)


def numbers(terms: Terms, rules: Instrument) -> dict[str, Any]:
    """Type, quantity and prices. Raises `Untranslatable` for what Rithmic does not have, or its fields cannot say."""
    price_type = PRICE_TYPES.get(terms.type)
    lacking = {
        f"{terms.type} orders": price_type is None,
        "post-only orders": terms.post_only,
        "reduce-only orders": terms.reduce_only or terms.close_position,
        "long and short positions side by side": terms.position_side is not PositionSide.NET,
        f"triggers by the {terms.trigger_by} price": terms.type.has_trigger and terms.trigger_by is not TriggerBy.LAST,
    }
    for what, is_wanted in lacking.items():
        if is_wanted:
            raise Untranslatable(RejectReason.OTHER, f"Rithmic has no {what}")
    if terms.quantity != terms.quantity.to_integral_value() or terms.quantity <= 0:
        raise Untranslatable(RejectReason.QUANTITY, f"{terms.quantity} is no whole number of contracts")
    fields: dict[str, Any] = {"price_type": price_type, "quantity": int(terms.quantity)}
    for name, wanted, price in (
        ("price", terms.type.has_price, terms.price),
        ("trigger_price", terms.type.has_trigger, terms.trigger_price),
    ):
        if not wanted:
            continue
        if price is None:
            raise Untranslatable(RejectReason.PRICE, f"a {terms.type} order needs a {name.replace('_', ' ')}")
        fields[name] = wire_price(price, rules)
    return fields


def wire_price(price: Decimal, rules: Instrument) -> float:
    """A price as a float that is read back as the same decimal. Raises `Untranslatable`."""
    told = float(price)
    if number(told) != price:
        raise Untranslatable(
            RejectReason.PRICE, f"{price} has more digits than Rithmic's prices of {rules.symbol} can carry"
        )
    return told


def duration(terms: Terms) -> int:
    """Rithmic's duration: what rests is good till cancelled, unless the order that is copied ends with the day."""
    if terms.time_in_force is TimeInForce.IOC:
        return IOC
    if terms.time_in_force is TimeInForce.FOK:
        return FOK
    return DAY if terms.native == NATIVE_DAY else GTC


# --- the account ---------------------------------------------------------------------------------------------------


def position(row: Message) -> Position:
    """A position from 450."""
    return Position(
        symbol=symbol_of(row),
        quantity=Decimal(row.net_quantity),
        entry_price=number(row.avg_open_fill_price),
        unrealised=money(row.open_position_pnl, "open_position_pnl"),
    )


def balance(row: Message, currency: str) -> Balance:
    """What an account is worth, from 451: its cash with and without the open profit."""
    if not row.cash_on_hand and not row.account_balance:
        raise Unreadable("Rithmic sent a balance without cash_on_hand and account_balance")
    profit = money(row.open_position_pnl, "open_position_pnl")
    total = money(row.account_balance, "account_balance")
    cash = money(row.cash_on_hand, "cash_on_hand") if row.cash_on_hand else total - profit
    free = row.available_buying_power or row.margin_balance
    return Balance(
        currency=currency,
        equity=cash + profit,
        cash=cash,
        available=money(free, "available_buying_power") if free else cash + profit,
        time_ms=time_us(row) // 1000,
    )


# --- bars ----------------------------------------------------------------------------------------------------------


def candle(row: Message, interval: str) -> Candle:
    """A bar from 203. Its marker is when it ends, in seconds; that of a daily bar may be a date."""
    type_, period = BAR_LENGTHS[interval]
    length_ms = BAR_SECONDS[type_] * period * 1000
    open_ms = row.marker * 1000 - length_ms
    if type_ == 3 and FIRST_DATE <= row.marker <= LAST_DATE:
        open_ms = _midnight_ms(row.marker)
    return Candle(
        open_ms=open_ms,
        open=number(row.open_price),
        high=number(row.high_price),
        low=number(row.low_price),
        close=number(row.close_price),
        volume=Decimal(row.volume),
    )


def _midnight_ms(date: int) -> int:
    import datetime

    year, month, day = date // 10_000, date // 100 % 100, date % 100
    return int(datetime.datetime(year, month, day, tzinfo=datetime.UTC).timestamp() * 1000)
