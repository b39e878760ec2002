"""An order of the parent set beside what a child did about it: both as the venue has them, whatever the engine says.

Pure: orders, fills and times in, sentences out. Each check says what it found in a sentence, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from copydesk.ids import COPY, client_order_id
from copydesk.model import ZERO, Fill, Instrument, Order, OrderStatus, OrderType, Side, Terms, TimeInForce
from copydesk.protecting import is_stop
from copydesk.sizing import passive_price
from copydesk.state import may_open
from copydesk.wording import number, terms

LIVED_MS = 1_000
"""What the parent has left alone for so long, with everybody there, every child has too."""
LATE_MS = 5_000
"""A cancel that takes longer than this, with everybody there, was missed and found again."""
SKIPPED = frozenset(
    {"rounded-to-nothing", "too-small", "nothing-to-reduce", "overtaken", "below-baseline", "inferred", "waits-for-close"}
)
"""The kinds of log lines that explain why nothing was sent for an order that filled."""

Away = tuple[tuple[int, int], ...]
"""Spans of time (first and last millisecond) in which parent, child or engine were not there."""


@dataclass(frozen=True)
class Share:
    """How a child should follow: its signed ratio, and by how much of itself that is uncertain (0.02 is 2 %)."""

    ratio: Decimal
    uncertain: Decimal
    instrument: Instrument

    def of(self, quantity: Decimal) -> Decimal:
        return abs(self.ratio) * quantity

    def slack(self, quantity: Decimal, steps: int = 1) -> Decimal:
        return self.instrument.quantity_step * steps + self.of(quantity) * self.uncertain

    def side_of(self, order: Order) -> Side:
        return order.terms.side if self.ratio > 0 else order.terms.side.opposite


@dataclass(frozen=True)
class Original:
    """An order of the parent. `changed_ms`: when it last got other terms. `opens`: it added to the parent's position.

    `left_flat`: when it had ended the parent held nothing any more that it could close.
    """

    order: Order
    changed_ms: int
    opens: bool
    left_flat: bool = False

    @property
    def ended_ms(self) -> int:
        return self.order.updated_ms if not self.order.is_working else 1 << 62


@dataclass
class Following:
    """One original and its copies on one child, by generation; `said`: the kinds of log lines about it."""

    original: Original
    copies: list[Order]
    fills: list[Fill]
    share: Share
    away: Away
    said: frozenset[str] = frozenset()
    even: bool = True  # so far the child held exactly its share
    held: Decimal = ZERO  # the most that it held just before its newest copy stood

    @property
    def order(self) -> Order:
        return self.original.order

    @property
    def last(self) -> Order:
        return self.copies[-1]

    @property
    def filled(self) -> Decimal:
        return sum((copy.filled for copy in self.copies), ZERO)

    @property
    def total(self) -> Decimal:
        return sum((copy.filled for copy in self.copies[:-1]), ZERO) + self.last.terms.quantity

    @property
    def is_late(self) -> bool:
        """It was copied only after it had filled, as something else or from afar."""
        started = self.copies[0].created_ms
        return self.last.terms.type is not self.order.terms.type or any(
            first <= started + LIVED_MS and last >= self.order.created_ms for first, last in self.away
        )

    @property
    def may_outlive(self) -> bool:
        """A stop stays until the child is flat, also when the parent's went because the parent was flat."""
        return self.original.left_flat and not self.order.filled and is_stop(self.order.terms) and not self.original.opens

    @property
    def had_time(self) -> bool:
        """The parent's last terms stood long enough beside the copy, and the copy was still there to get them."""
        together_ms = max(self.original.changed_ms, self.last.created_ms)
        stood = undisturbed_ms(together_ms, self.original.ended_ms, self.away) >= LIVED_MS
        return stood and (self.last.is_working or self.last.updated_ms >= self.original.changed_ms + LIVED_MS)


@dataclass
class Findings:
    """What is wrong with a child: parent orders without a copy, things done twice, and every finding in a sentence."""

    missed: list[str] = field(default_factory=list)
    twice: int = 0
    sentences: list[str] = field(default_factory=list)

    def __add__(self, other: Findings) -> Findings:
        return Findings(self.missed + other.missed, self.twice + other.twice, self.sentences + other.sentences)


