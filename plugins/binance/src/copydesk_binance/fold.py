"""Folds a conditional order and the ordinary order that it becomes into one order for life. Pure: no clock, no I/O.

Binance keeps conditional orders in a service of their own. When one is triggered, an ordinary order with an id of its own
comes into being, and both services report, in either order. Here the conditional order keeps its `venue_id` and
`client_id`; what the ordinary one does shows in its status and in what is filled.
"""

from __future__ import annotations

from collections.abc import Iterable

from copydesk.model import Fill, Order, OrderType, Record
from copydesk_wire.conditional import as_one, newest
from msgspec.structs import replace

from copydesk_binance.translate import AlgoReport, OrderReport

REMEMBERED = 10_000
"""How many orders are remembered; the oldest ended ones are forgotten first."""


class Told(Record):
    """One report, folded: the order's whole present state and the execution, both under the order's lasting names."""

    order: Order
    fill: Fill | None = None


class Doubt(Record):
    """An ordinary order that may be a triggered one. Only the venue can tell: read `symbol`'s conditional orders, `learn`
    them and fold the report again."""

    symbol: str
    order_id: str


def fold_all(orders: Iterable[Order], reports: Iterable[AlgoReport]) -> tuple[Order, ...]:
    """What reads of both services tell, folded. Read the ordinary orders first: then every triggered one among them is
    named by the conditional orders read after it. Each order comes once, in its newest state."""
    plain: dict[str, Order] = {}
    for order in orders:
        known = plain.get(order.venue_id)
        plain[order.venue_id] = order if known is None else newest(known, order)
    conditional: dict[str, AlgoReport] = {}
    for report in reports:
        seen = conditional.get(report.order.venue_id)
        conditional[report.order.venue_id] = report if seen is None else newest_report(seen, report)
    folded = []
    for report in conditional.values():
        became = plain.pop(report.becomes, None) if report.becomes else None
        folded.append(as_one(report.order, became))
    return (*plain.values(), *folded)


def newest_report(one: AlgoReport, other: AlgoReport) -> AlgoReport:
    """The later state of one conditional order."""

    def rank(report: AlgoReport) -> tuple[bool, bool, bool, int]:
        order = report.order
        return order.status.is_final, bool(report.becomes), order.triggered, order.updated_ms

    return max(one, other, key=rank)


