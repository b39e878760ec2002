"""A whole desk on the rehearsal TWS: what is made by hand, by other programs, and while TWS has lost IB, is copied."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest
from copydesk.model import RehearsalSettings
from copydesk_ib.rehearsal import start
from copydesk_paper.exchange import MarketTrade
from harness.sockets import PARENT, PRICE, SocketDesk

D = Decimal
AAPL, EURO = "AAPL:STK:SMART:USD", "EUR.USD:CASH:IDEALPRO:USD"


class TwsDesk(SocketDesk):
    """One login with a parent and two children, whose market stands where the rehearsal puts it."""

    kind = "ib"
    symbol = AAPL
    children = ("child1", "child2")
    reconcile_s = "0.5"  # TWS takes fifty messages a second
    options: ClassVar[dict[str, str]] = {}

    async def open_rehearsal(self, settings: RehearsalSettings) -> Any:
        return await start(settings)

    def book(self, price: Decimal = PRICE) -> None:
        """The rehearsal's own."""

    def trade(self, price: Decimal, quantity: str = "") -> None:
        """Nobody trades."""

    async def by_hand(self, **words: Any) -> str:
        """An order of the parent made in TWS, in the words of the rehearsal's control; its permanent id."""
        told = await self._control("POST", "orders", json={"account": PARENT, "symbol": self.symbol, **words})
        return str(told["perm_id"])

    def held(self, account: str) -> dict[str, Decimal]:
        positions = self.rehearsal.exchange.positions(account)
        return {position.symbol.partition(":")[0]: position.quantity for position in positions if position.quantity}

    def tickets(self, account: str) -> list[Any]:
        return [t for t in self.rehearsal.desk.tickets.values() if t.account == account and t.is_live and t.transmitted]

    async def until_each(self, wanted: Any, what: str) -> None:
        await self.until(lambda: all(wanted(child) for child in self.children), what)


class TwoLogins(TwsDesk):
    options: ClassVar[dict[str, str]] = {"login.child2": "second"}


class Client0(TwsDesk):
    """No master client: the desk is client 0, which is told of what is made by hand."""

    options: ClassVar[dict[str, str]] = {"master-client-id": "0"}


class Blind(TwsDesk):
    """Another client than the desk's is the master: the desk is told of its own orders only."""

    options: ClassVar[dict[str, str]] = {"master-client-id": "55"}

    async def open_rehearsal(self, settings: RehearsalSettings) -> Any:
        running = await super().open_rehearsal(settings)
        for account in running.ready.accounts:
            account.options["client_id"] = "7"
        return running


@pytest.fixture(params=[TwsDesk, TwoLogins], ids=["one-login", "two-logins"])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TwsDesk]:
    made: TwsDesk = request.param(tmp_path)
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[TwsDesk]:
    made = TwsDesk(tmp_path)
    await made.start()
    yield made
    await made.stop()


# --- 5: whoever makes the order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("client", [0, 23], ids=["by-hand", "by-another-program"])
async def test_an_order_of_another_hand_is_copied_changed_and_cancelled(desk: TwsDesk, client: int) -> None:
    number = await desk.by_hand(quantity="10", type="LMT", limit="190", client_id=client)
    await desk.until_each(lambda child: len(desk.tickets(child)) == 1, "the order is copied")
    for child in desk.children:
        (copy,) = desk.tickets(child)
        assert (copy.wish.type, copy.wish.quantity, copy.wish.limit) == ("LMT", D(5), D(190))
        assert (copy.client_id, copy.wish.tif) == (7, "DAY")
    await desk._control("POST", f"orders/{number}", json={"limit": "191", "quantity": "12"})

    def moved(child: str) -> bool:
        return [(t.wish.quantity, t.wish.limit) for t in desk.tickets(child)] == [(D(6), D(191))]

    await desk.until_each(moved, "the change is copied")
    await desk._control("DELETE", f"orders/{number}")
    await desk.until_each(lambda child: not desk.tickets(child), "the cancel is copied")


async def test_a_market_order_by_hand_is_copied(desk: TwsDesk) -> None:
    await desk.by_hand(quantity="10")
    await desk.until_each(lambda child: desk.held(child) == {"AAPL": D(5)}, "the children hold half")


