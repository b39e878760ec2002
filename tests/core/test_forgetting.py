"""What is remembered has a bound: the oldest that has ended is forgotten first, and what still works never."""

from __future__ import annotations

import pytest
from copydesk import merging, state, trimming
from copydesk.state import forget_ended
from harness.closed_loop import ClosedLoop, child, instrument


@pytest.mark.parametrize(
    ("orders", "forgotten"),
    [
        ("eeee", ""),  # twice as many as are kept are looked at
        ("eeeee", "012"),
        ("wewewe", "1"),
        ("wwweww", ""),
        ("wwwwwe", ""),
        ("wwewee", "2"),
    ],
)
def test_of_ended_orders_the_latest_are_kept(monkeypatch, orders, forgotten):
    monkeypatch.setattr(state, "ORDERS_KEPT", 2)
    kept = {str(number): what for number, what in enumerate(orders)}
    assert forget_ended(kept, lambda what: what == "e") == list(forgotten)
    assert list(kept) == [key for key in map(str, range(len(orders))) if key not in forgotten]


def loop() -> ClosedLoop:
    return ClosedLoop((child("c1", k="1"),), instrument=instrument("1")).start()


def test_that_an_order_was_seen_is_kept_for_longer_than_the_order(monkeypatch):
    monkeypatch.setattr(state, "ORDERS_KEPT", 1)
    monkeypatch.setattr(merging, "PAST_KEPT", 2)
    desk = loop()
    for _ in range(4):
        desk.buy("1")
        desk.settle()
    bot = desk.copier.desk.bots["bot"]
    numbers = [*bot.past, *bot.orders]
    assert len(bot.orders) <= 3
    for _ in range(4):
        desk.buy("1")
        desk.settle()
    assert len(bot.past) == 2
    assert not set(numbers[:2]) & {*bot.past, *bot.orders}, "the oldest go first"
    assert desk.position("c1") == 8


def test_of_an_episode_the_latest_pairs_are_kept(monkeypatch):
    monkeypatch.setattr(trimming, "ENDED_KEPT", 2)
    desk = loop()
    numbers = []
    for _ in range(5):
        numbers.append(desk.buy("1").venue_id)
        desk.settle()
    (link,) = desk.copier.desk.bots["bot"].links.values()
    assert list(link.ended) == numbers[-2:]


def test_of_an_episode_the_latest_corrections_are_kept(monkeypatch):
    monkeypatch.setattr(trimming, "CORRECTIONS_KEPT", 4)
    desk = loop()
    desk.buy("20")
    desk.settle()
    (link,) = desk.copier.desk.bots["bot"].links.values()
    trims = []
    for _ in range(5):
        bid = desk.buy("2", price="59000")
        desk.settle()
        (copy,) = desk.exchange.open_orders("c1")
        desk.exchange.fill("c1", copy.terms.quantity, venue_id=copy.venue_id)
        desk.settle()
        desk.cancel(bid)
        desk.settle()
        trims += [order for order in link.corrections if order not in trims]
        assert desk.position("c1") == 20
    assert len(trims) == 5
    assert len({order.client_id for order in trims}) == 5
    assert all(order.exit and not order.enforces for order in trims)
    assert link.corrections == trims[-2:]
