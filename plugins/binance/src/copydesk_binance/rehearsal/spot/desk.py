"""The trading desk of the spot rehearsal: Binance's spot accounts and orders over the paper exchange.

Knows nothing of HTTP or websockets. Requests come in as parameters, replies go out as JSON values, and what happens is told
to a `Watcher` as ready-made user data events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import count
from typing import Protocol

from copydesk.model import ZERO, Fill, Order, OrderStatus, OrderType, Side, Terms
from copydesk_paper.exchange import Exchange, ExchangeRefusal
from copydesk_paper.records import AccountReport, Cause, Execution, OrderReport, Report
from msgspec.structs import replace

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.spot import wire
from copydesk_binance.rehearsal.spot.account import Account, Detail
from copydesk_binance.rehearsal.spot.codes import SPOT, UNKNOWN_ORDER, filter_failure, rejected, translated
from copydesk_binance.rehearsal.spot.listing import Listing
from copydesk_binance.rehearsal.spot.lists import OrderLists
from copydesk_binance.rehearsal.spot.parameters import OrderReader, Wanted, client_id_of, made_up_id
from copydesk_binance.rehearsal.wire import Json, money

KEPT_DETAILS = 20_000
RESTRICTIONS = {"ONLY_NEW": OrderStatus.NEW, "ONLY_PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED}
AT_ONCE = {"fok": "UNFILLED_FOK_ORDER_EXPIRED", "no-liquidity": "INSUFFICIENT_LIQUIDITY"}
"""What the exchange refuses and Binance takes, to let it expire in the same moment; why, in its words."""
_EXPIRY = (
    ("insufficient", "REJECTED"),
    ("the other order of its group", "OCO_TRIGGER"),
    ("fill-or-kill", "UNFILLED_FOK_ORDER_EXPIRED"),
    ("ioc:", "UNFILLED_IOC_QUANTITY_EXPIRED"),
)


class Watcher(Protocol):
    """Is told every user data event of an account, in order."""

    def tell(self, account: Account, event: Json) -> None: ...


class Desk:
    """The accounts, their orders and their order lists."""

    def __init__(self, exchange: Exchange, listing: Listing, now_ms: Callable[[], int]) -> None:
        self.exchange = exchange
        self.listing = listing
        self.now_ms = now_ms
        self.accounts: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        self.watchers: list[Watcher] = []
        self.lists = OrderLists(self)
        self.reader = OrderReader(listing, exchange)
        self._execution_ids = count(1)
        self._placing: dict[str, Wanted] = {}  # by client id: details of orders that the exchange is taking right now
        self._stop_listening = exchange.listen(self._on_report)

    def add(self, account: Account) -> None:
        account.wallets = self.exchange.wallets(account.name)
        self.accounts[account.name] = account
        self.by_key[account.key] = account

    def close(self) -> None:
        self._stop_listening()

    # --- placing ---

    def place(self, account: Account, params: Params) -> Json:
        """`POST /api/v3/order`."""
        wanted = self.reader.read(params)
        order = self.send(account, wanted)
        return self.placed(account, order, wanted.detail.response)

    def placed(self, account: Account, order: Order, response: str) -> Json:
        """The reply to an order that was taken."""
        detail = self.detail(account, order)
        return wire.order_reply(account, order, detail, response, self._fills(account, order) if response == "FULL" else ())

    def test(self, account: Account, params: Params) -> Json:
        """`POST /api/v3/order/test`: all checks of form, and nothing else."""
        self._check_counts(account, [self.reader.read(params)])
        return {}

    def send(self, account: Account, wanted: Wanted, *, reserved: int = 0) -> Order:
        """Give one order to the exchange, under the number that was reserved for it. Raises `Refusal`."""
        self._check_counts(account, [wanted])
        self._check_funds(account, [wanted])
        self._placing[wanted.client_id] = wanted
        try:
            return self.exchange.place(account.name, wanted.terms, wanted.client_id, reserved=reserved)
        except ExchangeRefusal as refusal:
            if refusal.detail in AT_ONCE:
                return self._expire_at_once(account, wanted, AT_ONCE[refusal.detail], reserved)
            raise translated(refusal) from None
        finally:
            self._placing.pop(wanted.client_id, None)

    def _expire_at_once(self, account: Account, wanted: Wanted, reason: str, reserved: int) -> Order:
        """What the book cannot fill is an order nevertheless: it is taken, told, and expires. The exchange knows it not."""
        now = self.now_ms()
        order = Order(
            venue_id=str(reserved or self.exchange.reserve_id()),
            client_id=wanted.client_id,
            terms=wanted.terms,
            status=OrderStatus.NEW,
            created_ms=now,
            updated_ms=now,
        )
        account.details[order.venue_id] = replace(wanted.detail, working_ms=now)
        self.tell_unplaced(account, order, Execution.NEW)
        ended = replace(order, status=OrderStatus.EXPIRED)
        account.details[order.venue_id] = replace(wanted.detail, working_ms=now, expiry=reason)
        account.keep_unplaced(ended)
        report = self.tell_unplaced(account, ended, Execution.EXPIRED)
        instrument = wanted.rules.instrument
        self._tell_balances(account, (instrument.base, instrument.quote), now)
        self.lists.on_report(account, report)
        return ended

    def send_group(self, account: Account, legs: list[Wanted], *, reserved: Sequence[int]) -> tuple[Order, ...]:
        """Give the two orders of an OCO to the exchange, both or none. Raises `Refusal`."""
        self._check_counts(account, legs)
        self._check_funds(account, legs[:1])
        self._placing |= {wanted.client_id: wanted for wanted in legs}
        try:
            named = [(wanted.terms, wanted.client_id) for wanted in legs]
            return self.exchange.place_group(account.name, named, reserved=reserved)
        except ExchangeRefusal as refusal:
            raise translated(refusal) from None
        finally:
            for wanted in legs:
                self._placing.pop(wanted.client_id, None)

    def _check_counts(self, account: Account, legs: list[Wanted]) -> None:
        rules = legs[0].rules
        working = self.exchange.open_orders(account.name, rules.symbol)
        if len(working) + len(legs) > rules.max_orders:
            raise filter_failure("MAX_NUM_ORDERS")
        conditional = sum(order.terms.type.is_conditional and not order.triggered for order in working)
        conditional_too = sum(wanted.terms.type.is_conditional for wanted in legs)
        if conditional_too and conditional + conditional_too > rules.max_algo_orders:
            raise filter_failure("MAX_NUM_ALGO_ORDERS")

    def _check_funds(self, account: Account, legs: list[Wanted]) -> None:
        """Conditional orders lock what they would trade too."""
        for wanted in legs:
            asset, amount = self._locks(wanted.terms, wanted.terms.quantity)
            if amount > self.balance(account, asset)[0]:
                raise rejected("Account has insufficient balance for requested action.")

    # --- money ---

    def _locks(self, terms: Terms, quantity: Decimal) -> tuple[str, Decimal]:
        """What an order binds of which asset while so much of it is not filled."""
        instrument = self.listing.rules(terms.symbol).instrument
        if terms.side is Side.SELL:
            return instrument.base, quantity
        price = terms.price or terms.trigger_price or self.exchange.quote(terms.symbol).ask
        return instrument.quote, quantity * price

    def balance(self, account: Account, asset: str) -> tuple[Decimal, Decimal]:
        """Free and locked. The two orders of a group lock what one of them needs."""
        groups: dict[str, Decimal] = {}
        for order in self.exchange.open_orders(account.name):
            of, amount = self._locks(order.terms, order.terms.quantity - order.filled)
            if of == asset:
                name = order.group or order.venue_id
                groups[name] = max(groups.get(name, ZERO), amount)
        total = self.exchange.wallets(account.name).get(asset, ZERO)
        locked = min(total, sum(groups.values(), ZERO))
        return total - locked, locked

    def balances(self, account: Account, *, all_assets: bool) -> dict[str, tuple[Decimal, Decimal]]:
        """Of every asset that the venue lists, or only of those that the account has."""
        wallets = self.exchange.wallets(account.name)
        assets = dict.fromkeys((*self.listing.assets, *wallets) if all_assets else wallets)
        found = {asset: self.balance(account, asset) for asset in assets}
        return found if all_assets else {asset: pair for asset, pair in found.items() if any(pair)}

    # --- changing and ending ---

    def cancel(self, account: Account, params: Params) -> Json:
        """`DELETE /api/v3/order`."""
        order = self._working(account, params)
        if self.detail(account, order).pending:
            return self.lists.cancel_pending(account, order, client_id_of(params))
        return self.end(account, order, client_id_of(params))

    def end(self, account: Account, order: Order, cancel_id: str) -> Json:
        """Cancel one order."""
        account.cancelling = cancel_id
        try:
            ended = self.exchange.cancel(account.name, venue_id=order.venue_id)
        except ExchangeRefusal as refusal:
            raise translated(refusal) from None
        finally:
            account.cancelling = ""
        return wire.cancel_reply(account, ended, self.detail(account, ended), cancel_id)

    def _working(self, account: Account, params: Params, prefix: str = "") -> Order:
        order = self.named(account, params, -2011, prefix=prefix)
        if not order.is_working:
            raise Refusal(-2011)
        restriction = params.text("cancelRestrictions")
        if restriction:
            if restriction not in RESTRICTIONS:
                raise Refusal(-1145)
            if order.status is not RESTRICTIONS[restriction]:
                raise Refusal(-2011, message="Order was not canceled due to cancel restrictions.")
        return order

    def replace(self, account: Account, params: Params) -> Json:
        """`POST /api/v3/order/cancelReplace`. Raises `Refusal` -2021 or -2022 where one of the two or both fail."""
        mode = params.mandatory("cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise Refusal(-1130, "cancelReplaceMode")
        wanted = self.reader.read(params)  # filters come first
        cancelled: Json | None = None
        failed: Refusal | None = None
        try:
            order = self._working(account, params, "cancel")
            cancelled = self.end(account, order, client_id_of(params, "cancelNewClientOrderId"))
        except Refusal as refusal:
            failed = refusal
        if failed is not None and mode == "STOP_ON_FAILURE":
            raise _half_done(failed.payload(SPOT), "FAILURE", None, "NOT_ATTEMPTED", -2022, 400)
        try:
            placed = self.placed(account, self.send(account, wanted), wanted.detail.response)
        except Refusal as refusal:
            said = refusal.payload(SPOT)
            if failed is not None:
                raise _half_done(failed.payload(SPOT), "FAILURE", said, "FAILURE", -2022, 400) from None
            raise _half_done(cancelled, "SUCCESS", said, "FAILURE", -2021, 409) from None
        if failed is not None:
            raise _half_done(failed.payload(SPOT), "FAILURE", placed, "SUCCESS", -2021, 409)
        return {
            "cancelResult": "SUCCESS",
            "newOrderResult": "SUCCESS",
            "cancelResponse": cancelled,
            "newOrderResponse": placed,
        }

    def amend(self, account: Account, params: Params) -> Json:
        """`PUT /api/v3/order/amend/keepPriority`: a smaller total, and a new client id unless the old one is sent."""
        order = self.named(account, params, -2013)
        rules = self.listing.rules(order.terms.symbol)
        quantity = params.mandatory_decimal("newQty")
        if not order.is_working:
            raise _not_amended(UNKNOWN_ORDER)
        rules.check_quantity(quantity, market=False)
        if quantity == order.terms.quantity:
            raise _not_amended("The requested action would change no state; rejecting.")
        if quantity > order.terms.quantity:
            raise _not_amended("Order amend (quantity increase) is not supported.")
        if quantity <= order.filled:
            raise _not_amended("The requested action would change no state; rejecting.")
        earlier = sum(row["orderId"] == int(order.venue_id) for row in account.amendments)
        if earlier >= rules.max_amends:
            raise _not_amended("Filter failure: MAX_NUM_ORDER_AMENDS")
        before, after = wire.client_id(account, order), client_id_of(params)
        if after != order.client_id:
            account.renamed[order.venue_id] = after
        try:
            changed = self.exchange.modify(account.name, venue_id=order.venue_id, quantity=quantity)
        except ExchangeRefusal as refusal:
            raise translated(refusal) from None
        execution_id = next(self._execution_ids)
        account.amendments.append(
            {
                "symbol": rules.symbol,
                "orderId": int(order.venue_id),
                "executionId": execution_id,
                "origClientOrderId": before,
                "newClientOrderId": after,
                "origQty": money(order.terms.quantity),
                "newQty": money(quantity),
                "time": changed.updated_ms,
            }
        )
        return wire.amend_reply(account, changed, self.detail(account, changed), before, execution_id)

    # --- looking ---

    def named(self, account: Account, params: Params, unknown: int, *, prefix: str = "") -> Order:
        """The order that `orderId` or `origClientOrderId` names. Raises `Refusal` with the code given."""
        symbol = self.listing.rules(params.mandatory("symbol")).symbol
        id_name = f"{prefix}OrderId" if prefix else "orderId"
        client_name = f"{prefix}OrigClientOrderId" if prefix else "origClientOrderId"
        order_id, name = params.integer(id_name), params.text(client_name)
        if order_id is None and not name:
            sentence = f"Param '{client_name}' or '{id_name}' must be sent, but both were empty/null!"
            raise Refusal(-1102, message=sentence)
        order = self.find(account, "" if order_id is None else str(order_id), name)
        if order is None or order.terms.symbol != symbol:
            raise Refusal(unknown)
        if order_id is not None and name and wire.client_id(account, order) != name:
            raise Refusal(-2039)
        return order

    def find(self, account: Account, order_id: str, name: str = "") -> Order | None:
        """The newest order of that number or name. An amended order is found under its new name only."""
        unplaced = [*self.lists.pending(account), *account.unplaced.values()]
        found = [one for one in unplaced if (one.venue_id == order_id if order_id else one.client_id == name)]
        if not order_id:
            order_id = next((id_ for id_, now in reversed(account.renamed.items()) if now == name), "")
        try:
            if order_id:
                found.append(self.exchange.find(account.name, venue_id=order_id))
            elif wire.client_id(account, order := self.exchange.find(account.name, client_id=name)) == name:
                found.append(order)
        except ExchangeRefusal:
            pass
        return max(found, key=lambda one: int(one.venue_id), default=None)

    def row(self, account: Account, order: Order) -> Json:
        return wire.order_row(account, order, self.detail(account, order))

    def detail(self, account: Account, order: Order) -> Detail:
        return account.details.get(order.venue_id, _PLAIN)

    def _fills(self, account: Account, order: Order) -> Iterable[Fill]:
        since = order.created_ms
        fills = self.exchange.fills(account.name, order.terms.symbol, since)
        return [fill for fill in fills if fill.venue_id == order.venue_id]

    # --- what the exchange reports ---

    def _on_report(self, report: Report) -> None:
        if isinstance(report, OrderReport):
            account = self.accounts.get(report.account)
            if account is not None:
                self._on_order(account, report)
        elif isinstance(report, AccountReport) and report.cause in (Cause.DEPOSIT, Cause.WITHDRAW):
            account = self.accounts.get(report.account)
            if account is not None:
                self._on_transfer(account, report)

    def _on_order(self, account: Account, report: OrderReport) -> None:
        order = report.order
        detail = self._note(account, report)
        account.updated_ms = report.time_ms
        account.wallets = self.exchange.wallets(account.name)
        if report.fill is not None:
            account.orders.forgive(1 if order.status is OrderStatus.FILLED else 0)
        if self.watchers:
            cancelled = report.execution is Execution.CANCELLED
            event = wire.execution_report(
                account,
                report,
                detail,
                execution_id=next(self._execution_ids),
                cancel_id=(account.cancelling or made_up_id()) if cancelled else "",
                now_ms=self.now_ms(),
            )
            self.tell(account, event)
            instrument = self.listing.rules(order.terms.symbol).instrument
            self._tell_balances(account, (instrument.base, instrument.quote), report.time_ms)
        self.lists.on_report(account, report)

    def tell_unplaced(self, account: Account, order: Order, execution: Execution) -> OrderReport:
        """Tell of an order that waits in its list, or ended without coming to the market: the exchange does not know it."""
        report = OrderReport(account=account.name, execution=execution, order=order, time_ms=order.updated_ms)
        event = wire.execution_report(
            account,
            report,
            self.detail(account, order),
            execution_id=next(self._execution_ids),
            cancel_id=(account.cancelling or made_up_id()) if execution is Execution.CANCELLED else "",
            now_ms=self.now_ms(),
        )
        self.tell(account, event)
        return report

    def _note(self, account: Account, report: OrderReport) -> Detail:
        """The order's details as they are after the report."""
        order = report.order
        detail = account.details.get(order.venue_id)
        if detail is None:
            wanted = self._placing.get(order.client_id)
            detail = wanted.detail if wanted is not None else _PLAIN
        if detail.working_ms < 0 and (order.triggered or not order.terms.type.is_conditional):
            detail = replace(detail, working_ms=report.time_ms)
        if report.fill is not None:
            detail = replace(detail, spent=detail.spent + report.fill.price * report.fill.quantity)
        if report.execution is Execution.EXPIRED:
            detail = replace(detail, expiry=_expiry(order))
        account.details[order.venue_id] = detail
        if len(account.details) > KEPT_DETAILS:
            del account.details[next(iter(account.details))]
        return detail

    def _on_transfer(self, account: Account, report: AccountReport) -> None:
        """The exchange tells by how much a wallet changed, and not which: the one that did."""
        account.updated_ms = report.time_ms
        before, now = account.wallets, self.exchange.wallets(account.name)
        account.wallets = now
        for asset in now:
            change = now[asset] - before.get(asset, ZERO)
            if change:
                self.tell(account, wire.balance_event(asset, change, report.time_ms, self.now_ms()))
                self._tell_balances(account, (asset,), report.time_ms)

    def _tell_balances(self, account: Account, assets: Iterable[str], updated_ms: int) -> None:
        balances = {asset: self.balance(account, asset) for asset in assets}
        self.tell(account, wire.position_event(balances, updated_ms, self.now_ms()))

    def tell(self, account: Account, event: Json) -> None:
        for watcher in self.watchers:
            watcher.tell(account, event)


_PLAIN = Detail()


def _expiry(order: Order) -> str:
    for words, reason in _EXPIRY:
        if words in order.reason:
            return reason
    return "INSUFFICIENT_LIQUIDITY" if order.terms.type is OrderType.MARKET else "EXCHANGE_CANCELED"


def _not_amended(sentence: str) -> Refusal:
    return Refusal(-2038, message=sentence)


def _half_done(cancelled: Json | None, one: str, placed: Json | None, other: str, code: int, status: int) -> Refusal:
    data = {"cancelResult": one, "newOrderResult": other, "cancelResponse": cancelled, "newOrderResponse": placed}
    words = "partially failed" if code == -2021 else "failed"
    return Refusal(code, message=f"Order cancel-replace {words}.", status=status, data=data)
