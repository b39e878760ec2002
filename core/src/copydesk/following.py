"""Bringing a child's orders to what they should be: the intents. Pure: reads and changes the state, sends nothing.

`follow` looks at one pair (a parent's order and what a child did about it), `settle_link` at a whole link. Both compare
wanted with actual and may be called at any time, any number of times: where nothing differs, nothing comes out.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec

from copydesk.ids import COPY, TRIM, client_order_id
from copydesk.inputs import Cancel, Decision, LookUp, Modify, Note, Place
from copydesk.model import (
    ZERO,
    Instrument,
    NewOrder,
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionSide,
    Terms,
    TimeInForce,
    to_json,
)
from copydesk.planning import (
    Hold,
    closing_side,
    divide,
    is_exit,
    ratio_for,
    residue,
    target,
    wanted,
)
from copydesk.sizing import floor_to, size_fault, worst_price
from copydesk.state import Bot, ChildOrder, Desk, Link, Op, Pair, Tracked
from copydesk.tracking import Event, State

PROMPT_MS = 2_000
"""A parent's market order that is younger than this is copied as a market order even when it was first seen filled."""


@dataclass(slots=True)
class Run:
    """One input being worked on: the state, the time, and what has been decided so far."""

    desk: Desk
    due: list[tuple[int, str, str]]
    at_ns: int = 0
    decisions: list[Decision] = field(default_factory=list)
    look_ups: dict[str, list[OrderRef]] = field(default_factory=dict)

    @property
    def at_ms(self) -> int:
        return self.at_ns // 1_000_000

    def note(self, link: Link, level: str, kind: str, text: str, **data: Any) -> None:
        self.decisions.append(
            Note(
                level=level,
                kind=kind,
                text=text,
                bot=link.bot,
                account=link.child.account,
                symbol=link.book[0],
                data=data,
            )
        )

    def number(self) -> int:
        self.desk.intents += 1
        return self.desk.intents

    def wake(self, order: ChildOrder, after_ms: int) -> None:
        """Look at `order` again in `after_ms`."""
        order.due_ns = self.at_ns + after_ms * 1_000_000
        heapq.heappush(self.due, (order.due_ns, order.account, order.client_id))

    def look_up(self, order: ChildOrder) -> None:
        """Ask the venue what became of `order`; ask again should no answer come."""
        order.op = Op.LOOK_UP
        self.look_ups.setdefault(order.account, []).append(order.ref)
        self.wake(order, 3_000)

    def finish(self) -> list[Decision]:
        for account, refs in self.look_ups.items():
            self.decisions.append(LookUp(id=self.number(), account=account, orders=tuple(refs)))
        return self.decisions


# --- one pair ---------------------------------------------------------------------------------------------------------


def follow(run: Run, bot: Bot, link: Link, pair: Pair) -> None:
    """Send what is missing for one parent order and one child, if anything is and if it may be sent now."""
    last = pair.last
    if pair.closed or not bot.working:
        return
    if last is None:
        _enter(run, bot, link, pair)
    elif last.op is not None or last.state in (State.SENDING, State.UNKNOWN):
        return  # one thing at a time: what is wanted by then is sent when this one is settled
    elif last.state.is_live:
        _keep(run, bot, link, pair, last)
    elif last.state in (State.WAITING, State.MISSING) or last.cancelled_for == "replace":
        _enter(run, bot, link, pair)
    elif last.state is State.FILLED and pair.parent.live and _may_grow(bot, pair):
        _enter(run, bot, link, pair)  # nothing, unless the parent made the order larger
    elif not pair.parent.live:
        pair.closed = "done"
    elif last.state is not State.FILLED:
        pair.closed = "ended"


def follow_and_register(run: Run, bot: Bot, link: Link, pair: Pair) -> None:
    """`follow`, and make an order that it placed findable by its client id."""
    before = len(pair.orders)
    follow(run, bot, link, pair)
    if len(pair.orders) > before:
        _register(run, bot, link, pair, pair.orders[-1])


def _register(run: Run, bot: Bot, link: Link, pair: Pair | None, order: ChildOrder) -> None:
    run.desk.child_orders[order.account, order.client_id] = Tracked(bot, link, pair, order)


def _may_grow(bot: Bot, pair: Pair) -> bool:
    """An entry that rests at the parent's venue can be made larger after the child's has filled."""
    return pair.parent.order.terms.type is not OrderType.MARKET and not divide(bot, pair.parent).close


