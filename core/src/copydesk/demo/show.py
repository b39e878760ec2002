"""The whole demo: build the stage, let the parent trade, judge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from pluggy import PluginManager

from copydesk.client import AsyncControlClient
from copydesk.config import BotSettings, ChildSettings
from copydesk.demo.stage import Stage
from copydesk.demo.trader import Trader
from copydesk.demo.verdict import Evening, Verdict, judge
from copydesk.errors import CopydeskError, NotReady, RateLimited
from copydesk.model import Snapshot, SnapshotRequest
from copydesk.plugins import describe_kind, load_plugin
from copydesk.venue import Venue, open_venue
from copydesk.view import ConnectionState, DeskView, LogEntry, LogQuery

BOT = "Demo"
PARENT = "parent"
CHILDREN = (
    ChildSettings(account="child1", mode="multiplier", value=Decimal("0.5")),
    ChildSettings(account="child2", mode="multiplier", value=Decimal(3)),
    ChildSettings(account="child3", mode="percentage"),
)
CASH = {PARENT: Decimal(100_000), "child1": Decimal(100_000), "child2": Decimal(400_000), "child3": Decimal(250_000)}
NOTIONAL = Decimal(1500)
CONNECT_S = 120.0
QUIET_S = 90.0
REACH_TIMES = 4
READ_TIMES = 10
LOG_PAGE = 5000


class Show:
    """One demo in `folder`. `tell` is given a line of progress for people now and then."""

    def __init__(
        self,
        folder: Path,
        kind: str,
        *,
        market: str = "",
        faults: tuple[str, ...] = (),
        options: Mapping[str, str],
        tell: Callable[[str], None],
    ) -> None:
        self.stage = Stage(folder, kind)
        self.kind, self.market, self.faults, self.options = kind, market, faults, options
        self.tell = tell
        self.kills = 0
        self.started_ms = 0
        self.client: AsyncControlClient | None = None
        self._venues: dict[str, Venue] = {}
        self._away_ms: list[tuple[int, int]] = []

    async def set_up(self) -> None:
        """Venue, engine, bot: everything up to the parent's first order."""
        self.tell(f"Starting a rehearsal of {self.kind} ...")
        await self.stage.open_venue(CASH, market=self.market, faults=",".join(self.faults), options=self.options)
        self.tell("Starting the engine ...")
        self.client = await self.stage.start_engine()
        await self._until(self._all_connected, CONNECT_S, "the accounts did not connect")
        await self.client.add_bot(BotSettings(name=BOT, parent=PARENT, children=CHILDREN))
        await self.client.start_bot(BOT)
        self.started_ms = int(time.time() * 1000)

    async def perform(
        self, *, seconds: float, pause: float, kills: tuple[float, ...] = (), reach: Decimal = Decimal(1)
    ) -> None:
        """Let the parent trade for `seconds`, and until the engine was killed at each of the moments (seconds of its work);
        then wait until things are quiet."""
        manager = load_plugin(self.kind)
        venue = self._venues[PARENT] = await self._reach(manager, PARENT)
        assert self.stage.ready is not None
        trader = self.trader = Trader(
            venue=venue,
            symbol=self.stage.ready.symbols[0],
            can=describe_kind(self.kind).capabilities,
            notional=NOTIONAL,
            pause=pause,
            reach=reach,
        )
        pricing = asyncio.create_task(trader.watch())
        crashing = asyncio.create_task(self._crash(kills))
        playing = asyncio.create_task(self._play(seconds, crashing))
        watching = asyncio.create_task(self.stage.watch())
        tasks = (pricing, crashing, playing, watching)
        try:
            await asyncio.wait((playing, watching), return_when=asyncio.FIRST_COMPLETED)
            (watching if watching.done() else playing).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, seconds: float, crashing: asyncio.Task[None]) -> None:
        trader = self.trader
        await trader.until_priced()
        self.tell(f"The parent trades {trader.symbol} ...")
        ends = time.monotonic() + seconds
        await trader.trade(lambda: time.monotonic() > ends and crashing.done())
        await crashing
        self.tell("Waiting until everything is quiet ...")
        with suppress(NotReady):  # the verdict says what is not
            await self._until(self._quiet, QUIET_S, "not quiet")

    async def _reach(self, manager: PluginManager, account: str) -> Venue:
        """Connect as the engine does, more than once: a venue that misbehaves may not answer the first time."""
        settings = self.stage.settings_of(account)
        for _ in range(REACH_TIMES - 1):
            with suppress(NotReady):
                return await open_venue(manager, settings)
        return await open_venue(manager, settings, connect_s=CONNECT_S)

    async def verdict(self, seconds: float) -> Verdict:
        """Ask the venue for everything since the start, the engine for what it knows, and compare."""
        assert self.client is not None
        manager = load_plugin(self.kind)
        for child in CHILDREN:
            self._venues[child.account] = await self._reach(manager, child.account)
        snapshots = {name: await self._read(venue) for name, venue in self._venues.items()}
        evening = Evening(
            bot=BOT,
            parent=PARENT,
            view=await self.client.view(),
            log=await self._log(),
            snapshots=snapshots,
            instruments=self._venues[PARENT].instruments,
            changed_ms=self.trader.changed_ms,
            away_ms=tuple(self._away_ms),
        )
        return judge(
            evening,
            kind=self.kind,
            market=self.market or "synthetic",
            faults=self.faults,
            kills=self.kills,
            seconds=seconds,
            did=self.trader.did,
        )

    async def _log(self) -> tuple[LogEntry, ...]:
        """The whole log of actions, the newest line first."""
        assert self.client is not None
        entries: list[LogEntry] = []
        while True:
            before = entries[-1].seq if entries else 0
            page = await self.client.log(LogQuery(before_seq=before, limit=LOG_PAGE))
            entries += page
            if len(page) < LOG_PAGE:
                return tuple(entries)

    async def close(self) -> None:
        for venue in self._venues.values():
            await venue.close()
        if self.client is not None:
            await self.client.close()
        await self.stage.__aexit__()

    async def _read(self, venue: Venue) -> Snapshot:
        """All that the account did since the start; a venue that asks for quiet is left in peace for so long."""
        assert self.stage.ready is not None
        symbol = self.stage.ready.symbols[0]
        request = SnapshotRequest(since_ms=self.started_ms - 1000, symbols=(symbol,))
        for _ in range(READ_TIMES):
            try:
                return await venue.snapshot(request)
            except RateLimited as error:
                await asyncio.sleep(max(0.5, error.retry_after_ms / 1000))
            except CopydeskError:
                await asyncio.sleep(0.5)
        return await venue.snapshot(request)

    async def _crash(self, kills: tuple[float, ...]) -> None:
        """Kill the engine at each of the moments, in seconds for which it has worked by then, and start it again."""
        worked = 0.0
        for moment in sorted(kills):
            await asyncio.sleep(moment - worked)
            worked = moment
            self.tell(f"Killing the engine after {moment:g} s ...")
            gone_ms = int(time.time() * 1000)
            await self.stage.kill_engine()
            self.kills += 1
            if self.client is not None:
                await self.client.close()
            self.client = await self.stage.start_engine()
            self._away_ms.append((gone_ms, int(time.time() * 1000)))
            await self._until(self._all_connected, CONNECT_S, "the engine did not come back")

    async def _until(self, condition: Callable[[DeskView], bool], seconds: float, what: str) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.client is not None
            with suppress(CopydeskError):
                if condition(await self.client.view()):
                    return
            await asyncio.sleep(0.2)
        raise NotReady(f"{what} within {seconds:g} s")

    def _all_connected(self, view: DeskView) -> bool:
        refused = [account for account in view.accounts if account.state is ConnectionState.REFUSED]
        if refused:
            raise CopydeskError(f"{refused[0].key} was refused: {refused[0].message}")
        return all(account.state is ConnectionState.CONNECTED for account in view.accounts)

    def _quiet(self, view: DeskView) -> bool:
        """Everybody connected, nobody with a working order, and nothing on its way."""
        accounts = [account for account in view.accounts if account.key != PARENT]
        return (
            self._all_connected(view)
            and not any(account.orders for account in accounts)
            and not any(row.difference and row.cause in ("pending", "stale", "unexplained") for row in view.drift)
        )
