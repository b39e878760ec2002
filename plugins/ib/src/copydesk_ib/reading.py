"""Reads the truth of one account.

TWS is asked once for all accounts of a login: who reads at the same time shares the answer. `time_ms` is the time
before the first question. Where anything was told while parts were read, all is read once more, so that in quiet times
they fit together.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal

from copydesk.errors import NotReady
from copydesk.model import Order, Scope, Snapshot, SnapshotRequest
from msgspec.structs import replace

from copydesk_ib.login import Login, now_ms
from copydesk_ib.sending import Desk

SECOND_MS = 1_000


async def read_snapshot(login: Login, desk: Desk, request: SnapshotRequest) -> Snapshot:
    """Orders, positions, balance, fills and prices of an account, or the looked-up orders. Raises `NotReady`."""
    if not login.up:
        raise NotReady(login.why)
    if request.scope is Scope.ORDERS:
        at_ms = now_ms()
        await login.refresh()
        found, absent = _looked_up(desk, request)
        return Snapshot(
            account=request.account, scope=Scope.ORDERS, time_ms=at_ms, orders=tuple(found.values()), absent=absent
        )
    heard = login.heard
    snapshot = await _whole(login, desk, request)
    return snapshot if login.heard == heard else await _whole(login, desk, request)


async def _whole(login: Login, desk: Desk, request: SnapshotRequest) -> Snapshot:
    at_ms = now_ms()
    _, balance = await asyncio.gather(login.refresh(), login.purses.read(desk.account))
    found, absent = _looked_up(desk, request)
    for order in _told(login, desk, request):
        found[order.venue_id] = replace(order, account=request.account)
    positions = [replace(held, account=request.account) for held in login.holdings.of(desk.account)]
    symbols = {order.terms.symbol for order in found.values()} | {one.symbol for one in positions} | {*request.symbols}
    fills = login.book.fills_of(desk.account, request.since_ms) if request.since_ms else []
    prices = await _prices(login, symbols)
    if not login.up:
        raise NotReady(login.why)
    return Snapshot(
        account=request.account,
        time_ms=at_ms,
        orders=tuple(found.values()),
        positions=tuple(positions),
        balance=replace(balance, account=request.account, time_ms=at_ms),
        fills=tuple(replace(fill, account=request.account) for fill in fills),
        absent=absent,
        prices=prices,
    )


def _looked_up(desk: Desk, request: SnapshotRequest) -> tuple[dict[str, Order], tuple[str, ...]]:
    """The looked-up orders by IB's number, and the names of those that there are not."""
    found: dict[str, Order] = {}
    absent: list[str] = []
    for ref in request.look_up:
        order = desk.look_up(ref)
        if order is None:
            absent.append(ref.client_id or ref.venue_id)
        else:
            found[order.venue_id] = replace(order, account=request.account)
    return found, tuple(absent)


def _told(login: Login, desk: Desk, request: SnapshotRequest) -> list[Order]:
    """Working orders, and those that ended or changed since the time. What waits for another order is not told."""
    since = request.since_ms // SECOND_MS * SECOND_MS
    return [
        known.told
        for known in login.book.of(desk.account)
        if known.told is not None and (known.is_working or (request.since_ms and known.updated_ms >= since))
    ]


async def _prices(login: Login, symbols: set[str]) -> dict[str, Decimal]:
    """The last prices, as far as TWS gives any: most have to be paid for."""
    listed = [found for symbol in sorted(symbols) if (found := login.catalogue.by_symbol(symbol)) is not None]
    prices = await asyncio.gather(*(login.quotes.price(one) for one in listed))
    return {one.symbol: price for one, price in zip(listed, prices, strict=True) if price is not None}
