"""The trading desk of the rehearsal venue: Bybit's accounts and order services over the paper exchange.

Knows nothing of HTTP or websockets. Requests come in as parameters, replies go out as JSON values, and what happens is told
to a `Watcher` as ready-made rows of the private topics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Protocol

from copydesk.model import ZERO, Contract, Fill, Order, OrderStatus, OrderType, Terms
from copydesk_paper.contracts import notional
from copydesk_paper.exchange import MAKER_FEE, TAKER_FEE, Exchange, ExchangeRefusal
from copydesk_paper.records import AccountReport, Cause, Execution, OrderReport, Report
from msgspec.structs import replace

from copydesk_bybit.rehearsal import wire
from copydesk_bybit.rehearsal.account import Account, Done, Key, Known, order_id_of
from copydesk_bybit.rehearsal.admission import Admission
from copydesk_bybit.rehearsal.codes import Refusal, bad, translated
from copydesk_bybit.rehearsal.holdings import Holdings
from copydesk_bybit.rehearsal.listing import Listing, Rules
from copydesk_bybit.rehearsal.parameters import Params, read_protection
from copydesk_bybit.rehearsal.wire import Json
from copydesk_bybit.symbols import SPOT

FIRST_PHANTOM = 1_000_000_000
"""Numbers of orders that the venue took and that never came into the book begin here."""
_ENDS: tuple[tuple[str, str, str], ...] = (
    # how the exchange says that an order ended: (its words, rejectReason, cancelType)
    ("post-only", "EC_PostOnlyWillTakeLiquidity", "UNKNOWN"),
    ("fill-or-kill", "EC_CancelForNoFullFill", "UNKNOWN"),
    ("ioc", "EC_NoImmediateQtyToFill", "UNKNOWN"),
    ("fok", "EC_CancelForNoFullFill", "UNKNOWN"),
    ("no liquidity", "EC_NoImmediateQtyToFill", "UNKNOWN"),
    ("reduce-only", "EC_NoError", "CancelByReduceOnly"),
    ("nothing to reduce", "EC_NoError", "CancelByReduceOnly"),
    ("insufficient margin", "EC_Others", "UNKNOWN"),
    ("it would have traded", "EC_BySelfMatch", "CancelBySmp"),
    ("liquidation", "EC_NoError", "CancelAllBeforeLiq"),
)
_PHANTOMS = {
    # what the exchange refuses and Bybit takes, then cancels: rejectReason
    "post-only": "EC_PostOnlyWillTakeLiquidity",
    "fok": "EC_CancelForNoFullFill",
    "no-liquidity": "EC_NoImmediateQtyToFill",
}


class Watcher(Protocol):
    """Is told every row of a private topic, in order, of accounts that it listens to."""

    def listens(self, account: Account) -> bool: ...
    def tell(self, account: Account, topic: str, row: Json) -> None: ...


class Desk:
    """All accounts, by name and by key. `protect` is called with each account report: it keeps positions protected."""

    def __init__(self, exchange: Exchange, listing: Listing, now_ms: Callable[[], int]) -> None:
        self.exchange = exchange
        self.listing = listing
        self.now_ms = now_ms
        self.accounts: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        self.watchers: list[Watcher] = []
        self.protect: Callable[[Account, AccountReport], None] = lambda account, report: None
        self.triggered: Callable[[Account, Known], None] = lambda account, known: None
        self._phantoms = count(FIRST_PHANTOM)
        self._seq = count(4_688_002_127)
        self.holdings = Holdings(exchange, listing, self._seq)
        self.admission = Admission(exchange, listing, self.holdings)

    def add(self, account: Account) -> None:
        self.accounts[account.name] = account
        self.by_key[account.key] = account

    # --- placing ---

    def place(self, account: Account, params: Params) -> Json:
        """`order/create`."""
        rules = self._rules(params)
        wanted = self.admission.read(account, params, rules)
        if wanted.link_id and wanted.link_id in account.by_link:
            raise Refusal(170141 if rules.category == SPOT else 110072)
        known = self.admission.known(account, wanted, rules)
        return _named(self.send(account, rules, wanted.terms, known))

    def check(self, account: Account, params: Params) -> Json:
        """`order/pre-check`: what the order would bind."""
        rules = self._rules(params)
        self.admission.read(account, params, rules)
        row = self.holdings.wallet(account)
        return {
            "orderId": "",
            "orderLinkId": params.text("orderLinkId"),
            "preImrE4": int(Decimal(row["accountIMRate"]) * 10_000),
            "preMmrE4": int(Decimal(row["accountMMRate"]) * 10_000),
            "postImrE4": int(Decimal(row["accountIMRate"]) * 10_000),
            "postMmrE4": int(Decimal(row["accountMMRate"]) * 10_000),
        }

    def _rules(self, params: Params) -> Rules:
        return self.listing.named(params.need("category"), params.need("symbol"))

    def send(self, account: Account, rules: Rules, terms: Terms, known: Known) -> Known:
        """Hand an order to the exchange. What Bybit takes and cancels at once becomes such an order. Raises `Refusal`."""
        account.placing = known
        try:
            order = self.exchange.place(account.name, terms)
            if order.venue_id not in account.orders:  # placed while reports are delivered: its own come afterwards
                self._adopt(account, order, known)
        except ExchangeRefusal as refusal:
            if refusal.detail not in _PHANTOMS:
                instrument = rules.instrument
                raise translated(
                    refusal, rules.category, symbol=rules.name, least=instrument.min_notional, quote=instrument.quote
                ) from None
            self._take_and_cancel(account, rules, terms, known, _PHANTOMS[refusal.detail])
        finally:
            account.placing = None
        return known

    def _take_and_cancel(self, account: Account, rules: Rules, terms: Terms, known: Known, reason: str) -> None:
        number, now = next(self._phantoms), self.now_ms()
        known.order_id = order_id_of(rules.category, account.name, number)
        known.reject_reason = reason
        known.order = Order(
            venue_id=str(number),
            client_id=known.link_id,
            terms=terms,
            status=OrderStatus.CANCELLED,
            created_ms=now,
            updated_ms=now,
        )
        account.keep(str(number), known)
        self._tell_order(account, known)

    # --- changing ---

    def amend(self, account: Account, params: Params) -> Json:
        """`order/amend`."""
        rules = self._rules(params)
        known, order = self.working(account, params, rules)
        quantity, price = params.decimal("qty"), params.price("price")
        trigger = params.price("triggerPrice")
        if quantity is not None and order.filled and quantity <= order.filled:
            raise Refusal(170313 if rules.category == SPOT else 110064)
        if trigger is not None and trigger != order.terms.trigger_price:
            self.admission.check_trigger(replace(order.terms, trigger_price=trigger), known.direction, rules)
        if price is not None:
            self.admission.check_band(replace(order.terms, price=price), rules, self.exchange.last_price(rules.symbol))
        protection = read_protection(params, before=known.protection)
        is_protected_anew = protection != known.protection
        try:
            self.exchange.modify(
                account.name,
                venue_id=order.venue_id,
                quantity=None if order.terms.close_position else quantity,
                price=price,
                trigger_price=trigger,
            )
        except ExchangeRefusal as refusal:
            if refusal.detail != "unchanged" or not is_protected_anew:
                raise translated(
                    refusal,
                    rules.category,
                    symbol=rules.name,
                    least=rules.instrument.min_notional,
                    quote=rules.instrument.quote,
                ) from None
        if is_protected_anew:
            known.protection = protection
            self._tell_order(account, known)
        return _named(known)

    def cancel(self, account: Account, params: Params) -> Json:
        """`order/cancel`."""
        rules = self._rules(params)
        known, order = self.working(account, params, rules)
        waits = order.terms.type.is_conditional and not order.triggered
        if rules.category == SPOT and waits and (params.text("orderFilter") or "Order") == "Order":
            raise Refusal(170213)
        self.end(account, order.venue_id, "CancelByUser")
        return _named(known)

    def end(self, account: Account, venue_id: str, cancel_type: str) -> None:
        """Cancel a working order for a reason of Bybit's. Raises `Refusal` where it does not work any more."""
        known = account.orders[venue_id]
        known.ending = cancel_type
        try:
            self.exchange.cancel(account.name, venue_id=venue_id)
        except ExchangeRefusal:
            known.ending = ""
            raise Refusal(110001) from None

    def cancel_all(self, account: Account, params: Params) -> Json:
        """`order/cancel-all`."""
        category = params.need("category")
        if category == "linear" and not any(name in params for name in ("symbol", "baseCoin", "settleCoin")):
            raise bad("params error: symbol, settleCoin or baseCoin cannot be empty")
        if "symbol" in params:
            self._rules(params)
        wanted = params.text("orderFilter")
        ended = []
        for known in list(self.select(account, params, category, working=True)):
            order = known.order
            assert order is not None
            waits = order.terms.type.is_conditional and not order.triggered
            if (wanted == "Order" and waits) or (wanted in ("StopOrder", "tpslOrder") and not waits):
                continue
            if "stopOrderType" in params and params.text("stopOrderType") != known.stop_type:
                continue
            self.end(account, order.venue_id, "CancelByUser")
            ended.append(_named(known))
        return {"list": ended, "success": "1"}

    def working(self, account: Account, params: Params, rules: Rules) -> tuple[Known, Order]:
        """The working order that the request names. Raises `Refusal` where there is none."""
        if "orderId" not in params and "orderLinkId" not in params:
            raise bad("params error: orderId or orderLinkId is required")
        known = account.orders.get(account.find(params.text("orderId"), params.text("orderLinkId")))
        order = known.order if known is not None else None
        if known is None or order is None or order.status.is_final or order.terms.symbol != rules.symbol:
            raise Refusal(170213 if rules.category == SPOT else 110001)
        return known, order

    # --- looking ---

    def select(self, account: Account, params: Params, category: str, *, working: bool | None = None) -> Iterator[Known]:
        """Orders of a category that the request asks for, the newest first. `working`: only those, or only ended."""
        by_name = "orderId" in params or "orderLinkId" in params
        if by_name:
            found = account.orders.get(account.find(params.text("orderId"), params.text("orderLinkId")))
            every = [found] if found is not None else []
        else:
            every = list(reversed(account.orders.values()))
        for known in every:
            order = known.order
            if order is None or known.category != category or (working is not None and order.is_working != working):
                continue
            if not by_name and not self._fits(params, self.listing.rules(order.terms.symbol)):
                continue
            yield known

    @staticmethod
    def _fits(params: Params, rules: Rules) -> bool:
        instrument = rules.instrument
        asked = {
            "symbol": rules.name,
            "baseCoin": instrument.base,
            "settleCoin": instrument.settle if instrument.contract is not Contract.SPOT else params.text("settleCoin"),
        }
        for name, value in asked.items():
            if name in params:
                return params.text(name) == value
        return True

    def row(self, account: Account, known: Known) -> Json:
        """An order as reads tell it."""
        assert known.order is not None
        terms = known.order.terms
        held = abs(self.holdings.held(account, (terms.symbol, terms.position_side))) if terms.close_position else ZERO
        return wire.order_row(known, self.listing.rules(terms.symbol), held=held)

    def fee_rate(self, done: Done) -> Decimal:
        return MAKER_FEE if done.fill.maker else TAKER_FEE

    def execution(self, done: Done) -> Json:
        return wire.execution_row(done, self.listing.rules(done.fill.symbol), self.fee_rate(done))

    # --- what the exchange reports ---

    def tell_position(self, account: Account, key: Key) -> None:
        """Push a position's present state."""
        rules = self.listing.rules(key[0])
        self._tell(account, "position", wire.position_event(self.holdings.position(account, rules, key[1]), rules.category))

    def on_report(self, report: Report) -> None:
        """To be called with every report of the exchange, in its order."""
        if isinstance(report, OrderReport):
            self._on_order(self.accounts[report.account], report)
        elif isinstance(report, AccountReport):
            self._on_account(self.accounts[report.account], report)

    def _on_order(self, account: Account, report: OrderReport) -> None:
        order = report.order
        known = account.orders.get(order.venue_id) or self._take_in(account, order)
        known.order = order
        if report.fill is not None:
            self._on_fill(account, known, order, report.fill, report.realised)
            return
        match report.execution:
            case Execution.NEW if order.terms.type is OrderType.MARKET:
                return  # it is told when it has traded
            case Execution.TRIGGERED:
                self._tell_order(account, known, status="Triggered")
                self.triggered(account, known)
                if order.terms.type.has_price:
                    self._tell_order(account, known, status="New")
                return
            case Execution.CANCELLED | Execution.EXPIRED:
                self._note_end(known, order)
        self._tell_order(account, known)

    def _take_in(self, account: Account, order: Order) -> Known:
        """An order that is new: the one that is being placed, or a liquidation."""
        rules = self.listing.rules(order.terms.symbol)
        known = account.placing
        account.placing = None
        if known is None:
            known = Known("", "", rules.category, create_type="CreateByLiq", mode="UNKNOWN")
            known.position_idx = wire.INDEXES[order.terms.position_side]
            known.last_on_created = self.exchange.last_price(rules.symbol)
        self._adopt(account, order, known)
        return known

    @staticmethod
    def _adopt(account: Account, order: Order, known: Known) -> None:
        known.order_id = order_id_of(known.category, account.name, int(order.venue_id))
        known.order = order
        account.keep(order.venue_id, known)

    @staticmethod
    def _note_end(known: Known, order: Order) -> None:
        if known.ending:
            known.cancel_type = known.ending
            return
        for words, reject, cancel in _ENDS:
            if order.reason.startswith(words):
                known.reject_reason, known.cancel_type = reject, cancel
                return

    def _on_fill(self, account: Account, known: Known, order: Order, fill: Fill, realised: Decimal) -> None:
        rules = self.listing.rules(fill.symbol)
        key = (fill.symbol, fill.position_side)
        worth = notional(rules.instrument, fill.quantity, fill.price)
        known.value += worth
        known.fees[fill.fee_asset] = known.fees.get(fill.fee_asset, ZERO) + fill.fee
        net = realised - (fill.fee if rules.category != SPOT else ZERO)
        account.earned[key] = account.earned.get(key, ZERO) + net
        account.earned_now[key] = account.earned_now.get(key, ZERO) + net
        account.opened_ms.setdefault(key, fill.time_ms)
        account.moved_ms[key] = fill.time_ms
        done = Done(
            fill=fill,
            known=known,
            leaves=order.terms.quantity - order.filled,
            closed=self._closed(account, rules, fill),
            realised=realised,
            mark=self.exchange.quote(fill.symbol).mark,
            seq=next(self._seq),
        )
        account.fills.append(done)
        if known.protection:
            entered = account.entered.setdefault(key, {})
            entered[order.venue_id] = entered.get(order.venue_id, ZERO) + fill.quantity
        if done.closed:
            account.closed.append(_closed_row(done, rules, self.now_ms()))
        if self._is_heard(account):
            self._tell(account, "execution", wire.execution_event(done, rules, self.fee_rate(done)))
            self._tell(account, "execution.fast", wire.fast_execution_event(done, rules))
        self._tell_order(account, known, realised=realised)

    def _closed(self, account: Account, rules: Rules, fill: Fill) -> Decimal:
        """How much an execution took off the position: what was held before it, as far as it is against it."""
        if rules.category == SPOT:
            return ZERO
        key = (fill.symbol, fill.position_side)
        before = account.sizes.get(key, ZERO)
        account.sizes[key] = before + fill.quantity * fill.side.sign
        against = before != 0 and (before > 0) != (fill.side.sign > 0)
        return min(abs(before), fill.quantity) if against else ZERO

    def _on_account(self, account: Account, report: AccountReport) -> None:
        for position in report.positions:
            rules = self.listing.rules(position.symbol)
            if rules.category == SPOT:
                continue
            key = (position.symbol, position.position_side)
            if self._is_heard(account):
                row = self.holdings.row(account, rules, position)
                self._tell(account, "position", wire.position_event(row, rules.category))
            if not position.quantity:
                account.earned_now.pop(key, None)
                account.opened_ms.pop(key, None)
        if report.cause in (Cause.LEVERAGE, Cause.MARGIN_TYPE, Cause.POSITION_MODE):
            return
        if self._is_heard(account):
            self._tell(account, "wallet", self.holdings.wallet(account))
        self.protect(account, report)

    def _is_heard(self, account: Account) -> bool:
        """Whether anybody listens: rows that nobody reads are not written."""
        return any(watcher.listens(account) for watcher in self.watchers)

    def _tell_order(self, account: Account, known: Known, *, status: str = "", realised: Decimal = ZERO) -> None:
        assert known.order is not None
        if not self._is_heard(account):
            return
        terms = known.order.terms
        rules = self.listing.rules(terms.symbol)
        held = abs(self.holdings.held(account, (terms.symbol, terms.position_side))) if terms.close_position else ZERO
        row = wire.order_row(known, rules, status=status, held=held)
        self._tell(account, "order", wire.order_event(row, known, rules, realised))

    def _tell(self, account: Account, topic: str, row: Json) -> None:
        for watcher in self.watchers:
            watcher.tell(account, topic, row)


