"""What a login knows of orders, whatever the order in which TWS tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from copydesk.model import OrderStatus, OrderType, Side
from copydesk_ib import contracts, library
from copydesk_ib.book import Book, completed_ms
from copydesk_ib.contracts import Listing, read_symbol
from copydesk_ib.sight import Sight
from copydesk_ib.translate import Untranslatable, order, read_native, terms

D = Decimal
STOCK = Listing(number=1, underlying="A", security="STK", exchange="SMART", currency="USD", local="A")
FUTURE = Listing(number=2, underlying="ES", security="FUT", exchange="CME", currency="USD", local="ESZ6", multiplier="50")
ACCOUNT, OTHERS = "DU1", 23


class Told:
    """Messages of TWS, as the library's decoder gives them."""

    def __init__(self, listed: Listing = STOCK, **more: Any) -> None:
        self.book = Book()
        self.listed = listed
        self.order = library.load().order(
            **{"action": "BUY", "orderType": "LMT", "lmtPrice": D(10), "tif": "DAY", "account": ACCOUNT, **more}
        )
        for name in ("totalQuantity", "auxPrice", "trailStopPrice", "trailingPercent", "lmtPriceOffset", "filledQuantity"):
            setattr(self.order, name, more.get(name))
        self.order.totalQuantity = D(more.get("totalQuantity", 10))
        self.order.permId, self.order.clientId = more.get("permId", 77), more.get("clientId", OTHERS)
        self.now = 1_000

    def open(self, word: str = "Submitted") -> Any:
        self.now += 1
        contract = contracts.contract(library.load(), self.listed)
        known = self.book.open_order(self.order, contract, _State(word), self.listed, self.now)
        return self.tell(known)

    def status(self, word: str, filled: str, average: str = "10") -> Any:
        self.now += 1
        client, number = self.order.clientId, self.order.orderId
        return self.tell(self.book.order_status(self.order.permId, client, number, word, D(filled), D(average)))

    def execution(self, number: str, shares: str, cumulative: str, price: str = "10") -> Any:
        self.now += 1
        told = _Execution(number, D(shares), D(cumulative), D(price), self.order.permId)
        known, *_ = self.book.execution(told, self.listed)
        return self.tell(known)

    def completed(self, word: str, filled: str, why: str = "") -> Any:
        contract = contracts.contract(library.load(), self.listed)
        self.order.filledQuantity = D(filled)
        state = _State(word, "20260102 10:00:00 UTC", why)
        return self.tell(self.book.completed(self.order, contract, state, self.listed, self.now))

    def tell(self, known: Any) -> Any:
        return self.book.tell(known, self.now) if known is not None else None

    @property
    def state(self) -> Any:
        found = self.book.find(ACCOUNT, venue_id=str(self.order.permId))
        return found.state() if found is not None else None


class _State:
    def __init__(self, status: str, at: str = "", why: str = "") -> None:
        self.status, self.completedTime, self.completedStatus = status, at, why


class _Execution:
    side, orderRef, lastLiquidity, acctNumber = "BOT", "", 2, ACCOUNT  # noqa: N815
    time = datetime(2026, 1, 2, 10, tzinfo=UTC)

    def __init__(self, number: str, shares: Decimal, cumulative: Decimal, price: Decimal, perm: int) -> None:
        self.execId, self.shares, self.cumQty, self.price, self.avgPrice = number, shares, cumulative, price, price
        self.permId, self.clientId = perm, OTHERS


STEPS = {
    "open": lambda told: told.open("Filled"),
    "first": lambda told: told.execution("e.1.01", "4", "4"),
    "second": lambda told: told.execution("e.2.01", "6", "10"),
    "status": lambda told: told.status("Filled", "10"),
}


@pytest.mark.parametrize("order_", list(permutations(("first", "second", "status", "open"))), ids="-".join)
def test_the_end_is_the_same_in_any_order(order_: tuple[str, ...]) -> None:
    told = Told()
    told.open("PreSubmitted")
    events = [event for step in order_ if (event := STEPS[step](told)) is not None]
    assert (told.state.status, told.state.filled) == (OrderStatus.FILLED, D(10))
    counted = [event.filled for event in events]
    assert counted == sorted(set(counted)), "each count is told once, and none goes back"
    assert all(event.filled == 10 for event in events if event.status is OrderStatus.FILLED)
    for step in order_:
        assert STEPS[step](told) is None, "what is told again is no news"


