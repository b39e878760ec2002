"""The pure engine in a closed loop with the matching engine: no sockets, no clock but the test's own.

The parent trades on the exchange; what the exchange reports is fed to the engine; what the engine intends is done on
the exchange; what came of it is fed back. A test may hold reports, replies or requests back, lose them, repeat and reorder
them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from copydesk.copier import Copier
from copydesk.inputs import (
    AccountDown,
    BotRules,
    BotStarted,
    Cancel,
    ChildRules,
    Configured,
    Decision,
    EngineStarted,
    Input,
    InstrumentSeen,
    LookUp,
    Modify,
    Note,
    Place,
    PlaceGroup,
    Reported,
    Settled,
    Snapped,
    Ticked,
)
from copydesk.model import (
    Accepted,
    BalanceEvent,
    Capabilities,
    Contract,
    FillEvent,
    Instrument,
    Order,
    OrderEvent,
    OrderRef,
    OrderType,
    Outcome,
    PositionEvent,
    PositionSide,
    Rejected,
    Scope,
    Side,
    Snapshot,
    Terms,
    Unknown,
    to_json,
)
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import AccountReport, MarketDepth, MarketTrade, OrderReport, Report
from copydesk_paper.refusal import ExchangeRefusal

from harness import decided

D = Decimal
KIND = "paper"
PARENT = "parent"
START_NS = 1_795_000_000_000_000_000

SOON_MS = 30 * 60_000
"""What is due later than that is not waited for."""

SYMBOL = "BTCUSDT"
PRICE, PLENTY = D(60_000), D(10_000)


def instrument(step: str = "0.001", *, tick: str = "0.1", minimum: str = "0") -> Instrument:
    return Instrument(
        symbol=SYMBOL,
        base="BTC",
        quote="USDT",
        settle="USDT",
        contract=Contract.LINEAR,
        price_tick=D(tick),
        quantity_step=D(step),
        min_quantity=D(step),
        max_quantity=D(100000),
        market_max_quantity=D(100000),
        min_notional=D(minimum),
    )


def child(account: str, *, k: str | None = None, percent: str = "100", **more: object) -> ChildRules:
    if k is not None:
        return ChildRules(account=account, mode="multiplier", value=D(k), **more)  # type: ignore[arg-type]
    return ChildRules(account=account, mode="percentage", value=D(percent), **more)  # type: ignore[arg-type]


@dataclass
class ClosedLoop:
    """One parent, its children, one bot named `bot`."""

    children: tuple[ChildRules, ...]
    instrument: Instrument = field(default_factory=instrument)
    cash: dict[str, Decimal] = field(default_factory=dict)
    hedge: bool = False
    amendable: frozenset[OrderType] = frozenset({OrderType.LIMIT})
    price: Decimal = PRICE
    soon_ms: int = SOON_MS  # timers beyond it are not waited for by `settle`
    nets: bool = True
    final: bool = False  # the venue says of what it does not have that it never arrived
    reduce_only: bool = True
    budget: dict[str, Any] = field(default_factory=dict)  # what the venue's limits are: fields of `Capabilities`
    oco: bool = False
    bots: tuple[BotRules, ...] = ()  # beside the first
    binds: bool = False  # exits bind what they would sell
    free: bool = False  # trading costs no fees
    types: frozenset[OrderType] = frozenset(OrderType)  # that the venue has

    def __post_init__(self) -> None:
        self.now_ns = START_NS
        self.copier = Copier()
        fees = {"maker_fee": D(0), "taker_fee": D(0)} if self.free else {}
        self.exchange = Exchange([self.instrument], now_ms=lambda: self.now_ns // 1_000_000, **fees)
        self.down: set[str] = set()
        self.inputs: list[bytes] = []
        self.intents: list[Place | PlaceGroup | Modify | Cancel | LookUp] = []
        self.notes: list[Note] = []
        self.sent: list[tuple[str, str, str]] = []  # (account, client id, what) of every request that reached the venue
        self.reports: list[Reported] = []  # waiting to be delivered
        self.queue: list[Place | PlaceGroup | Modify | Cancel | LookUp] = []  # waiting to be carried out
        self.fault: Callable[[Place | PlaceGroup | Modify | Cancel], Outcome | str | None] = lambda intent: None
        self.shuffle: random.Random | None = None
        self.prices(self.price)
        followers = (*self.children, *(rules for bot in self.bots for rules in bot.children))
        for account in dict.fromkeys((PARENT, *(rules.account for rules in followers))):
            self.exchange.open_account(account, self.cash.get(account, D(10_000_000)), hedge_mode=self.hedge)
        self.exchange.listen(self._hear)
        self.can = Capabilities(
            amend=self.amendable,
            hedge_mode=True,
            nets_positions=self.nets,
            reduce_only=self.reduce_only,
            native_oco=self.oco,
            exits_bind=self.binds,
            order_types=self.types,
            **self.budget,
        )
        bot = BotRules(name="bot", kind=KIND, parent=PARENT, children=self.children)
        self.feed(EngineStarted(at_ns=self.now_ns))
        self.feed(Configured(at_ns=self.now_ns, bots=(bot, *self.bots), capabilities={KIND: self.can}))
        self.feed(InstrumentSeen(at_ns=self.now_ns, kind=KIND, instrument=self.instrument))
        for account in dict.fromkeys(rules.account for rules in followers):
            self.feed(Snapped(at_ns=self.now_ns, account=account, snapshot=self.snapshot(account)))

    # --- the world ------------------------------------------------------------------------------------------------

    def start(self) -> ClosedLoop:
        self.feed(BotStarted(at_ns=self.now_ns, bot="bot", snapshot=self.snapshot(PARENT)))
        self.pass_time(1)
        return self

    def prices(self, price: Decimal, depth: Decimal = PLENTY) -> None:
        """Put the market at `price`, with enough on both sides."""
        tick = self.instrument.price_tick
        self.exchange.apply(
            MarketDepth(
                symbol=SYMBOL,
                bids=((price - tick, depth),),
                asks=((price + tick, depth),),
                snapshot=True,
            )
        )
        if self.exchange.accounts:
            self.exchange.apply(MarketTrade(symbol=SYMBOL, price=price, quantity=tick, buyer_is_maker=True))

    def trade(self, price: str, quantity: str) -> None:
        """Somebody sells `quantity` down to `price`: it fills what rests there."""
        self.exchange.apply(MarketTrade(symbol=SYMBOL, price=D(price), quantity=D(quantity), buyer_is_maker=True))

    def pass_time(self, milliseconds: int) -> None:
        self.now_ns += milliseconds * 1_000_000
        while 0 < self.copier.next_due_ns <= self.now_ns:
            self.feed(Ticked(at_ns=self.now_ns))

    def snapshot(self, account: str, look_up: tuple[OrderRef, ...] = (), since_ms: int = 0) -> Snapshot:
        orders = {order.venue_id: order for order in self.exchange.open_orders(account)}
        for order in self.exchange.orders(account, since_ms=since_ms) if since_ms else []:
            orders[order.venue_id] = order
        absent = []
        for ref in look_up:
            try:
                found = self.exchange.find(account, client_id=ref.client_id, venue_id="" if ref.client_id else ref.venue_id)
            except ExchangeRefusal:
                absent.append(ref.client_id or ref.venue_id)
            else:
                orders[found.venue_id] = found
        return Snapshot(
            account=account,
            scope=Scope.ORDERS if look_up else Scope.ACCOUNT,
            time_ms=self.now_ns // 1_000_000,
            orders=tuple(orders.values()),
            positions=tuple(self.exchange.positions(account)),
            balance=self.exchange.balance(account),
            fills=tuple(self.exchange.fills(account, since_ms=since_ms)) if since_ms else (),
            absent=tuple(absent),
        )

    def _hear(self, report: Report) -> None:
        at_ns = self.now_ns
        if not isinstance(report, OrderReport | AccountReport) or report.account in self.down:
            return
        if isinstance(report, OrderReport):
            self.reports.append(Reported(at_ns=at_ns, account=report.account, event=OrderEvent(order=report.order)))
            if report.fill is not None:
                self.reports.append(Reported(at_ns=at_ns, account=report.account, event=FillEvent(fill=report.fill)))
        else:
            self.reports.append(Reported(at_ns=at_ns, account=report.account, event=BalanceEvent(balance=report.balance)))
            for position in report.positions:
                event = PositionEvent(position=position)
                self.reports.append(Reported(at_ns=at_ns, account=report.account, event=event))

    # --- the engine -----------------------------------------------------------------------------------------------

    def feed(self, given: Input) -> None:
        self.inputs.append(to_json(given))
        early = list(self.copier.begin(given))
        decisions = self.copier.apply(given)
        decided.check_early(early, decisions)
        self._take(decisions)

    def _take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            decided.check(decision, self.copier.desk)
            if isinstance(decision, Note):
                self.notes.append(decision)
            else:
                self.intents.append(decision)
                self.queue.append(decision)

    def deliver(self) -> None:
        """Hand all waiting reports to the engine, shuffled where `shuffle` is set."""
        reports, self.reports = self.reports, []
        if self.shuffle is not None:
            self.shuffle.shuffle(reports)
        for report in reports:
            self.feed(msgspec.structs.replace(report, at_ns=self.now_ns))

    def carry_out(self) -> None:
        """Do all waiting intents on the exchange and feed the outcomes."""
        queue, self.queue = self.queue, []
        for intent in queue:
            if isinstance(intent, LookUp):
                if intent.account not in self.down:
                    self.reread(intent.account, intent.orders)
                continue
            outcome = self._do(intent)
            if outcome is not None:
                self.answer(intent, outcome)

    def answer(self, intent: Place | PlaceGroup | Modify | Cancel, outcome: Outcome) -> None:
        """Feed what became of an intent."""
        self.feed(
            Settled(
                at_ns=self.now_ns,
                account=intent.account,
                intent=intent.id,
                client_id=intent.client_id,
                outcome=outcome,
            )
        )

    def settle(self, rounds: int = 200) -> ClosedLoop:
        """Let reports, intents and timers run until nothing moves any more, or not before a session or a day turns."""
        for _ in range(rounds):
            self.deliver()
            self.carry_out()
            if not self.reports and not self.queue:
                if not 0 < self.copier.next_due_ns <= self.now_ns + self.soon_ms * 1_000_000:
                    decided.check_words(self.copier.desk)
                    return self
                self.pass_time(max(1, (self.copier.next_due_ns - self.now_ns) // 1_000_000 + 1))
        raise AssertionError(f"still not quiet: {self.queue} {self.copier.next_due_ns - self.now_ns}")

    def live(self, milliseconds: int) -> None:
        """Let reports, intents and timers run for a while, and no longer."""
        end_ns = self.now_ns + milliseconds * 1_000_000
        while True:
            self.deliver()
            self.carry_out()
            if self.reports or self.queue:
                continue
            if not 0 < self.copier.next_due_ns <= end_ns:
                break
            self.pass_time(max(0, -((self.now_ns - self.copier.next_due_ns) // 1_000_000)))
        self.now_ns = end_ns
        decided.check_words(self.copier.desk)

    def reread(self, account: str, look_up: tuple[OrderRef, ...] = (), since_ms: int = 0) -> None:
        snapshot = self.snapshot(account, look_up, since_ms)
        if self.final:
            snapshot = msgspec.structs.replace(snapshot, never_arrived=self._never_arrived(account, snapshot.absent))
        self.feed(Snapped(at_ns=self.now_ns, account=account, snapshot=snapshot))

    def _never_arrived(self, account: str, absent: tuple[str, ...]) -> tuple[str, ...]:
        """Those of them that are not at the venue, whether that shows them or not, and are not on their way to it."""
        there = {order.client_id for order in self.exchange.orders(account)}
        there |= {intent.client_id for intent in self.queue if isinstance(intent, Place)}
        there |= {leg.client_id for intent in self.queue if isinstance(intent, PlaceGroup) for leg in intent.group.legs}
        return tuple(client_id for client_id in absent if client_id not in there)

    def _do(self, intent: Place | PlaceGroup | Modify | Cancel) -> Outcome | None:
        """The outcome, or `None` where the reply never comes because the account is gone."""
        if intent.account in self.down:
            return Unknown(message="connection lost")
        verdict = self.fault(intent)
        if isinstance(verdict, Accepted | Rejected | Unknown):
            return verdict
        self.sent.append((intent.account, intent.client_id, type(intent).__name__))
        outcome = self.on_exchange(intent)
        return Unknown(message="the reply was lost") if verdict == "lose-reply" else outcome

    def on_exchange(self, intent: Place | PlaceGroup | Modify | Cancel) -> Outcome:
        try:
            match intent:
                case Place(order=order):
                    done = self.exchange.place(intent.account, order.terms, order.client_id)
                case PlaceGroup(group=group):
                    legs = [(leg.terms, leg.client_id) for leg in group.legs]
                    return Accepted(legs=self.exchange.place_group(intent.account, legs))
                case Modify(change=change):
                    done = self.exchange.modify(
                        intent.account,
                        client_id=change.ref.client_id,
                        quantity=change.terms.quantity,
                        price=change.terms.price,
                        trigger_price=change.terms.trigger_price,
                    )
                case Cancel(order=ref):
                    done = self.exchange.cancel(intent.account, client_id=ref.client_id)
        except ExchangeRefusal as refusal:
            return Rejected(reason=refusal.reason, message=str(refusal))
        return Accepted(order=done)

    # --- the parent -----------------------------------------------------------------------------------------------

    def buy(self, quantity: str, **more: object) -> Order:
        return self.parent_places(Side.BUY, quantity, **more)

    def sell(self, quantity: str, **more: object) -> Order:
        return self.parent_places(Side.SELL, quantity, **more)

    def parent_places(self, side: Side, quantity: str, **more: object) -> Order:
        price = more.pop("price", None)
        trigger = more.pop("trigger", None)
        type_ = more.pop("type", OrderType.LIMIT if price is not None else OrderType.MARKET)
        terms = Terms(
            symbol=SYMBOL,
            side=side,
            type=type_,  # type: ignore[arg-type]
            quantity=D(quantity),
            price=D(str(price)) if price is not None else None,
            trigger_price=D(str(trigger)) if trigger is not None else None,
            **more,  # type: ignore[arg-type]
        )
        self.pass_time(1)
        return self.exchange.place(PARENT, terms)

    def parent_places_group(self, *legs: Terms) -> tuple[Order, ...]:
        """A stop and a target of the parent of which one cancels the other."""
        self.pass_time(1)
        return self.exchange.place_group(PARENT, [(terms, "") for terms in legs])

    def amend(
        self, order: Order, *, quantity: str | None = None, price: str | None = None, trigger: str | None = None
    ) -> None:
        self.pass_time(1)
        self.exchange.modify(
            PARENT,
            venue_id=order.venue_id,
            quantity=D(quantity) if quantity else None,
            price=D(price) if price else None,
            trigger_price=D(trigger) if trigger else None,
        )

    def cancel(self, order: Order) -> None:
        self.pass_time(1)
        self.exchange.cancel(PARENT, venue_id=order.venue_id)

    def disconnect(self, account: str) -> None:
        self.down.add(account)
        self.feed(AccountDown(at_ns=self.now_ns, account=account, reason="test"))

    def reconnect(self, account: str, reach_back_ms: int = 60_000) -> None:
        self.down.discard(account)
        self.reread(account, since_ms=self.now_ns // 1_000_000 - reach_back_ms)

    # --- what a test asks -------------------------------------------------------------------------------------------

    def position(self, account: str, side: PositionSide = PositionSide.NET) -> Decimal:
        return sum((p.quantity for p in self.exchange.positions(account) if p.position_side is side), D(0))

    def working(self, account: str) -> list[Terms]:
        return [order.terms for order in self.exchange.open_orders(account)]

    def placed(self, account: str) -> list[Terms]:
        """Every order that the account ever had, in order."""
        return [order.terms for order in self.exchange.orders(account)]

    def said(self, kind: str) -> list[str]:
        return [note.text for note in self.notes if note.kind == kind]
