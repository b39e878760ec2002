"""A machine that makes up stories for the pure engine: a parent, a market, people, and a venue that misbehaves.

Every step is one of the phrases of scenario files with concrete values, taken at once. What was taken is written down:
the story of an example that fails is a scenario file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Coroutine
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from copydesk.model import Order, OrderType, PositionSide, RejectReason, Side, Terms, TimeInForce
from copydesk_paper.refusal import ExchangeRefusal
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from harness.scenario.held import HeldStage
from harness.scenario.phrases import PHRASES
from harness.scenario.promises import never_beyond_what_was_meant
from harness.scenario.reading import PARENT, Market, Scenario
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
flags = st.one_of(
    st.just({}),
    st.just({}),
    st.sampled_from([{"time_in_force": TimeInForce.IOC}, {"time_in_force": TimeInForce.FOK}, {"post_only": True}]),
)


@st.composite
def children(draw: st.DrawFn) -> dict[str, str]:
    """One to five children with mixed settings, as `--child` takes them."""
    found = {}
    for number in range(1, draw(st.integers(1, 5)) + 1):
        names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=2, unique=True))
        texts = [draw(st.sampled_from(SIZES)), *(f"{name}={draw(st.sampled_from(OPTIONS[name]))}" for name in names)]
        found[f"c{number}"] = ",".join(texts)
    return found


def now(work: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")


class _Story:
    """Shown only where hypothesis shows it: then it is written down."""

    def __init__(self, machine: DeskMachine) -> None:
        self.machine = machine

    def __repr__(self) -> str:
        return "\n" + self.machine.story()


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
        rough=st.booleans(),
        twin=st.sampled_from([True, False, False, False]),
    )
    def open(
        self, family: dict[str, str], hedge: bool, amends: tuple[str, ...], nets: bool, rough: bool, twin: bool
    ) -> None:
        """`rough`: the venue also refuses for good, and people trade on the children."""
        self.steps: list[tuple[str, dict[str, Any]]] = []
        self.orders = 0
        self.rough = rough
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

    # --- the parent ---------------------------------------------------------------------------------------------------

    def place(
        self, side: Side, quantity: int, type_: OrderType, offset: int, book: PositionSide, more: dict[str, Any]
    ) -> None:
        """`offset`: how many ticks the price is away from the market, on its passive side if above 0."""
        away = -side.sign if type_ in _BELOW_FOR_BUYS else side.sign
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
        names = {venue_id: name for name, venue_id in self.stage.names.items()}
        return [
            (names[order.venue_id], order) for order in self.stage.exchange.open_orders(PARENT) if order.venue_id in names
        ]

    @rule(side=sides, quantity=quantities, book=books)
    def market_order(self, side: Side, quantity: int, book: PositionSide) -> None:
        self.place(side, quantity, OrderType.MARKET, 0, book, {})

    @rule(side=sides, quantity=quantities, offset=offsets, book=books, more=flags)
    def limit_order(self, side: Side, quantity: int, offset: int, book: PositionSide, more: dict[str, Any]) -> None:
        self.place(side, quantity, OrderType.LIMIT, offset, book, more)

    @rule(side=sides, quantity=quantities, type_=st.sampled_from(STOPS), offset=st.integers(1, 8), book=books)
    def stop_order(self, side: Side, quantity: int, type_: OrderType, offset: int, book: PositionSide) -> None:
        self.place(side, quantity, type_, offset, book, {})

    @rule(share=st.sampled_from([30, 50, 100, 100, 200, 250]))
    def market_exit(self, share: int) -> None:
        self.close(share, OrderType.MARKET, 0, {})

    @rule(share=st.sampled_from([30, 50, 100]), offset=offsets, reduce_only=st.booleans())
    def limit_exit(self, share: int, offset: int, reduce_only: bool) -> None:
        self.close(share, OrderType.LIMIT, offset, {"reduce_only": reduce_only})

    @rule(
        share=st.sampled_from([30, 50, 100, 250]),
        type_=st.sampled_from(STOPS),
        offset=st.integers(1, 8),
        reduce_only=st.booleans(),
    )
    def stop_exit(self, share: int, type_: OrderType, offset: int, reduce_only: bool) -> None:
        self.close(share, type_, offset, {"reduce_only": reduce_only})

    @rule(share=st.sampled_from([50, 100]), loss=st.integers(1, 8), profit=st.integers(1, 8), whole=st.booleans())
    def bracket(self, share: int, loss: int, profit: int, whole: bool) -> None:
        """A stop-loss and a take-profit for the same position."""
        more = {"close_position": True} if whole else {"reduce_only": True}
        self.close(share, OrderType.STOP_MARKET, loss, more)
        self.close(share, OrderType.TAKE_PROFIT_MARKET, profit, more)

    @rule(which=number, move=st.integers(-4, 4))
    def moves(self, which: int, move: int) -> None:
        working = self.working()
        if working and move:
            name, order = working[which % len(working)]
            price = order.terms.price if order.terms.trigger_price is None else order.terms.trigger_price
            if price is not None:
                self.act("parent moves {name} to {price}", name=name, price=price + move)

    @rule(which=number, quantity=quantities)
    def resizes(self, which: int, quantity: int) -> None:
        working = self.working()
        if working:
            name, _ = working[which % len(working)]
            self.act("parent resizes {name} to {quantity}", name=name, quantity=D(quantity))

    @rule(which=number)
    def cancels(self, which: int) -> None:
        working = self.working()
        if working:
            self.act("parent cancels {name}", name=working[which % len(working)][0])

    @rule()
    def go_flat(self) -> None:
        """The parent cancels everything and closes what it holds."""
        for name, _ in self.working():
            self.act("parent cancels {name}", name=name)
        self.close(100, OrderType.MARKET, 0, {})

    # --- the market ---------------------------------------------------------------------------------------------------

    @rule(price=st.integers(MID - 12, MID + 12))
    def market_moves(self, price: int) -> None:
        self.act("market moves to {price}", price=D(price))

    @rule(quantity=st.sampled_from([1, 2, 5, 9, 10_000]))
    def market_depth(self, quantity: int) -> None:
        self.act("market has {quantity} on each side", quantity=D(quantity))

    @rule(offset=st.integers(-6, 6), quantity=st.integers(1, 20))
    def somebody_trades(self, offset: int, quantity: int) -> None:
        self.act("market trades {quantity} at {price}", quantity=D(quantity), price=max(D(1), self.stage.price + offset))

    @rule(which=number, amount=st.sampled_from([100_000, -50_000]))
    def money_moves(self, which: int, amount: int) -> None:
        form = "{account} deposits {amount}" if amount > 0 else "{account} withdraws {amount}"
        self.act(form, account=self.account(which), amount=D(abs(amount)))

    def account(self, which: int) -> str:
        return self.scenario.accounts[which % len(self.scenario.accounts)]

    def child(self, which: int) -> str:
        return self.scenario.accounts[1 + which % (len(self.scenario.accounts) - 1)]

    # --- how messages move --------------------------------------------------------------------------------------------

    @rule(time=st.sampled_from([1, 1, 1, 300, 3_000, 90_000]))
    def time_passes(self, time: int) -> None:
        self.act("time passes: {time}", time=time)

    @rule(time=st.sampled_from([1, 1, 300]))
    def flows(self, time: int) -> None:
        self.act("time passes: {time}", time=time)

    @rule(count=st.integers(1, 6), how=st.sampled_from(["", "", " twice", " backwards"]))
    def engine_hears(self, count: int, how: str) -> None:
        self.act(f"engine hears {{count}} reports{how}", count=count)

    @rule(count=st.integers(1, 3))
    def venue_takes(self, count: int) -> None:
        self.act("venue takes {count} requests", count=count)

    # --- trouble ------------------------------------------------------------------------------------------------------

    @rule(which=number, trouble=st.sampled_from(["reply", "request", "busy", "sight"]))
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

    @rule(which=number, count=st.integers(1, 6))
    def reports_are_lost(self, which: int, count: int) -> None:
        self.act("reports to {account} are lost, {count} of them", account=self.account(which), count=count)

    @rule(which=number, count=st.integers(1, 2))
    def look_ups_find_nothing(self, which: int, count: int) -> None:
        account = self.account(which)
        self.act("venue does not find what {account} looks up, {count} times", account=account, count=count)

    @rule(which=st.integers(0, 3))
    def an_order_is_concealed(self, which: int) -> None:
        if which < len(self.stage.names):
            self.act("venue conceals {name}", name=list(self.stage.names)[-1 - which])

    @rule()
    def all_is_revealed(self) -> None:
        self.act("venue reveals everything")

    @rule(which=number, form=st.sampled_from(["connection of {account} goes down", "connection of {account} comes back"]))
    def connections(self, which: int, form: str) -> None:
        self.act(form, account=self.account(which))

    @rule(which=number, form=st.sampled_from(["is taken", "arrives"]))
    def late_snapshots(self, which: int, form: str) -> None:
        self.act("snapshot of {account} " + form, account=self.account(which))

    @rule(which=number)
    def reads_again(self, which: int) -> None:
        self.act("account of {account} is read again", account=self.account(which))

    @rule(form=st.sampled_from(["engine crashes", "engine crashes after sending"]), stays=st.booleans())
    def engine_crashes(self, form: str, stays: bool) -> None:
        if not self.stage.loop.killed:
            self.act(form)
            if not stays:
                self.act("engine starts")

    @rule()
    def engine_starts(self) -> None:
        if self.stage.loop.killed:
            self.act("engine starts")

    # --- what is final, and people ------------------------------------------------------------------------------------

    @precondition(lambda self: self.rough)
    @rule(which=number, count=st.integers(1, 2))
    def venue_refuses(self, which: int, count: int) -> None:
        form = "venue refuses the next {count} requests of {account}: {reason}"
        self.act(form, count=count, account=self.child(which), reason=RejectReason.MARGIN)

    @precondition(lambda self: self.rough)
    @rule(which=number, side=sides, quantity=quantities, book=books)
    def hand_trades(self, which: int, side: Side, quantity: int, book: PositionSide) -> None:
        place = book if self.scenario.hedge else PositionSide.NET
        terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), position_side=place)
        self.act("by hand {account} {order}", account=self.child(which), order=OrderWords(terms))

    @precondition(lambda self: self.rough)
    @rule(which=number)
    def hand_cancels(self, which: int) -> None:
        self.act("by hand {account} cancels {name}", account=self.child(which), name="everything")


def sends(stage: HeldStage) -> list[object]:
    """What the living were sent, without the numbers of the intents."""
    living = [intent for intent in stage.loop.intents if intent.account not in stage.loop.dead]
    return [msgspec.structs.replace(intent, id=0) for intent in living]
