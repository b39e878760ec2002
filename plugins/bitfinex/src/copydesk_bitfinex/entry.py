"""Order entry over the authenticated websocket: `[0, "on", null, {...}]`, answered by a notification `n`.

It needs no nonce, so that nothing waits for it and it waits for nothing; the venue counts it apart from REST.
An answer names its request by the client id of a new order, else by the order's number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import msgspec
from copydesk_wire.errors import NoReply, NotSent
from copydesk_wire.websocket import Socket

from copydesk_bitfinex.translate import Params, Row

KINDS = {"submit": "on", "update": "ou", "cancel": "oc"}
ANSWER_S = 8.0
Answered: TypeAlias = Callable[[Row | NoReply], None]
_encode = msgspec.json.Encoder().encode


class Entry:
    """The requests that are under way on one websocket."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._waiting: dict[tuple[str, int], tuple[Answered, asyncio.TimerHandle]] = {}

    def send(self, path: str, params: Params, answered: Answered) -> None:
        """Send what REST calls `order/PATH`, now; `answered` is given its notification later, or why none came.

        Raises `NotSent` where the websocket is closed, or the same is under way already.
        """
        kind = KINDS[path]
        name = (kind, int(params["cid"] if kind == "on" else params["id"]))
        if name in self._waiting:
            raise NotSent(f"{kind}: the same was asked a moment ago.")
        try:
            self._socket.send(_encode([0, kind, None, params]))
        except ConnectionError:
            raise NotSent(f"{kind}: the websocket is closed.") from None
        late = NoReply(f"{kind}: no answer within {ANSWER_S:g} s.")
        timer = asyncio.get_running_loop().call_later(ANSWER_S, self._give, name, late)
        self._waiting[name] = answered, timer

    async def ask(self, path: str, params: Params) -> Row:
        """Send, and wait for the notification.

        Raises `NotSent` as `send` does, `NoReply` where the websocket ends meanwhile or no answer comes.
        """
        answer: asyncio.Future[Row] = asyncio.get_running_loop().create_future()
        self.send(path, params, partial(_settle, answer))
        return await answer

    def hear(self, notification: Any) -> None:
        """Give a notification to whoever waits for it."""
        if not isinstance(notification, list) or len(notification) < 7 or not isinstance(notification[4], list):
            return
        kind, row = str(notification[1]).removesuffix("-req"), notification[4]
        number = row[2 if kind == "on" else 0] if len(row) > 2 else None
        if isinstance(number, int):
            self._give((kind, number), notification)

    def lost(self) -> None:
        """The websocket is gone: nobody knows what became of what was sent."""
        for name in list(self._waiting):
            self._give(name, NoReply("the websocket was lost after sending."))

    def _give(self, name: tuple[str, int], answer: Row | NoReply) -> None:
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            answered, timer = waiting
            timer.cancel()
            answered(answer)


def _settle(waiter: asyncio.Future[Row], answer: Row | NoReply) -> None:
    if waiter.done():
        return
    if isinstance(answer, NoReply):
        waiter.set_exception(answer)
    else:
        waiter.set_result(answer)
