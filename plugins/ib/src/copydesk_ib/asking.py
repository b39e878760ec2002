"""Asking TWS, and handling what it tells in the order in which it came.

A message about a contract that is not known yet waits until it is, and all messages after it wait too.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from copydesk.errors import NotReady, VenueError

from copydesk_ib import catalogue, contracts
from copydesk_ib.contracts import Listing
from copydesk_ib.link import TIMING, Link, Place
from copydesk_ib.pacing import Urgency

log = logging.getLogger("copydesk.ib")

Handle = Callable[[Listing], None]
NO_LISTING = Listing(number=0, underlying="", security="", exchange="", currency="", local="")


class Asking(Link):
    """A link that knows contracts."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.catalogue = catalogue.shared(rehearsal=place.rehearsal)
        self._rules: dict[int, asyncio.Future[list[tuple[Decimal, Decimal]]]] = {}
        self._backlog: deque[tuple[Any, Handle]] = deque()

    def drop(self, why: str) -> None:
        super().drop(why)
        self._backlog.clear()
        self.fail_asked(NotReady(why))

    def fail_asked(self, error: VenueError) -> None:
        """What was asked and is not answered yet will not be answered."""
        fail(self._rules, error)

    # --- messages in their order ------------------------------------------------------------------------------------

    def take(self, contract: Any, handle: Handle) -> None:
        """Handle a message now, or once its contract is known. `contract` is None where it names none."""
        if not self._backlog:
            listed = NO_LISTING if contract is None else self.catalogue.of(contract)
            if listed is not None:
                handle(listed)
                return
        self._backlog.append((contract, handle))
        if len(self._backlog) == 1:
            self.spawn(self._work_off())

    async def _work_off(self) -> None:
        backlog = self._backlog
        while backlog:
            contract, handle = backlog[0]
            listed = NO_LISTING if contract is None else await self._learn(contract)
            if not backlog or backlog[0][1] is not handle:
                return  # the connection was lost meanwhile
            handle(listed)
            backlog.popleft()

    async def _learn(self, contract: Any) -> Listing:
        try:
            async with asyncio.timeout(TIMING.contract):
                return await self.catalogue.learn(self.library, contract, self.details, self.rule)
        except (VenueError, TimeoutError) as error:
            log.warning("The rules of %s are not known: %s", contract.localSymbol or contract.conId, error)
            return self.catalogue.keep(contracts.guess(contract))

    # --- questions --------------------------------------------------------------------------------------------------

    def on_row(self, number: int, row: Any) -> None:
        self.requests.row(number, row)

    def on_request_end(self, number: int) -> None:
        """The end of what is not about contracts to be learned comes at once: learning waits for it."""
        self.requests.end(number)

    async def find(self, symbol: str) -> Listing:
        """The contract of a symbol. Raises `Refused` where there is none, and `NotReady`."""
        return await self.catalogue.find(self.library, symbol, self.details, self.rule)

    async def details(self, question: Any) -> list[Any]:
        """Contract details. Raises `Refused` where there is no such contract."""
        number, answer = self.requests.open()
        try:
            self.send(Urgency.CHANGE, lambda client: client.reqContractDetails(number, question))
            async with asyncio.timeout(TIMING.contract):
                await answer.ended
            return answer.rows
        except TimeoutError:
            raise NotReady(f"TWS did not say what contract {question.conId or question.localSymbol} is") from None
        finally:
            self.requests.close(number)

    async def rule(self, number: int) -> list[tuple[Decimal, Decimal]]:
        """A market rule: price increments, each from a price on."""
        told = self._rules.get(number)
        if told is None:
            told = self._rules[number] = asyncio.get_running_loop().create_future()
            self.send(Urgency.CHANGE, lambda client: client.reqMarketRule(number))
        try:
            async with asyncio.timeout(TIMING.contract):
                return await asyncio.shield(told)
        except TimeoutError:
            raise NotReady(f"TWS did not tell market rule {number}") from None
        finally:
            self._rules.pop(number, None)

    def on_rule(self, number: int, steps: list[tuple[Decimal, Decimal]]) -> None:
        told = self._rules.get(number)
        if told is not None and not told.done():
            told.set_result(steps)


def fail(asked: dict[Any, asyncio.Future[Any]], error: VenueError) -> None:
    """End all futures of a table, and empty it."""
    for answer in asked.values():
        if not answer.done():
            answer.set_exception(error)
            answer.exception()  # nobody has to be waiting
    asked.clear()
