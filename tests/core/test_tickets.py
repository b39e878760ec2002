"""Manual tickets (rule 9): left where something fails, and attributed when they are sent."""

from __future__ import annotations

import pytest
from copydesk import tickets
from copydesk.drifting import drifts
from copydesk.ids import TICKET, client_order_id, is_own
from copydesk.inputs import BotStopped, LimitSet, Modify, Note, Place, TicketDismissed, TicketSent
from copydesk.model import OrderType, PositionSide, Rejected, RejectReason, Side, Terms, to_json
from copydesk.sending import Run
from copydesk.state import ChildOrder
from copydesk.tickets import standing_of, why_not
from copydesk.view import Ticket
from harness.closed_loop import PARENT, ClosedLoop, D, child
from msgspec.structs import replace


def loop(*children, **more) -> ClosedLoop:
    return ClosedLoop(children or (child("c1", k="0.5"),), **more).start()


def refused(desk: ClosedLoop, quantity: str = "2", **more) -> Ticket:
    """An order of the parent that the child's venue does not take."""
    desk.fault = lambda intent: (
        Rejected(reason=RejectReason.PERMISSION, message="not today") if isinstance(intent, Place) else None
    )
    desk.buy(quantity, **more)
    desk.settle()
    desk.fault = lambda intent: None
    return newest(desk)


def newest(desk: ClosedLoop) -> Ticket:
    return list(desk.copier.desk.tickets.values())[-1]


def send(desk: ClosedLoop, ticket: Ticket) -> ClosedLoop:
    desk.feed(TicketSent(at_ns=desk.now_ns, ticket=ticket.id, actor="ann"))
    return desk.settle()


def why(desk: ClosedLoop, ticket: Ticket) -> str:
    return why_not(desk.copier.desk, ticket.id, desk.now_ns)


def test_9_each_failure_leaves_a_ticket():
    desk = loop()
    ticket = refused(desk)
    assert (ticket.bot, ticket.child, ticket.kind, ticket.status) == ("bot", "c1", "rejected", "open")
    assert (ticket.terms.quantity, ticket.terms.type) == (1, OrderType.MARKET)
    assert "not today" in ticket.why
    assert ticket.expires_ns - ticket.created_ns == 300 * 10**9
    (note,) = [note for note in desk.notes if note.kind == "rejected"]
    assert note.data["ticket_id"] == ticket.id


def test_9_a_ticket_that_is_sent_is_attributed():
    desk = loop()
    ticket = refused(desk)
    send(desk, ticket)
    assert desk.position("c1") == 1
    (view,) = drifts(desk.copier.desk)
    assert (view.attributed, view.difference, view.foreign) == (1, 0, 0)
    assert newest(desk).status == "sent"
    assert is_own(newest(desk).client_id)
    desk.sell("2")
    desk.settle()
    assert desk.position("c1") == 0


def test_9_sending_twice_sends_once():
    desk = loop()
    ticket = refused(desk)
    for _ in range(3):
        desk.feed(TicketSent(at_ns=desk.now_ns, ticket=ticket.id))
    desk.settle()
    assert desk.position("c1") == 1
    assert "was sent already" in why(desk, ticket)


def test_9_a_lost_reply_to_a_ticket_is_looked_up():
    desk = loop()
    ticket = refused(desk)
    desk.fault = lambda intent: "lose-reply"
    send(desk, ticket)
    assert (desk.position("c1"), len(desk.placed("c1"))) == (1, 1)


def test_9_a_ticket_expires():
    desk = loop(child("c1", k="0.5", ticket_expires_ms=10_000))
    ticket = refused(desk)
    desk.pass_time(10_000)
    assert "has expired" in why(desk, ticket)
    assert standing_of(newest(desk), desk.now_ns).status == "expired"
    send(desk, ticket)
    assert desk.position("c1") == 0
    assert "has expired" in desk.said("ticket")[0]


def test_9_a_ticket_may_be_dismissed():
    desk = loop()
    ticket = refused(desk)
    desk.feed(TicketDismissed(at_ns=desk.now_ns, ticket=ticket.id, actor="ann"))
    send(desk, ticket)
    assert desk.position("c1") == 0
    assert "was dismissed" in why(desk, ticket)
    assert "by ann" in desk.said("ticket")[0]


def test_9_a_ticket_that_is_not_needed_any_more_is_refused():
    desk = loop()
    ticket = refused(desk)
    desk.sell("2")
    desk.settle()
    assert "not needed any more" in why(desk, ticket)
    send(desk, ticket)
    assert desk.position("c1") == 0


