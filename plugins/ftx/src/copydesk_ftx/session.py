"""One account's live link: signed requests, placing, cancelling, looking up, and what its stream has told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from copydesk.errors import NotReady, RateLimited, Refused, VenueClosed
from copydesk.hooks import Done
from copydesk.model import (
    Accepted,
    Balance,
    BalanceEvent,
    Candle,
    CandleRequest,
    ConnectionSettings,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderType,
    Outcome,
    Position,
    PositionEvent,
    Rejected,
    RejectReason,
    SnapshotRequest,
    Unknown,
    VenueEvent,
)
from copydesk_wire import session
from copydesk_wire.connection import Answer
from copydesk_wire.errors import NoReply, NotSent, Unreadable
from copydesk_wire.firing import Sender, Way
from copydesk_wire.pool import place_of
from copydesk_wire.streaming import Feed
from copydesk_wire.templates import Key
from msgspec.structs import replace

from copydesk_ftx import decoding, translate
from copydesk_ftx.errors import Reply, meaning, raise_for, read_reply, refusal, retry_after_ms
from copydesk_ftx.reading import Reading
from copydesk_ftx.stream import PriceStream, PrivateStream
from copydesk_ftx.translate import TRIGGER_PREFIX, TriggerOrder, Untranslatable
from copydesk_ftx.triggers import Triggers
from copydesk_ftx.venue import Signer, Venue

log = logging.getLogger("copydesk.ftx")

REMEMBERED = 20_000
RATE_WAITS = 3
CLOSED = (
    "FTX closed in November 2022: there is no such venue any more. To rehearse on it, start `copydesk rehearse ftx` and "
    "give the connection the `url` that it prints."
)


class Session(session.Session[Venue]):
    """What `connect` returns."""

    def __init__(self, name: str, venue: Venue, signer: Signer, key: Key, hidden: Iterable[str]) -> None:
        super().__init__(name, venue, hidden)
        self.signer = signer
        self.sender: Sender = Sender(venue, place_of(venue.url), key, self._judge)
        self._placing = Way(self._placed, self.place)
        self._cancelling = Way[OrderRef](lambda ref, reply: self._cancelled(), self.cancel)
        self.triggers = Triggers()
        self.listeners: set[Feed] = set()  # those of the private stream
        self.positions: dict[str, Position] = {}
        self.balance: Balance | None = None
        self.asked = asyncio.Event()  # somebody wants the trigger orders to be read now
        self._names: dict[str, str] = {}  # number of an ordinary order -> its client id

    def tell(self, event: VenueEvent) -> None:
        """Give an event to whoever listens to the private stream."""
        for feed in self.listeners:
            feed.put(event)

    # --- requests ---

    async def request(self, method: str, path: str, body: str = "") -> Reply:
        """Send a signed request. Raises `NotSent` or `NoReply`. No text of an error carries the key."""
        reply = await self.venue.send(method, path, signer=self.signer, body=body)
        return self._hidden_reply(reply)

    def _hidden_reply(self, reply: Reply) -> Reply:
        text = self.hide(reply.text)
        return reply if text == reply.text else replace(reply, text=text, body=None)

    async def read(self, path: str, **query: str) -> Any:
        """The result of a signed read. Raises `NotReady`, `AuthFailed`, `RateLimited` or `Refused`."""
        return (await self._reply(path, query)).result

    async def read_page(self, path: str, **query: str) -> tuple[Any, bool]:
        """The result of a signed read, and whether there is more."""
        reply = await self._reply(path, query)
        return reply.result, isinstance(reply.body, dict) and reply.body.get("hasMoreData") is True

    async def _reply(self, path: str, query: dict[str, str]) -> Reply:
        """A whole snapshot is ten reads or so, of the thirty that FTX took in a second: a few waits are part of it."""
        waits = 0
        while True:
            try:
                reply = await self.request("GET", f"{path}?{urlencode(query)}" if query else path)
            except NoReply as error:
                raise NotReady(str(error)) from None
            if reply.is_fine:
                return reply
            if waits == RATE_WAITS or meaning(reply) is not RejectReason.RATE_LIMIT:
                raise_for(reply, f"GET {path}")
            waits += 1
            await asyncio.sleep(retry_after_ms(reply) / 1000)

    async def _trade(self, method: str, path: str, what: str, body: str = "") -> Reply | Rejected | Unknown:
        try:
            reply = await self.request(method, path, body)
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
        """Place an order. An ordinary one goes under its client id; of a trigger order only this session knows it."""
        what = f"place {order.client_id}"
        if order.terms.type.is_conditional and self.triggers.is_waiting(order.client_id):
            message = f"{what}: there is a trigger order of that name already."
            return Rejected(reason=RejectReason.DUPLICATE_ID, message=message)
        try:
            path, body = translate.place_body(order.client_id, order.terms, last_price=await self._last_price(order))
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        except (NotReady, RateLimited, Refused) as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        answer = await self._trade("POST", path, what, body)
        return self._placed(order, answer) if isinstance(answer, Reply) else answer

    def _placed(self, order: NewOrder, answer: Reply) -> Outcome:
        try:
            if order.terms.type.is_conditional:
                return Accepted(order=self._placed_trigger(order.client_id, answer))
            placed = translate.order(answer.result, updated_ms=self.venue.now_ms())
        except Unreadable as error:
            return Unknown(message=f"place {order.client_id}: {error}")
        self.learn_name(placed)
        return Accepted(order=placed)

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an ordinary order now: see `copydesk.hooks.Fires`. A trigger order may have to be asked about."""
        if order.terms.type.is_conditional:
            return False
        return self.sender.fire(self.venue.placing, order, self.signer.subaccount, done, self._placing)

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel an ordinary order now: see `copydesk.hooks.Fires`."""
        if ref.type.is_conditional:
            return False
        return self.sender.fire(self.venue.cancelling, ref, self.signer.subaccount, done, self._cancelling)

    def warm_up(self, order: NewOrder) -> None:
        super().warm_up(order)
        decoding.update(decoding.EXAMPLE, now_ms=0)

    def _judge(self, answer: Answer, what: str) -> Reply | Rejected | Unknown:
        """What an answer to something fired means: see `copydesk_wire.firing.Judge`. FTX has no clock to measure."""
        reply = read_reply(answer)
        return reply if reply.is_fine else refusal(self._hidden_reply(reply), what)

    async def _last_price(self, order: NewOrder) -> Decimal | None:
        """FTX trails by an amount: a distance in percent needs the price."""
        if order.terms.type is not OrderType.TRAILING_STOP:
            return None
        market = await self.venue.ask(f"/markets/{quote(order.terms.symbol)}")
        return translate.number(market.get("last") if isinstance(market, dict) else None, "last")

    def _placed_trigger(self, client_id: str, reply: Reply) -> Order:
        report = translate.trigger_order(reply.result)
        self.triggers.name(report.order.venue_id, client_id)
        self.triggers.learn(report)
        state = self.triggers.state(report.order.venue_id)
        self.tell(OrderEvent(order=state))
        return state

    async def modify(self, change: OrderChange) -> Outcome:
        """FTX modified by cancelling and placing anew, under another id: nothing that would be one order for life."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        return Rejected(reason=RejectReason.OTHER, message=f"{what}: FTX cannot amend an order; cancel and place it.")

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel an order, whichever service holds it now."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        path = self._path(ref)
        if not path:
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: no trigger order of that name is known.")
        answer = await self._trade("DELETE", path, what)
        return self._cancelled() if isinstance(answer, Reply) else answer

    def _cancelled(self) -> Outcome:
        self.asked.set()
        return Accepted()

    def _path(self, ref: OrderRef) -> str:
        """Where an order is read and cancelled; empty where its number is not known."""
        if ref.type.is_conditional:
            venue_id = ref.venue_id or self.triggers.named(ref.client_id)
            if not venue_id:
                return ""
            self.triggers.name(venue_id, ref.client_id)
            if self.triggers.has(venue_id) and (number := self.triggers.number_of(venue_id)):
                return f"/orders/{number}"
            return f"/conditional_orders/{venue_id.removeprefix(TRIGGER_PREFIX)}"
        return translate.order_path(ref)

    def learn_name(self, order: Order) -> None:
        """Keep an ordinary order's client id: its fills do not carry it."""
        if order.client_id:
            self._names[order.venue_id] = order.client_id
            if len(self._names) > REMEMBERED:
                del self._names[next(iter(self._names))]

    def name_of(self, number: str) -> str:
        return self._names.get(number, "")

    # --- looking up ---

    async def look_up(self, ref: OrderRef) -> Order | None:
        """What the venue knows of one order; None where it says that it has none."""
        if ref.type.is_conditional:
            return await self._look_up_trigger(ref)
        try:
            found = await self.read(self._path(ref))
        except Refused as error:
            if error.reason is RejectReason.NOT_FOUND:
                return None
            raise
        order = translate.order(found, updated_ms=self.venue.now_ms())
        self.learn_name(order)
        return order

    async def _look_up_trigger(self, ref: OrderRef) -> Order | None:
        reports = await self.read_triggers(ref.symbol)
        venue_id = ref.venue_id or self.triggers.named(ref.client_id)
        if not venue_id and ref.terms is not None:
            matched = self.triggers.match(ref.terms, ref.sent_ms, reports)
            venue_id = matched.order.venue_id if matched is not None else ""
        report = next((one for one in reports if one.order.venue_id == venue_id), None)
        if report is None:
            return None
        self.triggers.name(venue_id, ref.client_id)
        self.triggers.learn(report)
        if report.becomes:
            child = translate.order(await self.read(f"/orders/{report.becomes}"), updated_ms=self.venue.now_ms())
            return self.triggers.became(venue_id, child)
        return self.triggers.state(venue_id)

    async def read_triggers(self, market: str = "") -> list[TriggerOrder]:
        """All trigger orders that wait, and the latest that do no longer."""
        query = {"market": market} if market else {}
        waiting = await self.read("/conditional_orders", **query)
        ended, _ = await self.read_page("/conditional_orders/history", **query)
        found = [translate.trigger_order(row) for row in translate.rows(ended, "trigger orders")]
        known = {report.order.venue_id for report in found}
        open_ = [translate.trigger_order(row) for row in translate.rows(waiting, "trigger orders")]
        return found + [report for report in open_ if report.order.venue_id not in known]

    # --- the account ---

    async def log_in(self) -> None:
        """Check the key and learn what the account has. Raises `AuthFailed` or `NotReady`."""
        self.keep_account(await self.read("/account"))
        self.venue.learn_shapes(self.signer.subaccount)

    def keep_account(self, body: Any) -> tuple[Balance, tuple[Position, ...]]:
        """Take over an account read."""
        if not isinstance(body, dict):
            raise Unreadable("FTX sent an account that is no object.")
        self.balance = translate.balance(body, at_ms=self.venue.now_ms())
        held = [translate.position(row) for row in translate.rows(body.get("positions"), "positions")]
        self.positions = {position.symbol: position for position in held if position.quantity}
        return self.balance, tuple(self.positions.values())

    async def refresh_account(self) -> None:
        """Read the account, and tell what changed: FTX had no channel for positions and balances."""
        before, positions = self.balance, dict(self.positions)
        balance, _ = self.keep_account(await self.read("/account"))
        for symbol in positions.keys() | self.positions.keys():
            now = self.positions.get(symbol)
            if now is None:
                self.tell(PositionEvent(position=Position(symbol=symbol, quantity=Decimal(0))))
            elif now != positions.get(symbol):
                self.tell(PositionEvent(position=now))
        if before is None or replace(before, time_ms=0) != replace(balance, time_ms=0):
            self.tell(BalanceEvent(balance=balance))

    # --- charts ---

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        """Past bars, oldest first. Raises `Refused` for an interval that the venue does not have."""
        seconds = translate.RESOLUTIONS.get(request.interval)
        if seconds is None:
            raise Refused(f"FTX has no candles of {request.interval}; use one of {sorted(translate.RESOLUTIONS)}.")
        start = self.venue.now_ms() // 1000 - seconds * max(1, request.limit)
        try:
            rows = await self.venue.ask(f"/markets/{quote(request.symbol)}/candles?resolution={seconds}&start_time={start}")
        except NoReply as error:
            raise NotReady(str(error)) from None
        return tuple(translate.candle(row) for row in translate.rows(rows, "candles"))[-request.limit :]


async def connect(settings: ConnectionSettings) -> Session:
    """Log in. Raises `VenueClosed` without an address, `AuthFailed` (missing or refused key) or `NotReady`."""
    if not settings.options.get("url", "").strip():
        raise VenueClosed(CLOSED)
    subaccount = settings.options.get("subaccount", "").strip()

    def make(venue: Venue, key: str, secret: str) -> Session:
        return Session(settings.name, venue, Signer(key, secret, subaccount), Key(key, secret), (key, secret))

    return await session.log_in(settings, Venue, make)
