"""What each input sets off: timers, settings that change, bots and children that go, accounts of two bots."""

from __future__ import annotations

from copydesk.budget import BUDGET
from copydesk.ids import is_own
from copydesk.inputs import BotRules, BotStarted, Configured, LimitSet, Place, Reported, Snapped, Ticked, Unfilled
from copydesk.model import (
    OrderEvent,
    OrderStatus,
    OrderType,
    Position,
    PositionEvent,
    PositionSide,
    Rejected,
    RejectReason,
    Side,
    Terms,
)
from copydesk.state import Book
from harness.closed_loop import KIND, PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

BOOK: Book = (SYMBOL, PositionSide.NET)
BUSY = Rejected(reason=RejectReason.RATE_LIMIT, message="busy")


def loop(*children, **more) -> ClosedLoop:
    more.setdefault("instrument", instrument("1"))
    return ClosedLoop(children or (child("c1", k="1"),), **more).start()


def rules(*children, name: str = "bot", parent: str = PARENT) -> BotRules:
    return BotRules(name=name, kind=KIND, parent=parent, children=children)


def configure(desk: ClosedLoop, *bots: BotRules) -> None:
    desk.feed(Configured(at_ns=desk.now_ns, bots=bots, capabilities={KIND: desk.can}))


# --- timers -----------------------------------------------------------------------------------------------------------


def test_a_timer_that_is_void_keeps_none_of_those_after_it():
    """Two orders wait for their turn; the first one's timer was set anew, the second one's is due: it goes."""
    desk = loop(child("c1", k="1"), child("c2", k="1"))
    desk.fault = lambda intent: BUSY
    desk.buy("1", price="59000")
    desk.deliver()
    desk.carry_out()
    first, second = (tracked.order for tracked in desk.copier.desk.child_orders.values())
    assert first.due_ns == second.due_ns > 0
    first.due_ns += 10**12  # looked at again much later
    desk.fault = lambda intent: None
    desk.pass_time(251)
    assert [intent.client_id for intent in desk.queue] == [second.client_id]
    assert second.due_ns == 0


def test_every_kind_of_timer_is_followed_by_the_next():
    desk = loop(child("c1", k="1"))
    desk.fault = lambda intent: BUSY
    desk.buy("1", price="59000")
    desk.deliver()
    desk.carry_out()
    (order,) = (tracked.order for tracked in desk.copier.desk.child_orders.values())
    for before in (("nobody", BUDGET), ("silence", "no such bot"), ("c1", ""), ("c1", "gone"), ("elsewhere", "gone")):
        order.due_ns = desk.now_ns + 1_000_000
        desk.copier._due[:] = sorted([(desk.now_ns, *before), (order.due_ns, "c1", order.client_id)])
        order.tries, intents = 0, len(desk.intents)
        desk.now_ns += 1_000_000
        desk.feed(Ticked(at_ns=desk.now_ns))
        assert len(desk.intents) == intents + 1, before
        assert desk.copier.next_due_ns == 0 or desk.copier.next_due_ns > desk.now_ns
        desk.carry_out()
    assert order.tries == 1


def test_a_time_that_has_not_come_yet_is_left():
    desk = loop()
    desk.copier._due[:] = [(desk.now_ns + 1, "c1", "")]
    desk.feed(Ticked(at_ns=desk.now_ns))
    assert desk.copier.next_due_ns == desk.now_ns + 1


# --- settings ---------------------------------------------------------------------------------------------------------


def test_a_child_that_is_taken_out_is_forgotten_and_its_orders_are_known_to_be_left():
    desk = loop(child("c1", k="1"), child("c2", k="1"))
    desk.buy("2")
    desk.buy("1", price="59000")
    desk.settle()
    bot, state = desk.copier.desk.bots["bot"], desk.copier.desk
    left = next(order.client_id for order in desk.exchange.open_orders("c2"))
    configure(desk, rules(child("c1", k="1")))
    assert set(bot.links) == {("c1", BOOK)}
    assert {account for account, _ in state.child_orders} == {"c1"}
    assert [key for key, order in state.left.items() if not order.filled] == [("c2", left)]
    assert sum(order.filled for order in state.left.values()) == 2, "that the other one has filled is known, too"
    assert bot.left == {("c2", BOOK): 2}
    desk.reread("c2")
    assert desk.said("stranger") == []
    configure(desk, rules(child("c1", k="1"), child("c2", k="1")))
    desk.buy("3")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (5, 5), "a child that joins again follows what comes"


