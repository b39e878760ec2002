"""What the venue has besides its exchange: users, accounts, trade routes, and of each order what only Rithmic keeps.

The paper exchange knows no user tags and no routes. An order of the exchange is a basket here: `basket_of` and `number_of`
lead from one to the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from copydesk.model import Order, OrderStatus, OrderType, Position, RejectReason, Side, Terms, TimeInForce
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Execution, OrderReport, Report
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_rithmic.library import Message
from copydesk_rithmic.rehearsal.products import product_of

BASKETS = 1_684_914_000
FIRST_SEQUENCE = 0x16D5D0
PRICE_TYPES = {
    1: OrderType.LIMIT,
    2: OrderType.MARKET,
    3: OrderType.STOP_LIMIT,
    4: OrderType.STOP_MARKET,
    5: OrderType.TAKE_PROFIT_MARKET,
    6: OrderType.TAKE_PROFIT_LIMIT,
}
DURATIONS = {1: TimeInForce.GTC, 2: TimeInForce.GTC, 3: TimeInForce.IOC, 4: TimeInForce.FOK}
BUY, SELL = 1, 2
LIMIT, MARKET, STOP_MARKET = 1, 2, 4
AUTO = 2
SYNCHRONOUS = frozenset({"price-tick", "quantity-step", "min-quantity", "max-quantity"})
"""What the front door says no to; everything else is refused by risk management or the exchange, with a notification."""
KEPT_REFUSED = 1_000


class Refusal(Exception):
    """The request is refused in its own reply, with `rp_code` of this code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Account:
    """An account; its id is unique with its FCM and IB only. `name` is the exchange's."""

    name: str
    fcm: str
    ib: str


@dataclass(frozen=True)
class User:
    """Who logs in. `beside`: the owner's hand on the same accounts, whom faults leave alone."""

    name: str
    password: str
    accounts: tuple[Account, ...]
    beside: bool = False

    def __repr__(self) -> str:
        return f"User(name={self.name!r}, password=<hidden>)"


@dataclass(slots=True)
class Basket:
    """What Rithmic keeps of an order. `price_type`, `duration`, `placement` in the numbers of the wire."""

    account: Account
    user: str
    tag: str
    route: str
    price_type: int
    duration: int
    placement: int
    window: str = ""
    original: str = ""
    linked: str = ""
    sequence: str = ""
    cancel_asked: bool = False
    stamp: dict[str, int] = field(default_factory=dict)
    refused: Order | None = None
    bracket: Bracket | None = None


@dataclass(slots=True)
class Bracket:
    """What shall stand around an entry once it is filled: distances in ticks, zero for none."""

    type: int
    stop_ticks: int
    target_ticks: int
    stop_quantity: int
    target_quantity: int
    released: int = 0


Notice = tuple[int, dict[str, Any]]
"""A template id and its fields."""


