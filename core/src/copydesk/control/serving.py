"""Serving the control API inside the engine's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Generator

import uvicorn

from copydesk.control.app import create_app
from copydesk.control.desk import Desk
from copydesk.control.stream import StreamLimits
from copydesk.errors import CopydeskError, UsageError

_START_S = 10.0
_STOP_S = 2


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers (the engine has its own) and without its tick of 100 ms: it waits for events."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()
        self.leaving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # renews the Date header
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.leaving.wait(), 1.0)


class Running:
    """A control API that is serving. `url` is its base address, without the path."""

    def __init__(self, host: str, port: int, server: _Server, task: asyncio.Task[None]) -> None:
        self.host = host
        self.port = port
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._server = server
        self._task = task

    async def stop(self) -> None:
        """Stop listening, close the streams, give the requests under way two seconds. Calling it again does nothing."""
        self._server.should_exit = True
        self._server.leaving.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._task, 2 * _STOP_S)
        for connection in tuple(self._server.server_state.connections):
            connection.transport.abort()  # a reader that reads nothing: what is buffered for it would wait for ever
        await asyncio.sleep(0)


async def serve(desk: Desk, *, host: str, port: int, token: str, limits: StreamLimits | None = None) -> Running:
    """Serve the control API of `desk` in the calling event loop; port 0 takes any free one. Returns once it serves.

    Raises `UsageError` where it cannot listen there.
    """
    listener = await _listen(host, port)
    config = uvicorn.Config(
        create_app(desk, token=token, host=host, limits=limits),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="websockets-sansio",
        ws_max_size=1 << 16,
        ws_per_message_deflate=False,  # on loopback it would only cost the engine time
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOP_S,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]), name="control API")
    serving = asyncio.create_task(server.serving.wait())
    try:
        await asyncio.wait({task, serving}, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        if not server.serving.is_set():
            task.cancel()
            listener.close()
            raise CopydeskError(f"the control API did not start on {host} within {_START_S:g} s")
    finally:
        serving.cancel()
    return Running(host, listener.getsockname()[1], server, task)


async def _listen(host: str, port: int) -> socket.socket:
    place = f"the control API cannot listen on {host} port {port}"
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UsageError(f"{place}: there is no such address; correct 'host' in [control] of copydesk.toml") from None
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setblocking(False)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise UsageError(f"{place}: {_REMEDIES.get(error.errno or 0, error.strerror)}") from None
    return listener


_REMEDIES = {
    errno.EADDRINUSE: "another program has it; choose another 'port' in [control] of copydesk.toml, or 0 for a free one",
    errno.EACCES: "this user may not use that port; choose one above 1023 in [control] of copydesk.toml",
    errno.EADDRNOTAVAIL: "this machine does not have that address; correct 'host' in [control] of copydesk.toml",
}
