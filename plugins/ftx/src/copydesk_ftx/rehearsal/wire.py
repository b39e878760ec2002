"""What FTX wrote: orders, trigger orders, fills, positions, markets and books as JSON. Pure.

Numbers are JSON numbers as the venue had them: prices and sizes with a point (`1.0`), ids without. Times are ISO 8601 with
microseconds and zone in REST and in private frames, and seconds with a fraction in market data.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from copydesk.model import Candle, Contract, Fill, Instrument, Order, OrderStatus, Position, Side, TimeInForce
from copydesk_paper.records import Quote, Trade

from copydesk_ftx.translate import TRIGGER_WORDS, USD

Json = dict[str, Any]
CHECKED_LEVELS = 100
_WORDS_READ = {"trailingStop": "trailing_stop", "takeProfit": "take_profit"}
"""FTX read one spelling of these and wrote another."""


def real(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def iso(time_ms: int) -> str:
    """`2019-03-05T09:56:55.728000+00:00`"""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="microseconds")


def future_of(instrument: Instrument) -> str | None:
    return None if instrument.contract is Contract.SPOT else instrument.symbol


# --- orders -------------------------------------------------------------------------------------------------


def order(record: Order, number: int, client_id: str | None, *, type_: str = "", liquidation: bool = False) -> Json:
    """An ordinary order, in REST's form without `future`. What has ended is `closed`, however it ended."""
    terms = record.terms
    limit = terms.price is not None
    closed = record.status.is_final
    status = "closed" if closed else "open"
    return {
        "id": number,
        "clientId": client_id,
        "market": terms.symbol,
        "type": type_ or ("limit" if limit else "market"),
        "side": str(terms.side),
        "price": real(terms.price),
        "size": real(terms.quantity),
        "status": status,
        "filledSize": real(record.filled),
        "remainingSize": 0.0 if closed else real(terms.quantity - record.filled),
        "reduceOnly": terms.reduce_only,
        "liquidation": liquidation,
        "avgFillPrice": real(record.average_price),
        "postOnly": terms.post_only,
        "ioc": terms.time_in_force is TimeInForce.IOC or not limit,
        "createdAt": iso(record.created_ms),
    }


def trigger_order(record: Order, number: int, became: int | None, details: Json, *, modified: bool = False) -> Json:
    """A trigger order. `details`: what the exchange does not keep of it (`retryUntilFilled`, `trailValue`, times)."""
    terms = record.terms
    word = TRIGGER_WORDS[terms.type]
    waiting = "cancelled" if record.status.is_final else "open"
    status = waiting if became is None else "triggered"
    trigger = terms.trigger_price
    payload = {
        "id": number,
        "market": terms.symbol,
        "future": terms.symbol,
        "side": str(terms.side),
        "type": word if modified else _WORDS_READ.get(word, word),
        "orderPrice": real(terms.price),
        "triggerPrice": real(trigger) if trigger is not None else details.get("triggerPrice"),
        "size": real(terms.quantity),
        "status": status,
        "createdAt": iso(record.created_ms),
        "triggeredAt": details.get("triggeredAt"),
        "orderId": became,
        "error": record.reason if became is not None and record.status is OrderStatus.EXPIRED else None,
        "reduceOnly": terms.reduce_only,
        "trailValue": details.get("trailValue"),
        "trailStart": details.get("trailStart"),
        "cancelledAt": iso(record.updated_ms) if status == "cancelled" else None,
        "cancelReason": (record.reason or None) if status == "cancelled" else None,
        "retryUntilFilled": details.get("retryUntilFilled", False),
        "orderType": "limit" if terms.price is not None else "market",
        "filledSize": real(record.filled),
        "avgFillPrice": real(record.average_price),
    }
    if became is not None:
        payload["orderStatus"] = "closed" if record.status.is_final else "open"
    return payload


def fill(record: Fill, number: int, instrument: Instrument, fee_rate: Decimal) -> Json:
    spot = instrument.contract is Contract.SPOT
    return {
        "id": int(record.execution_id),
        "market": record.symbol,
        "future": future_of(instrument),
        "baseCurrency": instrument.base if spot else None,
        "quoteCurrency": instrument.quote if spot else None,
        "type": "order",
        "side": str(record.side),
        "price": real(record.price),
        "size": real(record.quantity),
        "orderId": number,
        "time": iso(record.time_ms),
        "tradeId": int(record.execution_id),
        "feeRate": real(fee_rate),
        "fee": real(record.fee),
        "feeCurrency": record.fee_asset or USD,
        "liquidity": "maker" if record.maker else "taker",
    }


# --- the account --------------------------------------------------------------------------------------------


