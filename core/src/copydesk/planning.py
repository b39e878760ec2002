"""What should a child's order for a parent's order look like now? Pure: reads the state, sends nothing.

The answer is level-triggered: it follows from the present state alone, whatever sequence of events led there.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from copydesk.dust import is_dust
from copydesk.ids import CLOSE, COPY
from copydesk.inputs import ChildRules
from copydesk.model import (
    ZERO,
    Capabilities,
    Instrument,
    Order,
    OrderType,
    PositionSide,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk.protecting import held_for, is_stop, outlives
from copydesk.sizing import ceil_to, entry_quantity, exit_quantity, floor_to, nearest_to, passive_price, round_to
from copydesk.standing import Parts, child_sign, divide, is_exit, opening_sign, reach
from copydesk.state import Account, Bot, Desk, Executed, Link, Pair, ParentOrder
from copydesk.wording import number


@dataclass(slots=True, frozen=True)
class Wanted:
    """The child's terms. `terms.quantity` is the total over all generations and legs of the pair, filled part included."""

    terms: Terms
    exit: bool
    opening: Decimal = ZERO  # how much of the quantity opens
    leg: str = COPY


@dataclass(slots=True, frozen=True)
class Hold:
    """Nothing to send, and why. `final`: nor will there be, though the parent's order still works."""

    reason: str
    kind: str
    final: bool = False
    level: str = "info"
    limit: str = ""  # the name of the limit that made it so


def wanted(desk: Desk, bot: Bot, link: Link, pair: Pair, instrument: Instrument) -> Wanted | Hold:
    """The order that the child should have for `pair.parent`, in a type that its venue has, or why none."""
    want = _wanted(desk, bot, link, pair, instrument)
    if isinstance(want, Hold) or want.terms.type in desk.capabilities[bot.rules.kind].order_types:
        return want
    return dataclasses.replace(want, terms=_as_limit(want.terms, instrument))


def _as_limit(terms: Terms, instrument: Instrument) -> Terms:
    """A take-profit where the venue has none: what waits for a better price rests in the book at that price.

    No parent of such a venue has one; the mirror of a stop (K below zero) is one.
    """
    if terms.type not in (OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT):
        return terms
    price = terms.price if terms.price is not None else terms.trigger_price
    assert price is not None
    price = passive_price(price, terms.side, instrument.price_tick)
    return msgspec.structs.replace(terms, type=OrderType.LIMIT, price=price, trigger_price=None, trigger_by=TriggerBy.LAST)


def _wanted(desk: Desk, bot: Bot, link: Link, pair: Pair, instrument: Instrument) -> Wanted | Hold:
    parts = divide(bot, pair.parent)
    if outlives(bot, link, pair):
        return _exit(bot, link, pair, ZERO, instrument, desk.capabilities[bot.rules.kind])
    if parts.close and parts.open and not bot.winding:
        return _flip(bot, link, pair, parts, instrument, desk.capabilities[bot.rules.kind])
    if parts.open and not (parts.close and bot.winding):
        return _entry(link, pair, parts.open, instrument)
    if parts.close:
        return _exit(bot, link, pair, parts.close, instrument, desk.capabilities[bot.rules.kind])
    if pair.parent.told:
        return Hold("it was followed already, when the parent's position told of it", "inferred")
    if parts.ignored:
        return Hold("it only reduces what the parent held before the bot started", "below-baseline", final=True)
    return Hold("the parent has nothing that it could reduce", "nothing-to-reduce")


def _entry(link: Link, pair: Pair, quantity: Decimal, instrument: Instrument) -> Wanted | Hold:
    ratio = pair.ratio if pair.ratio is not None else link.ratio(opening_sign(link, pair))
    assert ratio is not None
    exact = abs(ratio) * quantity
    step = instrument.quantity_step
    if isinstance(pair.parent, Executed):  # the whole target is rounded; this is what of it the order may bring
        rounded = ceil_to(exact, step)
    else:
        rounded = entry_quantity(abs(ratio) * pair.before, exact, step, link.child.rounding)
    if not rounded:
        return Hold(f"{number(exact)} of step {instrument.quantity_step}", "rounded-to-nothing")
    return Wanted(_child_terms(pair, rounded, ratio, instrument, reduce_only=False), exit=False, opening=rounded)


