"""BitMEX's own rules over the paper exchange: accounts, ids, client ids for ever, orders taken and cancelled at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from copydesk.model import ZERO, Instrument, Order, OrderStatus, OrderType, Position, Terms
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Execution, OrderReport
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_bitmex.rehearsal import wire
from copydesk_bitmex.rehearsal.asked import Asked, Refusal, amount, refusal
from copydesk_bitmex.rehearsal.links import Links
from copydesk_bitmex.rehearsal.wire import Json
from copydesk_bitmex.translate import CANCELS_OTHER, UNIT_OF

TAKEN_AND_CANCELLED: dict[str, str] = {
    "post-only": "Order had execInst of ParticipateDoNotInitiate",
    "nothing-to-reduce": "Order had execInst of Close or ReduceOnly but current position is 0",
    "close-position": "Order had execInst of Close or ReduceOnly but current position is 0",
    "no-liquidity": "Order had no liquidity to take",
    "fok": "Order had timeInForce of FillOrKill",
}
ALWAYS_TOLD = ("currentQty", "markPrice", "liquidationPrice", "timestamp")
EXECUTIONS: dict[Execution, str] = {
    Execution.NEW: "New",
    Execution.AMENDED: "Replaced",
    Execution.TRIGGERED: "TriggeredOrActivatedBySystem",
    Execution.TRADE: "Trade",
    Execution.CANCELLED: "Canceled",
    Execution.EXPIRED: "Canceled",
}


@dataclass(slots=True)
class Account:
    """One account. `extras`: what the exchange does not keep of an order, by its number; `aside`: orders that the exchange
    does not have, for they wait for another one, or were cancelled before they came there."""

    name: str
    number: int
    key: str
    secret: bytes
    extras: dict[str, Json] = field(default_factory=dict)
    client_ids: dict[str, str] = field(default_factory=dict)
    aside: dict[str, Order] = field(default_factory=dict)
    executions: list[Json] = field(default_factory=list)
    dead_man: asyncio.TimerHandle | None = None  # cancels all its orders, unless it is put off again

    def __repr__(self) -> str:
        return f"Account({self.name!r})"

    def kept_of(self, order: Order) -> Json:
        """Empty for a liquidation, which nobody placed."""
        return self.extras.get(order.venue_id, {})


class Venue:
    """Orders as BitMEX had them. `told` is called with (account, table, action, rows) for private streams."""

    def __init__(self, exchange: Exchange, now_ms: Callable[[], int]) -> None:
        self.exchange = exchange
        self.asked = Asked(exchange)
        self.links = Links(self)
        self.now_ms = now_ms
        self.accounts: dict[str, Account] = {}
        self.told: Callable[[Account, str, str, list[Json]], None] = lambda account, table, action, rows: None
        self._rows: dict[tuple[str, str], Json] = {}
        self._numbers = itertools.count(1)

    def add(self, account: Account) -> None:
        self.accounts[account.name] = account

    def by_key(self, key: str) -> Account | None:
        return next((account for account in self.accounts.values() if account.key == key), None)

    def instrument(self, symbol: Any) -> Instrument:
        """Raises `Refusal`."""
        return self.asked.instrument(symbol)

    # --- rows ---

    def row(self, account: Account, order: Order) -> Json:
        instrument = self.exchange.instruments[order.terms.symbol]
        return wire.order(order, instrument, account.number, account.kept_of(order))

    def orders(self, account: Account, symbol: str = "") -> list[Order]:
        """All, the oldest first."""
        every = [*self.exchange.orders(account.name, symbol)]
        every += [order for order in account.aside.values() if symbol in ("", order.terms.symbol)]
        return sorted(every, key=lambda order: (order.created_ms, int(order.venue_id)))

    def working(self, account: Account, symbol: str = "") -> list[Order]:
        """Those that may still trade, the oldest first."""
        return [order for order in self.orders(account, symbol) if order.is_working]

    def find(self, account: Account, order_id: str = "", client_id: str = "") -> Order:
        """Raises `Refusal`."""
        number = str(wire.number_of(order_id)) if order_id else account.client_ids.get(client_id, "")
        if number in account.aside:
            return account.aside[number]
        try:
            return self.exchange.find(account.name, venue_id=number or "-1")
        except ExchangeRefusal as error:
            raise refusal(error) from None

    # --- orders ---

    def place(self, account: Account, wanted: Json) -> Json:
        """Raises `Refusal`."""
        terms, extra = self.asked.read(wanted)
        client_id = extra["clOrdID"]
        if client_id in account.client_ids:
            raise Refusal("Duplicate clOrdID")
        number = str(self.exchange.reserve_id())
        account.extras[number] = extra
        try:
            if self.links.has_to_wait(account, extra):
                placed = self.links.hold(account, number, terms)
            else:
                placed = self.enter(account, number, terms)
        except Refusal:
            del account.extras[number]
            raise
        if client_id:
            account.client_ids[client_id] = number
        return self.row(account, placed)

    def enter(self, account: Account, number: str, terms: Terms) -> Order:
        """Let an order into the market, under its number. Raises `Refusal`."""
        extra = account.extras[number]
        group = extra["clOrdLinkID"] if extra["contingencyType"] == CANCELS_OTHER else ""
        try:
            return self.exchange.place(account.name, terms, reserved=int(number), group=group)
        except ExchangeRefusal as error:
            if error.detail not in TAKEN_AND_CANCELLED:
                raise refusal(error) from None
            return self.end_aside(account, self.new(number, terms), TAKEN_AND_CANCELLED[error.detail])

    def new(self, number: str, terms: Terms) -> Order:
        now = self.now_ms()
        return Order(venue_id=number, terms=terms, status=OrderStatus.NEW, created_ms=now, updated_ms=now)

    def end_aside(self, account: Account, order: Order, why: str) -> Order:
        """Taken, and cancelled without having come to the exchange."""
        self.tell_order(account, order)
        ended = replace(order, status=OrderStatus.CANCELLED, updated_ms=self.now_ms(), reason=why)
        account.aside[order.venue_id] = ended
        self.tell_order(account, ended)
        return ended

    def amend(self, account: Account, wanted: Json) -> Json:
        """Raises `Refusal`."""
        order = self.find(account, str(wanted.get("orderID") or ""), str(wanted.get("origClOrdID") or ""))
        if order.status.is_final:
            raise Refusal("Invalid ordStatus")
        quantity, leaves = amount(wanted, "orderQty"), amount(wanted, "leavesQty")
        if quantity is None and leaves is not None:
            quantity = order.filled + leaves
        changes: dict[str, Any] = {"quantity": quantity, "price": amount(wanted, "price")}
        extra = account.extras[order.venue_id]
        if order.terms.type is OrderType.TRAILING_STOP:
            offset = amount(wanted, "pegOffsetValue")
            if offset is not None:
                percent, trail = self.asked.trail(order.terms.symbol, order.terms.side, offset)
                changes["trail_percent"] = percent
                extra = extra | trail
        else:
            changes["trigger_price"] = amount(wanted, "stopPx")
        before = account.extras[order.venue_id]
        renamed = str(wanted.get("clOrdID") or "")
        if renamed:
            if renamed in account.client_ids:
                raise Refusal("Duplicate clOrdID")
            account.client_ids[renamed] = order.venue_id
            extra = extra | {"clOrdID": renamed}
        named = [name for name in ("orderQty", "leavesQty", "price", "stopPx", "pegOffsetValue") if name in wanted]
        account.extras[order.venue_id] = extra | {"text": f"Amended {' '.join(named)}: {wire.SUBMITTED}"}
        try:
            if order.venue_id in account.aside:
                return self.row(account, self.links.change(account, order, changes))
            amended = self.exchange.modify(account.name, venue_id=order.venue_id, **changes)
        except ExchangeRefusal as error:
            account.extras[order.venue_id] = before
            raise refusal(error) from None
        return self.row(account, amended)

    def cancel(self, account: Account, order: Order) -> Json:
        """The order's row; one that has ended is told with an error in it."""
        if order.status.is_final:
            row = self.row(account, order)
            return {**row, "error": f"Unable to cancel order due to existing state: {row['ordStatus']}"}
        if order.venue_id in account.aside:
            return self.row(account, self.links.drop(account, order, ""))
        return self.row(account, self.exchange.cancel(account.name, venue_id=order.venue_id))

    def cancel_all_after(self, account: Account, timeout_ms: int) -> Json:
        """Cancel all orders after a while, instead of when that was to be before; zero is never."""
        if account.dead_man is not None:
            account.dead_man.cancel()
        now, account.dead_man = self.now_ms(), None
        if not timeout_ms:
            return {"now": wire.iso(now), "cancelTime": 0}
        account.dead_man = asyncio.get_running_loop().call_later(timeout_ms / 1000, self.cancel_all, account)
        return {"now": wire.iso(now), "cancelTime": wire.iso(now + timeout_ms)}

    def cancel_all(
        self, account: Account, symbol: str = "", chosen: Callable[[Json], bool] = lambda row: True
    ) -> list[Json]:
        """Cancel the chosen ones of those that work; one that went with another is left out."""
        rows = []
        for order in self.working(account, symbol):
            now = self.find(account, self.row(account, order)["orderID"])
            if now.is_working and chosen(self.row(account, now)):
                rows.append(self.cancel(account, now))
        return rows

    # --- the account ---

    def positions(self, account: Account) -> list[Json]:
        return [self.position_row(account, position.symbol) for position in self.exchange.positions(account.name)]

    def position_row(self, account: Account, symbol: str) -> Json:
        exchange, name = self.exchange, account.name
        instrument = exchange.instruments[symbol]
        held = next((one for one in exchange.positions(name) if one.symbol == symbol), None)
        if held is None:
            held = Position(symbol=symbol, quantity=ZERO, mark_price=exchange.quote(symbol).mark)
        leverage, isolated = exchange.leverage(name, symbol), exchange.isolated(name, symbol)
        row = wire.position(held, instrument, account.number, leverage, isolated=isolated)
        return {**row, "timestamp": wire.iso(self.now_ms())}

    def margins(self, account: Account) -> list[Json]:
        """Bitcoin first, which clients take for the account's own currency."""
        rows = []
        for asset in sorted(self.exchange.wallets(account.name), key=lambda asset: asset != "XBT"):
            if asset in UNIT_OF:
                row = wire.margin(asset, self.exchange.pool(account.name, asset), account.number)
                rows.append({**row, "timestamp": wire.iso(self.now_ms())})
        return rows

    # --- what the exchange tells ---

    def on_order(self, report: OrderReport) -> None:
        """Tell the `order` and `execution` tables; then let those come that waited for this order, or end them."""
        account, order = self.accounts[report.account], report.order
        row = self.tell_order(account, order)
        kind = EXECUTIONS[Execution.TRIGGERED if self.links.released(account, report) else report.execution]
        instrument = self.exchange.instruments[order.terms.symbol]
        execution = wire.execution(row, next(self._numbers), account.number, kind, report.fill, instrument)
        account.executions.append(execution)
        self.told(account, "execution", "insert", [execution])
        self.links.on_order(account, order)

    def tell_order(self, account: Account, order: Order) -> Json:
        """Tell the `order` table: a new row whole, a known one by what changed. Returns the whole row."""
        row = self.row(account, order)
        key = (account.name, row["orderID"])
        before = self._rows.get(key)
        self._rows[key] = row
        if before is None:
            self.told(account, "order", "insert", [row])
        elif changes := _changes(before, row):
            self.told(account, "order", "update", [changes])
        if order.status.is_final:
            self._rows.pop(key, None)
        return row

    def on_account(self, name: str, symbols: list[str]) -> None:
        """Tell the `position` and `margin` tables by what changed."""
        account = self.accounts[name]
        for symbol in symbols:
            row = self.position_row(account, symbol)
            self._tell_row(account, "position", f"position/{symbol}", row, ("account", "symbol", "currency"))
        for row in self.margins(account):
            self._tell_row(account, "margin", f"margin/{row['currency']}", row, ("account", "currency"))

    def _tell_row(self, account: Account, table: str, name: str, row: Json, keys: tuple[str, ...]) -> None:
        key = (account.name, name)
        before = self._rows.get(key)
        self._rows[key] = row
        if before is None:
            self.told(account, table, "insert", [row])
        else:
            always = {name: row[name] for name in (*keys, *ALWAYS_TOLD) if name in row}
            self.told(account, table, "update", [always | _changes(before, row)])


def _changes(before: Json, now: Json) -> Json:
    """What an update of an order carries: its names, and what is other."""
    changed = {name: value for name, value in now.items() if before.get(name, ...) != value}
    names = {name: now[name] for name in ("orderID", "clOrdID", "account", "symbol") if name in now}
    return names | changed if changed.keys() - {"timestamp", "transactTime"} else {}