class Fold:
    """What one account's stream has told so far of its orders, as far as folding needs it."""

    def __init__(self) -> None:
        self._conditional: dict[str, AlgoReport] = {}  # by venue id
        self._names: dict[str, str] = {}  # client id -> venue id of the newest conditional order of that name
        self._became: dict[str, str] = {}  # ordinary order id -> venue id of the conditional order
        self._children: dict[str, Order] = {}  # newest state of the ordinary order, by the conditional's venue id
        self._plain: dict[str, None] = {}  # ids of orders that are ordinary from the start
        self._own: dict[str, None] = {}  # client ids of ordinary orders that are being placed from here

    # --- what is known ---

    def expect_plain(self, client_id: str) -> None:
        """An ordinary order is about to be placed from here: its reports are in no doubt."""
        self._own[client_id] = None
        _forget_oldest(self._own)

    def learn(self, reports: Iterable[AlgoReport], plain: Iterable[Order] = ()) -> None:
        """Take in what was read from the venue: conditional orders, and orders read before them."""
        for report in reports:
            self._keep(report)
        for order in plain:
            if order.venue_id not in self._became:
                self.learn_plain(order.venue_id)

    def lacks_trail(self, report: AlgoReport) -> bool:
        """Whether a report leaves out the trail and it is not known from before either."""
        known = self._conditional.get(report.order.venue_id)
        return report.lacks_trail and (known is None or known.lacks_trail)

    def known(self, order_id: str) -> AlgoReport | None:
        """The conditional order that became this ordinary one, if one did."""
        return self._conditional.get(self._became.get(order_id, ""))

    def learn_plain(self, order_id: str) -> None:
        """This id is an ordinary order's."""
        self._plain[order_id] = None
        _forget_oldest(self._plain)

    def becomes(self, venue_id: str) -> str:
        """The id of the ordinary order that a conditional order became; empty where it is not known to have become one."""
        report = self._conditional.get(venue_id)
        return report.becomes if report else ""

    def is_triggering(self, symbol: str) -> bool:
        """Whether a conditional order of this symbol has been triggered and does not say yet what it became."""
        reports = (report for report in self._conditional.values() if report.order.terms.symbol == symbol)
        return any(report.order.triggered and not report.becomes and report.order.is_working for report in reports)

    # --- what is reported ---

    def conditional(self, report: AlgoReport) -> Told:
        """Fold a report of the conditional service."""
        kept = self._keep(report)
        return Told(order=self._state(kept))

    def ordinary(self, report: OrderReport, *, is_first: bool) -> Told | Doubt:
        """Fold a report of the matching engine. `is_first`: it is the one that tells that the order is new.

        A report is in doubt where its order could be a triggered one: it looks like one that is waiting, or it is not the
        first one of its order and nothing is known of that order.
        """
        order = report.order
        if order.venue_id in self._plain:
            return Told(order=order, fill=report.fill)
        venue_id = self._became.get(order.venue_id) or self._of_same_name(order)
        if venue_id:
            return self.became(venue_id, report)
        certain = order.client_id in self._own
        if order.terms.type.is_conditional:  # reported as one from the start, unless it says that it was triggered
            certain, is_first = not order.triggered, False
        if not certain and (not is_first or any(_resembles(order, known) for known in self._conditional.values())):
            return Doubt(symbol=order.terms.symbol, order_id=order.venue_id)
        self.learn_plain(order.venue_id)
        return Told(order=order, fill=report.fill)

    def became(self, venue_id: str, report: OrderReport) -> Told:
        """Fold a report of the ordinary order that the known conditional order `venue_id` became."""
        order = report.order
        self._became[order.venue_id] = venue_id
        kept = self._conditional[venue_id]
        if not kept.becomes:
            self._conditional[venue_id] = replace(kept, becomes=order.venue_id)
        known = self._children.get(venue_id)
        self._children[venue_id] = order if known is None else newest(known, order)
        state = self._state(self._conditional[venue_id])
        fill = report.fill
        if fill is not None:
            fill = replace(fill, venue_id=state.venue_id, client_id=state.client_id)
        return Told(order=state, fill=fill)

    def _of_same_name(self, order: Order) -> str:
        if not order.client_id:
            return ""
        venue_id = self._names.get(order.client_id, "")
        known = self._conditional.get(venue_id)
        return venue_id if known is not None and not known.becomes and _same_place(order, known.order) else ""

    def _state(self, report: AlgoReport) -> Order:
        return as_one(report.order, self._children.get(report.order.venue_id), finished=report.finished)

    def _keep(self, report: AlgoReport) -> AlgoReport:
        venue_id = report.order.venue_id
        known = self._conditional.pop(venue_id, None)
        if known is not None:
            newer = newest_report(known, report)
            order = newer.order
            terms = order.terms
            before = known.order.terms
            if terms.quantity == 0 and before.quantity > 0:  # some replies leave the quantity out
                terms = replace(terms, quantity=before.quantity)
            whole = before if newer.lacks_trail and not known.lacks_trail else None
            if known.lacks_trail and not report.lacks_trail:
                whole = report.order.terms
            if whole is not None:
                terms = replace(terms, trigger_price=whole.trigger_price, trail_percent=whole.trail_percent)
            created = known.order.created_ms or order.created_ms
            report = replace(
                newer,
                order=replace(order, created_ms=created, terms=terms),
                becomes=newer.becomes or known.becomes or report.becomes,
                finished=known.finished or report.finished,
                lacks_trail=known.lacks_trail and report.lacks_trail,
            )
        self._conditional[venue_id] = report
        if report.order.client_id and not report.order.status.is_final:
            self._names[report.order.client_id] = venue_id
        if report.becomes:
            self._became[report.becomes] = venue_id
            self._plain.pop(report.becomes, None)
        if len(self._conditional) > REMEMBERED:
            self._forget_ended()
        return report

    def _forget_ended(self) -> None:
        ended = [venue_id for venue_id, report in self._conditional.items() if self._state(report).status.is_final]
        for venue_id in ended[: len(ended) // 2 + 1]:
            report = self._conditional.pop(venue_id)
            self._children.pop(venue_id, None)
            self._became.pop(report.becomes, None)
            if self._names.get(report.order.client_id) == venue_id:
                del self._names[report.order.client_id]


def _forget_oldest(known: dict[str, None]) -> None:
    if len(known) > REMEMBERED:
        del known[next(iter(known))]


def _same_place(order: Order, conditional: Order) -> bool:
    ours, theirs = order.terms, conditional.terms
    return (ours.symbol, ours.side, ours.position_side) == (theirs.symbol, theirs.side, theirs.position_side)


def _resembles(order: Order, report: AlgoReport) -> bool:
    """Whether an ordinary order could be what this waiting conditional order became."""
    waiting = report.order
    if report.becomes or waiting.status.is_final or not _same_place(order, waiting):
        return False
    ours, theirs = order.terms, waiting.terms
    type_ = OrderType.LIMIT if theirs.type.has_price else OrderType.MARKET
    same_quantity = theirs.close_position or theirs.quantity == 0 or ours.quantity == theirs.quantity
    return ours.type is type_ and same_quantity
