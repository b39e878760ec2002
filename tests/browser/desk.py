"""A small desk with a market of its own, served by the real control API, for the panel's tests and for looking at it.

It is no engine: orders are accepted at once, limit and trigger prices are reached or not, and working bots repeat what the
parent does in the child's size. It runs as a process:

    python tests/browser/desk.py --data DIR [--bots N] [--log-rate N] [--lines N]
"""

from __future__ import annotations

import argparse
import asyncio
import math
import os
import random
import secrets
import signal
import time
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from pathlib import Path

import msgspec
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, FilterSettings, load_config
from copydesk.control import serve
from copydesk.datafolder import ControlFile, make_folder, remove_control, write_control
from copydesk.errors import UsageError
from copydesk.feasibility import ChildPreview, Preview
from copydesk.model import (
    ZERO,
    Accepted,
    Balance,
    Candle,
    CandleRequest,
    Capabilities,
    Contract,
    Fill,
    Instrument,
    KindInfo,
    Order,
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    Position,
    PriceEvent,
    Record,
    Rejected,
    RejectReason,
    Side,
    Terms,
)
from copydesk.plans import KillOrder, KillReport, StartOrder, StartPlan, StopOrder, StopPlan
from copydesk.view import (
    AccountView,
    BotView,
    ChildView,
    ConnectionState,
    ConnectionView,
    DeskEvent,
    DeskView,
    DriftView,
    LatencyView,
    LogEntry,
    LogQuery,
)

CONFIG = """
[connections.main]
kind = "binance-futures"
[connections.eval-1]
kind = "binance-futures"
[connections.eval-2]
kind = "binance-futures"
[connections.eval-3]
kind = "binance-futures"
[connections.desk]
kind = "paper"
[connections.desk-2]
kind = "paper"
"""
SECONDS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400}
START = {"BTCUSDT": 64_400.0, "ETHUSDT": 3_410.0}
KEPT_EVENTS = 20_000
KEPT_LOG = 200_000


def instrument(symbol: str) -> Instrument:
    step = Decimal("0.001")
    return Instrument(
        symbol=symbol,
        base=symbol[:3],
        quote="USDT",
        settle="USDT",
        contract=Contract.LINEAR,
        price_tick=Decimal("0.1") if symbol == "BTCUSDT" else Decimal("0.01"),
        quantity_step=step,
        min_quantity=step,
    )


def price_at(symbol: str, second: float) -> Decimal:
    """The market: a sum of waves, so that any moment of the past has the price that it had then."""
    base = START[symbol]
    day = second % 86_400_000
    waves = ((5400, 0.0034), (1370, 0.0019), (411, 0.0009), (97, 0.00042), (31, 0.0002), (7.3, 0.00011), (2.1, 0.00005))
    value = base * (1 + sum(size * math.sin(day / length * 2 * math.pi + length) for length, size in waves))
    return Decimal(str(value)).quantize(instrument(symbol).price_tick)


