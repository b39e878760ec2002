"""Order lists: OCO (one cancels the other), OTO (one triggers the other), OTOCO (one triggers two of which one cancels the
other), and OPO and OPOCO, which are the last two with what the working order bought for the pending ones' quantity. The
exchange links the two orders of an OCO; what a working order is to trigger waits here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING

from copydesk.model import Order, OrderStatus, Side
from copydesk_paper.exchange import ExchangeRefusal
from copydesk_paper.records import Execution, OrderReport
from msgspec.structs import replace

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.spot import wire
from copydesk_binance.rehearsal.spot.codes import PRICES_OF_OCO, UNKNOWN_ORDER, filter_failure, rejected
from copydesk_binance.rehearsal.spot.order_list import ALL_DONE, OrderList
from copydesk_binance.rehearsal.spot.parameters import Wanted, client_id_of
from copydesk_binance.rehearsal.wire import Json

if TYPE_CHECKING:
    from copydesk_binance.rehearsal.spot.account import Account
    from copydesk_binance.rehearsal.spot.desk import Desk

CONTINGENT = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
_ABOVE_AND_BELOW = CONTINGENT | {"LIMIT_MAKER"}
_WORKING = frozenset({"LIMIT", "LIMIT_MAKER"})
KEPT_LISTS = 2_000


def _check_types(params: Params, *names: str) -> None:
    """The types of the two orders of an OCO are looked at before anything else of them."""
    if any(params.mandatory(name) not in _ABOVE_AND_BELOW for name in names):
        raise Refusal(-1158)


@dataclass
class _Pending:
    """An order that waits for its working order, with what the venue shows of it meanwhile."""

    wanted: Wanted
    order: Order
    one: OrderList


@dataclass
class OrderLists:
    """The order lists of all accounts. A follower of the desk's reports."""

    desk: Desk
    _ids: count[int] = field(default_factory=lambda: count(1))
    _pending: dict[tuple[str, int], _Pending] = field(default_factory=dict)

    # --- placing ---

    def place_oco(self, account: Account, params: Params) -> Json:
        """`POST /api/v3/orderList/oco`."""
        _check_types(params, "aboveType", "belowType")
        legs = [self.desk.reader.read(params, side) for side in ("above", "below")]
        self._check_oco(legs, check_prices=True)
        one = self._new(account, params, "OCO", legs)
        return self._start(account, one, legs, [], params)

    def place_old_oco(self, account: Account, params: Params) -> Json:
        """`POST /api/v3/order/oco`, the deprecated form: a limit order and a stop."""
        limit, stop = ("above", "below") if params.mandatory("side") == "SELL" else ("below", "above")
        named = {
            "price": f"{limit}Price",
            "limitClientOrderId": f"{limit}ClientOrderId",
            "stopPrice": f"{stop}StopPrice",
            "trailingDelta": f"{stop}TrailingDelta",
            "stopLimitPrice": f"{stop}Price",
            "stopLimitTimeInForce": f"{stop}TimeInForce",
            "stopClientOrderId": f"{stop}ClientOrderId",
        }
        kind = "STOP_LOSS_LIMIT" if "stopLimitPrice" in params else "STOP_LOSS"
        types = {f"{limit}Type": "LIMIT_MAKER", f"{stop}Type": kind}
        return self.place_oco(account, params.renamed(named).replaced(**types))

    def place_oto(self, account: Account, params: Params, *, paid: bool = False) -> Json:
        """`POST /api/v3/orderList/oto`. `paid`: the pending order is of what the working one buys."""
        working, pending = self.desk.reader.read(params, "working"), self.desk.reader.read(params, "pending")
        return self._place_oto(account, params, working, [pending], paid=paid)

    def place_otoco(self, account: Account, params: Params, *, paid: bool = False) -> Json:
        """`POST /api/v3/orderList/otoco`. `paid`: the pending orders are of what the working one buys."""
        _check_types(params, "pendingAboveType", "pendingBelowType")
        working = self.desk.reader.read(params, "working")
        pending = [self.desk.reader.read(params, side) for side in ("pendingAbove", "pendingBelow")]
        self._check_oco(pending, check_prices=False)
        return self._place_oto(account, params, working, pending, paid=paid)

    def place_opo(self, account: Account, params: Params) -> Json:
        """`POST /api/v3/orderList/opo`."""
        return self.place_oto(account, self._paid(params), paid=True)

    def place_opoco(self, account: Account, params: Params) -> Json:
        """`POST /api/v3/orderList/opoco`."""
        return self.place_otoco(account, self._paid(params), paid=True)

    @staticmethod
    def _paid(params: Params) -> Params:
        """The parameters with the most that the pending orders can be of, which are asked for without a quantity."""
        if params.mandatory("workingSide") != Side.BUY.name:
            raise Refusal(-1222)
        if params.mandatory("pendingSide") != Side.SELL.name:
            raise Refusal(-1223)
        if "pendingQuantity" in params:
            raise Refusal(-1225, "pendingQuantity")
        return params.replaced(pendingQuantity=params.mandatory("workingQuantity"))

    def _place_oto(self, account: Account, params: Params, working: Wanted, pending: list[Wanted], *, paid: bool) -> Json:
        if working.detail.kind not in _WORKING:
            raise Refusal(-1130, "workingType")
        pending = [replace(leg, detail=replace(leg.detail, paid=paid)) for leg in pending]
        one = self._new(account, params, "OTO", [working, *pending])
        return self._start(account, one, [working], pending, params)

    def _check_oco(self, legs: Sequence[Wanted], *, check_prices: bool) -> None:
        above, below = legs
        if not any(leg.detail.kind in CONTINGENT for leg in legs):
            raise Refusal(-1168)
        sells = above.terms.side is Side.SELL
        stop, target = (below, above) if sells else (above, below)
        if target.detail.kind.startswith("STOP_LOSS"):
            raise Refusal(-1197 if sells else -1196)
        if stop.detail.kind == "LIMIT_MAKER":
            raise Refusal(-1166 if sells else -1165)
        if stop.detail.kind.startswith("TAKE_PROFIT"):
            raise Refusal(-1199 if sells else -1198)
        last = self.desk.exchange.last_price(above.terms.symbol)
        high, low = (leg.terms.trigger_price or leg.terms.price for leg in (above, below))
        beyond = check_prices and ((high is not None and high <= last) or (low is not None and low >= last))
        if beyond or (high is not None and low is not None and high <= low):
            raise rejected(PRICES_OF_OCO)

    def _new(self, account: Account, params: Params, kind: str, legs: Sequence[Wanted]) -> OrderList:
        rules = legs[0].rules
        name = client_id_of(params, "listClientOrderId")
        working = [one for one in account.lists.values() if one.is_open]
        if any(one.client_id == name for one in working):
            raise rejected("Duplicate order sent.")
        if sum(one.symbol == rules.symbol for one in working) >= rules.max_lists:
            raise filter_failure("MAX_NUM_ORDER_LISTS")
        return OrderList(next(self._ids), name, kind, rules.symbol, self.desk.now_ms())

    def _start(self, account: Account, one: OrderList, legs: list[Wanted], pending: list[Wanted], params: Params) -> Json:
        """Place what is placed at once and keep what waits. The list is told before its orders."""
        desk, response = self.desk, params.text("newOrderRespType") or "RESULT"
        numbers = [desk.exchange.reserve_id() for _ in (*legs, *pending)]
        every = [replace(leg, detail=replace(leg.detail, list_id=one.list_id)) for leg in (*legs, *pending)]
        one.names = {number: leg.client_id for number, leg in zip(numbers, every, strict=True)}
        one.open = set(numbers)
        account.lists[one.list_id] = one
        waiting = list(zip(numbers[len(legs) :], every[len(legs) :], strict=True))
        for number, leg in waiting:
            self._wait(account, one, number, leg)
        placing = every[: len(legs)]
        try:
            if one.kind == "OCO":
                orders = desk.send_group(account, placing, reserved=numbers[:2])
            else:
                orders = (desk.send(account, placing[0], reserved=numbers[0]),)
        except Refusal:
            del account.lists[one.list_id]
            for number, _ in waiting:
                del self._pending[account.name, number]
            raise
        if len(account.lists) > KEPT_LISTS:
            del account.lists[next(iter(account.lists))]
        for number, _ in waiting:  # told once the venue has taken the list
            held = self._pending.get((account.name, number))
            if held is not None:
                desk.tell_unplaced(account, held.order, Execution.NEW)
        self._tell(account, one)
        reports = [desk.placed(account, order, response) for order in orders]
        reports += [desk.placed(account, self._shown(account, number), response) for number, _ in waiting]
        return self.head(one, started=True) | {"orderReports": reports}

    def _wait(self, account: Account, one: OrderList, number: int, wanted: Wanted) -> None:
        now = self.desk.now_ms()
        order = Order(
            venue_id=str(number),
            client_id=wanted.client_id,
            terms=wanted.terms,
            status=OrderStatus.NEW,
            created_ms=now,
            updated_ms=now,
        )
        self._pending[account.name, number] = _Pending(wanted, order, one)
        account.details[order.venue_id] = replace(wanted.detail, pending=True)

    def _shown(self, account: Account, number: int) -> Order:
        """A pending order as the reply to its placement shows it, whatever has become of it by then."""
        held = self._pending.get((account.name, number))
        return held.order if held is not None else self.desk.exchange.find(account.name, venue_id=str(number))

    # --- what happens to the orders ---

    def on_report(self, account: Account, report: OrderReport) -> None:
        """Trigger, or end, what waits for this order; end the list with its last order."""
        detail = account.details.get(report.order.venue_id)
        one = account.lists.get(detail.list_id) if detail is not None else None
        if one is None or not report.order.status.is_final:
            return
        number = int(report.order.venue_id)
        one.open.discard(number)
        waiting = [held for (name, _), held in self._pending.items() if name == account.name and held.one is one]
        if waiting and number == next(iter(one.names)):
            if report.order.status is OrderStatus.FILLED:
                self._trigger(account, one, waiting)
            else:
                self._drop(account, one, waiting, report.order.status)
        self._end(account, one)

    def _trigger(self, account: Account, one: OrderList, waiting: list[_Pending]) -> None:
        numbers = [int(held.order.venue_id) for held in waiting]
        for held, number in zip(waiting, numbers, strict=True):
            del self._pending[account.name, number]
            account.details[held.order.venue_id] = replace(held.wanted.detail, pending=False)
        legs = [held.wanted for held in waiting]
        if legs[0].detail.paid:
            bought = self._bought(account, one)
            legs = [replace(leg, terms=replace(leg.terms, quantity=bought)) for leg in legs]
        try:
            if len(legs) == 2:
                self.desk.send_group(account, legs, reserved=numbers)
            else:
                self.desk.send(account, legs[0], reserved=numbers[0])
        except Refusal:
            for held in waiting:
                one.open.discard(int(held.order.venue_id))
                self._tell_end(account, held, OrderStatus.EXPIRED, "REJECTED")

    def _bought(self, account: Account, one: OrderList) -> Decimal:
        """What the working order has brought, in whole steps: its commission is taken from what is free beside it."""
        working = self.desk.find(account, str(next(iter(one.names))))
        instrument = self.desk.listing.rules(one.symbol).instrument
        free, _ = self.desk.balance(account, instrument.base)
        bought = min(free, working.filled) if working is not None else free
        return bought // instrument.quantity_step * instrument.quantity_step

    def _drop(self, account: Account, one: OrderList, waiting: list[_Pending], status: OrderStatus) -> None:
        """The working order ended without being filled: what waits for it ends too."""
        for held in waiting:
            number = int(held.order.venue_id)
            del self._pending[account.name, number]
            one.open.discard(number)
            ended = OrderStatus.CANCELLED if status is OrderStatus.CANCELLED else OrderStatus.EXPIRED
            self._tell_end(account, held, ended, "" if ended is OrderStatus.CANCELLED else "OTO_PHASE_ONE_EXPIRED")

    def _tell_end(self, account: Account, held: _Pending, status: OrderStatus, reason: str) -> None:
        order = replace(held.order, status=status, updated_ms=self.desk.now_ms())
        account.details[order.venue_id] = replace(held.wanted.detail, pending=False, expiry=reason)
        account.keep_unplaced(order)
        cancelled = status is OrderStatus.CANCELLED
        self.desk.tell_unplaced(account, order, Execution.CANCELLED if cancelled else Execution.EXPIRED)

    def _end(self, account: Account, one: OrderList) -> None:
        if one.is_open and not one.open:
            one.status = one.step = ALL_DONE
            one.time_ms = self.desk.now_ms()
            self._tell(account, one)

    def _tell(self, account: Account, one: OrderList) -> None:
        self.desk.tell(account, wire.list_event(one, one.names, self.desk.now_ms()))

    # --- ending and looking ---

    def pending(self, account: Account, symbol: str = "") -> list[Order]:
        """The orders that wait."""
        found = [held.order for (name, _), held in self._pending.items() if name == account.name]
        return [order for order in found if symbol in ("", order.terms.symbol)]

    def cancel_pending(self, account: Account, order: Order, cancel_id: str) -> Json:
        """Cancel an order that waits: its whole list ends."""
        detail = account.details[order.venue_id]
        one = account.lists[detail.list_id]
        self._end_orders(account, one, cancel_id)
        ended = account.unplaced[order.venue_id]
        return wire.cancel_reply(account, ended, account.details[order.venue_id], cancel_id)

    def cancel(self, account: Account, params: Params) -> Json:
        """`DELETE /api/v3/orderList`."""
        symbol = self.desk.listing.rules(params.mandatory("symbol")).symbol
        one = self.named(account, params, -2011, "listClientOrderId")
        if not one.is_open or one.symbol != symbol:
            raise Refusal(-2011, message=UNKNOWN_ORDER)
        return self.cancel_list(account, one, client_id_of(params))

    def cancel_list(self, account: Account, one: OrderList, cancel_id: str) -> Json:
        """End all orders of a list."""
        numbers = sorted(one.open)
        self._end_orders(account, one, cancel_id)
        orders = [self.desk.find(account, str(number)) for number in numbers]
        reports = [
            wire.cancel_reply(account, order, self.desk.detail(account, order), cancel_id)
            for order in orders
            if order is not None
        ]
        return self.head(one) | {"orderReports": reports}

    def _end_orders(self, account: Account, one: OrderList, cancel_id: str) -> None:
        account.cancelling = cancel_id
        try:
            for number in sorted(one.open):
                if number in one.open and (account.name, number) not in self._pending:
                    self.desk.exchange.cancel(account.name, venue_id=str(number))
        except ExchangeRefusal:
            raise Refusal(-2011) from None
        finally:
            account.cancelling = ""

    def named(self, account: Account, params: Params, unknown: int, name: str) -> OrderList:
        list_id, client_id = params.integer("orderListId"), params.text(name)
        if list_id is None and not client_id:
            raise Refusal(-1102, message=f"Param '{name}' or 'orderListId' must be sent, but both were empty/null!")
        for one in reversed(account.lists.values()):
            if one.list_id == list_id or (list_id is None and one.client_id == client_id):
                return one
        raise Refusal(unknown, message="Order list does not exist." if unknown == -2018 else "")

    def head(self, one: OrderList, *, started: bool = False) -> Json:
        head = wire.list_head(one, one.names)
        return head | {"listStatusType": "EXEC_STARTED", "listOrderStatus": "EXECUTING"} if started else head
