"""The listening server: every websocket is a plant once it has logged in, whatever its path."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import WSMsgType, web
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour

from copydesk_rithmic.library import DecodeError, Message, decode
from copydesk_rithmic.rehearsal.brackets import Brackets
from copydesk_rithmic.rehearsal.desk import Account, Desk, Refusal, User
from copydesk_rithmic.rehearsal.links import Link, Links
from copydesk_rithmic.rehearsal.notices import Notices

log = logging.getLogger("copydesk.rehearsal")
REJECT = 75
BEFORE_LOGIN = frozenset({10, 16, 18})


@dataclass(frozen=True, slots=True)
class Call:
    """One request on one connection. What it is answered with echoes its `user_msg`."""

    house: House
    link: Link
    message: Message

    @property
    def user(self) -> User:
        assert self.link.user is not None
        return self.link.user

    @property
    def account(self) -> Account:
        """The account that it names, if it is the user's. Raises `Refusal`."""
        return self.house.desk.account(self.user, self.message)

    @property
    def answer(self) -> int:
        """The template of its answers."""
        return int(self.message.template_id) + 1

    def row(self, **fields: Any) -> None:
        """A row of the answer, with more to follow."""
        self.link.tell(self.answer, user_msg=list(self.message.user_msg), rq_handler_rp_code=["0"], **fields)

    def done(self, **fields: Any) -> None:
        """The end of the answer, or all of it."""
        self.link.tell(self.answer, user_msg=list(self.message.user_msg), rp_code=["0"], **fields)

    def refuse(self, code: str, text: str) -> None:
        self.link.tell(self.answer, user_msg=list(self.message.user_msg), rp_code=[code, text])


Handler = Callable[[Call], Awaitable[None] | None]
Routes = Mapping[int, tuple[frozenset[int], Handler]]
"""By template id: the plants that take it (all of them where empty), and what answers it."""


@dataclass(slots=True)
class House:
    """What the handlers work with."""

    desk: Desk
    links: Links
    notices: Notices
    brackets: Brackets
    misbehaviour: Misbehaviour
    system: str
    sessions: int
    order_copy: str


class Server(Frontend):
    """Answers every request by `routes`."""

    def __init__(self, house: House, routes: Routes) -> None:
        super().__init__()
        self.house = house
        self._routes = routes

    def drop_all(self) -> None:
        self.house.links.drop_all()

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        return web.Response(status=426, text="Rithmic speaks protobuf over websockets: connect with ws:// or wss://\n")

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        link = Link(socket, request.transport)
        self.house.links.add(link)
        try:
            await link.serve(self._hear(link), WSMsgType.BINARY)
        finally:
            self.house.links.remove(link)
        return socket

    def _hear(self, link: Link) -> Callable[[bytes], Awaitable[None]]:
        async def hear(frame: bytes) -> None:
            self.requests += 1
            link.heard_at = asyncio.get_running_loop().time()
            try:
                message = decode(frame)
            except DecodeError:
                link.tell(REJECT, rp_code=["6", "an error occurred while parsing data."])
                return
            if message is None or message.template_id not in self._routes:
                link.tell(REJECT, rp_code=["6", "bad input: this rehearsal does not have that request"])
            elif not link.plant and message.template_id not in BEFORE_LOGIN:
                link.tell(REJECT, user_msg=list(message.user_msg), rp_code=["13", "permission denied"])
            else:
                await self._answer(Call(self.house, link, message))

        return hear

    async def _answer(self, call: Call) -> None:
        plants, handler = self._routes[call.message.template_id]
        if plants and call.link.plant not in plants:
            call.refuse("6", "bad input")
            return
        try:
            answered = handler(call)
            if answered is not None:
                await answered
        except Refusal as refusal:
            call.refuse(refusal.code, str(refusal))
        except Cut:
            call.link.drop()