class GeneratorDesk:
    """Implements `copydesk.control.Desk`."""

    def __init__(self, folder: Path) -> None:
        self.config = load_config(folder)
        self.store = BotStore.load(folder)
        self.accounts = {
            name: AccountView(
                key=name,
                connection=name,
                kind=connection.kind,
                title=connection.kind.replace("-", " ").title(),
                state=ConnectionState.CONNECTED,
                rehearsal=connection.kind == "binance-futures",
                balance=Balance(
                    currency="USDT", equity=Decimal(100_000), cash=Decimal(100_000), available=Decimal(100_000)
                ),
            )
            for name, connection in self.config.connections.items()
        }
        self.orders: dict[str, dict[str, Order]] = {name: {} for name in self.accounts}
        self.held: dict[str, dict[str, Position]] = {name: {} for name in self.accounts}
        self.fills: deque[tuple[str, Fill]] = deque(maxlen=2000)
        self.lines: deque[LogEntry] = deque(maxlen=KEPT_LOG)
        self.kept: deque[DeskEvent] = deque(maxlen=KEPT_EVENTS)
        self.sinks: set[Callable[[DeskEvent], None]] = set()
        self.counts: dict[tuple[str, str], int] = {}
        self.copies: dict[str, list[tuple[str, str, str]]] = {}  # parent venue id -> bot, child, child venue id
        self._numbers, self._ids, self._seqs = count(1), count(1_000_001), count(1)

    # --- telling ---

    def emit(self, kind: str, body: Record | str, account: str = "") -> None:
        self.tell(DeskEvent(seq=next(self._seqs), kind=kind, account=account, body=body))

    def tell(self, event: DeskEvent) -> None:
        if event.seq:
            self.kept.append(event)
        for sink in tuple(self.sinks):
            sink(event)

    def say(self, kind: str, text: str, *, bot: str = "", account: str = "", level: str = "info", symbol: str = "") -> None:
        entry = LogEntry(
            seq=next(self._numbers),
            at_ns=time.time_ns(),
            level=level,
            kind=kind,
            text=text,
            bot=bot,
            account=account,
            symbol=symbol,
        )
        self.lines.append(entry)
        self.emit("log", entry)

    def bot_view(self, bot: BotSettings) -> BotView:
        children = tuple(
            ChildView(
                account=child.account,
                mode=child.mode,
                value=child.value,
                health="behind" if child.account.endswith("77") else "in sync",
                copied=self.counts.get((bot.name, child.account), 0),
                latency_us=380 + 57 * number if self.counts.get((bot.name, child.account)) else None,
            )
            for number, child in enumerate(bot.children)
        )
        copied = sum(child.copied for child in children)
        return BotView(
            name=bot.name,
            parent=bot.parent,
            kind=self.accounts[bot.parent].kind,
            status="Working" if bot.working else "Stopped",
            children=children,
            copied=copied,
            latency_us=437 if copied else None,
        )

    def tell_bot(self, name: str) -> None:
        self.emit("bot", self.bot_view(self.store.get(name)))

    # --- what the control API asks ---

    def latest_seq(self) -> int:
        return self.view().seq

    def account_views(self) -> tuple[AccountView, ...]:
        return self.view().accounts

    def drift_views(self) -> tuple[DriftView, ...]:
        return self.view().drift

    def view(self) -> DeskView:
        accounts = tuple(
            msgspec.structs.replace(
                account, orders=tuple(self.orders[key].values()), positions=tuple(self.held[key].values())
            )
            for key, account in self.accounts.items()
        )
        return DeskView(
            seq=self.kept[-1].seq if self.kept else 0,
            at_ns=time.time_ns(),
            version="desk",
            bots=tuple(self.bot_view(bot) for bot in self.store.bots.values()),
            accounts=accounts,
            fills=tuple(self.fills),
            log=tuple(self.lines)[-100:],
            prices={symbol: price_at(symbol, time.time()) for symbol in START},
        )

    def events_after(self, seq: int, limit: int) -> list[DeskEvent] | None:
        first = self.kept[0].seq if self.kept else 1
        if seq + 1 < first:
            return None
        start = seq + 1 - first
        return [self.kept[index] for index in range(start, min(len(self.kept), start + limit))]

    def listen(self, sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
        self.sinks.add(sink)
        return lambda: self.sinks.discard(sink)

    async def log(self, query: LogQuery) -> list[LogEntry]:
        found = []
        for line in reversed(self.lines):
            if query.before_seq and line.seq >= query.before_seq:
                continue
            if line.at_ns < query.from_ms * 1_000_000 or (query.to_ms and line.at_ns > query.to_ms * 1_000_000):
                continue
            if query.text.lower() in line.text.lower():
                found.append(line)
                if len(found) >= query.limit:
                    break
        return found

    def bots(self) -> tuple[BotSettings, ...]:
        return tuple(self.store.bots.values())

    async def add_bot(self, bot: BotSettings) -> None:
        self.store.add(bot, self.config)
        self.say("bot-added", f"Bot added: parent {bot.parent}, {len(bot.children)} children", bot=bot.name)
        self.tell_bot(bot.name)

    async def change_bot(self, name: str, bot: BotSettings) -> None:
        self.store.change(name, bot, self.config)
        if bot.name != name:
            self.emit("bot-removed", name)
        self.say("bot-changed", "Bot settings changed", bot=bot.name)
        self.tell_bot(bot.name)

    async def remove_bot(self, name: str) -> None:
        self.store.remove(name)
        self.say("bot-removed", "Bot deleted", bot=name)
        self.emit("bot-removed", name)

    async def preview(self, bot: BotSettings, last: int) -> Preview:
        children = tuple(ChildPreview(account=child.account, ratio=child.value) for child in bot.children)
        return Preview(bot=bot.name, parent=bot.parent, children=children)

    async def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        return StartPlan(
            bot=name,
            parent=self.store.get(name).parent,
            policy=order.policy or "ignore",
            max_adverse_percent=ZERO,
            positions=(),
            orders=(),
            children=(),
            digest="of the start",
        )

    async def plan_stop(self, name: str, order: StopOrder) -> StopPlan:
        return StopPlan(bot=name, policy=order.policy or "leave", children=(), digest="of the stop")

    async def kill(self, order: KillOrder) -> KillReport:
        if order.confirm != "STOP":
            raise UsageError("stopping everything has to be confirmed")
        working = [bot.name for bot in self.bots() if bot.working]
        for name in working:
            await self.stop_bot(name, StopOrder())
        return KillReport(policy=order.policy, bots=tuple(working))

    def latencies(self) -> tuple[LatencyView, ...]:
        return ()

    def connections(self) -> tuple[ConnectionView, ...]:
        return tuple(
            ConnectionView(
                name=view.connection,
                kind=view.kind,
                title=view.title,
                state=view.state,
                rehearsal=view.rehearsal,
                permissions=("orders", "withdraw") if view.connection == "desk" else ("orders", "withdraw (read)"),
            )
            for view in self.account_views()
        )

    async def start_bot(self, name: str, order: StartOrder) -> None:
        self.store.set_working(name, True)
        self.say("bot-started", "Bot started", bot=name)
        self.tell_bot(name)

    async def stop_bot(self, name: str, order: StopOrder) -> None:
        self.store.set_working(name, False)
        self.say("bot-stopped", "Bot stopped", bot=name)
        self.tell_bot(name)

    def kinds(self) -> tuple[KindInfo, ...]:
        kinds = sorted({connection.kind for connection in self.config.connections.values()})
        return tuple(
            KindInfo(kind=kind, title=kind.replace("-", " ").title(), capabilities=Capabilities()) for kind in kinds
        )

    def instruments(self, account: str) -> tuple[Instrument, ...]:
        return tuple(instrument(symbol) for symbol in START)

    async def candles(self, account: str, request: CandleRequest) -> tuple[Candle, ...]:
        length = SECONDS[request.interval]
        last = int(time.time()) // length * length
        return tuple(self._candle(request.symbol, last - back * length, length) for back in reversed(range(request.limit)))

    def _candle(self, symbol: str, start: int, length: int) -> Candle:
        end = min(start + length, time.time())
        prices = [price_at(symbol, start + part * (end - start) / 12) for part in range(13)]
        return Candle(
            open_ms=start * 1000, open=prices[0], high=max(prices), low=min(prices), close=prices[-1], volume=Decimal(10)
        )

    async def place(self, account: str, terms: Terms) -> tuple[str, Outcome]:
        if terms.symbol not in START:
            return "", Rejected(reason=RejectReason.SYMBOL, message=f"no such symbol {terms.symbol}")
        order = self._accept(account, terms)
        self.say("parent-order", f"Parent order: {words(terms)}", account=account, symbol=terms.symbol)
        for bot in self.bots():
            if not bot.working or bot.parent != account:
                continue
            for child in bot.children:
                self._copy(bot, child, order)
            self.tell_bot(bot.name)
        self.match()
        return order.client_id, Accepted(order=order)

    def _copy(self, bot: BotSettings, child: ChildSettings, order: Order) -> None:
        share = child.value if child.mode == "multiplier" else child.value / 100
        quantity = abs(order.terms.quantity * share).quantize(Decimal("0.001"))
        side = order.terms.side if share > 0 else order.terms.side.opposite
        copy = self._accept(child.account, msgspec.structs.replace(order.terms, quantity=quantity, side=side))
        self.copies.setdefault(order.venue_id, []).append((bot.name, child.account, copy.venue_id))
        self.counts[bot.name, child.account] = self.counts.get((bot.name, child.account), 0) + 1
        self.say("copied", f"Copied as {words(copy.terms)}", bot=bot.name, account=child.account, symbol=copy.terms.symbol)

    def _accept(self, account: str, terms: Terms) -> Order:
        number = str(next(self._ids))
        order = Order(
            venue_id=number,
            client_id=f"desk-{number}",
            terms=terms,
            status=OrderStatus.NEW,
            created_ms=time.time_ns() // 1_000_000,
        )
        self.orders[account][number] = order
        self.emit("order", order, account)
        return order

    async def modify(self, account: str, change: OrderChange) -> Outcome:
        return Rejected(reason=RejectReason.OTHER, message="this desk does not change orders")

    async def cancel(self, account: str, order: OrderRef) -> Outcome:
        found = self.orders[account].get(order.venue_id)
        if found is None:
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"no working order {order.venue_id}")
        self._end(account, found)
        self.say("parent-cancel", f"Parent cancelled: {words(found.terms)}", account=account)
        for bot, child, venue_id in self.copies.pop(found.venue_id, []):
            copy = self.orders[child].get(venue_id)
            if copy is not None:
                self._end(child, copy)
                self.say("cancelled", f"Cancelled {words(copy.terms)}", bot=bot, account=child, symbol=copy.terms.symbol)
        return Accepted(order=msgspec.structs.replace(found, status=OrderStatus.CANCELLED))

    def _end(self, account: str, order: Order) -> None:
        del self.orders[account][order.venue_id]
        self.emit("order", msgspec.structs.replace(order, status=OrderStatus.CANCELLED), account)

    # --- the market ---

    def match(self) -> None:
        """Fill what the present prices reach."""
        now = time.time()
        for account, orders in self.orders.items():
            for order in list(orders.values()):
                last = price_at(order.terms.symbol, now)
                if reached(order.terms, last):
                    self._fill(account, order, last)

    def _fill(self, account: str, order: Order, price: Decimal) -> None:
        terms = order.terms
        del self.orders[account][order.venue_id]
        done = msgspec.structs.replace(order, status=OrderStatus.FILLED, filled=terms.quantity, average_price=price)
        fill = Fill(
            execution_id=str(next(self._ids)),
            venue_id=order.venue_id,
            symbol=terms.symbol,
            side=terms.side,
            quantity=terms.quantity,
            price=price,
            time_ms=time.time_ns() // 1_000_000,
        )
        self.fills.append((account, fill))
        self.emit("order", done, account)
        self.emit("fill", fill, account)
        before = self.held[account].get(terms.symbol)
        held = before.quantity if before else ZERO
        after = held + terms.side.sign * terms.quantity
        entry = price if before is None or held * after <= 0 or held == 0 else before.entry_price
        if held * terms.side.sign > 0:
            entry = ((before.entry_price if before else ZERO) * abs(held) + price * terms.quantity) / abs(after)
        entry = entry.quantize(Decimal("0.01"))
        self.held[account][terms.symbol] = Position(symbol=terms.symbol, quantity=after, entry_price=entry)
        self.emit("position", self.held[account][terms.symbol], account)
        self.say("filled", f"Filled {words(terms)} @ {price}", account=account, symbol=terms.symbol)

    async def run(self, log_rate: int, lines: int) -> None:
        due = 0.0
        while True:
            await asyncio.sleep(0.1)
            now = time.time()
            for symbol in START:
                body = PriceEvent(symbol=symbol, last=price_at(symbol, now), time_ms=int(now * 1000))
                for account in ("main", "desk"):
                    self.tell(DeskEvent(seq=0, kind="price", account=account, body=body))
            self.match()
            due += log_rate / 10
            for _ in range(int(due)):
                if not lines or len(self.lines) < lines:
                    self.chatter()
            due -= int(due)

    def chatter(self) -> None:
        level = random.choices(("info", "warn", "error"), (40, 2, 1))[0]
        bot = random.choice([*self.store.bots, ""])
        account = random.choice(list(self.accounts))
        self.say("chatter", f"Line {len(self.lines) + 1} of a busy day", bot=bot, account=account, level=level)


