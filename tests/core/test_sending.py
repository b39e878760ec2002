"""How a child's next order is prepared, and what an order that leaves has in the state. Pure parts of `sending`."""

from __future__ import annotations

import pytest
from copydesk.ids import CLOSE, COPY, TICKET, client_order_id
from copydesk.inputs import Cancel, LookUp, Note, Place
from copydesk.model import NewOrder
from copydesk.sending import Run, cancel, count_copied, count_missed, prepare, send
from copydesk.state import Bot, Link, Op, Pair
from copydesk.tracking import State
from harness.closed_loop import ClosedLoop, D, child
from msgspec.structs import replace


def resting() -> tuple[Run, Bot, Link, Pair]:
    """A child whose copy of a bid stands."""
    desk = ClosedLoop((child("c1", k="1"),)).start()
    desk.buy("2", price="59000")
    desk.settle()
    bot = desk.copier.desk.bots["bot"]
    (link,) = bot.links.values()
    (pair,) = link.pairs.values()
    return Run(desk.copier.desk, [], desk.now_ns), bot, link, pair


@pytest.mark.parametrize(
    ("state", "changed", "doubted"),
    [
        (State.MISSING, True, True),
        (State.MISSING, False, False),
        (State.WAITING, True, False),
        (State.WAITING, False, False),
    ],
)
def test_what_the_venue_does_not_have_is_sent_again_under_its_id(state: State, changed: bool, doubted: bool):
    run, bot, link, pair = resting()
    (last,) = pair.orders
    last.state, last.absent, last.partner = state, 3, "other"
    terms = replace(last.terms, price=D(58_000)) if changed else last.terms
    assert prepare(run, bot, link, pair, terms, COPY, is_exit=True) is last
    assert (last.state, last.terms, last.absent, last.exit, last.partner) == (State.SENDING, terms, 0, True, "")
    assert last.doubted is doubted
    last.state, last.doubted = State.WAITING, True
    prepare(run, bot, link, pair, terms, COPY, is_exit=False)
    assert (last.doubted, last.exit, pair.orders) == (True, False, [last]), "once doubted it is until the venue tells"


@pytest.mark.parametrize("state", [State.WAITING, State.MISSING, State.CANCELLED])
def test_another_leg_or_what_follows_an_order_that_was_there_has_the_next_id(state: State):
    run, bot, link, pair = resting()
    (last,) = pair.orders
    last.state = state
    leg = COPY if state is State.CANCELLED else CLOSE
    terms = replace(last.terms, quantity=D(1))
    order = prepare(run, bot, link, pair, terms, leg, is_exit=True)
    assert last.state is (State.CANCELLED if state is State.CANCELLED else State.REJECTED)
    cause = pair.parent.order.venue_id
    assert (order.client_id, order.account) == (client_order_id("bot", "c1", cause, leg, 1), "c1")
    assert (order.terms, order.cause, order.leg, order.exit) == (terms, cause, leg, True)
    assert (pair.orders, run.desk.child_orders["c1", order.client_id].pair) == ([last, order], pair)
    order.leg, order.state, pair.earlier = TICKET, State.CANCELLED, 5
    third = prepare(run, bot, link, pair, terms, COPY, is_exit=False)
    assert third.client_id == client_order_id("bot", "c1", cause, COPY, 6), "a ticket's id counts by itself"


def test_what_is_sent_is_kept_as_it_left():
    run, _, link, pair = resting()
    (order,) = pair.orders
    order.op, intents = None, run.desk.intents
    send(run, link, order, "entry")
    assert (order.op, order.intent, order.sent_ns, order.why) == (Op.PLACE, intents + 1, run.at_ns, "entry")
    placed = Place(
        id=intents + 1,
        bot="bot",
        account="c1",
        cause=order.cause,
        why="entry",
        order=NewOrder(client_id=order.client_id, terms=order.terms),
    )
    assert run.decisions == [placed]
    order.op = None
    cancel(run, link, order, "parent", "it has ended")
    assert (order.op, order.cancelled_for, order.intent) == (Op.CANCEL, "parent", intents + 2)
    assert run.decisions[1:] == [
        Cancel(id=intents + 2, bot="bot", account="c1", cause=order.cause, why="it has ended", order=order.ref)
    ]


def test_all_look_ups_of_an_account_leave_together_and_last():
    run, _, link, pair = resting()
    (order,) = pair.orders
    run.look_up(order)
    run.look_up(order)
    run.note(link, "info", "kind", "text", more=1)
    intents = run.desk.intents
    note, asked = run.finish()
    assert note == Note(
        level="info", kind="kind", text="text", bot="bot", account="c1", symbol=link.book[0], data={"more": 1}
    )
    assert asked == LookUp(id=intents + 1, account="c1", orders=(order.ref, order.ref))
    assert (order.op, order.due_ns) == (Op.LOOK_UP, run.at_ns + 3_000_000_000)
    assert run.due == [(order.due_ns, "c1", order.client_id)] * 2


def test_copies_and_misses_are_counted_by_child():
    _, bot, link, _ = resting()
    bot.copied, bot.missed = {}, {}
    for count in (count_copied, count_missed, count_missed):
        count(bot, link)
    assert (bot.copied, bot.missed) == ({"c1": 1}, {"c1": 2})


@pytest.mark.parametrize(
    ("state", "reason", "asks"),
    [
        (State.CANCELLED, "parent", LookUp),
        (State.CANCELLED, "", Cancel),
        (State.WORKING, "parent", Cancel),
        (State.FILLED, "parent", Cancel),
    ],
)
def test_a_leg_whose_other_one_we_took_away_is_gone_too_and_only_asked_for(state: State, reason: str, asks: type):
    run, bot, link, pair = resting()
    (order,) = pair.orders
    other = prepare(run, bot, link, Pair(parent=pair.parent), order.terms, CLOSE, is_exit=True)
    other.state, other.cancelled_for, other.op = state, reason, None
    order.partner = other.client_id
    cancel(run, link, order, "parent", "it has ended")
    assert [type(decision) for decision in run.decisions] == ([Cancel] if asks is Cancel else [])
    assert order.op is (Op.CANCEL if asks is Cancel else Op.LOOK_UP)
