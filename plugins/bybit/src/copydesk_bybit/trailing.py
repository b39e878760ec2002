"""Trailing stops. Bybit sets them on a position: one for all of it, a distance in price, no client id.

`position/trading-stop` sets one and answers with nothing; the order that the venue makes of it comes by the stream, and is
found among the open orders, by its position. So three things are kept here: whose an order is among ours, at which distance
it trails (only the position's row tells that), and that nothing is told of an order that is being placed before its name is
known. Its quantity is the position's, whatever was asked for, and follows it: a copy is placed where it fits exactly, and a
change of quantity alone needs no request. Source: Bybit v5, "Set Trading Stop", "Get Position Info", "Order".
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

from copydesk.errors import VenueError
from copydesk.model import (
    Accepted,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
    OrderType,
    Outcome,
    Position,
    PositionSide,
    Rejected,
    RejectReason,
    Terms,
    Unknown,
)
from msgspec.structs import replace

from copydesk_bybit import sending, translate
from copydesk_bybit.sending import Untranslatable
from copydesk_bybit.symbols import SPOT, category_of, name_of

if TYPE_CHECKING:
    from copydesk_bybit.session import Session

REMEMBERED = 1_000
CLOCK_MS = 2_000
"""How far the venue's time of an order may be off from this machine's when it was sent."""

Key = tuple[str, PositionSide]
"""A position: symbol and side."""


class Trailing:
    """The trailing stops of one session's account."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._names: OrderedDict[str, str] = OrderedDict()  # venue id -> our client id
        self._distances: OrderedDict[str, Decimal] = OrderedDict()  # venue id -> how far it trails
        self._at: dict[Key, Decimal | None] = {}  # the distance that a position told last
        self._standing: dict[Key, Order] = {}  # what was told last of each one that waits
        self._placing = asyncio.Lock()

    # --- requests ---

    async def place(self, order: NewOrder) -> Outcome:
        """Set a position's trailing stop, in place of one that it has. Answers with the order that the venue made of it."""
        what, terms = f"place {order.client_id}", order.terms
        if self._named(order.client_id):
            return Rejected(reason=RejectReason.DUPLICATE_ID, message=f"{what}: there is a trailing stop of that name.")
        try:
            await self._check(terms)
            distance = await self._distance(terms)
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}")
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: its position could not be read: {error}")
        async with self._placing:
            answer = await self._set(_key(terms), distance, what)
            if not isinstance(answer, Accepted):
                return answer
            try:
                found = await self._find(_key(terms))
            except VenueError as error:
                return Unknown(message=f"{what}: Bybit took it, but could not be asked for its order: {error}")
            if found is None:
                return Unknown(message=f"{what}: Bybit took it, but does not show it yet.")
            self._name(found.venue_id, order.client_id)
            _remember(self._distances, found.venue_id, distance)
        return Accepted(order=self.known(found))

    async def modify(self, change: OrderChange) -> Outcome:
        """Give one another distance. Its quantity follows the position by itself."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        venue_id = change.ref.venue_id or self._named(change.ref.client_id)
        try:
            distance = await self._distance(change.terms)
            if distance == self._distances.get(venue_id):
                return Accepted()
            if (standing := await self._find(_key(change.terms))) is None or standing.venue_id != venue_id:
                return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: it does not stand any more.")
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}")
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: Bybit could not be asked for it: {error}")
        answer = await self._set(_key(change.terms), distance, what)
        if isinstance(answer, Accepted):
            _remember(self._distances, venue_id, distance)
        return answer

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Take one away, unless another one has taken its place."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        venue_id = ref.venue_id or self._named(ref.client_id)
        try:
            standing = await self._stand(ref.symbol) if venue_id else []
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: Bybit could not be asked for it: {error}")
        for order in standing:
            if order.venue_id == venue_id:
                self._name(venue_id, ref.client_id)
                return await self._set(_key(order.terms), Decimal(0), what)
        return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: there is no such trailing stop.")

    async def _set(self, key: Key, distance: Decimal, what: str) -> Outcome:
        answer = await self._session.trade("position/trading-stop", sending.trailing_params(*key, distance), what)
        if isinstance(answer, Rejected) and answer.reason is RejectReason.UNCHANGED:
            return Accepted()  # it is as it shall be
        return answer if isinstance(answer, Rejected | Unknown) else Accepted()

    async def _check(self, terms: Terms) -> None:
        """Raises `Untranslatable` unless the order is one for all of a position that is there."""
        if category_of(terms.symbol) == SPOT:
            raise Untranslatable("Spot has no positions, and so no trailing stops.")
        body = await self._session.read("position/list", _named_position(terms.symbol))
        positions = [self.note(row, category_of(terms.symbol)) for row in translate.rows_of(body, "positions")]
        held = next((one.quantity for one in positions if one.position_side is terms.position_side), Decimal(0))
        if held * terms.side.sign >= 0:
            raise Untranslatable("There is no position that it could close.", RejectReason.NOTHING_TO_REDUCE)
        if not terms.close_position and abs(held) != terms.quantity:
            raise Untranslatable(
                f"A trailing stop of Bybit closes all of a position: it has {abs(held)}, and {terms.quantity} were to go."
            )

    async def _distance(self, terms: Terms) -> Decimal:
        """How far it shall trail, in price, on the tick. A share of the price is one of the price now."""
        distance = sending.distance_of(terms)
        if distance is not None:
            return distance
        if terms.trail_percent is None:
            raise Untranslatable("It is not said how far it shall trail.")
        price = terms.trigger_price or await self._session.last_price(terms.symbol)
        tick = self._session.instruments[terms.symbol].price_tick
        return max(tick, (price * terms.trail_percent / 100 / tick).quantize(Decimal(1), ROUND_HALF_EVEN) * tick)

    # --- reads ---

    async def _stand(self, symbol: str) -> list[Order]:
        """The trailing stops that wait in a symbol, one for each position."""
        rows = await self._session.pages("order/realtime", _named_position(symbol) | {"limit": "50"}, "orders")
        orders = [translate.order(row, category_of(symbol)) for row in rows]
        return [order for order in orders if order.terms.type is OrderType.TRAILING_STOP and _waits(order)]

    async def _find(self, key: Key) -> Order | None:
        return next((order for order in await self._stand(key[0]) if _key(order.terms) == key), None)

    async def look_up(self, ref: OrderRef) -> Order | None:
        """What the venue knows of one; where only its terms are known, the one that stands, if it can be it."""
        venue_id = ref.venue_id or self._named(ref.client_id)
        if not venue_id and ref.terms is not None and (found := await self._find(_key(ref.terms))) is not None:
            wanted = sending.distance_of(ref.terms)
            found = await self.told(found)
            if (
                found.venue_id not in self._names
                and found.created_ms >= ref.sent_ms - CLOCK_MS
                and wanted in (None, self._distances.get(found.venue_id))
            ):
                venue_id = found.venue_id
        if not venue_id:
            return None
        self._name(venue_id, ref.client_id)
        order = await self._session.look_up_by_id(replace(ref, venue_id=venue_id))
        return await self.told(order) if order is not None else None

    # --- what is told ---

    async def told(self, order: Order) -> Order:
        """An order as the stream tells it, with its name and its distance. Raises as a read does where it has to ask."""
        async with self._placing:
            pass  # one that is being placed has its name by now
        if _waits(order) and order.venue_id not in self._distances:
            body = await self._session.read("position/list", _named_position(order.terms.symbol))
            for row in translate.rows_of(body, "positions"):
                self.note(row, category_of(order.terms.symbol))
            self.learn(order)
        return self.known(order)

    def learn(self, order: Order) -> Order:
        """One that waits trails as far as its position was told to, just before. Returns it so."""
        distance = self._at.get(_key(order.terms))
        if _waits(order) and distance is not None:
            _remember(self._distances, order.venue_id, distance)
        return self.known(order)

    def known(self, order: Order) -> Order:
        """The order with its name and its distance, as far as they are known."""
        key, distance = _key(order.terms), self._distances.get(order.venue_id)
        client_id = order.client_id or self._names.get(order.venue_id, "")
        terms = replace(order.terms, native=sending.native_of(distance)) if distance is not None else order.terms
        order = replace(order, client_id=client_id, terms=terms)
        if _waits(order):
            self._standing[key] = order
        elif (standing := self._standing.get(key)) is not None and standing.venue_id == order.venue_id:
            del self._standing[key]
        return order

    def note(self, row: Mapping[str, Any], category: str) -> Position:
        """Take in the distance that a position's row tells. Returns the position."""
        position = translate.position(row, category)
        self._at[position.symbol, position.position_side] = translate.trail_of(row)
        return position

    def changed(self, position: Position) -> Order | None:
        """The trailing stop of a position that was just told of, where it trails otherwise from now on."""
        key = (position.symbol, position.position_side)
        standing, distance = self._standing.get(key), self._at.get(key)
        if standing is None or distance is None or distance == self._distances.get(standing.venue_id):
            return None
        _remember(self._distances, standing.venue_id, distance)
        return self.known(standing)

    # --- names ---

    def name_of(self, venue_id: str) -> str:
        """Our client id of the order; empty where it is none of ours, as far as is known."""
        return self._names.get(venue_id, "")

    def _named(self, client_id: str) -> str:
        return next((venue_id for venue_id, name in self._names.items() if name == client_id), "")

    def _name(self, venue_id: str, client_id: str) -> None:
        if client_id:
            _remember(self._names, venue_id, client_id)


def _remember(kept: OrderedDict[str, Any], venue_id: str, value: object) -> None:
    kept[venue_id] = value
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _key(terms: Terms) -> Key:
    return terms.symbol, terms.position_side


def _waits(order: Order) -> bool:
    return order.is_working and not order.triggered


def _named_position(symbol: str) -> dict[str, str]:
    return {"category": category_of(symbol), "symbol": name_of(symbol)}
