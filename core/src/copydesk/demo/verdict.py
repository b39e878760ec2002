"""How well the children followed: what the venue has, set beside what the engine says of itself."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from copydesk.client import AsyncControlClient
from copydesk.ids import COPY, TRIM, client_order_id, is_own
from copydesk.model import Order, Record, Snapshot
from copydesk.view import DeskView, Latency, LogQuery

LOG_LIMIT = 5000


class DriftVerdict(Record):
    symbol: str
    difference: Decimal
    cause: str


class ChildVerdict(Record, omit_defaults=False):
    """`twice`: client ids that the venue has more than one order of. `unaccounted`: parent orders with neither a copy nor
    a line in the log that says why. `sent` and `accepted` as in `ChildView`."""

    mode: str
    value: Decimal
    orders: dict[str, int]
    copied: int
    missed: int
    twice: int
    unaccounted: tuple[str, ...]
    corrections: int
    positions: dict[str, Decimal]
    drift: tuple[DriftVerdict, ...]
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
    copy_latency_us: dict[str, int]


async def judge(
    client: AsyncControlClient,
    view: DeskView,
    snapshots: dict[str, Snapshot],
    *,
    bot: str,
    parent: str,
    kind: str,
    market: str,
    faults: tuple[str, ...],
    kills: int,
    seconds: float,
    did: Counter[str],
) -> Verdict:
    """`snapshots`: of the parent and of each child, reaching back to the bot's start."""
    (bot_view,) = [candidate for candidate in view.bots if candidate.name == bot]
    parent_orders = [order for order in snapshots[parent].orders if not is_own(order.client_id)]
    log = await client.log(LogQuery(bot=bot, limit=LOG_LIMIT))
    explained = {(entry.account, str(entry.data["parent_order"])) for entry in log if "parent_order" in entry.data}
    children: dict[str, ChildVerdict] = {}
    for child in bot_view.children:
        orders = [order for order in snapshots[child.account].orders if is_own(order.client_id)]
        children[child.account] = ChildVerdict(
            mode=child.mode,
            value=child.value,
            orders=dict(sorted(Counter(str(order.status) for order in orders).items())),
            copied=child.copied,
            missed=child.missed,
            twice=sum(count - 1 for count in Counter(order.client_id for order in orders).values()),
            unaccounted=_unaccounted(bot, child.account, parent_orders, orders, explained),
            corrections=sum(1 for order in orders if order.client_id[-2:-1] == TRIM),
            positions={p.symbol: p.quantity for p in snapshots[child.account].positions if p.quantity},
            drift=tuple(
                DriftVerdict(symbol=row.symbol, difference=row.difference, cause=row.cause)
                for row in view.drift
                if row.bot == bot and row.child == child.account and row.difference
            ),
            sent=child.sent,
            accepted=child.accepted,
        )
    missed = sum(child.missed + len(child.unaccounted) for child in children.values())
    twice = sum(child.twice for child in children.values())
    unexplained = sum(1 for child in children.values() for row in child.drift if row.cause in ("", "unexplained"))
    sent = [child.sent for child in children.values() if child.sent is not None]
    return Verdict(
        ok=not missed and not twice and not unexplained,
        kind=kind,
        market=market,
        faults=faults,
        engine_kills=kills,
        seconds=round(seconds, 1),
        parent_orders=dict(sorted(did.items())),
        parent_events=sum(count for name, count in did.items() if name not in ("flip", "refused")),
        parent_position={p.symbol: p.quantity for p in snapshots[parent].positions if p.quantity},
        children=children,
        copied=bot_view.copied,
        missed=missed,
        twice=twice,
        unexplained_drift=unexplained,
        copy_latency_us={
            "p50": max((latency.p50_us for latency in sent), default=0),
            "p99": max((latency.p99_us for latency in sent), default=0),
            "max": max((latency.max_us for latency in sent), default=0),
        },
    )


def _unaccounted(
    bot: str, child: str, parent_orders: list[Order], orders: list[Order], explained: set[tuple[str, str]]
) -> tuple[str, ...]:
    """Parent orders that filled and have no child order of their identity, nor a line that says why not."""
    copies = {order.client_id.rpartition("-")[0] for order in orders}
    missing = []
    for order in parent_orders:
        stem = client_order_id(bot, child, order.venue_id, COPY).rpartition("-")[0]
        if order.filled and stem not in copies and (child, order.venue_id) not in explained:
            missing.append(order.venue_id)
    return tuple(missing)
