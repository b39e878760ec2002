"""Reads recorded Binance spot sessions, as `copydesk_paper.recording` does futures; `trade` counts as one here, too."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from copydesk.model import Contract, Instrument
from copydesk_paper.recording import Recording


class SpotRecording(Recording):
    """Instruments that are quoted in USDT come first, because accounts begin with USDT."""

    exchange = "BINANCE"
    market = "Binance spot"
    trades = frozenset({"trade", "aggTrade"})

    def listed(self, entries: Iterable[dict[str, Any]]) -> tuple[Instrument, ...]:
        return tuple(sorted(map(_instrument, entries), key=lambda instrument: instrument.quote != "USDT"))


def _instrument(entry: dict[str, Any]) -> Instrument:
    """One symbol of exchangeInfo, with the rules of its filters."""
    filters = {one["filterType"]: one for one in entry["filters"]}
    lot, market_lot = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", {})
    notional = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", {}))
    return Instrument(
        symbol=entry["symbol"],
        base=entry["baseAsset"],
        quote=entry["quoteAsset"],
        settle=entry["quoteAsset"],
        contract=Contract.SPOT,
        price_tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        quantity_step=Decimal(lot["stepSize"]),
        min_quantity=Decimal(lot["minQty"]),
        max_quantity=Decimal(lot["maxQty"]),
        market_max_quantity=Decimal(market_lot.get("maxQty", "0")),
        min_notional=Decimal(notional.get("minNotional", "0")),
        trading=entry["status"] == "TRADING",
    )
