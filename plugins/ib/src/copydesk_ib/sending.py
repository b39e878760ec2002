"""Placing, changing and cancelling one account's orders."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

from copydesk.errors import NotReady
from copydesk.hooks import Done
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

from copydesk_ib import translate
from copydesk_ib.book import Known
from copydesk_ib.contracts import Listing
from copydesk_ib.login import Login
from copydesk_ib.pacing import Urgency
from copydesk_ib.templates import Names
from copydesk_ib.translate import Untranslatable
from copydesk_ib.waiting import Act, Wait, not_sent

GROUP_PREFIX = "oca-"
REMEMBERED = 20_000
Send: TypeAlias = Callable[[Any, Wait], None]
"""Sends a request with the library's client, and says under which order id."""


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
        contract = translate.contract(login.library, listed, order.terms)

        def go(client: Any, wait: Wait) -> None:
            login.last_order_id += 1
            login.waiting.sent(wait, login.last_order_id)
            self._remember(order.client_id)
            client.placeOrder(wait.order_id, contract, made)

        return await self._sent_and_told(Act.PLACE, what, self._urgency(order.terms), go)

    def _urgency(self, terms: Terms) -> Urgency:
        """What makes a position smaller goes before what makes one."""
        held = self.login.holdings.quantity(self.account, terms.symbol)
        return Urgency.EXIT if held * terms.side.sign < 0 else Urgency.ENTRY

    async def _sent_and_told(
        self, act: Act, what: str, urgency: Urgency, go: Send, *, terms: Terms | None = None, key: object = None
    ) -> Outcome:
        login = self.login
        told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        wait = login.waiting.add(Wait(act, what, partial(_tell_once, told), terms=terms))
        ticket = None
        try:
            ticket = login.send(urgency, lambda client: None if wait.is_over else go(client, wait), key)
        except NotReady as error:
            login.waiting.settle(wait, not_sent(what, str(error)))
        try:
            return await told
        finally:
            login.waiting.forget(wait)
            if not wait.order_id:
                login.pacer.withdraw(ticket)

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

    # --- in the very call: false where nothing was sent, and the other way has to be taken ---

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order whose contract is known and whose reference is new."""
        login = self.login
        listed = login.catalogue.by_symbol(order.terms.symbol)
        known = login.book.find(self.account, reference=order.client_id)
        if listed is None or known is not None or order.client_id in self._sent:
            return False
        names = Names(login.last_order_id + 1, self.account, order.client_id)
        if not self._fired(listed, order.terms, names):
            return False
        login.last_order_id = names.order_id
        self._remember(order.client_id)
        login.waiting.add(Wait(Act.PLACE, f"place {order.client_id}", done, names.order_id))
        return True

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        """Give an order of this client new terms."""
        known = self._firm(change.ref)
        if known is None:
            return False
        names = Names(known.order_id, self.account, known.reference, known.group)
        if not self._fired(known.listed, change.terms, names):
            return False
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        self.login.waiting.add(Wait(Act.MODIFY, what, done, known.order_id, terms=change.terms))
        return True

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel an order of this client that stands alone."""
        known = self._firm(ref)
        if known is None or known.group or not self.login.fire(self.login.templates.cancel(known.order_id)):
            return False
        what = f"cancel {ref.client_id or ref.venue_id}"
        self.login.waiting.add(Wait(Act.CANCEL, what, done, known.order_id))
        return True

    def _fired(self, listed: Listing, terms: Terms, names: Names) -> bool:
        data = self.login.templates.write(listed, terms, names)
        return data is not None and self.login.up and self.login.fire(data)

    def _firm(self, ref: OrderRef) -> Known | None:
        """The order that is meant, where nothing stands in the way of sending at once."""
        known = self.find(ref)
        return known if known is not None and self.login.up and known.is_working and self._is_own(known) else None

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
        contract = translate.contract(self.login.library, known.listed, change.terms)

        def go(client: Any, wait: Wait) -> None:
            self.login.waiting.sent(wait, known.order_id)
            client.placeOrder(known.order_id, contract, made)

        key = ("modify", known.order_id)
        return await self._sent_and_told(Act.MODIFY, what, Urgency.CHANGE, go, terms=change.terms, key=key)

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
        def go(client: Any, wait: Wait) -> None:
            self.login.waiting.sent(wait, known.order_id)
            client.cancelOrder(known.order_id)

        return await self._sent_and_told(Act.CANCEL, what, Urgency.CANCEL, go)

    # --- finding ---

    def look_up(self, ref: OrderRef) -> Order | None:
        """What the book has of an order. To be brought up to date before, where it matters."""
        known = self.find(ref)
        return known.told or known.state() if known is not None else None

    async def _own(self, ref: OrderRef, what: str) -> Known | Rejected:
        """The working order that is meant, if this client may touch it. Raises `NotReady`."""
        if not self.login.up:
            raise NotReady(self.login.why)
        known = self.find(ref)
        if known is None:
            await self.login.refresh()
            known = self.find(ref)
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

    def find(self, ref: OrderRef) -> Known | None:
        """An order of the account, as far as it is known."""
        return self.login.book.find(self.account, reference=ref.client_id, venue_id=ref.venue_id)

    def _is_own(self, known: Known) -> bool:
        """Whether TWS takes changes of it from this client: its own orders; client 0 has those made by hand, once bound."""
        return known.client == self.login.place.client and known.order_id != 0


def _tell_once(told: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not told.done():
        told.set_result(outcome)


def _ref(leg: NewOrder) -> OrderRef:
    return OrderRef(symbol=leg.terms.symbol, type=leg.terms.type, client_id=leg.client_id)
