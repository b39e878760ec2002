"""The way to the control API: where it is, with which token, and the passing on of requests and websockets.

The control token stays in this process. `control.json` is read anew for every request, so that a restarted engine, which
has another port and another token, is found without a restart of the panel.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web
from copydesk.datafolder import CONTROL_NAME, ControlFile
from copydesk.model import from_json
from yarl import URL

from copydesk_panel.relay import ENGINE_LOST, GONE, Ended, Relay

URL_VARIABLE = "COPYDESK_CONTROL_URL"
TOKEN_VARIABLE = "COPYDESK_CONTROL_TOKEN"  # noqa: S105 - the variable's name, not a token
PREFIX = "/api/v1"
ENGINE_HEADER = "X-Copydesk-Engine"
MAX_BODY = 1 << 20
MAX_FRAME = 16 << 20
MAX_STREAMS = 64
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=3)
CONNECT_TIMEOUT_S = 5.0


class EngineAbsent(Exception):
    """No engine can be reached; the message is the sentence for the person in front of the panel."""


@dataclass(frozen=True)
class Control:
    """Where the control API listens. `identity` changes with every engine start and gives nothing of the token away."""

    url: URL
    token: str = field(repr=False)

    @property
    def identity(self) -> str:
        return hashlib.sha256(f"{self.url} {self.token}".encode()).hexdigest()[:16]

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class ControlSource:
    """Where to read of the control API: a data folder, or a fixed address and token."""

    folder: Path | None = None
    url: str = ""
    token: str = field(default="", repr=False)

    @classmethod
    def find(cls, folder: Path | None) -> ControlSource:
        """The environment's address where it is given, else `folder`."""
        return cls(folder, os.environ.get(URL_VARIABLE, ""), os.environ.get(TOKEN_VARIABLE, ""))

    def read(self) -> Control:
        """The control API of the engine that runs now. Raises `EngineAbsent`."""
        if self.url:
            return Control(_base(self.url), self.token)
        if self.folder is None:
            raise EngineAbsent(f"Neither a data folder nor {URL_VARIABLE} tells where the engine is.")
        path = self.folder / CONTROL_NAME
        try:
            found = from_json(path.read_bytes(), ControlFile)
        except FileNotFoundError:
            raise EngineAbsent(
                f"The engine is not running on {self.folder}: start it with `copydesk run`, the panel connects by itself."
            ) from None
        except (OSError, msgspec.MsgspecError) as error:
            raise EngineAbsent(f"{path} cannot be read ({type(error).__name__}): restart the engine.") from None
        return Control(_base(found.url), found.token)


def _base(url: str) -> URL:
    return URL(url.rstrip("/").removesuffix(PREFIX))


class EventsAfter(msgspec.Struct):
    """A page of events, as the engine wrote them; `seq` is the number of the last."""

    events: list[msgspec.Raw]
    seq: int


class Link:
    """Passes the panel's requests on to the control API, and its one event stream to all pages."""

    def __init__(self, source: ControlSource) -> None:
        self.source = source
        self._streams = 0
        self._relay: Relay | None = None
        self._control: Control | None = None
        self._opening = asyncio.Lock()
        self._client = aiohttp.ClientSession(timeout=REQUEST_TIMEOUT, trust_env=False)

    async def close(self) -> None:
        await self._leave()
        await self._client.close()

    async def lead_to(self, source: ControlSource) -> None:
        """Lead the pages to another engine: their streams end, and they come back to find it."""
        if source != self.source:
            self.source = source
            await self._leave()

    async def request(self, request: web.Request) -> web.Response:
        """Pass one HTTP request on and its answer back. An engine that is away is a 503 with a sentence."""
        body = await request.read()
        headers = {"Content-Type": request.content_type} if body else {}
        try:
            control = self.source.read()
            url = URL(f"{control.url}{request.rel_url.raw_path_qs}", encoded=True)
            async with self._client.request(
                request.method, url, data=body or None, headers=headers | control.headers, allow_redirects=False
            ) as answer:
                content = await answer.read()
                kind = answer.headers.get("Content-Type", "application/json")
                return web.Response(
                    status=answer.status, body=content, headers={"Content-Type": kind, ENGINE_HEADER: control.identity}
                )
        except EngineAbsent as error:
            return web.json_response({"error": str(error)}, status=503)
        except TimeoutError:
            return web.json_response(
                {"error": "The engine did not answer in time: look at its log, then try again."}, status=504
            )
        except aiohttp.ClientError:
            return web.json_response(
                {"error": "The engine does not answer: see that `copydesk run` is running; the panel connects by itself."},
                status=503,
            )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Show a page the event stream until either end closes; the engine's close codes are passed on.

        The browser's websocket opens only once the engine's is open, so that "open" means "current" to the page.
        """
        if self._streams >= MAX_STREAMS:
            return web.json_response({"error": f"More than {MAX_STREAMS} pages are open: close some."}, status=429)
        after = request.query.get("after", "")
        if not after.isdecimal():
            return web.json_response({"error": "Say with after= which event the page has last."}, status=422)
        self._streams += 1
        try:
            relay, control = await self._relay_for(int(after))
            page = web.WebSocketResponse(heartbeat=20, max_msg_size=4096)
            await page.prepare(request)
            await _until_either_ends(page, self._show(relay, control, page, int(after)))
            return page
        except (EngineAbsent, aiohttp.ClientError, TimeoutError) as error:
            sentence = str(error) if isinstance(error, EngineAbsent) else "The engine does not answer."
            return web.json_response({"error": sentence}, status=503)
        finally:
            self._streams -= 1
            if not self._streams:
                await self._leave()

    async def _relay_for(self, after: int) -> tuple[Relay, Control]:
        """The stream of the engine that runs now, opened at `after` where nobody watches it yet. Raises `EngineAbsent`."""
        async with self._opening:
            control = self.source.read()
            if self._relay is None or not self._relay.is_open or control != self._control:
                await self._leave()
                url = (control.url / "api/v1/stream").with_query(after=after)
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    engine = await self._client.ws_connect(
                        url, headers=control.headers, max_msg_size=MAX_FRAME, heartbeat=20
                    )
                self._relay, self._control = Relay(engine, after), control
            return self._relay, control

    async def _leave(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            await relay.close()

    async def _show(self, relay: Relay, control: Control, page: web.WebSocketResponse, after: int) -> None:
        """Everything after `after`: what the relay no longer has, or not yet, is asked of the engine."""
        try:
            while not relay.first <= after <= relay.last:
                found = await self._events(control, after)
                if not found.events:
                    break
                await page.send_str(f"[{b','.join(bytes(event) for event in found.events).decode()}]")
                after = found.seq
            await relay.show(page, after)
        except Ended as ended:
            await page.close(code=ended.code)
        except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError):
            await page.close(code=ENGINE_LOST)

    async def _events(self, control: Control, after: int) -> EventsAfter:
        """A page of events. Raises `Ended` where the engine does not have them."""
        url = (control.url / "api/v1/events").with_query(after=after)
        async with self._client.get(url, headers=control.headers) as answer:
            if answer.status == HTTPStatus.GONE:
                raise Ended(GONE)
            answer.raise_for_status()
            return from_json(await answer.read(), EventsAfter)


async def _until_either_ends(page: web.WebSocketResponse, showing: Coroutine[None, None, None]) -> None:
    """Show until there is no more, or the page, which has nothing to say, went away."""

    async def listen() -> None:
        async for _ in page:
            pass

    tasks = (asyncio.create_task(showing), asyncio.create_task(listen()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