def position(record: Position, working: list[Order], leverage: int) -> Json:
    """A futures position with what its orders would add."""
    size = record.quantity
    longs, shorts = (
        sum((o.terms.quantity - o.filled for o in working if o.terms.side is side and not o.terms.reduce_only), Decimal(0))
        for side in (Side.BUY, Side.SELL)
    )
    entry = real(record.entry_price) if size else None
    cost = size * record.entry_price
    return {
        "future": record.symbol,
        "size": real(abs(size)),
        "side": "buy" if size >= 0 else "sell",
        "netSize": real(size),
        "longOrderSize": real(longs),
        "shortOrderSize": real(shorts),
        "cost": real(cost),
        "entryPrice": entry,
        "unrealizedPnl": real(record.unrealised),
        "realizedPnl": 0.0,
        "initialMarginRequirement": 1 / leverage,
        "maintenanceMarginRequirement": 0.03,
        "openSize": real(max(abs(size + longs), abs(size - shorts))),
        "collateralUsed": real(abs(cost) / leverage),
        "estimatedLiquidationPrice": real(record.liquidation_price) or None,
        "recentAverageOpenPrice": entry,
        "recentBreakEvenPrice": entry,
        "recentPnl": real(record.unrealised),
        "cumulativeBuySize": real(max(size, Decimal(0))),
        "cumulativeSellSize": real(max(-size, Decimal(0))),
    }


# --- markets ------------------------------------------------------------------------------------------------


def market(instrument: Instrument, quote: Quote, last: Decimal, volume: Decimal) -> Json:
    """A row of `/api/markets`."""
    spot = instrument.contract is Contract.SPOT
    return {
        "name": instrument.symbol,
        "enabled": True,
        "postOnly": False,
        "priceIncrement": real(instrument.price_tick),
        "sizeIncrement": real(instrument.quantity_step),
        "minProvideSize": real(instrument.min_quantity or instrument.quantity_step),
        "last": real(last),
        "bid": real(quote.bid),
        "ask": real(quote.ask),
        "price": real(last),
        "type": "spot" if spot else "future",
        "baseCurrency": instrument.base if spot else None,
        "quoteCurrency": instrument.quote if spot else None,
        "underlying": None if spot else instrument.base,
        "restricted": False,
        "highLeverageFeeExempt": True,
        "change1h": 0.0,
        "change24h": 0.0,
        "changeBod": 0.0,
        "quoteVolume24h": real(volume),
        "volumeUsd24h": real(volume),
    }


def future(instrument: Instrument, quote: Quote, last: Decimal, volume: Decimal) -> Json:
    """A row of `/api/futures`."""
    perpetual = instrument.symbol.endswith("-PERP")
    return {
        "name": instrument.symbol,
        "underlying": instrument.base,
        "description": f"{instrument.base} {'Perpetual ' if perpetual else ''}Futures",
        "type": "perpetual" if perpetual else "future",
        "expiry": None,
        "perpetual": perpetual,
        "expired": False,
        "enabled": True,
        "postOnly": False,
        "priceIncrement": real(instrument.price_tick),
        "sizeIncrement": real(instrument.quantity_step),
        "last": real(last),
        "bid": real(quote.bid),
        "ask": real(quote.ask),
        "index": real(quote.mark),
        "mark": real(quote.mark),
        "imfFactor": 0.002,
        "lowerBound": float(quote.mark * Decimal("0.95")),
        "upperBound": float(quote.mark * Decimal("1.05")),
        "underlyingDescription": instrument.base,
        "expiryDescription": "Perpetual" if perpetual else instrument.symbol,
        "moveStart": None,
        "marginPrice": real(quote.mark),
        "positionLimitWeight": 1.0,
        "group": "perpetual" if perpetual else "quarterly",
        "change1h": 0.0,
        "change24h": 0.0,
        "changeBod": 0.0,
        "volumeUsd24h": real(volume),
        "volume": real(volume / last) if last else 0.0,
        "openInterest": 0.0,
        "openInterestUsd": 0.0,
    }


def trade(record: Trade, *, rest: bool = False) -> Json:
    return {
        "id": record.trade_id,
        "price": real(record.price),
        "size": real(record.quantity),
        "side": "sell" if record.buyer_is_maker else "buy",
        "liquidation": False,
        "time": iso(record.time_ms),
    }


def candle(record: Candle) -> Json:
    return {
        "startTime": datetime.fromtimestamp(record.open_ms / 1000, UTC).isoformat(),
        "time": float(record.open_ms),
        "open": real(record.open),
        "high": real(record.high),
        "low": real(record.low),
        "close": real(record.close),
        "volume": real(record.volume * record.close),
    }


def ticker(quote: Quote, last: Decimal) -> Json:
    return {
        "bid": real(quote.bid),
        "ask": real(quote.ask),
        "bidSize": real(quote.bid_quantity),
        "askSize": real(quote.ask_quantity),
        "last": real(last),
        "time": quote.time_ms / 1000,
    }


Levels = list[tuple[float, float]]


def levels(side: list[tuple[Decimal, Decimal]]) -> Levels:
    return [(float(price), float(quantity)) for price, quantity in side]


def checksum(bids: Levels, asks: Levels) -> int:
    """The venue's check of a book: CRC-32 over bids and asks, one after the other, the best hundred of each."""
    words = []
    for index in range(CHECKED_LEVELS):
        for side in (bids, asks):
            if index < len(side):
                words += [repr(side[index][0]), repr(side[index][1])]
    return zlib.crc32(":".join(words).encode())


def is_trigger(record: Order) -> bool:
    return record.terms.type.is_conditional
