"""`copydesk rehearse`: a venue's rehearsal server on loopback."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from copydesk.cli.common import Json, print_json, print_table, say

if TYPE_CHECKING:
    from copydesk.hookspecs import RunningRehearsal
    from copydesk.model import RehearsalReady, RehearsalSettings

STOP_SECONDS = 10
VenueOptions = Annotated[
    list[str],
    typer.Option(metavar="NAME=VALUE", help="A setting of the venue's own, such as weight-per-minute=24000; repeat it."),
]


def rehearse(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="A connection kind; see `copydesk plugins`.")],
    accounts: Annotated[
        str, typer.Option(metavar="NAMES", help="Accounts to open, with commas between; NAME=CASH gives one its own cash.")
    ] = "parent,child",
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free port.")] = 0,
    market: Annotated[str, typer.Option(metavar="FILE", help="A market recording to replay; empty: the shipped one.")] = "",
    fault: Annotated[str, typer.Option(metavar="LIST", help="Faults to commit, with commas between.")] = "",
    cash: Annotated[str, typer.Option(metavar="AMOUNT", help="What each account begins with.")] = "10000",
    speed: Annotated[str, typer.Option(metavar="FACTOR", help="How fast the market is replayed.")] = "1",
    option: VenueOptions = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Serve a rehearsal venue that speaks the venue's real wire, until Ctrl-C. Its keys are made up and of no value."""
    import asyncio

    from copydesk.errors import UsageError
    from copydesk.model import RehearsalSettings
    from copydesk.plugins import load_plugin

    manager = load_plugin(kind)
    if not manager.hook.rehearse.get_hookimpls():
        raise UsageError(f"the kind {kind!r} has no rehearsal venue: `copydesk plugins` lists the others")
    opened = _cash_of(accounts, cash)
    if market and not Path(market).is_file():
        raise UsageError(f"--market {market!r} is no file: name a market recording, or leave it out for the shipped one")
    settings = RehearsalSettings(
        kind=kind,
        accounts=opened,
        host=host,
        port=port,
        market=market,
        speed=_positive("--speed", speed),
        faults=tuple(names_in(fault)),
        options=options_in(option),
    )
    asyncio.run(_serve(manager.hook.rehearse, settings, as_json))


async def _serve(start: Callable[..., Awaitable[RunningRehearsal]], settings: RehearsalSettings, as_json: bool) -> None:
    """Start, tell, wait for SIGINT or SIGTERM, stop within a deadline."""
    import asyncio

    from copydesk.errors import CopydeskError, UsageError

    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.set)
    try:
        running = await start(settings=settings)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(
            f"{settings.host}:{settings.port} cannot be served on ({reason}): choose another --port, or 0 for any free one"
        ) from None
    try:
        if as_json:
            print_json(running.ready)
        else:
            _tell(running.ready)
        await asked.wait()
    finally:
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await running.stop()
        except TimeoutError:
            raise CopydeskError(f"the rehearsal of {settings.kind} did not stop within {STOP_SECONDS} s") from None


def _tell(ready: RehearsalReady) -> None:
    from copydesk.secrets import variable_of

    say(f"A rehearsal of {ready.kind} is serving. Ctrl-C ends it.")
    print_table(("", "address"), [*ready.urls.items(), ("control", ready.control_url)], empty="")
    rows = [(account.name, name, value) for account in ready.accounts for name, value in account.secrets.items()]
    print_table(("account", "field", "value"), rows, empty="")
    say(f"Symbols: {', '.join(ready.symbols)}\n")
    say("To trade on it, put this into copydesk.toml:\n")
    for account in ready.accounts:
        options = "".join(f'{name} = "{value}"\n' for name, value in account.options.items())
        say(f'[connections.{account.name}]\nkind = "{ready.kind}"\n{options}')
    say("and give the keys, by `copydesk secrets set` or, for this terminal alone:\n")
    for account in ready.accounts:
        for name, value in account.secrets.items():
            say(f"export {variable_of(account.name, name)}={value}")


def _cash_of(accounts: str, cash: str) -> dict[str, Decimal]:
    """`parent,child=5000`: each account with what it begins with."""
    from copydesk.errors import UsageError

    usual = _positive("--cash", cash)
    opened: dict[str, Decimal] = {}
    for word in names_in(accounts):
        name, _, own = word.partition("=")
        if not name or name in opened:
            raise UsageError(f"--accounts {accounts!r} must name one account or more, each once, with commas between")
        opened[name] = _positive(f"--accounts {name}", own) if own else usual
    if not opened:
        raise UsageError(f"--accounts {accounts!r} must name one account or more, each once, with commas between")
    return opened


def options_in(words: list[str]) -> dict[str, str]:
    """`NAME=VALUE` words as a table. Raises `UsageError`."""
    from copydesk.errors import UsageError

    for word in words:
        if not all(word.partition("=")):
            raise UsageError(f"--option {word!r} must be written as NAME=VALUE, such as weight-per-minute=24000")
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def names_in(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _positive(option: str, text: str) -> Decimal:
    from copydesk.errors import UsageError

    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0:
        raise UsageError(f"{option} {text!r} must be a number above 0, such as 1 or 2.5")
    return number
