"""Rule 11 where the venue links a stop and a target itself: the child's two legs are one group there."""

from __future__ import annotations

import pytest
from copydesk.inputs import Cancel, Place, PlaceGroup, Unfilled
from copydesk.model import Contract, Instrument, OrderEvent, OrderType, Rejected, RejectReason, Side, Terms
from copydesk_paper.records import MarketTrade
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

STOP, LIMIT = OrderType.STOP_MARKET, OrderType.LIMIT
SPOT = Instrument(
    symbol=SYMBOL,
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.SPOT,
    price_tick=D("0.1"),
    quantity_step=D("0.01"),
    min_quantity=D("0.01"),
)


def loop(**more) -> ClosedLoop:
    more.setdefault("instrument", instrument("1"))
    more.setdefault("oco", True)
    waits = Unfilled(action="wait")  # a target that the parent's has left behind rests on
    return ClosedLoop((child("c1", k="1", unfilled_exit=waits),), **more).start()


def leg(type_: OrderType, price: str, quantity: str = "2", *, reduce_only: bool = True) -> Terms:
    return Terms(
        symbol=SYMBOL,
        side=Side.SELL,
        type=type_,
        quantity=D(quantity),
        price=D(price) if type_ is LIMIT else None,
        trigger_price=D(price) if type_ is STOP else None,
        reduce_only=reduce_only,
    )


def bracket(desk: ClosedLoop, quantity: str = "2", *, target: str = "61000", stop: str = "59000"):
    desk.buy(quantity)
    desk.settle()
    return desk.parent_places_group(leg(LIMIT, target, quantity), leg(STOP, stop, quantity))


def standing(desk: ClosedLoop) -> list[str]:
    return sorted(
        f"{terms.quantity:.0f}@{(terms.price or terms.trigger_price):.0f}"
        for terms in desk.working("c1")
        if terms.side is Side.SELL
    )


def groups(desk: ClosedLoop) -> set[str]:
    return {order.group for order in desk.exchange.open_orders("c1")}


def buyers(desk: ClosedLoop, price: str, quantity: str) -> None:
    desk.exchange.apply(MarketTrade(symbol=SYMBOL, price=D(price), quantity=D(quantity), buyer_is_maker=False))


def sent(desk: ClosedLoop) -> list[str]:
    return [type(intent).__name__ for intent in desk.intents]


@pytest.mark.parametrize("oco", [True, False])
def test_11_both_legs_are_copied_natively_or_side_by_side(oco):
    desk = loop(oco=oco)
    bracket(desk)
    desk.settle()
    assert standing(desk) == ["2@59000", "2@61000"]
    assert len(groups(desk)) == 1
    assert (groups(desk) != {""}) is oco
    assert sent(desk) == (["Place", "PlaceGroup"] if oco else ["Place", "Place", "Place"])
    for order in desk.exchange.open_orders("c1"):
        assert order.client_id.startswith("cdk-")


@pytest.mark.parametrize("oco", [True, False])
def test_11_the_target_fills_on_both_and_nothing_is_left(oco):
    desk = loop(oco=oco)
    bracket(desk)
    desk.settle()
    desk.prices(D(61001))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1"), standing(desk)) == (0, 0, [])


@pytest.mark.parametrize("oco", [True, False])
def test_11_the_stop_closes_both_and_nothing_is_left(oco):
    desk = loop(oco=oco)
    bracket(desk)
    desk.settle()
    desk.prices(D(58999))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1"), standing(desk)) == (0, 0, [])


@pytest.mark.parametrize("oco", [True, False])
def test_11_the_parents_target_fills_and_the_childs_stop_stays(oco):
    desk = loop(oco=oco)
    bracket(desk)
    desk.settle()
    buyers(desk, "61000", "2")
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (0, 2)
    assert standing(desk) == ["2@59000", "2@61000"]
    desk.prices(D(58999))
    desk.settle()
    assert (desk.position("c1"), standing(desk)) == (0, [])


