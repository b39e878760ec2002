"""Who is told of what: the connected clients, what each of them may see, and the faults that events meet on their way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery

from copydesk_ib.rehearsal.clients import Client
from copydesk_ib.rehearsal.codes import Refusal
from copydesk_ib.rehearsal.executions import Execution
from copydesk_ib.rehearsal.logins import HAND, Login
from copydesk_ib.rehearsal.tickets import Ticket

KEPT_EVENTS = 10_000


class Audience:
    """All clients of all logins. It is what the desk tells.

    While `deaf`, as between 1100 and 1102, events are kept until `hear_again`.
    """

    def __init__(self, faults: Faults) -> None:
        self.clients: dict[Client, None] = {}
        self.deaf = False
        self._delivery: Delivery[Client] = Delivery(faults)
        self._kept: list[Callable[[], None]] = []

    # --- clients ----------------------------------------------------------------------------------------------------

    def join(self, client: Client) -> None:
        self.clients[client] = None

    def leave(self, client: Client) -> None:
        self.clients.pop(client, None)
        self._delivery.forget(client)

    def of(self, login: Login) -> list[Client]:
        """The clients of a login that have said startApi."""
        return [client for client in self.clients if client.login is login and client.started]

    def everybody(self) -> list[Client]:
        return [client for client in self.clients if client.started]

    def sees(self, client: Client, ticket: Ticket) -> bool:
        """Whether a client is told of an order without asking: its own, all for the master, hand-made ones for client 0."""
        if client.login is not ticket.login:
            return False
        if client.client_id == client.login.master:
            return True
        return client.client_id == ticket.client_id and (not ticket.hand or client.client_id == HAND)

    # --- what the desk tells ----------------------------------------------------------------------------------------

    def order(self, ticket: Ticket) -> None:
        self._tell(ticket, "openOrder", ticket.told())
        self._tell(ticket, "orderStatus", ticket.told_status())

    def status(self, ticket: Ticket) -> None:
        self._tell(ticket, "orderStatus", ticket.told_status())

    def execution(self, execution: Execution) -> None:
        self._tell(execution.ticket, "execDetails", execution.told())

    def commission(self, execution: Execution) -> None:
        self._tell(execution.ticket, "openOrder", execution.ticket.told())
        self._tell(execution.ticket, "commissionReport", execution.told_commission())

    def problem(self, ticket: Ticket, refusal: Refusal) -> None:
        told = {"id": ticket.order_id, "code": refusal.code, "text": str(refusal)}
        for client in self.of(ticket.login):
            if client.client_id == ticket.client_id:
                self.tell(ticket.account, client, "error", told)

    def _tell(self, ticket: Ticket, name: str, told: dict[str, Any]) -> None:
        for client in tuple(self.clients):
            if client.started and self.sees(client, ticket):
                self.tell(ticket.account, client, name, told)

    def tell(self, account: str, client: Client, name: str, told: dict[str, Any]) -> None:
        """Send an event of an account, with the faults that events of this account meet."""
        if self.deaf:
            if len(self._kept) < KEPT_EVENTS:
                self._kept.append(lambda: self.tell(account, client, name, told))
            return
        if client in self.clients:
            self._delivery.send(account, client, client.encoded(name, told), self._cut)

    def inform(self, account: str, client: Client, name: str, told: dict[str, Any]) -> None:
        """Send what is no event but a value, or the answer to a question: faults of events do not meet it."""
        if self.deaf:
            if len(self._kept) < KEPT_EVENTS:
                self._kept.append(lambda: self.inform(account, client, name, told))
        elif client in self.clients:
            client.send(name, **told)

    def _cut(self, client: Client) -> None:
        """Its connection is about to be dropped."""
        client.let_go(lost=True)

    def hear_again(self, *, kept: bool) -> None:
        """The connection to IB is back: what happened meanwhile is told now, or was lost."""
        self.deaf = False
        events, self._kept = self._kept, []
        for event in events if kept else ():
            event()
