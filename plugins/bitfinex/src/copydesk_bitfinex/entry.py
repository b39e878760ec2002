"""Order entry over the authenticated websocket: `[0, "on", null, {...}]`, answered by a notification `n`.

It needs no nonce, so that nothing waits for it and it waits for nothing; the venue counts it apart from REST.
An answer names its request by the client id of a new order, else by the order's number.
"""

from __future__ import annotations

import asyncio
from typing import Any

from copydesk_wire.errors import NoReply, NotSent
from copydesk_wire.websocket import Socket

from copydesk_bitfinex.translate import Params, Row

KINDS = {"submit": "on", "update": "ou", "cancel": "oc"}
ANSWER_S = 8.0


class Entry:
    """The requests that are under way on one websocket."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._waiting: dict[tuple[str, int], asyncio.Future[Row]] = {}

    async def ask(self, path: str, params: Params) -> Row:
        """Send what REST calls `order/PATH`, and wait for its notification.

        Raises `NotSent` where the websocket is closed, `NoReply` where it ends meanwhile or no answer comes.
        """
        kind = KINDS[path]
        name = (kind, int(params["cid"] if kind == "on" else params["id"]))
        if self._socket.closed or name in self._waiting:
            raise NotSent(f"{kind}: the websocket is closed, or the same was asked a moment ago.")
        answer: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        self._waiting[name] = answer
        try:
            self._socket.send_json([0, kind, None, params])
            async with asyncio.timeout(ANSWER_S):
                return await answer
        except TimeoutError:
            raise NoReply(f"{kind}: no answer within {ANSWER_S:g} s.") from None
        except ConnectionError as error:
            raise NoReply(f"{kind}: the websocket was lost after sending ({type(error).__name__}).") from None
        finally:
            self._waiting.pop(name, None)

    def hear(self, notification: Any) -> None:
        """Give a notification to whoever waits for it."""
        if not isinstance(notification, list) or len(notification) < 7 or not isinstance(notification[4], list):
            return
        kind, row = str(notification[1]).removesuffix("-req"), notification[4]
        number = row[2 if kind == "on" else 0] if len(row) > 2 else None
        waiting = self._waiting.get((kind, number)) if isinstance(number, int) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(notification)

    def lost(self) -> None:
        """The websocket is gone: nobody knows what became of what was sent."""
        for waiting in list(self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(NoReply("the websocket was lost after sending."))