def reached(terms: Terms, last: Decimal) -> bool:
    buys = terms.side is Side.BUY
    match terms.type:
        case OrderType.MARKET:
            return True
        case OrderType.LIMIT:
            return terms.price is not None and (last <= terms.price if buys else last >= terms.price)
        case OrderType.STOP_MARKET | OrderType.STOP_LIMIT:
            trigger = terms.trigger_price or ZERO
            return last >= trigger if buys else last <= trigger
        case OrderType.TAKE_PROFIT_MARKET | OrderType.TAKE_PROFIT_LIMIT:
            trigger = terms.trigger_price or ZERO
            return last <= trigger if buys else last >= trigger
    return False


def words(terms: Terms) -> str:
    price = f" @ {terms.trigger_price or terms.price}" if terms.trigger_price or terms.price else ""
    return f"{terms.type} {terms.side.upper()} {terms.quantity} {terms.symbol}{price}"


def prepare(folder: Path) -> GeneratorDesk:
    make_folder(folder)
    if not (folder / "copydesk.toml").exists():
        (folder / "copydesk.toml").write_text(CONFIG)
    return GeneratorDesk(folder)


def _children(number: int) -> tuple[ChildSettings, ...]:
    """The same three for each bot, which is allowed where no two bots follow the same symbols."""
    filters = FilterSettings(include=(("BTCUSDT", "ETHUSDT", "SOLUSDT")[number - 1],))
    return (
        ChildSettings(account="eval-1", mode="multiplier", value=Decimal("0.5"), filters=filters),
        ChildSettings(account="eval-2", mode="multiplier", value=Decimal(3), filters=filters),
        ChildSettings(account="eval-3", mode="percentage", value=Decimal(100), filters=filters),
    )


