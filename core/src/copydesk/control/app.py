"""The application: the gate, the paths, and one table from what goes wrong to a status."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, ValidationException, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from copydesk import __version__
from copydesk.control.describe import describe
from copydesk.control.desk import Desk
from copydesk.control.gate import SECURITY_HEADERS, Gate, failure
from copydesk.control.handroutes import plain_router
from copydesk.control.handroutes import router as hand_router
from copydesk.control.routes import router
from copydesk.control.stream import StreamLimits
from copydesk.errors import (
    Conflict,
    CopydeskError,
    EventsGone,
    NotAllowed,
    NotReady,
    OutcomeUnknown,
    RateLimited,
    UnknownName,
    UsageError,
    VenueError,
)

STATUS: dict[type[CopydeskError], int] = {
    UsageError: 422,
    UnknownName: 404,
    Conflict: 409,
    NotAllowed: 403,
    EventsGone: 410,
    VenueError: 502,
    RateLimited: 429,
    NotReady: 503,
    OutcomeUnknown: 504,
    CopydeskError: 500,
}
"""The most specific class counts."""


def create_app(desk: Desk, *, token: str, host: str = "127.0.0.1", limits: StreamLimits | None = None) -> FastAPI:
    """The control API of a running engine. `host` is the address that it listens on: besides loopback, the only `Host`
    that it answers to."""
    app = FastAPI(
        title="copydesk control API",
        version=__version__,
        description="What the panel and the command line ask of a running engine. Amounts are decimals as strings.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.desk = desk
    app.state.limits = limits or StreamLimits()
    app.include_router(router)
    app.include_router(hand_router)
    app.include_router(plain_router)
    app.add_middleware(Gate, token=token, host=host)
    for kind, status in STATUS.items():
        app.add_exception_handler(kind, _refuse_with(status))
    app.add_exception_handler(RequestValidationError, _refuse_parameters)
    app.add_exception_handler(WebSocketRequestValidationError, _refuse_handshake)
    app.add_exception_handler(HTTPException, _refuse_path)
    app.add_exception_handler(Exception, _admit_defect)

    def openapi() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _refuse_with(status: int) -> Any:
    async def refuse(_: Request, error: Exception) -> Response:
        waits = {"retry-after": str(-(-error.retry_after_ms // 1000))} if isinstance(error, RateLimited) else {}
        return failure(status, str(error), **waits)

    return refuse


async def _refuse_parameters(_: Request, error: Exception) -> Response:
    return _wrong_parameters(error)


def _wrong_parameters(error: Exception) -> Response:
    assert isinstance(error, ValidationException)
    first = error.errors()[0]
    return failure(422, f"{'.'.join(str(part) for part in first['loc'])} is wrong: {first['msg']}")


async def _refuse_handshake(websocket: WebSocket, error: Exception) -> None:
    await websocket.send_denial_response(_wrong_parameters(error))


async def _refuse_path(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    what = f"{request.method} {request.url.path}"
    sentence = {
        404: f"the control API has no {what}: see /api/v1/openapi.json",
        405: f"the control API does not do {what}: see /api/v1/openapi.json",
    }.get(error.status_code, f"{what}: {error.detail}")
    return failure(error.status_code, sentence, **(error.headers or {}))


async def _admit_defect(request: Request, _: Exception) -> Response:
    """For what nobody foresaw. It runs outside the gate, so it brings the security headers itself; the server logs it."""
    what = f"{request.method} {request.url.path}"
    return failure(500, f"{what} failed by a defect of copydesk: the engine's log has it", **SECURITY_HEADERS)
