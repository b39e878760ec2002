"""Rule 18: a spot fee paid in the base asset leaves dust. Exits sell what is free, floored; dust is told by its name."""

from __future__ import annotations

import pytest
from copydesk.drifting import drifts
from copydesk.dust import is_dust, least_sellable
from copydesk.model import Contract, FillEvent, Instrument, OrderEvent, OrderType, PositionSide
from copydesk.views import health
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child
from msgspec.structs import replace

SPOT = Instrument(
    symbol=SYMBOL,
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.SPOT,
    price_tick=D("0.1"),
    quantity_step=D("0.01"),
    min_quantity=D("0.01"),
    min_notional=D(5),
)


def loop(*children, oco: bool = False, **more) -> ClosedLoop:
    more.setdefault("instrument", SPOT)
    return ClosedLoop(children or (child("c1", k="0.5"),), reduce_only=False, oco=oco, **more).start()


def link(desk: ClosedLoop, account: str = "c1"):
    return next(link for (name, _), link in desk.copier.desk.bots["bot"].links.items() if name == account)


def read(desk: ClosedLoop) -> None:
    for _ in range(3):
        desk.pass_time(10_000)
        for account in (PARENT, "c1"):
            desk.reread(account, since_ms=1)
        desk.settle()


def test_18_what_is_held_is_counted_without_the_fee():
    desk = loop()
    desk.buy("1")
    desk.settle()
    read(desk)
    assert desk.position(PARENT) == D("0.9995")
    assert desk.position("c1") == link(desk).attributed == D("0.49975")
    assert desk.said("inferred") == []
    (view,) = drifts(desk.copier.desk)
    assert (view.target, view.foreign, view.cause) == (D("0.49"), 0, "dust")


def test_18_the_exit_sells_what_is_free_floored_to_the_step():
    desk = loop()
    desk.buy("1")
    desk.settle()
    desk.sell("0.99")
    desk.settle()
    read(desk)
    assert [terms.quantity for terms in desk.placed("c1")] == [D("0.50"), D("0.49")]
    assert desk.position("c1") == D("0.00975")
    assert not any("refused" in text for text in desk.said("rejected"))


def test_18_dust_is_told_and_keeps_no_episode_open():
    desk = loop(child("c1", percent="100"), cash={PARENT: D(1_000_000), "c1": D(500_000)})
    desk.buy("1")
    desk.settle()
    desk.sell("0.99")
    desk.settle()
    read(desk)
    (view,) = drifts(desk.copier.desk)
    assert (view.cause, view.attributed) == ("dust", desk.position("c1"))
    assert health(desk.copier.desk, desk.copier.desk.bots["bot"], "c1") == "in sync"
    assert "too little to be sold" in desk.said("dust")[0]
    assert len(desk.said("dust")) == 1
    assert link(desk).ratios == {}
    desk.exchange.deposit("c1", D(1_500_000))
    desk.buy("1")
    desk.settle()
    assert desk.position("c1") > D("1.9"), "a new episode began with the balances of now"