def crowd(folder: Path, children: int) -> BotSettings:
    """A bot with so many children, each a connection of its own."""
    names = [f"crowd-{number:03}" for number in range(1, children + 1)]
    tables = "".join(f'[connections.{name}]\nkind = "binance-futures"\n' for name in names)
    make_folder(folder)
    (folder / "copydesk.toml").write_text(CONFIG + tables)
    settings = tuple(ChildSettings(account=name, mode="multiplier", value=Decimal("0.5")) for name in names)
    return BotSettings(name="Crowd", parent="main", children=settings)


async def main(folder: Path, bots: int, log_rate: int, lines: int, children: int = 0) -> None:
    crowded = crowd(folder, children) if children else None
    desk = prepare(folder)
    if crowded is not None and "Crowd" not in desk.store.bots:
        await desk.add_bot(crowded)
    for number in range(1, bots + 1):
        if f"Desk A {number:02}" not in desk.store.bots:
            await desk.add_bot(BotSettings(name=f"Desk A {number:02}", parent="main", children=_children(number)))
    token = secrets.token_urlsafe(24)
    running = await serve(desk, host="127.0.0.1", port=0, token=token)
    write_control(folder, ControlFile(url=running.url, token=token, pid=os.getpid()))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number_ in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number_, stop.set)
    market = asyncio.create_task(desk.run(log_rate, lines))
    print("ready", flush=True)
    await stop.wait()
    market.cancel()
    await asyncio.gather(market, return_exceptions=True)
    remove_control(folder)
    await running.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bots", type=int, default=0)
    parser.add_argument("--log-rate", type=int, default=0)
    parser.add_argument("--lines", type=int, default=0, help="stop chattering after so many lines; 0 never")
    parser.add_argument("--children", type=int, default=0, help="one more bot with so many children")
    options = parser.parse_args()
    asyncio.run(main(options.data, options.bots, options.log_rate, options.lines, options.children))
