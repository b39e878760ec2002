"""One spot account's live link: placing, amending, cancelling, looking up, and what its stream has told."""

from __future__ import annotations

import logging
from typing import Any

from copydesk.hooks import Done
from copydesk.model import (
    Accepted,
    BalanceEvent,
    ConnectionSettings,
    NewOrder,
    Order,
    OrderChange,
    OrderGroup,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    PositionEvent,
    Rejected,
    RejectReason,
    SnapshotRequest,
    Unknown,
)
from copydesk_wire.errors import Unreadable
from copydesk_wire.firing import Way, in_words
from copydesk_wire.session import log_in
from copydesk_wire.streaming import Feed

from copydesk_binance.errors import Reply
from copydesk_binance.fields import Params, Untranslatable, WrongMode
from copydesk_binance.login import Login
from copydesk_binance.markets import SpotVenue
from copydesk_binance.prices import PriceStream
from copydesk_binance.spot import translate
from copydesk_binance.spot.holdings import Holdings
from copydesk_binance.spot.reading import Reading
from copydesk_binance.spot.stream import TIMING, PrivateStream
from copydesk_binance.spot.translate import Wallet

log = logging.getLogger("copydesk.binance")


class SpotSession(Login[SpotVenue]):
    """What `connect` returns for spot. `holdings` are the account's assets as last told."""

    api = "private"
    most_candles = 1000

    def __init__(self, name: str, venue: SpotVenue, key: str, secret: str) -> None:
        super().__init__(name, venue, key, secret)
        self.holdings = Holdings()
        self._placing = Way[NewOrder](lambda order, reply: self._accept(reply, in_words(order)), self.place)
        self._changing = Way[OrderChange](lambda change, reply: self._amended(reply, in_words(change)), self.modify)
        self._cancelling = Way[OrderRef](lambda ref, reply: self._cancelled(reply, in_words(ref)), self.cancel)

    async def log_in(self) -> None:
        """Check the key and learn the balances. Raises `AuthFailed` or `NotReady`."""
        self.keep_account(await self.read("account"))
        self.venue.learn_shapes()

    def market_url(self, channel: str) -> str:
        return str(self._signer.urls["api"]["ws"]["spot"])

    @property
    def api_url(self) -> str:
        """The address of the websocket API, which carries the user data stream."""
        return str(self._signer.urls["api"]["ws"]["ws-api"]["spot"])

    def subscription(self) -> dict[str, Any]:
        """The signed parameters that subscribe to the user data stream, as ccxt signs them."""
        signed: dict[str, Any] = self._signer.sign_params({})
        return signed

    def private_stream(self, feed: Feed) -> PrivateStream:
        return PrivateStream(self, feed)

    def price_stream(self, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> PriceStream:
        return PriceStream(self, feed, TIMING, symbols, tell=tell)

    def reading(self, request: SnapshotRequest) -> Reading:
        return Reading(self, request)

    # --- orders ---

    async def place(self, order: NewOrder) -> Outcome:
        """Place an order under its client id, unchanged."""
        what = f"place {order.client_id}"
        try:
            params = translate.place_params(order.client_id, order.terms)
        except Untranslatable as error:
            return _untranslated(what, error)
        return await self._send_order("POST", "order", params, what)

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order now: see `copydesk.hooks.Fires`. A trail is written in other numbers than it is told in."""
        if order.terms.type is OrderType.TRAILING_STOP:
            return False
        return self.sender.fire(self.venue.placing, order, None, done, self._placing)

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel an order now: see `copydesk.hooks.Fires`."""
        return self.sender.fire(self.venue.cancelling, ref, None, done, self._cancelling)

    async def place_group(self, group: OrderGroup) -> Outcome:
        """Place a stop and a target as one OCO list."""
        what = f"place {' and '.join(leg.client_id for leg in group.legs)}"
        try:
            params = translate.group_params(group)
        except Untranslatable as error:
            return _untranslated(what, error)
        answer = await self.trade("POST", "orderList/oco", params, what)
        if not isinstance(answer, Reply):
            return answer
        try:
            return Accepted(legs=translate.legs(answer.body))
        except Unreadable as error:
            return Unknown(message=f"{what}: {error}")

    async def modify(self, change: OrderChange) -> Outcome:
        """Make an order smaller. The venue can change nothing else of an order."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        try:
            params = translate.amend_params(change)
        except Untranslatable as error:
            return _untranslated(what, error)
        answer = await self.trade("PUT", "order/amend/keepPriority", params, what)
        return self._amended(answer, what) if isinstance(answer, Reply) else answer

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        """Make an order smaller now: see `copydesk.hooks.Fires`."""
        return self.sender.fire(self.venue.changing, change, None, done, self._changing)

    def _amended(self, answer: Reply, what: str) -> Outcome:
        try:
            return Accepted(order=translate.amended(answer.body))
        except Unreadable as error:
            return Unknown(message=f"{what}: {error}")

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel an order; the other one of its list goes with it."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        try:
            params = translate.ref_params(ref)
        except Untranslatable as error:
            return _untranslated(what, error)
        answer = await self.trade("DELETE", "order", params, what)
        return self._cancelled(answer, what) if isinstance(answer, Reply) else answer

    def _cancelled(self, answer: Reply, what: str) -> Outcome:
        if isinstance(answer.body, dict) and "orderReports" in answer.body:  # the whole list was cancelled
            return Accepted()
        return self._accept(answer, what)

    async def _send_order(self, method: str, path: str, params: Params, what: str) -> Outcome:
        answer = await self.trade(method, path, params, what)
        return self._accept(answer, what) if isinstance(answer, Reply) else answer

    def _accept(self, reply: Reply, what: str) -> Outcome:
        try:
            order = translate.order(reply.body)
        except Unreadable as error:
            return Unknown(message=f"{what}: {error}")
        if order.status is OrderStatus.REJECTED:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: Binance rejected it. {order.reason}".rstrip())
        return Accepted(order=order)

    async def look_up(self, ref: OrderRef) -> Order | None:
        """What the venue knows of one order; None where it says that it does not."""
        body = await self.read_if_known("order", translate.ref_params(ref))
        return None if body is None else translate.order(body)

    # --- the account ---

    def keep_account(self, body: Any) -> None:
        """Take over an account read."""
        self.holdings.take(translate.wallets(body))
        self.balance = self.holdings.balance(self.instruments, self.venue.now_ms())

    def account_events(self, wallets: tuple[Wallet, ...], time_ms: int) -> list[PositionEvent | BalanceEvent]:
        """What a change of wallets means."""
        self.holdings.change(wallets)
        assets = {wallet.asset for wallet in wallets}
        changed = self.holdings.changed(self.instruments, self.active_ms, assets)
        self.balance = self.holdings.balance(self.instruments, time_ms)
        return [*(PositionEvent(position=position) for position in changed), BalanceEvent(balance=self.balance)]


def _untranslated(what: str, error: Untranslatable) -> Rejected:
    reason = RejectReason.MODE if isinstance(error, WrongMode) else RejectReason.OTHER
    return Rejected(reason=reason, message=f"{what}: {error}")


async def connect(settings: ConnectionSettings) -> SpotSession:
    """Log in. Raises `AuthFailed` (missing or refused key) or `NotReady` (unreachable, overloaded)."""
    return await log_in(settings, SpotVenue, lambda venue, key, secret: SpotSession(settings.name, venue, key, secret))