def test_a_bot_that_is_removed_is_forgotten_and_its_orders_are_known_to_be_left():
    desk = loop(child("c1", k="1"))
    desk.buy("1", price="59000")
    desk.settle()
    state = desk.copier.desk
    left = next(order.client_id for order in desk.exchange.open_orders("c1"))
    configure(desk)
    assert (state.bots, state.child_orders) == ({}, {})
    assert set(state.left) == {("c1", left)}
    intents = len(desk.intents)
    desk.buy("1")
    desk.settle()
    assert len(desk.intents) == intents
    configure(desk, rules(child("c1", k="1")))
    desk.reread("c1")
    assert desk.said("stranger") == []
    assert not state.bots["bot"].working


def test_settings_that_change_are_those_of_open_links_at_once():
    desk = loop(child("c1", k="1", unfilled_entry=Unfilled()))
    desk.buy("2")
    desk.buy("4", price="59000")
    desk.settle()
    changed = child("c1", k="3", filters=replace(child("c1", k="1").filters, exclude=("BTC*",)))
    configure(desk, rules(changed))
    link = desk.copier.desk.bots["bot"].links["c1", BOOK]
    assert link.child is changed
    desk.settle()
    assert desk.working("c1") == [], "the entry is not for this child any more"
    assert link.ratios == {1: 1}, "the open episode keeps the ratio that it began with"


def test_settings_do_not_move_what_stands_still():
    for still in ("stopped", "child", "parent"):
        desk = loop(child("c1", k="1"))
        desk.buy("4", price="59000")
        desk.settle()
        if still == "stopped":
            from copydesk.inputs import BotStopped

            desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
        else:
            desk.disconnect("c1" if still == "child" else PARENT)
        intents = len(desk.intents)
        configure(desk, rules(child("c1", k="1", filters=replace(child("c1", k="1").filters, exclude=("BTC*",)))))
        assert len(desk.intents) == intents, still


# --- two bots -----------------------------------------------------------------------------------------------------------


def chain() -> ClosedLoop:
    """`bot` copies the parent to c1; `second` copies c1 to z."""
    second = BotRules(name="second", kind=KIND, parent="c1", children=(child("z", k="1"),))
    desk = loop(child("c1", k="1"), bots=(second,))
    desk.feed(BotStarted(at_ns=desk.now_ns, bot="second", snapshot=desk.snapshot("c1")))
    return desk


def by_hand(desk: ClosedLoop, side: Side, quantity: str) -> None:
    desk.exchange.place("c1", Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity)))
    desk.settle()


def test_19_a_copy_moves_what_its_account_held_before_as_far_as_a_second_bot_is_concerned():
    desk = chain()
    bid = desk.buy("5", price="59000")
    desk.settle()
    second = desk.copier.desk.bots["second"]
    (known,) = second.orders.values()
    assert is_own(known.order.client_id)
    assert (known.baseline, known.filled) == (True, 0)
    copy = desk.exchange.open_orders("c1")[0]
    for quantity in ("2", "3"):
        desk.exchange.fill("c1", D(quantity), venue_id=copy.venue_id)
        desk.settle()
    assert (second.book(BOOK).position, second.book(BOOK).baseline) == (5, 5)
    assert (len(second.orders), desk.position("z")) == (1, 0)
    by_hand(desk, Side.BUY, "3")
    assert (second.book(BOOK).position, second.book(BOOK).baseline, desk.position("z")) == (8, 5, 3)
    desk.cancel(bid)
    desk.settle()
    assert desk.position("z") == 3


