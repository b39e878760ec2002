"""Placing, changing and cancelling one account's orders."""

from __future__ import annotations

import asyncio
from typing import Any

from copydesk.errors import NotReady
from copydesk.model import (
    Accepted,
    NewOrder,
    Order,
    OrderChange,
    OrderGroup,
    OrderRef,
    Outcome,
    Rejected,
    RejectReason,
    Terms,
    Unknown,
)

from copydesk_ib import contracts, translate
from copydesk_ib.book import Known
from copydesk_ib.contracts import Listing
from copydesk_ib.login import Login
from copydesk_ib.pacing import Urgency
from copydesk_ib.translate import Untranslatable
from copydesk_ib.waiting import Act, Wait, not_sent

GROUP_PREFIX = "oca-"
REMEMBERED = 20_000


class Desk:
    """What is sent for the account of this name at IB."""

    def __init__(self, login: Login, account: str) -> None:
        self.login = login
        self.account = account
        self._sent: dict[str, None] = {}  # client ids that went out, whatever became of them

    # --- placing ---

    async def place(self, order: NewOrder, group: str = "") -> Outcome:
        """Place an order. IB takes the same reference twice, so what went out under this one before is looked for first."""
        what = f"place {order.client_id}"
        try:
            listed = await self.login.find(order.terms.symbol)
            if await self._is_there(order.client_id):
                message = f"{what}: the account has an order of that reference."
                return Rejected(reason=RejectReason.DUPLICATE_ID, message=message, code="103")
            made = translate.order(
                self.login.library, order.terms, account=self.account, reference=order.client_id, group=group
            )
        except NotReady as error:
            return not_sent(what, str(error))
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        return await self._send_order(order, listed, made, what)

    async def _send_order(self, order: NewOrder, listed: Listing, made: Any, what: str) -> Outcome:
        login = self.login
        contract = self._contract(listed, order.terms)
        wait = login.waiting.add(Wait(Act.PLACE, what))

        def go(client: Any) -> None:
            login.last_order_id += 1
            login.waiting.sent(wait, login.last_order_id)
            self._remember(order.client_id)
            client.placeOrder(wait.order_id, contract, made)

        return await self._sent_and_told(wait, self._urgency(order.terms), go)

    def _urgency(self, terms: Terms) -> Urgency:
        """What makes a position smaller goes before what makes one."""
        held = self.login.holdings.quantity(self.account, terms.symbol)
        return Urgency.EXIT if held * terms.side.sign < 0 else Urgency.ENTRY

    async def _sent_and_told(self, wait: Wait, urgency: Urgency, go: Any, key: object = None) -> Outcome:
        login = self.login
        ticket = None
        try:
            ticket = login.send(urgency, go, key)
        except NotReady as error:
            wait.settle(not_sent(wait.what, str(error)))
        try:
            return await login.waiting.result(wait)
        finally:
            if not wait.order_id:
                login.pacer.withdraw(ticket)

    def _contract(self, listed: Listing, terms: Terms) -> Any:
        contract = contracts.contract(self.login.library, listed)
        contract.exchange = translate.read_native(terms.native).get("exchange", contract.exchange)
        return contract

    def _remember(self, client_id: str) -> None:
        self._sent[client_id] = None
        if len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]

    async def _is_there(self, client_id: str) -> bool:
        """Whether the account has an order of this reference. Raises `NotReady` where that cannot be told."""
        if not self.login.up:
            raise NotReady(self.login.why)
        if self.login.book.find(self.account, reference=client_id) is not None:
            return True
        if client_id in self._sent:
            await self.login.refresh()
        return self.login.book.find(self.account, reference=client_id) is not None

    # --- groups ---

    async def place_group(self, group: OrderGroup) -> Outcome:
        """Place orders of which one cancels the others: all of them or none."""
        name = GROUP_PREFIX + group.legs[0].client_id
        outcomes = await asyncio.gather(*(self.place(leg, name) for leg in group.legs))
        refused = next((outcome for outcome in outcomes if isinstance(outcome, Rejected)), None)
        if refused is None:
            if all(isinstance(outcome, Accepted) for outcome in outcomes):
                placed = (outcome.order for outcome in outcomes if isinstance(outcome, Accepted))
                return Accepted(legs=tuple(order for order in placed if order is not None))
            return Unknown(message=f"place the group {name}: TWS did not say what became of every leg.")
        for leg, outcome in zip(group.legs, outcomes, strict=True):
            if isinstance(outcome, Accepted | Unknown):
                gone = await self.cancel(_ref(leg))
                if not isinstance(gone, Accepted):
                    return Unknown(message=f"place the group {name}: {refused.message} The other leg may stand.")
        return refused

    # --- changing ---

    async def modify(self, change: OrderChange) -> Outcome:
        """Give an order of this client new terms, under its order id."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        try:
            known = await self._own(change.ref, what)
            if isinstance(known, Rejected):
                return known
            made = translate.order(
                self.login.library, change.terms, account=self.account, reference=known.reference, group=known.group
            )
        except NotReady as error:
            return not_sent(what, str(error))
        except Untranslatable as error:
            return Rejected(reason=RejectReason.OTHER, message=f"{what}: {error}")
        contract = self._contract(known.listed, change.terms)
        wait = self.login.waiting.add(Wait(Act.MODIFY, what, terms=change.terms))

        def go(client: Any) -> None:
            self.login.waiting.sent(wait, known.order_id)
            client.placeOrder(known.order_id, contract, made)

        return await self._sent_and_told(wait, Urgency.CHANGE, go, ("modify", known.order_id))

    # --- cancelling ---

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel an order of this client, and the others of the group that it was placed with."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        try:
            known = await self._own(ref, what)
        except NotReady as error:
            return not_sent(what, str(error))
        if isinstance(known, Rejected):
            return known
        others = [other for other in self.login.book.group(self.account, known.group) if other is not known]
        own = [other for other in others if known.group.startswith(GROUP_PREFIX) and self._is_own(other)]
        outcome, *_ = await asyncio.gather(*(self._cancel(one, what) for one in (known, *own)))
        return outcome

    async def _cancel(self, known: Known, what: str) -> Outcome:
        wait = self.login.waiting.add(Wait(Act.CANCEL, what))

        def go(client: Any) -> None:
            self.login.waiting.sent(wait, known.order_id)
            client.cancelOrder(known.order_id)

        return await self._sent_and_told(wait, Urgency.CANCEL, go)

    # --- finding ---

    def look_up(self, ref: OrderRef) -> Order | None:
        """What the book has of an order. To be brought up to date before, where it matters."""
        known = self.login.book.find(self.account, reference=ref.client_id, venue_id=ref.venue_id)
        return known.told or known.state() if known is not None else None

    async def _own(self, ref: OrderRef, what: str) -> Known | Rejected:
        """The working order that is meant, if this client may touch it. Raises `NotReady`."""
        if not self.login.up:
            raise NotReady(self.login.why)
        known = self._find(ref)
        if known is None:
            await self.login.refresh()
            known = self._find(ref)
        if known is None:
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: TWS has no such order.", code="10147")
        if known.status.is_final:
            message = f"{what}: the order is {known.status}."
            return Rejected(reason=RejectReason.NOT_FOUND, message=message, code="10148")
        if not self._is_own(known):
            whose = f"API client {known.client}" if known.client else "whoever made it in TWS"
            message = f"{what}: the order belongs to {whose}, and TWS lets nobody else change or cancel it."
            return Rejected(reason=RejectReason.PERMISSION, message=message, code="10147")
        return known

    def _find(self, ref: OrderRef) -> Known | None:
        return self.login.book.find(self.account, reference=ref.client_id, venue_id=ref.venue_id)

    def _is_own(self, known: Known) -> bool:
        """Whether TWS takes changes of it from this client: its own orders; client 0 has those made by hand, once bound."""
        return known.client == self.login.place.client and known.order_id != 0


def _ref(leg: NewOrder) -> OrderRef:
    return OrderRef(symbol=leg.terms.symbol, type=leg.terms.type, client_id=leg.client_id)
