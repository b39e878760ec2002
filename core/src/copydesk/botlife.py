"""Starting and stopping bots on a running engine: the plan, its confirmation, and what follows from it.

Between looking at a plan again and acting on it nothing is awaited, and both see the same snapshots: nothing other than
what was shown is sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from copydesk.bots import BotStore
from copydesk.checks import StartChecks
from copydesk.config import BotSettings, Config, account_of, connection_of
from copydesk.engine import Engine
from copydesk.errors import Conflict, CopydeskError, NotReady, UnknownName, UsageError
from copydesk.feasibility import ChildPreview, Preview, preview_child, trades_of
from copydesk.forecast import plan_start, plan_stop, without_leverage
from copydesk.inputs import BotStarted, BotStopped
from copydesk.model import Accepted, Outcome, Snapshot, Unknown
from copydesk.plans import PlannedSend, StartOrder, StartPlan, StopOrder, StopPlan
from copydesk.rules import rules_of
from copydesk.starting import ADOPT, IGNORE
from copydesk.starting import unsettled as unsettled_children
from copydesk.state import Account
from copydesk.stopping import LEAVE, WIND_DOWN
from copydesk.view import ConnectionState
from copydesk.wording import counted

WAIT_AGAIN_S = 5.0
PREVIEW_REACH_MS = 24 * 3_600_000
"""How far back a preview looks for trades of the parent."""
START_POLICIES = ("ignore", "adopt", "copy_now", "copy_if_better")
STOP_POLICIES = ("leave", "wind_down", "cancel_entries", "cancel_all", "flatten")


class _Read(NamedTuple):
    """What was read for a start: the input that would begin it, and the snapshots with all their settings."""

    given: BotStarted
    parent: Snapshot
    children: dict[str, Snapshot]


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
                self._engine.hold_leases()

    # --- start ----------------------------------------------------------------------------------------------------

    async def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        """What starting the bot would do now. Raises `NotReady` where the parent cannot be read."""
        settings = self._store.get(name)
        return self._plan(settings, await self._read(settings, order))

    async def start(self, name: str, order: StartOrder) -> None:
        """Start the bot. Raises `Conflict` where something would be sent that was not confirmed, or that is refused."""
        settings = self._store.get(name)
        if settings.working and self._engine.state.bots[name].working:
            return
        read = await self._read(settings, order)
        plan = self._plan(settings, read)
        self._check(plan, order.digest)
        if any(child.leverage for child in plan.children):
            await self._set_leverage(plan)
            read = await self._read(settings, order)
            plan, shown = self._plan(settings, read), plan
            self._check(plan, without_leverage(shown).digest)
        engine, given = self._engine, read.given
        engine.hold_leases(child.account for child in settings.children)
        engine.feed(given)
        self._store.set_working(name, True)
        text = f"bot {name!r} started" + ("" if given.policy == IGNORE else f" under {given.policy!r}")
        engine.chronicle.say("info", "bot", text, bot=name)
        for warning in plan.warnings:
            engine.chronicle.say("warn", "bot", f"bot {name!r}: {warning}", bot=name)
        engine.connections[connection_of(settings.parent)].take_snapshot(settings.parent)  # what came between the two

    def _check(self, plan: StartPlan, digest: str) -> None:
        """Raises `Conflict` unless the plan may be done and is the one that was confirmed, or does nothing."""
        if plan.refusals:
            raise Conflict(f"bot {plan.bot!r} cannot be started: {'; '.join(plan.refusals)}")
        if plan.changes and plan.digest != digest:
            moved = "has changed since it was shown" if digest else "has to be confirmed first"
            raise Conflict(
                f"bot {plan.bot!r}: the plan of its start under {plan.policy!r} {moved}: "
                f"see `copydesk bots start {plan.bot} --plan`"
            )

    def _plan(self, settings: BotSettings, read: _Read) -> StartPlan:
        others = self._store.others(settings.name)
        checks = StartChecks(settings, read.parent, read.children, self._engine, others).all()
        return plan_start(self._engine.state, read.given, checks)

    async def _set_leverage(self, plan: StartPlan) -> None:
        """Raises `Conflict` at the first that is not accepted; the bot is then not started."""
        for child in plan.children:
            venue = self._engine.connections[connection_of(child.account)].venue
            for change in child.leverage:
                what = f"{child.account}: leverage of {change.symbol} to {change.leverage}"
                asked = msgspec.structs.replace(change, account=account_of(child.account))
                outcome: Outcome = Unknown(message="it is not connected")
                if venue is not None:
                    outcome = await venue.set_leverage(asked)
                if not isinstance(outcome, Accepted):
                    raise Conflict(f"bot {plan.bot!r} is not started: {what}: {outcome.message}")
                self._engine.chronicle.say("info", "leverage", f"{what}: set", bot=plan.bot, account=child.account)

    async def _read(self, settings: BotSettings, order: StartOrder) -> _Read:
        """The parent, and its children as far as they can be read, all at once."""
        policy, adverse = _start_policy(settings, order)
        connection = self._engine.connections[connection_of(settings.parent)]
        await connection.until_up(float(self._config.engine.connect_timeout_s))
        parent = await connection.snapshot(settings.parent, whole=True)
        self._engine.know_symbols(settings.parent, parent)
        symbols = tuple(sorted({p.symbol for p in parent.positions} | {o.terms.symbol for o in parent.orders}))
        keys = [child.account for child in settings.children if self._is_up(child.account)]
        found = await asyncio.gather(*(self._snapshot(key, symbols) for key in keys))
        children = {key: snapshot for key, snapshot in zip(keys, found, strict=True) if snapshot is not None}
        for key, snapshot in children.items():
            self._engine.read(key, _lean(snapshot))  # its balance is known before the first order
        if policy == ADOPT and len(children) < len(settings.children):
            missing = ", ".join(child.account for child in settings.children if child.account not in children)
            raise NotReady(f"what {missing} holds cannot be read now, and so not adopted: try again when it is connected")
        unsettled = unsettled_children(self._engine.state, self._engine.state.bots[settings.name])
        if policy != IGNORE and unsettled:
            names = ", ".join(dict.fromkeys(unsettled))
            raise NotReady(f"what an earlier run of bot {settings.name!r} sent to {names} is not settled: try again soon")
        given = BotStarted(
            at_ns=time.time_ns(),
            bot=settings.name,
            snapshot=_lean(parent),
            policy=policy,
            max_adverse_percent=adverse,
            children={key: _lean(snapshot) for key, snapshot in children.items()} if policy != IGNORE else {},
        )
        return _Read(given, parent, children)

    def _is_up(self, key: str) -> bool:
        return self._engine.connections[connection_of(key)].state is ConnectionState.CONNECTED

    async def _snapshot(self, key: str, symbols: tuple[str, ...]) -> Snapshot | None:
        try:
            return await self._engine.connections[connection_of(key)].snapshot(key, whole=True, symbols=symbols)
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

    # --- preview ----------------------------------------------------------------------------------------------------

    async def preview(self, settings: BotSettings, last: int) -> Preview:
        """What each child could follow, from what is read now. The bot need not be stored. Changes nothing."""
        connection = self._engine.connections[connection_of(settings.parent)]
        await connection.until_up(float(self._config.engine.connect_timeout_s))
        since_ms = time.time_ns() // 1_000_000 - PREVIEW_REACH_MS
        parent = await connection.snapshot(settings.parent, whole=True, since_ms=since_ms)
        board = self._engine.boards.get(settings.parent)
        trades = trades_of((*(board.fills if board is not None else ()), *parent.fills), last)
        symbols = {trade.symbol for trade in trades} | {position.symbol for position in parent.positions}
        symbols |= {order.terms.symbol for order in parent.orders}
        prices = {trade.symbol: trade.price for trade in trades}
        prices |= {symbol: self._engine.prices[symbol] for symbol in symbols if symbol in self._engine.prices}
        prices |= {symbol: price for symbol, price in parent.prices.items() if symbol in symbols}
        keys = [child.account for child in settings.children if self._is_up(child.account)]
        found = await asyncio.gather(*(self._snapshot(key, tuple(sorted(symbols))) for key in keys))
        snapshots = {key: snapshot for key, snapshot in zip(keys, found, strict=True) if snapshot is not None}
        children = []
        at_ns = time.time_ns()
        theirs = Account(key=settings.parent, balance=parent.balance, balance_ns=at_ns)
        for rules in rules_of(settings, connection.info.kind).children:
            venue = self._engine.connections[connection_of(rules.account)].venue
            snapshot = snapshots.get(rules.account)
            if snapshot is None or venue is None:
                children.append(ChildPreview(account=rules.account, problem=f"{rules.account} cannot be read now"))
                continue
            mine = Account(key=rules.account, balance=snapshot.balance, balance_ns=at_ns)
            leverage = {margin.symbol: margin.leverage for margin in snapshot.margins}
            children.append(preview_child(rules, theirs, mine, venue.instruments, prices, trades, leverage, at_ns))
        return Preview(bot=settings.name, parent=settings.parent, children=tuple(children), trades=trades)

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
        self._engine.hold_leases()
        self._engine.chronicle.say("info", "bot", f"bot {name!r} {_STOPPED[policy]}", bot=name)
        for warning in plan.warnings:
            self._engine.chronicle.say("warn", "bot", f"bot {name!r}: {warning}", bot=name)


def _lean(snapshot: Snapshot) -> Snapshot:
    """Without the margin settings of all symbols: the pure engine has no use for them."""
    return msgspec.structs.replace(snapshot, margins=())


def _start_policy(settings: BotSettings, order: StartOrder) -> tuple[str, Decimal]:
    policy = order.policy or settings.start.policy
    if policy not in START_POLICIES:
        raise UsageError(f"there is no start policy {policy!r}: choose one of {', '.join(START_POLICIES)}")
    adverse = order.max_adverse_percent
    if adverse is None:
        adverse = settings.start.max_adverse_percent
    if adverse < 0:
        raise UsageError(f"max_adverse_percent must not be below 0, as {adverse} is")
    return policy, adverse


def _stop_policy(settings: BotSettings, order: StopOrder) -> str:
    policy = order.policy or settings.stop
    if policy not in STOP_POLICIES:
        raise UsageError(f"there is no stop policy {policy!r}: choose one of {', '.join(STOP_POLICIES)}")
    return policy


def _counted(sends: Iterable[PlannedSend]) -> str:
    whats = [send.what for send in sends]
    cancels, places = whats.count("cancel"), whats.count("place")
    words = [f"{counted(cancels, 'order')} to cancel"] if cancels else []
    return " and ".join([*words, *([f"{counted(places, 'position')} to close"] if places else [])])


_STOPPED = {
    "leave": "stopped; its children's orders and positions are left as they are",
    "wind_down": "winds down: nothing is opened any more, and it is stopped once its children are flat",
    "cancel_entries": "stopped; its children's entries are cancelled, positions and their protection are left as they are",
    "cancel_all": "stopped; all its children's orders are cancelled, their positions are left as they are",
    "flatten": "stopped; its children's orders are cancelled and what was copied is closed",
}
