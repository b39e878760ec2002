"""One account's live link: signed requests, placing, amending, cancelling, looking up, and what its stream has told."""

from __future__ import annotations

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from copydesk.errors import NotReady, RateLimited, Refused, VenueError
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
    OrderRef,
    OrderType,
    Outcome,
    Position,
    PositionSide,
    Rejected,
    RejectReason,
    Side,
    SnapshotRequest,
    Terms,
    Unknown,
)
from copydesk_wire import session
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, NoReply, NotSent
from copydesk_wire.firing import Sender, Way
from copydesk_wire.pool import place_of
from copydesk_wire.streaming import Feed
from copydesk_wire.templates import Key
from msgspec.structs import replace

from copydesk_bybit import listing, sending, translate, words
from copydesk_bybit.errors import NOT_KNOWN, Reply, meaning, raise_for, read_answer, refusal, wait_ms
from copydesk_bybit.markets import Venue
from copydesk_bybit.reading import Reading
from copydesk_bybit.sending import Params, Untranslatable
from copydesk_bybit.stream import PriceStream, PrivateStream
from copydesk_bybit.symbols import SPOT, category_of, name_of, ours
from copydesk_bybit.trailing import Trailing
from copydesk_bybit.translate import Execution, Wallet

log = logging.getLogger("copydesk.bybit")

REMEMBERED = 20_000
"""How many orders' position sides are remembered: executions do not tell theirs."""
MAX_CANDLES = 1_000
HOME_QUOTES = ("USDT", "USDC", "EUR", "BTC")
"""In which quote currency a coin's spot position is told where it was not traded yet, the first that is listed."""

NOTHING_TO_REDUCE = RejectReason.NOTHING_TO_REDUCE


