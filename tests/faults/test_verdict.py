"""The demo's verdict can fail: every way in which copying can go wrong is found, and nothing where it went right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from copydesk.demo.compare import undisturbed_ms
from copydesk.demo.verdict import Evening, Verdict, judge
from copydesk.ids import COPY, TRIM, client_order_id
from copydesk.model import (
    Balance,
    Contract,
    Fill,
    Instrument,
    Order,
    OrderStatus,
    OrderType,
    Position,
    Side,
    Snapshot,
    Terms,
    TimeInForce,
)
from copydesk.view import BotView, ChildView, DeskView, DriftView, LogEntry

BOT, PARENT, HALF, SAME = "Demo", "parent", "half", "same"
RATIOS = {HALF: Decimal("0.5"), SAME: Decimal(1)}
SYMBOL = "BTCUSDT"
START_MS = 1_795_000_000_000
D = Decimal
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.LINEAR,
    price_tick=D("0.1"),
    quantity_step=D("0.001"),
)
R = Any


def changed(record: R, **fields: Any) -> R:
    return msgspec.structs.replace(record, **fields)


def order(
    number: int,
    side: Side,
    quantity: str,
    *,
    at: int,
    until: int | None = None,
    filled: str = "0",
    status: OrderStatus = OrderStatus.FILLED,
    client_id: str = "",
    **more: Any,
) -> Order:
    """An order that came `at` and ended `until` so many milliseconds after the start."""
    kind = more.pop("type", OrderType.LIMIT if "price" in more else OrderType.MARKET)
    return Order(
        venue_id=str(number),
        client_id=client_id or f"trader-{number}",
        terms=Terms(symbol=SYMBOL, side=side, type=kind, quantity=D(quantity), **more),
        status=status,
        filled=D(filled),
        created_ms=START_MS + at,
        updated_ms=START_MS + (at if until is None else until),
    )


def copy_of(original: Order, child: str, generation: int = 0) -> Order:
    """What a child that follows without fault has of it, 5 ms later."""
    ratio = RATIOS[child]
    return changed(
        original,
        venue_id=f"{original.venue_id}{child}{generation}",
        client_id=client_order_id(BOT, child, original.venue_id, COPY, generation),
        terms=changed(original.terms, quantity=original.terms.quantity * ratio),
        filled=original.filled * ratio,
        created_ms=original.created_ms + 5,
        updated_ms=original.updated_ms + 5,
    )


def fill_of(one: Order) -> Fill:
    return Fill(
        execution_id=one.venue_id,
        venue_id=one.venue_id,
        client_id=one.client_id,
        symbol=SYMBOL,
        side=one.terms.side,
        quantity=one.filled,
        price=D(60_000),
        time_ms=one.updated_ms,
    )


@dataclass
class Scene:
    """A parent that entered, added with a limit order that was changed and cancelled, kept a stop, flipped, and closed."""

    parent: list[Order] = field(default_factory=list)
    children: dict[str, list[Order]] = field(default_factory=dict)
    log: list[LogEntry] = field(default_factory=list)
    positions: dict[str, Decimal] = field(default_factory=dict)
    drift: list[DriftView] = field(default_factory=list)
    changed_ms: dict[str, int] = field(default_factory=dict)
    missed: int = 0

    def copy(self, number: int, child: str = HALF) -> Order:
        return next(one for one in self.children[child] if one.venue_id == f"{number}{child}0")

    def alter(self, number: int, child: str = HALF, **fields: Any) -> None:
        """Change the copy of a parent's order; fields of its terms too."""
        old = self.copy(number, child)
        terms = {name: fields.pop(name) for name in list(fields) if name in Terms.__struct_fields__}
        new = changed(old, terms=changed(old.terms, **terms), **fields)
        self.children[child] = [new if one is old else one for one in self.children[child]]

    def drop(self, number: int, child: str = HALF) -> None:
        self.children[child].remove(self.copy(number, child))

    def say(self, number: int, kind: str, child: str = HALF) -> None:
        data = {"parent_order": str(number)}
        self.log.append(LogEntry(at_ns=1, level="info", kind=kind, text=kind, account=child, data=data))

    def connection(self, name: str, state: str, at: int) -> None:
        text = f"{name} is {state}"
        at_ns = (START_MS + at) * 1_000_000
        line = LogEntry(seq=len(self.log) + 1, at_ns=at_ns, level="info", kind="connection", text=text, account=name)
        self.log.append(line)

    def judge(self) -> Verdict:
        accounts = {PARENT: self.parent, **self.children}
        children = tuple(
            ChildView(account=name, mode="multiplier", value=ratio, health="", missed=self.missed)
            for name, ratio in RATIOS.items()
        )
        bot = BotView(name=BOT, parent=PARENT, kind="paper", status="Working", children=children)
        evening = Evening(
            bot=BOT,
            parent=PARENT,
            view=DeskView(seq=1, at_ns=1, version="", bots=(bot,), drift=tuple(self.drift)),
            log=tuple(self.log),
            snapshots={name: self._snapshot(name, orders) for name, orders in accounts.items()},
            instruments={SYMBOL: INSTRUMENT},
            changed_ms=self.changed_ms,
        )
        return judge(
            evening, kind="paper", market="", faults=(), kills=0, seconds=1, did={"market": 2, "flip": 1, "amend": 3}
        )

    def _snapshot(self, name: str, orders: list[Order]) -> Snapshot:
        held = self.positions.get(name, D(0))
        return Snapshot(
            time_ms=START_MS,
            orders=tuple(orders),
            fills=tuple(fill_of(one) for one in orders if one.filled),
            positions=(Position(symbol=SYMBOL, quantity=held),) if held else (),
            balance=Balance(currency="USDT", equity=D(1000), cash=D(1000), available=D(1000)),
        )


