"""A machine that makes up stories for the pure engine: a parent, a market, people, and a venue that misbehaves.

Every step is one of the phrases of scenario files with concrete values, taken at once. What was taken is written down:
the story of an example that fails is a scenario file.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from copydesk.model import Order, OrderType, PositionSide, RejectReason, Side, Terms, TimeInForce
from copydesk_paper.refusal import ExchangeRefusal
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from harness.scenario.held import HeldStage
from harness.scenario.phrases import PHRASES
from harness.scenario.promises import never_beyond_what_was_meant
from harness.scenario.reading import PARENT, Market, Scenario
from harness.scenario.shortening import shortened
from harness.scenario.stage import now
from harness.scenario.words import SYMBOL, OrderWords
from harness.scenario.writing import write_scenario

D = Decimal
MID = 1000
_VERBS = {phrase.form: phrase.verb for phrase in PHRASES}

# --- what there is to choose from -------------------------------------------------------------------------------------

SIZES = ("x0.5", "x3", "x0.33", "x-1", "x1", "100%")
OPTIONS = {
    "rounding": ("nearest", "min_one"),
    "catch_up.max_age_s": ("1", "30"),
}
"""Settings of a child other than the defaults."""

sides = st.sampled_from(list(Side))
books = st.sampled_from([PositionSide.LONG, PositionSide.SHORT])
number = st.integers(0, 4)
quantities = st.integers(1, 12)
offsets = st.sampled_from([-3, 1, 2, 4, 8])
STOPS = [type_ for type_ in OrderType if type_.is_conditional]
_BELOW_FOR_BUYS = (OrderType.LIMIT, OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT)
_PLAIN: dict[str, Any] = {}
_FLAGS: list[dict[str, Any]] = [{"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.FOK}, {"post_only": True}]


@dataclasses.dataclass(frozen=True)
class Trade:
    """What the parent does; not all of it matters to each. `offset`: ticks from the market, below 0 it crosses."""

    what: str
    side: Side
    quantity: int
    type_: OrderType
    offset: int
    book: PositionSide
    share: int
    more: dict[str, Any]
    limit_flags: dict[str, Any]

    @property
    def flags(self) -> dict[str, Any]:
        return self.limit_flags if self.type_ is OrderType.LIMIT else {}


doings = st.builds(
    Trade,
    what=st.sampled_from(
        ["enter"] * 5 + ["exit"] * 4 + ["bracket", "close all", "cancel", "cancel", "change", "change", "change", "flat"]
    ),
    side=sides,
    quantity=quantities,
    type_=st.sampled_from([OrderType.MARKET] * 4 + [OrderType.LIMIT] * 5 + STOPS),
    offset=offsets,
    book=books,
    share=st.sampled_from([30, 50, 100, 100, 200, 250]),
    more=st.sampled_from([_PLAIN, {"reduce_only": True}]),
    limit_flags=st.sampled_from([_PLAIN, _PLAIN, *_FLAGS]),
)


_WORDS = [
    "connection of {account} goes down",
    "connection of {account} comes back",
    "snapshot of {account} is taken",
    "snapshot of {account} arrives",
    "account of {account} is read again",
]


def _happens(
    often: int, what: str, /, **how: st.SearchStrategy[Any]
) -> list[st.SearchStrategy[tuple[str, dict[str, Any]]]]:
    return [st.tuples(st.just(what), st.fixed_dictionaries(how)) for _ in range(often)]


happenings = st.one_of(
    _happens(10, "trades", trade=doings, flows=st.sampled_from([0, 1, 1, 1, 300]))
    + _happens(2, "market_moves", price=st.integers(MID - 12, MID + 12), flows=st.booleans())
    + _happens(
        1,
        "somebody_trades",
        offset=st.integers(-6, 6),
        quantity=st.integers(1, 20),
        depth=st.sampled_from([0, 0, 0, 1, 2, 5, 9, 10_000]),
    )
    + _happens(1, "money_moves", which=number, amount=st.sampled_from([100_000, -50_000]))
    + _happens(3, "flow", time=st.sampled_from([1, 1, 300, 3_000, 90_000]))
    + _happens(1, "engine_hears", count=st.integers(1, 6), how=st.sampled_from(["", "", " twice", " backwards"]))
    + _happens(1, "venue_takes", count=st.integers(1, 3))
    + _happens(2, "requests_go_wrong", which=number, trouble=st.sampled_from(["reply", "request", "busy", "sight"]))
    + _happens(
        1,
        "news_is_lost",
        which=number,
        count=st.integers(1, 6),
        what=st.sampled_from(["reports", "reports", "look-ups", "order", "reveal"]),
    )
    + _happens(2, "reading", which=number, form=st.sampled_from(_WORDS))
    + _happens(
        1,
        "engine_crashes",
        form=st.sampled_from(["engine crashes", "engine crashes after sending"]),
        stays=st.sampled_from([False, False, True]),
    )
    + _happens(1, "venue_refuses", which=number, count=st.integers(1, 2))
    + _happens(1, "hand_trades", which=number, side=sides, quantity=st.integers(0, 12), book=books)
)
"""What may happen, and how: methods of the machine by name. The more often one is named, the more often it happens."""


@st.composite
def children(draw: st.DrawFn) -> dict[str, str]:
    """One to five children with mixed settings, as `--child` takes them."""
    found = {}
    for number in range(1, draw(st.sampled_from([1, 1, 2, 2, 3, 4, 5])) + 1):
        names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=2, unique=True))
        texts = [draw(st.sampled_from(SIZES)), *(f"{name}={draw(st.sampled_from(OPTIONS[name]))}" for name in names)]
        found[f"c{number}"] = ",".join(texts)
    return found


class _Story:
    """Shown only where hypothesis shows it: then it is written down."""

    def __init__(self, machine: DeskMachine) -> None:
        self.machine = machine

    def __repr__(self) -> str:
        return "\n" + shortened(self.machine.story())


class DeskMachine(RuleBasedStateMachine):
    """`latest`: the story of the machine that ran last, as a scenario file."""

    latest = ""
    stage: HeldStage
    twin: HeldStage | None = None

    # --- the desk -----------------------------------------------------------------------------------------------------

    @initialize(
        family=children(),
        hedge=st.booleans(),
        amends=st.sampled_from([("limit",), (), tuple(map(str, OrderType))]),
        nets=st.booleans(),
        rough=st.sampled_from([False, False, True]),
        ends=st.sampled_from(["as it is", "as it is", "without orders", "flat", "flat"]),
        twin=st.sampled_from([True, False, False, False]),
    )
    def open(
        self, family: dict[str, str], hedge: bool, amends: tuple[str, ...], nets: bool, rough: bool, ends: str, twin: bool
    ) -> None:
        """`rough`: the venue also refuses for good, and people trade on the children. `ends`: what the parent does last."""
        self.steps: list[tuple[str, dict[str, Any]]] = []
        self.orders = 0
        self.rough, self.ends = rough, ends
        self.desk_lines = [
            "rules    10, 14, 16",
            f"market   price {MID}, step 1, tick 1",
            *(f"child {name} {text}" for name, text in family.items()),
            *(["all accounts are in hedge mode"] if hedge else []),
            *([] if nets or hedge else ["venue does not net"]),
            "venue amends " + (", ".join(amends) or "nothing"),
            "messages are held",
        ]
        self.scenario = Scenario(
            Path("made-up.scenario"),
            market=Market(price=D(MID), step=D(1), tick=D(1)),
            children=family,
            hedge=hedge,
            nets=nets or hedge,
            amends=amends,
            held=True,
        )
        self.stage = HeldStage(self.scenario)
        now(self.stage.open())
        if twin and not rough:
            beside = dataclasses.replace(self.scenario, children={**family, "dead": "x1"})
            self.twin = HeldStage(beside)
            self.twin.loop.dead.add("dead")
            now(self.twin.open())

    def act(self, form: str, **values: Any) -> None:
        """Take one step and write it down. What the venue refuses to a person did not happen."""
        try:
            now(getattr(self.stage, _VERBS[form])(**values))
        except ExchangeRefusal:
            return
        now(self.stage.rest())
        self.steps.append((form, values))
        if self.twin is not None:
            now(getattr(self.twin, _VERBS[form])(**values))
            now(self.twin.rest())

    def story(self) -> str:
        return write_scenario("A story that the machine made up", [], self.desk_lines, self.steps)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            if self.twin is not None:
                self.act("time passes: {time}", time=10_000)
                assert sends(self.twin) == sends(self.stage), "a dead child delays another (I6)"
                self.twin = None
            if self.ends != "as it is":
                self.cancel_all()
            if self.ends == "flat":
                self.close(100, OrderType.MARKET, 0, {})
            self.act("all comes to rest")
            self.steps.append(("promises shall hold", {}))
            self.stage.promises_shall_hold()
        finally:
            DeskMachine.latest = self.story()
            note(_Story(self))

    @invariant()
    def never_beyond(self) -> None:
        if hasattr(self, "stage"):
            never_beyond_what_was_meant(self.stage)

    @rule(happening=happenings)
    def happens(self, happening: tuple[str, dict[str, Any]]) -> None:
        """One rule for all: hypothesis would leave out whole rules, and most stories would be about nothing."""
        what, how = happening
        getattr(self, what)(**how)

    # --- the parent ---------------------------------------------------------------------------------------------------

    def place(
        self, side: Side, quantity: int, type_: OrderType, offset: int, book: PositionSide, more: dict[str, Any]
    ) -> None:
        """`offset`: how many ticks the price is away from the market, on its passive side if above 0."""
        away = -side.sign if type_ in _BELOW_FOR_BUYS else side.sign
        offset = offset if type_ is OrderType.LIMIT else abs(offset)
        at = D(max(1, int(self.stage.price) + away * offset))
        if more.get("close_position"):
            quantity = 0
        terms = Terms(
            symbol=SYMBOL,
            side=side,
            type=type_,
            quantity=D(quantity),
            price=at if type_.has_price else None,
            trigger_price=at if type_.has_trigger else None,
            trail_percent=D(1) if type_ is OrderType.TRAILING_STOP else None,
            position_side=book if self.scenario.hedge else PositionSide.NET,
            **more,
        )
        if self.scenario.hedge and (book is PositionSide.LONG) == (side is Side.BUY):
            terms = msgspec.structs.replace(terms, reduce_only=False)
            if terms.close_position:
                return
        self.orders += 1
        self.act("parent {order}", order=OrderWords(terms, f"o{self.orders}"))

    def close(self, share: int, type_: OrderType, offset: int, more: dict[str, Any]) -> None:
        for position in self.stage.exchange.positions(PARENT):
            side = Side.SELL if position.quantity > 0 else Side.BUY
            quantity = int(abs(position.quantity) * share / 100) or 1
            self.place(side, quantity, type_, offset, position.position_side, more)

    def working(self) -> list[tuple[str, Order]]:
        names = {named.venue_id: name for name, named in self.stage.names.items()}
        return [
            (names[order.venue_id], order) for order in self.stage.exchange.open_orders(PARENT) if order.venue_id in names
        ]

    def trades(self, trade: Trade, flows: int) -> None:
        """Where there is nothing to close or to change, the parent enters instead."""
        working = self.working()
        closes = bool(self.stage.exchange.positions(PARENT))
        match trade.what:
            case "exit" if closes:
                self.close(trade.share, trade.type_, trade.offset, trade.more)
            case "close all" if closes:
                self.close(100, OrderType.STOP_MARKET, trade.offset, {"close_position": True})
                self.close(100, OrderType.TAKE_PROFIT_MARKET, 9 - trade.offset, {"close_position": True})
            case "cancel" if working:
                self.act("parent cancels {name}", name=working[trade.share % len(working)][0])
            case "change" if working:
                self.change(*working[trade.share % len(working)], trade)
            case "flat" if closes or working:
                self.cancel_all()
                self.close(100, OrderType.MARKET, 0, {})
            case "bracket":
                self.bracket(trade)
            case _:
                self.place(trade.side, trade.quantity, trade.type_, trade.offset, trade.book, trade.flags)
        if flows:
            self.flow(flows)

    def change(self, name: str, order: Order, trade: Trade) -> None:
        """Move an order, resize it, or both."""
        price = order.terms.price if order.terms.trigger_price is None else order.terms.trigger_price
        if price is not None and trade.share != 30:
            self.act("parent moves {name} to {price}", name=name, price=price + trade.side.sign * (trade.offset % 5))
        if trade.share != 50:
            self.act("parent resizes {name} to {quantity}", name=name, quantity=D(trade.quantity))

    def bracket(self, trade: Trade) -> None:
        """An entry at market with a stop and a target."""
        side = trade.side
        if self.scenario.hedge:
            side = Side.BUY if trade.book is PositionSide.LONG else Side.SELL
        more = {} if self.scenario.hedge else {"reduce_only": True}
        self.place(side, trade.quantity, OrderType.MARKET, 0, trade.book, {})
        self.place(side.opposite, trade.quantity, OrderType.LIMIT, abs(trade.offset), trade.book, more)
        self.place(side.opposite, trade.quantity, OrderType.STOP_MARKET, abs(trade.offset), trade.book, more)

    def cancel_all(self) -> None:
        for name, _ in self.working():
            self.act("parent cancels {name}", name=name)

    # --- the market -----------------------------------------------------------------------------------------------------

    def market_moves(self, price: int, flows: bool) -> None:
        self.act("market moves to {price}", price=D(price))
        if flows:
            self.flow(1)

    def somebody_trades(self, offset: int, quantity: int, depth: int) -> None:
        if depth:
            self.act("market has {quantity} on each side", quantity=D(depth))
        price = max(D(1), self.stage.price + offset)
        self.act("market trades {quantity} at {price}", quantity=D(quantity), price=price)

    def money_moves(self, which: int, amount: int) -> None:
        form = "{account} deposits {amount}" if amount > 0 else "{account} withdraws {amount}"
        self.act(form, account=self.account(which), amount=D(abs(amount)))

    def account(self, which: int) -> str:
        return self.scenario.accounts[which % len(self.scenario.accounts)]

    def child(self, which: int) -> str:
        return self.scenario.accounts[1 + which % (len(self.scenario.accounts) - 1)]

    # --- how messages move ----------------------------------------------------------------------------------------------

    def flow(self, time: int) -> None:
        """Everything flows, and time passes."""
        self.act("time passes: {time}", time=time)

    def engine_hears(self, count: int, how: str) -> None:
        self.act(f"engine hears {{count}} reports{how}", count=count)

    def venue_takes(self, count: int) -> None:
        self.act("venue takes {count} requests", count=count)

    # --- trouble ----------------------------------------------------------------------------------------------------------

    def requests_go_wrong(self, which: int, trouble: str) -> None:
        account = self.child(which)
        match trouble:
            case "reply":
                self.act("venue loses its reply to {account}", account=account)
            case "request":
                self.act("venue loses the next request of {account}", account=account)
            case "busy":
                self.act("venue is too busy for the next {count} requests of {account}", account=account, count=1)
            case "sight":
                self.act("venue loses its reply to {account}", account=account)
                self.act("reports to {account} are lost, {count} of them", account=account, count=4)
                self.act("venue does not find what {account} looks up, {count} times", account=account, count=2)

    def news_is_lost(self, which: int, count: int, what: str) -> None:
        match what:
            case "reports":
                self.act("reports to {account} are lost, {count} of them", account=self.account(which), count=count)
            case "look-ups":
                form = "venue does not find what {account} looks up, {count} times"
                self.act(form, account=self.account(which), count=min(count, 2))
            case "order" if which < len(self.stage.names):
                self.act("venue conceals {name}", name=list(self.stage.names)[-1 - which])
            case "reveal":
                self.act("venue reveals everything")

    def reading(self, which: int, form: str) -> None:
        self.act(form, account=self.account(which))

    def engine_crashes(self, form: str, stays: bool) -> None:
        if not self.stage.loop.killed:
            self.act(form)
        if not stays:
            self.act("engine starts")

    # --- what is final, and people ----------------------------------------------------------------------------------------

    def venue_refuses(self, which: int, count: int) -> None:
        if not self.rough:
            return
        form = "venue refuses the next {count} requests of {account}: {reason}"
        self.act(form, count=count, account=self.child(which), reason=RejectReason.MARGIN)

    def hand_trades(self, which: int, side: Side, quantity: int, book: PositionSide) -> None:
        if not self.rough:
            return
        if not quantity:
            self.act("by hand {account} cancels {name}", account=self.child(which), name="everything")
            return
        place = book if self.scenario.hedge else PositionSide.NET
        terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), position_side=place)
        self.act("by hand {account} {order}", account=self.child(which), order=OrderWords(terms))


def sends(stage: HeldStage) -> list[object]:
    """What the living were sent, without the numbers of the intents."""
    living = [intent for intent in stage.loop.intents if intent.account not in stage.loop.dead]
    return [msgspec.structs.replace(intent, id=0) for intent in living]
