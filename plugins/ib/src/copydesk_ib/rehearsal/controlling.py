"""The rehearsal's control: what every rehearsal venue has, and what only a TWS has.

`POST /rehearsal/orders` makes an order by hand in TWS, or by another API client where `client_id` is given;
`POST /rehearsal/orders/PERMID` changes and `DELETE /rehearsal/orders/PERMID` cancels one; `POST /rehearsal/corrections`
(`{"exec_id": ..., "price": "200.5"}`) puts an execution right. `POST /rehearsal/connectivity`
(`{"code": 1100}`, then 1101 or 1102), `POST /rehearsal/hours` (`{"hours": "extended"}`), `POST /rehearsal/close-day` and
`POST /rehearsal/reset` (`{"seconds": 5}`: the nightly restart) are what a day at IB brings.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from aiohttp import web
from copydesk.errors import UsageError
from copydesk.model import Order, OrderStatus, OrderType, Record, Terms, TimeInForce
from copydesk_paper.serving.control import Control, Print, read_body, reply
from copydesk_paper.serving.misbehaviour import Misbehaviour
from msgspec.structs import replace

from copydesk_ib.rehearsal.codes import Refusal
from copydesk_ib.rehearsal.listings import Listing
from copydesk_ib.rehearsal.logins import HAND, Login, Owner
from copydesk_ib.rehearsal.requests import BLANK_ORDER
from copydesk_ib.rehearsal.tickets import Ticket
from copydesk_ib.rehearsal.wire import WireError, plain

if TYPE_CHECKING:
    from copydesk_ib.rehearsal import Rehearsal

__all__ = ["TwsControl"]


class HandOrder(Record, forbid_unknown_fields=True):
    """An order by hand. `symbol` is its name or its local symbol; the other fields are TWS's own."""

    account: str
    symbol: str = ""
    action: Literal["BUY", "SELL"] = "BUY"
    quantity: Decimal = Decimal(1)
    type: str = "MKT"
    limit: Decimal | None = None
    aux: Decimal | None = None
    trail_stop: Decimal | None = None
    trail_percent: Decimal | None = None
    limit_offset: Decimal | None = None
    tif: str = "DAY"
    outside_hours: bool = False
    oca_group: str = ""
    order_ref: str = ""
    client_id: int = HAND
    parent: int = 0
    legs: tuple[tuple[str, int, Literal["BUY", "SELL"]], ...] = ()
    algo: str = ""
    algo_params: dict[str, str] = {}
    conditions: tuple[HandCondition, ...] = ()


class HandCondition(Record, forbid_unknown_fields=True):
    """What an order waits for: the last price of `symbol` at `price`, or a `time`; from there on upwards, or `below`."""

    symbol: str = ""
    price: Decimal | None = None
    time: str = ""
    below: bool = False


class HandChange(Record, forbid_unknown_fields=True):
    """New terms of an order; what is left out stays."""

    quantity: Decimal | None = None
    limit: Decimal | None = None
    aux: Decimal | None = None
    trail_percent: Decimal | None = None
    tif: str | None = None


class Connectivity(Record):
    code: Literal[1100, 1101, 1102]


class Hours(Record):
    hours: Literal["regular", "extended", "closed"]


class Correction(Record, forbid_unknown_fields=True):
    exec_id: str
    price: Decimal


class Reset(Record):
    seconds: float = 5.0