ENTRY, LIMIT, STOP, FLIP, CLOSE = 1, 2, 3, 4, 5


@pytest.fixture
def scene() -> Scene:
    buy, sell, cancelled = Side.BUY, Side.SELL, OrderStatus.CANCELLED
    stop = {"type": OrderType.STOP_MARKET, "trigger_price": D(59_000), "reduce_only": True}
    parent = [
        order(ENTRY, buy, "0.100", filled="0.100", at=0),
        order(LIMIT, buy, "0.200", price=D(59_500), at=1000, until=9000, status=cancelled),
        order(STOP, sell, "0.100", at=2000, until=9000, status=cancelled, **stop),
        order(FLIP, sell, "0.160", filled="0.160", at=10_000),
        order(CLOSE, buy, "0.060", filled="0.060", at=12_000, reduce_only=True),
    ]
    children = {child: [copy_of(one, child) for one in parent] for child in RATIOS}
    return Scene(parent, children, changed_ms={str(LIMIT): START_MS + 5000})


def test_copying_without_fault(scene: Scene) -> None:
    verdict = scene.judge()
    assert verdict.ok, verdict
    assert verdict.parent_events == 5, "what sort an order was is no event of its own"


FAULTS: dict[str, tuple[Callable[[Scene], None], str]] = {
    "an order that filled was not copied": (lambda s: s.drop(ENTRY), "it was not copied"),
    "an order that stood for seconds was not copied": (lambda s: s.drop(STOP), "it was not copied"),
    "a copy on the other side": (lambda s: s.alter(ENTRY, side=Side.SELL), "copied as a sell"),
    "a stop copied as a limit order": (lambda s: s.alter(STOP, type=OrderType.LIMIT), "copied as a limit order"),
    "a change of price was missed": (lambda s: s.alter(LIMIT, price=D("59499.9")), "price is 59499.9, not 59500"),
    "a change of the trigger was missed": (lambda s: s.alter(STOP, trigger_price=D(58_900)), "trigger is 58900, not 59000"),
    "a change of quantity was missed": (lambda s: s.alter(LIMIT, quantity=D("0.060")), "for 0.06, its share is 0.1"),
    "an exit for more than its share": (lambda s: s.alter(STOP, quantity=D("0.052")), "for 0.052, its share is 0.05"),
    "another time in force": (
        lambda s: s.alter(LIMIT, time_in_force=TimeInForce.IOC),
        "the copy is ioc",
    ),
    "an entry of half the size": (lambda s: s.alter(ENTRY, quantity=D("0.025"), filled=D("0.025")), "filled 0.025"),
    "an exit of half the size": (lambda s: s.alter(CLOSE, quantity=D("0.015"), filled=D("0.015")), "filled 0.015"),
    "an exit twice the size": (lambda s: s.alter(CLOSE, quantity=D("0.060"), filled=D("0.060")), "closed 0.06"),
    "a cancel that was missed": (lambda s: s.alter(LIMIT, status=OrderStatus.NEW), "its copy still stands"),
    "a cancel that came much later": (lambda s: s.alter(LIMIT, updated_ms=START_MS + 16_000), "cancelled 7.0 s after"),
    "a cancelled order's copy filled later": (
        lambda s: s.alter(LIMIT, status=OrderStatus.FILLED, filled=D("0.100"), updated_ms=START_MS + 11_000),
        "its copy filled 2.0 s later",
    ),
    "an order of ours that nobody asked for": (
        lambda s: s.children[HALF].append(changed(s.copy(ENTRY), client_id=client_order_id(BOT, HALF, "99", COPY))),
        "a copy of nothing that the parent has",
    ),
}


