"""What is compared before a bot starts (rules 12 and 18): what refuses the start, and what a person should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from copydesk.config import BotSettings, connection_of
from copydesk.engine import Engine
from copydesk.errors import Conflict
from copydesk.families import chains, check_family
from copydesk.inputs import BotStarted
from copydesk.model import Capabilities, Snapshot
from copydesk.view import ConnectionState

FEWEST_ORDERS_A_MINUTE = 10
"""Where the venue's limit leaves the parent fewer orders a minute than this, the fan-out is called too wide."""


def start_checks(
    settings: BotSettings, given: BotStarted, engine: Engine, others: Sequence[BotSettings]
) -> tuple[list[str], list[str]]:
    """(refusals, warnings), a sentence each."""
    refusals: list[str] = []
    try:
        check_family(settings, others)
    except Conflict as conflict:
        refusals.append(str(conflict))
    warnings = chains(settings, others)
    concerned = _symbols(given.snapshot)
    for child in settings.children:
        connection = engine.connections[connection_of(child.account)]
        if connection.state is ConnectionState.REFUSED:
            refusals.append(f"{child.account} cannot be used: {connection.message}")
            continue
        if connection.state is not ConnectionState.CONNECTED or connection.venue is None:
            why = connection.message or "still trying"
            warnings.append(f"{child.account} is not connected ({why}): nothing is copied to it until it is back")
            continue
        unknown = sorted(concerned - set(connection.venue.instruments))
        if unknown:
            warnings.append(f"{child.account} has no {', '.join(unknown)}: what the parent does there is not copied to it")
        if child.mode == "multiplier" and child.value < 0:
            warnings.append(f"{child.account} mirrors its parent (K = {child.value}): it sells where the parent buys")
    capabilities = engine.connections[connection_of(settings.parent)].info.capabilities
    warnings += _budget(settings, capabilities)
    return refusals, warnings


def _symbols(snapshot: Snapshot) -> set[str]:
    positions = {position.symbol for position in snapshot.positions if position.quantity}
    return positions | {order.terms.symbol for order in snapshot.orders if order.is_working}


def _budget(settings: BotSettings, can: Capabilities) -> Iterator[str]:
    """Whether a copy to every child fits into what the venue takes."""
    shared: dict[str, int] = {}
    for child in settings.children:
        name = connection_of(child.account)
        shared[name] = shared.get(name, 0) + 1
    if can.orders_per_second:
        for name, count in shared.items():
            if count > can.orders_per_second:
                seconds = Decimal(count) / can.orders_per_second
                yield (
                    f"{name} takes {can.orders_per_second} orders a second and has {count} children: "
                    f"a copy to all of them takes {seconds:.1f} s"
                )
    if can.requests_per_minute:
        left = can.requests_per_minute // len(settings.children)
        if left < FEWEST_ORDERS_A_MINUTE:
            yield (
                f"the venue takes {can.requests_per_minute} requests a minute: with {len(settings.children)} children the "
                f"parent's orders and changes are copied {left} times a minute at the most"
            )
