"""The truth of an account: the list of orders, the history, the replay of executions, and the P&L snapshot."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from copydesk.errors import NotReady
from copydesk.model import Balance, Fill, Order, OrderRef, Position, Scope, Snapshot, SnapshotRequest
from copydesk_wire.errors import NoReply, Unreadable
from msgspec.structs import replace

from copydesk_rithmic import errors, reports, translate
from copydesk_rithmic.accounts import Account
from copydesk_rithmic.errors import Refusal
from copydesk_rithmic.flights import Flights
from copydesk_rithmic.library import Message

if TYPE_CHECKING:
    from copydesk_rithmic.session import Session

POSITION, BALANCE = 450, 451
LATE_S = 60
"""A replay of executions reaches so far into the future: clocks differ."""
DAYS = 3
"""How many of the latest days an order is looked for whose time is not known. Trading days begin on the evening before."""


async def read_snapshot(session: Session, request: SnapshotRequest) -> Snapshot:
    """Read one account. Raises `NotReady`, `AuthFailed`, `RateLimited` or `Refused`.

    Read once more where the stream told of anything meanwhile, so that in quiet times the parts fit together exactly.
    """
    account = session.account(request.account)
    try:
        if request.scope is Scope.ORDERS:
            return await _orders(session, account, request)
        heard = session.login.heard.get(account, 0)
        snapshot = await _whole(session, account, request)
        if session.login.heard.get(account, 0) != heard:
            snapshot = await _whole(session, account, request)
        return snapshot
    except Refusal as refusal:
        raise errors.failure(refusal, f"read {account.account_id}") from None
    except NoReply as error:
        raise NotReady(str(error)) from None


async def _orders(session: Session, account: Account, request: SnapshotRequest) -> Snapshot:
    at_ms = session.login.now_ms()
    found = await _settle(session, account, request.look_up)
    return Snapshot(
        account=request.account,
        scope=Scope.ORDERS,
        time_ms=at_ms,
        orders=tuple(session.owned(account, order) for order in found.orders),
        absent=found.absent,
        never_arrived=found.never_arrived,
    )


async def _whole(session: Session, account: Account, request: SnapshotRequest) -> Snapshot:
    login, book, since_ms = session.login, session.book(account), request.since_ms
    at_ms = login.now_ms()
    orders = await _working(session, account)
    if since_ms:
        for order in await _history(session, account, since_ms):
            if order.updated_ms >= since_ms:
                orders[order.venue_id] = order
    fills = await _fills(session, account, since_ms) if since_ms else ()
    positions, balance = await _money(session, account)
    found = await _settle(session, account, request.look_up)
    orders |= {order.venue_id: order for order in found.orders}
    for symbol in {order.terms.symbol for order in orders.values()} | {held.symbol for held in positions}:
        await login.know(symbol)
    prices = {}
    for symbol in sorted({*request.symbols, *(held.symbol for held in positions)} & login.instruments.keys()):
        price = await login.prices.read(symbol)
        if price is not None:
            prices[symbol] = price.last
    name = request.account
    return Snapshot(
        account=name,
        time_ms=at_ms,
        orders=tuple(session.owned(account, book.orders.get(order.venue_id, order)) for order in orders.values()),
        positions=tuple(replace(held, account=name) for held in positions),
        balance=replace(balance, account=name),
        fills=tuple(replace(fill, account=name) for fill in fills),
        absent=found.absent,
        never_arrived=found.never_arrived,
        prices=prices,
        hedge_mode=False if request.settings else None,
    )


# --- orders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What became of orders that were looked up. `settled`: the connections that were gone before Rithmic was asked."""

    flights: Flights
    account: Account
    orders: Sequence[Order] = ()
    absent: tuple[str, ...] = ()
    settled: int = 0
    traded: frozenset[str] = frozenset()

    @property
    def never_arrived(self) -> tuple[str, ...]:
        """As of now: what went out again meanwhile is not among them."""
        lost = self.flights.ended(self.account, self.absent, self.settled)
        return tuple(client_id for client_id in lost if client_id not in self.traded)


