"""Records into Bybit's JSON: orders, executions, positions, wallets.

Field names and number formats follow the recorded replies and frames: every number is a text; prices and quantities have
the instrument's places, values and fees only the places that they need; times of rows are texts, of frames numbers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copydesk.model import (
    ZERO,
    Order,
    OrderStatus,
    Position,
    PositionSide,
    Side,
    TimeInForce,
)
from copydesk_paper.contracts import notional
from copydesk_paper.margin import MAINTENANCE_RATE, Pool

from copydesk_bybit.rehearsal.account import Done, Known, Protection, execution_id_of
from copydesk_bybit.rehearsal.listing import Rules
from copydesk_bybit.symbols import SPOT

Json = dict[str, Any]

SIDE_WORDS = {Side.BUY: "Buy", Side.SELL: "Sell"}
TIME_WORDS = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}
INDEXES = {PositionSide.NET: 0, PositionSide.LONG: 1, PositionSide.SHORT: 2}
SLIPPAGE = Decimal("0.05")
"""How far from the last price a market order may trade: it is told as a limit at that price."""


def bare(value: Decimal | None) -> str:
    """A number without trailing zeros; nothing is `0`."""
    if not value:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(value: Decimal) -> str:
    """At most eight places."""
    return bare(value.quantize(Decimal("1e-8")))


def padded(value: Decimal | None, places: int) -> str:
    return f"{value or ZERO:.{places}f}"


def text_price(value: str, rules: Rules) -> str:
    """A price that may not be there, as rows of linear and inverse orders have it; spot rows leave it empty."""
    if rules.category == SPOT:
        return value
    return padded(Decimal(value) if value else ZERO, rules.price_places)


# --- orders -------------------------------------------------------------------------------------------------


def status_of(order: Order, known: Known) -> str:
    """The order's state in Bybit's word."""
    waits = order.terms.type.is_conditional and not order.triggered
    match order.status:
        case OrderStatus.NEW:
            return "Untriggered" if waits else "New"
        case OrderStatus.PARTIALLY_FILLED:
            return "PartiallyFilled"
        case OrderStatus.FILLED:
            return "Filled"
        case OrderStatus.REJECTED:
            return "Rejected"
    if waits:
        return "Deactivated"
    return "PartiallyFilledCanceled" if order.filled and known.category == SPOT else "Cancelled"


def _price(order: Order, known: Known, rules: Rules) -> str:
    """A market order has the price at which its slippage ends, on spot none."""
    if order.terms.price is not None:
        return padded(order.terms.price, rules.price_places)
    if rules.category == SPOT:
        return "0"
    if order.terms.type.is_conditional and not order.triggered:
        return padded(ZERO, rules.price_places)
    tick = rules.instrument.price_tick
    edge = known.last_on_created * (1 + SLIPPAGE * order.terms.side.sign)
    return padded(edge // tick * tick, rules.price_places)


def order_row(known: Known, rules: Rules, *, status: str = "", held: Decimal = ZERO) -> Json:
    """An order as reads tell it. `status` overrides what its state says; `held` is the position that it would close."""
    order = known.order
    assert order is not None
    terms, spot = order.terms, rules.category == SPOT
    quantity = terms.quantity or (held if terms.close_position else ZERO)
    leaves = ZERO if order.status.is_final else quantity - order.filled
    price = terms.price or known.last_on_created
    places = rules.quantity_places
    protection = known.protection
    trigger = terms.trigger_price
    row: Json = {
        "orderId": known.order_id,
        "orderLinkId": known.link_id,
        "blockTradeId": "",
        "symbol": rules.name,
        "price": _price(order, known, rules),
        "qty": bare(known.quote_quantity) if known.quote_quantity is not None else padded(quantity, places),
        "side": SIDE_WORDS[terms.side],
        "isLeverage": "0" if spot else "",
        "positionIdx": known.position_idx,
        "orderStatus": status or status_of(order, known),
        "createType": known.create_type,
        "cancelType": known.cancel_type,
        "rejectReason": known.reject_reason,
        "avgPrice": bare(order.average_price) if order.filled else "",
        "leavesQty": padded(leaves, places),
        "leavesValue": money(notional(rules.instrument, leaves, price)) if leaves > 0 and price else "0",
        "cumExecQty": padded(order.filled, places),
        "cumExecValue": money(known.value),
        "cumExecFee": money(sum(known.fees.values(), ZERO)),
        "timeInForce": _time(order),
        "orderType": "Limit" if terms.type.has_price else "Market",
        "stopOrderType": known.stop_type or ("" if spot else "UNKNOWN"),
        "orderIv": "",
        "triggerPrice": padded(trigger, rules.price_places) if trigger is not None or not spot else "",
        "takeProfit": text_price(protection.take_profit, rules),
        "stopLoss": text_price(protection.stop_loss, rules),
        "tpTriggerBy": protection.tp_trigger_by if spot else protection.tp_trigger_by or "UNKNOWN",
        "slTriggerBy": protection.sl_trigger_by if spot else protection.sl_trigger_by or "UNKNOWN",
        "triggerDirection": 0 if spot else known.direction,
        "triggerBy": known.trigger_by if spot else known.trigger_by or "UNKNOWN",
        "lastPriceOnCreated": "" if spot else padded(known.last_on_created, rules.price_places),
        "reduceOnly": terms.reduce_only or terms.close_position,
        "closeOnTrigger": known.close_on_trigger,
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "tpslMode": known.mode,
        "tpLimitPrice": protection.tp_limit_price,
        "slLimitPrice": protection.sl_limit_price,
        "placeType": "",
        "createdTime": str(order.created_ms),
        "updatedTime": str(order.updated_ms),
        "cumFeeDetail": {coin: money(fee) for coin, fee in known.fees.items()},
    }
    if spot:
        for name in ("tpslMode", "createType"):
            del row[name]
        row["basePrice"] = padded(known.last_on_created, rules.price_places)
        row["marketUnit"] = known.market_unit
    if known.parent_link_id:
        row["parentOrderLinkId"] = known.parent_link_id
    return row


def _time(order: Order) -> str:
    if not order.terms.type.has_price:
        return "GTC" if order.terms.type.is_conditional and not order.triggered else "IOC"
    return "PostOnly" if order.terms.post_only else TIME_WORDS[order.terms.time_in_force]


def order_event(row: Json, known: Known, rules: Rules, realised: Decimal) -> Json:
    """An order as the stream tells it: the row, and some more."""
    return row | {
        "category": rules.category,
        "closedPnl": money(realised),
        "feeCurrency": next(iter(known.fees), ""),
        "rpiTakerAccess": False,
        "rpiMatchedQty": "0",
    }


# --- executions ---------------------------------------------------------------------------------------------


def execution_row(done: Done, rules: Rules, fee_rate: Decimal) -> Json:
    """An execution as reads tell it."""
    fill, known = done.fill, done.known
    order = known.order
    assert order is not None
    spot = rules.category == SPOT
    return {
        "symbol": rules.name,
        "orderType": "Limit" if order.terms.type.has_price else "Market",
        "underlyingPrice": "",
        "orderLinkId": known.link_id,
        "side": SIDE_WORDS[fill.side],
        "indexPrice": "",
        "orderId": known.order_id,
        "stopOrderType": known.stop_type or ("" if spot else "UNKNOWN"),
        "leavesQty": bare(done.leaves),
        "execTime": str(fill.time_ms),
        "feeCurrency": fill.fee_asset,
        "isMaker": fill.maker,
        "execFee": money(fill.fee),
        "feeRate": bare(fee_rate),
        "execId": execution_id_of(rules.category, fill),
        "tradeIv": "",
        "blockTradeId": "",
        "markPrice": "" if spot else padded(done.mark, rules.price_places),
        "execPrice": padded(fill.price, rules.price_places),
        "markIv": "",
        "orderQty": padded(order.terms.quantity, rules.quantity_places),
        "orderPrice": _price(order, known, rules),
        "execValue": money(notional(rules.instrument, fill.quantity, fill.price)),
        "execType": "BustTrade" if known.create_type == "CreateByLiq" else "Trade",
        "execQty": padded(fill.quantity, rules.quantity_places),
        "closedSize": "" if spot else bare(done.closed),
        "extraFees": "",
        "seq": done.seq,
    }


def execution_event(done: Done, rules: Rules, fee_rate: Decimal) -> Json:
    """An execution as the stream tells it."""
    return (
        {"category": rules.category}
        | execution_row(done, rules, fee_rate)
        | {
            "isLeverage": "0",
            "marketUnit": done.known.market_unit,
            "execPnl": money(done.realised),
            "createType": done.known.create_type,
        }
    )


def fast_execution_event(done: Done, rules: Rules) -> Json:
    """An execution as the stream `execution.fast` tells it."""
    whole = execution_row(done, rules, ZERO)
    names = ("symbol", "execId", "execPrice", "execQty", "orderId", "isMaker", "orderLinkId", "side", "execTime", "seq")
    return {"category": rules.category} | {name: whole[name] for name in names}


# --- the account --------------------------------------------------------------------------------------------


def position_row(
    position: Position,
    rules: Rules,
    *,
    isolated: bool,
    protection: Protection,
    trailing: str,
    earned: tuple[Decimal, Decimal],
    times: tuple[int, int],
    seq: int,
) -> Json:
    """A position as reads tell it. `earned`: realised by the present position, and ever; `times`: opened, changed."""
    instrument, size = rules.instrument, abs(position.quantity)
    places = rules.price_places
    worth = notional(instrument, size, position.entry_price) if position.entry_price else ZERO
    marked = notional(instrument, size, position.mark_price) if position.mark_price else ZERO
    initial = worth / position.leverage if position.leverage else ZERO
    maintained = marked * MAINTENANCE_RATE
    liquidated = position.liquidation_price
    return {
        "positionIdx": INDEXES[position.position_side],
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": rules.name,
        "side": "" if not size else "Buy" if position.quantity > 0 else "Sell",
        "size": padded(size, rules.quantity_places) if size else "0",
        "avgPrice": bare(position.entry_price),
        "positionValue": money(worth) if worth else "",
        "tradeMode": 1 if isolated else 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if size else 0,
        "leverage": bare(position.leverage),
        "breakEvenPrice": bare(position.entry_price) if size else "",
        "positionBalance": money(initial) if isolated else "0",
        "markPrice": padded(position.mark_price, places),
        "liqPrice": padded(liquidated, places) if liquidated else "",
        "bustPrice": "",
        "positionMM": money(maintained) if size else "",
        "positionMMByMp": money(maintained) if size else "",
        "positionIM": money(initial) if size else "",
        "positionIMByMp": money(initial) if size else "",
        "tpslMode": protection.mode,
        "takeProfit": protection.take_profit,
        "stopLoss": protection.stop_loss,
        "trailingStop": trailing or padded(ZERO, places),
        "unrealisedPnl": money(position.unrealised) if size else "",
        "curRealisedPnl": money(earned[0]),
        "cumRealisedPnl": money(earned[1]),
        "seq": seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "sessionAvgPrice": "",
        "createdTime": str(times[0]),
        "updatedTime": str(times[1]),
    }


_ZERO_WHEN_EMPTY = (
    "takeProfit",
    "stopLoss",
    "unrealisedPnl",
    "positionValue",
    "positionMM",
    "positionMMByMp",
    "positionIM",
    "positionIMByMp",
    "sessionAvgPrice",
)


def position_event(row: Json, category: str) -> Json:
    """A position as the stream tells it: the average price is `entryPrice` there, and zeros are written."""
    event = {name: value for name, value in row.items() if name != "avgPrice"}
    for name in _ZERO_WHEN_EMPTY:
        event[name] = event[name] or "0"
    return event | {"entryPrice": row["avgPrice"], "category": category}


def coin_row(coin: str, pool: Pool, wallet: Decimal, price: Decimal, realised: Decimal) -> Json:
    """One coin of the wallet. `price` is its worth in USD."""
    locked = wallet - pool.wallet
    equity = wallet + pool.unrealised
    return {
        "coin": coin,
        "equity": money(equity),
        "usdValue": money(equity * price),
        "walletBalance": money(wallet),
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": "0",
        "totalPositionIM": money(pool.initial),
        "totalPositionMM": money(pool.maintenance),
        "unrealisedPnl": money(pool.unrealised),
        "cumRealisedPnl": money(realised),
        "bonus": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
        "locked": money(locked),
        "spotHedgingQty": "0",
        "spotBorrow": "0",
    }


def wallet_row(coins: list[tuple[Json, Pool, Decimal, Decimal]]) -> Json:
    """The account in USD, and its coins as (row, pool, wallet, price)."""

    def total(worth: list[Decimal]) -> Decimal:
        return sum((amount * price for amount, (_, _, _, price) in zip(worth, coins, strict=True)), ZERO)

    cash = total([wallet for _, _, wallet, _ in coins])
    profit = total([pool.unrealised for _, pool, _, _ in coins])
    initial = total([pool.initial + pool.isolated for _, pool, _, _ in coins])
    kept = total([pool.maintenance for _, pool, _, _ in coins])
    available = total([pool.available for _, pool, _, _ in coins])
    margin = cash + profit
    return {
        "accountIMRate": _rate(initial, margin),
        "accountIMRateByMp": _rate(initial, margin),
        "accountMMRate": _rate(kept, margin),
        "accountMMRateByMp": _rate(kept, margin),
        "totalEquity": money(margin),
        "totalWalletBalance": money(cash),
        "totalMarginBalance": money(margin),
        "totalAvailableBalance": money(available),
        "totalPerpUPL": money(profit),
        "totalInitialMargin": money(initial),
        "totalInitialMarginByMp": money(initial),
        "totalMaintenanceMargin": money(kept),
        "totalMaintenanceMarginByMp": money(kept),
        "coin": [row for row, _, _, _ in coins],
        "accountLTV": "0",
        "accountType": "UNIFIED",
    }


def _rate(part: Decimal, whole: Decimal) -> str:
    return bare((part / whole).quantize(Decimal("0.0001"))) if whole > 0 else "0"