class TwsControl(Control):
    """Serves it for one rehearsal."""

    def __init__(self, rehearsal: Rehearsal, misbehaviour: Misbehaviour) -> None:
        super().__init__(rehearsal.exchange, misbehaviour, counters=lambda: {"requests": rehearsal.server.requests})
        self._rehearsal = rehearsal
        self._desk = rehearsal.desk

    def _do(self, method: str, words: list[str], query: str, body: bytes) -> web.Response:
        try:
            return self._act(method, words, body) or super()._do(method, words, query, body)
        except (Refusal, WireError) as refusal:
            code = f"{refusal.code}: " if isinstance(refusal, Refusal) else ""
            raise UsageError(f"{code}{refusal}") from None

    def _act(self, method: str, words: list[str], body: bytes) -> web.Response | None:
        match (method, words):
            case ("POST", ["orders"]):
                ticket = self._place(
                    read_body(body, HandOrder, '{"account": "parent", "symbol": "AAPL", "quantity": "10"}')
                )
                return reply(_told(ticket), 201)
            case ("POST", ["orders", number]):
                ticket = self._ticket(number)
                self._change(ticket, read_body(body, HandChange, '{"limit": "200"}'))
                return reply(_told(ticket))
            case ("DELETE", ["orders", number]):
                ticket = self._ticket(number)
                self._desk.cancel_ticket(ticket)
                return reply(_told(ticket))
            case ("POST", ["corrections"]):
                wanted = read_body(body, Correction, '{"exec_id": "00025b46.00000001.01.01", "price": "200.5"}')
                return reply({"exec_id": self._desk.working.correct(wanted.exec_id, wanted.price).exec_id}, 201)
            case ("POST", ["connectivity"]):
                told = read_body(body, Connectivity, '{"code": 1100} (then 1101 or 1102)')
                self._rehearsal.connectivity(told.code)
                return reply(told)
            case ("POST", ["hours"]):
                hours = read_body(body, Hours, '{"hours": "extended"} (or regular, or closed)')
                self._desk.open_hours(hours.hours)
                return reply(hours)
            case ("POST", ["close-day"]):
                self._desk.close_day()
                return reply({"hours": self._desk.working.hours})
            case ("POST", ["reset"]):
                reset = read_body(body or b"{}", Reset, '{"seconds": 5}')
                self._rehearsal.reset(reset.seconds)
                return reply(reset)
        return None

    # --- by hand ----------------------------------------------------------------------------------------------------

    def _place(self, wanted: HandOrder) -> Ticket:
        login = next((login for login in self._rehearsal.logins if wanted.account in login.ids), None)
        if login is None:
            raise UsageError(f"this venue has no account {wanted.account!r}")
        hand = wanted.client_id == HAND
        told = self._fields(wanted, login)
        if not hand:
            told["orderId"] = str(login.next_id(wanted.client_id))
        return self._desk.place(Owner(login, wanted.client_id, hand), told)

    def _fields(self, wanted: HandOrder, login: Login) -> dict[str, Any]:
        """The fields of the placeOrder that it would be."""
        told: dict[str, Any] = BLANK_ORDER | {
            "account": login.ids[wanted.account],
            "transmit": "1",
            "action": wanted.action,
            "totalQuantity": plain(wanted.quantity),
            "orderType": wanted.type,
            "tif": wanted.tif,
            "outsideRth": "1" if wanted.outside_hours else "0",
            "ocaGroup": wanted.oca_group,
            "orderRef": wanted.order_ref,
            "parentId": str(wanted.parent),
            "lmtPrice": _text(wanted.limit),
            "auxPrice": _text(wanted.aux),
            "trailStopPrice": _text(wanted.trail_stop),
            "trailingPercent": _text(wanted.trail_percent),
            "lmtPriceOffset": _text(wanted.limit_offset),
            "algoStrategy": wanted.algo,
            "algoParams": [{"tag": tag, "value": value} for tag, value in wanted.algo_params.items()],
            "conditions": [self._condition(one) for one in wanted.conditions],
            "conditionsIgnoreRth": "0",
            "conditionsCancelOrder": "0",
        }
        return told | self._contract(wanted)

    def _condition(self, wanted: HandCondition) -> dict[str, str]:
        joined = {"conjunction": "a", "isMore": "0" if wanted.below else "1"}
        if wanted.time:
            return joined | {"kind": "3", "time": wanted.time}
        looked_at = self._listing(wanted.symbol)
        contract = {"conId": str(looked_at.con_id), "exchange": looked_at.exchange, "method": "0"}
        return joined | contract | {"kind": "1", "price": _text(wanted.price)}

    def _contract(self, wanted: HandOrder) -> dict[str, Any]:
        first = self._listing(wanted.legs[0][0] if wanted.legs else wanted.symbol)
        if not wanted.legs:
            return {
                "conId": str(first.con_id),
                "symbol": first.symbol,
                "secType": first.sec_type,
                "exchange": first.exchange,
            }
        legs = [
            {"conId": str(self._listing(name).con_id), "ratio": str(ratio), "action": action, "exchange": first.exchange}
            for name, ratio, action in wanted.legs
        ]
        contract = {"symbol": first.symbol, "secType": "BAG", "exchange": first.exchange, "currency": first.currency}
        return contract | {"comboLegs": legs, "orderComboLegs": [], "smartRouting": []}

    def _listing(self, name: str) -> Listing:
        catalogue = self._rehearsal.catalogue
        listing = catalogue.named(name)
        if listing is None:
            raise UsageError(f"this venue has no {name!r}: it has {', '.join(catalogue.by_name)}")
        return listing

    def _ticket(self, number: str) -> Ticket:
        ticket = self._desk.tickets.get(int(number)) if number.isdecimal() else None
        if ticket is None:
            raise UsageError(f"there is no order with the permanent id {number}")
        return ticket

    def _change(self, ticket: Ticket, change: HandChange) -> None:
        wanted = {
            "totalQuantity": change.quantity,
            "lmtPrice": change.limit,
            "auxPrice": change.aux,
            "trailingPercent": change.trail_percent,
        }
        changes: dict[str, Any] = {name: plain(value) for name, value in wanted.items() if value is not None}
        if change.tif is not None:
            changes["tif"] = change.tif
        self._desk.modify(ticket, {**ticket.asked, **changes, "transmit": "1"})

    def _print_trade(self, wanted: Print) -> Print:
        return super()._print_trade(replace(wanted, symbol=self._listing(wanted.symbol).name))

    # --- the state --------------------------------------------------------------------------------------------------

    def _account(self, name: str) -> dict[str, Any]:
        orders = [ticket for ticket in self._desk.tickets.values() if ticket.account == name]
        return super()._account(name) | {
            "open_orders": [as_order(ticket) for ticket in orders if ticket.is_live and ticket.listing is not None],
            "combinations": [_told(ticket) for ticket in orders if ticket.is_live and ticket.legs],
            "orders": len(orders),
        }


