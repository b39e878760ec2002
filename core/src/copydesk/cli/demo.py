"""`copydesk demo`: watch trades being copied, without an account anywhere."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copydesk.cli.common import Json, print_json, say
from copydesk.cli.rehearse import VenueOptions, names_in, options_in

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

    from copydesk.demo.show import Show
    from copydesk.demo.verdict import Verdict

PACE_S = 0.25
CALM_PACE_S = 2.0
"""How long the parent waits between two actions: without people who watch, and with them."""
CALM_REACH = Decimal("0.2")
"""For people who watch, stop and target stand near enough to be seen beside the candles."""
INTERRUPTED = 130


def demo(
    kind: Annotated[str, typer.Option(metavar="KIND", help="Which connection kind to rehearse.")] = "binance-futures",
    headless: Annotated[bool, typer.Option("--headless", help="No panel: trade, judge, exit.")] = False,
    seconds: Annotated[float, typer.Option(min=1, help="How long the parent trades (headless).")] = 60,
    market: Annotated[str, typer.Option(metavar="FILE", help="A market recording to replay; empty: the shipped one.")] = "",
    fault: Annotated[
        str, typer.Option(metavar="LIST", help="Faults of the venue: drop-stream,lose-reply,duplicate-events,reorder ...")
    ] = "",
    kill: Annotated[
        str,
        typer.Option(
            metavar="SECONDS", help="Kill the engine (SIGKILL) when it has worked for so long, e.g. 5,9.5 (headless)."
        ),
    ] = "",
    pace: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="The parent's pause between two actions (headless: 0.25).")
    ] = 0,
    option: VenueOptions = [],  # noqa: B006
    port: Annotated[int, typer.Option(min=0, max=65535, help="The panel's port; 0: any free one.")] = 0,
    no_panel: Annotated[
        bool,
        typer.Option("--no-panel", help="The desk alone: prints its data folder; ends when its standard input does, too."),
    ] = False,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the data folder (journal, log) there.")] = None,
    as_json: Json = False,
) -> int:
    """A rehearsal venue, a parent who trades by a script, three children, the engine and the panel.

    With --headless it ends by itself: exit status 0 only if nothing was missed or copied twice and no drift is unexplained.
    """
    import asyncio

    from copydesk.errors import UsageError
    from copydesk.plugins import find_kind

    find_kind(kind)
    if market and not Path(market).is_file():
        raise UsageError(f"--market {market!r} is no file: name a market recording, or leave it out for the shipped one")
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise UsageError(f"--keep {str(keep)!r} is not empty: name a new folder")
    kills = _moments(kill)
    tell = _quietly if as_json else say
    options = options_in(option)

    def script(show: Show) -> Coroutine[Any, Any, Verdict | None]:
        slowest = _fitting_pace(kind)
        if headless:
            return _perform(show, seconds, pace or max(PACE_S, slowest), kills)
        if no_panel:
            return _play_alone(show, pace or max(CALM_PACE_S, slowest), as_json)
        return _play(show, pace or max(CALM_PACE_S, slowest), port, as_json)

    def show(folder: Path) -> Show:
        from copydesk.demo.show import Show

        faults = tuple(names_in(fault))
        return Show(keep or folder, kind, market=market, faults=faults, options=options, tell=tell)

    verdict = asyncio.run(_on_stage(show, script, leashed=no_panel))
    if verdict is None:  # Ctrl-C: the way to end it where there is a panel
        return INTERRUPTED if headless else 0
    if as_json:
        print_json(verdict)
    else:
        _tell(verdict)
    return 0 if verdict.ok else 1


REQUESTS_PER_ACTION = 4
"""An action of the parent is so many requests for some accounts: place, amend, cancel, look up, read again."""


def _fitting_pace(kind: str) -> float:
    """The pause at which a parent's actions fit what the venue allows: few venues allow four a second for minutes."""
    from copydesk.plugins import describe_kind

    can = describe_kind(kind).capabilities
    allowed = can.requests_per_minute / max(1, can.costs.place) if can.requests_per_minute else 0
    return 60 * REQUESTS_PER_ACTION / allowed if allowed else 0