def test_9_a_ticket_brings_no_more_than_the_share_of_now():
    desk = loop()
    ticket = refused(desk)
    desk.sell("1")
    desk.settle()
    send(desk, ticket)
    assert desk.position("c1") == D("0.5")


def test_9_a_ticket_for_an_order_that_still_rests_is_followed_from_then_on():
    desk = loop()
    ticket = refused(desk, price="59000")
    send(desk, ticket)
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(59000), D(1))]
    (order,) = desk.exchange.open_orders(PARENT)
    desk.amend(order, price="58000")
    desk.settle()
    assert [terms.price for terms in desk.working("c1")] == [D(58000)]
    desk.cancel(order)
    desk.settle()
    assert desk.working("c1") == []


def test_9_a_ticket_that_is_refused_leaves_another():
    desk = loop()
    ticket = refused(desk)
    desk.fault = lambda intent: Rejected(reason=RejectReason.PERMISSION, message="still not")
    send(desk, ticket)
    again = newest(desk)
    assert (again.id != ticket.id, again.status) == (True, "open")
    desk.fault = lambda intent: None
    send(desk, again)
    assert desk.position("c1") == 1


def test_9_a_newer_ticket_takes_the_place_of_the_older():
    desk = loop()
    ticket = refused(desk)
    desk.fault = lambda intent: Rejected(reason=RejectReason.PERMISSION, message="still not")
    send(desk, ticket)
    send(desk, newest(desk))
    assert [one.status for one in desk.copier.desk.tickets.values()] == ["sent", "sent", "open"]


def test_5_ask_leaves_a_ticket_that_reduces():
    desk = loop(child("c1", k="0.5", ahead="ask"))
    order = desk.buy("10", price="59999")
    desk.settle()
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="not now")
    desk.amend(order, price="59990")
    desk.settle()
    desk.fault = lambda intent: None
    desk.trade("59999", "4")
    desk.settle()
    desk.cancel(order)
    desk.settle()
    assert desk.position("c1") == 4
    ticket = newest(desk)
    assert (ticket.kind, ticket.terms.quantity, ticket.terms.reduce_only) == ("ahead", 4, True)
    desk.feed(TicketSent(at_ns=desk.now_ns, ticket=ticket.id))
    assert desk.copier.desk.child_orders["c1", newest(desk).client_id].order.exit
    desk.settle()
    assert desk.position("c1") == 0


@pytest.mark.parametrize("what", ["away", "stopped", "close-only", "unknown"])
def test_9_what_is_in_the_way_of_a_ticket_is_said_in_a_sentence(what):
    desk = loop()
    ticket = refused(desk)
    if what == "away":
        desk.disconnect("c1")
        words = "not connected"
    elif what == "stopped":
        desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
        words = "does not work"
    elif what == "close-only":
        desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only"))
        words = "nothing is opened"
    else:
        assert "no ticket 't99'" in why_not(desk.copier.desk, "t99", desk.now_ns)
        return
    assert words in why(desk, ticket)
    send(desk, ticket)
    assert desk.position("c1") == 0


# --- rule 14: what a child that comes back makes up for -------------------------------------------------------------------


TYPES = [
    (OrderType.MARKET, None, None),
    (OrderType.LIMIT, "60100", None),
    (OrderType.STOP_MARKET, None, "60050"),
    (OrderType.STOP_LIMIT, "60100", "60050"),
    (OrderType.TAKE_PROFIT_MARKET, None, "59950"),
    (OrderType.TAKE_PROFIT_LIMIT, "60100", "59950"),
]


def filled_while_away(desk: ClosedLoop, type_: OrderType, price: str | None, trigger: str | None) -> None:
    desk.disconnect("c1")
    desk.buy("2", type=type_, price=price, trigger=trigger)
    desk.settle()
    if trigger is not None:
        desk.prices(D("60060") if type_ in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT) else D("59940"))
        desk.settle()
        desk.prices(D(60000))
    assert desk.position(PARENT) == 2


@pytest.mark.parametrize(("type_", "price", "trigger"), TYPES)
def test_14_inside_the_window_a_child_makes_up_for_an_entry_of_any_type(type_, price, trigger):
    desk = loop()
    filled_while_away(desk, type_, price, trigger)
    desk.pass_time(30_000)
    desk.reconnect("c1")
    desk.settle()
    assert desk.position("c1") == 1


