"""The door of a rehearsal venue: what comes in on its port, and who answers it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod

from aiohttp import web

from copydesk_paper.serving.control import ROOT, Control
from copydesk_paper.serving.misbehaviour import Cut


class Frontend(ABC):
    """Sends the control endpoint's requests there, and all others to the venue; cuts them while the venue is away.

    A venue writes `answer`, `websocket` and `drop_all`. `control` is given once the venue is whole. `requests` counts the
    requests of the venue's own wire.
    """

    control: Control

    def __init__(self) -> None:
        self.requests = 0
        self._away_until = 0.0

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """What the `Listener` calls for every request."""
        path, _, query = request.raw_path.partition("?")
        if path.startswith(ROOT):
            return await self.control.handle(request, path, query)
        if time.monotonic() < self._away_until:
            return cut(request)
        if "Upgrade" in request.headers:
            return await self.websocket(request, path, query)
        self.requests += 1
        try:
            return await self.answer(request, path, query)
        except Cut:
            return cut(request)

    def leave(self, seconds: float) -> None:
        """Cut all connections and answer nobody for a while."""
        self._away_until = time.monotonic() + seconds
        self.drop_all()

    @abstractmethod
    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        """Answer a plain request. `path` and `query` are as they were sent, percent-encoding and all. May raise `Cut`."""

    @abstractmethod
    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        """Serve a websocket until it ends."""

    @abstractmethod
    def drop_all(self) -> None:
        """Cut every websocket without a word."""

    async def close(self) -> None:
        """The venue ends. A venue that says goodbye on its websockets does it here."""
        self.drop_all()


def cut(request: web.BaseRequest) -> web.StreamResponse:
    """End the request's connection without an answer, as a network does."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
