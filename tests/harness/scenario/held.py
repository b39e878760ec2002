"""The pure engine on a bad day, message by message: nothing moves until the story says so.

Reports wait to be heard and requests wait to be taken. What is on its way may be lost, repeated, told backwards or told
late; history may hide what happened; the engine may be killed at any point, with or without what it was about to send.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from copydesk.handwork import child_book
from copydesk.ids import is_own
from copydesk.inputs import Decision, Input, LookUp, Place, PlaceGroup, Snapped
from copydesk.model import ZERO, Fill, FillEvent, Order, OrderEvent, OrderRef, PositionSide, Side, Snapshot, to_json
from copydesk.starting import unsettled
from copydesk.state import Book
from copydesk_paper.records import OrderReport, Report

from harness.closed_loop import Reported
from harness.decided import check_early
from harness.scenario.promises import PROMISES, Broken, copied
from harness.scenario.pure import EVER_MS, Loop, PureStage
from harness.scenario.reading import PARENT, Scenario
from harness.scenario.stage import BOT, PLENTY, ScenarioFailed
from harness.scenario.watching import Watch
from harness.scenario.words import SYMBOL, OrderWords

READINGS = 3
"""So often every account is read once all is quiet: what only positions tell is believed when they say so twice."""
LAST_FILLS = 9
"""So often it begins anew because an order of the parent that nobody hears of has filled on meanwhile."""


class HeldLoop(Loop):
    """The closed loop of scenarios, with trouble that reaches single messages."""

    def __post_init__(self) -> None:
        self.deaf: Counter[str] = Counter()  # so many of an account's next reports are lost, and nobody notices
        self.blind: Counter[str] = Counter()  # so many of its next look-ups find nothing: a replica lags behind
        self.kept: dict[str, Snapshot] = {}  # taken, and not answered yet
        self.concealed: set[str] = set()  # orders of the parent that neither stream nor history tells of
        self.dead: set[str] = set()  # children that are sent to and never answer
        self.decided: list[bytes] = []  # what followed from each input
        self.opened: list[tuple[str, str]] = []  # by account: exits that did not only close
        self.misled = False  # something of the parent was lost, and nobody noticed
        self.by_hand: set[str] = set()  # where people traded,
        self.refused: set[str] = set()  # the venue refused for good,
        self.resized: set[str] = set()  # the size was set anew,
        self.changed: set[str] = set()  # or any setting was; a person sent a ticket; the bot was started once more
        self.watch = Watch(self)
        super().__post_init__()

    # --- what is lost ---------------------------------------------------------------------------------------------

    def _hear(self, report: Report) -> None:
        account = getattr(report, "account", "")
        if self.deaf[account] > 0:
            self.deaf[account] -= 1
            self.misled = self.misled or account == PARENT
        elif not (isinstance(report, OrderReport) and report.order.venue_id in self.concealed):
            super()._hear(report)

    def snapshot(self, account: str, look_up: tuple[OrderRef, ...] = (), since_ms: int = 0) -> Snapshot:
        seen = super().snapshot(account, look_up, since_ms)
        if account == PARENT and self.concealed:
            hidden = self.concealed
            orders = tuple(order for order in seen.orders if order.venue_id not in hidden)
            fills = tuple(fill for fill in seen.fills if fill.venue_id not in hidden)
            absent = tuple(ref.client_id or ref.venue_id for ref in look_up if ref.venue_id in hidden)
            seen = msgspec.structs.replace(seen, orders=orders, fills=fills, absent=(*seen.absent, *absent))
        if look_up and self.blind[account] > 0:
            self.blind[account] -= 1
            ids = {ref.client_id or ref.venue_id for ref in look_up}
            orders = tuple(order for order in seen.orders if not {order.client_id, order.venue_id} & ids)
            seen = msgspec.structs.replace(seen, orders=orders, absent=tuple(sorted(ids)))
        return seen

    def conceal(self, venue_id: str) -> None:
        self.concealed.add(venue_id)
        self.misled = True
        self.reports = [report for report in self.reports if _order_of(report) != venue_id]

    # --- the engine -----------------------------------------------------------------------------------------------

    def feed(self, given: Input) -> None:
        self.inputs.append(to_json(given))
        early = list(self.copier.begin(given))
        decisions = self.copier.apply(given)
        check_early(early, decisions)
        self.watch.look(given, decisions)
        self.decided.append(b"\n".join(to_json(decision) for decision in decisions))
        self._take(decisions)

    def _take(self, decisions: list[Decision]) -> None:
        super()._take(decisions)
        self.queue = [intent for intent in self.queue if intent.account not in self.dead]

    def touched(self, account: str) -> bool:
        """A person had a hand in what the child holds, or in how much it should."""
        return account in self.by_hand | self.changed


@dataclass(frozen=True)
class Meant:
    """An order of the parent: which way, and the most that it was ever for."""

    book: PositionSide
    side: Side
    largest: Decimal


class HeldStage(PureStage):
    """Runner A where the desk says that messages are held."""

    loop: HeldLoop

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario, loop_type=HeldLoop)
        self.exchange.listen(self._measure)
        self.meant: dict[str, Meant] = {}  # by the parent's order
        self.copied: defaultdict[tuple[str, PositionSide], Decimal] = defaultdict(
            Decimal
        )  # the sum of our own fills, by account and book
        self.opened: defaultdict[tuple[str, str], Decimal] = defaultdict(
            Decimal
        )  # what each of our orders filled beyond closing, by account
        self.actions = 0
        self.past: frozenset[str] = frozenset()  # ids of what an earlier run of the bot sent and this one does not follow
        self.taken: dict[tuple[str, Book], Decimal] = {}  # what counted as copied at the last start, by the parent's book
        self.runs = 1
        self.stopped_by = ""  # the policy of the last stop, while nobody has started the bot again
        self._opened = False

    async def open(self) -> None:
        await super().open()
        self._flow()
        self._opened = True

    async def rest(self) -> None:
        """Nothing rests by itself: a millisecond goes by."""
        if self._opened:
            self.actions += 1
            self.loop.now_ns += 1_000_000

    async def close(self) -> None: ...

    def _measure(self, report: Report) -> None:
        if isinstance(report, OrderReport) and report.account == PARENT and not is_own(report.order.client_id):
            order = report.order
            if order.filled:
                self.loop.watch.first_fills.setdefault(order.venue_id, order.updated_ms)
            known = self.meant.get(order.venue_id)
            largest = max(known.largest if known is not None else ZERO, order.terms.quantity, order.filled)
            self.meant[order.venue_id] = Meant(order.terms.position_side, order.terms.side, largest)
        elif isinstance(report, OrderReport) and report.account != PARENT and report.fill is not None:
            self._measure_fill(report.order, report.fill)

    def _measure_fill(self, order: Order, fill: Fill) -> None:
        if not is_own(fill.client_id):
            return
        key = (fill.account, fill.position_side)
        before = self.copied[key]
        after = self.copied[key] = before + fill.side.sign * fill.quantity
        closed = min(fill.quantity, max(ZERO, -fill.side.sign * before))
        self.opened[fill.account, fill.client_id] += fill.quantity - closed
        if after * before < 0 or (after and not before):
            why = self._why(order)
            if why in ("exit", "trim"):
                text = f"{fill.account} held {before}, and {after} after {why} {fill.client_id}"
                self.loop.opened.append((fill.account, text))

    def _why(self, order: Order) -> str:
        """What one of ours was sent for. What never arrived may have gone again under its id for something else."""
        sent = [i for i in self.loop.intents if isinstance(i, Place) and i.client_id == order.client_id]
        alike = [i for i in sent if i.order.terms.reduce_only == order.terms.reduce_only]
        return alike[-1].why if alike else ""

    def most_meant(self, book: PositionSide, side: Side) -> Decimal:
        """The most that the parent's orders of one direction could ever have moved it."""
        return sum((order.largest for order in self.meant.values() if (order.book, order.side) == (book, side)), ZERO)

    # --- how messages move ------------------------------------------------------------------------------------------

    async def engine_hears(self, count: int) -> None:
        self._hand_over(count)

    async def engine_hears_twice(self, count: int) -> None:
        self._hand_over(count, twice=True)

    async def engine_hears_backwards(self, count: int) -> None:
        self._hand_over(count, backwards=True)

    def _hand_over(self, count: int, *, twice: bool = False, backwards: bool = False) -> None:
        loop = self.loop
        if loop.killed:
            return
        now, loop.reports = loop.reports[:count], loop.reports[count:]
        for report in reversed(now) if backwards else now:
            for _ in range(1 + twice):
                loop.feed(msgspec.structs.replace(report, at_ns=loop.now_ns))

    async def venue_takes(self, count: int) -> None:
        loop = self.loop
        rest, loop.queue = loop.queue[count:], loop.queue[:count]
        loop.carry_out()
        loop.queue = rest + loop.queue

    async def time_passes(self, time: int) -> None:
        if self.loop.killed:
            self.loop.now_ns += time * 1_000_000
        else:
            await super().time_passes(time)

    # --- trouble ------------------------------------------------------------------------------------------------------

    async def venue_refuses(self, account: str, reason: Any, count: int = 1) -> None:
        self.loop.refused.add(account)
        await super().venue_refuses(account, reason, count)

    async def reports_are_lost(self, account: str, count: int) -> None:
        self.loop.deaf[account] = count

    async def venue_does_not_find(self, account: str, count: int) -> None:
        self.loop.blind[account] = count

    async def venue_conceals(self, name: str) -> None:
        self.loop.conceal(self._named(PARENT, name).venue_id)

    async def venue_reveals(self) -> None:
        self.loop.concealed.clear()

    async def snapshot_is_taken(self, account: str) -> None:
        self.loop.kept[account] = self.loop.snapshot(account, since_ms=EVER_MS)

    async def snapshot_arrives(self, account: str) -> None:
        kept = self.loop.kept.pop(account, None)
        if kept is not None and account not in self.loop.down and not self.loop.killed:
            self.loop.feed(Snapped(at_ns=self.loop.now_ns, account=account, snapshot=kept))

    async def is_read(self, account: str) -> None:
        if account not in self.loop.down and not self.loop.killed:
            self.loop.reread(account, since_ms=EVER_MS)

    async def goes_down(self, account: str) -> None:
        loop = self.loop
        loop.reports = [report for report in loop.reports if report.account != account]
        if loop.killed:
            loop.down.add(account)
        elif account not in loop.down:
            loop.disconnect(account)

    async def comes_back(self, account: str) -> None:
        if self.loop.killed:
            self.loop.down.discard(account)
        elif account in self.loop.down:
            await super().comes_back(account)

    async def engine_crashes_late(self) -> None:
        """It dies after what it had decided reached the venue, and before it heard of that."""
        for intent in [] if self.loop.killed else self.loop.queue:
            if not isinstance(intent, LookUp) and intent.account not in self.loop.down:
                self._count(intent)
                self.loop.on_exchange(intent)
        await self.engine_crashes()

    # --- people -------------------------------------------------------------------------------------------------------

    async def hand_places(self, account: str, order: OrderWords) -> None:
        self.loop.by_hand.add(account)
        await super().hand_places(account, order)

    async def hand_cancels(self, account: str, name: str) -> None:
        if account != PARENT:
            self.loop.by_hand.add(account)
        await super().hand_cancels(account, name)

    async def settings_become(self, account: str, settings: str) -> None:
        if settings[0] in "x0123456789":
            self.loop.resized.add(account)
        if not self.loop.killed:
            self.loop.changed.add(account)
            await super().settings_become(account, settings)

    async def sends_ticket(self, account: str) -> None:
        if not self.loop.killed:
            self.loop.changed.add(account)
            await super().sends_ticket(account)

    async def trading_becomes(self, account: str, state: str) -> None:
        if not self.loop.killed:
            await super().trading_becomes(account, state)

    # --- the bot --------------------------------------------------------------------------------------------------------

    async def bot_starts(self, policy: str = "") -> None:
        """As a person can start it: the parent is read, and every child where what it holds counts."""
        loop, first = self.loop, not self._opened
        away = loop.down & set(self.scenario.accounts if policy == "adopt" else (PARENT,))
        if loop.killed or away or (not first and self.desk.bots[BOT].working):
            return
        for account in [] if first else self.scenario.children:
            await self.is_read(account)
        if policy != "ignore" and not first and unsettled(self.desk, self.desk.bots[BOT]):
            return
        sent = {intent.client_id for intent in loop.intents if isinstance(intent, Place)}
        sent |= {leg.client_id for intent in loop.intents if isinstance(intent, PlaceGroup) for leg in intent.group.legs}
        await super().bot_starts(policy)
        if first:
            return
        self.runs += 1
        self.stopped_by = ""
        if policy != "ignore":
            self._another_bots_are_meant()
        self.taken.clear()
        loop.changed.update(self.scenario.children)
        followed = {client_id for _, client_id in self.desk.child_orders}
        self.past = frozenset(sent - followed)
        for account in self.scenario.children:  # what an earlier run left there is a person's
            if any(order.client_id in self.past for order in self.exchange.open_orders(account)):
                loop.by_hand.add(account)
        for (account, book), link in self.desk.bots[BOT].links.items():
            before = copied(self, account, child_book(link)[1], self.past)
            self.taken[account, book] = link.attributed - before

    def _another_bots_are_meant(self) -> None:
        """What another bot's orders brought the parent counts as its own position when a start copies that."""
        for book in PositionSide:
            held = copied(self, PARENT, book)
            if held:
                side = Side.BUY if held > 0 else Side.SELL
                self.meant[f"another bot's, {book}, run {self.runs}"] = Meant(book, side, abs(held))

    async def bot_stops(self, policy: str = "") -> None:
        if not self.loop.killed and self.desk.bots[BOT].working:
            self.stopped_by = policy
            await super().bot_stops(policy)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def all_comes_to_rest(self) -> None:
        """The trouble is over: everybody is connected, all is told and done. What was concealed, positions tell."""
        loop = self.loop
        for trouble in (loop.trouble, loop.deaf, loop.blind, loop.kept, loop.hidden):
            trouble.clear()
        loop.reveal()
        self.depth, self.price = PLENTY, self.exchange.last_price(SYMBOL)
        self.show_market()
        if loop.killed:
            await self.engine_starts()
        for account in self.scenario.accounts:
            if account in loop.down and account not in loop.dead:
                await self.comes_back(account)
        loop.settle()
        for _ in range(LAST_FILLS):
            fills = len(self.exchange.fills(PARENT))
            for _ in range(READINGS):
                loop.pass_time(10_000)
                await self.read_all()
                loop.settle()
            if len(self.exchange.fills(PARENT)) == fills:
                break

    async def read_all(self) -> None:
        for account in self.scenario.accounts:
            if account not in self.loop.dead:
                await self.is_read(account)

    def promises_shall_hold(self) -> None:
        """Every invariant, by name."""
        for name, promise in PROMISES.items():
            try:
                promise(self)
            except Broken as broken:
                raise ScenarioFailed(f"{name}: {broken}") from None


def pure_stage(scenario: Scenario) -> PureStage:
    """The stage on which the pure engine plays a scenario."""
    return HeldStage(scenario) if scenario.held else PureStage(scenario)


def _order_of(report: Reported) -> str:
    """The number of the order that a report is about."""
    match report.event:
        case OrderEvent(order=order):
            return order.venue_id
        case FillEvent(fill=fill):
            return fill.venue_id
    return ""
