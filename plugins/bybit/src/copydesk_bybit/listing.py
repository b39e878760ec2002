"""What Bybit lists and what it trades at, as copydesk's records: instruments, bars, tickers, trades, best prices. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from copydesk.model import (
    Candle,
    Contract,
    Instrument,
    PriceEvent,
    Record,
)
from copydesk_wire import fields
from copydesk_wire.errors import Unreadable
from copydesk_wire.fields import Payload

from copydesk_bybit.symbols import ours
from copydesk_bybit.translate import result_of

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
