"""C55 to C64: snapshots and candles."""

from __future__ import annotations

import time

import pytest

from copydesk.errors import VenueError
from copydesk.model import CandleRequest, OrderRef, OrderStatus, OrderType, Scope, Terms
from copydesk.testing.bench import Bench, inexact

CLOCKS_APART_MS = 5_000


class Reading:
    """The truth of an account."""

    async def test_c55_empty_account(self, bench: Bench) -> None:
        """An account without orders and positions is told so, with its balance and the price of the symbol asked for."""
        venue = await bench.open()
        told = await bench.snapshot(venue, symbols=(bench.rig.symbol,))
        assert (told.orders, told.positions, told.fills, told.absent) == ((), (), (), ())
        assert told.balance is not None
        assert told.balance.equity == told.balance.cash > 0
        assert told.balance.available <= told.balance.equity
        assert told.balance.currency
        assert told.prices[bench.rig.symbol] == bench.last
        assert abs(told.time_ms - time.time() * 1000) < CLOCKS_APART_MS

    async def test_c56_whole_account(self, bench: Bench) -> None:
        """Every working order of every type, and the position, as the stream has told them."""
        venue, listener = await bench.both()
        await bench.buy(venue, listener)
        can = bench.capabilities
        types = [type_ for type_ in OrderType if type_ in can.order_types - can.whole_position - {OrderType.MARKET}]
        placed = [await bench.place(venue, bench.terms(type_)) for type_ in types]
        for order in placed:
            await listener.order(order.client_id, bool)
        told = await bench.snapshot(venue)
        assert told.scope is Scope.ACCOUNT
        assert {order.client_id: order.terms for order in told.orders} == {one.client_id: one.terms for one in placed}
        for order in told.orders:
            last = listener.orders(order.client_id)[-1]
            assert (order.venue_id, order.status, order.filled) == (last.venue_id, last.status, last.filled)
        assert [(one.symbol, one.quantity) for one in told.positions] == [(bench.rig.symbol, bench.quantity)]
        assert told.positions[0].entry_price > 0
        assert told.prices[bench.rig.symbol] > 0
        assert not inexact(told)

    async def test_c57_stranger_to_the_session(self, bench: Bench) -> None:
        """Orders and positions from before the session was opened are there, without any stream."""
        terms = await _terms_of_a_stranger(bench)
        placed = await bench.rig.parent_places(terms, bench.client_id())
        await bench.rig.parent_places(bench.terms(OrderType.MARKET), bench.client_id())
        venue = await bench.open()
        told = await bench.snapshot(venue)
        assert [order.client_id for order in told.orders] == [placed.client_id]
        assert [one.quantity for one in told.positions] == [bench.quantity]

    async def test_c58_scope_symbols(self, bench: Bench) -> None:
        """A request for some symbols has balance, positions, and the orders of those; its scope says what it has."""
        venue, listener = await bench.both()
        await bench.buy(venue, listener)
        placed = await bench.place(venue, bench.terms())
        told = await bench.snapshot(venue, scope=Scope.SYMBOLS, symbols=(bench.rig.symbol,))
        assert told.scope in (Scope.SYMBOLS, Scope.ACCOUNT)
        assert [order.client_id for order in told.orders] == [placed.client_id]
        assert [one.quantity for one in told.positions] == [bench.quantity]
        assert told.balance is not None

    async def test_c59_scope_orders(self, bench: Bench) -> None:
        """A request for orders alone has the looked-up ones; its scope says what it has."""
        venue = await bench.open()
        placed = await bench.place(venue, bench.terms())
        other = await bench.place(venue, bench.terms())
        told = await bench.snapshot(venue, scope=Scope.ORDERS, look_up=(bench.ref(venue, placed),))
        assert placed.client_id in [order.client_id for order in told.orders]
        if told.scope is Scope.ORDERS:
            assert other.client_id not in [order.client_id for order in told.orders]

    @pytest.mark.parametrize("type_", list(OrderType), ids=str)
    async def test_c60_look_up_settles(self, bench: Bench, type_: OrderType) -> None:
        """An order looked up by its client id is told as it is, working or ended; one that never was is absent."""
        venue, listener = await bench.both()
        terms = bench.terms(type_)
        placed = await bench.place(venue, terms)
        known = await bench.find(venue, _by_name(venue.accounts[0], placed.client_id, type_, bench.rig.symbol))
        assert known is not None
        assert (known.venue_id, known.terms) == (placed.venue_id, terms)
        if type_ is OrderType.MARKET:
            assert known.status is OrderStatus.FILLED
        else:
            assert known.is_working
            await venue.cancel(bench.ref(venue, placed))
            await listener.order(placed.client_id, lambda order: not order.is_working)
            ended = await bench.find(venue, bench.ref(venue, placed))
            assert ended is not None, "an ended order is not absent"
            assert ended.status is OrderStatus.CANCELLED
        never = _by_name(venue.accounts[0], bench.client_id(), type_, bench.rig.symbol)
        assert await bench.find(venue, never) is None

    async def test_c61_since(self, bench: Bench) -> None:
        """Fills and ended orders since a time are there with their own client ids; later ones are not made up."""
        venue, listener = await bench.both()
        began = (await bench.snapshot(venue)).time_ms
        bought = await bench.buy(venue, listener)
        ended = await bench.place(venue, bench.terms())
        await venue.cancel(bench.ref(venue, ended))
        told = await bench.snapshot(venue, since_ms=began, symbols=(bench.rig.symbol,))
        by_name = {order.client_id: order.status for order in told.orders}
        assert by_name == {bought.client_id: OrderStatus.FILLED, ended.client_id: OrderStatus.CANCELLED}
        fills = await listener.filled(bought.client_id)
        assert {fill.execution_id for fill in told.fills} == {fill.execution_id for fill in fills}
        assert {fill.client_id for fill in told.fills} == {bought.client_id}
        later = await bench.snapshot(venue, since_ms=told.time_ms + 3_600_000, symbols=(bench.rig.symbol,))
        assert later.fills == ()

    async def test_c62_fills_are_those_of_the_stream(self, bench: Bench) -> None:
        """A fill in a snapshot is the fill of the stream, number by number."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms())
        await bench.rig.fills(placed, bench.part)
        await bench.rig.fills(placed, placed.terms.quantity - bench.part)
        streamed = await listener.filled(placed.client_id)
        told = await bench.snapshot(venue, since_ms=placed.created_ms or 1, symbols=(bench.rig.symbol,))
        assert sorted(told.fills, key=_id) == sorted(streamed, key=_id)

    async def test_c63_candles(self, bench: Bench) -> None:
        """Candles come the oldest first, at most as many as asked for, each whole and exact."""
        venue = await bench.open()
        bench.needs(venue.has_candles, "no candles")
        for interval, length in (("1m", 60_000), ("1h", 3_600_000)):
            bars = await venue.candles(CandleRequest(symbol=bench.rig.symbol, interval=interval, limit=10))
            assert 0 < len(bars) <= 10
            opens = [bar.open_ms for bar in bars]
            assert opens == sorted(set(opens))
            assert all(open_ms % length == 0 for open_ms in opens)
            for bar in bars:
                assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
                assert not inexact(bar)

    async def test_c64_candles_refused(self, bench: Bench) -> None:
        """Candles of an instrument that is not there raise an error of copydesk's, with a sentence."""
        venue = await bench.open()
        bench.needs(venue.has_candles, "no candles")
        with pytest.raises(VenueError) as raised:
            await venue.candles(CandleRequest(symbol="NOSUCHUSDT"))
        assert str(raised.value)


async def _terms_of_a_stranger(bench: Bench) -> Terms:
    """Terms need the instrument's rules: read by a session that is closed again."""
    first = await bench.open()
    await bench.close(first)
    return bench.terms()


def _by_name(account: str, client_id: str, type_: OrderType, symbol: str) -> OrderRef:
    return OrderRef(account=account, symbol=symbol, type=type_, client_id=client_id)


def _id(fill: object) -> str:
    return str(getattr(fill, "execution_id", ""))
