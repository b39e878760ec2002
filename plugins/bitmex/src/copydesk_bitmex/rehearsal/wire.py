"""What BitMEX wrote: rows of its tables as JSON. Pure.

Numbers are JSON numbers, without a point where there is nothing behind it; money is in the smallest unit of its currency.
Fields and their types follow the published swagger.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from copydesk.model import (
    Contract,
    Fill,
    Instrument,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Side,
)
from copydesk_paper.contracts import worth
from copydesk_paper.margin import Pool

from copydesk_bitmex.translate import (
    CLOSE,
    POST_ONLY,
    REDUCE_ONLY,
    TIME_WORDS,
    TRAILING,
    TRIGGER_WORDS,
    TYPE_WORDS,
    UNIT_OF,
    UNITS,
)

Json = dict[str, Any]
SUBMITTED = "Submitted via API."
STATUS_WORDS: dict[OrderStatus, str] = {
    OrderStatus.NEW: "New",
    OrderStatus.PARTIALLY_FILLED: "PartiallyFilled",
    OrderStatus.FILLED: "Filled",
    OrderStatus.CANCELLED: "Canceled",
    OrderStatus.EXPIRED: "Canceled",
    OrderStatus.REJECTED: "Rejected",
}


def real(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def units(value: Decimal, asset: str) -> int:
    """Money in the smallest unit of its currency."""
    _, scale = UNITS[UNIT_OF[asset]]
    return int((value * scale).to_integral_value(ROUND_HALF_UP))


def iso(time_ms: int) -> str:
    """`2020-05-29T01:24:53.824Z`"""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def guid(number: int, account: int, space: int = 0) -> str:
    """An id that looks like the venue's and tells its number back."""
    return f"{number:08x}-{space:04x}-4000-8000-{account:012x}"


def number_of(text: str) -> int:
    """The number in such an id; -1 for anything else."""
    head = text.partition("-")[0]
    try:
        return int(head, 16) if len(text) == 36 and len(head) == 8 else -1
    except ValueError:
        return -1


# --- orders -------------------------------------------------------------------------------------------------


def order(record: Order, instrument: Instrument, account: int, extra: Json) -> Json:
    """A whole row of `order`. `extra`: what the exchange does not keep (`clOrdID`, `text`, the trail, the link, and whether
    it `waits` for another order)."""
    terms = record.terms
    done = record.status.is_final
    leaves = Decimal(0) if done else terms.quantity - record.filled
    waits = extra.get("waits", False)
    triggered = "NotTriggered" if waits else "StopOrderTriggered" if record.triggered else ""
    prefix = f"Canceled: {record.reason or extra.get('ended') or 'Canceled via API.'}\n"
    note = prefix if record.status in (OrderStatus.CANCELLED, OrderStatus.EXPIRED) else ""
    return {
        "orderID": guid(int(record.venue_id), account),
        "clOrdID": extra.get("clOrdID", ""),
        "clOrdLinkID": extra.get("clOrdLinkID", ""),
        "account": account,
        "symbol": terms.symbol,
        "side": "Buy" if terms.side is Side.BUY else "Sell",
        "orderQty": real(terms.quantity),
        "price": real(terms.price) if terms.price is not None else real(record.average_price),
        "displayQty": extra.get("displayQty"),
        "stopPx": extra.get("stopPx", real(terms.trigger_price)),
        "pegOffsetValue": extra.get("pegOffsetValue"),
        "pegPriceType": TRAILING if terms.type is OrderType.TRAILING_STOP else extra.get("pegPriceType", ""),
        "currency": instrument.quote,
        "settlCurrency": UNIT_OF[instrument.settle],
        "ordType": extra.get("ordType", TYPE_WORDS[terms.type]),
        "timeInForce": "ImmediateOrCancel" if terms.type is OrderType.MARKET else TIME_WORDS[terms.time_in_force],
        "execInst": instructions(record, pegged="ordType" in extra),
        "contingencyType": extra.get("contingencyType", ""),
        "ordStatus": STATUS_WORDS[record.status],
        "triggered": triggered,
        "workingIndicator": not (done or waits) and (record.triggered or not terms.type.is_conditional),
        "ordRejReason": "",
        "leavesQty": real(leaves),
        "cumQty": real(record.filled),
        "avgPx": real(record.average_price),
        "text": note + extra.get("text", SUBMITTED),
        "transactTime": iso(record.updated_ms),
        "timestamp": iso(record.updated_ms),
    }


def instructions(record: Order, *, pegged: bool) -> str:
    terms = record.terms
    words = ["Fixed"] if pegged else []
    if terms.post_only:
        words.append(POST_ONLY)
    if terms.close_position:
        words.append(CLOSE)
    elif terms.reduce_only:
        words.append(REDUCE_ONLY)
    if terms.type.is_conditional:
        words.append(TRIGGER_WORDS[terms.trigger_by])
    return ",".join(words)


