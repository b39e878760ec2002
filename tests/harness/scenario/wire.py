"""The whole desk over sockets: the Binance-futures rehearsal venue, the real client, the engine with its journal.

Each scenario has a venue and an engine of its own: both are up in a tenth of a second.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.bots import BotStore
from copydesk.config import Config
from copydesk.engine import Engine
from copydesk.errors import Conflict
from copydesk.feasibility import ChildPreview
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    Instrument,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
    Outcome,
    RehearsalSettings,
    RejectReason,
    Terms,
)
from copydesk.plans import StartOrder, StopOrder
from copydesk.plugins import describe_kind, load_plugin
from copydesk.secrets import SealedFile, variable_of
from copydesk.state import Desk
from copydesk.venue import Venue, open_venue
from copydesk.view import ConnectionState, LimitChange, TicketAction
from copydesk_binance.rehearsal import Options, Rehearsal
from copydesk_binance.rehearsal.wire import client_id
from copydesk_paper.exchange import Exchange, ExchangeRefusal
from copydesk_paper.market import Market
from copydesk_paper.records import MarketDepth
from copydesk_paper.serving.faults import Fault

from harness.scenario.lapse import Lapse
from harness.scenario.reading import OtherBot, Scenario
from harness.scenario.stage import BOT, CASH, Named, Said, ScenarioFailed, Stage, instrument_of

KIND = "binance-futures"
REST_S = 20.0
CONNECT_S = 90.0
REFUSALS = {
    RejectReason.MARGIN: "refuse-margin",
    RejectReason.QUANTITY: "refuse-notional",
    RejectReason.PRICE: "refuse-price",
    RejectReason.PERMISSION: "refuse-permission",
    RejectReason.NOTHING_TO_REDUCE: "refuse-reduce-only",
}
"""The venue's own faults behind the reasons to refuse."""


class StillMarket(Market):
    """One instrument, and nothing happens by itself."""

    def __init__(self, instrument: Instrument) -> None:
        super().__init__((instrument,), None)

    def books(self) -> list[MarketDepth]:
        return []

    def stream(self, exchange: Exchange) -> Iterator[Any]:
        return iter(())


