"""`copydesk latency`: how long copies take, stage by stage. Asks the engine that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table, say

if TYPE_CHECKING:
    from copydesk.view import LatencyView

_MEANINGS = {
    "decoded": "the event is understood",
    "planned": "the first request is known",
    "journalled": "the event is written",
    "sent": "a request has left",
    "acknowledged": "its venue answered",
    "filled": "a market order's fill is told",
}


def latency(
    context: typer.Context,
    bot: Annotated[str, typer.Argument(metavar="[BOT]", help="One bot; otherwise all.")] = "",
    as_json: Json = False,
) -> None:
    """Show how long copies take, stage by stage, from the moment the parent's event was read."""
    from copydesk.client import ControlClient
    from copydesk.errors import UnknownName

    with ControlClient.for_folder(folder_of(context)) as client:
        found = client.latencies()
        if bot and bot not in {one.name for one in client.bots()}:
            raise UnknownName(f"there is no bot {bot!r}: see `copydesk bots list`")
    if bot:
        found = [view for view in found if view.bot == bot]
    if as_json:
        print_json(found)
        return
    print_table(
        ("bot", "until", "median µs", "99 % µs", "longest µs", "of"),
        [row for view in found for row in _rows(view)],
        empty="Nothing was copied since the engine started.",
    )
    for view in found:
        say(f"{view.bot}: {view.fired} of {view.fired + view.waited} requests left in the very call.")


def _rows(view: LatencyView) -> list[tuple[str, ...]]:
    return [
        (view.bot, meaning, str(took.p50_us), str(took.p99_us), str(took.max_us), str(took.count))
        for stage, meaning in _MEANINGS.items()
        if (took := view.stages.get(stage)) is not None
    ]
