"""A listening server for a venue's wire: plain HTTP, websockets and TLS on loopback ports, routed by one handler."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ssl
from collections.abc import Awaitable, Callable

from aiohttp import web
from copydesk.errors import UsageError

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Listener:
    """The sockets that `handle` answers every request on, whatever its path."""

    def __init__(self, handle: Handler) -> None:
        self._server = web.Server(handle, access_log=None)
        self._runner = web.ServerRunner(self._server, handle_signals=False, shutdown_timeout=1.0)

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen, and return the port. May be called again, with TLS. Raises `UsageError` where the port cannot be had."""
        if self._runner.server is None:
            await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, backlog=1024, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                sentence = f"port {port} on {host} is in use: give another --port, or 0 for any that is free"
                raise UsageError(sentence) from None
            raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
        return int(self._runner.addresses[-1][1])

    async def stop(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._runner.cleanup()
