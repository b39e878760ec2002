"""A listening server for a venue's wire: plain HTTP, websockets and TLS on loopback ports, routed by one handler."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener:
    """The sockets that `handle` answers every request on, whatever its path."""

    def __init__(self, handle: Handler) -> None:
        self._server = web.Server(handle, access_log=None)
        self._runner = web.ServerRunner(self._server, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen, and return the port. Raises OSError where it cannot. May be called again, with TLS."""
        if self._runner.server is None:
            await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024, ssl_context=tls)
        await site.start()
        return int(self._runner.addresses[-1][1])

    async def stop(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._runner.cleanup()