# --- the checks ---------------------------------------------------------------------------------------------------------


def _other_side(it: Following) -> str:
    wanted = it.share.side_of(it.order)
    sides = {copy.terms.side for copy in it.copies}
    return f"it was copied as a {sides.pop()}" if sides != {wanted} else ""


def _other_type(it: Following) -> str:
    kind, copy = it.order.terms.type, it.last.terms
    if copy.type is kind or (it.order.triggered and copy.type is _TRIGGERED_INTO.get(kind)):
        return ""
    if it.order.filled and (copy.type is OrderType.MARKET or copy.time_in_force is TimeInForce.IOC):
        return ""  # it had filled by then: caught up with
    return f"it was copied as a {copy.type} order"


def _other_prices(it: Following) -> str:
    wanted, copy = it.order.terms, it.last.terms
    caught_up = copy.time_in_force is not wanted.time_in_force and it.order.filled
    if copy.type is not wanted.type or caught_up or not it.had_time:
        return ""
    tick = it.share.instrument.price_tick
    price = passive_price(wanted.price, copy.side, tick) if wanted.price is not None else None
    if copy.price != price:
        return f"the copy's price is {copy.price}, not {price}"
    if wanted.type.has_trigger and copy.trigger_price != wanted.trigger_price:
        return f"the copy's trigger is {copy.trigger_price}, not {wanted.trigger_price}"
    if copy.trail_percent != wanted.trail_percent:
        return f"the copy trails by {copy.trail_percent} %, not {wanted.trail_percent} %"
    if copy.native != wanted.native:
        return f"the copy says {copy.native or 'nothing'} beside, not {wanted.native or 'nothing'}"
    if (copy.time_in_force, copy.post_only) != (wanted.time_in_force, wanted.post_only):
        return f"the copy is {copy.time_in_force}{' post-only' if copy.post_only else ''}"
    return ""


def _other_quantity(it: Following) -> str:
    quantity = it.order.terms.quantity
    if it.is_late or not it.had_time or not quantity:
        return ""
    if is_stop(it.order.terms) and not it.original.opens and it.total <= it.held:
        return ""  # the child had an exit still to come: its stop is for all that it holds
    beyond = it.total - it.share.of(quantity)
    slack = it.share.slack(quantity)
    # An exit covers what the child holds, which may be less than the parent's order would close.
    if beyond > slack or (it.original.opens and beyond < -slack):
        return f"the copy is for {number(it.total)}, its share is {number(it.share.of(quantity))}"
    return ""


def _too_little(it: Following) -> str:
    filled = it.order.filled
    short = it.share.of(filled) - it.filled
    all_filled = it.last.status is OrderStatus.FILLED
    if not all_filled or it.is_late or it.said & SKIPPED or not (it.original.opens or it.even):
        return ""
    if it.order.status is OrderStatus.FILLED and short > it.share.slack(filled, 1 if it.original.opens else 2):
        return f"the child filled {number(it.filled)}, its share is {number(it.share.of(filled))}"
    return ""


def _exit_too_large(it: Following) -> str:
    filled = it.order.filled
    if it.original.opens or it.is_late or not it.even or it.order.status is not OrderStatus.FILLED:
        return ""  # one that catches up closes what later ones of the parent would have closed too
    if it.filled - it.share.of(filled) > it.share.slack(filled, 2):
        return f"the child closed {number(it.filled)}, its share is {number(it.share.of(filled))}"
    return ""


def _still_stands(it: Following) -> str:
    if it.order.is_working or not any(copy.is_working for copy in it.copies):
        return ""
    return f"it is {it.order.status}, and its copy still stands"


def _late_cancel(it: Following) -> str:
    ended = it.original.ended_ms
    if it.may_outlive:
        return ""
    if it.order.is_working or it.order.status is OrderStatus.FILLED or it.last.status is not OrderStatus.CANCELLED:
        return ""
    late_ms = undisturbed_ms(ended, it.last.updated_ms, it.away)
    return f"its copy was cancelled {late_ms / 1000:.1f} s after it" if late_ms > LATE_MS else ""


