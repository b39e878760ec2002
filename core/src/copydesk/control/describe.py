"""The OpenAPI description: every answer and every body has a schema, taken from the records themselves."""

from __future__ import annotations

import inspect
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema
from starlette.responses import Response

from copydesk.config import BotSettings
from copydesk.control.stream import GONE, TOO_SLOW
from copydesk.model import from_json, to_json
from copydesk.view import EVENT_BODIES, DeskEvent, Failure

_REF = "#/components/schemas/{name}"
_JSON = "application/json"

REFUSALS = {
    401: "The token is missing or wrong.",
    403: "The Host or the Origin is foreign, or it is not allowed on this account.",
    404: "No such bot or account.",
    409: "It does not go with what is there, such as a name already taken.",
    410: "Older than what is kept: take a new view.",
    422: "What was sent is wrong; nothing was changed.",
    429: "The venue asks to slow down.",
    502: "The venue refused.",
    503: "The venue cannot be reached now.",
    504: "The venue did not answer in time.",
}
_ALWAYS = (401, 403, 422)
_VENUE = (404, 429, 502, 503, 504)

_components: dict[str, Any] = {}


def schema(shape: Any) -> dict[str, Any]:
    """The JSON schema of a record, of a list of them, or of `BotSettings`; what it refers to becomes a component."""
    if shape is BotSettings:
        _, definitions = models_json_schema([(BotSettings, "validation")], ref_template=_REF.replace("name", "model"))
        _components.update(definitions["$defs"])
        return {"$ref": _REF.format(name="BotSettings")}
    if shape == list[BotSettings]:
        return {"type": "array", "items": schema(BotSettings)}
    (found,), components = msgspec.json.schema_components([shape], ref_template=_REF)
    _components.update(components)
    return found


def answers(
    shape: Any,
    *,
    status: int = 200,
    body: Any = None,
    optional: bool = False,
    refusals: tuple[int, ...] = (),
    venue: bool = False,
) -> dict[str, Any]:
    """What a route's decorator needs to describe it: the answer's shape (`None`: no content), the body's, the refusals."""
    listed = sorted({*_ALWAYS, *refusals, *(_VENUE if venue else ())})
    failure = schema(Failure)
    responses: dict[int | str, dict[str, Any]] = {
        code: {"description": REFUSALS[code], "content": {_JSON: {"schema": failure}}} for code in listed
    }
    responses[status] = {"description": "Done."}
    if shape is not None:
        responses[status]["content"] = {_JSON: {"schema": schema(shape)}}
    options: dict[str, Any] = {
        "status_code": status,
        "response_model": None,
        "response_class": Response,
        "responses": responses,
    }
    if body is not None:
        content = {_JSON: {"schema": schema(body)}}
        options["openapi_extra"] = {"requestBody": {"required": not optional, "content": content}}
    return options


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the control API."""
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    document["paths"]["/api/v1/stream"] = {"get": _stream()}
    event = dict(_components["DeskEvent"])
    bodies = [schema(shape) for shape in EVENT_BODIES.values()]
    event["properties"] = {**event["properties"], "body": {"anyOf": [*bodies, {}], "description": "By `kind`."}}
    schemas = {**_components, "DeskEvent": event}
    for one in schemas.values():
        if "description" in one:
            one["description"] = inspect.cleandoc(one["description"])
    document["components"] = {
        "schemas": dict(sorted(schemas.items())),
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
    }
    document["security"] = [{"token": []}]
    document["paths"]["/api/v1/health"]["get"].update(security=[], responses=_health_responses(document))
    plain: dict[str, Any] = from_json(to_json(document), dict[str, Any])  # defaults of records are tuples and Decimals
    return plain


def _health_responses(document: dict[str, Any]) -> dict[str, Any]:
    responses = document["paths"]["/api/v1/health"]["get"]["responses"]
    return {code: response for code, response in responses.items() if code in ("200", "403")}


def _stream() -> dict[str, Any]:
    refused = {"content": {_JSON: {"schema": schema(Failure)}}}
    return {
        "summary": "Stream",
        "operationId": "stream",
        "description": (
            "A websocket. Each frame is a JSON array of events. Numbered events come in order and without a gap from "
            "`after` + 1 on; prices come between them with `seq` 0, only the latest of each symbol. "
            f"Close code {TOO_SLOW}: too slow, resume with `after`. Close code {GONE}: these events are not kept, take a "
            "new view. A browser sends the token as the subprotocol `bearer.TOKEN`."
        ),
        "parameters": [
            {
                "name": "after",
                "in": "query",
                "description": "The last number that the reader has. Absent: begin with what comes next.",
                "schema": {"type": "integer", "minimum": 0},
            }
        ],
        "responses": {
            "101": {"description": "The stream.", "content": {_JSON: {"schema": schema(list[DeskEvent])}}},
            "401": {"description": REFUSALS[401], **refused},
            "403": {"description": REFUSALS[403], **refused},
        },
    }
