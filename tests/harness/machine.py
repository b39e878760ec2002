"""A machine that makes up stories for the pure engine: a parent, a market, people, and a venue that misbehaves.

Every step is one of the phrases of scenario files with concrete values, taken at once. What was taken is written down:
the story of an example that fails is a scenario file.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from copydesk.model import Order, OrderType, PositionSide, RejectReason, Side, Terms
from copydesk_paper.refusal import ExchangeRefusal
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from harness.choices import MID, Desk, Happening, Trade, desks, happenings
from harness.scenario.held import HeldStage
from harness.scenario.phrases import PHRASES
from harness.scenario.promises import never_beyond_what_was_meant
from harness.scenario.reading import PARENT, Scenario, read_text
from harness.scenario.shortening import shortened
from harness.scenario.stage import now
from harness.scenario.words import SYMBOL, OrderWords
from harness.scenario.writing import write_scenario

D = Decimal
_BELOW_FOR_BUYS = (OrderType.LIMIT, OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT)
_NOT_BESIDE_THE_DEAD = frozenset({"people", "life"})
"""What a dead child changes: the numbers of tickets, and when a bot is wound down."""
_VERBS = {phrase.form: phrase.verb for phrase in PHRASES}


class _Story:
    """Shown only where hypothesis shows it: then it is written down."""

    def __init__(self, machine: DeskMachine) -> None:
        self.machine = machine

    def __repr__(self) -> str:
        return "\n" + shortened(self.machine.story())


class DeskMachine(RuleBasedStateMachine):
    """`latest`: the story of the machine that ran last, as a scenario file. `theme`: the only trouble, where set. `spot`:
    coins are traded."""

    latest = ""
    theme = ""
    spot = False
    stage: HeldStage
    scenario: Scenario
    twin: HeldStage | None = None

    # --- the desk -----------------------------------------------------------------------------------------------------

    @initialize(desk=st.runner().flatmap(lambda machine: desks(machine.theme, spot=machine.spot)))
    def open(self, desk: Desk) -> None:
        self.steps: list[tuple[str, dict[str, Any]]] = []
        self.orders = 0
        self.ends = desk.ends
        self.happenings = happenings(desk.about)
        self.desk_lines = [
            "rules    10, 14, 16",
            f"market   price {MID}, step 1, tick 1",
            *(f"child {name} {text}" for name, text in desk.children.items()),
            *(f"bot {text}" for text in desk.silence),
            *(["all accounts are in hedge mode"] if desk.hedge else []),
            *([] if desk.nets or desk.hedge else ["venue does not net"]),
            *(["venue is spot"] if desk.spot else ["venue has native OCO"] if desk.oco else []),
            *(["venue tells what never arrived"] if desk.final else []),
            *([desk.budget] if desk.budget else []),
            "venue amends " + (", ".join(desk.amends) or "nothing"),
            "messages are held",
        ]
        self.stage = self.staged([])
        self.scenario = self.stage.scenario
        if desk.twin and not desk.shared and not desk.about & _NOT_BESIDE_THE_DEAD:
            self.twin = self.staged(["child dead x1"])
            self.twin.loop.dead.add("dead")

    def staged(self, more: list[str]) -> HeldStage:
        """A stage of the desk with these lines besides."""
        head = write_scenario(
            "A story that the machine made up", [], [*self.desk_lines, *more], [("promises shall hold", {})]
        )
        stage = HeldStage(read_text(head, Path("made-up.scenario")))
        now(stage.open())
        return stage

    def act(self, form: str, **values: Any) -> None:
        """Take one step and write it down. What the venue refuses to a person did not happen."""
        self.steps.append((form, values))
        try:
            now(getattr(self.stage, _VERBS[form])(**values))
        except ExchangeRefusal:
            self.steps.pop()
            return
        now(self.stage.rest())
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

    @rule(happening=st.runner().flatmap(lambda machine: machine.happenings))
    def happens(self, happening: Happening) -> None:
        """One rule for all: hypothesis would leave out whole rules, and most stories would be about nothing."""
        what, how = happening
        getattr(self, what)(**how)

    # --- the parent ---------------------------------------------------------------------------------------------------

    def order(
        self, side: Side, quantity: int, type_: OrderType, offset: int, book: PositionSide, more: dict[str, Any]
    ) -> OrderWords:
        """`offset`: how many ticks the price is away from the market, on its passive side if above 0."""
        away = -side.sign if type_ in _BELOW_FOR_BUYS else side.sign
        offset = offset if type_ is OrderType.LIMIT else abs(offset)
        at = D(max(1, int(self.stage.price) + away * offset))
        terms = Terms(
            symbol=SYMBOL,
            side=side,
            type=type_,
            quantity=D(0 if more.get("close_position") else quantity),
            price=at if type_.has_price else None,
            trigger_price=at if type_.has_trigger else None,
            trail_percent=D(1) if type_ is OrderType.TRAILING_STOP else None,
            position_side=book if self.scenario.hedge else PositionSide.NET,
            **more,
        )
        if self.scenario.spot or (self.scenario.hedge and (book is PositionSide.LONG) == (side is Side.BUY)):
            terms = msgspec.structs.replace(terms, reduce_only=False)
        self.orders += 1
        return OrderWords(terms, f"o{self.orders}")

    def place(
        self, side: Side, quantity: int, type_: OrderType, offset: int, book: PositionSide, more: dict[str, Any]
    ) -> None:
        opens = self.scenario.hedge and (book is PositionSide.LONG) == (side is Side.BUY)
        if not (opens and more.get("close_position")):
            self.act("parent {order}", order=self.order(side, quantity, type_, offset, book, more))

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
            case "pair" if self.scenario.oco:
                self.bracket(trade, as_one=True)
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

    def bracket(self, trade: Trade, *, as_one: bool = False) -> None:
        """An entry at market with a stop and a target, of which one cancels the other where they are placed `as_one`."""
        side = trade.side
        if self.scenario.hedge:
            side = Side.BUY if trade.book is PositionSide.LONG else Side.SELL
        more = {} if self.scenario.hedge or self.scenario.spot else {"reduce_only": True}
        self.place(side, trade.quantity, OrderType.MARKET, 0, trade.book, {})
        ticks = abs(trade.offset)
        legs = [
            self.order(side.opposite, trade.quantity, type_, ticks, trade.book, more)
            for type_ in (OrderType.LIMIT, OrderType.STOP_MARKET)
        ]
        if as_one:
            self.act("parent places as one {group}", group=legs)
        else:
            for leg in legs:
                self.act("parent {order}", order=leg)

    def cancel_all(self) -> None:
        for name, _ in self.working():
            self.act("parent cancels {name}", name=name)

    # --- the market -----------------------------------------------------------------------------------------------------

    def market_moves(self, price: int, flows: bool) -> None:
        self.act("market moves to {price}", price=D(price))
        if flows:
            self.flow(1)

    def fills(self, which: int, whose: int, quantity: int, then: str) -> None:
        """Somebody trades with exactly one order: the parent's, or a child's copy of it. The parent may cancel the rest."""
        working = self.working()
        if not working:
            return
        name, order = working[which % len(working)]
        accounts = [PARENT, PARENT, *self.scenario.children]
        account = accounts[whose % len(accounts)]
        standing = {copy.client_id for copy in self.stage.exchange.open_orders(account)}
        tracked = [one.order for (child, _), one in self.stage.desk.child_orders.items() if child == account]
        copies = [copy.client_id for copy in tracked if copy.cause == order.venue_id]
        if not copies or copies[-1] not in standing:
            account = PARENT
        self.act("venue fills {quantity} of {account}'s {name}", quantity=D(quantity), account=account, name=name)
        if then == "flow":
            self.flow(1)
        elif then == "cancel":
            self.act("parent cancels {name}", name=name)

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
            case "late":
                self.act("venue hides what {account} does for {time}", account=account, time=10_000)
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

    def venue_refuses(self, which: int, count: int, reason: RejectReason) -> None:
        form = "venue refuses the next {count} requests of {account}: {reason}"
        self.act(form, count=count, account=self.child(which), reason=reason)

    def hand_trades(self, which: int, side: Side, quantity: int, book: PositionSide, follows: bool) -> None:
        """`follows`: the person waits for what the engine makes of it."""
        if not quantity:
            self.act("by hand {account} cancels {name}", account=self.child(which), name="everything")
            return
        place = book if self.scenario.hedge else PositionSide.NET
        terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), position_side=place)
        self.act("by hand {account} {order}", account=self.child(which), order=OrderWords(terms))
        if follows:
            self.flow(3_000)

    def trading_becomes(self, which: int, state: str) -> None:
        self.act("trading of {account} becomes {state}", account=self.child(which), state=state)

    def ticket_is_sent(self, which: int) -> None:
        account = self.child(which)
        if any(ticket.child == account for ticket in self.stage.desk.tickets.values()):
            self.act("a person sends the ticket of {account}", account=account)

    def settings_become(self, which: int, text: str) -> None:
        self.act("settings of {account} become {settings}", account=self.child(which), settings=text)

    def another_bot_trades(self, side: Side, quantity: int, book: PositionSide) -> None:
        """The parent is a child of another bot: what that sends is nobody's to copy."""
        place = book if self.scenario.hedge else PositionSide.NET
        terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), position_side=place)
        self.act("another bot on {account} {order}", account=PARENT, order=OrderWords(terms))

    # --- the bot --------------------------------------------------------------------------------------------------------

    def bot_stops(self, policy: str) -> None:
        self.act("bot stops with {policy}", policy=policy)

    def bot_starts_anew(self, policy: str) -> None:
        """It is stopped, leaves all as it is, and goes on."""
        self.act("bot stops with {policy}", policy="leave")
        self.flow(1)
        self.act("bot starts with {policy}", policy=policy)

    def bot_starts(self, policy: str) -> None:
        self.act("bot starts with {policy}", policy=policy)


def sends(stage: HeldStage) -> list[object]:
    """What the living were sent, without the numbers of the intents."""
    living = [intent for intent in stage.loop.intents if intent.account not in stage.loop.dead]
    return [msgspec.structs.replace(intent, id=0) for intent in living]
