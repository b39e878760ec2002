"""How Bitfinex's instruments are told apart: `tBTCUSD` is one book with two ways to trade it.

Derivatives (`tBTCF0:USTF0`) go by the venue's own name, and so do exchange pairs (`tBTCUSD`: coins change hands). What is
traded on margin in such a pair is a position, so it is an instrument of its own here: the pair's name with `-MARGIN` behind
it. No name of the venue's has a dash, so both directions are unambiguous. On the wire the order's type tells the two
apart: `EXCHANGE LIMIT` or `LIMIT`.
"""

from __future__ import annotations

MARGIN_MARK = "-MARGIN"
EXCHANGE = "EXCHANGE "


def name_of(symbol: str) -> str:
    """The venue's name of one of our symbols."""
    return symbol.removesuffix(MARGIN_MARK)


def is_derivative(name: str) -> bool:
    """Whether a name of the venue's is a derivative's: both its currencies then end in `F0`."""
    return name.endswith("F0") and "F0:" in name


def is_exchange(symbol: str) -> bool:
    """Whether one of our symbols is a pair in which coins change hands."""
    return not symbol.endswith(MARGIN_MARK) and not is_derivative(symbol)


def ours(name: str, order_type: str) -> str:
    """Our symbol of what an order of this type trades in a pair that the venue calls `name`."""
    return name if is_derivative(name) or order_type.startswith(EXCHANGE) else f"{name}{MARGIN_MARK}"


def of_position(name: str) -> str:
    """Our symbol of a position: exchange pairs have none."""
    return name if is_derivative(name) else f"{name}{MARGIN_MARK}"


def currencies(name: str) -> tuple[str, str]:
    """Base and quote currency of a name with its `t`: `tBTCUSD`, `tDOGE:USD`, `tBTCF0:USTF0`."""
    pair = name.removeprefix("t")
    base, colon, quote = pair.partition(":")
    return (base, quote) if colon else (pair[:-3], pair[-3:])
