"""A closed loop on a bad day: the venue loses, repeats, delays and reorders, streams break, the engine is killed.

Everything that may happen is a `Do`: a method of `RoughLoop` by name, with its arguments. A list of them is a story; a
failing one prints as it would be typed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from copydesk.copier import Copier
from copydesk.inputs import (
    AccountDown,
    Cancel,
    Configured,
    Decision,
    EngineStarted,
    Input,
    LimitSet,
    LookUp,
    Modify,
    Note,
    Place,
    PlaceGroup,
    Reported,
    Settled,
    Snapped,
    TicketSent,
)
from copydesk.model import (
    Accepted,
    FillEvent,
    Order,
    OrderEvent,
    OrderRef,
    OrderType,
    Outcome,
    PositionSide,
    Rejected,
    RejectReason,
    Side,
    Snapshot,
    Terms,
    Unknown,
    to_json,
)
from copydesk_paper.records import OrderReport, Report
from copydesk_paper.refusal import ExchangeRefusal

from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D

MID = 1000
EVER_MS = 1
"""Reach back to the beginning."""
TRANSIENT = ("lose-reply", "lose-request", "busy")
_read_input = msgspec.json.Decoder(Input).decode


@dataclass(frozen=True)
class Do:
    """One thing that happens."""

    what: str
    args: tuple[Any, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        more = f", {_plain(self.more)}" if self.more else ""
        return f"Do({self.what!r}, {_plain(self.args)}{more})" if self.args or self.more else f"Do({self.what!r})"


def _plain(value: Any) -> str:
    """As it would be typed: the words of the model are strings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + "".join(f"{_plain(item)}, " for item in value).removesuffix(" ") + ")"
    return f"{type(value).__name__}.{value.name}" if isinstance(value, StrEnum) else repr(value)


