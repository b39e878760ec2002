"""The engine knows neither units nor sides: a story told in thousandths, or with every side and price turned round, brings
the same decisions. And however it went: once all is quiet, a child has what its orders filled, and what it lacks is named.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from copydesk.drifting import UNEXPLAINED, drifts
from copydesk.inputs import ChildRules, Modify, Note, Place, PlaceGroup, Unfilled
from copydesk.model import Order, OrderType, Rejected, RejectReason, Side, Terms
from copydesk_paper.records import MarketDepth, MarketTrade
from copydesk_paper.refusal import ExchangeRefusal
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument

ONE, MIDDLE, DEPTH = D(1), D(60_000), D(10_000)
STEPS = 30
LIMIT, STOP, TARGET = OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET
REFUSALS = (RejectReason.RATE_LIMIT, RejectReason.PERMISSION, RejectReason.QUANTITY, RejectReason.OVERLOADED)


@dataclass
class Told(ClosedLoop):
    """A closed loop in which quantities are in `unit`, and sides and prices are turned round where `turned` is -1."""

    unit: Decimal = ONE
    turned: int = 1
    level: Decimal = field(default=MIDDLE, init=False)
    by_hand: bool = False

    def side(self, side: Side) -> Side:
        return side if self.turned > 0 else (Side.SELL if side is Side.BUY else Side.BUY)

    def at(self, price: Decimal) -> Decimal:
        return MIDDLE + self.turned * (price - MIDDLE)

    def prices(self, price: Decimal, depth: Decimal = DEPTH) -> None:
        self.level = price
        tick, middle, much = self.instrument.price_tick, self.at(price), depth * self.unit
        bids, asks = ((middle - tick, much),), ((middle + tick, much),)
        self.exchange.apply(MarketDepth(symbol=SYMBOL, bids=bids, asks=asks, snapshot=True))
        for buyer_is_maker in (True, False)[:: self.turned]:
            if self.exchange.accounts:
                self.sweep(price, D("0.001"), buyer_is_maker=buyer_is_maker)

    def sweep(self, price: Decimal, quantity: Decimal, *, buyer_is_maker: bool) -> None:
        """Somebody trades through what rests up to a price; `quantity` in units."""
        maker = buyer_is_maker if self.turned > 0 else not buyer_is_maker
        trade = MarketTrade(symbol=SYMBOL, price=self.at(price), quantity=quantity * self.unit, buyer_is_maker=maker)
        self.exchange.apply(trade)

    def terms(self, side: Side, quantity: int, type_: OrderType, price: Decimal | None, **more: Any) -> Terms:
        level = None if price is None else self.at(price)
        prices = {"trigger_price" if type_.is_conditional else "price": level}
        return Terms(symbol=SYMBOL, side=self.side(side), type=type_, quantity=quantity * self.unit, **prices, **more)

    def parent_does(self, side: Side, quantity: int, type_: OrderType, price: Decimal | None = None, **more: Any) -> None:
        self.pass_time(1)
        self.exchange.place(PARENT, self.terms(side, quantity, type_, price, **more))

    def held(self, account: str = PARENT) -> Decimal:
        return self.position(account) * self.turned / self.unit

    def told(self) -> list[tuple[Any, ...]]:
        """What was decided, without names, numbers and prices."""
        return [self._as_if(one) for one in (*self.intents, *self.notes)]

    def _as_if(self, one: Any) -> tuple[Any, ...]:
        orders: list[Terms] = []
        match one:
            case Place(order=order):
                orders = [order.terms]
            case PlaceGroup(group=group):
                orders = [leg.terms for leg in group.legs]
            case Modify(change=change):
                orders = [change.terms]
            case Note():
                return (one.kind, one.level, one.account, sorted(one.data))
        what = [
            (self.side(terms.side), terms.type, terms.quantity / self.unit, terms.reduce_only, terms.time_in_force)
            for terms in orders
        ]
        return (type(one).__name__, one.account, getattr(one, "why", "") if orders else "", what)


def market(desk: Told, draw: random.Random) -> None:
    desk.parent_does(draw.choice(list(Side)), draw.randint(1, 6), OrderType.MARKET)


def close(desk: Told, draw: random.Random) -> None:
    part = draw.choice([1, 2])
    held = desk.held()
    if size := int(abs(held) / part):
        desk.parent_does(Side.SELL if held > 0 else Side.BUY, size, OrderType.MARKET, reduce_only=draw.random() < 0.5)


def rest(desk: Told, draw: random.Random) -> None:
    side, away = draw.choice(list(Side)), 16 * draw.randint(1, 3)
    price = desk.level - away if side is Side.BUY else desk.level + away
    desk.parent_does(side, draw.randint(1, 6), LIMIT, price)


def protect(desk: Told, draw: random.Random) -> None:
    held = desk.held()
    side, sign = (Side.SELL, 1) if held > 0 else (Side.BUY, -1)
    size = int(abs(held)) or 2
    desk.parent_does(side, size, STOP, desk.level - sign * (80 * draw.randint(1, 3) + 8), reduce_only=bool(held))
    if draw.random() < 0.5 and held:
        desk.parent_does(side, size, TARGET, desk.level + sign * (80 * draw.randint(1, 3) + 8), reduce_only=True)


def bracket(desk: Told, draw: random.Random) -> None:
    held = desk.held()
    side, sign = (Side.SELL, 1) if held > 0 else (Side.BUY, -1)
    if size := int(abs(held)):
        legs = ((LIMIT, desk.level + sign * 164), (STOP, desk.level - sign * 164))
        desk.parent_places_group(*(desk.terms(side, size, kind, price, reduce_only=True) for kind, price in legs))


def resting(desk: Told, draw: random.Random) -> Order | None:
    orders = sorted(desk.exchange.open_orders(PARENT), key=lambda order: order.venue_id)
    return draw.choice(orders) if orders else None


def withdraw(desk: Told, draw: random.Random) -> None:
    if order := resting(desk, draw):
        desk.cancel(order)


def amend(desk: Told, draw: random.Random) -> None:
    quantity, away = draw.randint(1, 8), 16 * draw.randint(1, 4)
    order = resting(desk, draw)
    if order is not None and order.terms.type is LIMIT:
        price = desk.level - away if order.terms.side is desk.side(Side.BUY) else desk.level + away
        desk.amend(order, quantity=str(quantity * desk.unit), price=str(desk.at(price)))


def trade(desk: Told, draw: random.Random) -> None:
    away, quantity, buyer_is_maker = 16 * draw.randint(1, 4), D(draw.randint(1, 5)), draw.random() < 0.5
    desk.sweep(desk.level + (-away if buyer_is_maker else away), quantity, buyer_is_maker=buyer_is_maker)


def move(desk: Told, draw: random.Random) -> None:
    desk.prices(desk.level + draw.choice([-1, 1]) * 80 * draw.randint(1, 3))


def refuse(desk: Told, draw: random.Random) -> None:
    left, reason, account = [draw.randint(1, 2)], draw.choice(REFUSALS), draw.choice(["c1", "c2"])

    def fault(intent: Any) -> Rejected | None:
        if intent.account != account or not left[0]:
            return None
        left[0] -= 1
        return Rejected(reason=reason, message="not now")

    desk.fault = fault


def lose(desk: Told, draw: random.Random) -> None:
    left, account = [1], draw.choice(["c1", "c2"])

    def fault(intent: Any) -> str | None:
        if intent.account != account or not left[0]:
            return None
        left[0] -= 1
        return "lose-reply"

    desk.fault = fault


def away(desk: Told, draw: random.Random) -> None:
    account = draw.choice(["c1", "c2", PARENT])
    (desk.reconnect if account in desk.down else desk.disconnect)(account)


def hand(desk: Told, draw: random.Random) -> None:
    side, quantity, account = draw.choice(list(Side)), draw.randint(1, 3), draw.choice(["c1", "c2"])
    if desk.by_hand:
        desk.exchange.place(account, desk.terms(side, quantity, OrderType.MARKET, None))


def wait(desk: Told, draw: random.Random) -> None:
    desk.live(draw.choice([100, 900, 3_000, 20_000]))


def hear(desk: Told, draw: random.Random) -> None:
    desk.deliver()


def act(desk: Told, draw: random.Random) -> None:
    desk.deliver()
    desk.carry_out()


DEEDS: tuple[tuple[Callable[[Told, random.Random], None], int], ...] = (
    (market, 3), (close, 3), (rest, 4), (protect, 2), (bracket, 1), (withdraw, 2), (amend, 2), (trade, 4), (move, 3),
    (refuse, 1), (lose, 1), (away, 1), (hand, 1), (wait, 4), (hear, 2), (act, 6),
)  # fmt: skip


def rules(draw: random.Random) -> tuple[ChildRules, ...]:
    def unfilled(*actions: str) -> Unfilled:
        return Unfilled(action=draw.choice(actions), after_ms=draw.choice([500, 2_000]), steps=2)

    return tuple(
        child(
            account,
            k=k,
            rounding=draw.choice(["floor", "nearest", "min_one"]),
            ahead=draw.choice(["trim", "trim", "ask", "keep"]),
            trigger=draw.choice(["on_submit", "on_submit", "on_fill"]),
            hand_trading=draw.choice(["coexist", "enforce", "yield"]),
            unfilled_entry=unfilled("wait", "market_after", "chase", "cancel_after"),
            unfilled_exit=unfilled("wait", "market_after", "chase"),
        )
        for account, k in (("c1", draw.choice(["0.5", "1"])), ("c2", draw.choice(["2", "-1", "0.7"])))
    )


def story(seed: int, unit: str = "1", turned: int = 1) -> Told:
    draw = random.Random(seed)
    children = rules(draw)
    amendable = draw.choice([frozenset({LIMIT}), frozenset(OrderType), frozenset()])
    more = {"nets": draw.random() < 0.8, "oco": draw.random() < 0.5, "reduce_only": draw.random() < 0.8}
    more["by_hand"] = draw.random() < 0.25
    one = instrument(unit)
    desk = Told(children, instrument=one, amendable=amendable, free=True, unit=D(unit), turned=turned, **more)
    desk.start()
    deeds, weights = zip(*DEEDS, strict=True)
    for deed in draw.choices(deeds, weights, k=STEPS):
        try:
            deed(desk, draw)
        except ExchangeRefusal:
            continue  # the parent may not do that just now
    desk.fault = lambda intent: None
    for account in sorted(desk.down):
        desk.reconnect(account)
    desk.settle()
    return desk


@pytest.mark.parametrize("seed", range(120))
def test_neither_units_nor_sides_make_a_difference(seed: int):
    plain = story(seed)
    assert story(seed, unit="0.001").told() == plain.told()
    assert story(seed, turned=-1).told() == plain.told()
    if not plain.by_hand:
        for link in plain.copier.desk.bots["bot"].links.values():
            assert link.attributed == plain.position(link.child.account)
    if all(one.ahead == "trim" for one in plain.children):
        causes = [cause for view in drifts(plain.copier.desk) for cause in view.causes]
        assert not [cause for cause in causes if cause.cause == UNEXPLAINED]
