"""The paper exchange as a server on loopback: the wire of `wire.py`, the faults and the control endpoint of `serving`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web
from copydesk.model import (
    BalanceEvent,
    CandleRequest,
    FillEvent,
    LeverageChange,
    MarginSetting,
    NewOrder,
    OrderChange,
    OrderEvent,
    OrderGroup,
    OrderRef,
    PositionEvent,
    PriceEvent,
    RejectReason,
    SnapshotRequest,
    Subscription,
)
from msgspec.structs import replace

from copydesk_paper import wire
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import Market
from copydesk_paper.records import AccountReport, OrderReport, Quote, Report, Trade
from copydesk_paper.refusal import ExchangeRefusal
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour
from copydesk_paper.serving.outbox import Delivery, Outbox
from copydesk_paper.serving.running import Running
from copydesk_paper.serving.signatures import is_same
from copydesk_paper.snapshots import take_snapshot
from copydesk_paper.tape import INTERVALS

FAULTS = ("drop-stream", "lose-reply", "duplicate-events", "reorder", "stall", "partial-fills", "overload")
"""What this server can commit."""
_CHANGES = ("place", "place-group", "modify", "cancel", "set-leverage")


class PaperServer(Frontend):
    """Serves one exchange on one port. `tokens` by account name; the market runs while the server does."""

    def __init__(
        self, exchange: Exchange, market: Market, faults: Iterable[str] = (), *, speed: Decimal = Decimal(1)
    ) -> None:
        super().__init__()
        self.exchange = exchange
        self.tokens: dict[str, str] = {}
        self.misbehaviour = Misbehaviour(Faults(faults, FAULTS), exchange, self.leave, {"overload": _overloaded})
        self.control = Control(exchange, self.misbehaviour)
        self.delivery: Delivery[_Connection] = Delivery(self.misbehaviour.faults)
        self._running = Running(exchange, market, self)
        self._speed = speed
        self._connections: set[_Connection] = set()

    @property
    def faults(self) -> Faults:
        return self.misbehaviour.faults

    @property
    def port(self) -> int:
        return self._running.port

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any that is free. Raises `UsageError` where the port cannot be had."""
        await self._running.start(host, port, speed=self._speed)
        self._running.at_end(self.exchange.listen(self._tell))

    async def stop(self) -> None:
        """Close all connections and end all tasks."""
        await self._running.stop()

    def _tell(self, report: Report) -> None:
        for connection in self._connections:
            connection.tell(report)

    def _account_of(self, request: web.BaseRequest) -> str | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return next((account for account, token in self.tokens.items() if is_same(given, token)), None)

    # --- what the port hears ---

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        return web.Response(status=404, text=f"nothing here: the exchange is a websocket at {wire.PATH}")

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if path != wire.PATH:
            return await self.answer(request, path, query)
        account = self._account_of(request)
        if account is None:
            return web.Response(status=401, text="the token is not known here")
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=wire.MAX_FRAME)
        await socket.prepare(request)
        connection = _Connection(self, account, socket, request.transport)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            self.delivery.forget(connection)
        return socket

    def drop_all(self) -> None:
        for connection in tuple(self._connections):
            connection.drop()

    async def close(self) -> None:
        for connection in tuple(self._connections):
            await connection.close()


