"""The connections of clients. Each becomes one plant by its login; events reach those who asked for them, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery, Outbox

from copydesk_rithmic.library import encode
from copydesk_rithmic.rehearsal.desk import Account, User

TICKER, ORDER, HISTORY, PNL = 1, 2, 3, 4
GOODBYE_S = 2.0
PATIENCE = 3
"""A client that was silent for so many heartbeat intervals is cut off."""


class Link(Outbox):
    """One websocket: which plant it is, who logged in on it, and what it asked to be told."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        super().__init__(socket, transport)
        self.plant = 0
        self.user: User | None = None
        self.orders: set[Account] = set()
        self.brackets: set[Account] = set()
        self.pnl: set[Account] = set()
        self.market: dict[str, int] = {}
        self.bars: set[tuple[str, int, int]] = set()
        self.tick_bars: dict[tuple[str, str], list[Any]] = {}
        self.heard_at = asyncio.get_running_loop().time()

    def tell(self, template_id: int, **fields: Any) -> None:
        self.push(encode(template_id, **fields))

    async def goodbye(self) -> None:
        """Close in order, once what was pushed has left."""
        async with asyncio.timeout(GOODBYE_S):
            await self.until_sent()
            await self.socket.close()


class Links:
    """All connections, the oldest first."""

    def __init__(self, faults: Faults, heartbeat_s: float) -> None:
        self.heartbeat_s = heartbeat_s
        self.delivery: Delivery[Link] = Delivery(faults)
        self.forced = 0
        self._every: dict[Link, None] = {}
        self._waiting: deque[tuple[Callable[[Link], bool], str, bytes]] = deque()
        self._flush: asyncio.Handle | None = None

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._every))

    def add(self, link: Link) -> None:
        self._every[link] = None

    def remove(self, link: Link) -> None:
        self._every.pop(link, None)
        self.delivery.forget(link)

    def of(self, user: User, plant: int) -> list[Link]:
        """The connections of a user to one plant, the oldest first."""
        return [link for link in self._every if link.user is user and link.plant == plant]

    def drop_all(self) -> None:
        for link in self:
            link.drop()

    # --- private events ---

    def tell(self, wanted: Callable[[Link], bool], account: str, template_id: int, fields: dict[str, Any]) -> None:
        """Send an event of an account to those who want it, once what is being answered now is answered.

        So a reply comes before the events that its request caused; and of all events none passes another.
        """
        self._waiting.append((wanted, account, encode(template_id, **fields)))
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_soon(self._send_waiting)

    def _send_waiting(self) -> None:
        self._flush = None
        while self._waiting:
            wanted, account, frame = self._waiting.popleft()
            for link in self:
                if wanted(link):
                    self._send(link, account, frame)

    def _send(self, link: Link, account: str, frame: bytes) -> None:
        if link.user is not None and link.user.beside:  # whoever trades beside copydesk has no faults of its stream
            link.push(frame)
        else:
            self.delivery.send(account, link, frame, self._every_pop)

    def _every_pop(self, link: Link) -> None:
        self._every.pop(link, None)

    # --- silence ---

    async def watch(self) -> None:
        """Cut off whoever sends no heartbeat, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.heartbeat_s)
            for link in self:
                if loop.time() - link.heard_at > PATIENCE * self.heartbeat_s:
                    link.drop()
