"""How well the children followed: what the venue has, set beside what the engine says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from copydesk.demo.compare import Away, Findings, Share, compare, originals, stem_of
from copydesk.ids import TRIM, is_own
from copydesk.model import Instrument, Order, OrderType, Record, Snapshot
from copydesk.view import ChildView, ConnectionState, DeskView, Latency, LogEntry

EVENTS = frozenset(OrderType) | {"amend", "cancel"}
"""What counts as an order event of the parent; the script also tells of what sort they were (`ioc`, `flip`, ...)."""
UNCERTAIN = Decimal("0.03")
"""How far a percentage's ratio, fixed when an episode began, may be from that of the balances at the end."""
NOTICED_MS = 1_000
"""How long before its line in the log an account may have been away."""


class DriftVerdict(Record):
    symbol: str
    difference: Decimal
    cause: str


class NakedTime(Record, omit_defaults=False):
    """Milliseconds for which a child held something without a stop while its parent had one: in all, and at a stretch."""

    total: int
    max: int


class ChildVerdict(Record, omit_defaults=False):
    """`missed`: orders that the engine gave up; `unaccounted`: orders of the parent with neither a copy nor a line in the
    log that says why; `twice`: copies that the venue has two of, under one client id or several; `differences`: whatever
    the venue has otherwise than the parent, in sentences. `sent` and `accepted` as in `ChildView`."""

    mode: str
    value: Decimal
    orders: dict[str, int]
    copied: int
    missed: int
    twice: int
    unaccounted: tuple[str, ...]
    differences: tuple[str, ...]
    corrections: int
    positions: dict[str, Decimal]
    drift: tuple[DriftVerdict, ...]
    naked_ms: NakedTime
    sent: Latency | None
    accepted: Latency | None


class Verdict(Record, omit_defaults=False):
    """`copy_latency_us` runs from the parent's event read to the child's request handed to the venue's client library."""

    ok: bool
    kind: str
    market: str
    faults: tuple[str, ...]
    engine_kills: int
    seconds: float
    parent_orders: dict[str, int]
    parent_events: int
    parent_position: dict[str, Decimal]
    children: dict[str, ChildVerdict]
    copied: int
    missed: int
    twice: int
    unexplained_drift: int
    naked_ms: NakedTime
    copy_latency_us: dict[str, int]


@dataclass(frozen=True)
class Evening:
    """What there is to be judged: the engine's view and log, and each account as its venue has it since the bot's start.

    `changed_ms`: when the parent last gave an order other terms, by the venue's number; `away_ms`: when no engine ran.
    """

    bot: str
    parent: str
    view: DeskView
    log: tuple[LogEntry, ...]
    snapshots: Mapping[str, Snapshot]
    instruments: Mapping[str, Instrument]
    changed_ms: Mapping[str, int]
    away_ms: Away = ()


def judge(
    evening: Evening,
    *,
    kind: str,
    market: str,
    faults: tuple[str, ...],
    kills: int,
    seconds: float,
    did: Mapping[str, int],
) -> Verdict:
    """Set every child beside the parent. `did`: what the parent's script did, by name."""
    (bot,) = [candidate for candidate in evening.view.bots if candidate.name == evening.bot]
    children = {child.account: _child(evening, child) for child in bot.children}
    missed = sum(child.missed + len(child.unaccounted) for child in children.values())
    twice = sum(child.twice for child in children.values())
    unexplained = sum(1 for child in children.values() for row in child.drift if row.cause in ("", "unexplained"))
    sent = [child.sent for child in children.values() if child.sent is not None]
    return Verdict(
        ok=not (missed or twice or unexplained or any(child.differences for child in children.values())),
        kind=kind,
        market=market,
        faults=faults,
        engine_kills=kills,
        seconds=round(seconds, 1),
        parent_orders=dict(sorted(did.items())),
        parent_events=sum(count for name, count in did.items() if name in EVENTS),
        parent_position=_held(evening.snapshots[evening.parent]),
        children=children,
        copied=bot.copied,
        missed=missed,
        twice=twice,
        unexplained_drift=unexplained,
        naked_ms=NakedTime(
            total=sum(child.naked_ms.total for child in children.values()),
            max=max((child.naked_ms.max for child in children.values()), default=0),
        ),
        copy_latency_us={
            "p50": max((latency.p50_us for latency in sent), default=0),
            "p99": max((latency.p99_us for latency in sent), default=0),
            "max": max((latency.max_us for latency in sent), default=0),
        },
    )