@pytest.mark.parametrize(("spoil", "finding"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found(scene: Scene, spoil: Callable[[Scene], None], finding: str) -> None:
    spoil(scene)
    verdict = scene.judge()
    assert not verdict.ok
    assert any(finding in sentence for sentence in verdict.children[HALF].differences), verdict.children[HALF]
    assert not verdict.children[SAME].differences, "the other child did nothing wrong"


TWICE: dict[str, Callable[[Scene], None]] = {
    "two orders of one client id": lambda s: s.children[HALF].append(changed(s.copy(ENTRY), venue_id="again")),
    "an entry filled again under another generation": lambda s: s.children[HALF].append(
        changed(copy_of(s.parent[0], HALF, generation=1), created_ms=START_MS + 50, updated_ms=START_MS + 60)
    ),
    "a stop that the next one did not take the place of": lambda s: s.children[HALF].append(
        changed(copy_of(s.parent[2], HALF, generation=1), updated_ms=START_MS + 9_005)
    ),
    "two generations at the same time": lambda s: s.children[HALF].append(copy_of(s.parent[1], HALF, generation=1)),
}


@pytest.mark.parametrize("spoil", TWICE.values(), ids=TWICE)
def test_copying_twice_is_counted(scene: Scene, spoil: Callable[[Scene], None]) -> None:
    spoil(scene)
    verdict = scene.judge()
    assert not verdict.ok
    assert verdict.twice == verdict.children[HALF].twice >= 1
    assert verdict.children[SAME].twice == 0


def test_a_stop_may_stand_until_the_next_one_does(scene: Scene) -> None:
    scene.children[HALF].append(copy_of(scene.parent[2], HALF, generation=1))
    scene.children[HALF][-1] = changed(scene.children[HALF][-1], created_ms=START_MS + 5_000)
    scene.alter(STOP, updated_ms=START_MS + 5_100)
    assert scene.judge().ok, scene.judge().children[HALF]


@pytest.mark.parametrize("flat", [True, False])
def test_a_stop_may_outlive_the_parents_where_the_parent_is_flat(scene: Scene, flat: bool) -> None:
    sell = order(FLIP, Side.SELL, "0.100", filled="0.100", at=9_000)
    buy = order(CLOSE, Side.BUY, "0.050", filled="0.050", at=12_000)
    scene.parent[3:] = [sell, buy] if flat else [buy]
    for child, copies in scene.children.items():
        copies[3:] = [copy_of(one, child) for one in scene.parent[3:]]
    scene.alter(STOP, updated_ms=START_MS + 16_000)
    assert scene.judge().ok is flat


def test_what_the_engine_gave_up_is_missed(scene: Scene) -> None:
    scene.missed = 1
    assert not scene.judge().ok
    assert scene.judge().missed == 2


def test_drift_needs_a_cause(scene: Scene) -> None:
    row = DriftView(
        bot=BOT,
        child=HALF,
        symbol=SYMBOL,
        position_side="net",
        target=D(0),
        attributed=D(1),
        foreign=D(0),
        in_flight=D(0),
        difference=D(-1),
        cause="rounding",
    )
    scene.drift = [row]
    assert scene.judge().ok
    scene.drift = [changed(row, cause="unexplained")]
    assert not scene.judge().ok
    assert scene.judge().unexplained_drift == 1


def test_a_position_that_the_engine_does_not_know_of_is_drift(scene: Scene) -> None:
    scene.positions = {HALF: D("0.002")}
    verdict = scene.judge()
    assert not verdict.ok
    assert verdict.children[HALF].drift[0].difference == D("-0.002")


def test_positions_in_proportion_are_none(scene: Scene) -> None:
    scene.positions = {PARENT: D("0.003"), HALF: D("0.001"), SAME: D("0.003")}
    assert scene.judge().ok


def test_an_order_that_filled_and_was_too_small_to_copy_is_explained(scene: Scene) -> None:
    scene.drop(CLOSE)
    assert not scene.judge().ok
    scene.say(CLOSE, "copy")
    assert not scene.judge().ok, "that a copy was tried explains nothing"
    scene.say(CLOSE, "too-small")
    assert scene.judge().ok


def test_an_exit_that_had_nothing_to_close_needs_no_copy_and_another_does(scene: Scene) -> None:
    scene.drop(CLOSE)
    scene.say(CLOSE, "waits-for-fill")
    assert [name for name, child in scene.judge().children.items() if child.unaccounted] == [HALF], "it held something"
    scene.alter(FLIP, quantity=D("0.05"), filled=D("0.05"))  # it closed, and has not entered the other way
    assert not scene.judge().children[HALF].unaccounted
    scene.log.clear()
    assert scene.judge().children[HALF].unaccounted == (str(CLOSE),), "nobody said why"


def test_an_exit_that_had_nothing_to_reduce_is_explained_by_the_name_of_its_copy(scene: Scene) -> None:
    name = scene.copy(CLOSE).client_id
    scene.drop(CLOSE)
    line = LogEntry(at_ns=1, level="info", kind="nothing-to-reduce", text="", account=HALF, data={"client_id": name})
    scene.log.append(line)
    assert scene.judge().ok


def test_an_order_that_came_and_went_while_the_child_was_away_needs_no_copy(scene: Scene) -> None:
    scene.drop(STOP)
    scene.connection(HALF, "down: no answer", 1500)
    scene.connection(HALF, "connected", 8800)
    assert scene.judge().ok


def test_a_correction_is_counted_and_is_no_copy(scene: Scene) -> None:
    trim = order(90, Side.SELL, "0.001", filled="0.001", at=500, client_id=client_order_id(BOT, HALF, "why", TRIM))
    scene.children[HALF].append(trim)
    assert scene.judge().children[HALF].corrections == 1
    assert scene.judge().ok


@pytest.mark.parametrize(
    ("away", "longest"),
    [((), 100), (((20, 30),), 70), (((0, 100),), 0), (((90, 300),), 90), (((40, 50), (45, 60)), 40), (((200, 300),), 100)],
)
def test_the_longest_undisturbed_stretch(away: tuple[tuple[int, int], ...], longest: int) -> None:
    assert undisturbed_ms(0, 100, away) == longest
