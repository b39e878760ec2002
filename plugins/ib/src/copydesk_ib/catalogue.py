"""The contracts that are known, by number and by symbol; what is not known yet is asked of TWS, once.

One catalogue serves all logins of an event loop: a contract is the same in each of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from typing import Any
from weakref import WeakKeyDictionary

from copydesk.errors import NotReady, Refused
from copydesk.model import Instrument, RejectReason

from copydesk_ib import contracts
from copydesk_ib.contracts import COMBO, Listing

log = logging.getLogger("copydesk.ib")

Details = Callable[[Any], Awaitable[list[Any]]]
Rule = Callable[[int], Awaitable[list[tuple[Decimal, Decimal]]]]


class Catalogue:
    """`instruments` grows as contracts are met. Asking is left to whoever has a connection: see `learn` and `find`."""

    def __init__(self) -> None:
        self.instruments: dict[str, Instrument] = {}
        self._listings: dict[str, Listing] = {}
        self._numbers: dict[int, Listing] = {}
        self._rules: dict[int, list[tuple[Decimal, Decimal]]] = {}
        self._asked: dict[object, asyncio.Task[Listing]] = {}

    def of(self, contract: Any) -> Listing | None:
        """The listing of a message's contract, where it is known already."""
        if contract.secType == COMBO:
            legs = contracts.legs_of(contract)
            name = (contract.symbol, COMBO, contract.exchange or contracts.SMART, contract.currency)
            return self._listings.get(":".join((*name, contracts.legs_text(legs)))) if legs else None
        return self._numbers.get(contract.conId)

    def by_symbol(self, symbol: str) -> Listing | None:
        return self._listings.get(symbol)

    def keep(self, listed: Listing) -> Listing:
        """Take over a listing, and its instrument."""
        self._listings[listed.symbol] = listed
        if listed.number:
            self._numbers[listed.number] = listed
        self.instruments[listed.symbol] = contracts.instrument(listed)
        return listed

    def priced(self, symbol: str, price: Decimal) -> None:
        """Where the price increment depends on the price: the one that holds at this price."""
        listed, known = self._listings.get(symbol), self.instruments.get(symbol)
        if listed is not None and listed.rule and known is not None and known.price_tick != listed.tick_at(price):
            self.instruments[symbol] = contracts.instrument(listed, price)

    async def learn(self, library: Any, contract: Any, details: Details, rule: Rule) -> Listing:
        """The listing of a message's contract, asked for where it is not known. Raises `Refused` or `NotReady`."""
        known = self.of(contract)
        if known is not None:
            return known
        if contract.secType == COMBO:
            return await self._combination(library, contract, contracts.legs_of(contract), details, rule)
        return await self._once(contract.conId, lambda: self._ask(library.contract(conId=contract.conId), details, rule))

    async def find(self, library: Any, symbol: str, details: Details, rule: Rule) -> Listing:
        """The listing of a symbol. Raises `Refused` where there is no such contract, or more than one."""
        known = self._listings.get(symbol)
        if known is not None:
            return known
        wanted = contracts.read_symbol(symbol)
        if wanted is None:
            form = "AAPL:STK:SMART:USD"
            raise Refused(f"{symbol!r} names no contract: write it as {form}", reason=RejectReason.SYMBOL, code="200")
        if wanted.legs:
            made = library.contract(symbol=wanted.local, secType=COMBO, exchange=wanted.exchange, currency=wanted.currency)
            return await self._combination(library, made, wanted.legs, details, rule)
        asked = contracts.question(library, wanted)
        return await self._once(symbol, lambda: self._ask(asked, details, rule))

    async def _once(self, key: object, ask: Callable[[], Coroutine[Any, Any, Listing]]) -> Listing:
        """Ask once for all that want to know at the same time."""
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(ask())
            task.add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(task)

    async def _ask(self, question: Any, details: Details, rule: Rule) -> Listing:
        rows = await details(question)
        if not rows:
            name = question.localSymbol or question.conId
            raise Refused(f"IB has no contract {name}", reason=RejectReason.SYMBOL, code="200")
        row = contracts.best_row(rows)
        number = contracts.rule_number(row)
        if number and number not in self._rules:
            try:
                self._rules[number] = await rule(number)
            except NotReady as error:
                log.warning("The price increments of %s are not known: %s", row.contract.localSymbol, error)
        return self.keep(contracts.listing(row, self._rules.get(number, ())))

    async def _combination(
        self, library: Any, contract: Any, legs: tuple[contracts.Leg, ...], details: Details, rule: Rule
    ) -> Listing:
        asked = [library.contract(conId=leg.number) for leg in legs]
        parts = [await self.learn(library, one, details, rule) for one in asked]
        return self.keep(contracts.combination(contract, legs, parts))


_catalogues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[bool, Catalogue]] = WeakKeyDictionary()


def shared(*, rehearsal: bool) -> Catalogue:
    """The catalogue of this event loop; a rehearsal's contracts are its own."""
    return _catalogues.setdefault(asyncio.get_running_loop(), {}).setdefault(rehearsal, Catalogue())
