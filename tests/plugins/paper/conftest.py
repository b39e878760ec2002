"""A bench: an exchange with a clock of its own, one small book, and everything it reported."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import Contract, Instrument, OrderType, Side, Terms
from copydesk_paper.exchange import Exchange, MarketDepth, MarketMark, MarketTrade
from copydesk_paper.records import AccountReport, OrderReport, Report

D = Decimal

LINEAR = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.LINEAR,
    price_tick=D("0.5"),
    quantity_step=D("0.001"),
    min_quantity=D("0.001"),
    max_quantity=D("100"),
    market_max_quantity=D("50"),
    min_notional=D("5"),
)
INVERSE = Instrument(
    symbol="BTCUSD",
    base="BTC",
    quote="USD",
    settle="BTC",
    contract=Contract.INVERSE,
    price_tick=D("0.5"),
    quantity_step=D(1),
    min_quantity=D(1),
    contract_size=D(100),
)
SPOT = Instrument(
    symbol="SOLUSDT",
    base="SOL",
    quote="USDT",
    settle="USDT",
    contract=Contract.SPOT,
    price_tick=D("0.5"),
    quantity_step=D("0.01"),
    min_quantity=D("0.01"),
)


class Bench:
    """Accounts `a`, `b`, `c` with 10,000 USDT each; the recording stands at 1000 | 1001 with 1, 2 and 10 per level."""

    def __init__(self, *, hedge: bool = False) -> None:
        self.now = 1_000_000
        self.exchange = Exchange((LINEAR, INVERSE, SPOT), now_ms=self._clock, maker_fee=D("0.0002"), taker_fee=D("0.0005"))
        self.reports: list[Report] = []
        for name in "abc":
            self.exchange.open_account(name, D(10_000), hedge_mode=hedge)
        for symbol in self.exchange.instruments:
            self.depth([(1000, 1), (999, 2), (998, 10)], [(1001, 1), (1002, 2), (1003, 10)], symbol=symbol)
        self.exchange.listen(self.reports.append)

    def _clock(self) -> int:
        self.now += 1
        return self.now

    def depth(self, bids: list[Any], asks: list[Any], *, symbol: str = "BTCUSDT", snapshot: bool = True) -> None:
        def levels(rows: list[Any]) -> tuple[tuple[D, D], ...]:
            return tuple((D(str(price)), D(str(quantity))) for price, quantity in rows)

        self.exchange.apply(MarketDepth(symbol=symbol, bids=levels(bids), asks=levels(asks), snapshot=snapshot))

    def trade(self, price: Any, quantity: Any, *, sell: bool = False, symbol: str = "BTCUSDT") -> None:
        """The recording buys (or sells) at a price."""
        self.exchange.apply(MarketTrade(symbol=symbol, price=D(str(price)), quantity=D(str(quantity)), buyer_is_maker=sell))

    def mark(self, price: Any, *, symbol: str = "BTCUSDT") -> None:
        self.exchange.apply(MarketMark(symbol=symbol, price=D(str(price))))

    def place(self, account: str, side: str, quantity: Any, price: Any = None, client_id: str = "", **fields: Any) -> Any:
        kind = OrderType(fields.pop("type", "limit" if price is not None else "market"))
        for name in ("trigger_price", "trail_percent"):
            if name in fields:
                fields[name] = D(str(fields[name]))
        terms = Terms(
            symbol=fields.pop("symbol", "BTCUSDT"),
            side=Side(side),
            type=kind,
            quantity=D(str(quantity)),
            price=None if price is None else D(str(price)),
            **fields,
        )
        return self.exchange.place(account, terms, client_id)

    def told(self, account: str = "") -> list[str]:
        """What was reported of orders and accounts, as short words: `a new c1`, `a account order`."""
        words = []
        for report in self.reports:
            if isinstance(report, OrderReport) and account in ("", report.account):
                words.append(f"{report.account} {report.execution} {report.order.client_id}")
            elif isinstance(report, AccountReport) and account in ("", report.account):
                words.append(f"{report.account} account {report.cause}")
        return words

    def held(self, account: str, symbol: str = "BTCUSDT") -> D:
        return sum((p.quantity for p in self.exchange.positions(account) if p.symbol == symbol), D(0))

    def order(self, account: str, client_id: str) -> Any:
        return self.exchange.find(account, client_id=client_id)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="session")
def new_bench() -> Callable[..., Bench]:
    return Bench
