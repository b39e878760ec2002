"""FTX's own rules over the paper exchange: accounts and subaccounts, ids, trigger orders, modify by cancel and replace.

The exchange keeps a conditional order as one order for life. FTX had a service of its own for them: once triggered, an
ordinary order with another id came into being. Here that id is the trigger order's plus `TRIGGERED`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from copydesk.model import Contract, Fill, Instrument, Order, OrderStatus, OrderType, RejectReason, Side, Terms, TimeInForce
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import AccountReport, Execution, OrderReport, Report
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_ftx.rehearsal import wire
from copydesk_ftx.rehearsal.wire import Json
from copydesk_ftx.translate import TRIGGER_PREFIX

TRIGGERED, STILLBORN = 50_000_000_000, 20_000_000_000
LEVERAGES = frozenset({1, 3, 5, 10, 20, 50, 100, 101})


class Refusal(Exception):
    """An error as FTX said it: a sentence, with an HTTP status."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


SENTENCES: dict[str, str] = {
    # (detail of the exchange's refusal: the venue's sentence)
    "unknown-symbol": "No such market",
    "price-tick": "Invalid price",
    "price-band": "Invalid price",
    "quantity-step": "Size too small",
    "min-quantity": "Size too small",
    "min-notional": "Size too small for provide",
    "max-quantity": "Size too large",
    "insufficient-margin": "Account does not have enough margin for order.",
    "reduce-only": "Spot orders cannot be reduce-only",
    "nothing-to-reduce": "Invalid reduce-only order",
    "duplicate-client-id": "Duplicate client order ID",
    "unknown-order": "Order not found",
    "unchanged": "Must modify either price or size",
}


def refusal(error: ExchangeRefusal) -> Refusal:
    sentence = SENTENCES.get(error.detail, str(error))
    return Refusal(sentence, 404 if error.reason is RejectReason.NOT_FOUND else 400)


@dataclass(slots=True)
class Account:
    """One account or subaccount. Subaccounts of one key share it; `subaccount` is empty for the main account."""

    name: str
    key: str
    secret: bytes
    subaccount: str = ""
    identifier: int = 0
    leverage: int = 10
    client_ids: dict[str, str] = field(default_factory=dict)  # every client id ever used -> exchange's venue id
    stillborn: dict[str, Order] = field(default_factory=dict)  # post-only orders that would have taken, by venue id
    details: dict[str, Json] = field(default_factory=dict)  # of trigger orders, by venue id

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


