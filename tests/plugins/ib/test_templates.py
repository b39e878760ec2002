"""An order's bytes are those that the library writes, whatever the order; what is not alike is left to the library."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import OrderType, Side, Terms, TimeInForce
from copydesk_ib import library
from copydesk_ib.contracts import Leg, Listing
from copydesk_ib.templates import Names, Templates
from hypothesis import given
from hypothesis import strategies as st

D = Decimal
STOCK = Listing(number=265598, underlying="AAPL", security="STK", exchange="SMART", currency="USD", local="AAPL")
FUTURE = Listing(
    number=495512563,
    underlying="ES",
    security="FUT",
    expiry="20270319",
    multiplier="50",
    exchange="CME",
    currency="USD",
    local="ESH7",
    trading_class="ES",
)
SPREAD = Listing(
    number=0,
    underlying="SPY",
    security="BAG",
    exchange="SMART",
    currency="USD",
    local="SPY",
    legs=(
        Leg(number=1, ratio=1, action="BUY", exchange="SMART"),
        Leg(number=2, ratio=2, action="SELL", exchange="SMART"),
    ),
)
VERSIONS = (157, 163, 173, 178)
NATIVES = (
    *("", "tif=DAY", "tif=GTD;goodTillDate=20270101-00:00:00", "outsideRth=1;triggerMethod=2", "exchange=IBKRATS"),
    *("discretionaryAmt=0.02", "algoStrategy=Adaptive;algo.adaptivePriority=Normal", "hidden=1;allOrNone=1"),
)
VARIANTS = {
    OrderType.MARKET: ("orderType=MOC", "orderType=MIDPRICE;lmtPrice=100"),
    OrderType.LIMIT: ("orderType=LOC", "orderType=REL;percentOffset=0.01"),
    OrderType.TRAILING_STOP: ("trailAmount=1.5", "orderType=TRAIL LIMIT;trailAmount=2;trailStopPrice=9;lmtPriceOffset=0.1"),
}
TYPES = tuple(OrderType)


def templates(version: int) -> Templates:
    return Templates(library.load(), version)


@st.composite
def orders(draw: st.DrawFn) -> tuple[Listing, Terms, Names]:
    numbers = st.decimals("0.0001", "1000000", places=4)
    listed, type_ = draw(st.sampled_from((STOCK, FUTURE, SPREAD))), draw(st.sampled_from(TYPES))
    native = draw(st.sampled_from((*NATIVES, *VARIANTS.get(type_, ()))))
    trails = type_ is OrderType.TRAILING_STOP
    terms = Terms(
        symbol=listed.symbol,
        side=draw(st.sampled_from(Side)),
        type=type_,
        quantity=draw(numbers),
        price=draw(numbers) if type_.has_price else None,
        trigger_price=draw(numbers) if type_.has_trigger and not trails else None,
        trail_percent=draw(numbers) if trails and "trailAmount" not in native else None,
        time_in_force=draw(st.sampled_from(TimeInForce)),
        native=native,
    )
    text = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=29)
    group = draw(st.sampled_from(("", "oca-1", "oca-another")))
    return listed, terms, Names(draw(st.integers(1, 2**31 - 2)), "DU" + draw(text), draw(text), group)


@pytest.mark.parametrize("version", VERSIONS)
@given(data=st.data())
def test_what_is_sent_is_what_the_library_writes(version: int, data: Any) -> None:
    made = templates(version)
    for listed, terms, names in data.draw(st.lists(orders(), min_size=1, max_size=4)):
        sent = made.write(listed, terms, names)
        assert sent is not None
        assert int.from_bytes(sent[:4], "big") == len(sent) - 4
        assert sent[4:].decode() == made.written(listed, terms, names)


def test_a_shape_that_does_not_come_out_alike_is_left_to_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    made = templates(178)
    written = made.written
    monkeypatch.setattr(made, "written", lambda *asked: written(*asked) + ("extra\0" if asked[2].order_id == 1 else ""))
    terms = Terms(symbol=STOCK.symbol, side=Side.BUY, type=OrderType.MARKET, quantity=D(1))
    assert made.write(STOCK, terms, Names(7, "DU1", "c-1")) is None


@pytest.mark.parametrize("words", [{"post_only": True}, {"reduce_only": True}, {"native": "nonsense=1"}])
def test_what_ib_does_not_have_is_left_to_the_ordinary_way(words: dict[str, Any]) -> None:
    terms = Terms(symbol=STOCK.symbol, side=Side.BUY, type=OrderType.MARKET, quantity=D(1), **words)
    assert templates(178).write(STOCK, terms, Names(7, "DU1", "c-1")) is None
