"""What Bitfinex writes: orders, executions, positions, wallets, notifications, tickers and books as arrays. Pure.

Numbers are JSON numbers as JavaScript writes them: whole ones without a point, ids and times whole; what there is nothing
of is null.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from copydesk.model import ZERO, Candle, Contract, Fill, Instrument, Order, OrderStatus, Position, Side
from copydesk_paper.records import Quote, Trade

from copydesk_bitfinex.symbols import EXCHANGE, MARGIN_MARK, is_derivative, name_of

Row = list[Any]
Level = tuple[Decimal, Decimal]
MARGIN_ASSET = "margin:"
CHECKED_LEVELS = 25
PRECISIONS = {"P0": 5, "P1": 4, "P2": 3, "P3": 2, "P4": 1}
ORDER_PLACES, POSITION_PLACES = 32, 20


@dataclass(slots=True)
class Details:
    """What an order has that the exchange does not keep. `word` is its type as it was placed."""

    word: str
    cid: int
    gid: int | None = None
    flags: int = 0
    meta: dict[str, Any] = field(default_factory=dict)
    trail: Decimal = ZERO
    began: Decimal = ZERO  # a trailing stop's price when it was placed
    mts_tif: int | None = None
    placed_id: int = 0
    updated: bool = False


def number(value: Decimal | None) -> float | int | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def plain(value: Decimal) -> str:
    """A number as it stands in sentences: `0.5`, `60000.0` as the venue has it there."""
    text = f"{value:f}"
    return (
        text.rstrip("0").rstrip(".") + (".0" if value == value.to_integral_value() else "") if "." in text else f"{text}.0"
    )


# --- assets -------------------------------------------------------------------------------------------------


def wallet_of(asset: str) -> tuple[str, str]:
    """Which wallet one of the exchange's assets is in, and the currency's name there."""
    if asset.startswith(MARGIN_ASSET):
        return "margin", asset.removeprefix(MARGIN_ASSET)
    return ("margin" if asset.endswith("F0") else "exchange"), asset


def wallet(asset: str, balance: Decimal, available: Decimal, why: str | None = None, meta: Row | None = None) -> Row:
    kind, currency = wallet_of(asset)
    return [kind, currency, number(balance), 0, number(max(ZERO, available)), why, meta]


# --- orders -------------------------------------------------------------------------------------------------


def order(record: Order, details: Details) -> Row:
    """The array of an order: `os`, `on`, `ou`, `oc`, REST."""
    terms, sign = record.terms, record.terms.side.sign
    left = terms.quantity - record.filled
    word, before = details.word, (details.word if details.updated else None)
    price, aux = terms.price or ZERO, ZERO
    if terms.type.is_conditional:
        price = terms.trigger_price or details.began
        aux = terms.price or ZERO
        if record.triggered:
            before = details.word
            word = _triggered_word(details.word)
            price = terms.price or price
    row: Row = [None] * ORDER_PLACES
    row[0], row[1], row[2] = int(record.venue_id), details.gid, details.cid
    row[3], row[4], row[5] = name_of(terms.symbol), record.created_ms, max(record.created_ms, record.updated_ms)
    row[6], row[7] = number(sign * left), number(sign * terms.quantity)
    row[8], row[9], row[10] = word, before, details.mts_tif
    row[12], row[13] = details.flags, status(record, details)
    row[16], row[17] = number(price), number(record.average_price or ZERO)
    row[18], row[19] = number(details.trail), number(aux)
    row[23], row[24], row[25] = 0, 1 if details.flags & 64 else 0, details.placed_id
    row[28] = "API>BFX"
    row[31] = details.meta | ({"$F7": 1} if details.flags & 4096 else {})
    return row


def _triggered_word(word: str) -> str:
    prefix = EXCHANGE if word.startswith(EXCHANGE) else ""
    return prefix + ("LIMIT" if word.endswith("STOP LIMIT") else "MARKET")


def status(record: Order, details: Details) -> str:
    """`ACTIVE`, `PARTIALLY FILLED @ 100.0(0.5)`, `EXECUTED @ 100.0(1.0)`, `CANCELED was: PARTIALLY FILLED @ ...`"""
    traded = ""
    if record.filled:
        amount = record.terms.side.sign * record.filled
        traded = f"{plain(record.average_price or ZERO)}({plain(amount)})"
    partly = f"PARTIALLY FILLED @ {traded}" if traded else ""
    match record.status:
        case OrderStatus.NEW:
            return "ACTIVE"
        case OrderStatus.PARTIALLY_FILLED:
            return partly
        case OrderStatus.FILLED:
            return f"EXECUTED @ {traded}"
        case OrderStatus.EXPIRED if details.word.endswith("FOK"):
            head = "FILLORKILL CANCELED"
        case OrderStatus.EXPIRED if details.word.endswith("IOC"):
            head = "IOC CANCELED"
        case OrderStatus.EXPIRED if "margin" in record.reason:
            head = "INSUFFICIENT MARGIN"
        case _:
            head = "POSTONLY CANCELED" if record.reason.startswith("post-only") else "CANCELED"
    return f"{head} was: {partly}" if partly else head


def request_row(
    venue_id: int | None, cid: int | None, name: str = "", amount: Any = None, word: str = "", price: Any = None
) -> Row:
    """What a websocket notification repeats of a request."""
    row: Row = [None] * ORDER_PLACES
    row[0], row[2], row[3] = venue_id, cid, name or None
    row[6] = row[7] = amount
    row[8], row[16], row[23] = word or None, price, 0
    return row


def notification(kind: str, data: Any, text: str, *, mts: int, good: bool = True, code: int | None = None) -> Row:
    return [mts, kind, None, None, data, code, "SUCCESS" if good else "ERROR", text]


def placing(record: Order, word: str, base: str) -> str:
    return f"Submitting {word.lower()} {record.terms.side} order for {plain(record.terms.quantity)} {base}."


def execution(record: Fill, owner: Order, details: Details, *, fee: bool) -> Row:
    """`te` without the fee, `tu` and REST with it. A fee that is paid is below zero."""
    word = order(owner, details)[8]
    return [
        int(record.execution_id),
        name_of(record.symbol),
        record.time_ms,
        int(record.venue_id),
        number(record.side.sign * record.quantity),
        number(record.price),
        details.word if not owner.triggered else word,
        number(owner.terms.price or record.price),
        1 if record.maker else -1,
        number(-record.fee) if fee else None,
        wallet_of(record.fee_asset)[1] if fee else None,
        details.cid,
    ]


# --- the account --------------------------------------------------------------------------------------------


def position(record: Position, number_: int, created_ms: int, now_ms: int, *, closed: bool = False) -> Row:
    name = name_of(record.symbol)
    row: Row = [None] * POSITION_PLACES
    worth = abs(record.quantity * record.entry_price)
    row[0], row[1] = name, "CLOSED" if closed else "ACTIVE"
    row[2], row[3] = number(record.quantity), number(record.entry_price)
    row[4], row[5] = 0, 0
    row[6] = number(record.unrealised)
    row[7] = number((record.unrealised / worth * 100).quantize(Decimal("1e-8"))) if worth else 0
    row[8], row[9] = number(record.liquidation_price), number(record.leverage)
    row[11], row[12], row[13] = number_, created_ms, now_ms
    row[15] = 1 if is_derivative(name) else 0
    row[17] = number((worth / record.leverage).quantize(Decimal("1e-8"))) if record.leverage else 0
    row[18] = 0
    row[19] = None
    return row


# --- markets ------------------------------------------------------------------------------------------------


def pair_of(name: str) -> str:
    return name.removeprefix("t")


def listing(instrument: Instrument) -> Row:
    """A row of `pub:info:pair`: name, and the least and largest amount as text."""
    rules: Row = [None] * 12
    rules[3], rules[4] = plain(instrument.min_quantity), plain(instrument.max_quantity)
    if instrument.contract is not Contract.SPOT:
        rules[8], rules[9] = 0.01, 0.005
    return [pair_of(name_of(instrument.symbol)), rules]


def ticker(quote: Quote, last: Decimal, day: list[Candle]) -> Row:
    first = day[0].open if day else last
    high, low = (max(bar.high for bar in day), min(bar.low for bar in day)) if day else (last, last)
    change = last - first
    volume = sum((bar.volume for bar in day), ZERO)
    relative = (change / first).quantize(Decimal("1e-4")) if first else ZERO
    told = (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity, change, relative, last, volume, high, low)
    return [number(value) for value in told]


def trade(record: Trade) -> Row:
    amount = -record.quantity if record.buyer_is_maker else record.quantity
    return [record.trade_id, record.time_ms, number(amount), number(record.price)]


def candle(record: Candle) -> Row:
    told = (record.open, record.close, record.high, record.low, record.volume)
    return [record.open_ms, *(number(value) for value in told)]


def book(bids: list[Level], asks: list[Level], precision: str) -> dict[tuple[Side, Decimal], tuple[int, Decimal]]:
    """Levels by side and price as (how many, quantity), prices at this precision."""
    found: dict[tuple[Side, Decimal], tuple[int, Decimal]] = {}
    for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
        for price, quantity in levels:
            at = _cut(price, PRECISIONS.get(precision), side)
            count, there = found.get((side, at), (0, ZERO))
            found[side, at] = (count + 1, there + quantity)
    return found


def _cut(price: Decimal, digits: int | None, side: Side) -> Decimal:
    if digits is None or digits == PRECISIONS["P0"]:
        return price
    step = Decimal(1).scaleb(price.adjusted() - digits + 1)
    whole = price / step
    return (math.floor(whole) if side is Side.BUY else math.ceil(whole)) * step


def level(side: Side, price: Decimal, count: int, quantity: Decimal) -> Row:
    """A level that is there, or with a count of zero one that is gone."""
    return [number(price), count, number(side.sign * quantity) if count else side.sign]


def checksum(bids: list[Level], asks: list[Level]) -> int:
    """The venue's check of a book: a signed CRC-32 over the best 25 of each side, bid and ask in turn."""
    words: list[str] = []
    for index in range(CHECKED_LEVELS):
        if index < len(bids):
            words += [_script(bids[index][0]), _script(bids[index][1])]
        if index < len(asks):
            words += [_script(asks[index][0]), _script(-asks[index][1])]
    value = zlib.crc32(":".join(words).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


def _script(value: Decimal) -> str:
    """A number as JavaScript writes it."""
    if value and value.adjusted() < -6:
        digits, exponent = f"{value.normalize():e}".split("e")
        return f"{digits}e{int(exponent)}"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_listed(symbol: str) -> bool:
    """Whether an instrument has a name of its own at the venue."""
    return not symbol.endswith(MARGIN_MARK)


def raw_id(side: Side, price: Decimal) -> int:
    """A number for a level of the raw book, in which the venue numbers orders: always the same for the same price."""
    return 60_000_000_000 + zlib.crc32(f"{side}{price.normalize()}".encode())
