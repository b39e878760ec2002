"""What the accounts of a login are worth."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

from copydesk.errors import NotReady
from copydesk.model import Balance

from copydesk_ib.link import TIMING, Link
from copydesk_ib.pacing import Urgency

log = logging.getLogger("copydesk.ib")

EQUITY, CASH, AVAILABLE = "NetLiquidation", "TotalCashValue", "AvailableFunds"
TAGS = frozenset({EQUITY, CASH, AVAILABLE})
TOGETHER_S = 0.02
"""Values that change together are one change."""

Row = tuple[str, str, str, str]


class Purse:
    """The values of one account, as they come in."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.currency = ""
        self.values: dict[str, Decimal] = {}

    def take(self, row: Row) -> bool:
        """One value. True where it is another than before."""
        _, tag, text, currency = row
        if tag not in TAGS:
            return False
        try:
            value = Decimal(text)
        except InvalidOperation:
            return False
        if tag == EQUITY:
            self.currency = currency
        changed = self.values.get(tag) != value
        self.values[tag] = value
        return changed

    def balance(self, at_ms: int) -> Balance:
        """Raises `NotReady` where TWS left a value out."""
        missing = sorted(TAGS - self.values.keys())
        if missing:
            raise NotReady(f"TWS does not say {', '.join(missing)} of {self.account}")
        return Balance(
            account=self.account,
            currency=self.currency,
            equity=self.values[EQUITY],
            cash=self.values[CASH],
            available=self.values[AVAILABLE],
            time_ms=at_ms,
        )


class Purses:
    """Listens to the values of the accounts that are connected here, and reads them."""

    def __init__(self, link: Link, tell: Callable[[Balance], None]) -> None:
        self._link = link
        self._tell = tell
        self._numbers: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def listen(self, account: str) -> None:
        """Have changes told from now on: those after the first values."""
        purse = Purse(account)
        whole = False

        def row(row: Row) -> None:
            if purse.take(row) and whole and account not in self._timers:
                self._timers[account] = asyncio.get_running_loop().call_later(TOGETHER_S, self._changed, purse)

        def end() -> None:
            nonlocal whole
            whole = True

        number, answer = self._link.requests.open(row, end)
        answer.lasts = True
        self._numbers[account] = number
        self._link.send(Urgency.READ, lambda client: client.reqAccountUpdatesMulti(number, account, "", False))

    def _changed(self, purse: Purse) -> None:
        self._timers.pop(purse.account, None)
        try:
            self._tell(purse.balance(time.time_ns() // 1_000_000))
        except NotReady as error:
            log.warning("%s", error)

    def leave(self, account: str) -> None:
        """Nobody wants to be told any more."""
        number = self._numbers.pop(account, None)
        if number is not None:
            self._link.requests.close(number)
            if self._link.up:
                self._link.send(Urgency.READ, lambda client: client.cancelAccountUpdatesMulti(number))

    async def read(self, account: str) -> Balance:
        """What an account is worth now. Raises `NotReady`."""
        purse = Purse(account)
        number, answer = self._link.requests.open(purse.take)
        try:
            self._link.send(Urgency.READ, lambda client: client.reqAccountUpdatesMulti(number, account, "", False))
            async with asyncio.timeout(TIMING.read):
                await answer.ended
        except TimeoutError:
            raise NotReady(f"TWS did not tell what {account} is worth within {TIMING.read:g} s") from None
        finally:
            self._link.requests.close(number)
            if self._link.up:
                self._link.send(Urgency.READ, lambda client: client.cancelAccountUpdatesMulti(number))
        return purse.balance(time.time_ns() // 1_000_000)

    def clear(self) -> None:
        """The connection is gone."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._numbers.clear()
