"""A running engine with its control API in this event loop, on the embedded exchange: for tests of what people do to it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from copydesk.bots import BotStore
from copydesk.client import AsyncControlClient
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.control import serve
from copydesk.datafolder import ControlFile, lock_folder, write_control
from copydesk.engine import Engine
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import Accepted, OrderType, Side, Terms
from copydesk.secrets import SealedFile

SYMBOL = "BTCUSDT"
PATIENCE_S = 40.0
PLAIN: dict[str, dict[str, str]] = {"parent": {}, "child": {}}


@dataclass
class Bench:
    engine: Engine
    store: BotStore
    client: AsyncControlClient
    desk: LiveDesk
    url: str
    token: str
    folder: Path

    async def until(self, what: Callable[[], bool]) -> None:
        happened = asyncio.Event()
        stop = self.engine.events.listen(lambda _: happened.set())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not what():
                    happened.clear()
                    await happened.wait()
        finally:
            stop()

    async def trade(self, account: str, side: Side, quantity: str, symbol: str = SYMBOL) -> None:
        terms = Terms(symbol=symbol, side=side, type=OrderType.MARKET, quantity=Decimal(quantity))
        outcome = await self.client.place(account, terms)
        assert isinstance(outcome.outcome, Accepted), outcome

    def held(self, account: str) -> Decimal:
        positions = self.engine.boards[account].positions.values() if account in self.engine.boards else ()
        return sum((p.quantity for p in positions if p.symbol == SYMBOL), Decimal(0))

    async def add(self, *, child: dict[str, object] | None = None, **more: object) -> BotSettings:
        settings = {"account": "child", "mode": "multiplier", "value": "0.5", **(child or {})}
        table = {"name": "bot", "parent": "parent", "children": [ChildSettings.model_validate(settings)], **more}
        return await self.client.add_bot(BotSettings.model_validate(table))


@asynccontextmanager
async def running_bench(folder: Path, options: Mapping[str, Mapping[str, str]] = PLAIN) -> AsyncIterator[Bench]:
    """`options`: by connection, what is set of it beyond its account and cash."""
    connections = {
        name: {"kind": "paper", "account": f"{folder.name}-{name}", "cash": "1000000", **more}
        for name, more in options.items()
    }
    config = Config.model_validate({"connections": connections})
    token = "a token"
    async with AsyncExitStack() as stack:
        journal = stack.enter_context(Journal.open(folder / "journal.db"))
        store = BotStore.load(folder)
        engine = Engine(config, store, journal, SealedFile(folder, lambda: ""))
        stack.push_async_callback(engine.stop)
        await engine.start()
        desk = LiveDesk(engine, config, store)
        desk.start()
        running = await serve(desk, host="127.0.0.1", port=0, token=token)
        stack.push_async_callback(running.stop)
        client = await stack.enter_async_context(AsyncControlClient(running.url, token))
        for connection in engine.connections.values():
            await connection.until_up(PATIENCE_S)
        stack.enter_context(lock_folder(folder))
        write_control(folder, ControlFile(url=running.url, token=token, pid=os.getpid()))
        yield Bench(engine, store, client, desk, running.url, token, folder)