def test_an_end_is_not_taken_back() -> None:
    told = Told()
    told.open()
    assert told.status("Cancelled", "3").status is OrderStatus.CANCELLED
    assert told.status("Submitted", "0") is None
    assert (told.state.status, told.state.filled) == (OrderStatus.CANCELLED, D(3))


def test_an_execution_after_a_cancel_counts() -> None:
    told = Told()
    told.open()
    told.status("Cancelled", "0")
    late = told.execution("e.1.01", "10", "10")
    assert (late.status, late.filled) == (OrderStatus.FILLED, D(10))


def test_a_correction_replaces_its_execution() -> None:
    told = Told()
    told.open()
    told.execution("e.1.01", "4", "4", "10")
    known, found, corrected = told.book.execution(_Execution("e.1.02", D(4), D(4), D("10.5"), 77), STOCK)
    assert known is not None
    assert corrected
    assert found is not None
    assert [(fill.execution_id, fill.price) for fill in told.book.fills_of(ACCOUNT, 1)] == [("e.1", D("10.5"))]


def test_a_refusal_is_no_cancel() -> None:
    told = Told(clientId=7, orderId=5)
    told.open("PreSubmitted")
    told.book.refuse(7, 5, "201: no")
    assert (told.state.status, told.state.reason) == (OrderStatus.NEW, "")
    ended = told.status("Inactive", "0")
    assert (ended.status, ended.reason) == (OrderStatus.REJECTED, "201: no")


def test_an_inactive_order_without_an_error_may_wake_up() -> None:
    told = Told()
    told.open("Inactive")
    assert told.state.status is OrderStatus.NEW
    told.status("Submitted", "0")
    assert told.state.is_working


@pytest.mark.parametrize(("listed", "words", "triggered"), [(STOCK, ("Submitted",), True), (FUTURE, ("Submitted",), False)])
def test_a_stop_is_triggered_where_the_word_says_so(listed: Listing, words: tuple[str, ...], triggered: bool) -> None:
    """Exchanges of futures keep stops themselves: there the word comes before the trigger."""
    told = Told(listed, orderType="STP", auxPrice=D(9))
    for word in words:
        told.open(word)
    assert told.state.triggered is triggered
    told = Told(listed, orderType="STP", auxPrice=D(9))
    told.open("PreSubmitted")
    assert not told.state.triggered
    told.status("Submitted", "0")
    assert told.state.triggered


def test_what_is_listed_no_more_has_ended_unless_it_is_news() -> None:
    told = Told()
    told.open()
    assert told.book.vanish([], told.book.heard - 1, "gone") == []
    (known,) = told.book.vanish([], told.book.heard, "gone")
    assert told.tell(known).status is OrderStatus.CANCELLED


def test_a_completed_order_has_its_price_and_its_end() -> None:
    told = Told()
    told.execution("e.1.01", "4", "4", "10")
    told.execution("e.2.01", "6", "10", "11")
    told.completed("Filled", "10", "Filled Size: 10")
    assert (told.state.average_price, told.state.updated_ms) == (D("10.6"), completed_ms("20260102 10:00:00 UTC"))


def test_executions_of_an_order_that_nobody_tells_of_make_one() -> None:
    told = Told()
    told.execution("e.1.01", "4", "4", "10")
    (last,) = told.book.strangers()
    made = told.book.adopt(last, 5).state()
    assert (made.terms.type, made.terms.side, made.filled) == (OrderType.MARKET, Side.BUY, D(4))
    assert told.book.strangers() == []


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_is_attached_waits_for_its_parent(by_hand: bool) -> None:
    """Of a bracket made by hand the order ids are zero: its group is named by the parent's number."""
    told = Told(clientId=0 if by_hand else OTHERS, orderId=0 if by_hand else 3)
    assert told.open() is not None
    ids = {"ocaGroup": "77"} if by_hand else {"parentId": 3, "orderId": 4}
    stop = Told(orderType="STP", auxPrice=D(9), action="SELL", permId=78, clientId=told.order.clientId, **ids)
    stop.book = told.book
    assert stop.open("PreSubmitted") is None
    told.execution("e.1.01", "10", "10")
    parent = told.book.find(ACCOUNT, venue_id="77")
    assert parent is not None
    (awake,) = told.book.wakes(parent)
    assert stop.tell(awake).terms.type is OrderType.STOP_MARKET


def test_an_order_with_conditions_is_none_until_they_are_met() -> None:
    told = Told()
    told.order.conditions = [object()]
    assert told.open("PreSubmitted") is None
    assert told.status("Submitted", "0").terms.price == D(10)