def _keep(run: Run, bot: Bot, link: Link, pair: Pair, order: ChildOrder) -> None:
    """The order stands at the venue: leave it, amend it, replace it or cancel it."""
    parent = pair.parent
    if order.terms.type is OrderType.MARKET or not run.desk.account(link.child.account).connected:
        return
    if not parent.live:
        book = bot.book(link.book)
        outlived = book.followed * parent.order.terms.side.sign <= 0 and not is_exit(bot, parent)
        if parent.order.status is not OrderStatus.FILLED or outlived:
            _cancel(run, link, pair, order, "parent", "the parent's order has ended")
        return
    instrument = run.desk.instruments[bot.rules.kind, link.book[0]]
    want = wanted(run.desk, bot, link, pair, instrument)
    if isinstance(want, Hold):
        _cancel(run, link, pair, order, "replace", want.reason)
        return
    quantity = want.terms.quantity - (pair.filled - order.filled)
    if quantity <= order.filled:
        _cancel(run, link, pair, order, "replace", "nothing more is wanted of it")
        return
    terms = msgspec.structs.replace(want.terms, quantity=quantity)
    if _same(terms, order.terms) or (order.refused is not None and _same(terms, order.refused)):
        return
    can = run.desk.capabilities[bot.rules.kind]
    if terms.type in can.amend and _amendable(terms, order.terms, can.amend_price_and_quantity_only):
        order.op, order.asked, order.intent = Op.MODIFY, terms, run.number()
        run.decisions.append(
            Modify(
                id=order.intent,
                bot=link.bot,
                account=order.account,
                cause=order.cause,
                why="parent-changed" if not want.exit else "follows-position",
                change=OrderChange(ref=order.ref, terms=terms),
            )
        )
    else:
        _cancel(run, link, pair, order, "replace", "it is placed again with the new terms")


def _cancel(run: Run, link: Link, pair: Pair | None, order: ChildOrder, reason: str, why: str) -> None:
    order.op, order.cancelled_for, order.intent = Op.CANCEL, reason, run.number()
    run.decisions.append(
        Cancel(id=order.intent, bot=link.bot, account=order.account, cause=order.cause, why=why, order=order.ref)
    )


def _enter(run: Run, bot: Bot, link: Link, pair: Pair) -> None:
    """Nothing of the pair stands at the venue: place it, if it should be there."""
    parent = pair.parent
    if not parent.live and not parent.filled:
        _give_up(pair, "parent-ended-unfilled")
        return
    if not run.desk.account(link.child.account).connected:
        _wait(run, link, pair, "warn", "not-connected", f"not copied now: {link.child.account} is not connected")
        return
    instrument = run.desk.instruments.get((bot.rules.kind, link.book[0]))
    if instrument is None:
        _miss(run, bot, link, pair, "unknown-symbol", f"not copied: {link.book[0]} is not known on {link.child.account}")
        return
    if not _has_ratio(run, bot, link, pair, instrument):
        return
    want = wanted(run.desk, bot, link, pair, instrument)
    if isinstance(want, Hold):
        _wait(run, link, pair, "info", want.kind, f"skipped: {want.reason}")
        if want.final or (not parent.live and want.kind != "waits-for-fill"):
            _give_up(pair, want.kind)
        return
    if not want.exit and not run.desk.account(bot.rules.parent).connected:
        return  # no risk is added on old news; its snapshot brings us back here
    quantity = want.terms.quantity - pair.filled
    if quantity <= 0:
        if not parent.live:
            _give_up(pair, "done")
        return
    terms = msgspec.structs.replace(want.terms, quantity=quantity)
    last = pair.last
    if last is not None and last.refused is not None and _same(terms, last.refused):
        return
    if not parent.live:
        late = _late(run, bot, link, pair, terms, instrument, is_exit=want.exit)
        if late is None:
            return
        terms = late
    if not want.exit:
        fault = size_fault(quantity, terms.price or terms.trigger_price or parent.order.average_price, instrument)
        if fault:
            _wait(run, link, pair, "info", "too-small", f"skipped: {fault}")
            if not parent.live:
                _give_up(pair, "too-small")
            return
    _place(run, link, pair, terms, "catch-up" if not parent.live else "exit" if want.exit else "entry")


def _has_ratio(run: Run, bot: Bot, link: Link, pair: Pair, instrument: Instrument) -> bool:
    """Fix the pair's ratio: that of the open episode, or a new one. Exits need none."""
    if pair.ratio is not None or is_exit(bot, pair.parent):
        return True
    ratio: Decimal | str | None = link.ratio
    if ratio is None:
        ratio = ratio_for(link.child, run.desk.account(bot.rules.parent), run.desk.account(link.child.account), run.at_ns)
    if isinstance(ratio, str):
        _miss(run, bot, link, pair, "no-balance", f"not copied: {ratio}")
        return False
    pair.ratio = link.ratio = ratio
    pair.carry = residue(bot, link, pair, ratio, instrument)
    return True


