"""One account's live link: signed requests, placing, updating, cancelling, looking up, and what its stream has told."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

from copydesk.errors import NotReady, Refused, VenueError
from copydesk.hooks import Done
from copydesk.model import (
    ZERO,
    Accepted,
    Balance,
    Candle,
    CandleRequest,
    ConnectionSettings,
    Contract,
    Fill,
    NewOrder,
    Order,
    OrderChange,
    OrderGroup,
    OrderRef,
    OrderType,
    Outcome,
    Position,
    Rejected,
    RejectReason,
    SnapshotRequest,
    Terms,
    Unknown,
)
from copydesk.model import Side as OrderSide
from copydesk_wire import session
from copydesk_wire.errors import Family, NoReply, NotSent, Unreadable
from copydesk_wire.streaming import Feed
from msgspec.structs import replace

from copydesk_bitfinex import DEFAULT_CURRENCY, translate
from copydesk_bitfinex.entry import Entry
from copydesk_bitfinex.errors import Reply, meaning, raise_for, refusal
from copydesk_bitfinex.markets import Venue
from copydesk_bitfinex.reading import Reading
from copydesk_bitfinex.stream import PriceStream, PrivateStream
from copydesk_bitfinex.symbols import is_exchange, name_of
from copydesk_bitfinex.translate import Params, Row, Told, Untranslatable, Wallet, cid_of

if TYPE_CHECKING:
    from copydesk_wire.websocket import Socket

log = logging.getLogger("copydesk.bitfinex")

REMEMBERED = 20_000
"""How many orders are remembered: executions name theirs by number, and stops that were triggered lose their price."""
DAY_MS = 86_400_000
CLOCK_MARGIN_MS = 60_000
MAX_CANDLES = 10_000
HISTORY_PAGE = 2_500
HOME_QUOTES = ("UST", "USD", "EUR", "BTC")
"""In which quote currency a coin is told as a position where it was not traded yet, the first that is listed."""
MONEY = frozenset({"USD", "UST", "EUR", "GBP", "JPY", "UDC", "CNHT"})
"""What things are paid with: no positions."""
NOT_SENT = "not-sent"
"""The code of a refusal that is the plugin's: the venue would have carried out something else."""
NOTHING_TO_REDUCE = RejectReason.NOTHING_TO_REDUCE


