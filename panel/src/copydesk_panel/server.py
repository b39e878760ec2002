"""The panel's own process: serves the pages on loopback and passes their requests on to the control API."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from copydesk.datafolder import resolve_folder, write_atomically

from copydesk_panel.gate import TRADER, VIEWER, Gate, Role, guard
from copydesk_panel.link import MAX_BODY, PREFIX, ControlSource, Link
from copydesk_panel.rehearsal import Rehearsal, RehearsalRefused

HOST = "127.0.0.1"
STATIC = Path(__file__).parent / "static"
LIBRARY = STATIC / "vendor" / "lightweight-charts.mjs"
ADDRESS_NAME = "panel.json"
SESSIONS_NAME = "panel-sessions.json"
ACCEPTED_NAME = "panel-accepted.json"
DISCLAIMER_EDITION = 1
MAX_CONNECTIONS = 256
NICENESS = 5  # where the processor is short, the engine's orders go first
LOOKING = frozenset({"GET", "HEAD"})
ONLY_LOOKS = "This page may only look: whoever runs the desk has to do that, with the address that copydesk-panel printed."
NOT_ALLOWED = (
    "This page needs the address that copydesk-panel printed: it carries a one-time key. "
    "The key works once; then the panel prints the next address and keeps it in panel.json of the data folder."
)


class PanelError(Exception):
    """The panel cannot start; the message is a sentence that says why and what to do."""


def build_app(
    gate: Gate, link: Link, rehearsal: Rehearsal, entered: Callable[[], None], accepted: Accepted
) -> web.Application:
    """The web application. `entered` is called when a one-time token was used, so that the next one can be announced."""

    async def index(request: web.Request) -> web.StreamResponse:
        if token := request.query.get("token"):
            session = gate.redeem(token)
            if session is None and gate.role(request) is None:
                return web.Response(status=401, text=NOT_ALLOWED)
            response = web.Response(status=303, headers={"Location": "/"})
            if session is not None:
                response.set_cookie(gate.cookie, session, httponly=True, samesite="Strict", path="/")
                if gate.role_of(session) == TRADER:
                    entered()
            return response
        if gate.role(request) is None:
            return web.Response(status=401, text=NOT_ALLOWED)
        return web.FileResponse(STATIC / "index.html")

    async def asset(request: web.Request) -> web.StreamResponse:
        path = (STATIC / request.match_info["path"]).resolve()
        if not path.is_relative_to(STATIC.resolve()) or not path.is_file():
            raise web.HTTPNotFound(text="there is no such file")
        return web.FileResponse(path)

    async def api(request: web.Request) -> web.StreamResponse:
        admit(request)
        if request.path == f"{PREFIX}/stream":
            return await link.stream(request)
        return await link.request(request)

    async def session(request: web.Request) -> web.StreamResponse:
        role = admit(request)
        return web.json_response({"role": role, "accepted": accepted.known, "rehearsal": rehearsal.state})

    async def accept(request: web.Request) -> web.StreamResponse:
        admit(request)
        accepted.keep()
        return web.Response(status=204)

    async def begin_rehearsal(request: web.Request) -> web.StreamResponse:
        admit(request)
        try:
            given = await request.json()
            kind = str(given["kind"])
        except (ValueError, KeyError, TypeError):
            raise web.HTTPUnprocessableEntity(text='say what to rehearse: {"kind": "binance-futures"}') from None
        return await rehearse(rehearsal.start(kind))

    async def end_rehearsal(request: web.Request) -> web.StreamResponse:
        admit(request)
        return await rehearse(rehearsal.end())

    async def rehearse(doing: Awaitable[None]) -> web.StreamResponse:
        try:
            await doing
        except RehearsalRefused as refused:
            raise web.HTTPConflict(text=str(refused)) from None
        return web.Response(status=204)

    async def invite(request: web.Request) -> web.StreamResponse:
        admit(request)
        return web.json_response({"url": f"http://{HOST}:{gate.port}/?token={gate.new_token(VIEWER)}"})

    def admit(request: web.Request) -> str:
        """What the session may do. Raises where it has none, where it may only look, and where a form posts."""
        role = gate.role(request)
        if role is None:
            raise web.HTTPUnauthorized(text=NOT_ALLOWED)
        if role == VIEWER and request.method not in LOOKING:
            raise web.HTTPForbidden(text=ONLY_LOOKS)
        if request.can_read_body and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="a body has to be JSON and to say so: Content-Type: application/json")
        return role

    app = web.Application(middlewares=[guard(gate)], client_max_size=MAX_BODY)
    app.router.add_get("/", index)
    app.router.add_get("/static/{path:.+}", asset)
    app.router.add_get("/panel/session", session)
    app.router.add_post("/panel/accept", accept)
    app.router.add_post("/panel/invite", invite)
    app.router.add_post("/panel/rehearsal", begin_rehearsal)
    app.router.add_delete("/panel/rehearsal", end_rehearsal)
    app.router.add_route("*", PREFIX + "/{path:.+}", api)
    return app


class Accepted:
    """Whether somebody has confirmed the disclaimer on this data folder. Kept beside the rest of it."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / ACCEPTED_NAME if folder is not None and folder.is_dir() else None
        self._here = False

    @property
    def known(self) -> bool:
        return self._here or (self._path is not None and self._path.exists())

    def keep(self) -> None:
        self._here = True
        if self._path is not None:
            with contextlib.suppress(OSError):  # then it is asked for again
                write_atomically(self._path, json.dumps({"disclaimer": DISCLAIMER_EDITION}).encode())


