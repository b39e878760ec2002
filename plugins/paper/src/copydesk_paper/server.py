"""The paper exchange as a server on loopback: the wire of `wire.py`, the faults of `faults.py`, the control endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections import deque
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from copydesk.errors import UsageError
from copydesk.model import (
    BalanceEvent,
    CandleRequest,
    FillEvent,
    NewOrder,
    OrderChange,
    OrderEvent,
    OrderRef,
    PositionEvent,
    PriceEvent,
    RejectReason,
    SnapshotRequest,
    Subscription,
)
from msgspec.structs import replace

from copydesk_paper import wire
from copydesk_paper.control import add_control
from copydesk_paper.exchange import Exchange
from copydesk_paper.faults import Faults
from copydesk_paper.market import Market
from copydesk_paper.records import AccountReport, OrderReport, Quote, Report, Trade
from copydesk_paper.refusal import ExchangeRefusal
from copydesk_paper.snapshots import take_snapshot
from copydesk_paper.tape import INTERVALS

FAULTS = ("drop-stream", "lose-reply", "duplicate-events", "reorder", "stall", "partial-fills", "overload")
"""What this server can commit."""
OUTBOX = 20_000
"""Frames that wait for a client that does not read; at more the connection is closed."""
HELD_SECONDS = 0.1
"""How long `reorder` holds a frame back where none follows that it could change places with."""
_CHANGES = ("place", "modify", "cancel")
_log = logging.getLogger("copydesk.paper")


class PaperServer:
    """Serves one exchange on one port. `tokens` by account name; the market runs while the server does."""

    def __init__(
        self, exchange: Exchange, market: Market, faults: Iterable[str] = (), *, speed: Decimal = Decimal(1)
    ) -> None:
        self.exchange = exchange
        self.market = market
        self.faults = Faults(faults, FAULTS)
        self.tokens: dict[str, str] = {}
        self.port = 0
        self._speed = speed
        self._connections: set[_Connection] = set()
        self._runner: web.AppRunner | None = None
        self._running: asyncio.Task[None] | None = None
        self._stop_listening: Callable[[], None] | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes any that is free. Raises `UsageError` where the port cannot be had."""
        app = web.Application()
        app.router.add_get(wire.PATH, self._serve)
        add_control(app, self.exchange, self.faults)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise UsageError(
                f"the paper exchange cannot listen on {host} port {port}: {error.strerror}; try port 0"
            ) from error
        self.port = self._runner.addresses[0][1]
        self._stop_listening = self.exchange.listen(self._tell)
        self._running = asyncio.create_task(self.market.run(self.exchange, speed=self._speed), name="paper market")

    async def stop(self) -> None:
        """Close all connections and end all tasks."""
        if self._stop_listening is not None:
            self._stop_listening()
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        for connection in tuple(self._connections):
            await connection.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def _tell(self, report: Report) -> None:
        for connection in self._connections:
            connection.tell(report)

    def _account_of(self, request: web.Request) -> str | None:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        for account, token in self.tokens.items():
            if hmac.compare_digest(given.encode(), token.encode()):
                return account
        return None

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        account = self._account_of(request)
        if account is None:
            return web.Response(status=401, text="the token is not known here")
        socket = web.WebSocketResponse(heartbeat=15, max_msg_size=wire.MAX_FRAME)
        await socket.prepare(request)
        connection = _Connection(self.exchange, self.faults, account, socket, request.transport)
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
        return socket


class _Connection:
    """One account's websocket. Frames leave through one queue, so that answers and events keep their order."""

    def __init__(
        self,
        exchange: Exchange,
        faults: Faults,
        account: str,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
    ) -> None:
        self._exchange = exchange
        self._faults = faults
        self._account = account
        self._socket = socket
        self._transport = transport
        self._watching = Subscription(private=False)
        self._outbox: deque[tuple[bool, str]] = deque()  # is a private event, frame
        self._filled = asyncio.Event()
        self._stalled = 0.0

    async def run(self) -> None:
        instruments = tuple(self._exchange.instruments.values())
        self._send(wire.hello(self._account, self._exchange.now_ms(), instruments))
        sender = asyncio.create_task(self._write(), name=f"paper sender {self._account}")
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    self._answer(message.data)
        finally:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)

    async def close(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the exchange stops")

    # --- requests ---

    def _answer(self, text: str) -> None:
        try:
            request = wire.read_request(text)
        except msgspec.MsgspecError as error:
            self._send(wire.refusal(0, RejectReason.OTHER, "bad-request", str(error)))
            return
        changes = request.do in _CHANGES
        if (stall := self._faults.fires("stall", self._account)) is not None:
            self._stalled = stall.seconds
        if changes and self._faults.fires("overload", self._account):
            message = "the exchange is overloaded; nothing was done"
            self._send(wire.refusal(request.id, RejectReason.OVERLOADED, "overload", message))
            return
        try:
            answer = wire.result(request.id, self._do(request))
        except ExchangeRefusal as refusal:
            answer = wire.refusal(request.id, refusal.reason, refusal.detail, str(refusal))
        except msgspec.MsgspecError as error:
            answer = wire.refusal(request.id, RejectReason.OTHER, "bad-request", str(error))
        if not (changes and self._faults.fires("lose-reply", self._account)):
            self._send(answer)
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
                self._send(wire.event(self._price(report)))
        elif self._watching.private and report.account == self._account:
            for event in _events(report):
                self._send(wire.event(event), private=True)

    def _send_first_prices(self) -> None:
        for symbol in self._watching.symbols:
            if symbol in self._exchange.instruments:
                self._send(wire.event(self._price(self._exchange.quote(symbol))))

    def _price(self, report: Trade | Quote) -> PriceEvent:
        quote = self._exchange.quote(report.symbol)
        return PriceEvent(
            symbol=report.symbol,
            last=self._exchange.last_price(report.symbol),
            bid=quote.bid or None,
            ask=quote.ask or None,
            time_ms=report.time_ms,
        )

    def _send(self, frame: str, *, private: bool = False) -> None:
        if len(self._outbox) >= OUTBOX:
            _log.warning("paper account %s does not read its stream: closing it", self._account)
            self._abort()
            return
        self._outbox.append((private, frame))
        self._filled.set()

    def _abort(self) -> None:
        self._outbox.clear()
        if self._transport is not None:
            self._transport.abort()

    async def _write(self) -> None:
        held: str | None = None
        while True:
            if not self._outbox:
                self._filled.clear()
                try:
                    await asyncio.wait_for(self._filled.wait(), HELD_SECONDS if held is not None else None)
                except TimeoutError:
                    await self._socket.send_str(held or "")
                    held = None
                continue
            if self._stalled:
                seconds, self._stalled = self._stalled, 0.0
                await asyncio.sleep(seconds)
            private, frame = self._outbox.popleft()
            if private:
                if self._faults.fires("drop-stream", self._account):
                    self._abort()
                    return
                if held is None and self._faults.fires("reorder", self._account):
                    held = frame
                    continue
                if self._faults.fires("duplicate-events", self._account):
                    await self._socket.send_str(frame)
            await self._socket.send_str(frame)
            if held is not None and private:
                await self._socket.send_str(held)
                held = None


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
    "modify": (OrderChange, _Connection._modify),
    "cancel": (OrderRef, _Connection._cancel),
    "snapshot": (SnapshotRequest, _Connection._snapshot),
    "candles": (CandleRequest, _Connection._candles),
}