class Session(session.Session[Venue]):
    """What `connect` returns."""

    def __init__(self, name: str, venue: Venue, key: str, secret: str) -> None:
        super().__init__(name, venue, (key, secret))
        self.active_ms: dict[str, int] = {}  # when each symbol was last heard of
        self.wallets: dict[str, Decimal] = {}
        self._homes: dict[str, str] = {}  # the symbol under which a coin's spot position is told
        self._told: dict[str, Decimal] = {}  # the spot positions that were told last, by symbol
        self._sides: OrderedDict[str, PositionSide] = OrderedDict()
        self._hedged: dict[str, bool] = {}
        self._signer = venue.signer(apiKey=key, secret=secret)
        place = place_of(str(self._signer.implode_hostname(self._signer.urls["api"]["private"])))
        self.sender: Sender = Sender(venue, place, Key(key, secret), self._judge)
        self._placing = Way(self._took, self.place)
        self._changing = Way[OrderChange](lambda change, reply: Accepted(), self.modify)
        self._cancelling = Way[OrderRef](lambda ref, reply: Accepted(), self.cancel)
        self.trailing = Trailing(self)

    @property
    def signer(self) -> Any:
        """ccxt's client with this account's key."""
        return self._signer

    # --- requests ---

    async def request(self, method: str, path: str, params: Params | None = None) -> Reply:
        """Send a signed request. Where the venue refuses the time stamp, which it does before anything else, the clock is
        measured and the request signed and sent once more.

        Raises `NotSent`, `NoReply`, or `RateLimited` while the venue has asked this address for quiet.
        """
        what = f"{method} {path}"
        quiet_ms = self.venue.quiet_until_ms - self.venue.now_ms()
        if quiet_ms > 0:
            raise RateLimited(f"{what} was not sent: Bybit asked for {quiet_ms} ms of quiet.", retry_after_ms=quiet_ms)
        reply = await self._send(method, path, params or {})
        if not reply.is_fine and meaning(reply) is Family.CLOCK:
            try:
                await self.venue.measure_clock()
            except VenueError as error:
                log.warning("%s: the clock could not be measured: %s", self.name, error)
            else:
                reply = await self._send(method, path, params or {})
        return reply if reply.is_fine else self._note_error(reply)

    async def _send(self, method: str, path: str, params: Params) -> Reply:
        return read_answer(await self.venue.send(self._signer.sign(f"v5/{path}", ["private"], method, params)))

    def _note_error(self, reply: Reply) -> Reply:
        text = self.hide(reply.text)
        if text != reply.text:
            reply = replace(reply, text=text, body={"retCode": reply.code, "retMsg": self.hide(reply.message)})
        if reply.status == 403 and meaning(reply) is RejectReason.RATE_LIMIT:  # of the address, not of one account
            now_ms = self.venue.now_ms()
            self.venue.quiet_until_ms = now_ms + wait_ms(reply, now_ms)
        return reply

    async def read(self, path: str, params: Params | None = None) -> Any:
        """The body of a signed read. Raises `NotReady`, `AuthFailed`, `RateLimited` or `Refused`."""
        try:
            reply = await self.request("GET", path, params)
        except NoReply as error:
            raise NotReady(str(error)) from None
        if not reply.is_fine:
            raise_for(reply, f"GET {path}", self.venue.now_ms())
        return reply.body

    async def pages(self, path: str, params: Params, what: str, *, most: int = 0) -> list[Mapping[str, Any]]:
        """All rows of a read that comes in pages, following its cursors; with `most` no more than about so many."""
        rows: list[Mapping[str, Any]] = []
        cursor = ""
        while True:
            body = await self.read(path, params | ({"cursor": cursor} if cursor else {}))
            page = translate.rows_of(body, what)
            rows += page
            before, cursor = cursor, translate.cursor_of(body)
            if not cursor or not page or cursor == before or (most and len(rows) >= most):
                return rows

    async def trade(self, path: str, params: Params, what: str) -> Reply | Rejected | Unknown:
        try:
            reply = await self.request("POST", path, params)
        except NotSent as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        except RateLimited as error:
            message = f"{what}: {error}"
            return Rejected(reason=RejectReason.RATE_LIMIT, message=message, retry_after_ms=error.retry_after_ms)
        except NoReply as error:
            return Unknown(message=f"{what}: {error}")
        return reply if reply.is_fine else refusal(reply, what, self.venue.now_ms())

    def private_stream(self, feed: Feed) -> PrivateStream:
        return PrivateStream(self, feed)

    def price_stream(self, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> PriceStream:
        return PriceStream(self, feed, symbols, tell=tell)

    def reading(self, request: SnapshotRequest) -> Reading:
        return Reading(self, request)

    # --- orders ---

    async def place(self, order: NewOrder) -> Outcome:
        """Place an order under its client id, unchanged. The reply tells that the venue has it, not its state."""
        if order.terms.type is OrderType.TRAILING_STOP:
            return await self.trailing.place(order)
        what = f"place {order.client_id}"
        try:
            order = replace(order, terms=await self._spot_exit(order.terms))
            params = sending.place_params(order)
            await self._check_spot_trigger(order.terms)
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}")
        answer = await self.trade("order/create", params, what)
        return self._took(order, answer) if isinstance(answer, Reply) else answer

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order now: see `copydesk.hooks.Fires`. Where spot has to be asked for what there is, or where the price
        is, nothing is sent."""
        terms = order.terms
        if category_of(terms.symbol) == SPOT and (terms.reduce_only or terms.trigger_price is not None):
            return False
        return self.sender.fire(self.venue.placing, order, None, done, self._placing)

    def _took(self, order: NewOrder, reply: Reply) -> Accepted:
        if order.terms.position_side is not PositionSide.NET:
            self._hedged[order.terms.symbol] = True
        self._note_side(translate.placed_id(reply.body), order.terms.position_side)
        return Accepted()

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        """Amend an order now: see `copydesk.hooks.Fires`."""
        if change.terms.reduce_only and category_of(change.terms.symbol) == SPOT:
            return False
        return self.sender.fire(self.venue.changing, change, None, done, self._changing)

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel an order now: see `copydesk.hooks.Fires`. A trailing stop is none, and spot keeps waiting ones apart."""
        if ref.type is OrderType.TRAILING_STOP or sending.filter_of(ref.type, ref.symbol):
            return False
        return self.sender.fire(self.venue.cancelling, ref, None, done, self._cancelling)

    def _judge(self, answer: Answer, what: str) -> Reply | Rejected | Unknown | None:
        """What an answer to something fired means: see `copydesk_wire.firing.Judge`."""
        reply = read_answer(answer)
        if reply.is_fine:
            return reply
        if meaning(reply) is Family.CLOCK:
            return None
        return refusal(self._note_error(reply), what, self.venue.now_ms())

    async def modify(self, change: OrderChange) -> Outcome:
        """Give a working order a new price, trigger price and total quantity."""
        if change.ref.type is OrderType.TRAILING_STOP:
            return await self.trailing.modify(change)
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        try:
            change = replace(change, terms=await self._spot_exit(change.terms))
            params = sending.modify_params(change)
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}")
        answer = await self.trade("order/amend", params, what)
        return Accepted() if isinstance(answer, Reply) else answer

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel an order. Spot keeps orders that wait for their trigger apart until they are triggered."""
        if ref.type is OrderType.TRAILING_STOP:
            return await self.trailing.cancel(ref)
        what = f"cancel {ref.client_id or ref.venue_id}"
        try:
            params = sending.ref_params(ref)
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}")
        service = sending.filter_of(ref.type, ref.symbol)
        answer = await self.trade("order/cancel", params | ({"orderFilter": service} if service else {}), what)
        if service and isinstance(answer, Rejected) and answer.reason is RejectReason.NOT_FOUND:
            answer = await self.trade("order/cancel", params, what)
        return Accepted() if isinstance(answer, Reply) else answer

    async def _spot_exit(self, terms: Terms) -> Terms:
        """A reduce-only order on spot, where the venue knows no such thing: an ordinary sale of no more than there is.

        Fees are taken from what was bought, so that there is a little less than was bought. Raises `Untranslatable`.
        """
        instrument = self.instruments.get(terms.symbol)
        if not terms.reduce_only or instrument is None or instrument.contract is not Contract.SPOT:
            return terms
        plain = replace(terms, reduce_only=False)
        if terms.side is Side.BUY:
            raise Untranslatable(f"There is nothing short of {instrument.base} to buy back.", NOTHING_TO_REDUCE)
        if self.wallets.get(instrument.base, ZERO) < terms.quantity:
            with contextlib.suppress(VenueError):  # then what the stream told has to do
                self.keep_wallet(await self.read_wallet())
        there = self.wallets.get(instrument.base, ZERO)
        if there >= terms.quantity:
            return plain
        step = instrument.quantity_step
        quantity = there // step * step
        if quantity < max(step, instrument.min_quantity):
            raise Untranslatable(f"There is no {instrument.base} to sell: {there}.", NOTHING_TO_REDUCE)
        return replace(plain, quantity=quantity)

    async def _check_spot_trigger(self, terms: Terms) -> None:
        """Spot takes the direction of a trigger from where the price is now: one that is met already would become another
        kind of order. Raises `Untranslatable` for it, and where the price cannot be read."""
        if terms.trigger_price is None or category_of(terms.symbol) != SPOT:
            return
        try:
            last = await self.last_price(terms.symbol)
        except VenueError as error:
            raise Untranslatable(str(error), RejectReason.OVERLOADED) from None
        if (terms.trigger_price > last) != sending.rises_to_trigger(terms):
            where = f"trigger {terms.trigger_price}, price {last}"
            raise Untranslatable(f"The {terms.type} order would trigger at once: {where}.", RejectReason.PRICE)

    async def last_price(self, symbol: str) -> Decimal:
        """The latest price. Raises `NotReady` where it cannot be read."""
        category = category_of(symbol)
        try:
            body = (await self.venue.ask("tickers", {"category": category, "symbol": name_of(symbol)})).body
            last = listing.ticker(translate.rows_of(body, "tickers")[0], category).last
        except (VenueError, IndexError) as error:
            raise NotReady(f"The price of {symbol} could not be read: {error}") from None
        if last is None:
            raise NotReady(f"{symbol} has no price.")
        return last

    async def look_up(self, ref: OrderRef) -> Order | None:
        """What the venue knows of one order; None where it says that it does not know it."""
        if ref.type is OrderType.TRAILING_STOP:
            return await self.trailing.look_up(ref)
        return await self.look_up_by_id(ref)

    async def look_up_by_id(self, ref: OrderRef) -> Order | None:
        """What the venue knows of the order with this id, its own or the client's; None where it does not know it.

        `order/realtime` has what works and the 500 that ended last, `order/history` what ended before.
        """
        params = sending.ref_params(ref)
        category = str(params["category"])
        for path in ("order/realtime", "order/history"):
            try:
                rows = translate.rows_of(await self.read(path, params), "orders")
            except Refused as error:
                if error.code not in NOT_KNOWN:
                    raise
                continue
            if rows:
                return self.note_order(translate.order(rows[0], category))
        return None

    # --- which side of a hedge ---

    def note_order(self, order: Order) -> Order:
        """Remember which side of a hedge an order is of, for its executions, which do not tell it."""
        self._note_side(order.venue_id, order.terms.position_side)
        if order.terms.position_side is not PositionSide.NET:
            self._hedged[order.terms.symbol] = True
        return self.trailing.known(order) if order.terms.type is OrderType.TRAILING_STOP else order

    def _note_side(self, venue_id: str, side: PositionSide) -> None:
        if venue_id:
            self._sides[venue_id] = side
            if len(self._sides) > REMEMBERED:
                self._sides.popitem(last=False)

    def needs_side(self, told: Execution) -> bool:
        """Whether only the venue can tell which side of a hedge an execution is of."""
        fill = told.fill
        if category_of(fill.symbol) == SPOT or fill.venue_id in self._sides:
            return False
        return fill.symbol not in self._hedged

    def fill_of(self, told: Execution) -> Fill:
        """The execution as a fill of its side of a hedge: its order's, else what follows from what it closed."""
        fill, known = told.fill, self._sides.get(told.fill.venue_id)
        if known is not None:
            fill = told.with_side(known)
        elif self._hedged.get(fill.symbol):
            fill = told.with_side(told.hedge_side)
        return fill if fill.client_id else replace(fill, client_id=self.trailing.name_of(fill.venue_id))

    async def learn_mode(self, symbol: str) -> None:
        """Ask whether a symbol is in hedge mode: the venue tells an empty position for each side. Raises as `read` does."""
        body = await self.read("position/list", {"category": category_of(symbol), "symbol": name_of(symbol)})
        sides = {translate.position(row, category_of(symbol)).position_side for row in translate.rows_of(body, "positions")}
        self._hedged[symbol] = sides != {PositionSide.NET}

    # --- the account ---

    async def log_in(self) -> None:
        """Check the key and its account. Raises `AuthFailed` or `NotReady`."""
        self.keep_wallet(await self.read_wallet())
        self.venue.learn_shapes()

    async def read_permissions(self) -> tuple[str, ...]:
        return translate.permissions(await self.read("user/query-api"))

    async def read_wallet(self) -> Wallet:
        """The unified account, at the venue's present time."""
        body = await self.read("account/wallet-balance", {"accountType": "UNIFIED"})
        rows = translate.rows_of(body, "accounts")
        if not rows:
            raise Refused("GET account/wallet-balance: Bybit tells no unified account of this key.")
        return translate.wallet(rows[0], time_ms=self.venue.now_ms())

    def keep_wallet(self, wallet: Wallet, *, whole: bool = True) -> Balance:
        """Take over what a wallet tells. `whole`: coins that it does not tell are gone."""
        if whole:
            self.wallets = dict(wallet.coins)
        else:
            self.wallets.update(wallet.coins)
        return wallet.balance

    def settle_of(self, symbol: str) -> str:
        """The currency of fees where the venue does not tell it."""
        instrument = self.instruments.get(symbol)
        return instrument.settle if instrument is not None else ""

    def hear(self, symbol: str, time_ms: int) -> None:
        """Note that something was told of a symbol."""
        self.heard += 1
        self.active_ms[symbol] = max(time_ms, self.active_ms.get(symbol, 0))
        if category_of(symbol) == SPOT and symbol in self.instruments:
            self._homes[self.instruments[symbol].base] = symbol

    def spot_positions(self, coins: Iterable[str] = ()) -> list[Position]:
        """What there is of coins, as positions in spot pairs, each in one: the pair that it was traded in last.

        Without `coins`: of all. The venue knows no spot positions; the balance of the base currency stands for them.
        """
        wanted = set(coins) or set(self.wallets)
        found = []
        for coin in sorted(wanted):
            symbol = self._home(coin)
            if symbol:
                found.append(Position(symbol=symbol, quantity=self.wallets.get(coin, ZERO)))
        return found

    def changed_spot_positions(self) -> list[Position]:
        """Those that differ from what was told last."""
        changed = []
        told = {position.symbol: position.quantity for position in self.spot_positions()}
        for symbol, quantity in (dict.fromkeys(self._told, ZERO) | told).items():
            if self._told.get(symbol, ZERO) != quantity:
                changed.append(Position(symbol=symbol, quantity=quantity))
        self._told = {symbol: quantity for symbol, quantity in told.items() if quantity}
        return changed

    def _home(self, coin: str) -> str:
        home = self._homes.get(coin, "")
        if home or coin in ("USDT", "USDC", "USD"):
            return home
        names = (ours(SPOT, f"{coin}{quote}") for quote in HOME_QUOTES)
        return next((name for name in names if name in self.instruments), "")

    # --- charts ---

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        """Past bars, oldest first. Raises `Refused` for an interval that the venue does not have."""
        interval = words.INTERVALS.get(request.interval)
        if interval is None:
            raise Refused(f"Bybit has no candles of {request.interval}; use one of {sorted(words.INTERVALS)}.")
        params = {
            "category": category_of(request.symbol),
            "symbol": name_of(request.symbol),
            "interval": interval,
            "limit": str(max(1, min(request.limit, MAX_CANDLES))),
        }
        rows = translate.result_of((await self.venue.ask("kline", params)).body).get("list")
        return tuple(listing.candle(row) for row in reversed(rows if isinstance(rows, list) else []))


async def connect(settings: ConnectionSettings) -> Session:
    """Log in. Raises `AuthFailed` (missing or refused key) or `NotReady` (unreachable, overloaded)."""
    return await session.log_in(settings, Venue, lambda venue, key, secret: Session(settings.name, venue, key, secret))