class Session(session.Session[Venue]):
    """What `connect` returns."""

    def __init__(self, name: str, venue: Venue, key: str, secret: str, currency: str) -> None:
        super().__init__(name, venue, (key, secret))
        self.currency = currency
        self.entry: Entry | None = None  # the private websocket, while it is up
        self.positions: dict[str, Position] = {}
        self.wallets: dict[tuple[str, str], Wallet] = {}
        self._key = key
        self._lane = venue.lane(key)
        self._signer = venue.signer(apiKey=key, secret=secret)
        self._signer.incrementing_nonce = self._lane.nonce
        self._orders: OrderedDict[str, Order] = OrderedDict()  # by venue id, as they were last seen
        self._doubtful: set[str] = set()  # orders of which nobody knows whether an update was carried out
        self._names: OrderedDict[int, str] = OrderedDict()  # number of a client id -> the client id
        self._trails: OrderedDict[int, Decimal] = OrderedDict()  # number of a client id -> percentage of its trail
        self._homes: dict[str, str] = {}  # the symbol under which a coin's position is told
        self._told: dict[str, Decimal] = {}  # the positions in exchange pairs that were told last, by symbol

    async def log_in_stream(self, socket: Socket) -> None:
        """Log a websocket in. Its nonce is one of the key's, so it is sent in the key's lane."""
        async with self._lane.lock:
            socket.send_json(self._login())

    def _login(self) -> Params:
        nonce = str(self._lane.nonce())
        payload = f"AUTH{nonce}"
        client = self._signer
        signature = client.hmac(client.encode(payload), client.encode(client.secret), hashlib.sha384, "hex")
        return {
            "event": "auth",
            "apiKey": self._key,
            "authSig": signature,
            "authNonce": nonce,
            "authPayload": payload,
        }

    # --- requests ---

    async def request(self, path: str, params: Params | None = None) -> Reply:
        """Send a signed request. One whose nonce was refused, which is refused before anything else, is sent once more.

        Raises `NotSent`, `NoReply` or `NotReady`. No text of an error carries the key.
        """
        reply = await self.venue.ask_signed(self._signer, self._lane, f"auth/{path}", params or {})
        if not reply.is_fine and meaning(reply) is Family.CLOCK:
            reply = await self.venue.ask_signed(self._signer, self._lane, f"auth/{path}", params or {})
        if reply.is_fine:
            return reply
        text = self.hide(reply.text)
        return reply if text == reply.text else replace(reply, text=text, body=None)

    async def read(self, path: str, params: Params | None = None) -> list[Row]:
        """The rows of a signed read. Raises `NotReady`, `AuthFailed`, `RateLimited` or `Refused`."""
        try:
            reply = await self.request(path, params)
        except NoReply as error:
            raise NotReady(str(error)) from None
        if not reply.is_fine:
            raise_for(reply, f"POST {path}")
        return translate.rows(reply.body, path)

    async def _trade(self, path: str, params: Params, what: str, *, by_rest: bool = False) -> Row | Rejected | Unknown:
        """Send what trades; the notification that answers it."""
        try:
            reply = await (self.request(f"w/order/{path}", params) if by_rest else self._send(path, params))
        except NoReply as error:
            return Unknown(message=f"{what}: {error}")
        except (NotSent, NotReady) as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        if not reply.is_fine:
            return refusal(reply, what)
        body: Row = reply.body
        return body

    async def _send(self, path: str, params: Params) -> Reply:
        """By the private websocket while it is up, else by REST. Nothing that left by one goes by the other too."""
        if self.entry is not None:
            with contextlib.suppress(NotSent):
                return Reply(status=200, text="", body=await self.entry.ask(path, params))
        return await self.request(f"w/order/{path}", params)

    def private_stream(self, feed: Feed) -> PrivateStream:
        return PrivateStream(self, feed)

    def price_stream(self, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> PriceStream:
        return PriceStream(self, feed, symbols, tell=tell)

    def reading(self, request: SnapshotRequest) -> Reading:
        return Reading(self, request)

    # --- orders ---

    async def place(self, order: NewOrder) -> Outcome:
        """Place an order under the number of its client id."""
        what = f"place {order.client_id}"
        try:
            terms = await self._exchange_exit(order.terms)
            params = translate.place_params(order.client_id, terms, last_price=await self._last_price(terms))
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}", code=NOT_SENT)
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        self._name(order.client_id)
        if terms.trail_percent is not None:
            self._trails[params["cid"]] = terms.trail_percent
            if len(self._trails) > REMEMBERED:
                self._trails.popitem(last=False)
        answer = await self._trade("submit", params, what)
        return self._placed(what, params, answer) if isinstance(answer, list) else answer

    def _placed(self, what: str, params: Params, answer: Row) -> Outcome:
        try:
            return Accepted(order=self._answered(answer, params["cid"]))
        except Unreadable as error:
            return Unknown(message=f"{what}: {error}")

    # --- what is fired ---

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order now, by the private websocket: see `copydesk.hooks.Fires`. A trailing stop needs the price."""
        try:
            terms = self._plain_exit(order.terms)
            if terms is None or terms.type is OrderType.TRAILING_STOP:
                return False
            params = translate.place_params(order.client_id, terms)
        except Untranslatable:
            return False
        what = f"place {order.client_id}"
        if not self._fire("submit", params, what, done, partial(self._placed, what, params)):
            return False
        self._name(order.client_id)
        return True

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        """Update an order that is known now: see `copydesk.hooks.Fires`."""
        before = self._sure(change.ref)
        if before is None or before.status.is_final or _same(before.terms, change.terms):
            return False
        try:
            params = translate.update_params(before.venue_id, before.terms, change.terms)
        except Untranslatable:
            return False
        known = before

        def updated(_: Row) -> Outcome:
            self._note_update(known, change.terms)
            return Accepted()

        def told(outcome: Outcome) -> None:
            if isinstance(outcome, Unknown):
                self._doubtful.add(known.venue_id)
            done(outcome)

        return self._fire("update", params, f"modify {change.ref.client_id or change.ref.venue_id}", told, updated)

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel an order whose number is known now: see `copydesk.hooks.Fires`."""
        known = self._known(ref)
        venue_id = ref.venue_id or (known.venue_id if known is not None and not known.status.is_final else "")
        if not venue_id:
            return False
        what = f"cancel {ref.client_id or ref.venue_id}"
        return self._fire("cancel", {"id": int(venue_id)}, what, done, lambda _: Accepted())

    def _fire(self, path: str, params: Params, what: str, done: Done, accept: Callable[[Row], Outcome]) -> bool:
        def answered(answer: Row | NoReply) -> None:
            if isinstance(answer, NoReply):
                done(Unknown(message=f"{what}: {answer}"))
                return
            reply = Reply(status=200, text="", body=answer)
            done(accept(answer) if reply.is_fine else refusal(reply, what))

        if self.entry is None or self.closed:
            return False
        try:
            self.entry.send(path, params, answered)
        except NotSent:
            return False
        return True

    async def place_group(self, group: OrderGroup) -> Outcome:
        """Place a stop and a target as an OCO. By REST: its answer has both orders, the websocket's only names one."""
        names = [leg.client_id for leg in group.legs]
        what = f"place {' and '.join(names)}"
        try:
            exits = tuple([replace(leg, terms=await self._exchange_exit(leg.terms)) for leg in group.legs])
            params = translate.group_params(OrderGroup(legs=exits))
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}", code=NOT_SENT)
        for name in names:
            self._name(name)
        answer = await self._trade("submit", params, what, by_rest=True)
        if not isinstance(answer, list):
            return answer
        try:
            placed = [self._answered(answer, cid_of(name)) for name in names]
        except Unreadable as error:
            return Unknown(message=f"{what}: {error}")
        return Accepted(legs=tuple(order for order in placed if order is not None))

    def _answered(self, notification: Row, cid: int) -> Order | None:
        """The order in the notification that answers a placement; None for one that has only its first fields."""
        data = notification[4] if len(notification) > 4 else None
        for row in data if isinstance(data, list) else []:
            if isinstance(row, list) and len(row) > 13 and row[2] == cid and row[13]:
                return self.learn(translate.order(row))
        return None

    async def _last_price(self, terms: Terms) -> Decimal | None:
        """The venue trails by an amount: a distance in percent needs the price."""
        if terms.type is not OrderType.TRAILING_STOP:
            return None
        name = name_of(terms.symbol)
        try:
            return (await self.venue.prices([name])).get(name)
        except NoReply as error:
            raise NotReady(str(error)) from None

    async def _exchange_exit(self, terms: Terms) -> Terms:
        """A reduce-only order in an exchange pair, where the venue knows no such thing: a plain sale of what there is.

        Fees are taken from what was bought, so that there is a little less than was bought. Raises `Untranslatable`.
        """
        exit_ = self._plain_exit(terms)
        if exit_ is None:
            with contextlib.suppress(VenueError):  # then what the stream told has to do
                await self.read_wallets()
            exit_ = self._plain_exit(terms)
        if exit_ is not None:
            return exit_
        instrument = self.instruments[terms.symbol]
        there = self.coins.get(instrument.base, ZERO)
        quantity = there // instrument.quantity_step * instrument.quantity_step
        if quantity < max(instrument.quantity_step, instrument.min_quantity):
            raise Untranslatable(f"There is no {instrument.base} to sell: {there}.", NOTHING_TO_REDUCE)
        return replace(terms, reduce_only=False, close_position=False, quantity=quantity)

    def _plain_exit(self, terms: Terms) -> Terms | None:
        """The same, without asking; None where less is known to be there. Raises `Untranslatable`."""
        instrument = self.instruments.get(terms.symbol)
        if not (terms.reduce_only or terms.close_position) or instrument is None:
            return terms
        if instrument.contract is not Contract.SPOT:
            return terms
        if terms.side is OrderSide.BUY:
            raise Untranslatable(f"There is nothing short of {instrument.base} to buy back.", NOTHING_TO_REDUCE)
        if self.coins.get(instrument.base, ZERO) < terms.quantity:
            return None
        return replace(terms, reduce_only=False, close_position=False)

    async def modify(self, change: OrderChange) -> Outcome:
        """Update a working order. Its amount goes as the difference to what it was, so what it was must be known."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        try:
            before = self._sure(change.ref) or await self.look_up(change.ref)
            if before is None or before.status.is_final:
                return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: Bitfinex has no such working order.")
            params = translate.update_params(before.venue_id, before.terms, change.terms)
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}", code=NOT_SENT)
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        if _same(before.terms, change.terms):
            return Rejected(reason=RejectReason.UNCHANGED, message=f"{what}: the order has these terms already.")
        answer = await self._trade("update", params, what)
        if isinstance(answer, Unknown):
            self._doubtful.add(before.venue_id)
        if not isinstance(answer, list):
            return answer
        self._note_update(before, change.terms)
        return Accepted()

    def _note_update(self, before: Order, wanted: Terms) -> None:
        """The next update's difference is to these totals, whether the stream has told of them by then or not."""
        now = self._orders.get(before.venue_id, before)
        terms = replace(
            now.terms,
            quantity=wanted.quantity,
            price=wanted.price,
            trigger_price=wanted.trigger_price or now.terms.trigger_price,
        )
        self.note(replace(now, terms=terms))

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel an order. Its own number is enough; by client id the day is needed too, so its number is looked up."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        venue_id = ref.venue_id
        try:
            if not venue_id:
                found = self._known(ref) or await self.look_up(ref)
                if found is None or found.status.is_final:
                    return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: Bitfinex has no such working order.")
                venue_id = found.venue_id
        except VenueError as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        answer = await self._trade("cancel", {"id": int(venue_id)}, what)
        return Accepted() if isinstance(answer, list) else answer

    # --- what is known of orders ---

    def _name(self, client_id: str) -> None:
        if client_id:
            self._names[cid_of(client_id)] = client_id
            if len(self._names) > REMEMBERED:
                self._names.popitem(last=False)

    def learn(self, told: Told) -> Order:
        """Keep an order as it was told, with what the venue does not tell: its client id as text where it lost it, the
        trigger of a stop that was triggered, the percentage of a trailing stop."""
        order, known = told.order, self._orders.get(told.order.venue_id)
        self._doubtful.discard(order.venue_id)
        name = self._names.get(told.cid)
        if name is not None and order.client_id != name:
            order = replace(order, client_id=name)
        terms = order.terms
        if terms.type is OrderType.TRAILING_STOP:
            percent = self._trails.get(told.cid) or (known.terms.trail_percent if known is not None else None)
            terms = terms if percent is None else replace(terms, trail_percent=percent)
        if known is not None and order.triggered and known.terms.trigger_price is not None:
            terms = replace(terms, trigger_price=known.terms.trigger_price)
        return self.note(order if terms is order.terms else replace(order, terms=terms))

    def note(self, order: Order) -> Order:
        """Remember an order."""
        self._orders[order.venue_id] = order
        self._orders.move_to_end(order.venue_id)
        if len(self._orders) > REMEMBERED:
            self._orders.popitem(last=False)
        self._name(order.client_id)
        return order

    def learn_fill(self, row: Row) -> Fill:
        """An execution, with its order's client id and symbol."""
        fill = translate.fill(row)
        known = self._orders.get(fill.venue_id)
        name = self._names.get(int(fill.client_id)) if fill.client_id else None
        if known is not None:
            symbol = fill.symbol if translate.says_type(row) else known.terms.symbol
            return replace(fill, client_id=known.client_id, symbol=symbol)
        return fill if name is None else replace(fill, client_id=name)

    def _sure(self, ref: OrderRef) -> Order | None:
        """A working order whose totals are sure: the stream tells of it, and no update of it is in doubt."""
        found = self._known(ref) if self.entry is not None else None
        return None if found is None or found.venue_id in self._doubtful else found

    def _known(self, ref: OrderRef) -> Order | None:
        """A working order as it was last seen."""
        if ref.venue_id:
            found = self._orders.get(ref.venue_id)
        else:
            found = next((order for order in reversed(self._orders.values()) if order.client_id == ref.client_id), None)
        return found if found is not None and found.is_working else None

    # --- looking up ---

    async def look_up(self, ref: OrderRef) -> Order | None:
        """What the venue knows of one order; None where it says that it has none.

        By the venue's number where it is known, else by the number of the client id, which counts within one day: that of
        sending, and the next one where it was sent just before midnight.
        """
        self._name(ref.client_id)
        if ref.venue_id:
            number = {"id": [int(ref.venue_id)]}
            found = await self.read("r/orders", number) or await self.read("r/orders/hist", number)
            return self.learn(translate.order(found[0])) if found else None
        cid, now = cid_of(ref.client_id), self.venue.now_ms()
        start = ref.sent_ms - CLOCK_MARGIN_MS if ref.sent_ms else now - DAY_MS
        end = min(now, ref.sent_ms + CLOCK_MARGIN_MS) if ref.sent_ms else now
        for day in sorted({translate.cid_date(start), translate.cid_date(end)}):
            found = await self.read("r/orders", {"cid": cid, "cid_date": day})
            if found:
                return self.learn(translate.order(found[0]))
        name = quote(name_of(ref.symbol), safe=":")
        found = await self.read(f"r/orders/{name}/hist", {"start": start, "limit": HISTORY_PAGE})
        told = [one for one in map(translate.order, found) if one.cid == cid]
        if not told and len(found) >= HISTORY_PAGE:
            raise NotReady(
                f"{ref.client_id}: more than {HISTORY_PAGE} orders have ended since; it cannot be told from them."
            )
        return self.learn(told[0]) if told else None

    # --- the account ---

    async def log_in(self) -> None:
        """Check the key and learn what the account has. Raises `AuthFailed` or `NotReady`."""
        await self.read_wallets()

    async def read_permissions(self) -> tuple[str, ...]:
        return translate.permissions(await self.read("r/permissions"))

    async def read_wallets(self) -> None:
        """Read all wallets. Raises as `read` does."""
        self.wallets = {}
        for row in await self.read("r/wallets"):
            self.keep_wallet(translate.wallet(row))

    def keep_wallet(self, wallet: Wallet) -> None:
        """Take over what is told of one currency in one wallet."""
        self.wallets[wallet.wallet, wallet.currency] = wallet

    @property
    def coins(self) -> dict[str, Decimal]:
        """What there is of each currency in the exchange wallet."""
        return {coin: kept.balance for (wallet, coin), kept in self.wallets.items() if wallet == "exchange"}

    def balance(self, *, at_ms: int = 0) -> Balance:
        """What the account is worth in its currency: that currency in the exchange and margin wallets, and open profit."""
        held = [kept for (wallet, coin), kept in self.wallets.items() if coin == self.currency and wallet != "funding"]
        cash = sum((kept.balance for kept in held), ZERO)
        free = sum((kept.balance if kept.available is None else kept.available for kept in held), ZERO)
        profit = sum((one.unrealised for one in self.positions.values() if self._settles(one.symbol)), ZERO)
        return Balance(currency=self.currency, equity=cash + profit, cash=cash, available=free, time_ms=at_ms)

    def _settles(self, symbol: str) -> bool:
        instrument = self.instruments.get(symbol)
        return instrument is not None and instrument.settle == self.currency

    def hear(self, symbol: str = "") -> None:
        """Note that something was told."""
        self.heard += 1
        if symbol and is_exchange(symbol) and symbol in self.instruments:
            self._homes[self.instruments[symbol].base] = symbol

    def coin_positions(self) -> list[Position]:
        """What there is of coins, as positions in exchange pairs, each in one: the pair that it was traded in last.

        The venue knows no positions there; the balance of the base currency stands for them.
        """
        found = [(self._home(coin), there) for coin, there in sorted(self.coins.items())]
        return [Position(symbol=symbol, quantity=there) for symbol, there in found if symbol]

    def changed_coin_positions(self) -> list[Position]:
        """Those that differ from what was told last."""
        now = {position.symbol: position.quantity for position in self.coin_positions()}
        symbols = dict.fromkeys([*self._told, *now])
        changed = [
            Position(symbol=symbol, quantity=now.get(symbol, ZERO))
            for symbol in symbols
            if self._told.get(symbol, ZERO) != now.get(symbol, ZERO)
        ]
        self._told = {symbol: there for symbol, there in now.items() if there}
        return changed

    def _home(self, coin: str) -> str:
        home = self._homes.get(coin, "")
        if home or coin in MONEY:
            return home
        names = (f"t{coin}{middle}{unit}" for unit in HOME_QUOTES for middle in ("", ":"))
        return next((name for name in names if name in self.instruments), "")

    # --- charts ---

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        """Past bars, oldest first. Raises `Refused` for an interval that the venue does not have."""
        interval = translate.INTERVALS.get(request.interval)
        if interval is None:
            raise Refused(f"Bitfinex has no candles of {request.interval}; use one of {sorted(translate.INTERVALS)}.")
        limit = max(1, min(request.limit, MAX_CANDLES))
        name = quote(name_of(request.symbol), safe=":")
        try:
            rows = await self.venue.ask(f"candles/trade:{interval}:{name}/hist?limit={limit}&sort=-1")
        except NoReply as error:
            raise NotReady(str(error)) from None
        return tuple(translate.candle(row) for row in reversed(translate.rows(rows, "candles")))


def _same(one: Terms, other: Terms) -> bool:
    return (one.quantity, one.price, one.trigger_price) == (other.quantity, other.price, other.trigger_price)


async def connect(settings: ConnectionSettings) -> Session:
    """Log in. Raises `AuthFailed` (missing or refused key) or `NotReady` (unreachable, overloaded)."""
    currency = settings.options.get("currency", "").strip().upper() or DEFAULT_CURRENCY
    return await session.log_in(
        settings, Venue, lambda venue, key, secret: Session(settings.name, venue, key, secret, currency)
    )