# --- words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "symbol", ["AAPL:STK:SMART:USD", "EUR.USD:CASH:IDEALPRO:USD", "SPY   260116C00600000:OPT:SMART:USD", "ESZ6:FUT:CME:USD"]
)
def test_a_symbol_names_its_contract(symbol: str) -> None:
    wanted = read_symbol(symbol)
    assert wanted is not None
    listed = Listing(
        number=5,
        underlying="x",
        security=wanted.security,
        exchange=wanted.exchange,
        currency=wanted.currency,
        local=wanted.local,
    )
    assert listed.symbol == symbol


def test_a_combination_is_named_by_its_legs() -> None:
    symbol = "ES:BAG:CME:USD:+1x495500001@CME,-2x495500002@CME"
    wanted = read_symbol(symbol)
    assert wanted is not None
    assert [(leg.action, leg.ratio, leg.number) for leg in wanted.legs] == [("BUY", 1, 495500001), ("SELL", 2, 495500002)]
    listed = Listing(
        number=0, underlying="ES", security="BAG", exchange="CME", currency="USD", local="ES", legs=wanted.legs
    )
    assert listed.symbol == symbol


@pytest.mark.parametrize("symbol", ["AAPL", "", ":::", "A:BAG:SMART:USD:nonsense", "A:B"])
def test_what_names_no_contract_is_none(symbol: str) -> None:
    assert read_symbol(symbol) is None


def test_the_price_increment_depends_on_the_price() -> None:
    rule = ((D(0), D("0.01")), (D(100), D("0.1")), (D(200), D("0.2")))
    listed = Listing(
        number=1, underlying="700", security="STK", exchange="SEHK", currency="HKD", local="700", rule=rule, tick=D("0.01")
    )
    assert [contracts.instrument(listed, price).price_tick for price in (None, D(50), D(443))] == [
        D("0.01"),
        D("0.01"),
        D("0.2"),
    ]


def test_pence_are_hundredths() -> None:
    listed = Listing(number=1, underlying="VOD", security="STK", exchange="LSE", currency="GBP", local="VOD", magnifier=100)
    assert contracts.instrument(listed).contract_size == D("0.01")


@pytest.mark.parametrize(
    "native",
    ["tif=DAY", "tif=GTD;goodTillDate=20261231 23:59:59", "orderType=LOC;tif=DAY", "outsideRth=1", "exchange=ISLAND"],
)
def test_what_only_ib_has_goes_there_and_comes_back(native: str) -> None:
    told = Told()
    wanted = _with_native(terms(told.order, STOCK, "SMART"), native)
    sent = order(library.load(), wanted, account=ACCOUNT, reference="r")
    sent.totalQuantity, sent.lmtPrice = D(sent.totalQuantity), D(sent.lmtPrice)
    for name in ("auxPrice", "trailStopPrice", "trailingPercent", "percentOffset", "filledQuantity"):
        setattr(sent, name, None)
    assert terms(sent, STOCK, read_native(native).get("exchange", "SMART")) == wanted


@pytest.mark.parametrize("native", ["colour=blue", "tif=DAY;colour=blue"])
def test_what_ib_does_not_have_is_refused(native: str) -> None:
    with pytest.raises(Untranslatable, match="colour"):
        order(library.load(), _with_native(terms(Told().order, STOCK), native), account=ACCOUNT, reference="r")


def _with_native(wanted: Any, native: str) -> Any:
    return type(wanted)(**{name: getattr(wanted, name) for name in wanted.__struct_fields__} | {"native": native})


# --- sight --------------------------------------------------------------------------------------------------------


def test_an_order_that_was_never_told_shows_that_the_login_is_blind() -> None:
    sight = Sight(7)
    sight.heard(1, OTHERS, reading=True)
    assert not sight.read(first=True), "what is there at the beginning nobody could have told"
    sight.heard(1, OTHERS, reading=True)
    sight.heard(2, 7, reading=True)
    assert not sight.read(first=False), "one's own orders say nothing"
    sight.heard(3, OTHERS, reading=True)
    assert sight.read(first=False)
    assert "set 'Master API client ID' to 7" in sight.notice
    sight.heard(4, OTHERS, reading=False)
    assert sight.notice == ""


def test_an_order_that_is_placed_while_a_list_is_read_is_told_twice() -> None:
    sight = Sight(7)
    sight.heard(3, OTHERS, reading=True)
    sight.heard(3, OTHERS, reading=True)
    assert not sight.read(first=False)


def test_client_0_is_told_to_become_the_master() -> None:
    sight = Sight(0)
    sight.heard(3, OTHERS, reading=True)
    assert sight.read(first=False)
    assert "client 0 hears of those made by hand only" in sight.notice