@pytest.mark.parametrize(("type_", "price", "trigger"), TYPES)
def test_14_outside_the_window_a_ticket_is_left_for_an_entry_of_any_type(type_, price, trigger):
    desk = loop()
    filled_while_away(desk, type_, price, trigger)
    desk.pass_time(61_000)
    desk.reconnect("c1", reach_back_ms=100_000)
    desk.settle()
    assert desk.position("c1") == 0
    ticket = newest(desk)
    assert (ticket.kind, ticket.terms.type, ticket.terms.quantity) == ("stale", OrderType.MARKET, 1)
    send(desk, ticket)
    assert desk.position("c1") == 1


@pytest.mark.parametrize(("type_", "price", "trigger"), TYPES)
def test_14_beyond_the_price_a_ticket_is_left_for_an_entry_of_any_type(type_, price, trigger):
    desk = loop()
    filled_while_away(desk, type_, price, trigger)
    desk.prices(D(61000))
    desk.pass_time(5_000)
    desk.reconnect("c1")
    desk.settle()
    assert desk.position("c1") == 0
    assert (newest(desk).kind, newest(desk).terms.quantity) == ("stale", 1)


EXITS = [
    (OrderType.MARKET, None, None),
    (OrderType.LIMIT, "59900", None),
    (OrderType.STOP_MARKET, None, "59900"),
    (OrderType.STOP_LIMIT, "59800", "59900"),
    (OrderType.TAKE_PROFIT_MARKET, None, "60100"),
    (OrderType.TAKE_PROFIT_LIMIT, "60050", "60100"),
]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(("type_", "price", "trigger"), EXITS)
def test_14_a_child_that_comes_back_closes_at_once_whatever_closed_at_the_parent(type_, price, trigger, known):
    """`known`: the child's copy stands at its venue, and it is the parent's alone that fills."""
    desk = loop()
    desk.buy("2")
    desk.settle()
    if not known:
        desk.disconnect("c1")
    desk.sell("2", type=type_, price=price, trigger=trigger, reduce_only=True)
    desk.settle()
    if trigger is not None:
        desk.prices(D("59890") if D(trigger) < 60000 else D("60110"))
        desk.settle()
    desk.pass_time(600_000)
    if not known:
        desk.reconnect("c1", reach_back_ms=900_000)
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (0, 0)


def test_tickets_are_replayed():
    """The journal of a day with tickets gives the same decisions again."""
    from copydesk.copier import Copier
    from copydesk.inputs import Input
    from copydesk.model import from_json, to_json

    desk = loop()
    send(desk, refused(desk))
    again, intents = Copier(), []
    for given in desk.inputs:
        decisions = again.apply(from_json(given, Input))  # type: ignore[arg-type]
        intents += [to_json(one) for one in decisions if hasattr(one, "id")]
    assert intents == [to_json(intent) for intent in desk.intents]
    assert again.desk.tickets == desk.copier.desk.tickets


# --- what a ticket is, and what is kept of it ---------------------------------------------------------------------------


def test_a_ticket_has_an_id_of_its_own_and_what_is_sent_by_it_too():
    from copydesk.ids import TICKET, client_order_id

    desk = loop()
    ticket = refused(desk)
    send(desk, ticket)
    sent = newest(desk)
    cause = f"{ticket.parent_order}/{ticket.id}/{ticket.created_ns}"
    assert sent.client_id == client_order_id("bot", "c1", cause, TICKET)
    assert ticket.id == "t1"
    (note,) = [note for note in desk.notes if note.kind == "ticket"]
    assert note.text == f"ticket t1 sent by ann: buy {ticket.terms.quantity} BTCUSDT"
    assert note.data == {"ticket_id": "t1", "client_id": sent.client_id}
    order = desk.copier.desk.child_orders["c1", sent.client_id].order
    assert (order.cause, order.leg, order.exit, order.why) == (ticket.parent_order, TICKET, False, "ticket")


