"""One account's live link: signed requests, placing, amending, cancelling, looking up, and what its stream has told."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from copydesk.errors import NotReady, Refused, VenueClosed, VenueError
from copydesk.hooks import Done
from copydesk.model import (
    ZERO,
    Accepted,
    Balance,
    Candle,
    CandleRequest,
    ConnectionSettings,
    Contract,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    Position,
    Rejected,
    RejectReason,
    SnapshotRequest,
    Terms,
    Unknown,
)
from copydesk_wire import session
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, NoReply, NotSent, Unreadable
from copydesk_wire.fields import decimal, decimal_or_zero, object_, rows
from copydesk_wire.firing import Sender, Way, in_words
from copydesk_wire.pool import place_of
from copydesk_wire.streaming import Feed
from copydesk_wire.templates import Key
from msgspec.structs import replace

from copydesk_bitmex import decoding, translate
from copydesk_bitmex.errors import Reply, meaning, raise_for, read_reply, refusal, retry_after_ms, sentence_meaning
from copydesk_bitmex.reading import Reading
from copydesk_bitmex.stream import PriceStream, PrivateStream
from copydesk_bitmex.translate import MarginRow, Untranslatable
from copydesk_bitmex.venue import Signer, Venue

log = logging.getLogger("copydesk.bitmex")

REMEMBERED = 20_000
RATE_WAITS = 3
LONGEST_WAIT_S = 2.0
CURRENCY = "USDT"
CLOSED = (
    "BitMEX closed on 23 September 2026: there is no such venue any more. To rehearse on it, start `copydesk rehearse "
    "bitmex` and give the connection the `url` that it prints."
)


class Session(session.Session[Venue]):
    """What `connect` returns."""

    def __init__(self, name: str, venue: Venue, signer: Signer, key: Key, hidden: Iterable[str]) -> None:
        super().__init__(name, venue, hidden)
        self.signer = signer
        self.sender: Sender = Sender(venue, place_of(venue.url), key, self._judge)
        self._placing = Way[NewOrder](lambda order, reply: self._placed(reply, in_words(order)), self.place)
        self._changing = Way[OrderChange](lambda change, reply: self._accept(reply, in_words(change)), self.modify)
        self._cancelling = Way[OrderRef](lambda ref, reply: self._cancelled(reply, in_words(ref)), self.cancel)
        self.margins: dict[str, MarginRow] = {}
        self._first_ms: dict[str, int] = {}  # when each order was first heard of
        self._bitcoin = ZERO  # its price in dollars, as last read

    # --- requests ---

    async def request(self, method: str, path: str, body: str = "") -> Reply:
        """Send a signed request; once more with a measured clock where BitMEX says that it has expired, which it checks
        before anything else. Raises `NotSent` or `NoReply`. No text of an error carries the key."""
        reply = await self.venue.send(method, path, signer=self.signer, body=body)
        if not reply.is_fine and meaning(reply) is Family.CLOCK:
            try:
                await self.venue.measure_clock()
            except VenueError as error:
                log.warning("%s: the clock could not be measured: %s", self.name, error)
            else:
                reply = await self.venue.send(method, path, signer=self.signer, body=body)
        return self._hidden_reply(reply)

    def _hidden_reply(self, reply: Reply) -> Reply:
        text = self.hide(reply.text)
        return reply if text == reply.text else replace(reply, text=text, body=None)

    async def read(self, path: str, **query: str) -> Any:
        """The body of a signed read. A few waits for the rate limit are part of it.

        Raises `NotReady`, `AuthFailed`, `RateLimited` or `Refused`.
        """
        waits = 0
        while True:
            try:
                reply = await self.request("GET", f"{path}?{urlencode(query)}" if query else path)
            except NoReply as error:
                raise NotReady(str(error)) from None
            if reply.is_fine:
                return reply.body
            wait_s = retry_after_ms(reply) / 1000
            limited = meaning(reply) is RejectReason.RATE_LIMIT and wait_s <= LONGEST_WAIT_S
            if waits == RATE_WAITS or not limited:
                raise_for(reply, f"GET {path}")
            waits += 1
            await asyncio.sleep(wait_s)

    async def _trade(self, method: str, what: str, body: str) -> Reply | Rejected | Unknown:
        try:
            reply = await self.request(method, "/order", body)
        except NotSent as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        except NoReply as error:
            return Unknown(message=f"{what}: {error}")
        return reply if reply.is_fine else refusal(reply, what)

    def private_stream(self, feed: Feed) -> PrivateStream:
        return PrivateStream(self, feed)

    def price_stream(self, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> PriceStream:
        return PriceStream(self, feed, symbols, tell=tell)

    def reading(self, request: SnapshotRequest) -> Reading:
        return Reading(self, request)

    # --- orders ---

    async def place(self, order: NewOrder) -> Outcome:
        """Place an order under its client id, unchanged."""
        what = f"place {order.client_id}"
        try:
            body = translate.place_body(order.client_id, order.terms, last_price=await self._last_price(order.terms))
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        answer = await self._trade("POST", what, body)
        return self._placed(answer, what) if isinstance(answer, Reply) else answer

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order now: see `copydesk.hooks.Fires`. A trailing stop needs the price."""
        if order.terms.type is OrderType.TRAILING_STOP:
            return False
        return self.sender.fire(self.venue.placing, order, None, done, self._placing)

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        """Amend an order now: see `copydesk.hooks.Fires`. A trailing stop needs the price."""
        if change.terms.type is OrderType.TRAILING_STOP:
            return False
        return self.sender.fire(self.venue.changing, change, None, done, self._changing)

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel an order now: see `copydesk.hooks.Fires`."""
        return self.sender.fire(self.venue.cancelling, ref, None, done, self._cancelling)

    def warm_up(self, order: NewOrder) -> None:
        super().warm_up(order)
        decoded = decoding.frame(decoding.EXAMPLE)
        if isinstance(decoded, decoding.Orders):
            decoding.order(decoded.data[0])

    def _judge(self, answer: Answer, what: str) -> Reply | Rejected | Unknown | None:
        """What an answer to something fired means: see `copydesk_wire.firing.Judge`."""
        reply = read_reply(answer)
        if reply.is_fine:
            return reply
        return None if meaning(reply) is Family.CLOCK else refusal(self._hidden_reply(reply), what)

    def _placed(self, answer: Reply, what: str) -> Outcome:
        outcome = self._accept(answer, what)
        if isinstance(outcome, Accepted) and outcome.order is not None and outcome.order.status is OrderStatus.CANCELLED:
            # BitMEX takes what it then cancels at once: post-only that would take, reduce-only without a position.
            reason = sentence_meaning(outcome.order.reason)
            if isinstance(reason, RejectReason) and not outcome.order.filled:
                return Rejected(reason=reason, message=f"{what}: {outcome.order.reason}")
        return outcome

    async def _last_price(self, terms: Terms) -> Decimal | None:
        """BitMEX trails by an amount: a distance in percent needs the price."""
        if terms.type is not OrderType.TRAILING_STOP:
            return None
        (row,) = rows(await self.venue.ask("/instrument", symbol=terms.symbol), "instruments")
        return decimal(row, "lastPrice")

    def _accept(self, reply: Reply, what: str) -> Outcome:
        try:
            order = self.keep(translate.order(object_(reply.body, "an order")))
        except Unreadable as error:
            return Unknown(message=f"{what}: {error}")
        if order.status is OrderStatus.REJECTED:
            reason = sentence_meaning(order.reason)
            found = reason if isinstance(reason, RejectReason) else RejectReason.OTHER
            return Rejected(reason=found, message=f"{what}: BitMEX rejected it: {order.reason}")
        return Accepted(order=order)

    async def modify(self, change: OrderChange) -> Outcome:
        """Give a working order a new price, trigger, trail or total quantity."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        try:
            body = translate.amend_body(change, last_price=await self._last_price(change.terms))
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        answer = await self._trade("PUT", what, body)
        return self._accept(answer, what) if isinstance(answer, Reply) else answer

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel an order. BitMEX answers with a list: the order, or why it could not be."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        answer = await self._trade("DELETE", what, translate.cancel_body(ref))
        return self._cancelled(answer, what) if isinstance(answer, Reply) else answer

    def _cancelled(self, answer: Reply, what: str) -> Outcome:
        row = answer.body[0] if isinstance(answer.body, list) and answer.body else {}
        if isinstance(row, Mapping) and row.get("error"):
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: BitMEX answered: {row['error']}")
        outcome = self._accept(replace(answer, body=row), what)
        ended = isinstance(outcome, Accepted) and outcome.order is not None and outcome.order.status
        if ended and ended.is_final and ended is not OrderStatus.CANCELLED:
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: the order has ended: {ended}.")
        return outcome

    async def look_up(self, ref: OrderRef) -> Order | None:
        """What the venue knows of one order; None where it says that it has none."""
        named = {"orderID": ref.venue_id} if ref.venue_id else {"clOrdID": ref.client_id}
        found = rows(await self.read("/order", filter=json.dumps(named), reverse="true", count="1"), "orders")
        return self.keep(translate.order(found[0])) if found else None

    def keep(self, order: Order) -> Order:
        """The order with the time at which it was first heard of."""
        first = self._first_ms.setdefault(order.venue_id, order.updated_ms)
        if len(self._first_ms) > REMEMBERED:
            del self._first_ms[next(iter(self._first_ms))]
        return replace(order, created_ms=min(first, order.updated_ms))

    # --- the account ---

    async def log_in(self) -> None:
        """Check the key and learn what the account has. Raises `AuthFailed` or `NotReady`."""
        await self.read_margins()
        self.venue.learn_shapes()

    async def read_permissions(self) -> tuple[str, ...] | None:
        """BitMEX lists all keys of the account by their ids, so this one answer may carry the key."""
        reply = await self.venue.send("GET", "/apiKey", signer=self.signer)
        return translate.permissions(reply.body, self.signer.key) if reply.is_fine else None

    async def read_margins(self) -> Balance:
        """Read all currencies, and the price that makes them one. Raises as `read` does."""
        body = await self.read("/user/margin", currency="all")
        for row in rows(body if isinstance(body, list) else [body], "margins"):
            self.keep_margin(translate.margin(row))
        if "XBT" in self.margins:
            await self._read_bitcoin()
        return self.balance()

    async def _read_bitcoin(self) -> None:
        """Of any contract on bitcoin against dollars."""
        for instrument in self.instruments.values():
            if (
                instrument.base == "XBT"
                and instrument.quote in ("USD", "USDT")
                and instrument.contract is not Contract.SPOT
            ):
                (row,) = rows(await self.venue.ask("/instrument", symbol=instrument.symbol), "instruments")
                self._bitcoin = decimal_or_zero(row, "markPrice", "lastPrice")
                return

    def keep_margin(self, row: MarginRow) -> None:
        self.margins[row.asset] = row

    def balance(self) -> Balance:
        """All currencies as one, in tether: bitcoin at its last price, what has no price here at nothing."""
        worth = {CURRENCY: Decimal(1), "XBT": self._bitcoin}
        priced = [(row, worth[row.asset]) for row in self.margins.values() if row.asset in worth]
        return Balance(
            currency=CURRENCY,
            equity=sum((row.equity * price for row, price in priced), ZERO),
            cash=sum((row.cash * price for row, price in priced), ZERO),
            available=sum((row.available * price for row, price in priced), ZERO),
            time_ms=self.venue.now_ms(),
        )

    def position(self, row: Mapping[str, Any]) -> Position:
        return translate.position(row)

    # --- charts ---

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        """Past bars, oldest first. Raises `Refused` for an interval that the venue does not have."""
        length = translate.BINS.get(request.interval)
        if length is None:
            raise Refused(f"BitMEX has no candles of {request.interval}; use one of {sorted(translate.BINS)}.")
        query = {"symbol": request.symbol, "binSize": request.interval, "count": str(min(request.limit, 1000))}
        try:
            found = rows(await self.venue.ask("/trade/bucketed", **query, reverse="true", partial="true"), "candles")
        except NoReply as error:
            raise NotReady(str(error)) from None
        return tuple(translate.candle(row, length) for row in reversed(found) if row.get("close") is not None)


async def connect(settings: ConnectionSettings) -> Session:
    """Log in. Raises `VenueClosed` without an address, `AuthFailed` (missing or refused key) or `NotReady`."""
    if not settings.options.get("url", "").strip():
        raise VenueClosed(CLOSED)

    def make(venue: Venue, key: str, secret: str) -> Session:
        return Session(settings.name, venue, Signer(key, secret), Key(key, secret), (key, secret))

    return await session.log_in(settings, Venue, make)
