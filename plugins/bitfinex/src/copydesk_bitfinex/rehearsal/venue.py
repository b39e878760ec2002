"""Bitfinex's own rules over the paper exchange: order types and flags, client ids that count for a day, OCO, wallets.

The exchange trades a pair on margin as an instrument of its own (`tBTCUST-MARGIN`), with a currency of its own for what is
in the margin wallet. A position keeps its number from opening until it is closed.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from copydesk.model import ZERO, Contract, Fill, Order, OrderStatus, OrderType, Position, Terms
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import AccountReport, Execution, OrderReport, Report
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_bitfinex.rehearsal import wire
from copydesk_bitfinex.rehearsal.asked import (
    PARAMETERS,
    Asked,
    Body,
    Refusal,
    amount_of,
    cut,
    meta_of,
    refusal,
    whole,
    word_of,
)
from copydesk_bitfinex.rehearsal.history import History
from copydesk_bitfinex.rehearsal.wire import Details, Row
from copydesk_bitfinex.symbols import EXCHANGE
from copydesk_bitfinex.translate import (
    CID_BITS,
    OCO,
    cid_date,
    client_id_of,
)

STILLBORN = 20_000_000_000
STILLBORN_BY = {
    # (detail of the exchange's refusal: how the order ends)
    "post-only": OrderStatus.CANCELLED,
    "fok": OrderStatus.EXPIRED,
    "no-liquidity": OrderStatus.EXPIRED,
}


@dataclass(slots=True)
class Account:
    """One account. `told`: wallets as they were told last, by the exchange's asset."""

    name: str
    key: str
    secret: bytes
    number: int
    cids: dict[tuple[str, int], str] = field(default_factory=dict)  # (day, client id) -> venue id
    details: dict[str, Details] = field(default_factory=dict)  # by venue id
    stillborn: dict[str, Order] = field(default_factory=dict)  # taken and cancelled at once, by venue id
    positions: dict[str, tuple[int, int]] = field(default_factory=dict)  # symbol -> (number, since when)
    told: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    history: History = field(default_factory=History)
    filled: Fill | None = None  # the execution that an account is being told of

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


Tell = Callable[[str, str, Any], None]


