"""The pure engine and the matching engine in a closed loop: no sockets, and a clock that the scenario moves."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from copydesk.budget import may_read
from copydesk.copier import Copier
from copydesk.errors import Conflict
from copydesk.families import check_family
from copydesk.feasibility import ChildPreview, preview_child, trades_of
from copydesk.inputs import (
    BotStarted,
    BotStopped,
    Cancel,
    Configured,
    EngineStarted,
    Input,
    LimitSet,
    LookUp,
    Modify,
    Place,
    PlaceGroup,
    Reported,
    TicketDismissed,
    TicketSent,
)
from copydesk.model import (
    FillEvent,
    Order,
    OrderEvent,
    OrderRef,
    OrderType,
    Outcome,
    Rejected,
    RejectReason,
    Snapshot,
    Terms,
    Unknown,
    to_json,
)
from copydesk.rules import rules_of
from copydesk.state import Desk
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import OrderReport, Report

from harness import decided
from harness.closed_loop import KIND, ClosedLoop
from harness.scenario.reading import PARENT, OtherBot, Scenario
from harness.scenario.stage import BOT, CASH, Said, ScenarioFailed, Stage, child_rules, instrument_of
from harness.scenario.words import SYMBOL

REST_MS = 20_000
"""Nothing that is uncertain is waited for any longer than this."""
EVER_MS = 1
RECONCILE_MS = 30_000


@dataclass
class Loop(ClosedLoop):
    """The closed loop with a venue that misbehaves on request, and an engine that can be killed."""

    trouble: dict[str, deque[Outcome | str]] = field(default_factory=dict)
    hidden: dict[str, int] = field(default_factory=dict)  # account: until when its orders are not to be seen, in ms
    seen: dict[str, Snapshot] = field(default_factory=dict)  # what was to be seen before that
    withheld: list[Reported] = field(default_factory=list)
    killed: bool = False

    def _hear(self, report: Report) -> None:
        if self.killed:
            return
        account = getattr(report, "account", "")
        before = len(self.reports)
        super()._hear(report)
        if self.now_ms < self.hidden.get(account, 0):
            self.withheld += self.reports[before:]
            del self.reports[before:]

    @property
    def now_ms(self) -> int:
        return self.now_ns // 1_000_000

    def snapshot(self, account: str, look_up: tuple[OrderRef, ...] = (), since_ms: int = 0) -> Snapshot:
        seen = super().snapshot(account, look_up, since_ms)
        if self.now_ms >= self.hidden.get(account, 0):
            return seen
        before = self.seen[account]
        told = [report.event.order for report in self.withheld if isinstance(report.event, OrderEvent)]
        withheld = {order.venue_id for order in told if order.created_ms >= before.time_ms}
        orders = tuple(order for order in seen.orders if order.venue_id not in withheld)
        absent = tuple(ref.client_id for ref in look_up if ref.client_id not in {order.client_id for order in orders})
        fills = tuple(fill for fill in seen.fills if fill.venue_id not in withheld)
        return msgspec.structs.replace(
            seen, orders=orders, absent=absent, fills=fills, positions=before.positions, balance=before.balance
        )

    def reveal(self) -> None:
        """Tell what was withheld, once its time has come."""
        late = [report for report in self.withheld if self.now_ms >= self.hidden.get(report.account, 0)]
        self.withheld = [report for report in self.withheld if self.now_ms < self.hidden.get(report.account, 0)]
        self.reports += late

    def verdict(self, intent: Place | PlaceGroup | Modify | Cancel) -> Outcome | str | None:
        waiting = self.trouble.get(intent.account)
        return waiting.popleft() if waiting else None


TARGETS = (OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT)


class PureStage(Stage):
    """Runner A."""

    runner = "pure engine"

    def __init__(self, scenario: Scenario, *, loop_type: type[Loop] = Loop) -> None:
        super().__init__(scenario)
        market = scenario.market
        self.loop = loop_type(
            children=child_rules(self.settings, KIND),
            instrument=instrument_of(market, spot=scenario.spot),
            cash={name: scenario.cash.get(name, CASH) for name in scenario.accounts},
            hedge=scenario.hedge,
            amendable=frozenset(OrderType(word) for word in scenario.amends),
            price=market.price,
            nets=scenario.nets,
            final=scenario.final,
            oco=scenario.oco,
            bots=tuple(rules_of(bot.settings(), KIND) for bot in scenario.others),
            binds=scenario.spot,
            reduce_only=not scenario.spot,
            free=scenario.spot and not scenario.fees,
            types=frozenset(type_ for type_ in OrderType if scenario.targets or type_ not in TARGETS),
            budget=scenario.budget,
        )
        self.loop.fault = self._count
        self.loop.exchange.listen(self.hear)
        self._read_ms = self.loop.now_ms
        for name, leverage in scenario.leverage.items():
            self.exchange.set_leverage(name, self.loop.instrument.symbol, leverage)

    @property
    def exchange(self) -> Exchange:  # type: ignore[override]
        return self.loop.exchange

    @property
    def desk(self) -> Desk:
        return self.loop.copier.desk

    def log(self) -> Sequence[Said]:
        return [Said(note.kind, note.text, note.account, note.data) for note in self.loop.notes]

    def _count(self, intent: Place | PlaceGroup | Modify | Cancel) -> Outcome | str | None:
        self.requests[intent.account] += 1
        return self.loop.verdict(intent)

    async def open(self) -> None:
        self.show_market()
        await self.configure()
        for name in self.scenario.accounts:
            self.loop.reread(name)
        if not self.scenario.stopped:
            await self.bot_starts()
        for bot in self.loop.bots:
            self.loop.feed(BotStarted(at_ns=self.loop.now_ns, bot=bot.name, snapshot=self.loop.snapshot(bot.parent)))

    async def close(self) -> None:
        """What was decided follows from the journalled inputs alone (I5), and not from the short cuts taken."""
        again = Copier(shortcuts=False)
        kinds = Place | PlaceGroup | Modify | Cancel | LookUp
        decode = msgspec.json.Decoder(Input).decode
        decided = [decision for given in self.loop.inputs for decision in again.apply(decode(given))]
        intents = [to_json(decision) for decision in decided if isinstance(decision, kinds)]
        assert intents == [to_json(intent) for intent in self.loop.intents], "the journal replays to other decisions"

    # --- time -----------------------------------------------------------------------------------------------------

    async def rest(self) -> None:
        end_ms = self.loop.now_ms + REST_MS
        self._flow()
        while self._uncertain() and 0 < (due_ms := self._next_ms()) <= end_ms:
            self._advance(due_ms)
        decided.check_words(self.desk)

    async def time_passes(self, time: int) -> None:
        self._flow()
        end_ms = self.loop.now_ms + time
        while self.loop.now_ms < end_ms:
            part_ms = min(end_ms, self._read_ms + RECONCILE_MS)
            while 0 < (due_ms := self._next_ms()) <= part_ms:
                self._advance(due_ms)
            self._advance(part_ms)
            self._reconcile()

    def _reconcile(self) -> None:
        """Every account that is up is read again now and then, as a running engine does."""
        if self.loop.now_ms < self._read_ms + RECONCILE_MS:
            return
        self._read_ms = self.loop.now_ms
        for name in self.scenario.accounts:
            up = name not in self.loop.down and not self.loop.killed
            if up and may_read(self.desk, name, self.loop.now_ns):
                self.loop.reread(name, since_ms=EVER_MS)
        self._flow()

    def _advance(self, to_ms: int) -> None:
        self.loop.pass_time(max(1, to_ms - self.loop.now_ms))
        self.loop.reveal()
        self._flow()

    def _next_ms(self) -> int:
        """When something is due next; 0 for never."""
        due_ns = 0 if self.loop.killed else self.loop.copier.next_due_ns
        times = [due_ns // 1_000_000 + 1] if due_ns else []
        times += [self.loop.hidden[report.account] for report in self.loop.withheld]
        return min(times, default=0)

    def _flow(self) -> None:
        """Deliver and carry out whatever can be without time passing."""
        if self.loop.killed:
            return
        for _ in range(500):
            if not self.loop.reports and not self.loop.queue:
                return
            self.loop.deliver()
            self.loop.carry_out()
        raise AssertionError(f"never at rest: {self.loop.intents[-3:]}")

    def _uncertain(self) -> bool:
        """Something of ours is on its way or its fate is not known."""
        return bool(self.loop.withheld) or self.uncertain()

    # --- people -----------------------------------------------------------------------------------------------------

    async def place(self, account: str, terms: Terms) -> Order:
        return self.exchange.place(account, terms)

    async def amend(self, account: str, order: Order, terms: Terms) -> None:
        self.exchange.modify(
            account,
            venue_id=order.venue_id,
            quantity=terms.quantity,
            price=terms.price,
            trigger_price=terms.trigger_price,
        )

    async def cancel(self, account: str, order: Order) -> None:
        self.exchange.cancel(account, venue_id=order.venue_id)

    # --- trouble ----------------------------------------------------------------------------------------------------

    def _trouble(self, account: str, *verdicts: Outcome | str) -> None:
        self.loop.trouble.setdefault(account, deque()).extend(verdicts)

    async def venue_loses_reply(self, account: str, count: int = 1) -> None:
        self._trouble(account, *["lose-reply"] * count)

    async def venue_loses_request(self, account: str) -> None:
        self._trouble(account, Unknown(message="no answer"))

    async def venue_hides(self, account: str, time: int) -> None:
        self.loop.seen[account] = self.loop.snapshot(account)
        self.loop.hidden[account] = self.loop.now_ms + time
        self._trouble(account, "lose-reply")

    async def venue_is_busy(self, account: str, count: int) -> None:
        self._trouble(account, *[Rejected(reason=RejectReason.RATE_LIMIT, message="too many requests")] * count)

    async def venue_refuses(self, account: str, reason: RejectReason, count: int = 1) -> None:
        self._trouble(account, *[Rejected(reason=reason, message=f"refused for {reason}")] * count)

    async def venue_repeats(self, account: str, count: int) -> None:
        old: list[OrderReport] = [report for report in self.fills if report.account == account][-count:]
        for report in old:
            assert report.fill is not None
            for event in (OrderEvent(order=report.order), FillEvent(fill=report.fill)):
                self.loop.reports.append(Reported(at_ns=self.loop.now_ns, account=account, event=event))

    async def goes_down(self, account: str) -> None:
        self._flow()
        self.loop.disconnect(account)

    async def comes_back(self, account: str) -> None:
        self.loop.down.discard(account)
        self.loop.reread(account, since_ms=EVER_MS)

    # --- the engine -------------------------------------------------------------------------------------------------

    async def engine_crashes(self) -> None:
        """It dies with what it was about to send and what it had not heard."""
        self.loop.killed = True
        self.loop.queue.clear()
        self.loop.reports.clear()

    async def engine_starts(self) -> None:
        self.loop.killed = False
        self.loop.copier = Copier()
        decode = msgspec.json.Decoder(Input).decode
        for given in self.loop.inputs:
            self.loop.copier.apply(decode(given))
        can = self.desk.capabilities
        self.loop.feed(EngineStarted(at_ns=self.loop.now_ns))
        rules = (rules_of(self.settings, KIND), *self.loop.bots)
        self.loop.feed(Configured(at_ns=self.loop.now_ns, bots=rules, capabilities=can))
        for name in self.scenario.accounts:
            if name not in self.loop.down:
                self.loop.reread(name, since_ms=EVER_MS)

    async def bot_starts(self, policy: str = "") -> None:
        start = self.settings.start
        children = {name: self.loop.snapshot(name) for name in self.scenario.children if name not in self.loop.down}
        self.loop.feed(
            BotStarted(
                at_ns=self.loop.now_ns,
                bot=BOT,
                snapshot=self.loop.snapshot(PARENT),
                policy=policy or start.policy,
                max_adverse_percent=start.max_adverse_percent,
                children=children if (policy or start.policy) != "ignore" else {},
            )
        )
        self.loop.pass_time(1)

    async def bot_is_refused(self, words: str) -> None:
        raise ScenarioFailed("what is compared before a start is not the pure engine's affair")

    async def bot_stops(self, policy: str = "") -> None:
        self.loop.feed(BotStopped(at_ns=self.loop.now_ns, bot=BOT, policy=policy or self.settings.stop))

    async def trading_becomes(self, account: str, state: str) -> None:
        self.loop.feed(LimitSet(at_ns=self.loop.now_ns, account=account, state=state, actor="a person"))

    async def configure(self) -> None:
        rules = (rules_of(self.settings, KIND), *self.loop.bots)
        self.loop.feed(Configured(at_ns=self.loop.now_ns, bots=rules, capabilities={KIND: self.loop.can}))

    async def another_is_refused(self, account: str, name: str, words: str) -> None:
        bot = OtherBot("another", account, name, "x1").settings()
        try:
            check_family(bot, [self.settings, *(other.settings() for other in self.scenario.others)])
        except Conflict as refusal:
            if words in str(refusal):
                return
            raise
        raise ScenarioFailed("it is taken")

    async def sends_ticket(self, account: str) -> None:
        self.loop.feed(TicketSent(at_ns=self.loop.now_ns, ticket=self.ticket(account).id, actor="a person"))

    async def dismisses_ticket(self, account: str) -> None:
        self.loop.feed(TicketDismissed(at_ns=self.loop.now_ns, ticket=self.ticket(account).id, actor="a person"))

    async def preview(self, account: str) -> ChildPreview:
        rules = next(child for child in rules_of(self.settings, KIND).children if child.account == account)
        accounts = self.desk.accounts
        trades = trades_of(self.exchange.fills(PARENT), 20)
        instruments, prices = {SYMBOL: self.loop.instrument}, {SYMBOL: self.price}
        return preview_child(rules, accounts[PARENT], accounts[account], instruments, prices, trades, {}, self.now_ns)

    @property
    def now_ns(self) -> int:
        return self.loop.now_ns