def _late(
    run: Run, bot: Bot, link: Link, pair: Pair, terms: Terms, instrument: Instrument, *, is_exit: bool
) -> Terms | None:
    """The terms for a parent's order that has already filled: exits at once, entries inside age and price window."""
    parent = pair.parent.order
    market = msgspec.structs.replace(
        terms,
        type=OrderType.MARKET,
        price=None,
        trigger_price=None,
        trail_percent=None,
        post_only=False,
        time_in_force=TimeInForce.GTC,
    )
    quantity = min(terms.quantity, _shortfall(bot, link, pair, terms, instrument))
    if quantity <= 0:
        _wait(run, link, pair, "info", "overtaken", "not needed any more: the parent's position has moved on since")
        _give_up(pair, "overtaken")
        return None
    market = msgspec.structs.replace(market, quantity=quantity)
    if is_exit:
        return market
    age_ms = run.at_ms - parent.updated_ms
    if parent.terms.type is OrderType.MARKET and age_ms <= PROMPT_MS:
        return market
    reference = parent.average_price or parent.terms.price
    child = link.child
    if age_ms <= child.catch_up_max_age_ms and reference:
        worst = worst_price(reference, terms.side, child.catch_up_max_adverse_percent, instrument.price_tick)
        return msgspec.structs.replace(market, type=OrderType.LIMIT, price=worst, time_in_force=TimeInForce.IOC)
    text = (
        f"not copied: the parent's {parent.terms.side} {pair.parent.filled} {link.book[0]} "
        f"was filled {age_ms / 1000:.1f} s ago, outside the catch-up window of {child.catch_up_max_age_ms / 1000:g} s"
    )
    _miss(run, bot, link, pair, "stale", text, ticket=market)
    return None


def _shortfall(bot: Bot, link: Link, pair: Pair, terms: Terms, instrument: Instrument) -> Decimal:
    """How much is missing to the current target in the direction of `terms`, beside what is already on its way."""
    sign = terms.side.sign
    coming = sum(
        (
            order.remaining
            for other in link.pairs.values()
            if other is not pair and other.parent.order.status is OrderStatus.FILLED
            for order in other.orders
            if order.state.is_open and order.terms.side is terms.side
        ),
        ZERO,
    )
    return (target(bot, link, instrument) - link.attributed) * sign - coming


def _place(run: Run, link: Link, pair: Pair, terms: Terms, why: str) -> None:
    last = pair.last
    if last is not None and last.state in (State.WAITING, State.MISSING):
        order = last  # the venue has nothing under this id: the same id goes again
        order.on(Event.SENT_AGAIN)
        order.terms, order.absent = terms, 0
    else:
        cause = pair.parent.order.venue_id
        client_id = client_order_id(link.bot, link.child.account, cause, COPY, len(pair.orders))
        order = ChildOrder(client_id=client_id, account=link.child.account, terms=terms, cause=cause)
        pair.orders.append(order)
    pair.waiting = ""
    _send(run, link, order, why)


def _send(run: Run, link: Link, order: ChildOrder, why: str) -> None:
    order.op, order.intent, order.sent_ns = Op.PLACE, run.number(), run.at_ns
    run.decisions.append(
        Place(
            id=order.intent,
            bot=link.bot,
            account=order.account,
            cause=order.cause,
            why=why,
            order=NewOrder(client_id=order.client_id, terms=order.terms),
        )
    )


def _give_up(pair: Pair, why: str) -> None:
    last = pair.last
    if last is not None and last.state in (State.WAITING, State.MISSING):
        last.on(Event.GIVEN_UP)
    pair.closed = why


def _wait(run: Run, link: Link, pair: Pair, level: str, kind: str, text: str) -> None:
    """Say once why nothing is sent now."""
    if pair.waiting != kind:
        pair.waiting = kind
        run.note(link, level, kind, text, parent_order=pair.parent.order.venue_id)


def _miss(run: Run, bot: Bot, link: Link, pair: Pair, kind: str, text: str, ticket: Terms | None = None) -> None:
    """Nothing will be sent for this order any more, and it should have been: count it and leave a manual ticket."""
    _give_up(pair, kind)
    count_missed(bot, link)
    data = {"parent_order": pair.parent.order.venue_id}
    if ticket is not None:
        data["ticket"] = to_json(ticket).decode()
    run.note(link, "error", kind, text, **data)


def count_missed(bot: Bot, link: Link) -> None:
    bot.missed[link.child.account] = bot.missed.get(link.child.account, 0) + 1


def count_copied(bot: Bot, link: Link) -> None:
    bot.copied[link.child.account] = bot.copied.get(link.child.account, 0) + 1