class _Connection(Outbox):
    """One account's websocket. Frames leave through one queue, so that answers and events keep their order."""

    def __init__(
        self, server: PaperServer, account: str, socket: web.WebSocketResponse, transport: asyncio.Transport | None
    ) -> None:
        super().__init__(socket, transport)
        self._exchange = server.exchange
        self._misbehaviour = server.misbehaviour
        self._delivery = server.delivery
        self._account = account
        self._watching = Subscription(private=False)

    async def run(self) -> None:
        instruments = tuple(self._exchange.instruments.values())
        self.push(wire.hello(self._account, self._exchange.now_ms(), instruments))
        await self.serve(self._answer)

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self.socket.close(code=WSCloseCode.GOING_AWAY, message=b"the exchange stops")

    # --- requests ---

    async def _answer(self, text: str) -> None:
        try:
            request = wire.read_request(text)
        except msgspec.MsgspecError as error:
            self.push(wire.refusal(0, RejectReason.OTHER, "bad-request", str(error)))
            return
        try:
            if request.do in _CHANGES:
                result = await self._misbehaviour.trade(self._account, lambda: self._do(request))
            else:
                result = self._do(request)
        except ExchangeRefusal as refusal:
            answer = wire.refusal(request.id, refusal.reason, refusal.detail, str(refusal))
        except msgspec.MsgspecError as error:
            answer = wire.refusal(request.id, RejectReason.OTHER, "bad-request", str(error))
        except Cut:
            return  # events go on: the reply alone is lost
        else:
            answer = wire.result(request.id, result)
        self.push(answer)
        if request.do == "watch":
            self._send_first_prices()

    def _do(self, request: wire.Request) -> Any:
        act = _ACTS.get(request.do)
        if act is None:
            raise ExchangeRefusal(RejectReason.OTHER, "bad-request", f"unknown request {request.do!r}")
        type_, method = act
        return method(self, msgspec.json.decode(request.body, type=type_))

    def _watch(self, wanted: Subscription) -> None:
        self._watching = wanted

    def _place(self, order: NewOrder) -> Any:
        return replace(self._exchange.place(self._account, order.terms, order.client_id), account="")

    def _place_group(self, group: OrderGroup) -> Any:
        orders = self._exchange.place_group(self._account, [(leg.terms, leg.client_id) for leg in group.legs])
        return [replace(order, account="") for order in orders]

    def _modify(self, change: OrderChange) -> Any:
        terms = change.terms
        order = self._exchange.modify(
            self._account,
            venue_id=change.ref.venue_id,
            client_id=change.ref.client_id,
            quantity=None if terms.close_position else terms.quantity,
            price=terms.price,
            trigger_price=terms.trigger_price,
            trail_percent=terms.trail_percent,
        )
        return replace(order, account="")

    def _cancel(self, ref: OrderRef) -> Any:
        return replace(self._exchange.cancel(self._account, venue_id=ref.venue_id, client_id=ref.client_id), account="")

    def _set_leverage(self, change: LeverageChange) -> Any:
        whole = change.leverage.to_integral_value()
        if whole != change.leverage:
            raise ExchangeRefusal(RejectReason.OTHER, "leverage", f"{change.symbol}: {change.leverage} is no whole number")
        self._exchange.set_leverage(self._account, change.symbol, int(whole))
        return MarginSetting(symbol=change.symbol, leverage=whole)

    def _snapshot(self, request: SnapshotRequest) -> Any:
        return take_snapshot(self._exchange, self._account, request)

    def _candles(self, request: CandleRequest) -> Any:
        if request.interval not in INTERVALS:
            message = f"no interval {request.interval!r}: there are {', '.join(INTERVALS)}"
            raise ExchangeRefusal(RejectReason.OTHER, "bad-request", message)
        return self._exchange.candles(request.symbol, request.interval, request.limit)

    # --- events ---

    def tell(self, report: Report) -> None:
        """Queue what this client wants to know of a report."""
        if isinstance(report, Trade | Quote):
            if report.symbol in self._watching.symbols:
                self.push(wire.event(self._price(report)))
        elif self._watching.private and report.account == self._account:
            for event in _events(report):
                self._delivery.send(self._account, self, wire.event(event), self._forget)

    def _send_first_prices(self) -> None:
        for symbol in self._watching.symbols:
            if symbol in self._exchange.instruments:
                self.push(wire.event(self._price(self._exchange.quote(symbol))))

    def _price(self, report: Trade | Quote) -> PriceEvent:
        quote = self._exchange.quote(report.symbol)
        return PriceEvent(
            symbol=report.symbol,
            last=self._exchange.last_price(report.symbol),
            bid=quote.bid or None,
            ask=quote.ask or None,
            time_ms=report.time_ms,
        )

    @staticmethod
    def _forget(_: _Connection) -> None:
        """Nothing is subscribed to beside the connection itself."""


def _overloaded() -> ExchangeRefusal:
    return ExchangeRefusal(RejectReason.OVERLOADED, "overload", "the exchange is overloaded; nothing was done")


def _events(report: OrderReport | AccountReport) -> list[Any]:
    """A report as the events of a session, whose one account has no name."""
    if isinstance(report, OrderReport):
        events: list[Any] = [OrderEvent(order=replace(report.order, account=""))]
        if report.fill is not None:
            events.append(FillEvent(fill=replace(report.fill, account="")))
        return events
    positions = [PositionEvent(position=replace(position, account="")) for position in report.positions]
    return [*positions, BalanceEvent(balance=replace(report.balance, account=""))]


_ACTS: dict[str, tuple[Any, Callable[[_Connection, Any], Any]]] = {
    "watch": (Subscription, _Connection._watch),
    "place": (NewOrder, _Connection._place),
    "place-group": (OrderGroup, _Connection._place_group),
    "modify": (OrderChange, _Connection._modify),
    "cancel": (OrderRef, _Connection._cancel),
    "snapshot": (SnapshotRequest, _Connection._snapshot),
    "candles": (CandleRequest, _Connection._candles),
    "set-leverage": (LeverageChange, _Connection._set_leverage),
}
