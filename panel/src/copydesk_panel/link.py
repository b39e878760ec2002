"""The way to the control API: where it is, with which token, and the passing on of requests and websockets.

The control token stays in this process. `control.json` is read anew for every request, so that a restarted engine, which
has another port and another token, is found without a restart of the panel.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web
from copydesk.datafolder import CONTROL_NAME, ControlFile
from copydesk.model import from_json
from yarl import URL

URL_VARIABLE = "COPYDESK_CONTROL_URL"
TOKEN_VARIABLE = "COPYDESK_CONTROL_TOKEN"  # noqa: S105 - the variable's name, not a token
PREFIX = "/api/v1"
ENGINE_HEADER = "X-Copydesk-Engine"
MAX_BODY = 1 << 20
MAX_FRAME = 16 << 20
MAX_STREAMS = 64
REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=3)
CONNECT_TIMEOUT_S = 5.0
ENGINE_LOST = 4502  # websocket close code: the engine's end of the stream went away


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


class Link:
    """Passes the panel's requests on to the control API."""

    def __init__(self, source: ControlSource) -> None:
        self.source = source
        self._streams = 0
        self._client = aiohttp.ClientSession(timeout=REQUEST_TIMEOUT, trust_env=False)

    async def close(self) -> None:
        await self._client.close()

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
        """Pass the event stream on to the browser until either end closes; close codes of the engine are passed on.

        The browser's websocket opens only once the engine's is open, so that "open" means "current" to the page.
        """
        if self._streams >= MAX_STREAMS:
            return web.json_response({"error": f"More than {MAX_STREAMS} pages are open: close some."}, status=429)
        self._streams += 1
        try:
            control = self.source.read()
            url = URL(f"{control.url}{request.rel_url.raw_path_qs}", encoded=True)
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                engine = await self._client.ws_connect(url, headers=control.headers, max_msg_size=MAX_FRAME, heartbeat=20)
            async with engine:
                page = web.WebSocketResponse(heartbeat=20, max_msg_size=4096)
                await page.prepare(request)
                await _pump(engine, page)
                return page
        except (EngineAbsent, aiohttp.ClientError, TimeoutError) as error:
            sentence = str(error) if isinstance(error, EngineAbsent) else "The engine does not answer."
            return web.json_response({"error": sentence}, status=503)
        finally:
            self._streams -= 1


async def _pump(engine: aiohttp.ClientWebSocketResponse, page: web.WebSocketResponse) -> None:
    """Frames from the engine to the page. A page that reads slowly holds the engine up, which then cuts the stream."""

    async def listen() -> None:
        async for _ in page:  # the page has nothing to say; this notices that it went away
            pass
        await engine.close()

    gone = asyncio.create_task(listen())
    try:
        async for frame in engine:
            if frame.type is aiohttp.WSMsgType.TEXT:
                await page.send_str(frame.data)
            elif frame.type is aiohttp.WSMsgType.BINARY:
                await page.send_str(frame.data.decode())
    except ConnectionError:
        await engine.close()
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    code = engine.close_code
    passed_on = code if code is not None and 4000 <= code < 5000 else ENGINE_LOST
    await page.close(code=passed_on)