async def test_client_0_follows_what_is_made_by_hand(tmp_path: Path) -> None:
    desk = Client0(tmp_path)
    await desk.start()
    try:
        number = await desk.by_hand(quantity="10", type="LMT", limit="190")
        await desk.until_each(lambda child: len(desk.tickets(child)) == 1, "the order is copied")
        await desk._control("DELETE", f"orders/{number}")
        await desk.until_each(lambda child: not desk.tickets(child), "the cancel is copied")
    finally:
        await desk.stop()


async def test_a_desk_that_is_not_told_finds_out_copies_and_says_what_to_set(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Blind(tmp_path)
    await desk.start()
    try:
        await desk.by_hand(quantity="10")
        await desk.until_each(lambda child: desk.held(child) == {"AAPL": D(5)}, "the position gives it away")
        (account,) = [view for view in desk.desk.view().accounts if view.key == PARENT]
        assert "set 'Master API client ID' to 7" in account.message
    finally:
        await desk.stop()


async def test_an_algorithm_is_copied_with_its_attributes(one: TwsDesk) -> None:
    number = await one.by_hand(
        quantity="10", type="LMT", limit="190", algo="Adaptive", algo_params={"adaptivePriority": "Patient"}
    )
    await one.until_each(lambda child: len(one.tickets(child)) == 1, "the order is copied")
    await one._control("POST", f"orders/{number}", json={"limit": "191"})

    def moved(child: str) -> bool:
        return [t.wish.limit for t in one.tickets(child)] == [D(191)]

    await one.until_each(moved, "the change is copied")
    for child in one.children:
        (copy,) = one.tickets(child)
        told = copy.asked
        assert (told["algoStrategy"], told["algoParams"]) == (
            "Adaptive",
            [{"tag": "adaptivePriority", "value": "Patient"}],
        )


async def test_an_order_with_a_condition_is_copied_once_that_is_met(one: TwsDesk) -> None:
    level = one.rehearsal.exchange.last_price(AAPL) + 10
    await one.by_hand(quantity="10", type="LMT", limit="150", conditions=[{"symbol": AAPL, "price": str(level)}])
    waits = await one.by_hand(quantity="20", type="LMT", limit="151", conditions=[{"time": "20990101 00:00:00"}])
    await one.settled()
    assert not any(one.tickets(child) for child in one.children)
    one.rehearsal.exchange.apply(MarketTrade(symbol=AAPL, price=level, quantity=D(1), buyer_is_maker=False))
    await one.until_each(lambda child: [t.wish.limit for t in one.tickets(child)] == [D(150)], "the met one is copied")
    await one._control("DELETE", f"orders/{waits}")
    await one.settled()
    assert all([t.wish.limit for t in one.tickets(child)] == [D(150)] for child in one.children)


# --- 6: TWS without IB ---------------------------------------------------------------------------------------------


async def test_what_is_closed_while_tws_has_lost_ib_is_caught_up(desk: TwsDesk) -> None:
    await desk.by_hand(quantity="10")
    await desk.until_each(lambda child: desk.held(child) == {"AAPL": D(5)}, "the children hold half")
    await desk.settled()
    await desk._control("POST", "connectivity", json={"code": 1100})
    await desk.until(lambda: not desk.connected(), "the desk knows")
    await desk.by_hand(quantity="10", action="SELL")
    assert all(desk.held(child) == {"AAPL": D(5)} for child in desk.children)
    await desk._control("POST", "connectivity", json={"code": 1101})
    await desk.until_each(lambda child: not desk.held(child), "the children are flat too")


# --- 7: what is traded ----------------------------------------------------------------------------------------------


async def test_fractions_futures_and_currencies_have_their_own_steps(one: TwsDesk) -> None:
    future = next(name for name in one.rehearsal.catalogue.by_name if name.startswith("ES"))
    local = future.partition(":")[0]
    await one.by_hand(quantity="0.5")
    await one.by_hand(symbol=future, quantity="4")
    await one.by_hand(symbol=EURO, quantity="25001")
    wanted = {"AAPL": D("0.25"), local: D(2), "EUR.USD": D(12_500)}
    await one.until_each(lambda child: one.held(child) == wanted, "each in its own steps")
    instruments = one.parent.instruments
    sizes = [instruments[name].contract_size for name in instruments if name.startswith((f"{local}:", "AAPL:STK"))]
    assert sorted(sizes) == [D(1), D(50)]
    assert (instruments[EURO].price_tick, instruments[AAPL].quantity_step) == (D("0.00005"), D("0.0001"))


async def test_a_combination_is_copied_as_it_is(one: TwsDesk) -> None:
    near, far = [name for name in one.rehearsal.catalogue.by_name if name.startswith("ES") and ":" in name][:2]
    legs = [[near, 1, "BUY"], [far, 1, "SELL"]]
    await one.by_hand(symbol="", legs=legs, quantity="4", type="LMT", limit="-500")
    await one.until_each(lambda child: len(one.tickets(child)) == 1, "the combination is copied")
    for child in one.children:
        (copy,) = one.tickets(child)
        assert {(leg.listing.name, leg.ratio, leg.sign) for leg in copy.legs} == {(near, 1, 1), (far, 1, -1)}
        assert (copy.wish.quantity, copy.wish.limit) == (D(2), D(-500))
    await one.by_hand(symbol="", legs=legs, quantity="2", type="MKT")
    wanted = {near.partition(":")[0]: D(1), far.partition(":")[0]: D(-1)}
    await one.until_each(lambda child: one.held(child) == wanted, "both legs are held")


@pytest.mark.parametrize(
    ("words", "kind", "same"),
    [
        ({"type": "TRAIL", "aux": "2.5"}, "TRAIL", "aux"),
        ({"type": "TRAIL LIMIT", "aux": "2.5", "limit_offset": "0.1", "trail_stop": "199"}, "TRAIL LIMIT", "limit_offset"),
        ({"type": "LOC", "limit": "190", "tif": "DAY"}, "LOC", "limit"),
        ({"type": "MOC", "tif": "DAY"}, "MOC", "tif"),
        ({"type": "LMT", "limit": "215", "tif": "GTC", "outside_hours": True}, "LMT", "outside_hours"),
    ],
)
async def test_what_only_ib_has_is_copied_as_it_is(one: TwsDesk, words: dict[str, Any], kind: str, same: str) -> None:
    await one.by_hand(quantity="10")
    await one.until_each(lambda child: one.held(child) == {"AAPL": D(5)}, "the children hold half")
    number = await one.by_hand(quantity="10", action="SELL", **words)
    await one.until_each(lambda child: len(one.tickets(child)) == 1, "it is copied")
    theirs = one.rehearsal.desk.tickets[int(number)].wish
    for child in one.children:
        (copy,) = one.tickets(child)
        assert (copy.wish.type, copy.wish.quantity) == (kind, D(5))
        assert getattr(copy.wish, same) == getattr(theirs, same)


async def test_a_bracket_waits_for_its_parent(one: TwsDesk) -> None:
    """Its stop and its target wait at IB: copied as orders of their own they would open a position."""
    program = {"client_id": 23, "quantity": "10", "tif": "GTC"}
    entry = await one._control(
        "POST", "orders", json={"account": PARENT, "symbol": AAPL, "type": "LMT", "limit": "197", **program}
    )
    exits = {**program, "action": "SELL", "parent": entry["order_id"]}
    await one.by_hand(**exits, type="LMT", limit="212")
    await one.by_hand(**exits, type="STP", aux="190")
    await one.until_each(lambda child: len(one.tickets(child)) == 1, "the entry alone is copied")
    await one.settled()
    assert [t.wish.type for child in one.children for t in one.tickets(child)] == ["LMT", "LMT"]
    await one._control("POST", "trades", json={"symbol": AAPL, "price": "197", "quantity": "1000", "side": "sell"})
    await one.until_each(lambda child: one.held(child) == {"AAPL": D(5)}, "the entry trades everywhere")
    await one.until_each(lambda child: len(one.tickets(child)) == 2, "then its stop and its target are copied")
    for child in one.children:
        copies = one.tickets(child)
        assert {t.wish.type for t in copies} == {"STP", "LMT"}
        assert len({t.oca_group for t in copies}) == 1, "one takes the other away there too"
