"""`copydesk demo`: watch trades being copied, without an account anywhere."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from copydesk.cli.common import Json, print_json, say

if TYPE_CHECKING:
    from copydesk.demo.verdict import Verdict


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
    port: Annotated[int, typer.Option(min=0, max=65535, help="The panel's port; 0: any free one.")] = 0,
    keep: Annotated[Path | None, typer.Option(metavar="DIR", help="Keep the data folder (journal, log) there.")] = None,
    as_json: Json = False,
) -> int:
    """A rehearsal venue, a parent who trades by a script, three children, the engine and the panel.

    With --headless it ends by itself: exit status 0 only if nothing was missed or copied twice and no drift is unexplained.
    """
    import asyncio

    from copydesk.cli.rehearse import names_in
    from copydesk.errors import UsageError
    from copydesk.plugins import find_kind

    find_kind(kind)
    if market and not Path(market).is_file():
        raise UsageError(f"--market {market!r} is no file: name a market recording, or leave it out for the shipped one")
    if keep is not None and keep.exists() and any(keep.iterdir()):
        raise UsageError(f"--keep {str(keep)!r} is not empty: name a new folder")
    kills = _moments(kill)
    faults = tuple(names_in(fault))
    if headless:
        return asyncio.run(_headless(kind, seconds, market, faults, kills, keep, as_json))
    asyncio.run(_with_panel(kind, market, faults, port, keep, as_json))
    return 0


def _moments(text: str) -> tuple[float, ...]:
    from copydesk.errors import UsageError

    try:
        return tuple(float(word) for word in text.split(",") if word.strip())
    except ValueError:
        raise UsageError(f"--kill {text!r} must be seconds with commas between, such as 5,9.5") from None


async def _headless(
    kind: str,
    seconds: float,
    market: str,
    faults: tuple[str, ...],
    kills: tuple[float, ...],
    keep: Path | None,
    as_json: bool,
) -> int:
    import tempfile
    import time

    from copydesk.demo.show import Show

    with tempfile.TemporaryDirectory(prefix="copydesk-demo-") as scratch:
        show = Show(keep or Path(scratch), kind, market=market, faults=faults, tell=_quietly if as_json else say)
        begun = time.monotonic()
        try:
            await show.set_up()
            await show.perform(seconds=seconds, pause=0.25, kills=kills)
            verdict = await show.verdict(time.monotonic() - begun)
        finally:
            await show.close()
    if as_json:
        print_json(verdict)
    else:
        _tell(verdict)
    return 0 if verdict.ok else 1


def _quietly(_: str) -> None:
    """Nothing: with --json one object is all that is printed."""


async def _with_panel(kind: str, market: str, faults: tuple[str, ...], port: int, keep: Path | None, as_json: bool) -> None:
    import asyncio
    import tempfile

    from copydesk.demo.show import Show

    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    with tempfile.TemporaryDirectory(prefix="copydesk-demo-") as scratch:
        show = Show(keep or Path(scratch), kind, market=market, faults=faults, tell=_quietly if as_json else say)
        try:
            playing = asyncio.create_task(_play(show, port, as_json))
            waiting = asyncio.create_task(asked.wait())
            await asyncio.wait({playing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if playing.done():
                playing.result()
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
        finally:
            if not as_json:
                say("Stopping ...")
            await show.close()


async def _play(show: object, port: int, as_json: bool) -> None:
    from copydesk.demo.show import Show

    assert isinstance(show, Show)
    await show.set_up()
    url = await show.stage.start_panel(port)
    if as_json:
        print_json({"panel": url, "data": str(show.stage.folder)})
    else:
        say(f"\n  The panel: {url}\n\n  Ctrl-C ends the demo.\n")
    while True:
        await show.perform(seconds=3600, pause=2.0)


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
    say("Nothing was missed or copied twice, and no drift is unexplained." if verdict.ok else "NOT everything was copied.")
