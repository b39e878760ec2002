"""The paper exchange: a deterministic matching engine. The same calls at the same times give the same reports.

Everything is synchronous and happens in the caller's thread; a call returns after its reports were delivered. Orders and
trades are numbered by counters, time comes from `now_ms`, and there is no randomness.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from copydesk.model import (
    ZERO,
    Balance,
    Candle,
    Contract,
    Fill,
    Instrument,
    Order,
    OrderStatus,
    OrderType,
    Position,
    RejectReason,
    Terms,
)

from copydesk_paper.admission import Admission
from copydesk_paper.floor import Floor
from copydesk_paper.groups import check_group, link, tie
from copydesk_paper.liquidation import Liquidation
from copydesk_paper.margin import Pool
from copydesk_paper.matching import Commission, Matching
from copydesk_paper.orders import WorkingOrder
from copydesk_paper.records import (
    Cause,
    Execution,
    MarketDepth,
    MarketEvent,
    MarketMark,
    MarketTrade,
    Quote,
    Report,
    Trade,
)
from copydesk_paper.refusal import ExchangeRefusal
from copydesk_paper.triggers import Triggers
from copydesk_paper.wallet import Account

MAKER_FEE, TAKER_FEE = Decimal("0.0002"), Decimal("0.0005")
MAX_LEVERAGE = 125

__all__ = ["Exchange", "ExchangeRefusal", "MarketDepth", "MarketMark", "MarketTrade"]


class Exchange:
    """Accounts trade `instruments` with each other and with the recorded market that `apply` brings.

    `partial_fills`: n > 1 cuts what one order trades into up to n executions. `price_band`: how far beyond the mark price a
    limit order may be aggressive (0.15 = 15 %, zero: any). `commission` takes the place of the two fees.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument],
        *,
        now_ms: Callable[[], int],
        maker_fee: Decimal = MAKER_FEE,
        taker_fee: Decimal = TAKER_FEE,
        commission: Commission | None = None,
    ) -> None:
        self.now_ms = now_ms
        self._floor = Floor(instruments, now_ms)
        self._matching = Matching(self._floor, maker_fee=maker_fee, taker_fee=taker_fee, commission=commission)
        self._triggers = Triggers(self._floor)
        self._admission = Admission(self._floor, self._matching, self._triggers)
        self._liquidation = Liquidation(self._floor, self._matching)
        self.instruments: dict[str, Instrument] = self._floor.instruments

    @property
    def partial_fills(self) -> int:
        return self._matching.slices

    @partial_fills.setter
    def partial_fills(self, slices: int) -> None:
        self._matching.slices = slices

    @property
    def price_band(self) -> Decimal:
        return self._admission.price_band

    @price_band.setter
    def price_band(self, band: Decimal) -> None:
        self._admission.price_band = band

    # --- accounts ---

    def open_account(self, name: str, cash: Decimal, *, currency: str = "USDT", hedge_mode: bool = False) -> None:
        """Open an account with starting cash. Raises ValueError where the name is taken."""
        if name in self._floor.accounts:
            raise ValueError(f"account {name!r} is open already")
        self._floor.accounts[name] = Account(name, currency, cash, self._floor.holders, hedge_mode=hedge_mode)

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self._floor.accounts)

    @property
    def insurance_fund(self) -> Decimal:
        """What liquidated accounts owed beyond their wallets so far."""
        return self._liquidation.paid

    def deposit(self, account: str, amount: Decimal, *, asset: str = "") -> None:
        """Add to a wallet, below zero: withdraw. `asset` is the account's currency where it is left out."""
        holder = self._floor.account(account)
        asset = asset or holder.currency
        if amount < 0 and self._floor.margin.pool(holder, asset).available + amount < 0:
            raise ExchangeRefusal(RejectReason.MARGIN, "insufficient-margin", f"cannot withdraw {-amount} {asset}")
        holder.wallets[asset] = holder.wallets.get(asset, ZERO) + amount
        self._floor.report_account(holder, Cause.DEPOSIT if amount >= 0 else Cause.WITHDRAW, change=amount)
        self._floor.deliver()

    def wallets(self, account: str) -> dict[str, Decimal]:
        """All assets of the account."""
        return dict(self._floor.account(account).wallets)

    def pool(self, account: str, asset: str) -> Pool:
        """What the account has, and what positions and orders bind, in one of its assets."""
        return self._floor.margin.pool(self._floor.account(account), asset)

    def set_leverage(self, account: str, symbol: str, leverage: int) -> None:
        holder, instrument = self._floor.account(account), self._floor.instrument(symbol)
        before = holder.leverage(symbol)
        if not 1 <= leverage <= MAX_LEVERAGE or instrument.contract is Contract.SPOT:
            raise ExchangeRefusal(RejectReason.OTHER, "leverage", f"{symbol}: leverage {leverage} is not possible")
        holder.leverages[symbol] = leverage
        pool = self._floor.margin.pool(holder, instrument.settle)
        if leverage < before and pool.cross_equity < pool.initial:
            holder.leverages[symbol] = before
            raise ExchangeRefusal(
                RejectReason.MARGIN, "insufficient-margin", f"{symbol}: not enough margin for {leverage}x"
            )
        self._report_change(holder, Cause.LEVERAGE, symbol)

    def leverage(self, account: str, symbol: str) -> int:
        self._floor.instrument(symbol)
        return self._floor.account(account).leverage(symbol)

    def set_isolated(self, account: str, symbol: str, isolated: bool) -> None:
        """Isolated or cross margin of one symbol; refused (`margin-type`) while it has orders or a position."""
        holder = self._floor.account(account)
        self._floor.instrument(symbol)
        if isolated == (symbol in holder.isolated):
            return
        if holder.working_on(symbol) or any(key[0] == symbol for key in holder.holdings):
            raise ExchangeRefusal(RejectReason.MODE, "margin-type", f"{symbol}: close orders and position first")
        if isolated:
            holder.isolated.add(symbol)
        else:
            holder.isolated.discard(symbol)
        self._report_change(holder, Cause.MARGIN_TYPE, symbol)

    def isolated(self, account: str, symbol: str) -> bool:
        self._floor.instrument(symbol)
        return symbol in self._floor.account(account).isolated

    def set_hedge_mode(self, account: str, on: bool) -> None:
        """Position mode of the account; refused (`hedge-with-positions`) while it has orders or positions."""
        holder = self._floor.account(account)
        if holder.hedge_mode == on:
            return
        if holder.working or holder.holdings:
            message = f"account {account}: close all orders and positions before changing the position mode"
            raise ExchangeRefusal(RejectReason.MODE, "hedge-with-positions", message)
        holder.hedge_mode = on
        self._report_change(holder, Cause.POSITION_MODE)

    def hedge_mode(self, account: str) -> bool:
        return self._floor.account(account).hedge_mode

    def _report_change(self, holder: Account, cause: Cause, symbol: str = "") -> None:
        self._floor.report_account(holder, cause, keys=[key for key in holder.holdings if key[0] == symbol])
        self._floor.deliver()

    # --- orders ---

    def reserve_id(self) -> int:
        """A number for an order that is to be placed later."""
        return next(self._floor.order_ids)

    def place(self, account: str, terms: Terms, client_id: str = "", *, reserved: int = 0, group: str = "") -> Order:
        """Take an order, under the id that was `reserved` for it if one was.

        Of the orders that were placed one by one into the same `group`, the first that trades or is triggered ends the
        others. Returns its state after it traded or came to rest. Raises `ExchangeRefusal`.
        """
        holder = self._floor.account(account)
        order = WorkingOrder(account, reserved, client_id, terms, self.now_ms())
        self._admission.check_new(order)
        link(order, group)
        self._number(order)
        self._let_in(holder, order)
        self._settle(terms.symbol)
        return order.record()

    def place_group(
        self, account: str, legs: Sequence[tuple[Terms, str]], *, reserved: Sequence[int] = (0, 0)
    ) -> tuple[Order, ...]:
        """Take a stop and a target of which one cancels the other, as (terms, client id): both or none.

        They come under the ids that were `reserved` for them if any were. Returns their states. Raises
        `ExchangeRefusal`; `oco` where the two make no group.
        """
        holder = self._floor.account(account)
        check_group([terms for terms, _ in legs])
        now = self.now_ms()
        orders = [
            WorkingOrder(account, number, client_id, terms, now)
            for (terms, client_id), number in zip(legs, reserved, strict=True)
        ]
        for order in orders:
            self._admission.check_new(order)
        for order in orders:
            self._number(order)
        tie(*orders)
        for order in sorted(orders, key=lambda order: not order.is_dormant):
            if order.is_working:
                self._let_in(holder, order)
        self._settle(orders[0].symbol)
        return tuple(order.record() for order in orders)

    def _number(self, order: WorkingOrder) -> None:
        order.venue_id = order.venue_id or next(self._floor.order_ids)
        order.client_id = order.client_id or f"auto-{order.venue_id}"

    def _let_in(self, holder: Account, order: WorkingOrder) -> None:
        holder.working[order.venue_id] = order
        self._floor.report_order(order, Execution.NEW)
        if order.is_dormant:
            self._triggers.add(order)
        else:
            self._matching.run(order)

    def cancel(self, account: str, *, venue_id: str = "", client_id: str = "") -> Order:
        """Cancel a working order. Raises `ExchangeRefusal` (`unknown-order`) where there is none."""
        order = self._working(account, venue_id, client_id)
        self._triggers.remove(order)
        self._floor.end(order, OrderStatus.CANCELLED)
        self._settle(order.symbol)
        return order.record()

    def modify(
        self,
        account: str,
        *,
        venue_id: str = "",
        client_id: str = "",
        quantity: Decimal | None = None,
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
        trail_percent: Decimal | None = None,
    ) -> Order:
        """Change a working order; what is left out stays. `quantity` is the total, the filled part included.

        Only a smaller quantity keeps the place in the queue. A total that is filled already, or a post-only order that
        would take at its new price, is cancelled, as on Binance.
        """
        order = self._working(account, venue_id, client_id)
        if order.tied and order.linked:
            message = "an order of a group cannot be changed: cancel it and place the group anew"
            raise ExchangeRefusal(RejectReason.OTHER, "oco", message)
        wanted = {"quantity": quantity, "price": price, "trigger_price": trigger_price, "trail_percent": trail_percent}
        changes = {
            name: value for name, value in wanted.items() if value is not None and value != getattr(order.terms, name)
        }
        if not changes:
            raise ExchangeRefusal(RejectReason.UNCHANGED, "unchanged", "the order has these terms already")
        if order.triggered and ("trigger_price" in changes or "trail_percent" in changes):
            raise ExchangeRefusal(RejectReason.PRICE, "would-trigger", "the order was triggered already")
        if quantity is not None and order.filled and quantity <= order.filled:
            self._floor.end(order, OrderStatus.CANCELLED, "amended to what is filled already")
        else:
            self._amend(order, changes)
        self._settle(order.symbol)
        return order.record()

    def fill(self, account: str, quantity: Decimal, *, venue_id: str = "", client_id: str = "") -> Order:
        """Somebody trades with exactly this order of the book. Raises `ExchangeRefusal` where it is not there."""
        order = self._working(account, venue_id, client_id)
        if order.is_dormant:
            raise ExchangeRefusal(RejectReason.OTHER, "not-in-book", f"order {order.venue_id} waits for its trigger")
        self._matching.fill(order, quantity)
        self._settle(order.symbol)
        return order.record()

    def _amend(self, order: WorkingOrder, changes: dict[str, Decimal]) -> None:
        before = order.terms
        book_side = self._floor.books[order.symbol].side(order.side)
        bound_before = self._floor.margin.bound(self._floor.account(order.account), order.symbol)
        order.change(**changes)
        try:
            self._admission.check_amended(order, bound_before)
        except ExchangeRefusal:
            order.terms = before
            raise
        if order.is_dormant:
            if "trigger_price" in changes and order.terms.type is OrderType.TRAILING_STOP:
                order.extreme = None
            self._floor.report_order(order, Execution.AMENDED)
            return
        if set(changes) == {"quantity"} and order.terms.quantity < before.quantity:
            self._floor.report_order(order, Execution.AMENDED)
            return
        wanted, order.terms = order.terms, before
        book_side.remove(order)
        order.terms = wanted
        if wanted.post_only and self._matching.would_take(order.symbol, order.side, wanted.price):
            self._floor.end(order, OrderStatus.CANCELLED, "post-only: amended to a price that would take")
            return
        self._floor.report_order(order, Execution.AMENDED)
        self._matching.run(order)

    # --- what follows from trades ---

    def _settle(self, symbol: str) -> None:
        """Report the accounts, then let triggers and liquidations follow on all symbols that moved, until none is due."""
        floor = self._floor
        floor.close_step()
        floor.moved[symbol] = None
        touched: dict[str, None] = {}
        while floor.moved:
            moved = next(iter(floor.moved))
            del floor.moved[moved]
            touched[moved] = None
            for order in self._triggers.due(moved):
                self._trigger(order)
                floor.close_step()
                floor.moved[moved] = None
            if self._liquidation.run(moved, self._triggers.remove):
                floor.moved[moved] = None
        for moved in touched:
            floor.report_quote(moved)
        floor.deliver()

    def _trigger(self, order: WorkingOrder) -> None:
        """A conditional order's price was met: it becomes a market or limit order, or expires where that cannot be."""
        holder = self._floor.account(order.account)
        bound_before = self._floor.margin.bound(holder, order.symbol)
        order.triggered = True
        self._floor.end_group(order)
        closable = holder.closable(order.symbol, order.terms.position_side, order.side)
        if order.terms.close_position and closable:
            order.change(quantity=closable)
        self._floor.report_order(order, Execution.TRIGGERED)
        if order.reduces and not closable:
            self._floor.end(order, OrderStatus.EXPIRED, "nothing to reduce")
        elif not order.reduces and not self._floor.margin.affords(holder, order, bound_before):
            self._floor.end(order, OrderStatus.EXPIRED, "insufficient margin")
        else:
            self._matching.run(order)

    # --- looking ---

    def _working(self, account: str, venue_id: str, client_id: str) -> WorkingOrder:
        holder = self._floor.account(account)
        for order in reversed(holder.working.values()):
            if _is_named(order, venue_id, client_id):
                return order
        raise ExchangeRefusal(RejectReason.NOT_FOUND, "unknown-order", f"no working order {venue_id or client_id!r}")

    def find(self, account: str, *, venue_id: str = "", client_id: str = "") -> Order:
        """The newest order of that id, working or ended. Raises `ExchangeRefusal` (`unknown-order`)."""
        holder = self._floor.account(account)
        named = [o for o in (*holder.ended, *holder.working.values()) if _is_named(o, venue_id, client_id)]
        if not named:
            raise ExchangeRefusal(RejectReason.NOT_FOUND, "unknown-order", f"no order {venue_id or client_id!r}")
        return max(named, key=lambda order: order.venue_id).record()

    def open_orders(self, account: str, symbol: str = "") -> list[Order]:
        holder = self._floor.account(account)
        return [order.record() for order in holder.working.values() if symbol in ("", order.symbol)]

    def orders(self, account: str, symbol: str = "", since_ms: int = 0) -> list[Order]:
        """Working orders, and ended ones, that changed since then; in the order in which they were placed."""
        holder = self._floor.account(account)
        every = sorted((*holder.ended, *holder.working.values()), key=lambda order: order.venue_id)
        return [order.record() for order in every if symbol in ("", order.symbol) and order.updated_ms >= since_ms]

    def fills(self, account: str, symbol: str = "", since_ms: int = 0) -> list[Fill]:
        fills = self._floor.account(account).fills
        return [fill for fill in fills if symbol in ("", fill.symbol) and fill.time_ms >= since_ms]

    def positions(self, account: str) -> list[Position]:
        """Open positions only."""
        holder = self._floor.account(account)
        return [self._floor.margin.position(holder, key) for key in holder.holdings]

    def balance(self, account: str) -> Balance:
        return self._floor.margin.balance(self._floor.account(account), self.now_ms())

    def quote(self, symbol: str) -> Quote:
        """Best bid and ask (zero where nobody stands) and the mark price."""
        self._floor.instrument(symbol)
        return self._floor.quote(symbol)

    def depth(self, symbol: str, limit: int = 20) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """Bids and asks as (price, quantity), the best first."""
        self._floor.instrument(symbol)
        book = self._floor.books[symbol]
        bids, asks = (
            [(level.price, level.quantity) for level, _ in zip(s.walk(), range(limit), strict=False)]
            for s in (book.bids, book.asks)
        )
        return bids, asks

    def last_price(self, symbol: str) -> Decimal:
        """The last traded price; before any trade the mark price."""
        self._floor.instrument(symbol)
        return self._floor.tapes[symbol].last or self._floor.mark(symbol)

    def trades(self, symbol: str, limit: int) -> list[Trade]:
        """The newest last."""
        self._floor.instrument(symbol)
        trades = self._floor.tapes[symbol].trades
        return list(trades)[-limit:] if limit > 0 else []

    def candles(self, symbol: str, interval: str, limit: int) -> list[Candle]:
        """The newest last. Raises KeyError for an interval that `tape.INTERVALS` does not have."""
        self._floor.instrument(symbol)
        return self._floor.tapes[symbol].candles(interval, limit)

    def listen(self, callback: Callable[[Report], None]) -> Callable[[], None]:
        """Call `callback` with every report from now on. Returns what ends that."""
        return self._floor.listen(callback)

    # --- the recorded market ---

    def apply(self, event: MarketEvent) -> None:
        """Take one event of the recording."""
        self._floor.instrument(event.symbol)
        if isinstance(event, MarketDepth):
            self._matching.depth(event)
        elif isinstance(event, MarketTrade):
            self._matching.trade(event)
        else:
            self._floor.marks[event.symbol] = event.price
        self._settle(event.symbol)

    def seed_candles(self, symbol: str, minutes: Iterable[Candle]) -> None:
        """Give a symbol a past: one-minute bars, oldest first."""
        self._floor.instrument(symbol)
        self._floor.tapes[symbol].seed(minutes)


def _is_named(order: WorkingOrder, venue_id: str, client_id: str) -> bool:
    if venue_id:
        return str(order.venue_id) == venue_id
    return bool(client_id) and order.client_id == client_id