def _filled_afterwards(it: Following) -> str:
    if it.order.is_working or it.order.filled or it.may_outlive:
        return ""
    for fill in it.fills:
        late_ms = undisturbed_ms(it.original.ended_ms, fill.time_ms, it.away)
        if late_ms > LIVED_MS:
            return f"it ended unfilled, and its copy filled {late_ms / 1000:.1f} s later"
    return ""


def _entry_filled_twice(it: Following) -> str:
    filled = it.order.filled
    if not it.original.opens or it.order.status is not OrderStatus.FILLED:
        return ""
    if it.filled <= it.share.of(filled) + it.share.slack(filled):
        return ""
    return f"the child filled {number(it.filled)}, its share is {number(it.share.of(filled))}"


def _two_at_once(it: Following) -> str:
    for before, after in zip(it.copies, it.copies[1:], strict=False):
        if before.is_working or before.updated_ms > after.created_ms:
            if _takes_its_place(before, after, it.away):
                continue
            return f"{after.client_id} was placed while {before.client_id} stood"
    return ""


def _takes_its_place(before: Order, after: Order, away: Away) -> bool:
    """A protective order stands until the one that replaces it does."""
    protective = all(copy.terms.type.is_conditional and _only_closes(copy.terms) for copy in (before, after))
    together_ms = undisturbed_ms(after.created_ms, before.updated_ms, away)
    return protective and not before.is_working and together_ms <= LATE_MS


def _only_closes(terms: Terms) -> bool:
    return terms.reduce_only or not may_open(terms)


_CHECKS: tuple[Callable[[Following], str], ...] = (
    _other_side,
    _other_type,
    _other_prices,
    _other_quantity,
    _too_little,
    _exit_too_large,
    _still_stands,
    _late_cancel,
    _filled_afterwards,
)
_TWICE: tuple[Callable[[Following], str], ...] = (_entry_filled_twice, _two_at_once)
_TRIGGERED_INTO = {
    OrderType.STOP_MARKET: OrderType.MARKET,
    OrderType.TAKE_PROFIT_MARKET: OrderType.MARKET,
    OrderType.TRAILING_STOP: OrderType.MARKET,
    OrderType.STOP_LIMIT: OrderType.LIMIT,
    OrderType.TAKE_PROFIT_LIMIT: OrderType.LIMIT,
}


# --- a whole child ------------------------------------------------------------------------------------------------------


def compare(
    bot: str,
    child: str,
    originals: Iterable[Original],
    orders: Iterable[Order],
    fills: Iterable[Fill],
    share: Share,
    *,
    said: Mapping[str, frozenset[str]],
    away: Away,
) -> Findings:
    """Set a child's copies beside the parent's orders, oldest first. `orders` and `fills`: those of copydesk's ids on the
    child, without corrections; `said`: the kinds of log lines by the parent's order, or by `stem` of a copy's id."""
    found, fills = Findings(), list(fills)
    by_stem: dict[str, list[Order]] = {}
    for order in orders:
        by_stem.setdefault(stem_of(order.client_id), []).append(order)
    by_id: dict[str, list[Fill]] = {}
    for fill in fills:
        by_id.setdefault(stem_of(fill.client_id), []).append(fill)
    even = True
    for original in sorted(originals, key=lambda original: original.order.created_ms):
        venue_id = original.order.venue_id
        stem = stem_of(client_order_id(bot, child, venue_id, COPY))
        copies = sorted(by_stem.pop(stem, ()), key=lambda order: int(order.client_id.rpartition("-")[2][1:], 36))
        why = said.get(venue_id, frozenset()) | said.get(stem, frozenset())
        if copies:
            held = _held_lately(fills, copies[-1].created_ms)
            it = Following(original, copies, by_id.get(stem, []), share, away, why, even, held)
            _check(it, found)
            even = even and abs(it.filled - share.of(original.order.filled)) <= share.slack(original.order.filled)
        else:
            even = even and not original.order.filled
            if _is_missed(original, why, away) and not _had_nothing_to_close(original, why, fills, share):
                found.missed.append(venue_id)
                reasons = f" (the log says: {', '.join(sorted(why))})" if why else ""
                found.sentences.append(_tell(original.order, f"it was not copied{reasons}"))
    for strays in by_stem.values():
        found.sentences.append(f"{strays[0].client_id} ({terms(strays[0].terms)}): a copy of nothing that the parent has")
    return found


