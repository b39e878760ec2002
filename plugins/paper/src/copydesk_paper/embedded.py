"""The exchange inside this process: what `paper` connects to where no URL is given.

There is one exchange per market recording. Its accounts and orders live as long as the process; its server and its market
run while a session is open.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from secrets import token_urlsafe
from weakref import WeakKeyDictionary

from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.server import PaperServer
from copydesk_paper.serving.running import now_ms


class Embedded:
    def __init__(self, market: str) -> None:
        self._market = open_market(market)
        self._exchange = Exchange(self._market.instruments, now_ms=now_ms)
        self._market.prime(self._exchange)
        self._server: PaperServer | None = None
        self._users = 0
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def join(self, account: str, cash: Decimal, *, hedge_mode: bool) -> tuple[str, str]:
        """Open the account where it is new. Returns the URL and the account's token; call `leave` when done."""
        async with self._lock():
            if account not in self._exchange.accounts:
                self._exchange.open_account(account, cash, hedge_mode=hedge_mode)
            if self._server is None:
                server = PaperServer(self._exchange, self._market)
                await server.start()
                self._server = server
            self._users += 1
            token = self._server.tokens.setdefault(account, token_urlsafe(24))
            return f"http://127.0.0.1:{self._server.port}", token

    async def leave(self) -> None:
        async with self._lock():
            self._users -= 1
            if not self._users and self._server is not None:
                server, self._server = self._server, None
                await server.stop()

    def _lock(self) -> asyncio.Lock:
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


_embedded: dict[str, Embedded] = {}


def embedded(market: str = "") -> Embedded:
    """This process's exchange on that market. Raises `UsageError` for a recording of no use."""
    if market not in _embedded:
        _embedded[market] = Embedded(market)
    return _embedded[market]
