"""Fields of Binance's objects, read exactly. Pure.

Numbers become `Decimal` from their text and text from their `Decimal`; no float is ever in between. What is missing or does
not have the documented form raises `Unreadable`, which names the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from copydesk.model import ZERO, Candle, OrderRef, PriceEvent, Record, Side, TimeInForce
from copydesk_wire.errors import Unreadable

Payload = Mapping[str, Any]
Params = dict[str, str]
V = TypeVar("V")

SIDES: dict[str, Side] = {"BUY": Side.BUY, "SELL": Side.SELL}
TIME_WORDS: dict[TimeInForce, str] = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}
INTERVALS = frozenset({"1m", "5m", "15m", "1h", "4h", "1d"})


class Untranslatable(ValueError):
    """An order that this venue cannot carry; the sentence says why. Nothing was sent."""


class WrongMode(Untranslatable):
    """The position side does not fit the account's position mode, as far as that is known."""


LARGEST_EXPONENT = 40
"""No price, quantity or sum has more digits before or after its point; what has is no number of the venue."""
_WHOLE = re.compile(r"-?[0-9]{1,19}")


def number(value: Any, name: str) -> Decimal:
    """A number from its text, exactly. A float has lost its text already, so it is refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Unreadable(f"Binance sent {name}={value!r}, which is not a number in text form.")
    try:
        result = Decimal(value)
    except InvalidOperation:
        raise Unreadable(f"Binance sent {name}={value!r}, which is not a number.") from None
    if not result.is_finite():
        raise Unreadable(f"Binance sent {name}={value!r}, which is not a finite number.")
    if result and abs(result.adjusted()) > LARGEST_EXPONENT:
        raise Unreadable(f"Binance sent {name}={str(value)[:60]!r}, which is too large or too small to be meant.")
    return result


def need(payload: Payload, *names: str) -> Any:
    for name in names:
        if payload.get(name) is not None:
            return payload[name]
    raise Unreadable(f"Binance sent an object without {' or '.join(names)}.")


def need_number(payload: Payload, *names: str) -> Decimal:
    return number(need(payload, *names), names[0])


def number_or_zero(payload: Payload, *names: str) -> Decimal:
    for name in names:
        if payload.get(name) not in (None, ""):
            return number(payload[name], name)
    return ZERO


def positive(payload: Payload, *names: str) -> Decimal | None:
    """A price that the venue writes as zero, empty or not at all where there is none."""
    value = number_or_zero(payload, *names)
    return value if value > 0 else None


def whole(payload: Payload, *names: str) -> int:
    value = next((payload[name] for name in names if payload.get(name) not in (None, "")), 0)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = f"{value:f}".partition(".")[0] if value.adjusted() < LARGEST_EXPONENT else value  # 1.7E+12
    if isinstance(value, bool) or not isinstance(value, int | str) or not _WHOLE.fullmatch(str(value)):
        raise Unreadable(f"Binance sent {names[0]}={str(value)[:60]!r}, which is not a whole number.")
    return int(value)


def text_of(payload: Payload, *names: str) -> str:
    """A name or an id. Ids come as numbers or as texts."""
    value = need(payload, *names)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unreadable(f"Binance sent {names[0]}={str(value)[:60]!r}, which is no name and no id.")
    return str(value)


def word_of(payload: Payload, table: Mapping[str, Any], *names: str) -> Any:
    value = need(payload, *names)
    if not isinstance(value, str) or value not in table:
        raise Unreadable(f"Binance sent {names[0]}={value!r}; known are {', '.join(table)}.")
    return table[value]


def word_or(payload: Payload, table: Mapping[str, V], name: str, default: V) -> V:
    """A word that the venue leaves out where there is nothing to say."""
    if payload.get(name) in (None, ""):
        return default
    word: V = word_of(payload, table, name)
    return word


def flag(payload: Payload, name: str) -> bool:
    value = payload.get(name)
    return value is True or (isinstance(value, str) and value.lower() == "true")


def object_of(payload: Any, what: str) -> Payload:
    if not isinstance(payload, Mapping):
        raise Unreadable(f"Binance sent {type(payload).__name__} where {what} was expected.")
    return payload


def inner_of(event: Any, what: str) -> Payload:
    """The `o` of an event. In an order `o` is a word: its type."""
    outer = object_of(event, what)
    inner = outer.get("o")
    return inner if isinstance(inner, Mapping) else outer


def rows(payload: Any, what: str) -> list[Payload]:
    """A list of objects, as most reads answer."""
    if not isinstance(payload, list):
        raise Unreadable(f"Binance sent {type(payload).__name__} where a list of {what} was expected.")
    return [object_of(row, what) for row in payload]


# --- what both services tell alike ----------------------------------------------------------------------------


def server_time(payload: Any) -> int:
    """The venue's clock in milliseconds, from its time read."""
    return whole(object_of(payload, "the time"), "serverTime")


def candle(payload: Any) -> Candle:
    """One row of klines: [open time, open, high, low, close, volume, …]."""
    if not isinstance(payload, list) or len(payload) < 6 or not isinstance(payload[0], int):
        raise Unreadable("Binance sent a candle that is not a row of at least six fields beginning with its time.")
    names = ("open", "high", "low", "close", "volume")
    opened, high, low, close, volume = (number(value, name) for value, name in zip(payload[1:6], names, strict=True))
    return Candle(open_ms=payload[0], open=opened, high=high, low=low, close=close, volume=volume)


class Quote(Record):
    """Best bid and ask of one symbol."""

    symbol: str
    bid: Decimal
    ask: Decimal
    time_ms: int = 0


def market_event(event: Payload) -> PriceEvent | Quote | None:
    """A frame of a market stream: a trade gives a price, a bookTicker a quote, anything else None."""
    kind = object_of(event, "a market event").get("e")
    if kind in ("aggTrade", "trade"):
        return PriceEvent(symbol=text_of(event, "s"), last=need_number(event, "p"), time_ms=whole(event, "T", "E"))
    if kind == "bookTicker" or (kind is None and event.keys() >= {"u", "s", "b", "a"}):  # spot sends it without a name
        bid, ask = need_number(event, "b"), need_number(event, "a")
        return Quote(symbol=text_of(event, "s"), bid=bid, ask=ask, time_ms=whole(event, "T", "E"))
    return None


PERMISSIONS = {
    "enableReading": "read",
    "enableSpotAndMarginTrading": "spot and margin trading",
    "enableMargin": "margin loans",
    "enableFutures": "futures trading",
    "enablePortfolioMarginTrading": "portfolio margin trading",
    "enableVanillaOptions": "options trading",
    "enableFixApiTrade": "FIX trading",
    "enableInternalTransfer": "transfer between accounts",
    "permitsUniversalTransfer": "universal transfer",
    "enableWithdrawals": "withdraw",
}


def permissions(body: Any) -> tuple[str, ...]:
    """What a key may do, as `GET account/apiRestrictions` tells it."""
    told = object_of(body, "what a key may do")
    return tuple(words for name, words in PERMISSIONS.items() if told.get(name) is True)


def text(value: Decimal) -> str:
    """A number as the venue wants it: all its digits, no exponent."""
    return format(value, "f")


def order_id_params(ref: OrderRef) -> Params:
    if ref.venue_id:
        return {"orderId": ref.venue_id}
    if ref.client_id:
        return {"origClientOrderId": ref.client_id}
    raise Untranslatable("An order is named by its client id or its venue id; this one has neither.")