def test_19_a_bot_that_does_not_work_hears_nothing_of_copies():
    from copydesk.inputs import BotStopped

    desk = chain()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="second"))
    desk.buy("5")
    desk.settle()
    assert desk.copier.desk.bots["second"].orders == {}


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_a_position_that_is_told_is_kept_until_it_is_flat():
    desk = loop()
    desk.buy("2")
    desk.settle()
    positions = desk.copier.desk.account("c1").positions
    assert positions[BOOK].quantity == 2
    link = desk.copier.desk.bots["bot"].links["c1", BOOK]
    told = PositionEvent(position=Position(symbol=SYMBOL, quantity=D(7), mark_price=D(61_000)))
    desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=told))
    assert (positions[BOOK].quantity, link.foreign) == (7, 5)
    assert desk.copier.desk.prices[KIND, SYMBOL] == 61_000
    flat = PositionEvent(position=Position(symbol=SYMBOL, quantity=D(0)))
    for _ in range(2):  # one that is not known is as flat
        desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=flat))
        assert (positions, link.foreign) == ({}, -2)


def test_a_report_says_how_far_the_venues_clock_is():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    account = desk.copier.desk.account(PARENT)
    latest = account.venue_ms
    for updated_ms, expected in ((latest + 5, latest + 5), (latest + 1, latest + 5)):
        told = OrderEvent(order=replace(bid, updated_ms=updated_ms))
        desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=told))
        assert account.venue_ms == expected


def test_an_absence_that_was_asked_for_is_no_second_question():
    desk = loop()
    desk.buy("2", price="59000")
    desk.settle()
    (tracked,) = desk.copier.desk.child_orders.values()
    asked = len(desk.intents)
    seen = replace(desk.snapshot("c1"), orders=(), absent=(tracked.order.client_id,))
    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=seen))
    assert len(desk.intents) == asked
    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=replace(seen, absent=())))
    assert len(desk.intents) == asked + 1
    assert desk.intents[-1].orders[0].client_id == tracked.order.client_id


def test_working_orders_of_another_copydesk_are_told_once():
    desk = loop()
    for number in range(7):
        terms = Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=D(1), price=D(50_000 + number))
        desk.exchange.place("c1", terms, f"cdk-{number:020d}-c0")
    desk.reports.clear()
    for _ in range(2):
        desk.reread("c1")
    (note,) = [note for note in desk.notes if note.kind == "stranger"]
    orders = [f"cdk-{number:020d}-c0" for number in range(7)]
    assert note.text.startswith(
        f"c1 has 7 working order(s) of a copydesk that no bot here knows ({', '.join(orders[:5])}): "
    )
    assert (note.level, note.account, note.data) == ("error", "c1", {"orders": orders})


def test_a_limit_is_looked_at_on_every_bot_that_is_managed():
    desk = loop(child("c1", k="1"))
    desk.buy("2", price="59000")
    desk.settle()
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only"))
    desk.settle()
    assert desk.working("c1") == []
    assert [intent.why for intent in desk.intents if isinstance(intent, Place)] == ["entry"]
    assert desk.exchange.orders("c1")[-1].status is OrderStatus.CANCELLED


# --- what is not copied, and why --------------------------------------------------------------------------------------


def test_a_symbol_that_the_child_does_not_have_is_missed_once():
    desk = loop()
    desk.copier.desk.instruments.clear()
    bid = desk.buy("2", price="59000")
    desk.deliver()
    desk.amend(bid, price="59100")
    desk.deliver()
    (note,) = [note for note in desk.notes if note.kind == "unknown-symbol"]
    assert (note.text, note.level) == (f"not copied: {SYMBOL} is not known on c1", "error")
    pair = desk.copier.desk.bots["bot"].links["c1", BOOK].pairs[bid.venue_id]
    assert (pair.closed, desk.copier.desk.bots["bot"].missed) == ("unknown-symbol", {"c1": 1})


def test_what_is_too_small_for_the_venue_is_skipped_and_given_up_with_the_parents_order():
    desk = loop(child("c1", k="0.5"), instrument=instrument("1", minimum="200000"))
    bid = desk.buy("6", price="59000")
    desk.settle()
    pair = desk.copier.desk.bots["bot"].links["c1", BOOK].pairs[bid.venue_id]
    assert (pair.waiting, pair.closed) == ("too-small", "")
    (note,) = [note for note in desk.notes if note.kind == "too-small"]
    assert note.text.startswith("skipped: ")
    desk.exchange.fill(PARENT, D(6), venue_id=bid.venue_id)
    desk.settle()
    assert pair.closed == "too-small"
    assert desk.placed("c1") == []