def test_who_dismissed_a_ticket_is_told_and_nobody_where_nobody_says_so():
    desk = loop()
    for actor, words in (("ann", " by ann"), ("", "")):
        ticket = refused(desk)
        desk.feed(TicketDismissed(at_ns=desk.now_ns, ticket=ticket.id, actor=actor))
        note = desk.notes[-1]
        assert note.text == f"ticket {ticket.id} dismissed{words}: {ticket.why}"
        assert (note.level, note.kind, note.bot, note.account, note.symbol) == ("info", "ticket", "bot", "c1", "BTCUSDT")
        assert note.data == {"ticket_id": ticket.id}
        told = len(desk.notes)
        desk.feed(TicketDismissed(at_ns=desk.now_ns, ticket=ticket.id, actor=actor))
        desk.feed(TicketDismissed(at_ns=desk.now_ns, ticket="t99", actor=actor))
        assert len(desk.notes) == told, "there is nothing to dismiss"


def test_only_the_open_ticket_of_the_same_order_is_replaced():
    desk = loop(child("c1", k="0.5"), child("c2", k="0.5"))
    first = refused(desk)
    statuses = {ticket.id: ticket.status for ticket in desk.copier.desk.tickets.values()}
    assert set(statuses.values()) == {"open"}, "another child's is another one"
    refused(desk)
    assert [ticket.status for ticket in desk.copier.desk.tickets.values()] == ["open"] * 4, "so is another order's"
    desk.fault = lambda intent: (
        Rejected(reason=RejectReason.PERMISSION, message="still not") if isinstance(intent, Place) else None
    )
    mine = next(ticket for ticket in desk.copier.desk.tickets.values() if ticket.child == "c1")
    desk.feed(TicketSent(at_ns=desk.now_ns, ticket=mine.id))
    desk.settle()
    statuses = {ticket.id: ticket.status for ticket in desk.copier.desk.tickets.values()}
    assert statuses[mine.id] == "sent", "what was sent is not replaced"
    assert sorted(statuses.values()) == ["open"] * 4 + ["sent"]
    assert first.id in statuses


def test_a_newer_ticket_replaces_the_open_one_of_its_order():
    from copydesk.sending import Run
    from copydesk.tickets import TICKETS_KEPT, leave

    desk = loop()
    ticket = refused(desk)
    link = next(iter(desk.copier.desk.bots["bot"].links.values()))
    run = Run(desk=desk.copier.desk, due=[], at_ns=desk.now_ns)
    leave(run, link, "warn", "stale", "again", ticket.terms, parent_order=ticket.parent_order)
    old, new = desk.copier.desk.tickets.values()
    assert (old.status, new.status, new.id) == ("replaced", "open", "t2")
    assert (old.terms, old.why) == (ticket.terms, ticket.why)
    assert "was replaced by a newer one" in why(desk, old)
    for number in range(TICKETS_KEPT + 5):
        leave(run, link, "warn", "stale", "again", ticket.terms, parent_order=f"p{number}")
    kept = list(desk.copier.desk.tickets)
    assert len(kept) == TICKETS_KEPT
    assert kept[-1] == f"t{TICKETS_KEPT + 7}"
    assert kept[0] == "t8", "the oldest are forgotten"


def test_a_ticket_of_a_bot_that_is_gone_cannot_be_sent():
    from copydesk.inputs import Configured
    from harness.closed_loop import KIND

    desk = loop()
    ticket = refused(desk)
    desk.feed(Configured(at_ns=desk.now_ns, bots=(), capabilities={KIND: desk.can}))
    assert "does not work" in why(desk, ticket)


@pytest.mark.parametrize(("held", "bought"), [("0", "5"), ("3", "2"), ("5", "0")])
def test_a_ticket_brings_what_is_missing_and_no_more(held, bought):
    desk = loop(child("c1", k="0.5"))
    ticket = refused(desk, "10")
    link = next(iter(desk.copier.desk.bots["bot"].links.values()))
    link.attributed = D(held)
    assert bool(why(desk, ticket)) is (bought == "0")
    before = len(desk.intents)
    desk.feed(TicketSent(at_ns=desk.now_ns, ticket=ticket.id))
    places = [intent.order.terms.quantity for intent in desk.intents[before:] if isinstance(intent, Place)]
    assert places == ([D(bought)] if D(bought) else [])


# --- the parts --------------------------------------------------------------------------------------------------------


