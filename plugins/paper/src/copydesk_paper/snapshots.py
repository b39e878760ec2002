"""The truth of one account as one record."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import MarginSetting, Order, OrderRef, Snapshot, SnapshotRequest
from msgspec.structs import replace

from copydesk_paper.exchange import Exchange
from copydesk_paper.refusal import ExchangeRefusal


def take_snapshot(exchange: Exchange, account: str, request: SnapshotRequest) -> Snapshot:
    """Everything at one moment: the exchange does nothing meanwhile. Without `since_ms` no fills and no ended orders.

    `prices` are those of the asked symbols and of all that orders and positions are on. Raises `ExchangeRefusal` for a
    symbol that does not exist.
    """
    orders = {order.venue_id: order for order in exchange.open_orders(account)}
    if request.since_ms:
        orders |= {order.venue_id: order for order in exchange.orders(account, since_ms=request.since_ms)}
    absent = []
    for ref in request.look_up:
        order = _find(exchange, account, ref)
        if order is not None:
            orders[order.venue_id] = order
        elif ref.client_id:
            absent.append(ref.client_id)
    positions = exchange.positions(account)
    symbols = dict.fromkeys(request.symbols)
    symbols.update(dict.fromkeys(position.symbol for position in positions))
    symbols.update(dict.fromkeys(order.terms.symbol for order in orders.values()))
    return Snapshot(
        time_ms=exchange.now_ms(),
        orders=tuple(replace(order, account="") for order in orders.values()),
        positions=tuple(replace(position, account="") for position in positions),
        balance=replace(exchange.balance(account), account=""),
        fills=tuple(
            replace(fill, account="") for fill in exchange.fills(account, since_ms=request.since_ms) if request.since_ms
        ),
        absent=tuple(absent),
        prices={symbol: exchange.last_price(symbol) for symbol in symbols},
        hedge_mode=exchange.hedge_mode(account) if request.settings else None,
        margins=tuple(_margin(exchange, account, symbol) for symbol in symbols) if request.settings else (),
    )


def _margin(exchange: Exchange, account: str, symbol: str) -> MarginSetting:
    mode = "isolated" if exchange.isolated(account, symbol) else "cross"
    return MarginSetting(symbol=symbol, leverage=Decimal(exchange.leverage(account, symbol)), mode=mode)


def _find(exchange: Exchange, account: str, ref: OrderRef) -> Order | None:
    try:
        return exchange.find(account, venue_id=ref.venue_id, client_id=ref.client_id)
    except ExchangeRefusal:
        return None
