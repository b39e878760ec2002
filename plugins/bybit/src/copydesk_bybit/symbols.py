"""How Bybit's symbols are told apart: one connection has three products, and `BTCUSDT` is the name of two instruments.

Linear and inverse instruments never share a name, so they go by the venue's own: `BTCUSDT`, `BTCPERP`, `BTCUSD`. A spot
pair goes by its name with `-SPOT` behind it: `BTCUSDT-SPOT`. No instrument of Bybit's has such a name (what follows a dash
there is a date), so both directions are unambiguous.
"""

from __future__ import annotations

SPOT_MARK = "-SPOT"
LINEAR, INVERSE, SPOT = "linear", "inverse", "spot"
CATEGORIES = (LINEAR, INVERSE, SPOT)
_LINEAR_QUOTES = ("USDT", "USDC", "PERP")


def ours(category: str, name: str) -> str:
    """copydesk's symbol of an instrument that the venue calls `name` in this category."""
    return f"{name}{SPOT_MARK}" if category == SPOT else name


def name_of(symbol: str) -> str:
    """The venue's name of one of our symbols."""
    return symbol.removesuffix(SPOT_MARK)


def category_of(symbol: str) -> str:
    """The category of one of our symbols, by its form.

    Inverse instruments are quoted in `USD` (`BTCUSD`, `BTCUSDH26`); linear ones in `USDT` (`BTCUSDT`, `BTCUSDT-26MAR26`) or
    in USDC (`BTCPERP`, `BTC-26MAR26`).
    """
    if symbol.endswith(SPOT_MARK):
        return SPOT
    root = symbol.partition("-")[0]
    if root != symbol or root.endswith(_LINEAR_QUOTES):
        return LINEAR
    head, quote, rest = root.rpartition("USD")
    is_dated = len(rest) == 3 and rest[0] in "HMUZ" and rest[1:].isdigit()
    return INVERSE if head and quote and (not rest or is_dated) else LINEAR