class Venue:
    """Orders and accounts as Bitfinex has them. `told` is called with (account, kind of frame, array)."""

    def __init__(self, exchange: Exchange, now_ms: Callable[[], int]) -> None:
        self.exchange = exchange
        self.asked = Asked(exchange, now_ms)
        self.accounts: dict[str, Account] = {}
        self.told: Tell = lambda account, kind, data: None
        self.now_ms = now_ms
        self._numbers = itertools.count(1)

    def add(self, account: Account) -> None:
        self.accounts[account.name] = account
        account.told = {asset: self._wallet_numbers(account, asset) for asset in self.exchange.wallets(account.name)}

    def find(self, key: str) -> Account:
        """The account of a key. Raises `Refusal`."""
        for account in self.accounts.values():
            if account.key == key:
                return account
        raise Refusal("apikey: invalid", 10100)

    # --- placing ---

    def submit(self, account: Account, body: Body) -> list[Order]:
        """Take an order; two for one that cancels the other. Raises `Refusal`."""
        word = word_of(body)
        symbol = self.asked.symbol(body, word)
        instrument = self.exchange.instruments[symbol]
        terms, details = self.asked.terms(account.name, body, word, instrument)
        details.cid = self._cid(account, body)
        if details.flags & OCO:
            return self._submit_oco(account, body, terms, details)
        return [self._place(account, terms, details)]

    def _place(self, account: Account, terms: Terms, details: Details) -> Order:
        venue_id = str(self.exchange.reserve_id())
        account.details[venue_id] = details
        try:
            placed = self.exchange.place(account.name, terms, self._client_id(details), reserved=int(venue_id))
        except ExchangeRefusal as error:
            del account.details[venue_id]
            if error.detail not in STILLBORN_BY:
                raise refusal(error, terms, self.exchange.instruments.get(terms.symbol)) from None
            placed = self._still_born(account, terms, details, error.detail)
        account.cids[cid_date(placed.created_ms), details.cid] = placed.venue_id
        if details.mts_tif is not None:
            wait_s = max(0, details.mts_tif - self.now_ms()) / 1000
            asyncio.get_running_loop().call_later(wait_s, self._expire, account, placed.venue_id)
        return placed

    def _client_id(self, details: Details) -> str:
        return client_id_of(details.cid, details.meta)

    def _submit_oco(self, account: Account, body: Body, terms: Terms, details: Details) -> list[Order]:
        stop_price = cut(amount_of(body, "price_oco_stop"))
        if terms.type is not OrderType.LIMIT or stop_price is None:
            raise Refusal("Invalid order: OCO is for limit orders with price_oco_stop")
        ids = [self.exchange.reserve_id(), self.exchange.reserve_id()]
        stop = replace(terms, type=OrderType.STOP_MARKET, price=None, trigger_price=stop_price, post_only=False)
        word = f"{EXCHANGE}STOP" if details.word.startswith(EXCHANGE) else "STOP"
        second = self._cid(account, {"cid": body["cid_oco"]} if "cid_oco" in body else {}, after=details.cid)
        gid = details.gid if details.gid is not None else details.cid
        details.gid = gid
        other = Details(word, second, gid, details.flags, dict(details.meta), placed_id=ids[0])
        account.details |= {str(ids[0]): details, str(ids[1]): other}
        legs = [(terms, self._client_id(details)), (stop, self._client_id(other))]
        try:
            placed = self.exchange.place_group(account.name, legs, reserved=ids)
        except ExchangeRefusal as error:
            for number in ids:
                del account.details[str(number)]
            raise refusal(error, terms, self.exchange.instruments.get(terms.symbol)) from None
        for order, kept in zip(placed, (details, other), strict=True):
            account.cids[cid_date(order.created_ms), kept.cid] = order.venue_id
        return list(placed)

    def _still_born(self, account: Account, terms: Terms, details: Details, why: str) -> Order:
        """What cannot stand is taken, and cancelled at once: post-only that would take, fill-or-kill that cannot be filled,
        a market order that nobody stands against."""
        now = self.now_ms()
        venue_id = str(STILLBORN + next(self._numbers))
        order = Order(
            venue_id=venue_id,
            client_id=self._client_id(details),
            terms=terms,
            status=STILLBORN_BY[why],
            created_ms=now,
            updated_ms=now,
            reason=why,
        )
        account.details[venue_id], account.stillborn[venue_id] = details, order
        self.told(account.name, "on", wire.order(replace(order, status=OrderStatus.NEW), details))
        self.told(account.name, "oc", wire.order(order, details))
        return order

    def _expire(self, account: Account, venue_id: str) -> None:
        order = self.exchange.find(account.name, venue_id=venue_id)
        if order.is_working:
            self.exchange.cancel(account.name, venue_id=venue_id)

    def _cid(self, account: Account, body: Body, after: int = 0) -> int:
        """A client id counts for one day, in UTC, and is given once in it. Without one it is the time in milliseconds."""
        cid = whole(body, "cid")
        if cid is None:
            cid = max(self.now_ms(), after + 1)
            while (cid_date(self.now_ms()), cid) in account.cids:
                cid += 1
            return cid
        if not 0 <= cid < 1 << CID_BITS:
            raise Refusal("cid: invalid", PARAMETERS)
        if (cid_date(self.now_ms()), cid) in account.cids:
            raise Refusal("Invalid order: duplicate cid")
        return cid

    # --- changing ---

    def named(self, account: Account, body: Body) -> Order:
        """The working order that a request means: by `id`, or by `cid` and its day. Raises `Refusal`."""
        venue_id = whole(body, "id")
        if venue_id is None:
            cid = whole(body, "cid")
            if cid is None:
                raise Refusal("id: invalid", PARAMETERS)
            day = body.get("cid_date")
            if not isinstance(day, str):
                raise Refusal("cid_date: invalid", PARAMETERS)
            known = account.cids.get((day, cid))
            venue_id = int(known) if known is not None else None
        found = None if venue_id is None else self.known(account, str(venue_id))
        if found is None or found.status.is_final:
            raise Refusal("Order not found.")
        return found

    def known(self, account: Account, venue_id: str) -> Order | None:
        """An order, working or ended."""
        if venue_id in account.stillborn:
            return account.stillborn[venue_id]
        try:
            return self.exchange.find(account.name, venue_id=venue_id)
        except ExchangeRefusal:
            return None

    def cancel(self, account: Account, order: Order) -> None:
        """Raises `Refusal`."""
        try:
            self.exchange.cancel(account.name, venue_id=order.venue_id)
        except ExchangeRefusal:
            raise Refusal("Order not found.") from None

    def update(self, account: Account, order: Order, body: Body) -> Order:
        """Change a working order, which keeps its number. `amount` is what remains then, `delta` is added to it."""
        terms, details = order.terms, account.details[order.venue_id]
        amount, delta = amount_of(body, "amount"), amount_of(body, "delta")
        quantity = terms.quantity
        if amount is not None:
            quantity = order.filled + abs(amount)
        if delta is not None:
            quantity += delta * terms.side.sign
        price, aux = cut(amount_of(body, "price")), cut(amount_of(body, "price_aux_limit"))
        changes: dict[str, Decimal | None] = {"quantity": quantity if quantity != terms.quantity else None}
        if terms.type is OrderType.STOP_LIMIT:
            changes |= {"price": aux, "trigger_price": None if order.triggered else price}
        else:
            changes["trigger_price" if terms.type.has_trigger else "price"] = price
        if terms.type is OrderType.TRAILING_STOP:
            trail = amount_of(body, "price_trailing")
            percent = abs(trail) / self.exchange.last_price(terms.symbol) * 100 if trail else None
            changes = {"quantity": changes["quantity"]}
            changes["trail_percent"] = None if percent is None else max(Decimal("0.1"), percent.quantize(Decimal("0.1")))
            details.trail = abs(trail) if trail else details.trail
        details.updated = True
        if "meta" in body:
            details.meta |= meta_of(body)
        if quantity <= 0:
            raise Refusal("Invalid order: amount is not valid")
        try:
            return self.exchange.modify(account.name, venue_id=order.venue_id, **changes)  # type: ignore[arg-type]
        except ExchangeRefusal as error:
            if error.detail == "unchanged":
                return order
            raise refusal(error, terms, self.exchange.instruments.get(terms.symbol)) from None

    # --- looking ---

    def row(self, account: Account, order: Order) -> Row:
        return wire.order(order, account.details[order.venue_id])

    def working(self, account: Account) -> list[Order]:
        """The newest first."""
        return sorted(self.exchange.open_orders(account.name), key=lambda order: int(order.venue_id), reverse=True)

    def ended(self, account: Account) -> list[Order]:
        """The one that ended last first."""
        every = [order for order in self.exchange.orders(account.name) if order.status.is_final]
        return sorted(
            [*every, *account.stillborn.values()], key=lambda order: (order.updated_ms, int(order.venue_id)), reverse=True
        )

    def fills(self, account: Account) -> list[Fill]:
        """The newest first."""
        return list(reversed(self.exchange.fills(account.name)))

    def execution(self, account: Account, fill: Fill, *, fee: bool = True) -> Row:
        owner = self.known(account, fill.venue_id)
        assert owner is not None
        return wire.execution(fill, owner, account.details[fill.venue_id], fee=fee)

    def position(self, account: Account, position: Position, *, closed: bool = False) -> Row:
        number, since = account.positions.get(position.symbol, (0, 0))
        if not number:
            number, since = 140_000_000 + next(self._numbers), self.now_ms()
            account.positions[position.symbol] = number, since
        return wire.position(position, number, since, self.now_ms(), closed=closed)

    def positions(self, account: Account) -> list[Row]:
        instruments = self.exchange.instruments
        return [
            self.position(account, position)
            for position in self.exchange.positions(account.name)
            if instruments[position.symbol].contract is not Contract.SPOT
        ]

    def wallets(self, account: Account) -> list[Row]:
        return [wire.wallet(asset, *self._wallet_numbers(account, asset)) for asset in self.exchange.wallets(account.name)]

    def _wallet_numbers(self, account: Account, asset: str) -> tuple[Decimal, Decimal]:
        balance = self.exchange.wallets(account.name)[asset]
        return balance, self.exchange.pool(account.name, asset).available

    def margin_base(self, account: Account) -> Row:
        """`[USER_PL, USER_SWAPS, MARGIN_BALANCE, MARGIN_NET, MARGIN_MIN]`"""
        balance = self.exchange.balance(account.name)
        profit = balance.equity - balance.cash
        told = (profit, ZERO, balance.cash, balance.equity, max(ZERO, balance.equity - balance.available))
        return [wire.number(value) for value in told]

    # --- what the exchange tells ---

    def on_report(self, report: Report) -> None:
        """Tell the private streams."""
        if isinstance(report, OrderReport):
            self._on_order(self.accounts[report.account], report)
        elif isinstance(report, AccountReport):
            self._on_account(self.accounts[report.account], report)

    def _on_order(self, account: Account, report: OrderReport) -> None:
        order = report.order
        details = account.details.get(order.venue_id)
        if details is None:  # a liquidation's: the venue's own order
            details = account.details[order.venue_id] = Details("MARKET", self.now_ms())
        row = wire.order(order, details)
        if report.execution is Execution.NEW:
            self.told(account.name, "on", row)
            return
        if report.fill is not None:
            account.filled = report.fill
            for kind, fee in (("te", False), ("tu", True)):
                self.told(account.name, kind, wire.execution(report.fill, order, details, fee=fee))
        self.told(account.name, "oc" if order.status.is_final else "ou", row)

    def _on_account(self, account: Account, report: AccountReport) -> None:
        instruments = self.exchange.instruments
        for asset in self.exchange.wallets(account.name):
            numbers = self._wallet_numbers(account, asset)
            if account.told.get(asset) != numbers:
                before = account.told[asset][0] if asset in account.told else ZERO
                if numbers[0] != before:
                    change = numbers[0] - before
                    account.history.booked(asset, change, numbers[0], report.cause, account.filled, self.now_ms())
                account.told[asset] = numbers
                self.told(account.name, "wu", wire.wallet(asset, *numbers))
        account.filled = None
        for position in report.positions:
            if instruments[position.symbol].contract is Contract.SPOT:
                continue
            known = position.symbol in account.positions
            closed = not position.quantity
            if not closed or known:
                row = self.position(account, position, closed=closed)
                if closed:
                    account.history.positions.appendleft(row)
                self.told(account.name, "pc" if closed else "pu" if known else "pn", row)
            if closed:
                account.positions.pop(position.symbol, None)
        worth = wire.number(report.balance.equity)
        self.told(account.name, "bu", [worth, worth])
        self.told(account.name, "miu", ["base", self.margin_base(account)])