_KINDS = {
    "MKT": OrderType.MARKET,
    "MOC": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "LOC": OrderType.LIMIT,
    "STP": OrderType.STOP_MARKET,
    "STP LMT": OrderType.STOP_LIMIT,
    "MIT": OrderType.TAKE_PROFIT_MARKET,
    "LIT": OrderType.TAKE_PROFIT_LIMIT,
    "TRAIL": OrderType.TRAILING_STOP,
    "TRAIL LIMIT": OrderType.TRAILING_STOP,
}


def as_order(ticket: Ticket) -> Order:
    """An order in the words that all venues share, for the control's state."""
    wish = ticket.wish
    assert ticket.listing is not None
    kind = _KINDS[wish.type]
    return Order(
        account=ticket.account,
        venue_id=str(ticket.perm_id),
        client_id=wish.order_ref,
        terms=Terms(
            symbol=ticket.listing.name,
            side=wish.action,
            type=kind,
            quantity=wish.quantity,
            price=wish.limit if kind.has_price else None,
            trigger_price=wish.aux if kind.has_trigger else None,
            trail_percent=wish.trail_percent,
            time_in_force={"IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}.get(wish.tif, TimeInForce.GTC),
        ),
        status=OrderStatus.PARTIALLY_FILLED if ticket.filled else OrderStatus.NEW,
        filled=ticket.filled,
        average_price=ticket.average if ticket.filled else None,
        triggered=ticket.triggered,
        group=ticket.oca_group,
    )


def _told(ticket: Ticket) -> dict[str, Any]:
    return {
        "perm_id": ticket.perm_id,
        "order_id": ticket.order_id,
        "client_id": ticket.client_id,
        "account": ticket.account,
        "status": ticket.status.value,
        "filled": plain(ticket.filled),
        "remaining": plain(ticket.remaining),
        "average": plain(ticket.average),
        "reason": ticket.reason,
    }


def _text(value: Decimal | None) -> str:
    return "" if value is None else plain(value)
