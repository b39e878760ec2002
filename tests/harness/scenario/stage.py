"""What a runner has to offer, and how a scenario is played on it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from copydesk.cli.bots import changed_children
from copydesk.config import BotSettings, check_bot
from copydesk.drifting import drift
from copydesk.feasibility import ChildPreview
from copydesk.ids import client_order_id, is_own
from copydesk.inputs import ChildRules
from copydesk.model import Contract, Instrument, Order, RejectReason, Terms, from_json
from copydesk.rules import rules_of
from copydesk.state import Desk
from copydesk.tickets import standing_of, why_not
from copydesk.tracking import State
from copydesk.view import DriftView, Ticket
from copydesk.views import health
from copydesk.wording import number
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Execution, MarketDepth, MarketTrade, OrderReport, Report

from harness.scenario.reading import PARENT, Market, Scenario, Step
from harness.scenario.words import SYMBOL, OrderWords, words_of, words_of_order

PLENTY = Decimal(1_000_000)
CASH = Decimal(1_000_000)
BOT = "bot"


_UNSETTLED = (State.SENDING, State.UNKNOWN, State.WAITING)


class ScenarioFailed(AssertionError):
    """A check does not hold, or a step cannot be taken: file, line, the step, what there is instead."""


@dataclass(frozen=True)
class Said:
    """One line of the log of actions."""

    kind: str
    text: str
    account: str
    data: dict[str, object]


@dataclass(frozen=True)
class Named:
    """An order that a person placed, by the id that its venue tells."""

    account: str
    venue_id: str


def instrument_of(market: Market, *, spot: bool = False) -> Instrument:
    return Instrument(
        symbol=SYMBOL,
        base="BTC",
        quote="USDT",
        settle="USDT",
        contract=Contract.SPOT if spot else Contract.LINEAR,
        price_tick=market.tick,
        quantity_step=market.step,
        min_quantity=market.minimum or market.step,
        max_quantity=PLENTY,
        market_max_quantity=PLENTY,
        min_notional=market.notional,
    )


class Stage(ABC):
    """One desk, venue and market, on which a scenario is played. Times are of the stage's own clock.

    A method of an action returns at once, or as soon as the venue has answered a person; `rest` lets everything follow.
    """

    exchange: Exchange

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.settings: BotSettings = scenario.settings()
        self.names: dict[str, Named] = {}  # by what the scenario calls an order
        self.requests: dict[str, int] = dict.fromkeys(scenario.accounts, 0)  # that reached the venue, refused ones too
        self.placed: dict[str, list[Terms]] = {account: [] for account in scenario.accounts}
        self._requests_before: dict[str, int] = dict(self.requests)
        self._placed_before: dict[str, int] = dict.fromkeys(scenario.accounts, 0)
        self.fills: list[OrderReport] = []
        self.price = scenario.market.price
        self.depth = PLENTY
        self._others = 0

    # --- what a runner does ---------------------------------------------------------------------------------------

    @abstractmethod
    async def open(self) -> None:
        """Bring everything up; the bot works unless the scenario has it stopped."""

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def rest(self) -> None:
        """Let everything that is on its way arrive, and what is uncertain be settled."""

    @abstractmethod
    async def time_passes(self, time: int) -> None: ...

    @abstractmethod
    async def place(self, account: str, terms: Terms) -> Order: ...

    @abstractmethod
    async def amend(self, account: str, order: Order, terms: Terms) -> None: ...

    @abstractmethod
    async def cancel(self, account: str, order: Order) -> None: ...

    @abstractmethod
    async def venue_loses_reply(self, account: str, count: int = 1) -> None: ...

    @abstractmethod
    async def venue_loses_request(self, account: str) -> None: ...

    @abstractmethod
    async def venue_hides(self, account: str, time: int) -> None: ...

    @abstractmethod
    async def venue_is_busy(self, account: str, count: int) -> None: ...

    @abstractmethod
    async def venue_refuses(self, account: str, reason: RejectReason, count: int = 1) -> None: ...

    @abstractmethod
    async def venue_repeats(self, account: str, count: int) -> None: ...

    @abstractmethod
    async def goes_down(self, account: str) -> None: ...

    @abstractmethod
    async def comes_back(self, account: str) -> None: ...

    @abstractmethod
    async def engine_crashes(self) -> None: ...

    @abstractmethod
    async def engine_starts(self) -> None: ...

    @abstractmethod
    async def bot_starts(self, policy: str = "") -> None: ...

    @abstractmethod
    async def bot_is_refused(self, words: str) -> None:
        """Try to start the bot; it must be refused with these words."""

    @abstractmethod
    async def bot_stops(self, policy: str = "") -> None: ...

    @abstractmethod
    async def trading_becomes(self, account: str, state: str) -> None: ...

    @abstractmethod
    async def configure(self) -> None:
        """Give the engine the settings as they are now."""

    @abstractmethod
    async def another_is_refused(self, account: str, name: str, words: str) -> None:
        """Try to make a bot that copies one account to the other; it must be refused with these words."""

    @abstractmethod
    async def sends_ticket(self, account: str) -> None: ...

    @abstractmethod
    async def dismisses_ticket(self, account: str) -> None: ...

    @abstractmethod
    async def preview(self, account: str) -> ChildPreview:
        """What the child could follow, from all trades of the parent so far."""

    @property
    @abstractmethod
    def desk(self) -> Desk:
        """The engine's state."""

    @abstractmethod
    def log(self) -> Sequence[Said]:
        """The log of actions so far."""

    # --- the parent, and people -----------------------------------------------------------------------------------

    async def parent_places(self, order: OrderWords) -> None:
        await self._places(PARENT, order)

    async def parent_places_as_one(self, group: list[OrderWords]) -> None:
        legs = self.exchange.place_group(PARENT, [(order.terms, "") for order in group])
        for order, placed in zip(group, legs, strict=True):
            if order.name:
                self.names[order.name] = Named(PARENT, placed.venue_id)

    async def _places(self, account: str, order: OrderWords) -> None:
        placed = await self.place(account, order.terms)
        if order.name:
            self.names[order.name] = Named(account, placed.venue_id)

    async def another_bot_trades(self, account: str, order: OrderWords) -> None:
        """An order that a copydesk sent: nobody copies it."""
        self._others += 1
        client_id = client_order_id("another-bot", account, str(self._others))
        self.exchange.place(account, order.terms, client_id)

    async def parent_places_many(self, count: int, order: OrderWords) -> None:
        for _ in range(count):
            await self.place(PARENT, order.terms)

    async def parent_moves(self, name: str, price: Decimal) -> None:
        order = self._named(PARENT, name)
        changed = {"price": price} if order.terms.trigger_price is None else {"trigger_price": price}
        await self.amend(PARENT, order, msgspec.structs.replace(order.terms, **changed))

    async def parent_resizes(self, name: str, quantity: Decimal) -> None:
        order = self._named(PARENT, name)
        await self.amend(PARENT, order, msgspec.structs.replace(order.terms, quantity=quantity))

    async def parent_drags(self, name: str, price: Decimal, count: int, time: int = 0) -> None:
        """Move an order to `price` in equal steps, with time between them; without any, all in one moment."""
        order = self._named(PARENT, name)
        terms = order.terms
        start = terms.price if terms.trigger_price is None else terms.trigger_price
        assert start is not None
        tick = self.scenario.market.tick
        for n in range(1, count + 1):
            step = (start + (price - start) * n / count).quantize(tick)
            if time:
                await self.parent_moves(name, step)
                await self.time_passes(time // count)
            else:
                changed = {"price": step} if terms.trigger_price is None else {"trigger_price": step}
                self.exchange.modify(PARENT, venue_id=order.venue_id, **changed)

    async def parent_cancels(self, name: str) -> None:
        await self.hand_cancels(PARENT, name)

    async def hand_places(self, account: str, order: OrderWords) -> None:
        await self._places(account, order)

    async def hand_cancels(self, account: str, name: str) -> None:
        orders = self.exchange.open_orders(account) if name == "everything" else [self._order(account, name)]
        for order in orders:
            await self.cancel(account, order)

    async def deposits(self, account: str, amount: Decimal) -> None:
        self.exchange.deposit(account, amount)

    async def withdraws(self, account: str, amount: Decimal) -> None:
        self.exchange.deposit(account, -amount)

    def _named(self, account: str, name: str) -> Order:
        known = self.names.get(name)
        if known is None or known.account != account:
            raise ScenarioFailed(f"no order of {account} is called {name!r}: {', '.join(self.names) or 'none has a name'}")
        return self.find(account, known.venue_id)

    def _order(self, account: str, name: str) -> Order:
        """The account's own order of that name, or its newest copy of the parent's."""
        known = self.names.get(name)
        if known is None or known.account == account:
            return self._named(account, name)
        copies = [
            tracked.order.client_id
            for (owner, _), tracked in self.desk.child_orders.items()
            if owner == account and tracked.order.cause == known.venue_id
        ]
        if not copies:
            raise ScenarioFailed(f"{account} has no copy of {name!r}")
        return next(order for order in self.exchange.orders(account) if self.client_id(order) == copies[-1])

    def find(self, account: str, venue_id: str) -> Order:
        """The exchange's own record of an order, by the id that its venue tells."""
        return self.exchange.find(account, venue_id=venue_id)

    # --- the market -------------------------------------------------------------------------------------------------

    async def market_moves(self, price: Decimal) -> None:
        self.price = price
        self.show_market()

    async def market_depth(self, quantity: Decimal) -> None:
        self.depth = quantity
        self.show_market()

    async def market_trades(self, quantity: Decimal, price: Decimal) -> None:
        """Somebody trades through the book to `price`: what rests on the way is filled."""
        down = price < self.price
        self.exchange.apply(MarketTrade(symbol=SYMBOL, price=price, quantity=quantity, buyer_is_maker=down))

    def show_market(self) -> None:
        tick, price = self.scenario.market.tick, self.price
        bids, asks = ((price - tick, self.depth),), ((price + tick, self.depth),)
        self.exchange.apply(MarketDepth(symbol=SYMBOL, bids=bids, asks=asks, snapshot=True))
        self.exchange.apply(
            MarketTrade(symbol=SYMBOL, price=price, quantity=self.scenario.market.step, buyer_is_maker=True)
        )

    async def venue_fills(self, account: str, name: str, quantity: Decimal) -> None:
        self.exchange.fill(account, quantity, venue_id=self._order(account, name).venue_id)

    async def venue_fills_all(self, account: str, name: str) -> None:
        await self.venue_fills(account, name, PLENTY)

    async def position_mode(self, account: str, mode: str) -> None:
        self.exchange.set_hedge_mode(account, mode == "hedge")

    # --- settings -----------------------------------------------------------------------------------------------------

    async def settings_become(self, account: str, settings: str) -> None:
        size = next(child for child in self.settings.children if child.account == account)
        text = settings if settings[0] in "x0123456789" else f"{_size(size.mode, size.value)},{settings}"
        table = self.settings.model_dump(exclude_unset=True)
        self.settings = check_bot(table | {"children": changed_children(self.settings, [f"{account}={text}"], [])})
        await self.configure()

    async def taken_out(self, account: str) -> None:
        table = self.settings.model_dump(exclude_unset=True)
        self.settings = check_bot(table | {"children": changed_children(self.settings, [], [account])})
        await self.configure()

    # --- tickets and previews -----------------------------------------------------------------------------------------

    def ticket(self, account: str) -> Ticket:
        """The newest one of the account, as it stands."""
        found = [ticket for ticket in self.desk.tickets.values() if ticket.child == account]
        if not found:
            raise ScenarioFailed(f"{account} has no ticket")
        return standing_of(found[-1], self.now_ns)

    async def cannot_send_ticket(self, account: str, words: str) -> None:
        fault = why_not(self.desk, self.ticket(account).id, self.now_ns)
        if words not in fault:
            raise ScenarioFailed(f"it may be sent: {fault or 'nothing stands against it'}")
        await self.sends_ticket(account)

    async def preview_has_smallest(self, account: str, quantity: Decimal) -> None:
        found = await self.preview(account)
        _same([one.smallest_parent_order for one in found.symbols], [quantity], f"{found.problem} the preview has")

    async def preview_skips(self, account: str, count: int, words: str) -> None:
        skipped = (await self.preview(account)).skipped
        reasons = " | ".join(one.reason for one in skipped)
        if len(skipped) != count or not all(words in one.reason for one in skipped):
            raise ScenarioFailed(f"it skips {len(skipped)}: {reasons}")

    def uncertain(self) -> bool:
        """Something of ours is on its way, or its fate is not known."""
        orders = [tracked.order for tracked in self.desk.child_orders.values()]
        return any(
            order.op is not None or order.state in _UNSETTLED or (order.due_ns and order.state.is_ended) for order in orders
        )

    # --- keeping count ------------------------------------------------------------------------------------------------

    def mark(self) -> None:
        """From here on a check counts what was sent."""
        self._requests_before = dict(self.requests)
        self._placed_before = {account: len(orders) for account, orders in self.placed.items()}

    def hear(self, report: Report) -> None:
        """Keep what happened to any order."""
        if isinstance(report, OrderReport) and report.account in self.placed:
            if report.execution is Execution.NEW and is_own(self.client_id(report.order)):
                self.placed[report.account].append(report.order.terms)
            if report.execution is Execution.TRADE:
                self.fills.append(report)

    def client_id(self, order: Order) -> str:
        """The client id of an order as its owner knows it."""
        return order.client_id

    # --- checks -------------------------------------------------------------------------------------------------------

    def held(self, account: str) -> list[Decimal]:
        return [position.quantity for position in self.exchange.positions(account) if position.quantity]

    def shall_be_flat(self, account: str) -> None:
        _same(self.held(account), [], f"{account} holds")

    def shall_hold(self, account: str, holding: Decimal) -> None:
        _same(self.held(account), [holding] if holding else [], f"{account} holds")

    def shall_have_copied(self, account: str, holding: Decimal) -> None:
        bot = self.desk.bots[BOT]
        copied = sum((link.attributed for (child, _), link in bot.links.items() if child == account), Decimal(0))
        _same(copied, holding, f"of {account}'s position the copied part is")

    def shall_have_no_orders(self, account: str) -> None:
        self.shall_have(account, [])

    def shall_have(self, account: str, orders: list[Terms]) -> None:
        """Exactly these orders work."""
        working = self.exchange.open_orders(account)
        found, wanted = sorted(words_of(order.terms) for order in working), sorted(map(words_of, orders))
        if found != wanted:
            there = "; ".join(map(words_of_order, working)) or "none"
            raise ScenarioFailed(f"{account}'s working orders are: {there}")

    def shall_place(self, account: str, orders: list[Terms]) -> None:
        """Exactly these came since the last check."""
        placed = self.placed[account][self._placed_before[account] :]
        if [words_of(terms) for terms in placed] != [words_of(terms) for terms in orders]:
            raise ScenarioFailed(f"{account} placed: {'; '.join(map(words_of, placed)) or 'nothing'}")

    def sent(self, account: str) -> int:
        return self.requests[account] - self._requests_before[account]

    def shall_send_nothing(self, account: str) -> None:
        self.shall_send(account, 0)

    def shall_send(self, account: str, count: int) -> None:
        if self.sent(account) != count:
            last = " | ".join(line.text for line in self.log()[-5:])
            raise ScenarioFailed(f"{account} sent {self.sent(account)} requests; the log's end: {last}")

    def shall_send_at_most(self, account: str, count: int) -> None:
        if self.sent(account) > count:
            raise ScenarioFailed(f"{account} sent {self.sent(account)} requests")

    def all_shall_send_at_most(self, count: int) -> None:
        sent = sum(self.sent(child) for child in self.scenario.children)
        if sent > count:
            raise ScenarioFailed(f"all children together sent {sent} requests")

    def drifts(self, account: str) -> list[DriftView]:
        bot = self.desk.bots[BOT]
        links = [link for (child, _), link in bot.links.items() if child == account]
        views = [drift(self.desk, bot, link) for link in links]
        return [view for view in views if view is not None and view.difference]

    def shall_not_drift(self, account: str) -> None:
        _same([(view.difference, view.cause) for view in self.drifts(account)], [], f"{account} drifts by")

    def shall_drift(self, account: str, holding: Decimal, cause: str) -> None:
        found = [(view.difference, view.cause) for view in self.drifts(account)]
        _same(found, [(holding, cause)], f"{account} drifts by")

    def leverage_shall_be(self, account: str, count: int) -> None:
        _same(self.exchange.leverage(account, SYMBOL), count, f"the leverage of {account} is")

    def bot_shall_be(self, status: str) -> None:
        _same("Working" if self.desk.bots[BOT].working else "Stopped", status, "the bot is")

    def shall_have_been_naked(self, account: str, time: int) -> None:
        """Counted over all symbols, what still lasts included."""
        links = [link for (child, _), link in self.desk.bots[BOT].links.items() if child == account]
        lasted = sum(link.naked_ns + (self.now_ns - link.naked_since_ns if link.naked_since_ns else 0) for link in links)
        if lasted > time * 1_000_000:
            raise ScenarioFailed(f"{account} was without a stop for {lasted / 1e6:g} ms")

    @property
    @abstractmethod
    def now_ns(self) -> int: ...

    def tickets(self, account: str) -> list[str]:
        said = [line for line in self.log() if line.account == account and "ticket" in line.data]
        return [words_of(from_json(str(line.data["ticket"]), Terms)) for line in said]

    def shall_have_ticket(self, account: str, order: OrderWords) -> None:
        if not any(words.startswith(words_of(order.terms)) for words in self.tickets(account)):
            raise ScenarioFailed(f"{account}'s tickets are: {'; '.join(self.tickets(account)) or 'none'}")

    def shall_have_no_ticket(self, account: str) -> None:
        _same(self.tickets(account), [], f"{account}'s tickets are")

    def ticket_shall_be(self, account: str, ticket: str) -> None:
        _same(self.ticket(account).status, ticket, f"the ticket of {account} is")

    def shall_be(self, account: str, health: str) -> None:
        _same(_health(self.desk, account), health, f"{account} is")

    def log_shall_say(self, words: str) -> None:
        if not any(words in line.text for line in self.log()):
            raise ScenarioFailed("the log says: " + " | ".join(line.text for line in self.log()[-12:]))

    def log_shall_not_say(self, words: str) -> None:
        said = [line.text for line in self.log() if words in line.text]
        if said:
            raise ScenarioFailed(f"the log says: {said[0]}")


def _size(mode: str, value: Decimal) -> str:
    return f"x{value}" if mode == "multiplier" else f"{value}%"


def _health(desk: Desk, account: str) -> str:
    return health(desk, desk.bots[BOT], account)


def _same(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise ScenarioFailed(f"{what} {_shown(found)}")


def _shown(found: object) -> str:
    if isinstance(found, Decimal):
        return number(found)
    if isinstance(found, (list, tuple)):
        return ", ".join(map(_shown, found)) or "nothing"
    return str(found)


def child_rules(settings: BotSettings, kind: str) -> tuple[ChildRules, ...]:
    return rules_of(settings, kind).children


# --- playing ----------------------------------------------------------------------------------------------------------


def now(work: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


async def play(stage: Stage) -> None:
    """Play the whole scenario. Raises `ScenarioFailed` at the first step that does not go as it is written."""
    scenario = stage.scenario
    await stage.open()
    try:
        await stage.rest()
        checked = True
        for n, step in enumerate(scenario.steps):
            if step.phrase.is_check:
                for values in _for_each(scenario, step):
                    with _at(scenario, step):
                        getattr(stage, step.phrase.verb)(**values)
            else:
                if checked:
                    stage.mark()
                for values in _for_each(scenario, step):
                    with _at(scenario, step):
                        await getattr(stage, step.phrase.verb)(**values)
                if not (n + 1 < len(scenario.steps) and scenario.steps[n + 1].together):
                    await stage.rest()
            checked = step.phrase.is_check
    finally:
        await stage.close()


def _for_each(scenario: Scenario, step: Step) -> Iterable[dict[str, object]]:
    """The step's values; once for each child where it says `every child`."""
    if step.values.get("account") != "every child":
        return [step.values]
    return [step.values | {"account": child} for child in scenario.children]


class _at:  # noqa: N801 - reads as a word
    """Adds to a failure where in the file it is."""

    def __init__(self, scenario: Scenario, step: Step) -> None:
        self._where = f"{scenario.path.name}, line {step.line}: {step.text}"

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            raise ScenarioFailed(f"{self._where}: {error}") from error