class _Turned(asyncio.Protocol):
    """A connection too many: closed before it costs anything."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class Kept:
    """What a restart has to know so that no page has to be loaded anew: the port, and the hashes of the sessions."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / SESSIONS_NAME if folder is not None and folder.is_dir() else None
        self.port = 0
        self.sessions: dict[str, Role] = {}
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            if self._path is not None:
                found = json.loads(self._path.read_bytes())
                self.port = int(found["port"])
                roles = dict(found["sessions"]).items()
                self.sessions = {str(name): role for name, role in roles if role in (TRADER, VIEWER)}

    def write(self, port: int, sessions: dict[str, Role]) -> None:
        if self._path is not None:
            with contextlib.suppress(OSError):  # then a restart asks to sign in again
                write_atomically(self._path, json.dumps({"port": port, "sessions": sessions}).encode())


def listen_again(port: int) -> socket.socket | None:
    """The port of the last run, where it is free."""
    try:
        return listen_on(port) if port else None
    except PanelError:
        return None


def listen_on(port: int) -> socket.socket:
    """A listening socket on loopback. Raises `PanelError` where the port is in use or not allowed."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, port))
    except (OSError, OverflowError) as error:
        sock.close()
        raise PanelError(
            f"Port {port} of {HOST} cannot be used ({error}): choose another with --port, or 0 for any."
        ) from None
    return sock


def _door(runner: web.AppRunner) -> Callable[[], asyncio.Protocol]:
    """Lets so many connections in and no more: no page can use up what this process may open."""
    server = runner.server
    assert server is not None

    def enter() -> asyncio.Protocol:
        return server() if len(server.connections) < MAX_CONNECTIONS else _Turned()

    return enter


async def serve(
    source: ControlSource, *, port: int = 0, announce: Callable[[str], None], stop: asyncio.Event | None = None
) -> None:
    """Serve the panel until `stop` is set or the task is cancelled.

    `announce` is given the URL to open, when the panel listens and again whenever the one-time key in it was used. Raises
    `PanelError` where the panel cannot start.
    """
    if not LIBRARY.is_file():
        raise PanelError(f"{LIBRARY} is missing: install the panel again (`uv sync --reinstall-package copydesk-panel`).")
    kept = Kept(source.folder)
    sock = listen_again(kept.port) if not port else None
    sock = sock or listen_on(port)
    own_port = sock.getsockname()[1]
    known = kept.sessions if own_port == kept.port else {}
    gate = Gate(own_port, known, lambda sessions: kept.write(own_port, sessions))

    def announce_next() -> None:
        announce(f"http://{HOST}:{gate.port}/?token={gate.new_token()}")

    link = Link(source)
    rehearsal = Rehearsal(link)
    app = build_app(gate, link, rehearsal, announce_next, Accepted(source.folder))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    listener: asyncio.Server | None = None
    try:
        await runner.setup()
        listener = await asyncio.get_running_loop().create_server(_door(runner), sock=sock)
        announce_next()
        await (stop or asyncio.Event()).wait()
    finally:
        if listener is not None:
            listener.close()
        await runner.cleanup()
        await rehearsal.close()
        await link.close()
        sock.close()


def keep_address(folder: Path, url: str) -> None:
    """Write the address with the present one-time key where this user alone can read it, for another browser."""
    if folder.is_dir():  # an engine that never ran here has no folder yet, and a panel makes none
        write_atomically(folder / ADDRESS_NAME, json.dumps({"url": url, "pid": os.getpid()}).encode())


def forget_address(folder: Path) -> None:
    """Take the address away, where it is this panel's own."""
    path = folder / ADDRESS_NAME
    with contextlib.suppress(OSError, ValueError, KeyError):
        if json.loads(path.read_bytes())["pid"] == os.getpid():
            path.unlink()


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="copydesk-panel", description="The web panel of copydesk, on loopback.")
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="the engine's data folder (else COPYDESK_DATA, else the user's own)"
    )
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="port to listen on; 0, the default, for any free one"
    )
    parser.add_argument("--json", action="store_true", help="print the address as one JSON line")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """The command `copydesk-panel`: prints the URL and serves until SIGINT or SIGTERM. Exit status 2 for bad input."""
    options = parse(arguments)

    folder = resolve_folder(options.data)
    if hasattr(os, "nice"):
        os.nice(NICENESS)

    def announce(url: str) -> None:
        keep_address(folder, url)
        line = json.dumps({"url": url}) if options.json else f"copydesk panel: {url}"
        with contextlib.suppress(BrokenPipeError):
            print(line, flush=True)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await serve(ControlSource.find(folder), port=options.port, announce=announce, stop=stop)

    try:
        asyncio.run(run())
    except PanelError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    finally:
        forget_address(folder)


if __name__ == "__main__":
    main()
