"""What is known of an account's trigger orders. FTX gave them neither client ids nor a channel: both are kept here.

A trigger order is read, never pushed. It is known by its number; whose it is among ours is known from the reply to its
placement, from the engine (which names both ids when it asks), or, where the reply was lost, by its terms.
"""

from __future__ import annotations

from collections.abc import Iterable

from copydesk.model import Fill, Order, OrderType, Terms
from copydesk_wire.conditional import as_one, newest
from msgspec.structs import replace

from copydesk_ftx.translate import TriggerOrder

REMEMBERED = 10_000
CLOCK_MS = 2_000
"""How far a placement's time may be off from this machine's."""


class Triggers:
    """Trigger orders by `venue_id`, the ordinary orders that they became, and our names for them."""

    def __init__(self) -> None:
        self._known: dict[str, TriggerOrder] = {}
        self._names: dict[str, str] = {}  # venue id -> our client id
        self._became: dict[str, str] = {}  # number of an ordinary order -> venue id of its trigger order
        self._children: dict[str, Order] = {}  # newest state of the ordinary order, by the trigger order's venue id
        self._plain: dict[str, None] = {}  # numbers of ordinary orders that no trigger order became

    # --- names ---

    def name(self, venue_id: str, client_id: str) -> None:
        """This one is ours, placed as `client_id`."""
        if venue_id and client_id:
            self._names[venue_id] = client_id

    def named(self, client_id: str) -> str:
        """The venue id of our order of that name; empty where none is known."""
        return next((venue_id for venue_id, name in self._names.items() if name == client_id), "")

    def is_waiting(self, client_id: str) -> bool:
        """Whether our order of that name is at the venue, as far as is known."""
        venue_id = self.named(client_id)
        return venue_id in self._known and self.state(venue_id).is_working

    def match(self, terms: Terms, sent_ms: int, found: Iterable[TriggerOrder]) -> TriggerOrder | None:
        """The oldest of `found` that nobody has named, and that could be what was asked for then."""
        fitting = [
            one
            for one in found
            if one.order.venue_id not in self._names
            and one.order.created_ms >= sent_ms - CLOCK_MS
            and _alike(one.order.terms, terms)
        ]
        return min(fitting, key=lambda one: int(one.order.venue_id.partition(":")[2]), default=None)

    # --- what is read ---

    def learn(self, report: TriggerOrder) -> bool:
        """Take in what was read of one; whether it says anything new."""
        venue_id = report.order.venue_id
        before = self._known.get(venue_id)
        if before is not None:
            if before.becomes and not report.becomes:
                return False  # read before it was triggered
            if before.order.status.is_final and not report.order.status.is_final and not report.becomes:
                return False
        self._known[venue_id] = report
        if report.becomes:
            self._became[report.becomes] = venue_id
            self._plain.pop(report.becomes, None)
        if len(self._known) > REMEMBERED:
            self._forget_ended()
        return before is None or replace(before.order, updated_ms=0) != replace(report.order, updated_ms=0)

    def waiting(self) -> list[TriggerOrder]:
        """Those that wait, as far as is known."""
        return [one for one in self._known.values() if one.order.is_working and not one.becomes]

    def state(self, venue_id: str) -> Order:
        """One order for life, under its lasting names."""
        order = as_one(self._known[venue_id].order, self._children.get(venue_id))
        return replace(order, client_id=self._names.get(venue_id, ""))

    def has(self, venue_id: str) -> bool:
        return venue_id in self._known

    def number_of(self, venue_id: str) -> str:
        """The number of the ordinary order that it became; empty while it waits."""
        return self._known[venue_id].becomes

    # --- ordinary orders ---

    def owner(self, number: str) -> str:
        """The trigger order that became the ordinary order of that number; empty for none."""
        return self._became.get(number, "")

    def became(self, venue_id: str, order: Order) -> Order:
        """Take in a report of the ordinary order; return the trigger order's state."""
        before = self._children.get(venue_id)
        self._children[venue_id] = order if before is None else newest(before, order)
        return self.state(venue_id)

    def doubtful(self, order: Order) -> bool:
        """Whether an ordinary order could be one that a waiting trigger order has become."""
        number = order.venue_id
        if order.client_id or number in self._plain or number in self._became:
            return False
        return any(_could_become(one.order.terms, order.terms) for one in self.waiting())

    def is_plain(self, number: str) -> None:
        self._plain[number] = None
        if len(self._plain) > REMEMBERED:
            del self._plain[next(iter(self._plain))]

    def fill(self, fill: Fill) -> Fill:
        """A fill under the lasting names of its order."""
        venue_id = self.owner(fill.venue_id)
        return replace(fill, venue_id=venue_id, client_id=self._names.get(venue_id, "")) if venue_id else fill

    def _forget_ended(self) -> None:
        ended = [venue_id for venue_id in self._known if self.state(venue_id).status.is_final]
        for venue_id in ended[: len(ended) // 2 + 1]:
            report = self._known.pop(venue_id)
            self._children.pop(venue_id, None)
            self._became.pop(report.becomes, None)
            self._names.pop(venue_id, None)


def _alike(there: Terms, asked: Terms) -> bool:
    same = (there.symbol, there.side, there.type, there.quantity, there.price, there.reduce_only) == (
        asked.symbol,
        asked.side,
        asked.type,
        asked.quantity,
        asked.price,
        asked.reduce_only,
    )
    return same and (there.type is OrderType.TRAILING_STOP or there.trigger_price == asked.trigger_price)


def _could_become(waiting: Terms, ordinary: Terms) -> bool:
    return (waiting.symbol, waiting.side, waiting.price is None) == (
        ordinary.symbol,
        ordinary.side,
        ordinary.price is None,
    )