@dataclass
class Desk:
    """`tell` is given each order's reports with its basket, in order, and then `told`; `routes` by exchange."""

    exchange: Exchange
    routes: Mapping[str, str]
    accounts: dict[str, Account] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    baskets: dict[str, Basket] = field(default_factory=dict)
    tell: Callable[[str, Basket, Order, Execution | None, OrderReport | None], None] = lambda *_: None
    told: Callable[[str, Basket, Order, OrderReport], None] = lambda *_: None
    _sequence: int = FIRST_SEQUENCE
    _stamp_us: int = 0

    # --- names and times ---

    def stamp(self) -> dict[str, int]:
        """Now, as the wire says it. No two are the same, so that clients can put events in order."""
        self._stamp_us = max(self._stamp_us + 1, time.time_ns() // 1_000)
        return {"ssboe": self._stamp_us // 1_000_000, "usecs": self._stamp_us % 1_000_000}

    def account(self, user: User, message: Message) -> Account:
        """The account that a request names, if it is the user's. Raises `Refusal`."""
        if not message.fcm_id:
            raise Refusal("1039", "FCM Id field is not received.")
        if not message.ib_id:
            raise Refusal("1040", "IB Id field is not received.")
        if not message.account_id:
            raise Refusal("1041", "Account Id field is not received.")
        for account in user.accounts:
            if (account.name, account.fcm, account.ib) == (message.account_id, message.fcm_id, message.ib_id):
                return account
        raise Refusal("13", "permission denied")

    def symbol(self, message: Message) -> str:
        """The instrument that a request names. Raises `Refusal`."""
        symbol = f"{message.exchange}:{message.symbol}"
        if symbol not in self.exchange.instruments:
            raise Refusal("7", "no data")
        return symbol

    def order(self, basket_id: str) -> Order:
        """The order as it is, under its basket id and its user tag. Raises KeyError."""
        basket = self.baskets[basket_id]
        if basket.refused is not None:
            return basket.refused
        return self.named(self.exchange.find(basket.account.name, venue_id=number_of(basket_id)))

    def named(self, order: Order) -> Order:
        """An order of the exchange in the words of the wire: its basket id and its user tag."""
        basket_id = basket_of(order.venue_id)
        return replace(order, venue_id=basket_id, client_id=self.baskets[basket_id].tag)

    def orders(self, account: Account) -> list[tuple[str, Basket, Order]]:
        """All orders of the account, refused ones too, in the order in which they came."""
        return [
            (basket_id, basket, self.order(basket_id))
            for basket_id, basket in self.baskets.items()
            if basket.account == account
        ]

    # --- orders ---

    def place(self, user: User, account: Account, message: Message, bracket: Bracket | None = None) -> str:
        """Take an order; its basket id. Raises `Refusal` for what the front door refuses; what is refused behind it has a
        basket too, and is told."""
        terms = self._terms(message)
        basket = Basket(
            account=account,
            user=user.name,
            tag=message.user_tag,
            route=message.trade_route,
            price_type=message.price_type,
            duration=message.duration,
            placement=message.manual_or_auto,
            window=message.window_name,
            bracket=bracket,
        )
        return self.enter(basket, terms)

    def _terms(self, message: Message) -> Terms:
        symbol = self.symbol(message)
        type_, tif = PRICE_TYPES.get(message.price_type), DURATIONS.get(message.duration)
        if type_ is None or tif is None or message.transaction_type not in (BUY, SELL) or message.quantity <= 0:
            raise Refusal("6", "bad input: price type, duration, side or quantity")
        if message.trade_route != self.routes.get(message.exchange):
            raise Refusal("6", f"bad input: no trade route {message.trade_route!r} to {message.exchange}")
        if getattr(message, "trailing_stop", False):
            raise Refusal("1112", "Trail by price id field is not received.")
        return Terms(
            symbol=symbol,
            side=Side.BUY if message.transaction_type == BUY else Side.SELL,
            type=type_,
            quantity=Decimal(message.quantity),
            price=number(message.price) if type_.has_price else None,
            trigger_price=number(message.trigger_price) if type_.has_trigger else None,
            time_in_force=tif,
        )

    def enter(self, basket: Basket, terms: Terms) -> str:
        """Take an order of these terms; its basket id. Raises `Refusal` for what the front door refuses."""
        number = self.exchange.reserve_id()
        basket_id = basket_of(str(number))
        self._sequence += 1
        basket.sequence = f"M{self._sequence:X}"
        self.baskets[basket_id] = basket
        try:
            self.exchange.place(basket.account.name, terms, reserved=number)
        except ExchangeRefusal as refusal:
            if refusal.detail in SYNCHRONOUS:
                del self.baskets[basket_id]
                raise Refusal("6", f"bad input: {refusal}") from None
            self._refuse(basket_id, basket, terms, refusal)
        return basket_id

    def _refuse(self, basket_id: str, basket: Basket, terms: Terms, refusal: ExchangeRefusal) -> None:
        """Risk management or the exchange says no: the order has lived, and is complete."""
        margin = refusal.reason is RejectReason.MARGIN
        text = "Rejected at RMS - Available margin exhausted" if margin else f"Rejected by exchange - {refusal}"
        stamp = self.stamp()
        at_ms = stamp["ssboe"] * 1000 + stamp["usecs"] // 1000
        basket.refused = Order(
            venue_id=basket_id,
            client_id=basket.tag,
            terms=terms,
            status=OrderStatus.REJECTED,
            created_ms=at_ms,
            updated_ms=at_ms,
            reason=text,
        )
        self.tell(basket_id, basket, basket.refused, None, None)

    def working(self, account: Account, basket_id: str) -> Basket:
        """The basket of a working order of the account. Raises `Refusal`."""
        basket = self.baskets.get(basket_id)
        if basket is None or basket.account != account or not self.order(basket_id).is_working:
            raise Refusal("1028", "Basket id is not found or its order is complete.")
        return basket

    def modify(self, account: Account, message: Message) -> ExchangeRefusal | None:
        """Change a working order. What is refused behind the front door is returned, to be told. Raises `Refusal`."""
        basket = self.working(account, message.basket_id)
        type_ = self.order(message.basket_id).terms.type
        if message.price_type not in (0, basket.price_type):
            raise Refusal("6", "bad input: the price type of an order does not change here")
        try:
            self.exchange.modify(
                account.name,
                venue_id=number_of(message.basket_id),
                quantity=Decimal(message.quantity) if message.quantity else None,
                price=number(message.price) if type_.has_price and message.price else None,
                trigger_price=number(message.trigger_price) if type_.has_trigger and message.trigger_price else None,
            )
        except ExchangeRefusal as refusal:
            if refusal.detail in SYNCHRONOUS:
                raise Refusal("6", f"bad input: {refusal}") from None
            if refusal.reason is not RejectReason.UNCHANGED:
                return refusal
            self.tell(message.basket_id, basket, self.order(message.basket_id), Execution.AMENDED, None)
        return None

    def cancel(self, account: Account, basket_id: str) -> None:
        """Cancel a working order. Raises `Refusal`."""
        self.working(account, basket_id).cancel_asked = True
        self.exchange.cancel(account.name, venue_id=number_of(basket_id))

    def exit(self, user: User, account: Account, position: Position, placement: int) -> str:
        """Close a position at the market; the basket id."""
        exchange = position.symbol.partition(":")[0]
        basket = Basket(account, user.name, "", self.routes[exchange], MARKET, 1, placement)
        side = Side.SELL if position.quantity > 0 else Side.BUY
        terms = Terms(symbol=position.symbol, side=side, type=OrderType.MARKET, quantity=abs(position.quantity))
        return self.enter(basket, terms)

    # --- what the exchange tells ---

    def on_report(self, report: Report) -> None:
        """Tell it in the venue's words, and to whoever follows it."""
        if not isinstance(report, OrderReport):
            return
        basket_id = basket_of(report.order.venue_id)
        basket = self.baskets[basket_id]
        order = self.named(report.order)
        self.tell(basket_id, basket, order, report.execution, report)
        self.told(basket_id, basket, order, report)

    def product(self, symbol: str) -> str:
        return product_of(symbol.partition(":")[2])


def basket_of(number: str) -> str:
    """The basket id of an order of the exchange."""
    return str(BASKETS + int(number))


def number_of(basket_id: str) -> str:
    """The exchange's number of an order by its basket id."""
    return str(int(basket_id) - BASKETS)


def number(value: float) -> Decimal:
    """A price as it was written before it became a float."""
    return Decimal(repr(value))