class RoughLoop(ClosedLoop):
    """`happen` makes a story happen; `calm` ends all trouble and lets everything come to rest."""

    def __post_init__(self) -> None:
        self.verdicts: dict[str, deque[str]] = {}
        self.deaf: dict[str, int] = {}
        self.blind: dict[str, int] = {}
        self.kept: dict[str, Snapshot] = {}
        self.dead: set[str] = set()
        self.concealed: set[str] = set()
        self.mine: list[Order] = []
        self.decided: list[bytes] = []
        self.refused_for_good = False
        self.by_hand = False
        self.largest: dict[str, Decimal] = {}
        self.crossings: list[str] = []
        super().__post_init__()
        self.fault = self._verdict

    @property
    def names(self) -> tuple[str, ...]:
        return (PARENT, *(rules.account for rules in self.children))

    @property
    def alive(self) -> tuple[str, ...]:
        """All but `dead` ones: those are sent to, answer nothing, and no story is told of them."""
        return tuple(name for name in self.names if name not in self.dead)

    def account(self, number: int) -> str:
        return self.alive[number % len(self.alive)]

    def child(self, number: int) -> str:
        return self.alive[1 + number % (len(self.alive) - 1)]

    def _take(self, decisions: list[Decision]) -> None:
        super()._take(decisions)
        self.queue = [intent for intent in self.queue if intent.account not in self.dead]

    def happen(self, story: Sequence[Do]) -> RoughLoop:
        for do in story:
            self.now_ns += 1_000_000
            getattr(self, do.what)(*do.args, **do.more)
        return self

    # --- the parent -----------------------------------------------------------------------------------------------

    def order(
        self,
        side: Side,
        quantity: int,
        type_: OrderType = OrderType.MARKET,
        offset: int = 0,
        book: PositionSide = PositionSide.NET,
        **more: object,
    ) -> None:
        """`offset`: how many ticks the limit or trigger price is away from the market, on its passive side if above 0."""
        terms = self.terms(side, quantity, type_, offset, book, **more)
        self._try(lambda: self._own(self.exchange.place(PARENT, terms)))

    def terms(self, side: Side, quantity: int, type_: OrderType, offset: int, book: PositionSide, **more: object) -> Terms:
        away = -side.sign if type_ in _BELOW_FOR_BUYS else side.sign
        at = D(max(1, int(self.market) + away * offset))
        trailing = type_ is OrderType.TRAILING_STOP
        terms = Terms(
            symbol=SYMBOL,
            side=side,
            type=type_,
            quantity=D(quantity),
            price=at if type_.has_price else None,
            trigger_price=at if type_.has_trigger else None,
            trail_percent=D(1) if trailing else None,
            position_side=book if self.hedge else PositionSide.NET,
            **more,  # type: ignore[arg-type]
        )
        if self.hedge and (book is PositionSide.LONG) == (side is Side.BUY):
            terms = msgspec.structs.replace(terms, reduce_only=False, close_position=False)
        return terms

    def bracket(
        self,
        side: Side,
        quantity: int,
        target: int,
        stop: int,
        book: PositionSide = PositionSide.NET,
        *,
        grouped: bool = False,
    ) -> None:
        """An entry at market with a target and a stop, each so many ticks away; `grouped`: one cancels the other."""
        if self.hedge and (book is PositionSide.LONG) != (side is Side.BUY):
            side = side.opposite
        more = {} if self.hedge else {"reduce_only": True}
        self.order(side, quantity, OrderType.MARKET, 0, book)
        legs = (
            self.terms(side.opposite, quantity, OrderType.LIMIT, target, book, **more),
            self.terms(side.opposite, quantity, OrderType.STOP_MARKET, stop, book, **more),
        )
        if grouped:
            self._try(lambda: [self._own(order) for order in self.parent_places_group(*legs)])
        else:
            for terms in legs:
                self._try(lambda terms=terms: self._own(self.exchange.place(PARENT, terms)))  # type: ignore[misc]

    def exit(self, share: int, type_: OrderType = OrderType.MARKET, offset: int = 0, **more: object) -> None:
        """An order against what the parent holds, `share` percent of it (200 flips)."""
        for position in self.exchange.positions(PARENT):
            side = Side.SELL if position.quantity > 0 else Side.BUY
            quantity = int(abs(position.quantity) * share / 100) or 1
            self.order(side, quantity, type_, offset, position.position_side, **more)

    def amend_one(self, number: int, quantity: int, move: int) -> None:
        working = self.exchange.open_orders(PARENT)
        if not working:
            return
        order = working[number % len(working)]
        terms = order.terms
        self._try(
            lambda: self.exchange.modify(
                PARENT,
                venue_id=order.venue_id,
                quantity=D(quantity) if quantity and not terms.close_position else None,
                price=terms.price + move if terms.price is not None and move else None,
                trigger_price=terms.trigger_price + move
                if terms.trigger_price is not None and move and not order.triggered
                else None,
            )
        )
        self.largest[order.venue_id] = max(self.largest.get(order.venue_id, D(0)), D(quantity))

    def cancel_one(self, number: int) -> None:
        working = self.exchange.open_orders(PARENT)
        if working:
            self._try(lambda: self.exchange.cancel(PARENT, venue_id=working[number % len(working)].venue_id))

    def go_flat(self) -> None:
        """The parent cancels everything and closes what it holds."""
        for order in self.exchange.open_orders(PARENT):
            self._try(lambda order=order: self.exchange.cancel(PARENT, venue_id=order.venue_id))  # type: ignore[misc]
        self.exit(100)

    def _own(self, order: Order) -> None:
        self.mine.append(order)
        self.largest[order.venue_id] = max(self.largest.get(order.venue_id, D(0)), order.terms.quantity, order.filled)

    def _try(self, action: Callable[[], object]) -> None:
        """What the venue refuses to a person did not happen."""
        with suppress(ExchangeRefusal):
            action()

    # --- the market -------------------------------------------------------------------------------------------------

    @property
    def market(self) -> Decimal:
        return self.exchange.last_price(SYMBOL)

    def move(self, price: int, depth: int = 10_000) -> None:
        self.prices(D(price), D(depth))

    def print_trade(self, offset: int, quantity: int) -> None:
        """Somebody trades through the book at `offset` from the market: it fills what rests there."""
        from copydesk_paper.records import MarketTrade

        price = max(D(1), self.market + offset)
        self.exchange.apply(MarketTrade(symbol=SYMBOL, price=price, quantity=D(quantity), buyer_is_maker=offset < 0))

    def deposit(self, number: int, amount: int) -> None:
        self._try(lambda: self.exchange.deposit(self.account(number), D(amount)))

    # --- trouble ----------------------------------------------------------------------------------------------------

    def trouble(self, number: int, *verdicts: str) -> None:
        """What becomes of the next requests of one child: `lose-reply`, `lose-request`, `busy`, `refuse`, `fine`."""
        self.verdicts.setdefault(self.child(number), deque()).extend(verdicts)

    def _verdict(self, intent: Place | PlaceGroup | Modify | Cancel) -> Outcome | str | None:
        waiting = self.verdicts.get(intent.account)
        match waiting.popleft() if waiting else "fine":
            case "lose-reply":
                return "lose-reply"
            case "lose-request":
                return Unknown(message="no answer")
            case "busy":
                return Rejected(reason=RejectReason.RATE_LIMIT, message="too many requests")
            case "refuse":
                self.refused_for_good = True
                return Rejected(reason=RejectReason.MARGIN, message="insufficient margin")
        return None

    def go_deaf(self, number: int, reports: int) -> None:
        """The next reports of one account are lost, and nobody notices."""
        self.deaf[self.account(number)] = reports

    def go_blind(self, number: int, times: int) -> None:
        """The next look-ups of one child do not find what is there: a replica lags behind."""
        self.blind[self.child(number)] = times

    def lose_sight(self, number: int) -> None:
        """The next reply of one child is lost, and so are its next reports; at first a look-up does not find the order."""
        self.trouble(number, "lose-reply")
        self.deaf[self.child(number)] = 4
        self.blind[self.child(number)] = 2

    def conceal(self, number: int) -> None:
        """From now on nothing tells of one of the parent's latest orders, neither stream nor history; positions do."""
        if not self.mine:
            return
        venue_id = self.mine[-1 - number % len(self.mine)].venue_id
        self.concealed.add(venue_id)
        self.reports = [report for report in self.reports if _told_of(report) != venue_id]

    def reveal(self) -> None:
        self.concealed.clear()

    def break_stream(self, number: int) -> None:
        account = self.account(number)
        if account in self.down:
            return
        self.reports = [report for report in self.reports if report.account != account]
        self.disconnect(account)

    def mend_stream(self, number: int) -> None:
        account = self.account(number)
        if account in self.down:
            self.down.discard(account)
            self.feed_snapshot(account, self.snapshot(account, since_ms=EVER_MS))

    def keep_snapshot(self, number: int) -> None:
        """A snapshot is taken now and answered later."""
        account = self.account(number)
        self.kept[account] = self.snapshot(account, since_ms=EVER_MS)

    def hand_snapshot(self, number: int) -> None:
        account = self.account(number)
        if account in self.kept and account not in self.down:
            self.feed_snapshot(account, self.kept.pop(account))

    def read_again(self, number: int) -> None:
        account = self.account(number)
        if account not in self.down:
            self.feed_snapshot(account, self.snapshot(account, since_ms=EVER_MS))

    def feed_snapshot(self, account: str, snapshot: Snapshot) -> None:
        self.feed(Snapped(at_ns=self.now_ns, account=account, snapshot=snapshot))

    def snapshot(self, account: str, look_up: tuple[OrderRef, ...] = (), since_ms: int = 0) -> Snapshot:
        seen = super().snapshot(account, look_up, since_ms)
        if account == PARENT and self.concealed:
            hidden = self.concealed
            orders = tuple(order for order in seen.orders if order.venue_id not in hidden)
            fills = tuple(fill for fill in seen.fills if fill.venue_id not in hidden)
            absent = [ref.client_id or ref.venue_id for ref in look_up if ref.venue_id in hidden]
            seen = msgspec.structs.replace(seen, orders=orders, fills=fills, absent=(*seen.absent, *absent))
        if look_up and self.blind.get(account, 0):
            self.blind[account] -= 1
            ids = {ref.client_id for ref in look_up}
            orders = tuple(order for order in seen.orders if order.client_id not in ids)
            return msgspec.structs.replace(seen, orders=orders, absent=tuple(sorted(ids)))
        return seen

    def kill(self, *, sent: bool = False) -> None:
        """The engine dies and a new one replays the journal. `sent`: what was on its way reached the venue."""
        if sent:
            for intent in self.queue:
                if not isinstance(intent, LookUp) and intent.account not in self.down:
                    self.sent.append((intent.account, intent.client_id, type(intent).__name__))
                    self.on_exchange(intent)
        self.queue.clear()
        self.reports.clear()
        self.copier, self.decided = replayed(self.inputs), list(self.decided)
        for account in self.names:
            self.down.add(account)
        self.feed(EngineStarted(at_ns=self.now_ns))
        rules = next(given for given in map(_read_input, self.inputs) if isinstance(given, Configured))
        self.feed(msgspec.structs.replace(rules, at_ns=self.now_ns))
        for number in range(len(self.alive)):
            self.mend_stream(number)

    def send_ticket(self, number: int) -> None:
        """A person sends one of the tickets that were left, whatever it is about by now."""
        left = list(self.copier.desk.tickets)
        if left:
            self.feed(TicketSent(at_ns=self.now_ns, ticket=left[number % len(left)], actor="somebody"))

    # --- by hand ----------------------------------------------------------------------------------------------------

    def hand_trade(self, number: int, side: Side, quantity: int) -> None:
        """A person trades on a child."""
        self.by_hand = True
        terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity))
        self._try(lambda: self.exchange.place(self.child(number), terms))

    def hand_cancel(self, number: int) -> None:
        self.by_hand = True
        for order in self.exchange.open_orders(self.child(number)):
            self._try(lambda order=order: self.exchange.cancel(self.child(number), venue_id=order.venue_id))  # type: ignore[misc]

    def limit(self, number: int, state: str) -> None:
        """A person says what may be traded on a child."""
        self.feed(LimitSet(at_ns=self.now_ns, account=self.child(number), state=state, actor="test"))

    # --- how time goes on ---------------------------------------------------------------------------------------------

    def hear(self, count: int = 1000, *, twice: bool = False, backwards: bool = False) -> None:
        """Deliver the oldest waiting reports."""
        now, self.reports = self.reports[:count], self.reports[count:]
        if backwards:
            now.reverse()
        for report in now:
            for _ in range(1 + twice):
                self.feed(msgspec.structs.replace(report, at_ns=self.now_ns))

    def send(self, count: int = 1000) -> None:
        """Carry out the oldest waiting intents."""
        rest = self.queue[count:]
        self.queue = self.queue[:count]
        self.carry_out()
        self.queue = rest + self.queue

    def live(self, milliseconds: int = 0) -> None:
        """Everything flows for a while."""
        end_ns = self.now_ns + milliseconds * 1_000_000
        for _ in range(40):
            self.deliver()
            self.carry_out()
            if self.reports or self.queue:
                continue
            due = self.copier.next_due_ns
            if not due or due > end_ns:
                break
            self.pass_time(max(0, (due - self.now_ns) // 1_000_000 + 1))
        self.now_ns = max(self.now_ns, end_ns)

    def _hear(self, report: Report) -> None:
        account = getattr(report, "account", "")
        if self.deaf.get(account, 0):
            self.deaf[account] -= 1
            return
        if isinstance(report, OrderReport) and report.order.venue_id in self.concealed:
            return
        super()._hear(report)

    def feed(self, given: Input) -> None:
        self.inputs.append(to_json(given))
        decisions = self.copier.apply(given)
        self.decided.append(b"\n".join(to_json(decision) for decision in decisions))
        self._take(decisions)
        if not self.nets:
            self._note_crossings(decisions)

    def _note_crossings(self, decisions: list[Decision]) -> None:
        """Where the venue does not net, no order may be placed that would carry the child through flat."""
        for decision in decisions:
            if isinstance(decision, Place):
                link = self.copier.desk.child_orders[decision.account, decision.client_id].link
                terms = decision.order.terms
                if link.attributed * terms.side.sign < 0 and terms.quantity > abs(link.attributed):
                    self.crossings.append(f"{decision.account} holds {link.attributed}: {terms}")

    def calm(self) -> RoughLoop:
        """The trouble is over: everything is connected, delivered, read and done."""
        self.verdicts.clear()
        self.deaf.clear()
        self.blind.clear()
        self.kept.clear()
        self.concealed.clear()
        self.prices(self.market)
        for number in range(len(self.alive)):
            self.mend_stream(number)
        self.settle()
        for _ in range(3):
            self.pass_time(10_000)
            for number in range(len(self.alive)):
                self.read_again(number)
            self.settle()
        return self

    # --- what is asked ------------------------------------------------------------------------------------------------

    def copied(self, account: str, book: PositionSide = PositionSide.NET) -> Decimal:
        """The sum of the fills of the engine's own orders, as the venue knows it."""
        fills = self.exchange.fills(account)
        return sum(
            (f.side.sign * f.quantity for f in fills if f.client_id.startswith("cdk-") and f.position_side is book), D(0)
        )

    def decisions_again(self) -> list[bytes]:
        """What a new engine decides from the journalled inputs."""
        copier = Copier()
        return [b"\n".join(to_json(decision) for decision in copier.apply(_read_input(given))) for given in self.inputs]


def _told_of(report: Reported) -> str:
    """The number of the order that a report is about."""
    match report.event:
        case OrderEvent(order=order):
            return order.venue_id
        case FillEvent(fill=fill):
            return fill.venue_id
    return ""


_BELOW_FOR_BUYS = (OrderType.LIMIT, OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT)


def replayed(inputs: Sequence[bytes]) -> Copier:
    copier = Copier()
    for given in inputs:
        copier.apply(_read_input(given))
    return copier


__all__ = ["MID", "TRANSIENT", "Accepted", "AccountDown", "Do", "Note", "Reported", "RoughLoop", "Settled"]