def test_what_is_sent_by_a_ticket_is_an_order_of_the_pair_under_an_id_of_its_own():
    desk = loop()
    ticket = refused(desk)
    desk.feed(TicketSent(at_ns=desk.now_ns, ticket=ticket.id, actor="ann"))
    tracked = desk.copier.desk.child_orders["c1", newest(desk).client_id]
    assert tracked.order == ChildOrder(
        client_id=client_order_id("bot", "c1", f"{ticket.parent_order}/{ticket.id}/{ticket.created_ns}", TICKET),
        account="c1",
        terms=ticket.terms,
        cause=ticket.parent_order,
        why="ticket",
        leg=TICKET,
        intent=tracked.order.intent,
        sent_ns=desk.now_ns,
    )
    assert (tracked.pair, tracked.bot) == (tracked.link.pairs[ticket.parent_order], desk.copier.desk.bots["bot"])
    told = desk.notes[-1]
    assert (told.kind, told.level, told.account) == ("ticket", "info", "c1")
    assert told.text.startswith("ticket t1 sent by ann: buy 1")
    assert told.data == {"ticket_id": "t1", "client_id": tracked.order.client_id}


def test_a_ticket_brings_whole_steps():
    """A fee in the base asset leaves the child with less than a step of something."""
    desk = loop()
    ticket = refused(desk)
    desk.copier.desk.bots["bot"].links["c1", (ticket.symbol, PositionSide.NET)].attributed = D("0.0004")
    desk.feed(TicketSent(at_ns=desk.now_ns, ticket=ticket.id))
    (placed,) = [intent for intent in desk.queue if isinstance(intent, Place)]
    assert placed.order.terms.quantity == D("0.999")


def test_a_change_that_is_refused_is_tried_again_by_its_ticket_for_the_order_that_stands():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="no") if isinstance(intent, Modify) else None
    desk.amend(bid, price="58000")
    desk.settle()
    desk.fault = lambda intent: None
    ticket = newest(desk)
    (mine,) = desk.exchange.open_orders("c1")
    assert ticket.status == "open"
    send(desk, ticket)
    assert newest(desk) == replace(ticket, status="sent", client_id=mine.client_id)
    (told,) = [note for note in desk.notes if note.kind == "ticket"]
    assert told.data == {"ticket_id": ticket.id, "client_id": mine.client_id}
    assert told.text == f"ticket {ticket.id} sent by ann: the change of buy BTCUSDT is tried again"
    assert [terms.price for terms in desk.working("c1")] == [D(58000)]


def test_only_so_many_tickets_are_kept(monkeypatch):
    monkeypatch.setattr(tickets, "TICKETS_KEPT", 2)
    desk = loop()
    for _ in range(4):
        refused(desk)
    assert list(desk.copier.desk.tickets) == ["t3", "t4"]


@pytest.mark.parametrize("guarded", [True, False])
def test_what_closes_is_sent_by_a_ticket_on_an_account_that_opens_nothing(guarded):
    desk = loop()
    desk.buy("2")
    desk.settle()
    known = desk.copier.desk
    (link,) = known.bots["bot"].links.values()
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="none"))
    known.bots["bot"].books[link.book].position = D(0)
    terms = Terms(symbol=link.book[0], side=Side.SELL, type=OrderType.MARKET, quantity=D(1), reduce_only=guarded)
    known.tickets["t1"] = Ticket(
        id="t1",
        bot="bot",
        child="c1",
        symbol=link.book[0],
        position_side="net",
        terms=terms,
        kind="ahead",
        why="it is ahead",
        created_ns=desk.now_ns,
        expires_ns=desk.now_ns + 1,
    )
    assert why_not(known, "t1", desk.now_ns) == ""
    known.tickets["t1"] = replace(known.tickets["t1"], terms=replace(terms, side=Side.BUY, reduce_only=False))
    known.bots["bot"].books[link.book].position = D(9)
    assert why_not(known, "t1", desk.now_ns) == "c1 is none: nothing is opened there; see `copydesk limits`"


@pytest.mark.parametrize("parent_order", ["", "7"])
def test_what_is_told_of_a_ticket_names_the_parents_order_where_there_is_one(parent_order):
    desk = loop()
    ticket = refused(desk)
    (link,) = desk.copier.desk.bots["bot"].links.values()
    run = Run(desk.copier.desk, [], desk.now_ns)
    tickets.leave(run, link, "warn", "ahead", "it is ahead", ticket.terms, parent_order=parent_order, code="1")
    (told,) = run.decisions
    named = {"parent_order": parent_order} if parent_order else {}
    assert told == Note(
        level="warn",
        kind="ahead",
        text="it is ahead",
        bot="bot",
        account="c1",
        symbol=ticket.symbol,
        data={"ticket": to_json(ticket.terms).decode(), "ticket_id": "t2", "code": "1"} | named,
    )