def _moments(text: str) -> tuple[float, ...]:
    from copydesk.errors import UsageError

    try:
        return tuple(float(word) for word in text.split(",") if word.strip())
    except ValueError:
        raise UsageError(f"--kill {text!r} must be seconds with commas between, such as 5,9.5") from None


async def _on_stage(
    open_show: Callable[[Path], Show], script: Callable[[Show], Coroutine[Any, Any, Verdict | None]], *, leashed: bool
) -> Verdict | None:
    """Run the script and leave no process behind. Returns its verdict, or nothing where it was interrupted.

    `leashed`: it is interrupted, too, when standard input ends, as it does when the process at its other end is gone.
    """
    import asyncio
    import tempfile

    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    with tempfile.TemporaryDirectory(prefix="copydesk-demo-") as scratch:
        show = open_show(Path(scratch))
        playing = asyncio.create_task(script(show))
        waiting = asyncio.create_task(_input_ends(asked) if leashed else asked.wait())
        try:
            await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            return playing.result() if playing.done() else None
        finally:
            waiting.cancel()
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            if asked.is_set():
                show.tell("Stopping ...")
            await show.close()


async def _input_ends(asked: asyncio.Event) -> None:
    """Return when standard input has ended, or it was asked to."""
    import asyncio
    import sys

    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    reading, waiting = asyncio.create_task(reader.read()), asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        reading.cancel()
        waiting.cancel()


async def _perform(show: Show, seconds: float, pace: float, kills: tuple[float, ...]) -> Verdict:
    """All of it without people: the parent trades for a while, and then everything is compared."""
    import time

    begun = time.monotonic()
    await show.set_up()
    await show.perform(seconds=seconds, pause=pace, kills=kills)
    return await show.verdict(time.monotonic() - begun)


def _quietly(_: str) -> None:
    """Nothing: with --json one object is all that is printed."""


async def _play_alone(show: Show, pace: float, as_json: bool) -> None:
    """Calm trading without a panel of its own."""
    import math

    await show.set_up()
    if as_json:
        print_json({"data": str(show.stage.folder)})
    else:
        say(f"The desk: {show.stage.folder}. Ctrl-C ends it.")
    await show.perform(seconds=math.inf, pause=pace, reach=CALM_REACH)


async def _play(show: Show, pace: float, port: int, as_json: bool) -> None:
    """Calm trading, until somebody ends it."""
    import asyncio

    await show.set_up()
    addresses = show.stage.start_panel(port)
    url = await anext(addresses)
    if as_json:
        print_json({"panel": url, "data": str(show.stage.folder)})
    else:
        say(f"\n  The panel: {url}\n\n  Ctrl-C ends the demo.\n")
    telling = asyncio.create_task(_tell_next(addresses, as_json))
    try:
        await show.perform(seconds=math.inf, pause=pace, reach=CALM_REACH)
    finally:
        telling.cancel()


async def _tell_next(addresses: AsyncIterator[str], as_json: bool) -> None:
    """Each address opens the panel once: say the next one whenever one was used."""
    async for url in addresses:
        if as_json:
            print_json({"panel": url})
        else:
            say(f"  That address has opened the panel. For another window: {url}")


def _tell(verdict: Verdict) -> None:
    from copydesk.cli.common import print_table

    say(f"{verdict.parent_events} events of the parent in {verdict.seconds:g} s; {verdict.copied} copied.")
    rows = [
        (
            name,
            f"{child.mode} {child.value:g}",
            str(sum(child.orders.values())),
            str(child.copied),
            str(child.missed + len(child.unaccounted)),
            str(child.twice),
            ", ".join(f"{row.symbol} {row.difference} ({row.cause})" for row in child.drift) or "none",
        )
        for name, child in verdict.children.items()
    ]
    print_table(("child", "mode", "orders", "copied", "missed", "twice", "drift"), rows, empty="")
    latency = verdict.copy_latency_us
    say(f"Copy latency: median {latency['p50']} µs, 99th percentile {latency['p99']} µs, longest {latency['max']} µs.")
    naked = verdict.naked_ms
    say(f"Time without a stop while the parent had one: {naked.total} ms in all, {naked.max} ms at the longest.")
    say("Nothing was missed or copied twice, and no drift is unexplained." if verdict.ok else "NOT everything was copied.")