async def _settle(session: Session, account: Account, refs: tuple[OrderRef, ...]) -> Found:
    """Look orders up, and tell of those that Rithmic does not have whether they may still come. Raises as asking does.

    One that went out over a connection that is gone, and that neither the list nor the histories nor the executions have,
    never arrived.
    """
    flights = session.login.flights
    if not refs:
        return Found(flights, account)
    settled = session.login.orders.settled
    found = await look_up(session, account, refs)
    known = {order.client_id for order in found} | {order.venue_id for order in found}
    absent = tuple(ref.client_id for ref in refs if ref.client_id not in known and ref.venue_id not in known)
    for order in found:
        flights.end(account, order.client_id)
    for client_id in absent:
        flights.miss(account, client_id)
    lost = flights.ended(account, absent, settled)
    traded: frozenset[str] = frozenset()
    if lost:
        since_ms = min(flight.sent_ms for flight in lost.values()) - LATE_S * 1000
        traded = frozenset(fill.client_id for fill in await _fills(session, account, since_ms))
    return Found(flights, account, found, absent, settled, traded)


async def look_up(session: Session, account: Account, refs: tuple[OrderRef, ...]) -> list[Order]:
    """What Rithmic has of these orders: among those that work, else in the history of the days. Raises `VenueError`."""
    try:
        every = await _working(session, account)
        found = _among(every.values(), refs)
        if len(found) < len(refs):
            since_ms = min((ref.sent_ms for ref in refs), default=0)
            found = _among((every | {o.venue_id: o for o in await _history(session, account, since_ms)}).values(), refs)
    except Refusal as refusal:
        raise errors.failure(refusal, f"look up orders of {account.account_id}") from None
    except NoReply as error:
        raise NotReady(str(error)) from None
    book = session.book(account)
    return [book.orders.get(order.venue_id, order) for order in found]


def _among(orders: Iterable[Order], refs: tuple[OrderRef, ...]) -> list[Order]:
    """Those that are looked for. Of several with one client id, which Rithmic allows, the newest is meant."""
    by_basket = {order.venue_id: order for order in orders}
    by_tag = {order.client_id: order for order in by_basket.values() if order.client_id}
    wanted = (by_basket.get(ref.venue_id) if ref.venue_id else by_tag.get(ref.client_id) for ref in refs)
    return list({order.venue_id: order for order in wanted if order is not None}.values())


async def _working(session: Session, account: Account) -> dict[str, Order]:
    return _learned(session, account, await session.login.orders.ask(320, account))


async def _history(session: Session, account: Account, since_ms: int) -> list[Order]:
    """All orders of the days since then (of the last ones where no time is given), ended ones too."""
    plant = session.login.orders
    rows = await plant.ask(318)
    days = sorted({day for row in rows for day in row.date})
    first = _day(since_ms - 86_400_000) if since_ms else ""
    wanted = [day for day in days if day >= first] if first else days[-DAYS:]
    found: list[Order] = []
    for day in wanted:
        found += _learned(session, account, await plant.ask(324, account, date=day)).values()
    return found


def _learned(session: Session, account: Account, rows: Iterable[Message]) -> dict[str, Order]:
    book = session.book(account)
    return {order.venue_id: order for order in (book.learn(row) for row in rows)}


def _day(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y%m%d")


async def _fills(session: Session, account: Account, since_ms: int) -> tuple[Fill, ...]:
    """The executions since then, each once."""
    first_s, last_s = since_ms // 1000, session.login.now_ms() // 1000 + LATE_S
    if first_s > last_s:
        return ()
    rows = await session.login.orders.ask(3506, account, start_index=first_s, finish_index=last_s)
    fills: dict[tuple[str, str], Fill] = {}
    for row in rows:
        known = session.book(account).orders.get(row.basket_id)
        fill = reports.fill(row, known.client_id if known else "")
        if fill.time_ms >= since_ms:
            fills.setdefault((fill.symbol, fill.execution_id), fill)
    return tuple(fills.values())


# --- money ---------------------------------------------------------------------------------------------------------


async def _money(session: Session, account: Account) -> tuple[list[Position], Balance]:
    rows = await session.login.pnl.ask(402, account)
    positions = [translate.position(row) for row in rows if row.template_id == POSITION]
    balances = [translate.balance(row, account.currency) for row in rows if row.template_id == BALANCE]
    if not balances:
        raise Unreadable(f"Rithmic tells no balance of {account.account_id}")
    return [held for held in positions if held.quantity], balances[-1]


async def symbols_in_use(session: Session) -> list[str]:
    """The symbols of all positions and working orders of the session's accounts. Raises as asking does."""
    symbols: set[str] = set()
    for account in session.by_name.values():
        symbols |= {order.terms.symbol for order in (await _working(session, account)).values()}
        symbols |= {held.symbol for held in (await _money(session, account))[0]}
    return sorted(symbols)
