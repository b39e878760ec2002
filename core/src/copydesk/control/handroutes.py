"""The paths for what a person looks into and takes in hand: settings in words, stories, connections, the kill switch."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from copydesk.control.describe import answers
from copydesk.control.metrics import CONTENT_TYPE, metrics_of
from copydesk.control.reading import TheDesk, body_of, json_of
from copydesk.errors import UnknownName
from copydesk.plans import KillOrder, KillReport, MissingOrder, MissingPlan
from copydesk.policies import Policy, policies
from copydesk.story import Story
from copydesk.view import ConnectionView, LatencyView

router = APIRouter(prefix="/api/v1")
plain_router = APIRouter()
Bot = Annotated[str, Path(description="The bot's name.")]


@router.get("/policies", **answers(list[Policy]))
async def list_policies() -> Response:
    """Every setting of a bot and of a child, with its sentence, its choices and its default."""
    return json_of(policies())


@router.get("/story", **answers(Story, refusals=(404,)))
async def story(desk: TheDesk, seq: Annotated[int, Query(ge=1)]) -> Response:
    """The whole story of the copy that the line `seq` of the log is part of."""
    return json_of(await desk.story(seq))


@router.post("/bots/{name}/missing-plan", **answers(MissingPlan, body=MissingOrder, refusals=(404,)))
async def plan_missing(desk: TheDesk, name: Bot, request: Request) -> Response:
    """What would be sent now to bring a child to its target; nothing is done. Its `digest` confirms it."""
    return json_of(await desk.plan_missing(name, await body_of(request, MissingOrder)))


@router.post("/bots/{name}/copy-missing", **answers(None, status=204, body=MissingOrder, refusals=(404, 409)))
async def copy_missing(desk: TheDesk, name: Bot, request: Request) -> Response:
    """Bring a child to its target now, outside of any catch-up window, as confirmed by the plan's `digest`."""
    await desk.copy_missing(name, await body_of(request, MissingOrder))
    return Response(status_code=204)


@router.post("/kill", **answers(KillReport, body=KillOrder))
async def kill(desk: TheDesk, request: Request) -> Response:
    """Stop every bot at once, and cancel or close what its `policy` says. Waits for no venue."""
    return json_of(await desk.kill(await body_of(request, KillOrder)))


@router.get("/connections", **answers(list[ConnectionView]))
async def connections(desk: TheDesk) -> Response:
    """How each connection is: its state, how far its venue is, what its key may do, what is left of its limits."""
    return json_of(desk.connections())


@router.get("/latency", **answers(list[LatencyView]))
async def latency(desk: TheDesk) -> Response:
    """How long the requests of each bot take, stage by stage: from the parent's event to the answer and the fill."""
    return json_of(desk.latencies())


@plain_router.get("/metrics", include_in_schema=False)
async def metrics(desk: TheDesk) -> Response:
    """The desk in numbers, for Prometheus. Needs the token like everything else: see `control.token`."""
    return Response(metrics_of(desk), media_type=CONTENT_TYPE)


@router.post("/connections/{name}/reconnect", **answers(None, status=204, refusals=(404, 503)))
async def reconnect(desk: TheDesk, name: str) -> Response:
    """Leave a venue and log in anew."""
    if all(connection.name != name for connection in desk.connections()):
        raise UnknownName(f"there is no connection {name!r}: see `copydesk accounts`")
    await desk.reconnect(name)
    return Response(status_code=204)