def test_11_a_leg_that_is_moved_replaces_the_group():
    desk = loop()
    for order in bracket(desk):
        desk.settle()
        del order
    desk.cancel(desk.exchange.open_orders(PARENT)[0])
    desk.parent_places_group(leg(LIMIT, "61000"), leg(STOP, "59500"))
    desk.settle()
    assert standing(desk) == ["2@59500", "2@61000"]
    assert len(groups(desk)) == 1


def test_11_a_child_that_grows_gets_a_group_that_covers_it():
    desk = loop()
    desk.buy("2", price="59990")
    desk.settle()
    desk.trade("59990", "3")
    desk.settle()
    desk.parent_places_group(leg(LIMIT, "61000"), leg(STOP, "59000"))
    desk.settle()
    assert (desk.position("c1"), standing(desk)) == (1, ["1@59000", "1@61000"])
    desk.trade("59990", "1")
    desk.settle()
    assert (desk.position("c1"), standing(desk)) == (2, ["2@59000", "2@61000"])
    assert len(groups(desk)) == 1
    assert "" not in groups(desk)


def of_one_list(desk: ClosedLoop) -> None:
    """What the parent's venue tells comes as of one list: an entry that brings its stop and its target along."""
    for n, report in enumerate(desk.reports):
        if report.account == PARENT and isinstance(report.event, OrderEvent):
            event = OrderEvent(order=replace(report.event.order, group="list"))
            desk.reports[n] = replace(report, event=event)


def test_11_the_entry_that_brings_its_stop_and_its_target_along_is_no_leg_of_their_group():
    desk = loop()
    desk.buy("2", price="59990")
    of_one_list(desk)
    desk.settle()
    desk.trade("59990", "3")  # the child's own entry is filled by half
    of_one_list(desk)
    desk.settle()
    desk.parent_places_group(leg(LIMIT, "61000"), leg(STOP, "59000"))
    of_one_list(desk)
    desk.settle()
    assert (desk.position("c1"), standing(desk)) == (1, ["1@59000", "1@61000"])
    assert len({order.group for order in desk.exchange.open_orders("c1") if order.terms.side is Side.SELL}) == 1
    assert sent(desk) == ["Place", "PlaceGroup"]


def test_11_what_is_left_of_a_target_gets_its_stop_again():
    """Somebody trades with the child's target alone: its stop is gone with that, while the parent's stands."""
    desk = loop()
    bracket(desk)
    desk.settle()
    desk.exchange.cancel(PARENT, venue_id=desk.exchange.open_orders(PARENT)[0].venue_id)
    parents, desk.reports = desk.reports, []
    buyers(desk, "61000", "1")
    desk.deliver()
    desk.carry_out()
    assert standing(desk) == ["2@61000"]
    desk.settle()
    assert standing(desk) == ["1@59000", "1@61000"]
    assert "" not in groups(desk)
    assert parents


def test_11_a_group_of_which_nothing_is_known_is_looked_up_leg_by_leg():
    desk = loop()
    desk.fault = lambda intent: "lose-reply" if isinstance(intent, PlaceGroup) else None
    bracket(desk)
    desk.deliver()
    desk.carry_out()
    desk.reports.clear()
    desk.settle()
    assert standing(desk) == ["2@59000", "2@61000"]
    assert sent(desk).count("PlaceGroup") == 1


def test_11_a_group_that_never_arrived_goes_again_under_the_same_ids():
    desk = loop()
    lost = []

    def lose(intent):
        if isinstance(intent, PlaceGroup) and not lost:
            lost.append(intent)
            return "lose-request"
        return None

    desk.fault = lambda intent: _unknown() if lose(intent) else None
    bracket(desk)
    desk.settle()
    assert standing(desk) == ["2@59000", "2@61000"]
    placed = [intent for intent in desk.intents if isinstance(intent, PlaceGroup)]
    assert len({leg.client_id for intent in placed for leg in intent.group.legs}) == 2


def _unknown():
    from copydesk.model import Unknown

    return Unknown(message="no answer")


