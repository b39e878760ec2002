"""The listening sockets of the rehearsal TWS: one port for each login, and the control endpoint on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import web
from copydesk.errors import UsageError
from copydesk_paper.serving.frontend import Frontend

from copydesk_ib.rehearsal.audience import Audience
from copydesk_ib.rehearsal.clients import HIGHEST, Client
from copydesk_ib.rehearsal.codes import Refusal
from copydesk_ib.rehearsal.logins import Login
from copydesk_ib.rehearsal.requests import REQUESTS
from copydesk_ib.rehearsal.wire import WireError

Handler = Callable[[Client, dict[str, Any]], Awaitable[None]]
Forget = Callable[[Client], None]


class Server(Frontend):
    """Answers every request of every client. `services` have a coroutine for each name of `REQUESTS` between them.

    `forgets` are told of every client that is gone.
    """

    def __init__(
        self,
        audience: Audience,
        services: Iterable[object],
        forgets: Iterable[Forget],
        *,
        messages_per_second: int,
        server_version: int = HIGHEST,
    ) -> None:
        super().__init__()
        self._audience = audience
        services = tuple(services)
        self._handlers: dict[str, Handler] = {name: _handler(services, name) for name, _ in REQUESTS.values()}
        self._forgets = tuple(forgets)
        self._per_second = messages_per_second
        self._version = server_version
        self._listeners: list[asyncio.Server] = []

    async def listen(self, login: Login, host: str, port: int) -> None:
        """Open the port of a login. Raises `UsageError`."""
        try:
            listener = await asyncio.start_server(lambda reader, writer: self._serve(login, reader, writer), host, port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                sentence = f"port {port} on {host} is in use: give another --port, or 0 for any that is free"
                raise UsageError(sentence) from None
            raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
        self._listeners.append(listener)
        login.port = listener.sockets[0].getsockname()[1]

    async def _serve(self, login: Login, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if time.monotonic() < self._away_until:
            writer.transport.abort()
            return
        client = Client(login, reader, writer, per_second=self._per_second, own_version=self._version)
        self._audience.join(client)
        with contextlib.suppress(asyncio.CancelledError):
            await client.serve(self._hear)
        self._audience.leave(client)
        for forget in self._forgets:
            forget(client)

    async def _hear(self, client: Client, name: str, told: dict[str, Any]) -> None:
        self.requests += 1
        try:
            await self._handlers[name](client, told)
        except Refusal as refusal:
            client.refuse(_number(told), refusal)
        except WireError as error:
            client.refuse(_number(told), Refusal("unreadable", reason=error))

    # --- the control endpoint ---------------------------------------------------------------------------------------

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        return web.Response(status=404, text="the TWS API is on another port; here is /rehearsal/state")

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        return web.Response(status=404, text="there is no websocket here")

    def drop_all(self) -> None:
        for client in tuple(self._audience.clients):
            client.drop()

    async def close(self) -> None:
        self.drop_all()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


def _number(told: dict[str, Any]) -> int:
    """The number of the request or order, -1 where it has none."""
    named = str(told.get("reqId") or told.get("orderId") or "-1")
    return int(named) if named.lstrip("-").isdecimal() else -1


def _handler(services: Iterable[object], name: str) -> Handler:
    for service in services:
        found = getattr(service, name, None)
        if found is not None:
            handler: Handler = found
            return handler
    raise TypeError(f"nobody answers {name}")