class Venue:
    """Orders and accounts as FTX had them. `told` is called with (account, channel, payload) for private streams."""

    def __init__(self, exchange: Exchange, now_ms: Callable[[], int], taker_fee: Decimal, maker_fee: Decimal) -> None:
        self.exchange = exchange
        self.accounts: dict[str, Account] = {}
        self.told: Callable[[str, str, Json], None] = lambda account, channel, payload: None
        self._now_ms = now_ms
        self._fees = {False: taker_fee, True: maker_fee}
        self._numbers = itertools.count(1)

    def add(self, account: Account) -> None:
        self.accounts[account.name] = account

    def find(self, key: str, subaccount: str) -> Account:
        """The account of a key. Raises `Refusal` as FTX did for wrong keys and subaccounts."""
        owned = [account for account in self.accounts.values() if account.key == key]
        if not owned:
            raise Refusal("Not logged in: Invalid API key", 401)
        for account in owned:
            if account.subaccount == subaccount:
                return account
        raise Refusal("No such subaccount" if subaccount else "Not logged in: Invalid API key", 401)

    def instrument(self, market: Any) -> Instrument:
        found = self.exchange.instruments.get(str(market))
        if found is None:
            raise Refusal(f"No such market: {market}")
        return found

    # --- ids ---

    def number(self, order: Order) -> int:
        """The id of the ordinary order: that which a trigger order became has another one."""
        return int(order.venue_id) + (TRIGGERED if wire.is_trigger(order) else 0)

    def by_number(self, account: Account, number: str) -> Order:
        """The ordinary order of that id. Raises `Refusal`."""
        if not number.isdecimal():
            raise Refusal("Order not found", 404)
        value = int(number)
        if number in account.stillborn:
            return account.stillborn[number]
        try:
            order = self.exchange.find(account.name, venue_id=str(value - TRIGGERED if value >= TRIGGERED else value))
        except ExchangeRefusal:
            raise Refusal("Order not found", 404) from None
        if wire.is_trigger(order) != (value >= TRIGGERED) or (wire.is_trigger(order) and not order.triggered):
            raise Refusal("Order not found", 404)
        return order

    def by_client_id(self, account: Account, client_id: str) -> Order:
        venue_id = account.client_ids.get(client_id)
        if venue_id is None:
            raise Refusal("Order not found", 404)
        return account.stillborn.get(venue_id) or self.exchange.find(account.name, venue_id=venue_id)

    def client_id(self, account: Account, order: Order) -> str | None:
        named = order.client_id if order.client_id in account.client_ids else None
        return None if wire.is_trigger(order) else named

    # --- ordinary orders ---

    def place(self, account: Account, terms: Terms, client_id: str) -> Json:
        """Raises `Refusal`. A client id is good once, for ever."""
        if client_id and client_id in account.client_ids:
            raise Refusal("Duplicate client order ID")
        try:
            placed = self.exchange.place(account.name, terms, client_id)
        except ExchangeRefusal as error:
            if error.detail != "post-only":
                raise refusal(error) from None
            placed = self._still_born(account, terms, client_id)
        if client_id:
            account.client_ids[client_id] = placed.venue_id
        # The reply tells of the order as it was taken: what it traded is told by the stream.
        taken = replace(placed, status=OrderStatus.NEW, filled=Decimal(0), average_price=None)
        return self._rest(account, taken) | {"status": "new"}

    def _still_born(self, account: Account, terms: Terms, client_id: str) -> Order:
        """FTX took a post-only order that would have taken liquidity, and cancelled it at once."""
        now = self._now_ms()
        order = Order(
            venue_id=str(STILLBORN + next(self._numbers)),
            client_id=client_id,
            terms=terms,
            status=OrderStatus.CANCELLED,
            created_ms=now,
            updated_ms=now,
        )
        account.stillborn[order.venue_id] = order
        self.told(account.name, "orders", self._stream(account, replace(order, status=OrderStatus.NEW)) | {"status": "new"})
        self.told(account.name, "orders", self._stream(account, order))
        return order

    def cancel(self, account: Account, order: Order) -> str:
        """Raises `Refusal`."""
        if order.status.is_final:
            raise Refusal("Order already closed")
        self.exchange.cancel(account.name, venue_id=order.venue_id)
        return "Order queued for cancellation"

    def modify(self, account: Account, order: Order, price: Decimal | None, size: Decimal | None, client_id: str) -> Json:
        """FTX cancelled and placed anew, under another id; what was filled counts into the new size no more."""
        if price is None and size is None:
            raise Refusal("Must modify either price or size")
        if order.status.is_final:
            raise Refusal("Order already closed")
        if client_id and client_id in account.client_ids:
            raise Refusal("Duplicate client order ID")
        terms = order.terms
        left = terms.quantity - order.filled
        new = replace(terms, price=price if price is not None else terms.price, quantity=size if size is not None else left)
        self.cancel(account, order)
        return self.place(account, new, client_id)

    def rest(self, account: Account, order: Order) -> Json:
        return self._rest(account, order)

    def _rest(self, account: Account, order: Order) -> Json:
        instrument = self.exchange.instruments[order.terms.symbol]
        payload = wire.order(order, self.number(order), self.client_id(account, order))
        return {**payload, "future": wire.future_of(instrument)}

    def ordinary(self, account: Account, *, open_: bool, market: str = "", since_ms: int = 0) -> list[Order]:
        """Ordinary orders, the newest first: working ones, or all of them."""
        orders = (
            self.exchange.open_orders(account.name, market)
            if open_
            else self.exchange.orders(account.name, market, since_ms)
        )
        plain = [order for order in orders if order.triggered or not wire.is_trigger(order)]
        if not open_:
            plain += [order for order in account.stillborn.values() if market in ("", order.terms.symbol)]
        return sorted(plain, key=lambda order: (order.created_ms, int(order.venue_id)), reverse=True)

    # --- trigger orders ---

    def place_trigger(self, account: Account, terms: Terms, details: Json) -> Json:
        """Raises `Refusal`; a price that is met already is refused, as FTX did."""
        try:
            placed = self.exchange.place(account.name, terms)
        except ExchangeRefusal as error:
            if error.detail == "would-trigger":
                last = self.exchange.last_price(terms.symbol)
                above = terms.trigger_price is not None and terms.trigger_price > last
                raise Refusal(f"Trigger price too {'high' if above else 'low'}") from None
            raise refusal(error) from None
        account.details[placed.venue_id] = details
        return self.trigger(account, placed, modified=True)

    def trigger(self, account: Account, order: Order, *, modified: bool = False) -> Json:
        became = self.number(order) if order.triggered else None
        details = account.details.get(order.venue_id, {})
        return wire.trigger_order(order, int(order.venue_id), became, details, modified=modified)

    def trigger_by_number(self, account: Account, number: str) -> Order:
        try:
            order = self.exchange.find(account.name, venue_id=number)
        except ExchangeRefusal:
            raise Refusal("Order not found", 404) from None
        if not wire.is_trigger(order):
            raise Refusal("Order not found", 404)
        return order

    def cancel_trigger(self, account: Account, order: Order) -> str:
        if order.status.is_final or order.triggered:
            raise Refusal("Order already closed")
        self.exchange.cancel(account.name, venue_id=order.venue_id)
        return "Order cancelled"

    def modify_trigger(self, account: Account, order: Order, changes: dict[str, Decimal]) -> Json:
        """Cancelled and placed anew, under another id."""
        if not changes:
            raise Refusal("Must modify either price or size")
        if order.status.is_final or order.triggered:
            raise Refusal("Order already closed")
        details = account.details.get(order.venue_id, {})
        self.cancel_trigger(account, order)
        return self.place_trigger(account, replace(order.terms, **changes), details)

    def triggers(self, account: Account, *, open_: bool, market: str = "") -> list[Order]:
        """Trigger orders, the newest first: waiting ones, or all of them."""
        orders = self.exchange.orders(account.name, market)
        found = [order for order in orders if wire.is_trigger(order)]
        if open_:
            found = [order for order in found if order.is_working and not order.triggered]
        return sorted(found, key=lambda order: int(order.venue_id), reverse=True)

    # --- the account ---

    def fills(self, account: Account, market: str = "", since_ms: int = 0) -> list[Json]:
        """The newest first."""
        fills = reversed(self.exchange.fills(account.name, market, since_ms))
        return [self._fill(account, fill) for fill in fills]

    def _fill(self, account: Account, fill: Fill) -> Json:
        order = self.exchange.find(account.name, venue_id=fill.venue_id)
        instrument = self.exchange.instruments[fill.symbol]
        return wire.fill(fill, self.number(order), instrument, self._fees[fill.maker])

    def positions(self, account: Account) -> list[Json]:
        exchange = self.exchange
        return [
            wire.position(position, exchange.open_orders(account.name, position.symbol), account.leverage)
            for position in exchange.positions(account.name)
            if exchange.instruments[position.symbol].contract is not Contract.SPOT
        ]

    def info(self, account: Account) -> Json:
        balance = self.exchange.balance(account.name)
        positions = self.positions(account)
        size = sum(abs(row["cost"]) for row in positions)
        equity = float(balance.equity)
        fraction = equity / size if size else None
        return {
            "accountIdentifier": account.identifier,
            "username": f"{account.key[:6]}@example.com" + (f"/{account.subaccount}" if account.subaccount else ""),
            "collateral": float(balance.cash),
            "freeCollateral": float(balance.available),
            "totalAccountValue": equity,
            "totalAccountNav": equity,
            "totalPositionSize": float(size),
            "initialMarginRequirement": 1 / account.leverage,
            "maintenanceMarginRequirement": 0.03,
            "marginFraction": fraction,
            "openMarginFraction": fraction,
            "liquidating": False,
            "backstopProvider": False,
            "positions": positions,
            "takerFee": float(self._fees[False]),
            "makerFee": float(self._fees[True]),
            "leverage": float(account.leverage),
            "positionLimit": None,
            "positionLimitUsed": None,
            "useFttCollateral": True,
            "chargeInterestOnNegativeUsd": False,
            "spotMarginEnabled": False,
            "spotLendingEnabled": False,
        }

    def balances(self, account: Account) -> list[Json]:
        rows = []
        for asset in self.exchange.wallets(account.name):
            pool = self.exchange.pool(account.name, asset)
            total, free = float(self.exchange.wallets(account.name)[asset]), float(max(pool.available, Decimal(0)))
            rows.append(
                {
                    "coin": asset,
                    "total": total,
                    "free": free,
                    "availableWithoutBorrow": free,
                    "usdValue": total,
                    "spotBorrow": 0.0,
                }
            )
        return rows

    def set_leverage(self, account: Account, leverage: int) -> None:
        """For the whole account, as FTX had it."""
        if leverage not in LEVERAGES:
            raise Refusal("Invalid leverage")
        for symbol, instrument in self.exchange.instruments.items():
            if instrument.contract is not Contract.SPOT:
                try:
                    self.exchange.set_leverage(account.name, symbol, leverage)
                except ExchangeRefusal as error:
                    raise Refusal(str(error)) from None
        account.leverage = leverage

    # --- what the exchange tells ---

    def on_report(self, report: Report) -> None:
        """Tell the private streams. FTX had no channel for waiting trigger orders, positions and balances."""
        if isinstance(report, AccountReport) or not isinstance(report, OrderReport):
            return
        account = self.accounts[report.account]
        order = report.order
        if wire.is_trigger(order):
            if report.execution is Execution.TRIGGERED:
                account.details.setdefault(order.venue_id, {})["triggeredAt"] = wire.iso(report.time_ms or self._now_ms())
            if not order.triggered:
                return
        if report.fill is not None:
            self.told(account.name, "fills", self._fill(account, report.fill))
        if report.execution in (Execution.NEW, Execution.TRIGGERED):
            self.told(account.name, "orders", self._stream(account, order) | {"status": "new"})
        else:
            self.told(account.name, "orders", self._stream(account, order))

    def _stream(self, account: Account, order: Order) -> Json:
        client_id = self.client_id(account, order)
        if client_id is None and order.client_id and not order.client_id.startswith("auto-"):
            client_id = order.client_id  # reported before `place` has returned
        return wire.order(order, self.number(order), client_id)


def as_told(order: Order) -> Order:
    """An order of the exchange as FTX's client tells of it: trigger orders have ids of their own, and no client id."""
    if not wire.is_trigger(order):
        return order
    return replace(order, venue_id=TRIGGER_PREFIX + order.venue_id, client_id="")


def terms_of(
    instrument: Instrument,
    side: Side,
    type_: OrderType,
    size: Decimal,
    *,
    price: Decimal | None = None,
    trigger: Decimal | None = None,
    trail_percent: Decimal | None = None,
    ioc: bool = False,
    post_only: bool = False,
    reduce_only: bool = False,
) -> Terms:
    """What the exchange is asked for."""
    return Terms(
        symbol=instrument.symbol,
        side=side,
        type=type_,
        quantity=size,
        price=price,
        trigger_price=trigger,
        trail_percent=trail_percent,
        time_in_force=TimeInForce.IOC if ioc and type_ is OrderType.LIMIT else TimeInForce.GTC,
        post_only=post_only,
        reduce_only=reduce_only,
    )
