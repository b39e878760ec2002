"""Executions that wait to be told.

IB tells an execution and, right after it, what it cost. A fill is told once, so it waits a moment for its commission;
the order that counts it does not wait, nor does anything that is copied. Positions come after the fills that made them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from copydesk.model import FillEvent, PositionEvent

from copydesk_ib.link import TIMING
from copydesk_ib.translate import Execution

if TYPE_CHECKING:
    from copydesk_ib.login import Login


@dataclass
class _Account:
    """Fills by execution id that wait, and the latest position of each symbol that waits for them."""

    waiting: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    positions: dict[str, PositionEvent] = field(default_factory=dict)


class HeldFills:
    """Those of all accounts of a login."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._accounts: dict[str, _Account] = {}

    def hold(self, execution: Execution, number: str) -> None:
        """Tell a new execution, once its commission is known."""
        if self._login.book.has_commission(number):
            self._tell(execution)
            return
        name = execution.fill.execution_id
        loop = asyncio.get_running_loop()
        account = self._accounts.setdefault(execution.fill.account, _Account())
        account.waiting[name] = loop.call_later(TIMING.commission, self._late, execution.fill.account, name)

    def paid(self, execution: Execution) -> None:
        """Its commission has come."""
        account = self._accounts.get(execution.fill.account)
        timer = account.waiting.pop(execution.fill.execution_id, None) if account is not None else None
        if timer is not None:
            timer.cancel()
            self._tell(execution)

    def _late(self, name: str, number: str) -> None:
        self._accounts[name].waiting.pop(number, None)
        self._tell(self._login.book.executions[number])

    def _tell(self, execution: Execution) -> None:
        fill = execution.fill
        self._login.tell(fill.account, FillEvent(fill=fill))
        account = self._accounts.get(fill.account)
        if account is not None and not account.waiting:
            positions, account.positions = account.positions, {}
            for event in positions.values():
                self._login.tell(fill.account, event)

    def after(self, account: str, event: PositionEvent) -> None:
        """Tell a position, after the fills of its account that wait."""
        held = self._accounts.get(account)
        if held is not None and held.waiting:
            held.positions.pop(event.position.symbol, None)
            held.positions[event.position.symbol] = event
        else:
            self._login.tell(account, event)

    def clear(self) -> None:
        """The connection is gone: a snapshot tells them."""
        for account in self._accounts.values():
            for timer in account.waiting.values():
                timer.cancel()
        self._accounts.clear()
