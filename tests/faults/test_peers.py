"""What other copiers get wrong, case by case: copied once, in order, to every child, no drift."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio
from copydesk.inputs import AccountDown
from copydesk.model import Order, OrderStatus, OrderType, Side, Terms
from harness.sockets import CHILDREN, PARENT, RATIO, SocketDesk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("peers")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SocketDesk]:
    desk = SocketDesk(tmp_path_factory.mktemp("desk"))
    await desk.start()
    yield desk
    await desk.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def desk(running: SocketDesk) -> AsyncIterator[SocketDesk]:
    """The running desk, with everybody flat before and after."""
    yield running
    await running.close_all()


def shape(order: Order, ratio: Decimal = Decimal(1)) -> tuple[Terms, OrderStatus, Decimal]:
    """What copying copies of an order, with the quantities that it should have on an account of that ratio.

    Not reduce-only: a child's exit always is, whatever the parent's was.
    """
    terms = order.terms
    quantity, filled = terms.quantity * ratio, order.filled * ratio
    plain = Terms(
        symbol=terms.symbol,
        side=terms.side,
        type=terms.type,
        quantity=quantity,
        price=terms.price,
        trigger_price=terms.trigger_price,
        time_in_force=terms.time_in_force,
        post_only=terms.post_only,
    )
    return plain, order.status, filled


async def copied_once(desk: SocketDesk, since: int, *, orders: int) -> None:
    """Each of the parent's orders stands or ended alike on every child, once, and they came in the parent's order."""
    await desk.settled()
    wanted = [shape(order, RATIO) for order in desk.placed(PARENT, since)]
    assert len(wanted) == orders
    for child in CHILDREN:
        assert [shape(order) for order in desk.placed(child, since)] == wanted, child
    assert not any(row.difference for row in desk.desk.view().drift)


async def test_a_market_order(desk: SocketDesk) -> None:
    since = desk.mark()
    await desk.buy("0.010")
    await copied_once(desk, since, orders=1)


async def test_a_resting_limit_order(desk: SocketDesk) -> None:
    since = desk.mark()
    await desk.buy("0.010", price=Decimal(59_000))
    await copied_once(desk, since, orders=1)


async def test_the_parent_amends_price_and_quantity(desk: SocketDesk) -> None:
    order = await desk.buy("0.010", price=Decimal(59_000))
    await desk.settled()
    since = desk.mark()
    await desk.amend(order, price="58900", quantity="0.016")
    await desk.settled()
    for child in CHILDREN:
        (kept,) = desk.rehearsal.exchange.open_orders(child)
        assert (kept.terms.price, kept.terms.quantity) == (Decimal(58_900), Decimal("0.008"))
        assert desk.told(child, since) == [(kept.venue_id, "amended")], "amended, not placed again"


async def test_the_parent_cancels(desk: SocketDesk) -> None:
    since = desk.mark()
    order = await desk.buy("0.010", price=Decimal(59_000))
    await desk.settled()
    await desk.cancel(order)
    await copied_once(desk, since, orders=1)
    assert [kind for _, kind in desk.told("child1", since)] == ["new", "cancelled"]


async def test_three_partial_fills_at_once(desk: SocketDesk) -> None:
    since = desk.mark()
    await desk.fault("partial-fills", PARENT)
    order = await desk.buy("0.030")
    assert len([report for report in desk.reports[since:] if report.account == PARENT and report.fill]) == 3
    assert order.filled == Decimal("0.030")
    await copied_once(desk, since, orders=1)


async def test_three_partial_fills_of_a_resting_order(desk: SocketDesk) -> None:
    since = desk.mark()
    await desk.buy("0.030", price=Decimal(59_000))
    await desk.settled()
    for _ in range(3):
        # The parent is first in the queue at its price, and each child behind it: a quarter of the trade for everybody.
        desk.trade(Decimal(58_999), "0.025")
    await copied_once(desk, since, orders=1)
    assert desk.placed(PARENT, since)[0].status is OrderStatus.FILLED


@pytest.mark.parametrize("account", [PARENT, "child1"])
async def test_the_same_event_delivered_twice(desk: SocketDesk, account: str) -> None:
    since = desk.mark()
    await desk.fault("duplicate-events", account, count=50)
    await desk.buy("0.010")
    order = await desk.sell("0.010", price=Decimal(61_000))
    await desk.settled()
    await desk.cancel(order)
    await copied_once(desk, since, orders=2)
    assert (await desk.fired())["duplicate-events"] >= 3


@pytest.mark.parametrize("price", [None, Decimal(59_000)], ids=["market", "limit"])
async def test_the_venue_accepted_and_its_reply_was_lost(desk: SocketDesk, price: Decimal | None) -> None:
    since = desk.mark()
    for child in CHILDREN:
        await desk.fault("lose-reply", child)
    await desk.buy("0.010", **({"price": price} if price else {}))
    await copied_once(desk, since, orders=1)
    assert (await desk.fired())["lose-reply"] == len(CHILDREN)


async def test_replies_to_an_amend_and_a_cancel_are_lost(desk: SocketDesk) -> None:
    since = desk.mark()
    order = await desk.buy("0.010", price=Decimal(59_000))
    await desk.settled()
    await desk.fault("lose-reply", "child1", count=2)
    await desk.amend(order, price="58900", quantity="0.016")
    await desk.settled()
    await desk.cancel(order)
    await copied_once(desk, since, orders=1)
    assert (await desk.fired())["lose-reply"] == 2


async def test_the_venue_answers_503_and_took_nothing(desk: SocketDesk) -> None:
    since = desk.mark()
    for child in CHILDREN:
        await desk.fault("overload", child)
    await desk.buy("0.010")
    await copied_once(desk, since, orders=1)
    assert (await desk.fired())["overload"] == len(CHILDREN)


async def test_the_venue_answers_503_and_nobody_knows(desk: SocketDesk) -> None:
    """Every second such request is taken. The others go again once no late report can double them, at no worse a price."""
    since = desk.mark()
    for child in CHILDREN:
        await desk.fault("5xx", child)
    await desk.buy("0.010")
    await desk.settled(deadline_s=40)
    for child in CHILDREN:
        (order,) = desk.placed(child, since)
        assert order.filled == Decimal("0.005"), child
    types = [desk.placed(child, since)[0].terms.type for child in CHILDREN]
    assert types.count(OrderType.LIMIT) == 1, "one was not taken, and is caught up with"
    assert (await desk.fired())["5xx"] == len(CHILDREN)


async def test_the_parent_trades_while_the_stream_is_down(desk: SocketDesk) -> None:
    resting = await desk.buy("0.010", price=Decimal(59_000))
    moved = await desk.buy("0.020", price=Decimal(58_000))
    await desk.settled()
    since, seq = desk.mark(), desk.last_seq()
    await desk.fault("drop-stream", PARENT)
    bought = await desk.buy("0.010")
    placed = await desk.sell("0.010", price=Decimal(61_000))
    await desk.amend(moved, price="57900", quantity="0.024")
    await desk.cancel(resting)
    await desk.settled()
    assert any(isinstance(given, AccountDown) and given.account == PARENT for given in desk.inputs(seq))
    assert not any(desk.reported(PARENT, order, seq) for order in (bought, placed)), "heard of by the snapshot alone"
    for child in CHILDREN:
        new = {(order.terms.side, order.terms.quantity, order.filled) for order in desk.placed(child, since)}
        half = Decimal("0.005")
        assert new == {(Side.BUY, half, half), (Side.SELL, half, Decimal(0))}
        working = {(order.terms.price, order.terms.quantity) for order in desk.rehearsal.exchange.open_orders(child)}
        assert working == {(Decimal(61_000), half), (Decimal(57_900), Decimal("0.012"))}
    assert not any(row.difference for row in desk.desk.view().drift)


async def test_a_child_whose_stream_is_down_is_caught_up_with(desk: SocketDesk) -> None:
    since = desk.mark()
    await desk.fault("drop-stream", "child2")
    await desk.buy("0.010")
    await desk.buy("0.010", price=Decimal(59_000))
    await desk.settled()
    for child in CHILDREN:
        orders = desk.placed(child, since)
        assert sorted(order.terms.type for order in orders) == sorted([OrderType.MARKET, OrderType.LIMIT]), child
    assert (await desk.fired())["drop-stream"] == 1
