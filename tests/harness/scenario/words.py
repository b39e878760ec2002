"""The small words of scenarios: amounts, times, accounts, orders. Read strictly, written back as they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from copydesk.model import Order, OrderType, PositionSide, Side, Terms, TimeInForce
from copydesk.wording import number

SYMBOL = "BTCUSDT"
MILLISECONDS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "days": 86_400_000, "day": 86_400_000}


class Unreadable(Exception):
    """Words that are not understood. The message says what was expected."""


@dataclass(frozen=True)
class OrderWords:
    """An order as a scenario names it; `name` is what later steps call it by."""

    terms: Terms
    name: str = ""


def read_decimal(text: str) -> Decimal:
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:
        raise Unreadable(f"{text!r} is no number") from None


def read_holding(text: str) -> Decimal:
    """`3`, `3 long`, `2 short`, `-2` or `nothing`."""
    if text == "nothing":
        return Decimal(0)
    amount, _, side = text.partition(" ")
    if side not in ("", "long", "short"):
        raise Unreadable(f"{side!r} is neither long nor short")
    return read_decimal(amount) * (-1 if side == "short" else 1)


def read_time(text: str) -> int:
    """`10 s` in milliseconds."""
    amount, _, unit = text.partition(" ")
    if unit not in MILLISECONDS:
        raise Unreadable(f"{text!r} is no time: write a number and {', '.join(MILLISECONDS)}, such as 10 s")
    return int(read_decimal(amount) * MILLISECONDS[unit])


_PRICES = {"at": "price", "stop": "trigger", "take-profit": "trigger"}
_FLAGS: Mapping[str, dict[str, object]] = {
    "ioc": {"time_in_force": TimeInForce.IOC},
    "fok": {"time_in_force": TimeInForce.FOK},
    "post-only": {"post_only": True},
    "reduce-only": {"reduce_only": True},
    "long": {"position_side": PositionSide.LONG},
    "short": {"position_side": PositionSide.SHORT},
}
ORDER_HELP = (
    "buys or sells, a quantity (or 'all': whatever the position is), then as they apply 'at PRICE', 'stop TRIGGER', "
    "'take-profit TRIGGER', 'trailing N %', " + ", ".join(_FLAGS) + ", and last 'as NAME'"
)


def read_order(text: str) -> OrderWords:
    """`sells 2 stop 95 at 94.5 reduce-only as stop-loss`. Raises `Unreadable`."""
    words = text.replace("%", " %").split()
    side = {"buys": Side.BUY, "buy": Side.BUY, "sells": Side.SELL, "sell": Side.SELL}.get(words[0] if words else "")
    if side is None or len(words) < 2:
        raise Unreadable(f"an order is {ORDER_HELP}")
    quantity = Decimal(0) if words[1] == "all" else read_decimal(words[1])
    more: dict[str, object] = {"close_position": True} if words[1] == "all" else {}
    prices: dict[str, Decimal] = {}
    name, rest = "", words[2:]
    while rest:
        word = rest.pop(0)
        if word in _FLAGS:
            more.update(_FLAGS[word])
        elif word in _PRICES and rest:
            prices[word] = read_decimal(rest.pop(0))
        elif word == "trailing" and rest[1:2] == ["%"]:
            more["trail_percent"], rest = read_decimal(rest[0]), rest[2:]
        elif word == "as" and len(rest) == 1:
            name = rest.pop(0)
        else:
            raise Unreadable(f"{word!r} does not belong there: an order is {ORDER_HELP}")
    return OrderWords(_terms(side, quantity, prices, more), name)


def _terms(side: Side, quantity: Decimal, prices: dict[str, Decimal], more: dict[str, object]) -> Terms:
    type_ = {
        (False, False): OrderType.LIMIT if "at" in prices else OrderType.MARKET,
        (True, False): OrderType.STOP_LIMIT if "at" in prices else OrderType.STOP_MARKET,
        (False, True): OrderType.TAKE_PROFIT_LIMIT if "at" in prices else OrderType.TAKE_PROFIT_MARKET,
    }.get(("stop" in prices, "take-profit" in prices))
    if type_ is None:
        raise Unreadable("an order is a stop or a take-profit, not both")
    if "trail_percent" in more:
        type_ = OrderType.TRAILING_STOP
    return Terms(
        symbol=SYMBOL,
        side=side,
        type=type_,
        quantity=quantity,
        price=prices.get("at"),
        trigger_price=prices.get("stop", prices.get("take-profit")),
        **more,  # type: ignore[arg-type]
    )


def read_orders(text: str) -> list[Terms]:
    """Several orders with `;` between them."""
    return [read_order(part.strip()).terms for part in text.split(";")]


def read_group(text: str) -> list[OrderWords]:
    """A stop and a target of which one cancels the other, with `;` between them."""
    return [read_order(part.strip()) for part in text.split(";")]


def words_of(terms: Terms) -> str:
    """As `read_order` reads it: `sell 2 stop 95 reduce-only`."""
    words = [str(terms.side), "all" if terms.close_position else number(terms.quantity)]
    if terms.type is OrderType.TRAILING_STOP:
        words += ["trailing", number(terms.trail_percent or Decimal(0)), "%"]
        if terms.trigger_price is not None:
            words += ["stop", number(terms.trigger_price)]
    elif terms.trigger_price is not None:
        stop = terms.type in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT)
        words += ["stop" if stop else "take-profit", number(terms.trigger_price)]
    if terms.price is not None:
        words += ["at", number(terms.price)]
    for word, setting in _FLAGS.items():
        if all(getattr(terms, field) is value or getattr(terms, field) == value for field, value in setting.items()):
            words.append(word)
    return " ".join(words)


def words_of_order(order: Order) -> str:
    """A working order with what it has filled of it."""
    return words_of(order.terms) + (f" ({number(order.filled)} filled)" if order.filled else "")


NAME = r"[A-Za-z][\w-]*"
"""What an account, an order or a bot is called."""
ACCOUNT = re.compile(rf"(?:child )?({NAME})|every child")
