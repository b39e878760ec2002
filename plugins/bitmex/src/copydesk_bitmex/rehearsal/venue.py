"""BitMEX's own rules over the paper exchange: accounts, ids, client ids for ever, orders taken and cancelled at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from copydesk.model import ZERO, Instrument, Order, OrderStatus, OrderType, Position, RejectReason, Side, Terms
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Execution, OrderReport
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_bitmex.rehearsal import wire
from copydesk_bitmex.rehearsal.wire import Json
from copydesk_bitmex.translate import CLOSE, ORDER_TYPES, POST_ONLY, REDUCE_ONLY, SIDES, TIMES, TRAILING, TRIGGERS, UNIT_OF

STILLBORN = 0x80000000
"""Numbers of orders that never reached the exchange begin here."""


class Refusal(Exception):
    """An error as BitMEX said it."""

    def __init__(self, sentence: str, status: int = 400, name: str = "ValidationError") -> None:
        super().__init__(sentence)
        self.status = status
        self.name = name


SENTENCES: dict[str, str] = {
    # (detail of the exchange's refusal: the venue's sentence)
    "unknown-symbol": "symbol is invalid",
    "price-tick": "Invalid price tickSize",
    "price-band": "Invalid price",
    "quantity-step": "Order quantity must be a multiple of lot size",
    "min-quantity": "Order quantity must be a multiple of lot size",
    "max-quantity": "orderQty is invalid",
    "insufficient-margin": "Account has insufficient Available Balance",
    "would-trigger": "Invalid stopPx for ordType",
    "unknown-order": "Not Found",
    "unchanged": "Invalid amend: orderQty, leavesQty, price, stopPx unchanged",
    "trail": "Invalid pegOffsetValue",
    "leverage": "leverage is invalid",
}
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


def refusal(error: ExchangeRefusal) -> Refusal:
    sentence = SENTENCES.get(error.detail, str(error))
    if error.reason is RejectReason.NOT_FOUND:
        return Refusal(sentence, 404, "HTTPError")
    return Refusal(sentence)


@dataclass(slots=True)
class Account:
    """One account. `extras`: what the exchange does not keep of an order, by its number."""

    name: str
    number: int
    key: str
    secret: bytes
    extras: dict[str, Json] = field(default_factory=dict)
    client_ids: dict[str, str] = field(default_factory=dict)
    stillborn: dict[str, Order] = field(default_factory=dict)
    executions: list[Json] = field(default_factory=list)
    placing: Json | None = None
    dead_man: asyncio.TimerHandle | None = None  # cancels all its orders, unless it is put off again

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


class Venue:
    """Orders as BitMEX had them. `told` is called with (account, table, action, rows) for private streams."""

    def __init__(self, exchange: Exchange, now_ms: Callable[[], int]) -> None:
        self.exchange = exchange
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
        found = self.exchange.instruments.get(str(symbol))
        if found is None:
            raise Refusal("symbol is invalid")
        return found

    # --- rows ---

    def row(self, account: Account, order: Order) -> Json:
        extra = account.extras.get(order.venue_id) or account.placing or {}
        return wire.order(order, self.exchange.instruments[order.terms.symbol], account.number, extra)

    def orders(self, account: Account, symbol: str = "") -> list[Order]:
        """All, the oldest first."""
        every = [*self.exchange.orders(account.name, symbol)]
        every += [order for order in account.stillborn.values() if symbol in ("", order.terms.symbol)]
        return sorted(every, key=lambda order: (order.created_ms, int(order.venue_id)))

    def find(self, account: Account, order_id: str = "", client_id: str = "") -> Order:
        """Raises `Refusal`."""
        number = str(wire.number_of(order_id)) if order_id else account.client_ids.get(client_id, "")
        if number in account.stillborn:
            return account.stillborn[number]
        try:
            return self.exchange.find(account.name, venue_id=number or "-1")
        except ExchangeRefusal as error:
            raise refusal(error) from None

    # --- orders ---

    def place(self, account: Account, wanted: Json) -> Json:
        """Raises `Refusal`."""
        terms, extra = self._read(wanted)
        client_id = str(wanted.get("clOrdID") or "")
        if len(client_id) > 36:
            raise Refusal("clOrdID is too long")
        if client_id in account.client_ids:
            raise Refusal("Duplicate clOrdID")
        extra |= {"clOrdID": client_id, "clOrdLinkID": str(wanted.get("clOrdLinkID") or "")}
        account.placing = extra
        try:
            placed = self.exchange.place(account.name, terms)
        except ExchangeRefusal as error:
            if error.detail not in TAKEN_AND_CANCELLED:
                raise refusal(error) from None
            placed = self._still_born(account, terms, extra, TAKEN_AND_CANCELLED[error.detail])
        finally:
            account.placing = None
        account.extras[placed.venue_id] = extra
        if client_id:
            account.client_ids[client_id] = placed.venue_id
        return self.row(account, placed)

    def _still_born(self, account: Account, terms: Terms, extra: Json, why: str) -> Order:
        """Taken, and cancelled at once."""
        now = self.now_ms()
        number = str(STILLBORN + next(self._numbers))
        order = Order(venue_id=number, terms=terms, status=OrderStatus.NEW, created_ms=now, updated_ms=now)
        account.extras[number] = extra
        self.told(account, "order", "insert", [self.row(account, order)])
        ended = replace(order, status=OrderStatus.CANCELLED, reason=why)
        account.stillborn[number] = ended
        row = self.row(account, ended)
        self.told(account, "order", "update", [_changes(self.row(account, order), row)])
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
                percent, trail = self._trail(order.terms.symbol, order.terms.side, offset)
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
        return self.row(account, self.exchange.cancel(account.name, venue_id=order.venue_id))

    def cancel_all_after(self, account: Account, timeout_ms: int) -> Json:
        """Cancel all orders after a while, instead of when that was to be before; zero is never."""
        if account.dead_man is not None:
            account.dead_man.cancel()
        now, account.dead_man = self.now_ms(), None
        if not timeout_ms:
            return {"now": wire.iso(now), "cancelTime": 0}
        account.dead_man = asyncio.get_running_loop().call_later(timeout_ms / 1000, self._cancel_all, account)
        return {"now": wire.iso(now), "cancelTime": wire.iso(now + timeout_ms)}

    def _cancel_all(self, account: Account) -> None:
        for order in self.exchange.open_orders(account.name):
            self.cancel(account, self.exchange.find(account.name, venue_id=order.venue_id))

    def _read(self, wanted: Json) -> tuple[Terms, Json]:
        """What is asked for. BitMEX guesses what is left out: the side from a sign, the type from the prices."""
        instrument = self.instrument(wanted.get("symbol"))
        does = {part.strip() for part in str(wanted.get("execInst") or "").split(",") if part.strip()}
        quantity = amount(wanted, "orderQty")
        if quantity is None and CLOSE not in does:
            raise Refusal("orderQty is required")
        quantity = quantity or ZERO
        side = self._side(wanted, quantity)
        price, stop, offset = (amount(wanted, name) for name in ("price", "stopPx", "pegOffsetValue"))
        type_ = self._type(wanted, price, stop)
        extra: Json = {"text": str(wanted.get("text") or "") or wire.SUBMITTED}
        if wanted.get("text"):
            extra["text"] = f"{wanted['text']}\n{wire.SUBMITTED}"
        percent = None
        if wanted.get("pegPriceType") == TRAILING:
            if offset is None:
                raise Refusal("pegOffsetValue is required")
            type_, stop = OrderType.TRAILING_STOP, None
            percent, trail = self._trail(instrument.symbol, side, offset)
            extra |= trail
        if type_.has_price and price is None:
            raise Refusal("price is required")
        if type_.has_trigger and stop is None:
            raise Refusal("stopPx is required")
        time_in_force = TIMES.get(str(wanted.get("timeInForce") or "GoodTillCancel"))
        if time_in_force is None:
            raise Refusal("timeInForce is invalid")
        trigger = next((TRIGGERS[word] for word in does if word in TRIGGERS), TRIGGERS["MarkPrice"])
        closes = CLOSE in does
        terms = Terms(
            symbol=instrument.symbol,
            side=side,
            type=type_,
            quantity=abs(quantity),
            price=price if type_.has_price else None,
            trigger_price=stop if type_.has_trigger else None,
            trigger_by=trigger if type_.is_conditional else TRIGGERS["LastPrice"],
            trail_percent=percent,
            time_in_force=time_in_force if type_.has_price else TIMES["GoodTillCancel"],
            post_only=POST_ONLY in does,
            reduce_only=(REDUCE_ONLY in does or closes) and (type_ is OrderType.MARKET or bool(quantity) or not closes),
            close_position=closes and not quantity and type_.has_trigger,
        )
        return self._closing(terms, does, quantity), extra

    def _closing(self, terms: Terms, does: set[str], quantity: Decimal) -> Terms:
        """`Close` without a quantity, at market or with a limit: reduce-only with as much as could ever be held."""
        if CLOSE not in does or quantity or terms.close_position:
            return terms
        largest = self.exchange.instruments[terms.symbol].max_quantity
        return replace(terms, quantity=largest, reduce_only=True)

    @staticmethod
    def _side(wanted: Json, quantity: Decimal) -> Side:
        word = wanted.get("side")
        if word in (None, ""):
            return Side.SELL if quantity < 0 else Side.BUY
        if word not in SIDES:
            raise Refusal("side is invalid")
        return SIDES[word]

    @staticmethod
    def _type(wanted: Json, price: Decimal | None, stop: Decimal | None) -> OrderType:
        word = str(wanted.get("ordType") or "")
        if word == "Pegged":
            word = "Stop"
        if not word:
            word = (
                ("StopLimit" if price is not None else "Stop")
                if stop is not None
                else ("Limit" if price is not None else "Market")
            )
        if word not in ORDER_TYPES:
            raise Refusal("ordType is invalid")
        return ORDER_TYPES[word]

    def _trail(self, symbol: str, side: Side, offset: Decimal) -> tuple[Decimal, Json]:
        """The exchange trails by a percentage, to a tenth of a percent; BitMEX by an amount, below zero for a sell."""
        if not offset or (offset < 0) != (side is Side.SELL):
            raise Refusal("Invalid pegOffsetValue")
        last = self.exchange.last_price(symbol)
        told = {"pegOffsetValue": wire.real(offset), "stopPx": wire.real(last + offset)}
        return max(Decimal("0.1"), (abs(offset) / last * 100).quantize(Decimal("0.1"))), told

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
        rows = []
        for asset in self.exchange.wallets(account.name):
            if asset in UNIT_OF:
                row = wire.margin(asset, self.exchange.pool(account.name, asset), account.number)
                rows.append({**row, "timestamp": wire.iso(self.now_ms())})
        return rows

    # --- what the exchange tells ---

    def on_order(self, report: OrderReport) -> None:
        """Tell the `order` and `execution` tables: a new row whole, a known one by what changed."""
        account = self.accounts[report.account]
        row = self.row(account, report.order)
        key = (account.name, row["orderID"])
        before = self._rows.get(key)
        self._rows[key] = row
        if before is None:
            self.told(account, "order", "insert", [row])
        elif changes := _changes(before, row):
            self.told(account, "order", "update", [changes])
        if report.order.status.is_final:
            self._rows.pop(key, None)
        instrument = self.exchange.instruments[report.order.terms.symbol]
        number = next(self._numbers)
        execution = wire.execution(row, number, account.number, EXECUTIONS[report.execution], report.fill, instrument)
        account.executions.append(execution)
        self.told(account, "execution", "insert", [execution])

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


def amount(wanted: Json, name: str) -> Decimal | None:
    """A number of a request. Raises `Refusal`."""
    value = wanted.get(name)
    if value in (None, ""):
        return None
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        return Decimal(str(value))
    except InvalidOperation:
        raise Refusal(f"{name} is invalid") from None
