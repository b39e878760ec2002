"""One account's live link: signed requests, placing, amending, cancelling, looking up, and what its stream has told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from copydesk.errors import NotReady, VenueError
from copydesk.hooks import Done
from copydesk.model import (
    ZERO,
    Accepted,
    Balance,
    BalanceEvent,
    ConnectionSettings,
    LeverageChange,
    MarginSetting,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
    OrderStatus,
    Outcome,
    Position,
    PositionEvent,
    PositionSide,
    Rejected,
    RejectReason,
    SnapshotRequest,
    Unknown,
)
from copydesk_wire.connection import Answer
from copydesk_wire.errors import NoReply, Unreadable
from copydesk_wire.firing import Rest, Way, in_words
from copydesk_wire.session import log_in
from copydesk_wire.streaming import Feed
from msgspec.structs import replace

from copydesk_binance import account, decoding, fields, sending, translate
from copydesk_binance.account import AccountUpdate
from copydesk_binance.errors import (
    Reply,
)
from copydesk_binance.fields import Params, Untranslatable, WrongMode
from copydesk_binance.fold import Fold
from copydesk_binance.login import Login
from copydesk_binance.markets import Venue
from copydesk_binance.prices import PriceStream
from copydesk_binance.reading import Reading
from copydesk_binance.stream import TIMING, PrivateStream
from copydesk_binance.translate import AlgoReport, OrderReport

log = logging.getLogger("copydesk.binance")

FEW_SYMBOLS = 20
_MODE_CODES = frozenset({"-4061", "-4062"})


class Session(Login[Venue]):
    """What `connect` returns for USD-M futures. `hedge_mode` is the account's position mode."""

    api = "fapiPrivate"
    most_candles = 1500

    def __init__(self, name: str, venue: Venue, key: str, secret: str) -> None:
        super().__init__(name, venue, key, secret)
        self.hedge_mode = False
        self.fold = Fold()
        self._placing = Way(self._taken, self.place, self._working)
        self._changing = Way(self._taken, self.modify, self._working)
        self._cancelling = Way(lambda ref, reply: self._cancelled(reply, in_words(ref)), self.cancel, self._gone)
        self.positions: dict[tuple[str, PositionSide], Position] = {}
        self._wallets: dict[str, Decimal] = {}

    async def trade(self, method: str, path: str, params: Params, what: str) -> Reply | Rejected | Unknown:
        outcome = await super().trade(method, path, params, what)
        if isinstance(outcome, Rejected) and outcome.code in _MODE_CODES:
            await self._read_mode_again()
        return outcome

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
            path, params = await self._place_params(order)
        except WrongMode as error:
            return Rejected(reason=RejectReason.MODE, message=f"{what}: {error}")
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        if not order.terms.type.is_conditional:
            self.fold.expect_plain(order.client_id)
        answer = await self.trade("POST", path, params, what)
        return self._accept(answer, what) if isinstance(answer, Reply) else answer

    async def _place_params(self, order: NewOrder) -> tuple[str, Params]:
        """Raises `Untranslatable`. The owner may have switched the position mode: it is read again before it refuses."""
        try:
            return sending.place_params(order.client_id, order.terms, hedge_mode=self.hedge_mode)
        except WrongMode:
            await self._read_mode_again()
        return sending.place_params(order.client_id, order.terms, hedge_mode=self.hedge_mode)

    def _accept(self, reply: Reply, what: str) -> Outcome:
        try:
            order = self._told_order(reply.body)
        except Unreadable as error:
            return Unknown(message=f"{what}: {error}")
        if order.status is OrderStatus.REJECTED:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: Binance rejected it. {order.reason}".rstrip())
        return Accepted(order=order)

    def _told_order(self, body: Any) -> Order:
        """The order in a reply of either service, folded."""
        if isinstance(body, Mapping) and "algoId" in body:
            return self.fold.conditional(translate.algo_order(body)).order
        order = translate.order(body)
        conditional = self.fold.known(order.venue_id)
        if conditional is None:
            self.fold.learn_plain(order.venue_id)
            return order
        return self.fold.became(conditional.order.venue_id, OrderReport(order=order)).order

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order now: see `copydesk.hooks.Fires`."""
        if not self.sender.fire(self.venue.placing, order, self.hedge_mode, done, self._placing):
            return False
        if not order.terms.type.is_conditional:
            self.fold.expect_plain(order.client_id)
        return True

    def warm_up(self, order: NewOrder) -> None:
        super().warm_up(order)
        decoding.order_update(decoding.EXAMPLE)

    def judge(self, answer: Answer, what: str) -> Reply | Rejected | Unknown | Rest | None:
        judged = super().judge(answer, what)
        return self._with_mode(judged) if isinstance(judged, Rejected) and judged.code in _MODE_CODES else judged

    async def _with_mode(self, refused: Rejected) -> Outcome:
        await self._read_mode_again()
        return refused

    def _taken(self, asked: NewOrder | OrderChange, reply: Reply) -> Outcome:
        return self._accept(reply, in_words(asked))

    def _working(self, answer: Answer) -> Accepted | None:
        """What an everyday acceptance means; None for anything else."""
        order = decoding.order_answer(answer.body) if answer.status == 200 else None
        if order is None or order.status is OrderStatus.REJECTED or self.fold.known(order.venue_id) is not None:
            return None
        self.fold.learn_plain(order.venue_id)
        return Accepted(order=order)

    async def modify(self, change: OrderChange) -> Outcome:
        """Give a limit order a new price and total quantity."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        try:
            params = sending.modify_params(change)
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        answer = await self.trade("PUT", "order", params, what)
        return self._accept(answer, what) if isinstance(answer, Reply) else answer

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        """Amend an order now: see `copydesk.hooks.Fires`."""
        return self.sender.fire(self.venue.changing, change, None, done, self._changing)

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel an order, whichever service holds it now."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        became = self.fold.becomes(ref.venue_id)
        try:
            path, params = sending.ref_params(replace(ref, venue_id=became) if became else ref)
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        answer = await self.trade("DELETE", path, params, what)
        if path == "algoOrder" and isinstance(answer, Rejected) and answer.reason is RejectReason.NOT_FOUND:
            answer = await self._cancel_triggered(ref, params, what, answer)
        return self._cancelled(answer, what) if isinstance(answer, Reply) else answer

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel an ordinary order now: see `copydesk.hooks.Fires`. Which service holds a conditional one may have to be
        asked."""
        if ref.type.is_conditional:
            return False
        return self.sender.fire(self.venue.cancelling, ref, None, done, self._cancelling)

    def _gone(self, answer: Answer) -> Accepted | None:
        """What an everyday cancellation means; None for anything else."""
        accepted = self._working(answer)
        is_gone = accepted is not None and accepted.order is not None and accepted.order.status is OrderStatus.CANCELLED
        return accepted if is_gone else None

    async def _cancel_triggered(
        self, ref: OrderRef, params: Params, what: str, refused: Rejected
    ) -> Reply | Rejected | Unknown:
        """The conditional service does not hold it any more: it may have become an ordinary order."""
        try:
            report = translate.algo_order(await self.read("algoOrder", params))
        except VenueError:
            return refused
        self.fold.learn((report,))
        if not report.becomes or report.finished:
            return refused
        return await self.trade("DELETE", "order", {"symbol": ref.symbol, "orderId": report.becomes}, what)

    def _cancelled(self, reply: Reply, what: str) -> Outcome:
        if isinstance(reply.body, Mapping) and str(reply.body.get("code")) == "200":
            return Accepted()
        outcome = self._accept(reply, what)
        if isinstance(outcome, Accepted) and outcome.order is not None:
            status = outcome.order.status
            if status.is_final and status is not OrderStatus.CANCELLED:
                return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: the order has ended: {status}.")
        return outcome

    async def look_up(self, ref: OrderRef) -> tuple[Order | None, AlgoReport | None]:
        """What the venue knows of one order: the ordinary one, the conditional one, or neither where it says so."""
        path, params = sending.ref_params(ref)
        body = await self.read_if_known(path, params)
        if body is None:
            return None, None
        if path == "order":
            return translate.order(body), None
        report = translate.algo_order(body)
        if not report.becomes:
            return None, report
        child = await self.read_if_known("order", {"symbol": ref.symbol, "orderId": report.becomes})
        return (None if child is None else translate.order(child)), report

    # --- the account ---

    async def set_leverage(self, change: LeverageChange) -> Outcome:
        """Set a symbol's initial leverage, a whole number (`POST leverage`)."""
        what = f"set the leverage of {change.symbol}"
        if change.leverage != change.leverage.to_integral_value():
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {change.leverage} is no whole number.")
        answer = await self.trade("POST", "leverage", account.leverage_params(change), what)
        return Accepted() if isinstance(answer, Reply) else answer

    async def learn_settings(self) -> tuple[MarginSetting, ...]:
        """Read the position mode, and leverage and margin mode of all symbols. Weights of 5 each."""
        mode, symbols = await asyncio.gather(self.read("accountConfig"), self.read("symbolConfig"))
        self._learn_mode(mode)
        return account.margins(symbols)

    async def log_in(self) -> None:
        """Check the key, learn the position mode and the balance. Raises `AuthFailed` or `NotReady`.

        accountConfig has a weight of 5, positionSide/dual one of 30.
        """
        mode, account = await asyncio.gather(self.read("accountConfig"), self.read("account", version="V3"))
        self._learn_mode(mode)
        self.keep_account(account)
        self.venue.learn_shapes(hedge_mode=self.hedge_mode)

    def _learn_mode(self, body: Any) -> None:
        value = body.get("dualSidePosition") if isinstance(body, Mapping) else None
        if value not in (True, False, "true", "false"):
            raise Unreadable("Binance sent a position mode without dualSidePosition.")
        self.hedge_mode = value in (True, "true")

    async def _read_mode_again(self) -> None:
        try:
            self._learn_mode(await self.read("accountConfig"))
        except VenueError as error:
            log.warning("%s: the position mode could not be read again: %s", self.name, error)

    def keep_account(self, body: Any) -> Balance:
        """Take over an account read: what later wallet changes are added to."""
        self.balance = account.balance(body, time_ms=self.venue.now_ms())
        self._wallets = {
            str(row.get("asset")): fields.number(row.get("walletBalance"), "walletBalance")
            for row in fields.rows(body.get("assets", []), "assets")
        }
        return self.balance

    def keep_positions(self, positions: Iterable[Position]) -> None:
        """Take over a positions read."""
        self.positions = {(position.symbol, position.position_side): position for position in positions}

    def account_events(self, update: AccountUpdate) -> list[PositionEvent | BalanceEvent]:
        """What an account update means. Cash is the venue's; equity moves by what wallet and open profit moved; what is
        available moves with equity until the next snapshot, because the venue tells no margin here."""
        events: list[PositionEvent | BalanceEvent] = []
        profit = ZERO
        for told in update.positions:
            place = (told.symbol, told.position_side)
            before = self.positions.get(place)
            position = told
            if before is not None:
                profit -= before.unrealised
                position = replace(
                    told, mark_price=before.mark_price, leverage=before.leverage, liquidation_price=before.liquidation_price
                )
            profit += told.unrealised
            self.positions[place] = position
            events.append(PositionEvent(position=position))
        currency = self.balance.currency if self.balance else ""
        if self.balance is not None and currency in update.wallets:
            wallet = update.wallets[currency]
            moved = wallet - self._wallets.get(currency, wallet)
            self._wallets[currency] = wallet
            self.balance = replace(
                self.balance,
                equity=self.balance.equity + moved + profit,
                cash=self.balance.cash + moved,
                available=max(ZERO, self.balance.available + moved + profit),
                time_ms=update.time_ms,
            )
            events.append(BalanceEvent(balance=self.balance))
        return events

    # --- conditional orders, for the fold ---

    async def learn_conditional(self, symbol: str = "") -> None:
        """Read the conditional orders: all that wait, or with `symbol` the recent ones of it, ended ones too.

        Reading all of them has a weight of 40. A stream that comes back asks for the symbols that it knows (1 each); an
        order of another symbol is in doubt when it is first heard of, and asked for then.
        """
        known = set(self.active_ms) | {place[0] for place in self.positions}
        if symbol:
            bodies = [await self.read("allAlgoOrders", {"symbol": symbol, "limit": "1000"})]
        elif self.connection and 0 < len(known) <= FEW_SYMBOLS:
            reads = (self.read("openAlgoOrders", {"symbol": one}) for one in sorted(known))
            bodies = await asyncio.gather(*reads)
        else:
            bodies = [await self.read("openAlgoOrders")]
        for body in bodies:
            self.fold.learn(translate.conditional_reports(body))

    # --- listen key ---

    async def listen_key(self) -> str:
        """A listen key for the private stream. The venue gives the same one again while it lives."""
        try:
            reply = await self.request("POST", "listenKey")
        except NoReply as error:
            raise NotReady(str(error)) from None
        if not reply.is_fine:
            self.raise_for(reply, "POST listenKey")
        key = reply.body.get("listenKey") if isinstance(reply.body, Mapping) else None
        if not isinstance(key, str) or not key:
            raise Unreadable("Binance sent a listen key reply without listenKey.")
        self._hidden = (*self._hidden[:2], key)
        return key

    async def renew_listen_key(self) -> None:
        """Keep the listen key alive. Raises `Refused` where the venue does not know it any more."""
        try:
            reply = await self.request("PUT", "listenKey")
        except NoReply as error:
            raise NotReady(str(error)) from None
        if not reply.is_fine:
            self.raise_for(reply, "PUT listenKey")

    def private_url(self, listen_key: str) -> str:
        return str(self._signer.get_private_ws_url("linear", listen_key))

    def market_url(self, channel: str) -> str:
        """The address of the market stream that carries a channel (`bookTicker`, `aggTrade`)."""
        return str(self._signer.get_ws_url("linear", self._signer.get_future_ws_category(channel)))


async def connect(settings: ConnectionSettings) -> Session:
    """Log in. Raises `AuthFailed` (missing or refused key) or `NotReady` (unreachable, overloaded)."""
    return await log_in(settings, Venue, lambda venue, key, secret: Session(settings.name, venue, key, secret))