def _exit(bot: Bot, link: Link, pair: Pair, quantity: Decimal, instrument: Instrument, can: Capabilities) -> Wanted | Hold:
    ratio = link.ratio(_held_sign(link, pair)) or pair.ratio or Decimal(1)
    # An exit covers at the most what the child holds now, whatever it is going to hold.
    covered = held_for(link, pair) + pair.filled
    share = _closing(bot, link, pair, quantity, instrument)
    total = covered if outlives(bot, link, pair) or _guards_all(bot, pair, quantity) else min(share, covered)
    total = floor_to(total, instrument.quantity_step)  # a fee in the base asset leaves less than a step
    if is_dust(total - pair.filled, instrument, link.price):
        return Hold(f"{number(total - pair.filled)} is too little to be sold", "dust")
    if not total:
        coming = any(not is_exit(bot, p.parent) and p.open for p in link.pairs.values() if p is not pair)
        if coming or pair.parent.live:
            return Hold("the child holds nothing yet", "waits-for-fill")
        return Hold("the child holds nothing that could be reduced", "nothing-to-reduce")
    guarded = can.reduce_only and pair.parent.order.terms.position_side is PositionSide.NET
    return Wanted(_child_terms(pair, total, ratio, instrument, reduce_only=guarded), exit=True)


def _guards_all(bot: Bot, pair: Pair, quantity: Decimal) -> bool:
    """A stop for all that the parent holds is one for all that the child holds, also where the child is ahead."""
    parent = pair.parent
    return parent.live and is_stop(parent.order.terms) and quantity >= reach(bot, parent)


def _flip(bot: Bot, link: Link, pair: Pair, parts: Parts, instrument: Instrument, can: Capabilities) -> Wanted | Hold:
    ratio = pair.ratio if pair.ratio is not None else link.ratio(opening_sign(link, pair))
    assert ratio is not None
    opening = round_to(abs(ratio) * parts.open, instrument.quantity_step, link.child.rounding)
    closing = _closing(bot, link, pair, parts.close, instrument)
    if not can.nets_positions and pair.parent.order.terms.position_side is PositionSide.NET:
        return _two_legs(link, pair, closing, opening, ratio, instrument, can)
    crossed = _crossed(link, pair) + pair.reduced + _absorbed(link, pair)
    total = floor_to(min(closing, crossed), instrument.quantity_step) + opening
    if not total:
        return Hold("nothing to close and too little to open", "rounded-to-nothing")
    only_closes = not opening and can.reduce_only
    terms = _child_terms(pair, total, ratio, instrument, reduce_only=only_closes)
    return Wanted(terms, exit=not opening, opening=opening)


def only_closing(terms: Terms, can: Capabilities) -> Wanted:
    """An order that would open as well, made to close and no more."""
    guarded = can.reduce_only and terms.position_side is PositionSide.NET
    return Wanted(msgspec.structs.replace(terms, reduce_only=guarded), exit=True)


def _crossed(link: Link, pair: Pair) -> Decimal:
    """What the pair's order closes: what the child holds once market orders on their way have added to it, or have closed
    the other side first. An entry that only rests brings nothing any more."""
    sign = -child_sign(link, pair)
    orders = (order for other in link.pairs.values() if other is not pair for order in other.orders)
    against = (o for o in orders if o.state.is_open and o.terms.type is OrderType.MARKET and o.terms.side.sign == sign)
    return max(ZERO, sign * (link.attributed - link.held_back) + sum((order.remaining for order in against), ZERO))