def _named(known: Known) -> Json:
    return {"orderId": known.order_id, "orderLinkId": known.link_id}


def _closed_row(done: Done, rules: Rules, now_ms: int) -> Json:
    fill, known = done.fill, done.known
    assert known.order is not None
    exit_value = notional(rules.instrument, done.closed, fill.price)
    sign = -1 if fill.side == "buy" else 1
    entry_value = exit_value - sign * done.realised
    entry_price = entry_value / done.closed if rules.instrument.contract is Contract.LINEAR else fill.price
    return {
        "symbol": rules.name,
        "orderType": "Limit" if known.order.terms.type.has_price else "Market",
        "leverage": "10",
        "updatedTime": str(now_ms),
        "side": wire.SIDE_WORDS[fill.side],
        "orderId": known.order_id,
        "closedPnl": wire.money(done.realised - fill.fee),
        "avgEntryPrice": wire.money(entry_price),
        "qty": wire.bare(known.order.terms.quantity),
        "cumEntryValue": wire.money(entry_value),
        "createdTime": str(fill.time_ms),
        "orderPrice": wire.padded(known.order.terms.price or fill.price, rules.price_places),
        "closedSize": wire.bare(done.closed),
        "avgExitPrice": wire.bare(fill.price),
        "execType": "Trade",
        "fillCount": "1",
        "cumExitValue": wire.money(exit_value),
    }
