"""The trading floor: what all parts of the exchange share, and how they report."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import count

from copydesk.model import ZERO, Contract, Fill, Instrument, OrderStatus, RejectReason, Side

from copydesk_paper.book import Book
from copydesk_paper.margin import Margin
from copydesk_paper.orders import WorkingOrder
from copydesk_paper.records import AccountReport, Cause, Execution, OrderReport, Quote, Report, Trade
from copydesk_paper.refusal import ExchangeRefusal
from copydesk_paper.tape import Tape
from copydesk_paper.wallet import Account, Holders, Key


class Floor:
    """Books, tapes, accounts, counters and the outgoing reports. Everything on it happens in one thread."""

    def __init__(self, instruments: Iterable[Instrument], now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.instruments = {instrument.symbol: instrument for instrument in instruments}
        self.books = {symbol: Book() for symbol in self.instruments}
        self.tapes = {symbol: Tape() for symbol in self.instruments}
        self.marks: dict[str, Decimal] = {}
        self.accounts: dict[str, Account] = {}
        self.holders: Holders = {}
        """Who holds something of a symbol."""
        self.margin = Margin(self.instruments, self.mark)
        self.order_ids = count(1)
        self.trade_ids = count(1)
        self.moved: dict[str, None] = {}
        """Symbols whose prices may have changed and whose followers were not looked at yet."""
        self._changed: dict[tuple[str, Key], None] = {}
        self._quotes: dict[str, Quote] = {}
        self._listeners: list[Callable[[Report], None]] = []
        self._outbox: deque[Report] = deque()
        self._delivering = False

    # --- look-ups ---

    def account(self, name: str) -> Account:
        account = self.accounts.get(name)
        if account is None:
            raise ExchangeRefusal(RejectReason.OTHER, "unknown-account", f"no account {name!r}")
        return account

    def instrument(self, symbol: str) -> Instrument:
        instrument = self.instruments.get(symbol)
        if instrument is None:
            raise ExchangeRefusal(RejectReason.SYMBOL, "unknown-symbol", f"no instrument {symbol!r}")
        return instrument

    def mark(self, symbol: str) -> Decimal:
        """The recording's mark price, else the middle of its book, else the last price."""
        return self.marks.get(symbol) or self._middle(symbol)

    def _middle(self, symbol: str) -> Decimal:
        middle = self.books[symbol].middle()
        return self.tapes[symbol].last if middle is None else middle

    def quote(self, symbol: str) -> Quote:
        book = self.books[symbol]
        bid, ask = book.bids.best(), book.asks.best()
        return Quote(
            symbol=symbol,
            bid=bid.price if bid else ZERO,
            bid_quantity=bid.quantity if bid else ZERO,
            ask=ask.price if ask else ZERO,
            ask_quantity=ask.quantity if ask else ZERO,
            mark=self.mark(symbol),
            time_ms=self.now_ms(),
        )

    # --- reports ---

    def listen(self, callback: Callable[[Report], None]) -> Callable[[], None]:
        self._listeners.append(callback)

        def stop() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return stop

    def report(self, report: Report) -> None:
        self._outbox.append(report)

    def report_order(
        self, order: WorkingOrder, execution: Execution, *, fill: Fill | None = None, realised: Decimal = ZERO
    ) -> None:
        order.updated_ms = self.now_ms()
        self.report(
            OrderReport(
                account=order.account,
                execution=execution,
                order=order.record(),
                fill=fill,
                realised=realised,
                time_ms=order.updated_ms,
            )
        )

    def end(self, order: WorkingOrder, status: OrderStatus, reason: str = "") -> None:
        """Take an order out of the exchange, and say so unless its last fill said it already."""
        if order.tied:
            self.end_group(order, status)
        order.linked = False
        account = self.accounts[order.account]
        self.books[order.symbol].side(order.side).remove(order)
        account.working.pop(order.venue_id, None)
        account.ended.append(order)
        order.status = status
        if status is not OrderStatus.FILLED:
            order.reason = reason
            self.report_order(order, Execution.CANCELLED if status is OrderStatus.CANCELLED else Execution.EXPIRED)

    def end_group(self, order: WorkingOrder, status: OrderStatus = OrderStatus.FILLED) -> None:
        """Take the others of its group away: for `order` trades, was triggered, or ends with `status`."""
        others = self.linked_to(order)
        for one in (order, *others):
            one.linked = False
        for one in others:
            if status is OrderStatus.CANCELLED:
                self.end(one, status, "the other order of its group was cancelled")
            else:
                self.end(one, OrderStatus.EXPIRED, "the other order of its group came first")

    def linked_to(self, order: WorkingOrder) -> list[WorkingOrder]:
        """The working orders that its trade would end."""
        if not order.linked:
            return []
        working = self.accounts[order.account].working.values()
        return [one for one in working if one.linked and one.group == order.group and one is not order]

    def trade(
        self, order: WorkingOrder, trade_id: int, quantity: Decimal, price: Decimal, fee: Decimal, *, maker: bool
    ) -> None:
        """Book one side of an execution and report it."""
        account, instrument = self.accounts[order.account], self.instruments[order.symbol]
        self.end_group(order)
        order.fill(quantity, price)
        realised = account.trade(instrument, order, quantity, price, fee)
        spot_buy = instrument.contract is Contract.SPOT and order.side is Side.BUY
        fill = Fill(
            account=order.account,
            execution_id=str(trade_id),
            venue_id=str(order.venue_id),
            client_id=order.client_id,
            symbol=order.symbol,
            side=order.side,
            position_side=order.terms.position_side,
            quantity=quantity,
            price=price,
            fee=fee,
            fee_asset=instrument.base if spot_buy else instrument.settle,
            maker=maker,
            time_ms=self.now_ms(),
        )
        account.fills.append(fill)
        self._changed[order.account, (order.symbol, order.terms.position_side)] = None
        self.report_order(order, Execution.TRADE, fill=fill, realised=realised)

    def print(self, symbol: str, trade_id: int, price: Decimal, quantity: Decimal, *, buyer_is_maker: bool) -> None:
        trade = Trade(
            symbol=symbol,
            trade_id=trade_id,
            price=price,
            quantity=quantity,
            buyer_is_maker=buyer_is_maker,
            time_ms=self.now_ms(),
        )
        self.tapes[symbol].print(trade)
        self.moved[symbol] = None
        self.report(trade)

    def report_account(self, account: Account, cause: Cause, *, keys: Iterable[Key] = (), change: Decimal = ZERO) -> None:
        account.safe.clear()
        now = self.now_ms()
        self.report(
            AccountReport(
                account=account.name,
                cause=cause,
                balance=self.margin.balance(account, now),
                change=change,
                positions=tuple(self.margin.position(account, key) for key in keys),
                time_ms=now,
            )
        )

    def close_step(self, liquidated: str = "") -> None:
        """Report the accounts that traded since the last step, once each; end reduce-only orders without a position."""
        changed = tuple(self._changed)
        self._changed.clear()
        by_account: dict[str, list[Key]] = {}
        for name, key in changed:
            by_account.setdefault(name, []).append(key)
        for name, keys in by_account.items():
            cause = Cause.LIQUIDATION if name == liquidated else Cause.ORDER
            self.report_account(self.accounts[name], cause, keys=keys)
        for name, (symbol, position_side) in changed:
            account = self.accounts[name]
            for order in account.working_on(symbol):
                if (
                    not order.is_working
                    or not order.reduces
                    or order.is_dormant
                    or order.terms.position_side is not position_side
                ):
                    continue
                if not account.closable(symbol, position_side, order.side):
                    self.end(order, OrderStatus.EXPIRED, "reduce-only: the position is gone")

    def report_quote(self, symbol: str) -> None:
        """Report the best prices if they are not what was reported last."""
        quote, known = self.quote(symbol), self._quotes.get(symbol)
        if known is None or _prices(quote) != _prices(known):
            self._quotes[symbol] = quote
            self.report(quote)

    def deliver(self) -> None:
        """Hand all reports to all listeners, in order. A listener that calls the exchange is told of that afterwards."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._outbox:
                report = self._outbox.popleft()
                for listener in tuple(self._listeners):
                    listener(report)
        finally:
            self._delivering = False


def _prices(quote: Quote) -> tuple[Decimal, ...]:
    return quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity, quote.mark