def _absorbed(link: Link, pair: Pair) -> Decimal:
    """What entries of the other side filled only after this order had crossed: it closes for them as well."""
    if pair.parent.live:
        return ZERO
    sign = -child_sign(link, pair)
    entries = (other for other in (*link.ended.values(), *link.pairs.values()) if other is not pair)
    late = (o.reduced for o in entries if not o.parent.closed and not o.parent.live and child_sign(link, o) == sign)
    return sum(late, ZERO)


def _two_legs(
    link: Link, pair: Pair, closing: Decimal, opening: Decimal, ratio: Decimal, instrument: Instrument, can: Capabilities
) -> Wanted | Hold:
    """A flip where the venue does not net: close what is held, and open only once that has happened."""
    left = min(closing - pair.reduced, held_for(link, pair))
    if left > 0:
        terms = _child_terms(pair, pair.filled + left, ratio, instrument, reduce_only=can.reduce_only)
        return Wanted(terms, exit=True, leg=CLOSE)
    if not opening:
        return Hold("too little to open", "rounded-to-nothing")
    terms = _child_terms(pair, pair.reduced + opening, ratio, instrument, reduce_only=False)
    return Wanted(terms, exit=False, opening=opening)


def _closing(bot: Bot, link: Link, pair: Pair, quantity: Decimal, instrument: Instrument) -> Decimal:
    """How much of its position the child closes in all when the parent's order closes `quantity` in all (rule 4).

    It follows from what the parent did and from what the child's orders filled, never from the size of orders that stand:
    two exits that looked at each other would chase each other.
    """
    book = bot.book(link.book)
    if pair.closing is not None and not pair.parent.live and pair.parent.moved != book.moves:
        return pair.closing  # the parent has moved on since: what it closed is settled
    held_sign = _held_sign(link, pair)
    share = _Share(abs(link.ratio(held_sign) or pair.ratio or Decimal(1)), instrument.quantity_step, link.child.rounding)
    followed = max(ZERO, book.followed * held_sign)
    before = share.of(followed) + share.closed_by(pair.parent)
    after = share.of(max(ZERO, followed - (quantity - pair.parent.closed)))
    # What the child had, and should have had, before the closes that are under way.
    had = -link.attributed * child_sign(link, pair)
    should = share.of(followed)
    for other in link.pairs.values():
        to_come = not (other.closed or other.orders)
        if not (other is pair or other.parent.live or other.open or to_come):
            continue
        if child_sign(link, other) == child_sign(link, pair):
            had += other.filled
            should += share.closed_by(other.parent)
        else:
            due = share.closed_by(other.parent) + share.opened_by(other) - other.taken
            had += (due if other.open else min(due, other.filled)) - other.filled
    held = nearest_to(before * had / should, instrument.quantity_step) if should else had
    pair.closing = exit_quantity(held, before, after, instrument.quantity_step)
    return pair.closing


@dataclass(slots=True, frozen=True)
class _Share:
    """A child's rounded share of a parent's position."""

    ratio: Decimal
    step: Decimal
    rounding: str

    def of(self, position: Decimal) -> Decimal:
        return round_to(self.ratio * position, self.step, self.rounding)

    def closed_by(self, parent: ParentOrder) -> Decimal:
        return sum((self.of(before) - self.of(after) for before, after in parent.closings), ZERO)

    def opened_by(self, pair: Pair) -> Decimal:
        return self.of(pair.before + pair.parent.opened) - self.of(pair.before)


def _held_sign(link: Link, pair: Pair) -> int:
    """The side of the position that the pair's order closes."""
    sign = opening_sign(link, pair)
    return -sign if link.book[1] is PositionSide.NET else sign


def _child_terms(pair: Pair, quantity: Decimal, ratio: Decimal, instrument: Instrument, *, reduce_only: bool) -> Terms:
    waits = any(order.state.is_open and order.terms.type.is_conditional for order in pair.orders)
    return child_terms(pair.parent.order, quantity, ratio, instrument, reduce_only=reduce_only, waits=waits)


