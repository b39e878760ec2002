"""What clients ask about orders and executions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour

from copydesk_ib.rehearsal.audience import Audience
from copydesk_ib.rehearsal.clients import Client
from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.executions import Execution
from copydesk_ib.rehearsal.logins import HAND, Owner
from copydesk_ib.rehearsal.tickets import Ticket
from copydesk_ib.rehearsal.times import stamp
from copydesk_ib.rehearsal.trading import Desk
from copydesk_ib.rehearsal.wire import WireError, integer

Told = dict[str, Any]


class Orders:
    """Requests that trade, and that look at orders.

    `preset_messages`: say 10349 where no time in force is given. `read_only`: TWS has its box "Read-Only API" checked.
    """

    def __init__(
        self,
        desk: Desk,
        audience: Audience,
        misbehaviour: Misbehaviour,
        *,
        preset_messages: bool = False,
        read_only: bool = False,
    ) -> None:
        self._desk = desk
        self._audience = audience
        self._misbehaviour = misbehaviour
        self._preset_messages = preset_messages
        self._read_only = read_only

    # --- trading ----------------------------------------------------------------------------------------------------

    async def place_order(self, client: Client, told: Told) -> None:
        owner = Owner(client.login, client.client_id)
        account = client.login.accounts.get(told["account"], "")
        await self._trade(client, account, integer(told["orderId"]), lambda: self._place(client, owner, told))

    def _place(self, client: Client, owner: Owner, told: Told) -> None:
        ticket = self._desk.place(owner, told)
        if self._preset_messages and not told["tif"] and ticket.is_live:
            client.refuse(ticket.order_id, Refusal("preset"))
        if ticket.wish.outside_hours and ticket.wish.type == "MKT" and ticket.is_live:
            client.refuse(ticket.order_id, Refusal("outside-hours"))

    async def cancel_order(self, client: Client, told: Told) -> None:
        owner, order_id = Owner(client.login, client.client_id), integer(told["orderId"])
        ticket = self._desk.find(owner, order_id)
        account = ticket.account if ticket is not None else ""
        await self._trade(client, account, order_id, lambda: self._desk.cancel(owner, order_id))

    async def global_cancel(self, client: Client, told: Told) -> None:
        await self._trade(client, "", -1, lambda: self._desk.cancel_all(client.login))

    async def _trade(self, client: Client, account: str, order_id: int, act: Callable[[], None]) -> None:
        """Carry it out with the faults in force. What it brings about is held back until it is answered."""
        if self._read_only:
            raise invalid("The API interface is currently in Read-Only mode.")
        if self._audience.deaf:
            raise Refusal("not-connected")
        if not self._misbehaviour.armed:
            self._act(client, order_id, act)
            return
        client.hold()
        try:
            await self._misbehaviour.trade(account, lambda: self._act(client, order_id, act))
        except Cut:
            client.let_go(lost=True)
            client.drop()
        except Refusal as refusal:
            client.let_go()
            client.refuse(order_id, refusal)
        else:
            client.let_go()

    @staticmethod
    def _act(client: Client, order_id: int, act: Callable[[], None]) -> None:
        try:
            act()
        except Refusal as refusal:
            client.refuse(order_id, refusal)
        except WireError as error:
            client.refuse(order_id, Refusal("unreadable", reason=error))

    # --- looking ----------------------------------------------------------------------------------------------------

    async def open_orders(self, client: Client, told: Told) -> None:
        """The client's own; for client 0 those made by hand too, which are bound to it by this."""
        for ticket in self._desk.live(client.login):
            if ticket.client_id != client.client_id:
                continue
            if ticket.hand and not ticket.order_id:
                self._bind(client, ticket)
            self._show(client, ticket)
        client.send("openOrderEnd")

    async def all_open_orders(self, client: Client, told: Told) -> None:
        for ticket in self._desk.live(client.login):
            self._show(client, ticket)
        client.send("openOrderEnd")

    async def auto_open_orders(self, client: Client, told: Told) -> None:
        if client.client_id != HAND:
            raise Refusal("bind")
        client.login.auto_bind = told["bind"] == "1"

    def _bind(self, client: Client, ticket: Ticket) -> None:
        self._desk.bind(ticket)
        client.send("orderBound", permId=ticket.perm_id, clientId=ticket.client_id, orderId=ticket.order_id)

    @staticmethod
    def _show(client: Client, ticket: Ticket) -> None:
        client.send("openOrder", **ticket.told())
        client.send("orderStatus", **ticket.told_status())

    async def completed_orders(self, client: Client, told: Told) -> None:
        api_only = told["apiOnly"] in ("1", "true")
        for ticket in self._desk.ended(client.login):
            if ticket.transmitted and not (api_only and ticket.hand):
                client.send("completedOrder", **ticket.told_completed(stamp(ticket.ended_ms)))
        client.send("completedOrdersEnd")

    async def executions(self, client: Client, told: Told) -> None:
        request = integer(told["reqId"])
        wanted = [
            execution
            for execution in self._desk.working.executions
            if execution.ticket.login is client.login and _passes(execution, told)
        ]
        for execution in wanted:
            client.send("execDetails", **execution.told(request))
        for execution in wanted:
            client.send("commissionReport", **execution.told_commission())
        client.send("execDetailsEnd", reqId=request)


def _passes(execution: Execution, told: Told) -> bool:
    """Whether an execution is one that a filter asks for. Its time is `yyyymmdd-hh:mm:ss` or with a blank and a zone."""
    shown = execution.told()
    if integer(told["clientId"]) and integer(told["clientId"]) != execution.ticket.client_id:
        return False
    if told["account"] and told["account"] != shown["account"]:
        return False
    side = {"BUY": "BOT", "SELL": "SLD"}.get(told["side"].upper(), told["side"].upper())
    pairs = (("symbol", told["symbol"]), ("secType", told["secType"]), ("venue", told["exchange"]), ("side", side))
    if any(wanted and wanted != shown[name] for name, wanted in pairs):
        return False
    since = told["time"].replace("-", " ").split()
    return not since or " ".join(shown["time"].split()[:2]) >= " ".join(since[:2])
