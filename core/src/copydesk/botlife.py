"""Starting and stopping bots on a running engine: the plan, its confirmation, and what follows from it.

Between looking at a plan again and acting on it nothing is awaited, and both see the same snapshots: nothing other than
what was shown is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from copydesk.bots import BotStore
from copydesk.checks import start_checks
from copydesk.config import BotSettings, Config, connection_of
from copydesk.engine import Engine
from copydesk.errors import Conflict, CopydeskError, NotReady, UnknownName, UsageError
from copydesk.forecast import plan_start, plan_stop
from copydesk.inputs import BotStarted, BotStopped
from copydesk.model import Snapshot
from copydesk.plans import PlannedSend, StartOrder, StartPlan, StopOrder, StopPlan
from copydesk.starting import ADOPT, IGNORE
from copydesk.stopping import LEAVE, WIND_DOWN
from copydesk.view import ConnectionState

WAIT_AGAIN_S = 5.0
START_POLICIES = ("ignore", "adopt", "copy_now", "copy_if_better")
STOP_POLICIES = ("leave", "wind_down", "cancel_entries", "cancel_all", "flatten")


class BotLife:
    """The life of the bots of one engine."""

    def __init__(self, engine: Engine, config: Config, store: BotStore) -> None:
        self._engine = engine
        self._config = config
        self._store = store

    def resume(self) -> None:
        """Stop what was stopped, and start what was started, while no engine ran."""
        for name, bot in self._engine.state.bots.items():
            if bot.working and not self._store.bots[name].working:
                self._engine.feed(BotStopped(at_ns=time.time_ns(), bot=name))
        self.follow_stops()
        for settings in self._store.bots.values():
            if settings.working and not self._engine.state.bots[settings.name].working:
                self._engine.spawn(self._start_when_connected(settings.name))

    def follow_stops(self) -> None:
        """Store as stopped what the engine has stopped by itself: a bot that was wound down."""
        for name, bot in self._engine.state.bots.items():
            if bot.wound_down and name in self._store.bots and self._store.bots[name].working:
                self._store.set_working(name, False)

    # --- start ----------------------------------------------------------------------------------------------------

    async def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        """What starting the bot would do now. Raises `NotReady` where the parent cannot be read."""
        settings = self._store.get(name)
        return self._plan(settings, await self._read(settings, order))

    async def start(self, name: str, order: StartOrder) -> None:
        """Start the bot. Raises `Conflict` where something would be sent that was not confirmed, or that is refused."""
        settings = self._store.get(name)
        engine = self._engine
        if settings.working and engine.state.bots[name].working:
            return
        given = await self._read(settings, order)
        plan = self._plan(settings, given)
        if plan.refusals:
            raise Conflict(f"bot {name!r} cannot be started: {'; '.join(plan.refusals)}")
        if given.policy != IGNORE and plan.digest != order.digest:
            moved = "has changed since it was shown" if order.digest else "has to be confirmed first"
            raise Conflict(
                f"bot {name!r}: the plan of its start under {given.policy!r} {moved}: "
                f"see `copydesk bots start {name} --plan`"
            )
        engine.feed(given)
        self._store.set_working(name, True)
        text = f"bot {name!r} started" + ("" if given.policy == IGNORE else f" under {given.policy!r}")
        engine.chronicle.say("info", "bot", text, bot=name)
        for warning in plan.warnings:
            engine.chronicle.say("warn", "bot", f"bot {name!r}: {warning}", bot=name)

    def _plan(self, settings: BotSettings, given: BotStarted) -> StartPlan:
        refusals, warnings = start_checks(settings, given, self._engine, self._store.others(settings.name))
        return plan_start(self._engine.state, given, refusals, warnings)

    async def _read(self, settings: BotSettings, order: StartOrder) -> BotStarted:
        """The parent and, as far as they can be read, its children, all at once."""
        policy = order.policy or settings.start.policy
        if policy not in START_POLICIES:
            raise UsageError(f"there is no start policy {policy!r}: choose one of {', '.join(START_POLICIES)}")
        adverse = order.max_adverse_percent
        if adverse is None:
            adverse = settings.start.max_adverse_percent
        if adverse < 0:
            raise UsageError(f"max_adverse_percent must not be below 0, as {adverse} is")
        connection = self._engine.connections[connection_of(settings.parent)]
        await connection.until_up(float(self._config.engine.connect_timeout_s))
        keys = [child.account for child in settings.children if self._is_up(child.account)]
        reading = asyncio.gather(*(self._snapshot(key) for key in keys))
        snapshot = await connection.snapshot(settings.parent, whole=True)
        others = await reading
        children = {key: found for key, found in zip(keys, others, strict=True) if found is not None}
        self._engine.know_symbols(settings.parent, snapshot)
        for key, found in children.items():
            self._engine.know_symbols(key, found)
            self._engine.read(key, found)  # its balance is known before the first order
        if policy == ADOPT and len(children) < len(settings.children):
            missing = ", ".join(child.account for child in settings.children if child.account not in children)
            raise NotReady(f"what {missing} holds cannot be read now, and so not adopted: try again when it is connected")
        return BotStarted(
            at_ns=time.time_ns(),
            bot=settings.name,
            snapshot=snapshot,
            policy=policy,
            max_adverse_percent=adverse,
            children=children if policy != IGNORE else {},
        )

    def _is_up(self, key: str) -> bool:
        return self._engine.connections[connection_of(key)].state is ConnectionState.CONNECTED

    async def _snapshot(self, key: str) -> Snapshot | None:
        try:
            return await self._engine.connections[connection_of(key)].snapshot(key, whole=True)
        except CopydeskError as error:
            self._engine.chronicle.say("warn", "connection", f"{key} could not be read: {error}", account=key)
            return None

    async def _start_when_connected(self, name: str) -> None:
        """A bot that was started while no engine ran: start it as soon as its parent can be read."""
        while True:
            try:
                await self.start(name, StartOrder())
            except NotReady as error:
                self._engine.chronicle.say("warn", "bot", f"bot {name!r} waits: {error}", bot=name)
                await asyncio.sleep(WAIT_AGAIN_S)
            except UnknownName:  # removed meanwhile
                return
            except Conflict as error:
                self._store.set_working(name, False)
                self._engine.chronicle.say("error", "bot", f"{error}; it is Stopped", bot=name)
                return
            else:
                return

    # --- stop -----------------------------------------------------------------------------------------------------

    def plan_stop(self, name: str, order: StopOrder) -> StopPlan:
        """What stopping the bot would do now."""
        settings = self._store.get(name)
        return plan_stop(self._engine.state, name, _stop_policy(settings, order))

    def stop(self, name: str, order: StopOrder) -> None:
        """Stop the bot; what one left that is stopped already may still be dealt with.

        Raises `Conflict` for what was not confirmed.
        """
        settings = self._store.get(name)
        policy = _stop_policy(settings, order)
        working = self._engine.state.bots[name].working
        if not working and (policy in (LEAVE, WIND_DOWN) or not order.policy):
            self._store.set_working(name, False)
            return
        plan = self.plan_stop(name, order)
        if plan.sends and plan.digest != order.digest:
            moved = "has changed since it was shown" if order.digest else "has to be confirmed first"
            what = _counted(plan.sends)
            raise Conflict(
                f"bot {name!r}: the plan of its stop under {policy!r} ({what}) {moved}: "
                f"see `copydesk bots stop {name} --plan`"
            )
        self._engine.feed(BotStopped(at_ns=time.time_ns(), bot=name, policy=policy))
        self.follow_stops()
        if not self._engine.state.bots[name].working:
            self._store.set_working(name, False)
        self._engine.chronicle.say("info", "bot", f"bot {name!r} {_STOPPED[policy]}", bot=name)
        for warning in plan.warnings:
            self._engine.chronicle.say("warn", "bot", f"bot {name!r}: {warning}", bot=name)


def _stop_policy(settings: BotSettings, order: StopOrder) -> str:
    policy = order.policy or settings.stop
    if policy not in STOP_POLICIES:
        raise UsageError(f"there is no stop policy {policy!r}: choose one of {', '.join(STOP_POLICIES)}")
    return policy


def _counted(sends: Iterable[PlannedSend]) -> str:
    whats = [send.what for send in sends]
    cancels, places = whats.count("cancel"), whats.count("place")
    words = [f"{cancels} order(s) to cancel"] if cancels else []
    return " and ".join([*words, *([f"{places} position(s) to close"] if places else [])])


_STOPPED = {
    "leave": "stopped; its children's orders and positions are left as they are",
    "wind_down": "winds down: nothing is opened any more, and it is stopped once its children are flat",
    "cancel_entries": "stopped; its children's entries are cancelled, positions and their protection are left as they are",
    "cancel_all": "stopped; all its children's orders are cancelled, their positions are left as they are",
    "flatten": "stopped; its children's orders are cancelled and what was copied is closed",
}