def execution(row: Json, number: int, account: int, kind: str, fill: Fill | None, instrument: Instrument) -> Json:
    """A row of `execution`: an order's row, and what happened to it."""
    traded: Json = {
        "lastQty": None,
        "lastPx": None,
        "lastLiquidityInd": "",
        "commission": None,
        "feeType": "",
        "tradePublishIndicator": "",
        "trdMatchID": "00000000-0000-0000-0000-000000000000",
        "execCost": None,
        "execComm": None,
        "homeNotional": None,
        "foreignNotional": None,
    }
    if fill is not None:
        size = worth(instrument, fill.quantity, fill.price)
        base = fill.quantity * instrument.contract_size
        inverse = instrument.contract is Contract.INVERSE
        home, foreign = (base / fill.price, base) if inverse else (base, base * fill.price)
        signed = 1 if fill.side is Side.BUY else -1
        traded = {
            "lastQty": real(fill.quantity),
            "lastPx": real(fill.price),
            "lastLiquidityInd": "AddedLiquidity" if fill.maker else "RemovedLiquidity",
            "commission": real(fill.fee / abs(size)) if size else 0,
            "feeType": "Maker" if fill.maker else "Taker",
            "tradePublishIndicator": "PublishTrade",
            "trdMatchID": guid(int(fill.execution_id), account, 2),
            "execCost": signed * units(size, instrument.settle),
            "execComm": units(fill.fee, instrument.settle),
            "homeNotional": real(round(signed * home, 8)),
            "foreignNotional": real(round(-signed * foreign, 8)),
        }
    return {**row, "execID": guid(number, account, 1), "execType": kind, **traded}


# --- the account --------------------------------------------------------------------------------------------


def position(record: Position, instrument: Instrument, account: int, leverage: int, *, isolated: bool) -> Json:
    """A row of `position`."""
    size, mark = record.quantity, record.mark_price
    asset = instrument.settle
    value = worth(instrument, size, mark) if mark else Decimal(0)
    cost = worth(instrument, size, record.entry_price) if record.entry_price else Decimal(0)
    margin = abs(cost) / leverage
    base = size * instrument.contract_size
    home = (base / mark if mark else Decimal(0)) if instrument.contract is Contract.INVERSE else base
    entry = real(record.entry_price) if size else None
    return {
        "account": account,
        "symbol": instrument.symbol,
        "currency": UNIT_OF[asset],
        "underlying": instrument.base,
        "quoteCurrency": instrument.quote,
        "commission": 0.0005,
        "initMarginReq": real(round(Decimal(1) / leverage, 8)),
        "maintMarginReq": 0.004,
        "riskLimit": units(Decimal(200), "XBT"),
        "leverage": leverage,
        "crossMargin": not isolated,
        "deleveragePercentile": 1,
        "rebalancedPnl": 0,
        "prevRealisedPnl": 0,
        "prevUnrealisedPnl": 0,
        "openingQty": 0,
        "openOrderBuyQty": 0,
        "openOrderBuyCost": 0,
        "openOrderBuyPremium": 0,
        "openOrderSellQty": 0,
        "openOrderSellCost": 0,
        "openOrderSellPremium": 0,
        "currentQty": real(size),
        "currentCost": units(cost, asset),
        "currentComm": 0,
        "realisedCost": 0,
        "unrealisedCost": units(cost, asset),
        "grossOpenPremium": 0,
        "isOpen": bool(size),
        "markPrice": real(mark),
        "markValue": units(value, asset),
        "riskValue": units(abs(value), asset),
        "homeNotional": real(round(home, 8)),
        "foreignNotional": real(round(-home * mark, 8)),
        "posState": "",
        "posCost": units(cost, asset),
        "posCross": 0,
        "posComm": 0,
        "posLoss": 0,
        "posMargin": units(margin, asset),
        "posMaint": units(abs(cost) * Decimal("0.004"), asset),
        "initMargin": 0,
        "maintMargin": units(margin, asset),
        "realisedPnl": 0,
        "unrealisedPnl": units(record.unrealised, asset),
        "unrealisedPnlPcnt": 0,
        "unrealisedRoePcnt": 0,
        "avgCostPrice": entry,
        "avgEntryPrice": entry,
        "breakEvenPrice": entry,
        "marginCallPrice": real(record.liquidation_price) if size else None,
        "liquidationPrice": real(record.liquidation_price) if size else None,
        "bankruptPrice": real(record.liquidation_price) if size else None,
    }


def margin(asset: str, pool: Pool, account: int) -> Json:
    """A row of `margin`: one currency."""
    wallet, equity = units(pool.wallet, asset), units(pool.equity, asset)
    available = units(pool.available, asset)
    return {
        "account": account,
        "currency": UNIT_OF[asset],
        "riskLimit": units(Decimal(10_000), asset),
        "state": "",
        "amount": wallet,
        "prevRealisedPnl": 0,
        "grossComm": 0,
        "grossOpenCost": 0,
        "grossOpenPremium": 0,
        "grossExecCost": 0,
        "grossMarkValue": 0,
        "riskValue": 0,
        "initMargin": units(pool.initial, asset),
        "maintMargin": units(pool.maintenance, asset),
        "targetExcessMargin": 0,
        "realisedPnl": 0,
        "unrealisedPnl": units(pool.unrealised, asset),
        "walletBalance": wallet,
        "marginBalance": equity,
        "marginLeverage": 0,
        "marginUsedPcnt": real(round(1 - pool.available / pool.equity, 4)) if pool.equity > 0 else 0,
        "excessMargin": available,
        "availableMargin": available,
        "withdrawableMargin": available,
        "makerFeeDiscount": 0,
        "takerFeeDiscount": 0,
    }