def test_18_dust_is_sold_with_the_exit_that_has_room_for_it():
    desk = loop(child("c1", k="1"))
    for _ in range(3):
        desk.buy("0.5")
        desk.settle()
        held = desk.position(PARENT)
        desk.sell(str(held // D("0.01") * D("0.01")))
        desk.settle()
        read(desk)
        assert desk.position("c1") < D("0.01")
        assert link(desk).attributed == desk.position("c1")
        assert desk.said("trim-failed") == []


def test_18_what_is_worth_too_little_is_dust_as_well():
    desk = loop(child("c1", k="0.5"), price=D(100))
    desk.buy("1")
    desk.settle()
    desk.sell("0.96")
    desk.settle()
    read(desk)
    assert desk.said("rejected") == desk.said("trim-failed") == []
    (view,) = drifts(desk.copier.desk)
    assert view.attributed == desk.position("c1")
    assert abs(view.attributed) < D("0.05")


def test_18_what_is_below_the_minimum_waits_until_it_is_not():
    desk = loop(child("c1", k="0.5"), instrument=replace(SPOT, min_quantity=D("0.05"), min_notional=D(0)))
    desk.buy("1")
    desk.settle()
    desk.sell("0.06")
    desk.settle()
    read(desk)
    assert [terms.quantity for terms in desk.placed("c1")] == [D("0.5")]
    (view,) = drifts(desk.copier.desk)
    assert (view.target, view.attributed, view.cause) == (D("0.46"), D("0.49975"), "dust")
    desk.sell("0.06")
    desk.settle()
    assert [terms.quantity for terms in desk.placed("c1")] == [D("0.5"), D("0.06")]
    assert desk.said("trim-failed") == desk.said("rejected") == []


@pytest.mark.parametrize("oco", [True, False])
def test_18_a_stop_covers_what_is_free(oco):
    desk = loop(child("c1", k="1"), oco=oco)
    desk.buy("1")
    desk.settle()
    desk.sell("0.99", type=OrderType.STOP_MARKET, trigger="59000")
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [D("0.99")]
    desk.prices(D(58999))
    desk.settle()
    assert desk.position("c1") == D("0.0095")


def test_18_a_fee_in_the_quote_leaves_no_dust():
    desk = loop(child("c1", k="1"), instrument=SPOT)
    desk.buy("1")
    desk.settle()
    before = link(desk).attributed
    desk.sell("0.5")
    desk.settle()
    assert before - link(desk).attributed == desk.placed("c1")[-1].quantity == D("0.51")  # to its share of 0.4995


# --- the parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "price", "one", "dust"),
    [
        ("0", "100", SPOT, False),
        ("0.0099", "0", SPOT, True),
        ("0.01", "0", SPOT, False),
        ("-0.0099", "0", SPOT, True),
        ("0.04", "100", SPOT, True),
        ("0.05", "100", SPOT, False),
        ("0.05", "99", SPOT, True),
        ("0.06", "99", SPOT, False),
        ("0.02", "100", replace(SPOT, contract_size=D(2)), True),
        ("0.03", "100", replace(SPOT, contract_size=D(2)), False),
        ("0.04", "100", replace(SPOT, min_notional=D(0)), False),
        ("0.04", "100", replace(SPOT, min_notional=D(0), min_quantity=D("0.05")), True),
        ("0.001", "100", replace(SPOT, contract=Contract.LINEAR), False),
    ],
)
def test_18_what_is_too_little_to_be_sold(quantity, price, one, dust):
    assert is_dust(D(quantity), one, D(price)) is dust


def test_18_so_long_as_the_fee_is_not_told_the_likely_one_is_not_free():
    desk = loop(child("c1", k="1"))
    desk.buy("1", price="59000")
    desk.settle()
    copy = desk.exchange.open_orders("c1")[0]
    desk.exchange.fill("c1", D("0.5"), venue_id=copy.venue_id)
    fills = [report for report in desk.reports if isinstance(report.event, FillEvent) and report.account == "c1"]
    orders = [report for report in desk.reports if isinstance(report.event, OrderEvent) and report.account == "c1"]
    desk.reports.clear()
    for _ in range(2):
        desk.feed(orders[0])
        assert (link(desk).attributed, link(desk).held_back) == (D("0.5"), D("0.5") * D("0.002"))
    desk.feed(fills[0])
    assert (link(desk).attributed, link(desk).held_back) == (D("0.5") - fills[0].event.fill.fee, 0)
    assert link(desk).price == fills[0].event.fill.price
    desk.feed(fills[0])
    assert link(desk).attributed == D("0.5") - fills[0].event.fill.fee, "once per execution"


def test_18_a_fee_of_what_was_there_before_the_start_reduces_that():
    desk = loop()
    desk.buy("1")
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.start()
    book = desk.copier.desk.bots["bot"].book((SYMBOL, PositionSide.NET))
    assert (book.position, book.baseline) == (D("0.9995"), D("0.9995"))
    desk.exchange.fill(PARENT, D(1), venue_id=bid.venue_id)
    told = [report for report in desk.reports if isinstance(report.event, FillEvent) and report.account == PARENT][-1]
    desk.settle()
    assert (book.position, book.baseline) == (D("1.9993"), D("1.9993"))
    assert book.price == 59_000
    desk.feed(told)
    assert (book.position, book.baseline) == (D("1.9993"), D("1.9993")), "once per execution"
    desk.buy("1")
    desk.settle()
    assert (book.position, book.baseline) == (D("2.9988"), D("1.9993"))
    assert book.followed == D("0.9995")
    desk.exchange.fill(PARENT, D(1), venue_id=bid.venue_id)
    desk.settle()
    assert (book.position, book.baseline, book.followed) == (D("3.9986"), D("2.9991"), D("0.9995"))


def test_18_what_is_left_is_told_with_its_asset():
    desk = loop(child("c1", k="1"))
    desk.buy("1")
    desk.settle()
    desk.sell("0.99")
    desk.settle()
    read(desk)
    (note,) = [note for note in desk.notes if note.kind == "dust"]
    assert note.text.startswith(f"{note.data['quantity']} BTC is left, too little to be sold")
    assert D(note.data["quantity"]) == desk.position("c1")
    assert link(desk).dust == desk.position("c1")


@pytest.mark.parametrize(
    ("step", "least", "notional", "size", "price", "sellable"),
    [
        ("0.01", "0.01", "0", "1", "100", "0.01"),
        ("0.01", "0.05", "0", "1", "100", "0.05"),
        ("0.01", "0", "0", "1", "0", "0.01"),
        ("0.01", "0.01", "5", "1", "90", "0.06"),
        ("0.01", "0.01", "5", "2", "90", "0.03"),
        ("0.01", "0.01", "5", "1", "0", "0.01"),
        ("0.01", "0.3", "5", "1", "90", "0.3"),
    ],
)
def test_18_the_least_that_can_be_sold_is_a_whole_number_of_steps(step, least, notional, size, price, sellable):
    held = replace(SPOT, quantity_step=D(step), min_quantity=D(least), min_notional=D(notional), contract_size=D(size))
    assert least_sellable(held, D(price)) == D(sellable)
    assert not is_dust(D(sellable), held, D(price))
    assert is_dust(D(sellable) - D("0.001"), held, D(price))
    assert is_dust(D("0.001") - D(sellable), held, D(price))
    assert not is_dust(D(0), held, D(price))
    assert not is_dust(D("0.001"), replace(held, contract=Contract.LINEAR), D(price))