def child_terms(
    parent: Order, quantity: Decimal, ratio: Decimal, instrument: Instrument, *, reduce_only: bool, waits: bool
) -> Terms:
    """The parent's terms with the child's quantity; reversed where K is below zero.

    `waits`: an order of the child's is there that waits for its trigger.
    """
    terms = parent.terms
    side, position_side, type_ = terms.side, terms.position_side, terms.type
    if ratio < 0:
        side = side.opposite
        position_side = _REVERSED[position_side]
        type_ = _MIRRORED.get(type_, type_)
    if parent.triggered and not waits:
        # It stands in the book by now: the child that comes late enters it as what it has become.
        type_ = _TRIGGERED_INTO.get(type_, type_)
    price = terms.price if type_.has_price else None
    return Terms(
        symbol=terms.symbol,
        side=side,
        type=type_,
        quantity=quantity,
        price=passive_price(price, side, instrument.price_tick) if price is not None else None,
        trigger_price=terms.trigger_price if type_.is_conditional else None,
        trigger_by=terms.trigger_by if type_.is_conditional else TriggerBy.LAST,
        trail_percent=terms.trail_percent if type_ is OrderType.TRAILING_STOP else None,
        time_in_force=terms.time_in_force,
        post_only=terms.post_only,
        reduce_only=reduce_only,
        position_side=position_side,
        native=terms.native,
    )


_REVERSED = {
    PositionSide.NET: PositionSide.NET,
    PositionSide.LONG: PositionSide.SHORT,
    PositionSide.SHORT: PositionSide.LONG,
}
_MIRRORED = {
    OrderType.STOP_MARKET: OrderType.TAKE_PROFIT_MARKET,
    OrderType.STOP_LIMIT: OrderType.TAKE_PROFIT_LIMIT,
    OrderType.TAKE_PROFIT_MARKET: OrderType.STOP_MARKET,
    OrderType.TAKE_PROFIT_LIMIT: OrderType.STOP_LIMIT,
}
"""On the other side what waits for a price to be reached from the same direction. A trailing stop has no such twin."""
_TRIGGERED_INTO = {
    OrderType.STOP_MARKET: OrderType.MARKET,
    OrderType.TAKE_PROFIT_MARKET: OrderType.MARKET,
    OrderType.TRAILING_STOP: OrderType.MARKET,
    OrderType.STOP_LIMIT: OrderType.LIMIT,
    OrderType.TAKE_PROFIT_LIMIT: OrderType.LIMIT,
}


# --- the ratio --------------------------------------------------------------------------------------------------------


def ratio_for(child: ChildRules, parent: Account, account: Account, at_ns: int) -> Decimal | str:
    """The ratio by the child's rules, or the sentence why none can be had now."""
    if child.mode == "multiplier":
        return child.value
    mine: Decimal | str = child.fixed_balance if child.basis == "fixed" else _basis(child, account, at_ns)
    theirs = _basis(child, parent, at_ns)
    if isinstance(mine, str):
        return mine
    if isinstance(theirs, str):
        return theirs
    return mine / theirs * child.value / 100


def _basis(child: ChildRules, account: Account, at_ns: int) -> Decimal | str:
    balance = account.balance
    if balance is None:
        return f"the balance of {account.key} is not known"
    age_ms = (at_ns - account.balance_ns) // 1_000_000
    if age_ms > child.balance_max_age_ms:
        limit_s = child.balance_max_age_ms // 1000
        return f"the balance of {account.key} is {age_ms // 1000} s old, older than the limit of {limit_s} s"
    value = {"cash": balance.cash, "available": balance.available}.get(child.basis, balance.equity)
    if value <= 0:
        return f"the balance of {account.key} is {value:f} {balance.currency}, which is not positive"
    return value


def as_market(terms: Terms) -> Terms:
    """The same as a market order."""
    return msgspec.structs.replace(
        terms,
        type=OrderType.MARKET,
        price=None,
        trigger_price=None,
        trail_percent=None,
        post_only=False,
        time_in_force=TimeInForce.GTC,
        native="",
    )


def closing_side(held: Decimal) -> Side:
    return Side.SELL if held > 0 else Side.BUY