def test_11_a_group_that_the_venue_refuses_is_placed_one_by_one():
    desk = loop()
    refusal = Rejected(reason=RejectReason.OTHER, message="no order lists here")
    desk.fault = lambda intent: refusal if isinstance(intent, PlaceGroup) else None
    bracket(desk)
    desk.settle()
    assert standing(desk) == ["2@59000", "2@61000"]
    assert groups(desk) == {""}
    assert "placed by itself" in desk.said("ungrouped")[0]


def test_11_a_group_that_is_cancelled_on_the_parent_goes_on_the_child():
    desk = loop()
    target, _ = bracket(desk)
    desk.settle()
    desk.cancel(target)
    desk.settle()
    assert (desk.position("c1"), standing(desk)) == (2, [])


def test_11_a_group_that_is_cancelled_by_hand_on_the_child_is_not_placed_again():
    desk = loop()
    bracket(desk)
    desk.settle()
    desk.exchange.cancel("c1", client_id=desk.exchange.open_orders("c1")[0].client_id)
    desk.settle()
    desk.reread("c1")
    desk.settle()
    assert standing(desk) == []


def test_11_on_spot_two_exits_cannot_both_lock_the_holding_and_the_group_can():
    desk = loop(instrument=SPOT, reduce_only=False)
    desk.exchange._matching._fees = {True: D(0), False: D(0)}
    desk.buy("2")
    desk.settle()
    desk.parent_places_group(leg(LIMIT, "61000", reduce_only=False), leg(STOP, "59000", reduce_only=False))
    desk.settle()
    assert standing(desk) == ["2@59000", "2@61000"]
    desk.prices(D(58999))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1"), standing(desk)) == (0, 0, [])


def test_11_a_stop_alone_becomes_part_of_a_group_when_the_target_comes_late():
    desk = loop()
    desk.buy("2")
    desk.settle()
    desk.parent_places_group(leg(LIMIT, "61000"), leg(STOP, "59000"))
    stop_only = [r for r in desk.reports if getattr(getattr(r.event, "order", None), "terms", leg(LIMIT, "1")).type is STOP]
    rest, desk.reports = [r for r in desk.reports if r not in stop_only], stop_only
    desk.deliver()
    desk.carry_out()
    assert standing(desk) == []  # it waits for the other one
    desk.pass_time(1500)
    desk.reread("c1")
    desk.carry_out()
    assert standing(desk) == ["2@59000"]
    desk.reports = rest + desk.reports
    desk.settle()
    assert standing(desk) == ["2@59000", "2@61000"]
    assert len(groups(desk)) == 1
    assert "" not in groups(desk)
    assert any(isinstance(intent, Cancel) for intent in desk.intents)
    assert any(isinstance(intent, Place) for intent in desk.intents)


def stop_alone(desk: ClosedLoop, wait_ms: int = 1_000) -> list:
    """The parent's stop is told and stands alone by now; the reports of its target are returned."""
    desk.buy("2")
    desk.settle()
    desk.parent_places_group(leg(LIMIT, "61000"), leg(STOP, "59000"))
    stop_only = [r for r in desk.reports if getattr(getattr(r.event, "order", None), "terms", leg(LIMIT, "1")).type is STOP]
    rest, desk.reports = [r for r in desk.reports if r not in stop_only], stop_only
    desk.deliver()
    desk.pass_time(wait_ms)
    desk.reread("c1")
    desk.carry_out()
    return rest


@pytest.mark.parametrize(("wait_ms", "found"), [(999, []), (1_000, ["2@59000"])])
def test_11_the_first_of_a_group_waits_a_second_for_the_other(wait_ms, found):
    desk = loop()
    stop_alone(desk, wait_ms)
    assert standing(desk) == found


def test_11_a_leg_that_a_person_cancelled_on_the_child_is_not_brought_back_by_the_other():
    desk = loop()
    rest = stop_alone(desk)
    desk.deliver()
    (stop,) = desk.exchange.open_orders("c1")
    desk.exchange.cancel("c1", venue_id=stop.venue_id)
    desk.deliver()
    desk.reports = rest + desk.reports
    desk.settle()
    assert standing(desk) == ["2@61000"]
