"""The order desk: takes orders, keeps them by their clients' ids, changes and cancels them, and ends the day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from copydesk_paper.exchange import Exchange
from copydesk_paper.records import OrderReport
from copydesk_paper.refusal import ExchangeRefusal

from copydesk_ib.rehearsal.algos import check_algo
from copydesk_ib.rehearsal.checking import check_wish, find_legs, find_listing, same_order
from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.conditions import read_conditions
from copydesk_ib.rehearsal.listings import Catalogue
from copydesk_ib.rehearsal.logins import HAND, Login, Owner, Teller
from copydesk_ib.rehearsal.requests import BLANK_ORDER
from copydesk_ib.rehearsal.tickets import AT_CLOSE, FIRST_PERM_ID, Status, Ticket, Wish, read_wish
from copydesk_ib.rehearsal.times import is_over
from copydesk_ib.rehearsal.wire import integer, number, plain
from copydesk_ib.rehearsal.working import Working

KEPT_TICKETS = 20_000
NOT_TAKEN: Final = {
    "faGroup": "Financial advisor groups",
    "faProfile": "Financial advisor profiles",
    "modelCode": "Models",
    "hedgeType": "Hedges",
    "adjustedOrderType": "Adjusted stops",
}
"""What an order may ask for and is refused for, by the field that asks; better than to trade as if it did not."""
ORDERS_ON_A_SIDE = 20
"""Working orders that IB takes for one contract and side of an account."""
TOO_MANY: Final = (
    f"You have reached the maximum of {ORDERS_ON_A_SIDE} orders working on either the buy or sell side for this "
    "particular contract"
)


class Desk:
    """Orders of all logins."""

    def __init__(self, exchange: Exchange, catalogue: Catalogue, now_ms: Callable[[], int], teller: Teller) -> None:
        self.catalogue = catalogue
        self.tickets: dict[int, Ticket] = {}
        self.working = Working(exchange, now_ms, teller, self._liquidation)
        self.logins: list[Login] = []
        self._open: dict[int, Ticket] = {}
        self._by_id: dict[tuple[str, int, int], Ticket] = {}
        self._groups: dict[tuple[str, str], list[Ticket]] = {}
        self._numbers = 0
        self.on_report = self.working.on_report

    # --- what clients ask for ---------------------------------------------------------------------------------------

    def place(self, owner: Owner, told: Mapping[str, Any]) -> Ticket:
        """A placeOrder: a new order, or new terms for one that its client has. Raises `Refusal`, `WireError`."""
        order_id = integer(told["orderId"])
        known = self.find(owner, order_id) if order_id else None
        wish = self._read(told)
        if known is not None:
            self._modify(known, told, wish)
            return known
        if not owner.hand:
            owner.login.check_id(owner.client_id, order_id)
        ticket = self._write(owner, order_id, told, wish)
        if not owner.hand:
            owner.login.use_id(owner.client_id, order_id)
        if wish.what_if:
            self._preview(ticket)
            return ticket
        self._keep(ticket)
        if wish.transmit and not self._is_one_too_many(ticket):
            self._transmit(ticket)
        return ticket

    def _is_one_too_many(self, ticket: Ticket) -> bool:
        """Refuse an order beyond what IB takes for one account, contract and side."""
        same = (ticket.account, ticket.listing, ticket.wish.action)
        working = sum((one.account, one.listing, one.wish.action) == same for one in self.live(ticket.login))
        if working < ORDERS_ON_A_SIDE:
            return False
        self.working.reject(ticket, TOO_MANY)
        return True

    def _read(self, told: Mapping[str, Any]) -> Wish:
        for name, what in NOT_TAKEN.items():
            if told.get(name) and told[name] != "None":
                raise invalid(f"{what} are not rehearsed")
        if number(told["scalePriceIncrement"]):
            raise invalid("Scale orders are not rehearsed")
        try:
            return read_wish(told)
        except ValueError as error:
            raise invalid(str(error)) from None

    def _write(self, owner: Owner, order_id: int, told: Mapping[str, Any], wish: Wish) -> Ticket:
        """A ticket for an order that is checked."""
        account = owner.login.account(told["account"])
        legs = find_legs(self.catalogue, told) if told["secType"] == "BAG" else ()
        listing = None if legs else find_listing(self.catalogue, told)
        check_wish(wish, listing, legs)
        check_algo(told, wish)
        conditions = read_conditions(told, self.catalogue)
        ticket = Ticket(
            self._next_number(),
            order_id,
            owner.client_id,
            owner.login,
            account,
            listing,
            legs,
            told,
            wish,
            hand=owner.hand,
        )
        ticket.conditions = conditions
        ticket.parent = self._parent(owner, wish.parent_id)
        return ticket

    def _next_number(self) -> int:
        self._numbers += 1
        return FIRST_PERM_ID + self._numbers

    def _parent(self, owner: Owner, order_id: int) -> Ticket | None:
        if not order_id:
            return None
        parent = self.find(owner, order_id)
        if parent is None or parent.status in (Status.CANCELLED, Status.INACTIVE):
            raise Refusal("no-parent")
        return parent

    def _transmit(self, ticket: Ticket) -> None:
        """Send an order and what was held back for it: its parent and its brothers."""
        root = ticket.parent or ticket
        for child in root.children:
            if not child.oca_group:
                self._join(child, str(root.perm_id))
        self.working.transmit([root, *root.children] if ticket.parent is not None else [ticket])

    def _preview(self, ticket: Ticket) -> None:
        """What-if: the margin that the order would bind, told and forgotten."""
        ticket.margins = self.working.combos.margins(ticket)
        ticket.status = Status.PRE_SUBMITTED
        self.working.teller.order(ticket)

    def cancel(self, owner: Owner, order_id: int) -> None:
        """Cancel an order of this client. Raises `Refusal`."""
        ticket = self.find(owner, order_id)
        if ticket is None:
            raise Refusal("cancel-unknown", id=order_id)
        self.cancel_ticket(ticket)

    def cancel_ticket(self, ticket: Ticket) -> None:
        """Cancel an order, whosesoever it is. Raises `Refusal`."""
        if not ticket.is_live:
            raise Refusal("cancel-ended", id=ticket.order_id, status=ticket.status.value)
        self.working.end(ticket, Status.CANCELLED)

    def cancel_all(self, login: Login) -> None:
        """The global cancel: every order of every account of the login, a person's too."""
        for ticket in self.live(login):
            if ticket.is_live:
                self.working.end(ticket, Status.CANCELLED)

    def modify(self, ticket: Ticket, told: Mapping[str, Any]) -> None:
        """Give an order other terms by hand. Raises `Refusal`."""
        self._modify(ticket, told, self._read(told))

    def _modify(self, ticket: Ticket, told: Mapping[str, Any], wish: Wish) -> None:
        if ticket.status is Status.FILLED:
            raise Refusal("modify-filled")
        if not ticket.is_live:
            raise Refusal("duplicate-order")
        if not same_order(ticket.asked, told, ticket.wish, wish):
            raise Refusal("mismatch")
        if ticket.listing is not None and ticket.listing not in self.catalogue.matching(dict(told) | {"exchange": ""}):
            raise Refusal("mismatch")
        check_wish(wish, ticket.listing, ticket.legs)
        check_algo(told, wish)
        conditions = read_conditions(told, self.catalogue) if ticket.conditions is not None else None
        if wish.quantity < ticket.filled:
            raise Refusal("rejected", reason="The new quantity is below what is filled already.")
        before, ticket.wish = (ticket.wish, ticket.asked, ticket.conditions), wish
        ticket.conditions = conditions
        ticket.asked = dict(told) | {"account": ticket.account_id, "exchange": ticket.asked["exchange"]}
        if not ticket.transmitted:
            if wish.transmit:
                self._transmit(ticket)
            return
        try:
            self.working.amend(ticket, before[0])
        except ExchangeRefusal as refusal:
            ticket.wish, ticket.asked, ticket.conditions = before
            raise Refusal("rejected", reason=str(refusal)) from None

    def bind(self, ticket: Ticket) -> None:
        """Give a hand-made order to client 0, under a number of its own."""
        ticket.order_id = ticket.login.bind_id()
        self._by_id[ticket.login.name, HAND, ticket.order_id] = ticket

    # --- looking ----------------------------------------------------------------------------------------------------

    def find(self, owner: Owner, order_id: int) -> Ticket | None:
        """The newest order of that client and id."""
        return self._by_id.get((owner.login.name, owner.client_id, order_id))

    def live(self, login: Login) -> list[Ticket]:
        """Transmitted orders that are not over, the oldest first."""
        return [ticket for ticket in self._not_over() if ticket.login is login and ticket.transmitted]

    def ended(self, login: Login) -> list[Ticket]:
        """Orders that are over, the oldest first."""
        return [ticket for ticket in self.tickets.values() if ticket.login is login and not ticket.is_live]

    def _not_over(self) -> list[Ticket]:
        """All orders that are not over. Those that are have been looked at for the last time."""
        for ticket in [ticket for ticket in self._open.values() if not ticket.is_live]:
            del self._open[ticket.perm_id]
        return list(self._open.values())

    # --- the day ----------------------------------------------------------------------------------------------------

    def open_hours(self, hours: str) -> None:
        """Another part of the day begins: what may trade now goes out, what may not is taken back."""
        self.working.turn(hours)

    def close_day(self) -> None:
        """The closing auction, then the end of the day: orders for the close trade, day orders end."""
        for ticket in self._not_over():
            if ticket.is_live and ticket.transmitted and ticket.wish.type in AT_CLOSE:
                self.working.auction(ticket)
        for ticket in self._not_over():
            if ticket.is_live and ticket.wish.tif == "DAY":
                self.working.end(ticket, Status.CANCELLED, "The day is over.")

    def tick(self) -> None:
        """Once a second: orders whose time has come go out, those whose time is over end."""
        self.working.wake()
        for ticket in self._not_over():
            if ticket.is_live and ticket.wish.tif == "GTD" and is_over(ticket.asked["goodTillDate"]):
                self.working.end(ticket, Status.CANCELLED, "The time that it was good for is over.")

    # --- keeping ----------------------------------------------------------------------------------------------------

    def _keep(self, ticket: Ticket) -> None:
        login = ticket.login
        if ticket.hand and login.auto_bind and not ticket.order_id:
            ticket.order_id = login.bind_id()
        self.tickets[ticket.perm_id] = self._open[ticket.perm_id] = ticket
        if ticket.order_id:
            self._by_id[login.name, ticket.client_id, ticket.order_id] = ticket
        if ticket.parent is not None:
            ticket.parent.children.append(ticket)
        if ticket.oca_group:
            self._join(ticket, ticket.oca_group)
        if len(self.tickets) > KEPT_TICKETS:
            self._forget_oldest()

    def _join(self, ticket: Ticket, group: str) -> None:
        """Make it one of an OCA group."""
        ticket.oca_group = group
        members = self._groups.setdefault((ticket.login.name, group), [])
        members.append(ticket)
        ticket.group = members

    def _forget_oldest(self) -> None:
        oldest = next((ticket for ticket in self.tickets.values() if not ticket.is_live), None)
        if oldest is None:
            return
        del self.tickets[oldest.perm_id]
        self._by_id.pop((oldest.login.name, oldest.client_id, oldest.order_id), None)
        if oldest.group:
            oldest.group.remove(oldest)
            if not oldest.group:
                self._groups.pop((oldest.login.name, oldest.oca_group), None)

    def _liquidation(self, report: OrderReport) -> Ticket | None:
        """An order that IB itself made, since an account had too little margin: told like one by hand."""
        order = report.order
        login = next((login for login in self.logins if order.account in login.ids), None)
        listing = self.catalogue.by_name.get(order.terms.symbol)
        if login is None or listing is None:
            return None
        told = BLANK_ORDER | {
            "action": order.terms.side.value.upper(),
            "totalQuantity": plain(order.terms.quantity),
            "orderType": "MKT",
            "tif": "DAY",
            "account": login.ids[order.account],
            "exchange": listing.exchange,
            "transmit": "1",
        }
        ticket = Ticket(self._next_number(), 0, HAND, login, order.account, listing, (), told, read_wish(told), hand=True)
        ticket.liquidation = True
        ticket.transmitted = True
        ticket.status = Status.SUBMITTED
        self._keep(ticket)
        self.working.teller.order(ticket)
        return ticket
