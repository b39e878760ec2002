"""The connections as people see them: how each is, how far away its venue is, what it is allowed, what it has left."""

from __future__ import annotations

import time

from copydesk.connection import Connection
from copydesk.engine import Engine
from copydesk.view import ConnectionView
from copydesk.views import budget_view


def connection_view(engine: Engine, connection: Connection) -> ConnectionView:
    """One connection now."""
    venue, at_ns = connection.venue, time.time_ns()
    budgets = [budget_view(engine.state, key, at_ns) for key in connection.keys]
    return ConnectionView(
        name=connection.name,
        kind=connection.info.kind,
        title=connection.info.title,
        state=connection.state,
        message=connection.message,
        since_ns=connection.since_ns,
        rehearsal=venue.is_rehearsal if venue is not None else False,
        closed_on=connection.info.closed_on,
        accounts=connection.keys,
        round_trip=venue.round_trips.latency if venue is not None else None,
        clock_offset_ms=venue.clock_offset_ms if venue is not None else None,
        permissions=venue.permissions if venue is not None else None,
        pauses=connection.quiet.pauses,
        pause_left_ms=max(0, int(connection.quiet.left_s * 1000)),
        budget=next((budget for budget in budgets if budget is not None), None),
    )


def connection_views(engine: Engine) -> tuple[ConnectionView, ...]:
    return tuple(connection_view(engine, connection) for connection in engine.connections.values())
