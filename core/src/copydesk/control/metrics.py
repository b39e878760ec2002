"""`/metrics` for Prometheus: what the desk shows, in numbers. Made when it is asked for; nothing is counted meanwhile."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from copydesk.control.desk import Desk
from copydesk.view import ConnectionState, Latency

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
CHILD = ("bot", "child")
LINK = (*CHILD, "symbol", "side")


def metrics_of(desk: Desk) -> bytes:
    """Everything in the text format."""
    registry = CollectorRegistry()
    registry.register(_DeskCollector(desk))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _DeskCollector(Collector):
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def collect(self) -> Iterator[Metric]:
        yield from _bots(self._desk)
        yield from _links(self._desk)
        yield from _connections(self._desk)


def _bots(desk: Desk) -> Iterator[Metric]:
    view = desk.view()
    yield InfoMetricFamily("copydesk", "The engine that runs.", {"version": view.version})
    working = GaugeMetricFamily("copydesk_bot_working", "1 where the bot is Working.", labels=("bot",))
    copied = CounterMetricFamily("copydesk_copied", "Orders copied.", labels=CHILD)
    missed = CounterMetricFamily(
        "copydesk_missed", "Orders that were not copied though they should have been.", labels=CHILD
    )
    health = GaugeMetricFamily("copydesk_child_health", "1 for the health that a child is in.", labels=(*CHILD, "health"))
    naked = CounterMetricFamily("copydesk_unprotected_seconds", "Time without a stop that the parent had.", labels=CHILD)
    sent = GaugeMetricFamily(
        "copydesk_copy_latency_seconds",
        "From the parent's event read to the request sent, or to the venue's answer.",
        labels=(*CHILD, "until", "quantile"),
    )
    for bot in view.bots:
        working.add_metric((bot.name,), bot.status == "Working")
        for child in bot.children:
            key = (bot.name, child.account)
            copied.add_metric(key, child.copied)
            missed.add_metric(key, child.missed)
            health.add_metric((*key, child.health), 1)
            naked.add_metric(key, child.naked_ns / 1e9)
            _quantiles(sent, (*key, "sent"), child.sent)
            _quantiles(sent, (*key, "accepted"), child.accepted)
    tickets = GaugeMetricFamily("copydesk_tickets_open", "Manual tickets that may be sent now.")
    tickets.add_metric((), len(view.tickets))
    yield from (working, copied, missed, health, naked, sent, tickets)


def _links(desk: Desk) -> Iterator[Metric]:
    difference = GaugeMetricFamily("copydesk_position_difference", "Target less what was copied.", labels=(*LINK, "cause"))
    held = GaugeMetricFamily("copydesk_position_copied", "What was copied and is held, signed.", labels=LINK)
    for row in desk.drift_views():
        key = (row.bot, row.child, row.symbol, row.position_side)
        difference.add_metric((*key, row.cause), float(row.difference))
        held.add_metric(key, float(row.attributed))
    yield from (difference, held)


def _connections(desk: Desk) -> Iterator[Metric]:
    labels = ("connection", "kind")
    up = GaugeMetricFamily("copydesk_connection_up", "1 where it is connected.", labels=labels)
    offset = GaugeMetricFamily("copydesk_clock_offset_seconds", "The venue's clock less this machine's.", labels=labels)
    pauses = CounterMetricFamily("copydesk_pauses", "How often the venue asked for a pause.", labels=labels)
    trip = GaugeMetricFamily("copydesk_round_trip_seconds", "From a request to its answer.", labels=(*labels, "quantile"))
    used = GaugeMetricFamily("copydesk_requests_used", "Of the venue's limit in the present minute.", labels=labels)
    limit = GaugeMetricFamily("copydesk_requests_limit", "The venue's limit per minute.", labels=labels)
    for connection in desk.connections():
        key = (connection.name, connection.kind)
        up.add_metric(key, connection.state is ConnectionState.CONNECTED)
        pauses.add_metric(key, connection.pauses)
        if connection.clock_offset_ms is not None:
            offset.add_metric(key, connection.clock_offset_ms / 1000)
        _quantiles(trip, key, connection.round_trip)
        if connection.budget is not None and connection.budget.requests_per_minute:
            used.add_metric(key, connection.budget.requests_used)
            limit.add_metric(key, connection.budget.requests_per_minute)
    yield from (up, offset, pauses, trip, used, limit)


def _quantiles(family: GaugeMetricFamily, key: tuple[str, ...], found: Latency | None) -> None:
    if found is not None:
        family.add_metric((*key, "0.5"), found.p50_us / 1e6)
        family.add_metric((*key, "0.99"), found.p99_us / 1e6)
