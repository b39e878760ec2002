"""The trading desk of the rehearsal venue: Binance's accounts and order services over the paper exchange.

Knows nothing of HTTP or websockets. Requests come in as parameters, replies go out as JSON values, and what happens is
told to `Watcher`s as ready-made user data events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Protocol, TypeVar

from copydesk.model import ZERO, Fill, Order, OrderStatus, Position, PositionSide, Side
from copydesk_paper.exchange import Exchange, ExchangeRefusal
from copydesk_paper.orders import reduces
from copydesk_paper.records import AccountReport, Cause, Execution, OrderReport, Report
from msgspec.structs import replace

from copydesk_binance.rehearsal import algo as algos
from copydesk_binance.rehearsal import wire, wire_accounts
from copydesk_binance.rehearsal.account import KEPT_INCOME, Account
from copydesk_binance.rehearsal.algo import AlgoOrder
from copydesk_binance.rehearsal.codes import Refusal, translated
from copydesk_binance.rehearsal.listing import Listing, Rules
from copydesk_binance.rehearsal.parameters import (
    CONDITIONAL,
    SIDES,
    Detail,
    Params,
    Wanted,
    price_match,
    read_algo_order,
    read_old_conditional,
    read_order,
)
from copydesk_binance.rehearsal.wire import ALGO_PREFIX, Json

KEPT_ALGO_ORDERS = 5_000
KEPT_DETAILS = 20_000
V = TypeVar("V")
OrderEvent = Callable[[OrderReport, Detail, Decimal, Decimal, int], Json]
_PLAIN = Detail()
_REJECTIONS = {
    "nothing to reduce": "ReduceOnly Order is rejected.",
    "insufficient margin": "Margin is insufficient.",
    "post-only": "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    "fill-or-kill": "Due to the order could not be filled immediately, the FOK order has been rejected.",
}


class Watcher(Protocol):
    """Is told every user data event of an account, in order."""

    def tell(self, account: Account, event: Json) -> None: ...


class Venue:
    """`old_conditional`: take conditional orders among the ordinary ones too, as Binance did until 2025-12-09."""

    def __init__(
        self, exchange: Exchange, listing: Listing, now_ms: Callable[[], int], *, old_conditional: bool = False
    ) -> None:
        self.exchange = exchange
        self._old_conditional = old_conditional
        self.listing = listing
        self.now_ms = now_ms
        self.accounts: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        self.watchers: list[Watcher] = []
        self._algo_ids = count(algos.FIRST_ALGO_ID)
        self._amendment_ids = count(1)
        self._timers: dict[tuple[str, str], asyncio.TimerHandle] = {}
        self._stop_listening = exchange.listen(self._on_report)

    def add(self, account: Account) -> None:
        self.accounts[account.name] = account
        self.by_key[account.key] = account

    def close(self) -> None:
        self._stop_listening()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # --- ordinary orders ---

    def place(self, account: Account, params: Params) -> Json:
        """`POST /fapi/v1/order`."""
        wanted = self._read_order(account, params)
        order = self._send(account, wanted, wanted.client_id)
        if wanted.detail.good_till_ms and order.is_working:
            self._expire_at(account, order, wanted.detail.good_till_ms)
        if wanted.detail.response == "ACK":
            order = replace(order, status=OrderStatus.NEW, filled=ZERO, average_price=None)
        return wire.order_reply(order, wanted.detail, wanted.rules)

    def test(self, account: Account, params: Params) -> Json:
        """`POST /fapi/v1/order/test`: the checks of form only."""
        wanted = self._read_order(account, params)
        now = self.now_ms()
        order = Order(
            venue_id="0",
            client_id=wanted.client_id,
            terms=wanted.terms,
            status=OrderStatus.NEW,
            created_ms=now,
            updated_ms=now,
        )
        return wire.order_reply(order, wanted.detail, wanted.rules)

    def _read_order(self, account: Account, params: Params) -> Wanted:
        hedge_mode = self.exchange.hedge_mode(account.name)
        if self._old_conditional and params.text("type") in CONDITIONAL:
            return read_old_conditional(params, self.listing, self.now_ms(), hedge_mode=hedge_mode)
        if price_match(params, params.text("type")) != "NONE":
            params = self._matched(params, SIDES.get(params.text("side")))
        wanted = read_order(params, self.listing, self.now_ms(), hedge_mode=hedge_mode)
        self._check_band(wanted.rules, wanted.terms.price, wanted.terms.side)
        return wanted

    def _matched(self, params: Params, side: Side | None) -> Params:
        """The parameters with the price of the book that `priceMatch` names, as the book is now."""
        if "price" in params:
            raise Refusal(-1106, "price")
        if side is None:
            raise Refusal(-1117)
        kind, _, place = params.text("priceMatch").partition("_")
        depth = int(place or 1)
        bids, asks = self.exchange.depth(self.listing.rules(params.mandatory("symbol")).symbol, depth)
        levels = asks if (side is Side.BUY) == (kind == "OPPONENT") else bids
        if len(levels) < depth:
            raise Refusal(-4131)
        return params.replaced(price=f"{levels[-1][0]:f}")

    def _check_band(self, rules: Rules, price: Decimal | None, side: Side) -> None:
        if price is not None:
            rules.check_band(price, self.exchange.quote(rules.symbol).mark, buy=side is Side.BUY)

    def _send(self, account: Account, wanted: Wanted, client_id: str) -> Order:
        account.placing = wanted
        try:
            return self.exchange.place(account.name, wanted.terms, client_id)
        except ExchangeRefusal as refusal:
            raise translated(refusal, wire.bare(wanted.rules.instrument.min_notional)) from None
        finally:
            account.placing = None

    def modify(self, account: Account, params: Params) -> Json:
        """`PUT /fapi/v1/order`: new price and total quantity of a working limit order."""
        rules = self.listing.rules(params.mandatory("symbol"))
        if params.mandatory("side") not in ("BUY", "SELL"):
            raise Refusal(-1117)
        order = self._named(account, params, rules.symbol, -2013)
        if not order.is_working:
            raise Refusal(-2013)
        if wire.engine_type(order) != "LIMIT":
            raise Refusal(-5025)
        match = price_match(params, "LIMIT")
        if match != "NONE":
            params = self._matched(params, order.terms.side)
        quantity, price = params.mandatory_decimal("quantity"), params.mandatory_decimal("price")
        rules.check_price(price)
        rules.check_quantity(quantity, market=False)
        self._check_amended_notional(params, order, rules, quantity * price)
        if (quantity, price) == (order.terms.quantity, order.terms.price):
            raise Refusal(-5027)
        self._check_band(rules, price, order.terms.side)
        account.modifying = params.text("modifyId")
        before = self.detail(account, order)
        _keep(account.details, order.venue_id, replace(before, price_match=match), KEPT_DETAILS)
        try:
            changed = self.exchange.modify(account.name, venue_id=order.venue_id, quantity=quantity, price=price)
        except ExchangeRefusal as refusal:
            _keep(account.details, order.venue_id, before, KEPT_DETAILS)
            raise translated(refusal, wire.bare(rules.instrument.min_notional)) from None
        finally:
            account.modifying = ""
        earlier = sum(row["orderId"] == int(order.venue_id) for row in account.amendments)
        number = next(self._amendment_ids)
        account.amendments.append(wire.amendment_row(order, changed, rules, number, earlier + 1, match))
        reply = wire.order_reply(changed, self.detail(account, changed), rules)
        if "modifyId" in params:
            reply["modifyId"] = params.integer("modifyId")
        return reply

    @staticmethod
    def _check_amended_notional(params: Params, order: Order, rules: Rules, size: Decimal) -> None:
        """The minimum holds for a reduce-only order too, unless the request says that it is one."""
        if params.flag("reduceOnly"):
            if not reduces(order.terms):
                raise Refusal(-5047)
        elif size < rules.instrument.min_notional:
            raise Refusal(-4164, wire.bare(rules.instrument.min_notional))

    def cancel(self, account: Account, params: Params) -> Json:
        """`DELETE /fapi/v1/order`."""
        rules = self.listing.rules(params.mandatory("symbol"))
        order = self._named(account, params, rules.symbol, -2011)
        if not order.is_working:
            raise Refusal(-2011)
        ended = self.exchange.cancel(account.name, venue_id=order.venue_id)
        return wire.order_reply(ended, self.detail(account, ended), rules)

    def cancel_all(self, account: Account, symbol: str) -> None:
        """`DELETE /fapi/v1/allOpenOrders`: the ordinary ones; the algo service keeps its own."""
        for order in self.open_orders(account, self.listing.rules(symbol).symbol):
            self.exchange.cancel(account.name, venue_id=order.venue_id)

    def order(self, account: Account, params: Params, *, working: bool = False) -> Json:
        """`GET /fapi/v1/order` and, for working ones only, `openOrder`."""
        rules = self.listing.rules(params.mandatory("symbol"))
        order = self._named(account, params, rules.symbol, -2013)
        if working and not order.is_working:
            raise Refusal(-2013)
        return self.row(account, order)

    def row(self, account: Account, order: Order) -> Json:
        if order.venue_id in account.expired:
            order = replace(order, status=OrderStatus.EXPIRED)
        return wire.order_row(order, self.detail(account, order), self.listing.rules(order.terms.symbol))

    def open_orders(self, account: Account, symbol: str = "") -> list[Order]:
        """Working orders that the matching engine knows: conditional ones once they were triggered."""
        return [order for order in self.exchange.open_orders(account.name, symbol) if self._is_ordinary(account, order)]

    def orders(self, account: Account, symbol: str) -> list[Order]:
        return [order for order in self.exchange.orders(account.name, symbol) if self._is_ordinary(account, order)]

    def fills(self, account: Account, symbol: str = "", since_ms: int = 0) -> list[Fill]:
        return self.exchange.fills(account.name, symbol, since_ms)

    def detail(self, account: Account, order: Order) -> Detail:
        known = account.details.get(order.venue_id)
        if known is not None:
            return known
        terms = order.terms
        return replace(_PLAIN, time_in_force="GTX" if terms.post_only else terms.time_in_force.value.upper())

    def _is_ordinary(self, account: Account, order: Order) -> bool:
        if not wire.is_algo(order):
            return True
        algo = account.algo_of.get(order.venue_id)
        return order.triggered and (algo is None or algo.status != algos.REJECTED)

    def _named(self, account: Account, params: Params, symbol: str, unknown: int) -> Order:
        """The order that `orderId` or `origClientOrderId` names. Raises `Refusal` with the code given."""
        order_id, client_id = params.integer("orderId"), params.text("origClientOrderId")
        if order_id is None and not client_id:
            sentence = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            raise Refusal(-1102, message=sentence)
        names = [{"venue_id": str(order_id)}] if order_id is not None else _client_names(client_id)
        found: list[Order] = []
        for name in names:
            try:
                order = self.exchange.find(account.name, **name)
            except ExchangeRefusal:
                continue
            if order.terms.symbol == symbol and self._is_ordinary(account, order):
                found.append(order)
        if not found:
            raise Refusal(unknown)
        return max(found, key=lambda order: (order.is_working, order.created_ms))

    def _expire_at(self, account: Account, order: Order, at_ms: int) -> None:
        def expire() -> None:
            self._timers.pop((account.name, order.venue_id), None)
            account.expired.add(order.venue_id)
            try:
                self.exchange.cancel(account.name, venue_id=order.venue_id)
            except ExchangeRefusal:
                account.expired.discard(order.venue_id)

        self._after(account, order.venue_id, at_ms - self.now_ms(), expire)

    def _after(self, account: Account, name: str, delay_ms: int, act: Callable[[], None]) -> None:
        self._forget_timer(account, name)
        self._timers[account.name, name] = asyncio.get_running_loop().call_later(delay_ms / 1000, act)

    def _forget_timer(self, account: Account, name: str) -> None:
        timer = self._timers.pop((account.name, name), None)
        if timer is not None:
            timer.cancel()

    def countdown(self, account: Account, params: Params) -> Json:
        """`POST /fapi/v1/countdownCancelAll`: cancel all orders of a symbol unless asked anew in time."""
        symbol = self.listing.rules(params.mandatory("symbol")).symbol
        delay_ms = params.integer("countdownTime")
        if delay_ms is None:
            raise Refusal(-1102, "countdowntime")

        def run_out() -> None:
            self._timers.pop((account.name, symbol), None)
            self.cancel_all(account, symbol)

        self._forget_timer(account, symbol)
        if delay_ms > 0:
            self._after(account, symbol, delay_ms, run_out)
        return {"symbol": symbol, "countdownTime": str(delay_ms)}

    # --- the algo service ---

    def place_algo(self, account: Account, params: Params) -> Json:
        """`POST /fapi/v1/algoOrder`."""
        hedge_mode = self.exchange.hedge_mode(account.name)
        wanted = read_algo_order(params, self.listing, self.now_ms(), hedge_mode=hedge_mode)
        order = self._send(account, wanted, ALGO_PREFIX + wanted.client_id)
        return account.algo_of[order.venue_id].reply()

    def algo(self, account: Account, params: Params, unknown: int) -> AlgoOrder:
        """The algo order that `algoId` or `clientAlgoId` names."""
        algo_id, client_id = params.integer("algoId"), params.text("clientAlgoId")
        if algo_id is None and not client_id:
            sentence = "Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!"
            raise Refusal(-1102, message=sentence)
        if algo_id is not None:
            found = account.algo_orders.get(algo_id)
        else:
            named = [one for one in account.algo_orders.values() if one.client_id == client_id]
            found = next((one for one in reversed(named) if one.is_open), named[-1] if named else None)
        if found is None:
            raise Refusal(unknown)
        return found

    def cancel_algo(self, account: Account, params: Params) -> AlgoOrder:
        """`DELETE /fapi/v1/algoOrder`. Raises `Refusal` -2011 for one that is unknown, triggered or ended."""
        algo = self.algo(account, params, -2011)
        if not algo.is_open:
            raise Refusal(-2011)
        self.exchange.cancel(account.name, venue_id=algo.order.venue_id)
        return algo

    def cancel_all_algos(self, account: Account, symbol: str) -> None:
        """`DELETE /fapi/v1/algoOpenOrders`."""
        for algo in self.open_algos(account, self.listing.rules(symbol).symbol):
            self.exchange.cancel(account.name, venue_id=algo.order.venue_id)

    def open_algos(self, account: Account, symbol: str = "") -> list[AlgoOrder]:
        return [one for one in account.algo_orders.values() if one.is_open and symbol in ("", one.order.terms.symbol)]

    # --- accounts ---

    def positions(self, account: Account, symbol: str = "", *, all_symbols: bool) -> list[Position]:
        """Positions, the empty ones of all symbols too or only of those with working orders."""
        held = {(one.symbol, one.position_side): one for one in self.exchange.positions(account.name)}
        hedge_mode = self.exchange.hedge_mode(account.name)
        sides = (PositionSide.LONG, PositionSide.SHORT) if hedge_mode else (PositionSide.NET,)
        if all_symbols:
            symbols = dict.fromkeys(self.listing.symbols)
        else:
            symbols = dict.fromkeys(name for name, _ in held)
            symbols |= dict.fromkeys(order.terms.symbol for order in self.open_orders(account))
        shown = []
        for name in symbols:
            if symbol not in ("", name):
                continue
            shown += [held.get((name, side)) or self._empty(account, name, side) for side in sides]
        return shown

    def open_interest(self, symbol: str) -> Decimal:
        """What is held long on a symbol, by all accounts here."""
        everybody = (one for name in self.accounts for one in self.exchange.positions(name))
        return sum((one.quantity for one in everybody if one.symbol == symbol and one.quantity > 0), ZERO)

    def _empty(self, account: Account, symbol: str, side: PositionSide) -> Position:
        return Position(
            symbol=symbol,
            position_side=side,
            quantity=ZERO,
            mark_price=self.exchange.quote(symbol).mark,
            leverage=Decimal(self.exchange.leverage(account.name, symbol)),
        )

    # --- what happened ---

    def tell(self, account: Account, event: Json) -> None:
        """Push an event to everybody who listens to the account."""
        for watcher in self.watchers:
            watcher.tell(account, event)

    def _on_report(self, report: Report) -> None:
        if isinstance(report, OrderReport):
            account = self.accounts.get(report.account)
            if account is not None:
                self._on_order(account, report)
        elif isinstance(report, AccountReport):
            account = self.accounts.get(report.account)
            if account is not None:
                self._on_account(account, report)

    def _on_order(self, account: Account, report: OrderReport) -> None:
        order = report.order
        wanted = account.placing
        if report.execution is Execution.NEW and wanted is not None and order.client_id.endswith(wanted.client_id):
            _keep(account.details, order.venue_id, wanted.detail, KEPT_DETAILS)
        if report.fill is not None:
            self._book(account, report, report.fill)
        if not wire.is_algo(order):
            self._flush_trigger(account)
            if report.execution is Execution.TRIGGERED:
                self._tell_order(account, report, wire.old_trigger_event)
            self._tell_order(account, report)
            sentence = _rejection(report) if order.triggered else ""
            if sentence:
                self.tell(account, wire.trigger_reject_event(report, sentence, self.now_ms()))
            return
        algo = account.algo_of.get(order.venue_id)
        if algo is None:
            algo = self._new_algo(account, order)
        algo.order, algo.updated_ms = order, report.time_ms
        if account.triggering is not None and account.triggering[0] is algo and self._rejected(account, algo, report):
            return
        self._flush_trigger(account)
        self._on_algo(account, algo, report)

    def _new_algo(self, account: Account, order: Order) -> AlgoOrder:
        client_id = order.client_id.removeprefix(ALGO_PREFIX)
        rules = self.listing.rules(order.terms.symbol)
        algo = AlgoOrder(next(self._algo_ids), client_id, order, self.detail(account, order), rules)
        if len(account.algo_orders) >= KEPT_ALGO_ORDERS:
            oldest = next((one for one in account.algo_orders.values() if one.status in algos.FINAL), None)
            if oldest is not None:
                del account.algo_orders[oldest.algo_id], account.algo_of[oldest.order.venue_id]
        account.algo_orders[algo.algo_id] = account.algo_of[order.venue_id] = algo
        return algo

    def _on_algo(self, account: Account, algo: AlgoOrder, report: OrderReport) -> None:
        execution = report.execution
        if execution is Execution.TRIGGERED:
            algo.trigger_ms = report.time_ms
            self._algo_status(account, algo, algos.TRIGGERING)
            account.triggering = (algo, report)
            asyncio.get_running_loop().call_soon(self._flush_trigger, account)
        elif not report.order.triggered:
            status = {Execution.CANCELLED: algos.CANCELED, Execution.EXPIRED: algos.EXPIRED}.get(execution, algos.NEW)
            algo.reason = report.order.reason if status is algos.EXPIRED else ""
            self._algo_status(account, algo, status)
        else:
            self._tell_order(account, report)
            if report.order.status.is_final:
                self._algo_status(account, algo, algos.FINISHED)

    def _algo_status(self, account: Account, algo: AlgoOrder, status: str) -> None:
        algo.status = status
        self.tell(account, algo.event(status, self.now_ms()))

    def _flush_trigger(self, account: Account) -> None:
        """Tell of a triggered order that came into the matching engine, now that it is known not to be rejected there."""
        if account.triggering is None:
            return
        algo, report = account.triggering
        account.triggering = None
        self._tell_order(account, report)
        newest, algo.order = algo.order, report.order
        self._algo_status(account, algo, algos.TRIGGERED)
        algo.order = newest

    def _rejected(self, account: Account, algo: AlgoOrder, report: OrderReport) -> bool:
        sentence = _rejection(report)
        if not sentence:
            return False
        account.triggering = None
        algo.reason = sentence
        self._algo_status(account, algo, algos.REJECTED)
        return True

    def _tell_order(self, account: Account, report: OrderReport, make: OrderEvent = wire.order_event) -> None:
        if not self.watchers:
            return
        order = report.order
        if order.venue_id in account.expired:
            order = replace(order, status=OrderStatus.EXPIRED)
            report = replace(report, order=order, execution=Execution.EXPIRED)
        now = self.now_ms()
        bids, asks = self._working_notionals(account, order.terms.symbol)
        if report.fill is not None:
            self.tell(account, wire.trade_lite_event(report, now))
        event = make(report, self.detail(account, order), bids, asks, now)
        if account.modifying and report.execution is Execution.AMENDED:
            event["o"]["M"] = account.modifying
        self.tell(account, event)
        if order.status.is_final:
            self._forget_timer(account, order.venue_id)

    def _working_notionals(self, account: Account, symbol: str) -> tuple[Decimal, Decimal]:
        sums = {Side.BUY: ZERO, Side.SELL: ZERO}
        for order in self.open_orders(account, symbol):
            if order.terms.price is not None:
                sums[order.terms.side] += order.terms.price * (order.terms.quantity - order.filled)
        return sums[Side.BUY], sums[Side.SELL]

    def _book(self, account: Account, report: OrderReport, fill: Fill) -> None:
        key = (fill.symbol, fill.position_side)
        account.moved_ms[key] = report.time_ms
        if fill.fee:
            self._earn(account, fill, "COMMISSION", -fill.fee)
        if report.realised:
            _keep(account.realised, fill.execution_id + fill.venue_id, report.realised, KEPT_INCOME)
            account.earned[key] = account.earned.get(key, ZERO) + report.realised
            self._earn(account, fill, "REALIZED_PNL", report.realised)

    def _earn(self, account: Account, fill: Fill, kind: str, amount: Decimal) -> None:
        account.income.append(
            {
                "symbol": fill.symbol,
                "incomeType": kind,
                "income": wire.money(amount),
                "asset": fill.fee_asset,
                "info": kind if kind == "COMMISSION" else fill.execution_id,
                "time": fill.time_ms,
                "tranId": int(f"{fill.time_ms}{fill.execution_id}"),
                "tradeId": fill.execution_id,
            }
        )

    def realised(self, account: Account, fill: Fill) -> Decimal:
        return account.realised.get(fill.execution_id + fill.venue_id, ZERO)

    def _on_account(self, account: Account, report: AccountReport) -> None:
        self._flush_trigger(account)
        if report.cause not in wire_accounts.REASONS or report.cause is Cause.MARGIN_TYPE:
            return
        if report.cause in (Cause.DEPOSIT, Cause.WITHDRAW):
            self._transfer(account, report)
        if not self.watchers:
            return
        isolated = [one.symbol for one in report.positions if self.exchange.isolated(account.name, one.symbol)]
        asset, now = report.balance.currency, self.now_ms()
        self.tell(
            account,
            wire_accounts.account_event(report, asset=asset, isolated=isolated, realised=account.earned, now_ms=now),
        )

    def _transfer(self, account: Account, report: AccountReport) -> None:
        account.income.append(
            {
                "symbol": "",
                "incomeType": "TRANSFER",
                "income": wire.money(report.change),
                "asset": report.balance.currency,
                "info": "TRANSFER",
                "time": report.time_ms,
                "tranId": report.time_ms,
                "tradeId": "",
            }
        )


def _rejection(report: OrderReport) -> str:
    """Why the matching engine would not have a triggered order; empty where it took it."""
    if report.execution is not Execution.EXPIRED or report.order.filled:
        return ""
    return next((sentence for reason, sentence in _REJECTIONS.items() if report.order.reason.startswith(reason)), "")


def _client_names(client_id: str) -> list[dict[str, str]]:
    return [{"client_id": client_id}, {"client_id": ALGO_PREFIX + client_id}]


def _keep(kept: dict[str, V], name: str, value: V, most: int) -> None:
    """Remember, and forget the oldest where there are too many."""
    kept[name] = value
    if len(kept) > most:
        del kept[next(iter(kept))]
