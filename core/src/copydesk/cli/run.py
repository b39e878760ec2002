"""`copydesk run`: the engine, until Ctrl-C."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from copydesk.cli.common import Json, folder_of, print_json, say, sealed_of

if TYPE_CHECKING:
    from copydesk.secrets import SealedFile


def run(context: typer.Context, as_json: Json = False) -> None:
    """Run the engine on the data folder: connect, resume the bots that are Working, serve the control API, until Ctrl-C."""
    import asyncio

    from copydesk.looping import new_loop
    from copydesk.tidying import one_heap

    one_heap()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_run(folder_of(context), sealed_of(context), as_json))


async def _run(folder: Path, sealed: SealedFile, as_json: bool) -> None:
    """Everything that an engine needs, opened in order and closed in the opposite one."""
    import asyncio
    import secrets
    from contextlib import AsyncExitStack

    from copydesk.bots import BotStore
    from copydesk.config import load_config
    from copydesk.connections import check_bot_accounts
    from copydesk.control import serve
    from copydesk.datafolder import (
        JOURNAL_NAME,
        ControlFile,
        lock_folder,
        remove_control,
        write_control,
    )
    from copydesk.engine import Engine
    from copydesk.journal import Journal
    from copydesk.livedesk import LiveDesk
    from copydesk.tidying import Tidy
    from copydesk.view import ConnectionState
    from copydesk.warming import Warm

    os.umask(0o077)  # journal, log and locks are this user's alone
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    config = load_config(folder)
    async with AsyncExitStack() as stack:
        stack.enter_context(lock_folder(folder))
        _log_to(folder / "engine.log")
        store = BotStore.load(folder)
        for bot in store.bots.values():
            check_bot_accounts(bot, config)  # both files may have been changed by hand since it was stored
        journal = stack.enter_context(Journal.open(folder / JOURNAL_NAME, durability=config.engine.durability))
        engine = Engine(config, store, journal, sealed)
        stack.push_async_callback(engine.stop)
        await engine.start()
        stack.enter_context(Tidy(engine.quiet_ns, lambda: engine.boot is not None and engine.boot.is_over))
        stack.enter_context(Warm(engine.warm_up, float(config.engine.warm_up_ms) / 1000))
        token = secrets.token_urlsafe(32)
        desk = LiveDesk(engine, config, store)
        desk.start()
        control = await serve(desk, host=config.control.host, port=config.control.port, token=token)
        stack.push_async_callback(control.stop)
        write_control(folder, ControlFile(url=control.url, token=token, pid=os.getpid()))
        stack.callback(remove_control, folder)
        if as_json:
            print_json({"url": control.url, "pid": os.getpid(), "data": str(folder)})
        else:
            say(f"copydesk is running on {folder}. Control API: {control.url}.")
            say("Ctrl-C stops it; its bots go on at the next start.")
        for connection in engine.connections.values():
            if connection.state is ConnectionState.REFUSED:
                typer.echo(f"copydesk: {connection.name} is not used: {connection.message}", err=True)
        waiting = asyncio.create_task(asked.wait())
        failing = asyncio.create_task(engine.failure())
        await asyncio.wait({waiting, failing}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if failing.done():
            failing.result()
        failing.cancel()


def _log_to(path: Path) -> None:
    """The technical log: everything into the file, what needs a person also to standard error."""
    import logging

    shape = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    to_file = logging.FileHandler(path, encoding="utf-8")
    to_people = logging.StreamHandler()
    to_people.setLevel(logging.ERROR)
    for handler in (to_file, to_people):
        handler.setFormatter(shape)
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_people], force=True)
    for noisy in ("httpx", "httpcore", "aiohttp.access", "ccxt", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
