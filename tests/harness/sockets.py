"""A whole desk over sockets: a rehearsal venue, the engine with its journal on the disk, and a parent of its own login.

Venue and engine run in the test's event loop and speak to each other over loopback as they would over the internet; the
market stands still until a test moves it. What the venue did is the measure, never what the engine says of itself.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import msgspec
import pytest
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.engine import Engine
from copydesk.ids import is_own
from copydesk.inputs import Input, Reported, Snapped
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
    OrderType,
    RehearsalSettings,
    Side,
    Terms,
)
from copydesk.plugins import load_plugin
from copydesk.secrets import SealedFile, variable_of
from copydesk.venue import Venue, open_venue
from copydesk.view import ConnectionState
from copydesk_binance.rehearsal import start
from copydesk_paper.records import Execution, MarketDepth, MarketTrade, OrderReport, Report

KIND = "binance-futures"
BOT = "bot"
PARENT = "parent"
CHILDREN = ("child1", "child2", "child3")
RATIO = Decimal("0.5")
SYMBOL = "BTCUSDT"
PRICE = Decimal(60_000)
DEADLINE_S = 40.0
LOOK_S = 0.005


class SocketDesk:
    """One parent, three children that follow it at half its size, one bot that is Working.

    For other kinds: a subclass with another `kind`, `symbol`, `children`, and `options` that let the venue be patient.
    """

    kind = KIND
    symbol = SYMBOL
    children = CHILDREN
    reconcile_s = "0.1"
    options: ClassVar[dict[str, str]] = {
        "weight-per-minute": "1000000",
        "orders-per-minute": "100000",
        "orders-per-10s": "100000",
    }

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[OrderReport] = []  # everything that happened to any order, in the venue's order
        self._environment = pytest.MonkeyPatch()
        self._numbers = itertools.count(1)
        self.rehearsal: Any
        self.journal: Journal
        self.engine: Engine
        self.desk: LiveDesk
        self.parent: Venue

    async def start(self) -> None:
        """Bring everything up: afterwards the next order of the parent is copied."""
        accounts = {name: Decimal(1_000_000) for name in (PARENT, *self.children)}
        settings = RehearsalSettings(kind=self.kind, accounts=accounts, speed=Decimal(0), options=self.options)
        self.rehearsal = await self.open_rehearsal(settings)
        self.rehearsal.exchange.listen(self._hear)
        self.book()
        self.trade(PRICE)
        for account in self.rehearsal.ready.accounts:
            for field, secret in account.secrets.items():
                self._environment.setenv(variable_of(account.name, field), secret)
        self.journal = Journal.open(self.folder / "journal.db")
        await self.start_engine()
        self.parent = await open_venue(load_plugin(self.kind), self._login(PARENT))

    async def open_rehearsal(self, settings: RehearsalSettings) -> Any:
        """Start the venue."""
        return await start(settings)

    async def start_engine(self) -> None:
        """Start the engine, and its bot where it has none yet."""
        accounts = self.rehearsal.ready.accounts
        connections = {account.name: {"kind": self.kind, **account.options} for account in accounts}
        config = Config.model_validate(
            {"engine": {"reconcile_s": self.reconcile_s, "budget_percent": 10_000}, "connections": connections}
        )
        sealed = SealedFile(self.folder, lambda: "nothing is sealed")
        store = BotStore.load(self.folder)
        self.engine = Engine(config, store, self.journal, sealed)
        await self.engine.start()
        self.desk = LiveDesk(self.engine, config, store)
        self.desk.start()
        await self.until(self.connected, "everybody is connected")
        if not self.desk.bots():
            children = tuple(ChildSettings(account=child, mode="multiplier", value=RATIO) for child in self.children)
            await self.desk.add_bot(BotSettings(name=BOT, parent=PARENT, children=children))
            await self.desk.start_bot(BOT)

    async def stop(self) -> None:
        await self.parent.close()
        await self.engine.stop()
        self.journal.close()
        await self.rehearsal.stop()
        self._environment.undo()

    def _login(self, name: str) -> ConnectionSettings:
        account = next(account for account in self.rehearsal.ready.accounts if account.name == name)
        return ConnectionSettings(name=name, kind=self.kind, options=account.options, secrets=account.secrets)

    def _hear(self, report: Report) -> None:
        if isinstance(report, OrderReport):
            self.reports.append(report)

    # --- the market -------------------------------------------------------------------------------------------------

    def book(self, price: Decimal = PRICE) -> None:
        """Plenty on both sides of `price`."""
        tick, plenty = Decimal("0.1"), Decimal(1000)
        bids, asks = ((price - tick, plenty),), ((price + tick, plenty),)
        self.rehearsal.exchange.apply(MarketDepth(symbol=self.symbol, bids=bids, asks=asks, snapshot=True))

    def trade(self, price: Decimal, quantity: str = "0.001") -> None:
        """Somebody sells `quantity` at `price`: it fills what rests there, or above."""
        self.rehearsal.exchange.apply(
            MarketTrade(symbol=self.symbol, price=price, quantity=Decimal(quantity), buyer_is_maker=True)
        )

    # --- the parent -------------------------------------------------------------------------------------------------

    async def place(self, side: Side, quantity: str, **more: Any) -> Order:
        """The parent places an order: a limit order where a price is given, else a market order."""
        type_ = more.pop("type", OrderType.LIMIT if "price" in more else OrderType.MARKET)
        terms = Terms(symbol=self.symbol, side=side, type=type_, quantity=Decimal(quantity), **more)
        outcome = await self.parent.place(NewOrder(client_id=f"mine-{next(self._numbers)}", terms=terms))
        assert isinstance(outcome, Accepted), outcome
        assert outcome.order is not None
        return outcome.order

    async def buy(self, quantity: str, **more: Any) -> Order:
        return await self.place(Side.BUY, quantity, **more)

    async def sell(self, quantity: str, **more: Any) -> Order:
        return await self.place(Side.SELL, quantity, **more)

    async def amend(self, order: Order, *, price: str, quantity: str) -> None:
        terms = msgspec.structs.replace(order.terms, price=Decimal(price), quantity=Decimal(quantity))
        outcome = await self.parent.modify(OrderChange(ref=_ref(order), terms=terms))
        assert isinstance(outcome, Accepted), outcome

    async def cancel(self, order: Order) -> None:
        outcome = await self.parent.cancel(_ref(order))
        assert isinstance(outcome, Accepted), outcome

    async def close_all(self) -> None:
        """End the parent's orders and position; the children follow, and everybody is flat."""
        await self.clear_faults()
        exchange = self.rehearsal.exchange
        for order in exchange.open_orders(PARENT):
            await self.cancel(order)
        for position in exchange.positions(PARENT):
            side = Side.SELL if position.quantity > 0 else Side.BUY
            await self.place(side, str(abs(position.quantity)), reduce_only=True)
        await self.until(self._quiet, "the children have followed")
        assert not any(exchange.positions(name) or exchange.open_orders(name) for name in (PARENT, *self.children))

    # --- faults -----------------------------------------------------------------------------------------------------

    async def fault(self, name: str, account: str, **more: Any) -> None:
        """Ask the venue to misbehave towards one account: at the next opportunity, once, unless `more` says otherwise."""
        await self._control("POST", json={"name": name, "account": account, **more})

    async def clear_faults(self) -> None:
        await self._control("DELETE")

    async def fired(self) -> dict[str, int]:
        """How often each fault was committed."""
        counts: dict[str, int] = {}
        for fault in (await self._control("GET", "state"))["faults"]:
            counts[fault["name"]] = counts.get(fault["name"], 0) + fault["fired"]
        return counts

    async def _control(self, method: str, path: str = "faults", **more: Any) -> Any:
        url = f"{self.rehearsal.ready.control_url}/{path}"
        async with aiohttp.ClientSession() as http, http.request(method, url, **more) as response:
            assert response.status in (200, 201), await response.text()
            return await response.json()

    # --- waiting ----------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> None:
        """Return once the condition holds. Raises `TimeoutError` with `what` where it does not in time."""
        deadline = time.monotonic() + deadline_s
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {deadline_s:g} s: {what}; {self._state()}")
            await asyncio.sleep(LOOK_S)

    def connected(self) -> bool:
        return all(account.state is ConnectionState.CONNECTED for account in self.desk.view().accounts)

    async def settled(self, deadline_s: float = DEADLINE_S) -> None:
        """Return once everybody is in step and stays so while every account is read again twice."""
        while True:
            await self.until(self._quiet, "nothing is on its way any more", deadline_s)
            seq, sent = self.last_seq(), len(self.reports)
            await self.until(lambda: self._read_since(seq) >= 2, "every account is read twice again")  # noqa: B023
            if self._quiet() and len(self.reports) == sent:
                return

    def _quiet(self) -> bool:
        orders = [tracked.order for tracked in self.engine.state.child_orders.values()]
        if any(order.op is not None or order.due_ns for order in orders):
            return False
        held = {name: self._position(name) for name in (PARENT, *self.children)}
        if any(held[child] != held[PARENT] * RATIO for child in self.children) or not self.connected():
            return False
        working = {name: len(self.rehearsal.exchange.open_orders(name)) for name in held}
        return len(set(working.values())) == 1

    def _state(self) -> str:
        """What a failed wait has to say."""
        open_orders = [t.order for t in self.engine.state.child_orders.values() if t.order.state.is_open]
        doing = [(o.account, o.client_id, str(o.state), o.op) for o in open_orders]
        held = {name: str(self._position(name)) for name in (PARENT, *self.children)}
        lines = [entry.text for entry in self.desk.latest_lines(12)]
        return f"held {held}; on the way {doing}; the log's end {lines}"

    def _position(self, name: str) -> Decimal:
        return sum((position.quantity for position in self.rehearsal.exchange.positions(name)), Decimal(0))

    def last_seq(self) -> int:
        """The journal's last row."""
        self.journal.commit()
        return next(iter(self.journal.rows(newest_first=True, limit=1))).seq

    def inputs(self, after_seq: int = 0) -> list[Input]:
        """What the pure engine was given, from the journal."""
        self.journal.commit()
        decode = msgspec.json.Decoder(Input).decode
        return [decode(row.body) for row in self.journal.rows(kinds=("input",), after_seq=after_seq)]

    def _read_since(self, seq: int) -> int:
        """How often the account that was read least was read since then."""
        read = [given.account for given in self.inputs(seq) if isinstance(given, Snapped)]
        return min(read.count(name) for name in (PARENT, *self.children))

    # --- what the venue has -----------------------------------------------------------------------------------------

    def mark(self) -> int:
        """A moment: what happens from now on is `since` it."""
        return len(self.reports)

    def placed(self, account: str, since: int) -> list[Order]:
        """The orders that reached the venue since then, in that order, each as it is now."""
        exchange = self.rehearsal.exchange
        new = [r.order for r in self.reports[since:] if r.account == account and r.execution is Execution.NEW]
        assert account == PARENT or all(is_own(order.client_id) for order in new)
        return [exchange.find(account, venue_id=order.venue_id) for order in new]

    def told(self, account: str, since: int) -> list[tuple[str, str]]:
        """What happened there: (the venue's number of the order, why it was reported), trades of one order as one."""
        steps = [(r.order.venue_id, str(r.execution)) for r in self.reports[since:] if r.account == account]
        return [step for n, step in enumerate(steps) if step != (steps[n - 1] if n else None)]

    def reported(self, account: str, order: Order, after_seq: int = 0) -> bool:
        """True where the engine heard of the order by the stream."""
        events = [g.event for g in self.inputs(after_seq) if isinstance(g, Reported) and g.account == account]
        return any(getattr(getattr(event, "order", None), "venue_id", "") == order.venue_id for event in events)


def _ref(order: Order) -> OrderRef:
    return OrderRef(symbol=order.terms.symbol, type=order.terms.type, client_id=order.client_id, venue_id=order.venue_id)
