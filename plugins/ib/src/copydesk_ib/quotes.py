"""Prices of contracts: one subscription for each that somebody wants, kept while it is among the latest wanted."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from decimal import Decimal

from copydesk.errors import NotReady, VenueError
from copydesk.model import PriceEvent

from copydesk_ib import contracts
from copydesk_ib.contracts import Listing
from copydesk_ib.link import Link
from copydesk_ib.pacing import Urgency

log = logging.getLogger("copydesk.ib")

MOST = 60
"""Subscriptions at the same time: TWS has a hundred lines, which its own windows share."""
FIRST_S = 2.0
"""How long a snapshot waits for a first price."""
BID, ASK, LAST, CLOSE = 1, 2, 4, 9
DELAYED = {66: BID, 67: ASK, 68: LAST, 75: CLOSE}


class Quote:
    """The latest ticks of one contract."""

    def __init__(self, listed: Listing, number: int) -> None:
        self.listed = listed
        self.number = number
        self.ticks: dict[int, Decimal] = {}
        self.first = asyncio.Event()
        self.refused = ""

    @property
    def last(self) -> Decimal | None:
        """The last traded price; the middle of bid and ask where nothing trades as such (forex, combinations)."""
        if LAST in self.ticks:
            return self.ticks[LAST]
        if BID in self.ticks and ASK in self.ticks:
            return (self.ticks[BID] + self.ticks[ASK]) / 2
        return self.ticks.get(CLOSE)

    def event(self) -> PriceEvent | None:
        last = self.last
        if last is None:
            return None
        bid, ask = self.ticks.get(BID), self.ticks.get(ASK)
        if bid is not None and ask is not None and bid >= ask:
            bid = ask = None
        return PriceEvent(symbol=self.listed.symbol, last=last, bid=bid, ask=ask, time_ms=time.time_ns() // 1_000_000)


class Quotes:
    """All subscriptions of a login. `tell` is called with each price."""

    def __init__(self, link: Link, tell: Callable[[PriceEvent], None]) -> None:
        self._link = link
        self._tell = tell
        self._quotes: dict[str, Quote] = {}
        self._changed: dict[str, Quote] = {}
        self._dead: set[str] = set()  # symbols whose refusal was logged

    def want(self, listed: Listing) -> Quote:
        """Subscribe, or stay subscribed. Raises `NotReady`."""
        quote = self._quotes.pop(listed.symbol, None)
        if quote is None:
            quote = self._subscribe(listed)
        self._quotes[listed.symbol] = quote
        if len(self._quotes) > MOST:
            self._leave(next(iter(self._quotes)))
        return quote

    def _subscribe(self, listed: Listing) -> Quote:
        number, answer = self._link.requests.open(lambda row: self._tick(quote, *row))
        answer.lasts = True
        quote = Quote(listed, number)
        answer.ended.add_done_callback(lambda ended: self._refused(quote, ended))
        contract = contracts.contract(self._link.library, listed)
        self._link.send(Urgency.READ, lambda client: client.reqMktData(number, contract, "", False, False, []))
        return quote

    def _refused(self, quote: Quote, ended: asyncio.Future[None]) -> None:
        """TWS gives no prices of it: most often because nobody pays for them."""
        error = None if ended.cancelled() else ended.exception()
        if error is None or isinstance(error, NotReady):
            return
        quote.refused = str(error)
        quote.first.set()
        if quote.listed.symbol not in self._dead:
            self._dead.add(quote.listed.symbol)
            log.warning("No prices of %s: %s", quote.listed.symbol, error)

    def _tick(self, quote: Quote, tick: int, price: Decimal | None) -> None:
        kind = DELAYED.get(tick, tick)
        if kind not in (BID, ASK, LAST, CLOSE):
            return
        if price is None or price <= 0:  # -1: there is none now
            quote.ticks.pop(kind, None)
            return
        if quote.ticks.get(kind) != price:
            quote.ticks[kind] = price
            self._changed[quote.listed.symbol] = quote
        if quote.last is not None:
            quote.first.set()

    def tell(self) -> None:
        """Tell the prices that have changed, once for all ticks that came together."""
        if self._changed:
            changed, self._changed = self._changed, {}
            for quote in changed.values():
                if (event := quote.event()) is not None:
                    self._tell(event)

    def _leave(self, symbol: str) -> None:
        quote = self._quotes.pop(symbol)
        self._link.requests.close(quote.number)
        if self._link.up:
            self._link.send(Urgency.READ, lambda client: client.cancelMktData(quote.number))

    async def price(self, listed: Listing) -> Decimal | None:
        """The last price; None where TWS gives none in time."""
        quote = self.want(listed)
        try:
            async with asyncio.timeout(FIRST_S):
                await quote.first.wait()
        except TimeoutError:
            log.info("TWS gave no price of %s within %g s", listed.symbol, FIRST_S)
        return quote.last

    def again(self) -> None:
        """After a connection was lost, or its subscriptions were: subscribe to everything anew."""
        wanted = [quote.listed for quote in self._quotes.values()]
        for quote in self._quotes.values():
            self._link.requests.close(quote.number)
        self._quotes.clear()
        for listed in wanted:
            try:
                self.want(listed)
            except VenueError as error:
                log.warning("No prices of %s: %s", listed.symbol, error)

    def known(self, symbol: str) -> PriceEvent | None:
        quote = self._quotes.get(symbol)
        return quote.event() if quote is not None else None