def _same(a: Terms, b: Terms) -> bool:
    """Alike in all that copying moves."""
    return (
        a.quantity == b.quantity
        and a.price == b.price
        and a.trigger_price == b.trigger_price
        and a.trail_percent == b.trail_percent
        and a.reduce_only == b.reduce_only
        and a.side is b.side
        and a.type is b.type
    )


def _amendable(new: Terms, old: Terms, price_and_quantity_only: bool) -> bool:
    moved_trigger = new.trigger_price != old.trigger_price or new.trail_percent != old.trail_percent
    return (
        new.side is old.side
        and new.type is old.type
        and new.reduce_only == old.reduce_only
        and not (price_and_quantity_only and moved_trigger)
    )


# --- a whole link -----------------------------------------------------------------------------------------------------


def settle_link(run: Run, bot: Bot, link: Link) -> None:
    """Look at every pair of the link, then at the position as a whole."""
    for pair in list(link.pairs.values()):
        if not pair.closed:
            follow_and_register(run, bot, link, pair)
    _trim(run, bot, link)
    _end_episode(bot, link)


def excess(bot: Bot, link: Link, instrument: Instrument) -> Decimal:
    """How much the child holds beyond its target and beyond what still-working parent orders explain, unsigned."""
    aim = target(bot, link, instrument)
    held = link.attributed
    if not held:
        return ZERO
    beyond = abs(held) if aim * held <= 0 else abs(held) - abs(aim)
    for pair in link.pairs.values():
        if not pair.parent.live:
            continue
        if is_exit(bot, pair.parent):
            # An exit that the parent's side has got further with: the child's own is still working on it.
            total = max(pair.parent.order.terms.quantity, pair.parent.filled)
            if pair.open and total:
                beyond -= max(ZERO, pair.total * pair.parent.filled / total - pair.filled)
            continue
        for order in pair.orders:
            if order.terms.side.sign * held > 0:
                beyond -= order.filled
        if pair.parent.filled and pair.ratio is not None:
            beyond += min(pair.filled, abs(pair.ratio) * pair.parent.filled)
    step = instrument.quantity_step
    return floor_to(max(beyond, ZERO), step)


def _trim(run: Run, bot: Bot, link: Link) -> None:
    """Rule 5: what the child holds beyond its target is reduced, once nothing on its way explains it."""
    if not link.attributed or not bot.working:
        return
    desk = run.desk
    if not (desk.account(link.child.account).connected and desk.account(bot.rules.parent).connected):
        return
    for pair in link.pairs.values():
        last = pair.last
        if last is None or not last.state.is_open:
            continue
        reduces = last.terms.side.sign * link.attributed < 0
        if last.op is not None or not last.state.is_live or (reduces and not pair.parent.live):
            return
    if any(order.state.is_open for order in link.corrections):
        return
    instrument = desk.instruments[bot.rules.kind, link.book[0]]
    quantity = min(excess(bot, link, instrument), abs(link.attributed))
    if not quantity:
        link.said = ""
        return
    side = closing_side(link.attributed)
    position_side = link.book[1]
    if position_side is not PositionSide.NET:
        position_side = PositionSide.LONG if link.attributed > 0 else PositionSide.SHORT
    terms = Terms(
        symbol=link.book[0],
        side=side,
        type=OrderType.MARKET,
        quantity=quantity,
        reduce_only=desk.capabilities[bot.rules.kind].reduce_only and position_side is PositionSide.NET,
        position_side=position_side,
    )
    if link.child.ahead != "trim":
        if link.said != "ahead":
            link.said = "ahead"
            text = f"holds {quantity} {link.book[0]} more than its share of the parent; its setting is '{link.child.ahead}'"
            run.note(link, "warn", "ahead", text, ticket=to_json(terms).decode())
        return
    cause = f"{link.book[0]}/{link.book[1]}/{run.at_ns}"
    order = ChildOrder(
        client_id=client_order_id(link.bot, link.child.account, cause, TRIM),
        account=link.child.account,
        terms=terms,
        cause=cause,
    )
    link.corrections.append(order)
    _register(run, bot, link, None, order)
    _send(run, link, order, "trim")


def resend_correction(run: Run, link: Link, order: ChildOrder) -> None:
    """A correction that never reached the venue goes again under the same id."""
    order.on(Event.SENT_AGAIN)
    order.absent = 0
    _send(run, link, order, "trim")


def _end_episode(bot: Bot, link: Link) -> None:
    """From flat to flat: once parent and child are flat and nothing is open, the next order begins with a fresh ratio."""
    if link.attributed or bot.book(link.book).followed:
        return
    for pair in link.pairs.values():
        if pair.parent.live or pair.open or not (pair.closed or pair.orders):
            return
    if any(order.state.is_open for order in link.corrections):
        return
    link.pairs.clear()
    link.corrections.clear()
    link.ratio = None