def _held_lately(fills: Iterable[Fill], at_ms: int) -> Decimal:
    """The most that a child held within a second before: a fill of that second may not have been told yet."""
    held, most = ZERO, ZERO
    for fill in sorted(fills, key=lambda fill: fill.time_ms):
        if fill.time_ms > at_ms:
            break
        if fill.time_ms > at_ms - LIVED_MS:
            most = max(most, abs(held))
        held += fill.side.sign * fill.quantity
    return max(most, abs(held))


def _check(it: Following, found: Findings) -> None:
    ids = [copy.client_id for copy in it.copies]
    found.twice += len(ids) - len(set(ids))
    for check in _TWICE:
        if sentence := check(it):
            found.twice += 1
            found.sentences.append(_tell(it.order, sentence))
    found.sentences += [_tell(it.order, sentence) for check in _CHECKS if (sentence := check(it))]


def _is_missed(original: Original, said: frozenset[str], away: Away) -> bool:
    """An order that filled needs its copy, or a line that says why not; one that did not fill, if there was time."""
    if original.order.filled:
        return not said & SKIPPED
    return not said and undisturbed_ms(original.order.created_ms, original.ended_ms, away) >= LIVED_MS


def _had_nothing_to_close(original: Original, said: frozenset[str], fills: Iterable[Fill], share: Share) -> bool:
    """The engine says that the child held nothing that an exit could close, and by its fills the child did not."""
    if original.opens or "waits-for-fill" not in said:
        return False
    own = (fill for fill in fills if fill.time_ms <= original.ended_ms)
    held = sum((fill.side.sign * fill.quantity for fill in own), ZERO)
    return held * share.side_of(original.order).sign >= 0


def _tell(order: Order, sentence: str) -> str:
    return f"{order.venue_id} ({terms(order.terms)}): {sentence}"


def stem_of(client_id: str) -> str:
    return client_id.rpartition("-")[0]


def undisturbed_ms(start_ms: int, end_ms: int, away: Away) -> int:
    """The longest stretch between two moments in which everybody was there."""
    longest, begun = 0, start_ms
    for first, last in sorted(away):
        if last < begun or first > end_ms:
            continue
        longest = max(longest, first - begun)
        begun = max(begun, last)
    return max(longest, end_ms - begun)


def _held_after(order: Order, trades: Iterable[Fill]) -> Decimal:
    """What the parent held a moment after the order had ended: what took it away may be told a little later."""
    until_ms = order.updated_ms + LIVED_MS
    book = (order.terms.symbol, order.terms.position_side)
    held = (fill for fill in trades if fill.time_ms <= until_ms and (fill.symbol, fill.position_side) == book)
    return sum((fill.side.sign * fill.quantity for fill in held), ZERO)


def originals(orders: Iterable[Order], fills: Iterable[Fill], changed_ms: Mapping[str, int]) -> list[Original]:
    """The parent's orders, each with what it meant for the position that the parent held when it came."""
    trades = sorted(fills, key=lambda fill: (fill.time_ms, len(fill.execution_id), fill.execution_id))
    found = []
    for order in orders:
        held = ZERO
        for fill in trades:
            if fill.venue_id == order.venue_id or fill.time_ms > order.created_ms:
                break
            if (fill.symbol, fill.position_side) == (order.terms.symbol, order.terms.position_side):
                held += fill.side.sign * fill.quantity
        adds = not order.terms.reduce_only and may_open(order.terms) and held * order.terms.side.sign >= 0
        left_flat = not order.is_working and _held_after(order, trades) * order.terms.side.sign >= 0
        found.append(Original(order, changed_ms.get(order.venue_id, order.created_ms), adds, left_flat))
    return found
