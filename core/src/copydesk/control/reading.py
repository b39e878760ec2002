"""What every path needs: the desk, a body read as a record, a record written as an answer."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from copydesk.control.desk import Desk
from copydesk.errors import UsageError
from copydesk.model import from_json, to_json

T = TypeVar("T")


# Dependencies are `async` for a reason: FastAPI runs others in threads, and the engine lives on one.


async def _desk(connection: HTTPConnection) -> Desk:
    desk: Desk = connection.app.state.desk
    return desk


TheDesk = Annotated[Desk, Depends(_desk)]


def json_of(record: Any, status: int = 200) -> Response:
    return Response(to_json(record), status, media_type="application/json")


async def body_of(request: Request, shape: type[T]) -> T:
    """The request's body. Raises `UsageError` where there is none, or where it does not fit."""
    data = await request.body()
    if not data.strip():
        raise UsageError(f"{request.method} {request.url.path} needs a body: send it as JSON")
    try:
        return from_json(data, shape)
    except msgspec.ValidationError as error:
        raise UsageError(f"the body does not fit: {error}") from None
    except RecursionError:
        raise UsageError("the body is nested too deeply") from None
    except msgspec.DecodeError as error:
        raise UsageError(f"the body is not JSON: {error}") from None
