"""What is known of one account's orders: a fold of notifications into one state per order. Pure.

Notifications may come twice, in another order, or not at all. The newest by its time says what an order asks for; what is
filled never goes back; what has ended stays ended.
"""

from __future__ import annotations

from copydesk.model import FillEvent, Order, OrderEvent, VenueEvent
from msgspec.structs import replace

from copydesk_rithmic import reports, translate
from copydesk_rithmic.library import Message

KEPT_ENDED = 5_000
KEPT_FILLS = 20_000
KEPT_TAGS = 100_000


class Book:
    """`take` is given what the stream tells and says what is to be told on; `learn` is given what was read.

    `tags` leads from a client id to its basket, for every order that was ever seen here.
    """

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.tags: dict[str, str] = {}
        self._stamps: dict[str, int] = {}
        self._told: dict[str, Order] = {}
        self._confirmed: set[str] = set()
        self._fills: dict[str, None] = {}
        self._ended: dict[str, None] = {}

    def take(self, message: Message) -> list[VenueEvent]:
        """What the account's listeners hear of a 351 or 352. Raises `Unreadable`."""
        order = self._merge(message)
        events: list[VenueEvent] = []
        if reports.is_confirmed(message):
            self._confirmed.add(order.venue_id)
        told = self._told.get(order.venue_id)
        if order.venue_id in self._confirmed and (told is None or not _same(told, order)):
            self._told[order.venue_id] = order
            events.append(OrderEvent(order=order))
        if message.template_id == reports.EXCHANGE and message.notify_type == reports.FILL and self._is_new(message):
            events.append(FillEvent(fill=reports.fill(message, order.client_id)))
        return events

    def learn(self, message: Message) -> Order:
        """Take over what a list or a history says of an order, and return what is now known of it. Raises `Unreadable`."""
        order = self._merge(message)
        self._confirmed.add(order.venue_id)
        return order

    def is_confirmed(self, venue_id: str) -> bool:
        """True where the venue has said that the order stands, or how it ended."""
        return venue_id in self._confirmed

    def named(self, client_id: str, venue_id: str = "") -> Order | None:
        """The order of that basket, or of that client id."""
        return self.orders.get(venue_id or self.tags.get(client_id, ""))

    def _merge(self, message: Message) -> Order:
        known = self.orders.get(message.basket_id)
        stamp = translate.time_us(message)
        newest = stamp >= self._stamps.get(message.basket_id, 0)
        order = reports.order(message, known, newest=newest)
        if newest:
            self._stamps[order.venue_id] = stamp
        self.orders[order.venue_id] = order
        if order.client_id:
            self.tags[order.client_id] = order.venue_id
            if len(self.tags) > KEPT_TAGS:
                del self.tags[next(iter(self.tags))]
        if not order.is_working:
            self._ended[order.venue_id] = None
            self._forget()
        return order

    def _forget(self) -> None:
        """Keep the memory bounded: the orders that ended first go first, their client ids stay."""
        while len(self._ended) > KEPT_ENDED:
            oldest = next(iter(self._ended))
            del self._ended[oldest]
            for table in (self.orders, self._stamps, self._told):
                table.pop(oldest, None)
            self._confirmed.discard(oldest)

    def _is_new(self, message: Message) -> bool:
        name = f"{message.exchange}:{message.symbol}/{message.fill_id}"
        if name in self._fills:
            return False
        self._fills[name] = None
        if len(self._fills) > KEPT_FILLS:
            del self._fills[next(iter(self._fills))]
        return True


def _same(told: Order, order: Order) -> bool:
    """True where nothing but the time has changed."""
    return replace(told, updated_ms=order.updated_ms) == order