class WireStage(Stage):
    """Runner B."""

    runner = KIND

    def __init__(self, scenario: Scenario, folder: Path, lapse: Lapse) -> None:
        super().__init__(scenario)
        self.folder = folder
        self.lapse = lapse
        self._open = ExitStack()
        self._people: dict[str, Venue] = {}
        self._numbers = itertools.count(1)
        self._mine: dict[str, str] = {}  # client ids of what people placed, by the venue's ids
        self._told: dict[str, list[tuple[Any, Any]]] = {}  # events of fills, as the stream carried them
        self._withheld: list[tuple[Any, Any]] = []
        self._hidden: dict[str, float] = {}

    # --- bringing it up ---------------------------------------------------------------------------------------------

    async def open(self) -> None:
        await self._open_venue()
        self.journal = Journal.open(self.folder / "journal.db")
        await self.engine_starts()
        await self.live.add_bot(self.settings)
        if not self.scenario.stopped:
            await self.bot_starts()
        for other in self.scenario.others:
            await self.live.add_bot(other.settings())
            await self.live.start_bot(other.name)

    async def _open_venue(self) -> None:
        accounts = {name: self.scenario.cash.get(name, CASH) for name in self.scenario.accounts}
        plenty = Options(weight_per_minute=1_000_000, orders_per_minute=100_000, orders_per_10s=100_000)
        settings = RehearsalSettings(kind=KIND, accounts=accounts, speed=Decimal(0))
        self.rehearsal = Rehearsal(
            settings, plenty, {key: {} for key in accounts}, StillMarket(instrument_of(self.scenario.market))
        )
        self.exchange = self.rehearsal.exchange
        for name in self.scenario.accounts:
            self.exchange.set_hedge_mode(name, self.scenario.hedge)
        self.exchange.listen(self.hear)
        self._watch()
        await self.rehearsal.start()
        self.show_market()
        for name, leverage in self.scenario.leverage.items():
            self.exchange.set_leverage(name, instrument_of(self.scenario.market).symbol, leverage)
        environment = self._open.enter_context(pytest.MonkeyPatch.context())
        for account in self.rehearsal.ready.accounts:
            for field, secret in account.secrets.items():
                environment.setenv(variable_of(account.name, field), secret)

    def _watch(self) -> None:
        """Count the requests that trade; remember what the private streams carry, and hold it back where it is hidden."""
        trade, tell = self.rehearsal.misbehaviour.trade, self.rehearsal.streams.tell

        async def counted(account: str, act: Callable[[], Any]) -> Any:
            self.requests[account] += 1
            return await trade(account, act)

        def told(account: Any, event: dict[str, Any]) -> None:
            if self._is_hidden(account.name):
                self._withheld.append((account, event))
                return
            if event.get("o", {}).get("x") == "TRADE":
                self._told.setdefault(account.name, []).append((account, event))
            tell(account, event)

        self.rehearsal.misbehaviour.trade = counted  # type: ignore[method-assign]
        self.rehearsal.streams.tell = told  # type: ignore[method-assign]

    async def close(self) -> None:
        with self._open:  # the environment as it was, whatever fails
            for person in self._people.values():
                await person.close()
            await self.engine.stop()
            self.journal.close()
            await self.rehearsal.stop()

    # --- time -------------------------------------------------------------------------------------------------------

    async def rest(self) -> None:
        await self.lapse.idle()
        end_s = self.lapse.loop.time() + REST_S
        while (self._withheld or self.uncertain()) and self.lapse.loop.time() < end_s:
            await self.lapse.jump(end_s)

    async def time_passes(self, time: int) -> None:
        await self.lapse.idle()
        end_s = self.lapse.loop.time() + time / 1000
        while await self.lapse.jump(end_s):
            pass

    async def _until(self, condition: Callable[[], bool], what: str) -> None:
        await self.lapse.idle()
        end_s = self.lapse.loop.time() + CONNECT_S
        while not condition():
            if not await self.lapse.jump(end_s):
                raise ScenarioFailed(f"not within {CONNECT_S:g} s: {what}")

    # --- the engine ---------------------------------------------------------------------------------------------------

    @property
    def desk(self) -> Desk:
        return self.engine.state

    def log(self) -> Sequence[Said]:
        entries = reversed(self.live.latest_lines(2000))
        return [Said(entry.kind, entry.text, entry.account, entry.data) for entry in entries]

    async def engine_starts(self) -> None:
        accounts = self.rehearsal.ready.accounts
        connections = {account.name: {"kind": KIND, **account.options} for account in accounts}
        self.config = Config.model_validate({"engine": self.scenario.engine, "connections": connections})
        store = BotStore.load(self.folder)
        self.engine = Engine(self.config, store, self.journal, SealedFile(self.folder, lambda: "nothing is sealed"))
        await self.engine.start()
        self.live = LiveDesk(self.engine, self.config, store)
        self.live.start()
        await self._until(self._is_connected, "everybody is connected")

    def _is_connected(self) -> bool:
        away = self.rehearsal.away
        states = {account.key: account.state for account in self.live.account_views()}
        return all(state is ConnectionState.CONNECTED for key, state in states.items() if key not in away)

    async def engine_crashes(self) -> None:
        self.engine.outgoing.abandon()  # nothing that is on its way is waited for
        await self.engine.stop()

    async def bot_starts(self, policy: str = "") -> None:
        """Look at the plan, and confirm it."""
        order = StartOrder(policy=policy)
        plan = await self.live.plan_start(BOT, order)
        await self.live.start_bot(BOT, StartOrder(policy=policy, digest=plan.digest))

    async def bot_is_refused(self, words: str) -> None:
        try:
            await self.live.start_bot(BOT)
        except Conflict as error:
            if words in str(error):
                return
            raise
        raise ScenarioFailed("it was started")

    async def another_is_refused(self, account: str, name: str, words: str) -> None:
        try:
            await self.live.add_bot(OtherBot("another", account, name, "x1").settings())
        except Conflict as refusal:
            if words in str(refusal):
                return
            raise
        raise ScenarioFailed("it is taken")

    async def sends_ticket(self, account: str) -> None:
        with suppress(Conflict):  # whoever expects it to go sees what became of it
            await self.live.send_ticket(self.ticket(account).id, TicketAction(actor="a person"))

    async def dismisses_ticket(self, account: str) -> None:
        await self.live.dismiss_ticket(self.ticket(account).id, TicketAction(actor="a person"))

    async def preview(self, account: str) -> ChildPreview:
        preview = await self.live.preview(self.settings, 20)
        return next(child for child in preview.children if child.account == account)

    async def bot_stops(self, policy: str = "") -> None:
        plan = await self.live.plan_stop(BOT, StopOrder(policy=policy))
        await self.live.stop_bot(BOT, StopOrder(policy=policy, digest=plan.digest))

    async def trading_becomes(self, account: str, state: str) -> None:
        await self.live.set_limit(account, LimitChange(state=state, actor="a person"))

    @property
    def now_ns(self) -> int:
        return time.time_ns()

    async def configure(self) -> None:
        await self.live.change_bot(BOT, self.settings)

    # --- people -------------------------------------------------------------------------------------------------------

    async def _person(self, account: str) -> Venue:
        """A login of the account's own, which the engine knows nothing of."""
        if account not in self._people:
            login = next(one for one in self.rehearsal.ready.accounts if one.name == account)
            settings = ConnectionSettings(name=account, kind=KIND, options=login.options, secrets=login.secrets)
            self._people[account] = await open_venue(load_plugin(KIND), settings)
        return self._people[account]

    @contextmanager
    def _at_home(self, account: str) -> Iterator[None]:
        """A person has a line of their own where the engine's is cut."""
        away = account in self.rehearsal.away
        self.rehearsal.let_in(account)
        yield
        if away:
            self.rehearsal.server.cut_off.add(account)

    async def place(self, account: str, terms: Terms) -> Order:
        new = NewOrder(client_id=f"mine-{next(self._numbers)}", terms=terms)
        with self._at_home(account):
            person = await self._person(account)
            order = self._done(account, await person.place(new))
        assert order is not None
        self._mine[order.venue_id] = new.client_id
        return order

    async def amend(self, account: str, order: Order, terms: Terms) -> None:
        ref = self._ref(order)
        if terms.type in describe_kind(KIND).capabilities.amend:
            with self._at_home(account):
                person = await self._person(account)
                self._done(account, await person.modify(OrderChange(ref=ref, terms=terms)))
            return
        # The venue has no amend for it: a person cancels and places anew, under the same name in the scenario.
        name = next((name for name, named in self.names.items() if named.venue_id == ref.venue_id), "")
        await self.cancel(account, order)
        self.names[name] = Named(account, (await self.place(account, terms)).venue_id)

    async def cancel(self, account: str, order: Order) -> None:
        with self._at_home(account):
            person = await self._person(account)
            self._done(account, await person.cancel(self._ref(order)))

    def find(self, account: str, venue_id: str) -> Order:
        orders = self.exchange.orders(account)
        return next(order for order in orders if self.client_id(order) == self._mine[venue_id])

    def _ref(self, order: Order) -> OrderRef:
        name = self.client_id(order)
        ids = {client_id: venue_id for venue_id, client_id in self._mine.items()}
        venue_id = ids.get(name, order.venue_id)
        return OrderRef(symbol=order.terms.symbol, type=order.terms.type, client_id=name, venue_id=venue_id)

    def _done(self, account: str, outcome: Outcome) -> Order | None:
        self.requests[account] -= 1  # it was not the engine's
        if not isinstance(outcome, Accepted):
            raise ScenarioFailed(f"the venue says {outcome}")
        return outcome.order

    def client_id(self, order: Order) -> str:
        return client_id(order)

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _fault(self, name: str, account: str, count: int = 1) -> None:
        self.rehearsal.misbehaviour.add(Fault(name=name, account=account, count=count))

    async def venue_loses_reply(self, account: str, count: int = 1) -> None:
        self._fault("lose-reply", account, count)

    async def venue_loses_request(self, account: str) -> None:
        self._fault("lose-request", account)

    async def venue_is_busy(self, account: str, count: int) -> None:
        self._fault("overload", account, count)

    async def venue_refuses(self, account: str, reason: RejectReason, count: int = 1) -> None:
        if reason not in REFUSALS:
            raise ScenarioFailed(f"this venue can refuse for {', '.join(REFUSALS)}")
        self._fault(REFUSALS[reason], account, count)

    async def venue_repeats(self, account: str, count: int) -> None:
        for owner, event in self._told.get(account, [])[-count:]:
            self.rehearsal.streams.tell(owner, event)

    async def venue_hides(self, account: str, time: int) -> None:
        """Accept what comes, answer nothing, and know nothing of it until the time is over; then the stream tells."""
        self._fault("lose-reply", account)
        self._hidden[account] = self.lapse.loop.time() + time / 1000
        exchange, since = self.exchange, len(self.exchange.orders(account))
        find, orders, open_orders, fills = exchange.find, exchange.orders, exchange.open_orders, exchange.fills

        def unseen() -> set[str]:
            return {order.venue_id for order in orders(account)[since:]}

        def hides(owner: str) -> bool:
            return owner == account and self._is_hidden(account)

        def finds(owner: str, **name: str) -> Order:
            order = find(owner, **name)
            if hides(owner) and order.venue_id in unseen():
                raise ExchangeRefusal(RejectReason.NOT_FOUND, "unknown-order", "no such order")
            return order

        exchange.find = finds  # type: ignore[method-assign]
        for name, read in (("orders", orders), ("open_orders", open_orders), ("fills", fills)):
            setattr(exchange, name, _without(read, hides, unseen))
        self.lapse.loop.call_later(time / 1000, self._reveal)

    def _is_hidden(self, account: str) -> bool:
        return self.lapse.loop.time() < self._hidden.get(account, 0.0)

    def _reveal(self) -> None:
        self._hidden.clear()
        late, self._withheld = self._withheld, []
        for account, event in late:
            self.rehearsal.streams.tell(account, event)

    async def goes_down(self, account: str) -> None:
        self.rehearsal.cut_off(account)
        await self._until(lambda: not self._has(account), f"{account} is down")

    async def comes_back(self, account: str) -> None:
        self.rehearsal.let_in(account)
        await self._until(lambda: self._has(account), f"{account} is connected again")

    def _has(self, account: str) -> bool:
        known = self.engine.state.accounts.get(account)
        return known is not None and known.connected


def _without(read: Callable[..., Any], hides: Callable[[str], bool], unseen: Callable[[], set[str]]) -> Callable[..., Any]:
    def filtered(owner: str, *args: Any, **more: Any) -> Any:
        found = read(owner, *args, **more)
        return [one for one in found if one.venue_id not in unseen()] if hides(owner) else found

    return filtered