def _child(evening: Evening, child: ChildView) -> ChildVerdict:
    snapshot = evening.snapshots[child.account]
    own = [order for order in snapshot.orders if is_own(order.client_id)]
    copies = [order for order in own if not _is_correction(order.client_id)]
    found = _compared(evening, child, copies)
    return ChildVerdict(
        mode=child.mode,
        value=child.value,
        orders=dict(sorted(Counter(str(order.status) for order in own).items())),
        copied=child.copied,
        missed=child.missed,
        twice=found.twice,
        unaccounted=tuple(found.missed),
        differences=tuple(found.sentences),
        corrections=len(own) - len(copies),
        positions=_held(snapshot),
        drift=_drift(evening, child),
        naked_ms=NakedTime(total=child.naked_ns // 1_000_000, max=child.naked_longest_ns // 1_000_000),
        sent=child.sent,
        accepted=child.accepted,
    )


def _compared(evening: Evening, child: ChildView, copies: list[Order]) -> Findings:
    theirs = evening.snapshots[evening.parent]
    orders = [order for order in theirs.orders if not is_own(order.client_id)]
    fills = [fill for fill in evening.snapshots[child.account].fills if is_own(fill.client_id)]
    said: dict[str, set[str]] = {}
    for entry in evening.log:
        if entry.account != child.account:
            continue
        if "parent_order" in entry.data:
            said.setdefault(str(entry.data["parent_order"]), set()).add(entry.kind)
        elif "client_id" in entry.data:
            said.setdefault(stem_of(str(entry.data["client_id"])), set()).add(entry.kind)
    found = Findings()
    for symbol in sorted({order.terms.symbol for order in (*orders, *copies)}):
        found += compare(
            evening.bot,
            child.account,
            originals([o for o in orders if o.terms.symbol == symbol], theirs.fills, evening.changed_ms),
            [order for order in copies if order.terms.symbol == symbol],
            [fill for fill in fills if fill.symbol == symbol],
            share_of(evening, child, symbol),
            said={number: frozenset(kinds) for number, kinds in said.items()},
            away=outages(evening, child.account),
        )
    return found


def share_of(evening: Evening, child: ChildView, symbol: str) -> Share:
    """The child's share: exact for a multiplier, by the balances of now for a percentage."""
    instrument = evening.instruments[symbol]
    if child.mode == "multiplier":
        return Share(child.value, Decimal(0), instrument)
    mine, theirs = (evening.snapshots[name].balance for name in (child.account, evening.parent))
    assert mine is not None
    assert theirs is not None
    return Share(mine.equity / theirs.equity * child.value / 100, UNCERTAIN, instrument)


def outages(evening: Evening, child: str) -> Away:
    """When the parent, the child or the engine was not there."""
    spans = list(evening.away_ms)
    for name in (evening.parent, child):
        down_ms = 0
        for entry in sorted(evening.log, key=lambda entry: entry.seq):
            if not (entry.kind == "engine" or (entry.kind == "connection" and entry.account == name)):
                continue
            at_ms = entry.at_ns // 1_000_000
            if not entry.text.startswith(f"{name} is {ConnectionState.CONNECTED}"):
                down_ms = down_ms or at_ms
            elif down_ms:
                spans.append((down_ms - NOTICED_MS, at_ms))
                down_ms = 0
        if down_ms:
            spans.append((down_ms - NOTICED_MS, 1 << 62))
    return tuple(sorted(spans))


def _drift(evening: Evening, child: ChildView) -> tuple[DriftVerdict, ...]:
    """What the engine says of it, and what the venue has beyond that."""
    rows = [
        DriftVerdict(symbol=row.symbol, difference=row.difference, cause=row.cause)
        for row in evening.view.drift
        if row.bot == evening.bot and row.child == child.account and row.difference
    ]
    mine, theirs = _held(evening.snapshots[child.account]), _held(evening.snapshots[evening.parent])
    told = {row.symbol for row in rows}
    for symbol in sorted((mine.keys() | theirs.keys()) - told):
        share = share_of(evening, child, symbol)
        due = share.ratio * theirs.get(symbol, Decimal(0))
        difference = due - mine.get(symbol, Decimal(0))
        if abs(difference) > share.slack(abs(theirs.get(symbol, Decimal(0)))):
            rows.append(DriftVerdict(symbol=symbol, difference=difference, cause=""))
    return tuple(rows)


def _held(snapshot: Snapshot) -> dict[str, Decimal]:
    held: Counter[str] = Counter()
    for position in snapshot.positions:
        held[position.symbol] += position.quantity  # type: ignore[assignment]
    return {symbol: Decimal(quantity) for symbol, quantity in held.items() if quantity}


def _is_correction(client_id: str) -> bool:
    return client_id.rpartition("-")[2].startswith(TRIM)
