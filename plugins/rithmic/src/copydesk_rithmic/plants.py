"""The plants of async-rithmic with its traps removed. One plant is one websocket and its tasks in the running loop.

What is changed, each shown by a test, since these are private methods of the library:

- a refused request raises `Refusal` where it was asked, with Rithmic's code and text (the library returns nothing);
- frames are handed on as they come, without waiting for whoever hears them (the library awaits handlers, so that a request
  inside one never gets its reply);
- nothing waits for a reconnect to be sent then: a request on a dead connection is `NotSent`, one that lost its connection
  is `NoReply`, at once;
- a lost connection is told (`down`), and so is one that is back and subscribed again (`up`);
- nothing is ever sent twice;
- a request that trades can be sent in the very call (`fire`);
- `fcm_id` and `ib_id` are those of the account that a request names;
- no message is turned into text for a log: passwords stand in some of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import websockets
from copydesk.errors import NotReady
from copydesk_wire.errors import NoReply, NotSent
from websockets.exceptions import ConnectionClosed, WebSocketException

from copydesk_rithmic import library
from copydesk_rithmic.errors import DENIED, NO_DATA, Refusal
from copydesk_rithmic.library import DecodeError, Message, decode, encode, fields_of
from copydesk_rithmic.websocket import Socket

if TYPE_CHECKING:
    from copydesk_rithmic.accounts import Account

log = logging.getLogger("copydesk.rithmic")
quiet = logging.getLogger("copydesk.rithmic.websocket")
quiet.setLevel(logging.WARNING)  # it would log every frame, passwords and all

CONNECT_S = 8.0
REPLY_S = 5.0
LOGIN_S = 15.0
CLOSE_S = 1.0
PING_S = 10.0
LEAST_BEAT_S = 0.5
PAUSE_FIRST_S, PAUSE_MOST_S = 0.1, 10.0
FORCED_PAUSE_S = 5.0
"""After Rithmic has ended a session because there were too many: coming back at once would end another one's."""
SETTLED_S = 1.0
"""A connection that ended so long ago has nothing on its way any more. What this machine still had to send went with it."""
AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER: close without sending what waits to be sent."""
MAX_FRAME = 8 << 20
HEARTBEAT_REPLY, REJECT, FORCED_LOGOUT = 19, 75, 77
ENVELOPE = frozenset({"template_id", "user_msg", "rp_code", "rq_handler_rp_code"})
ROWS = {
    320: frozenset({351, 352}),
    324: frozenset({351, 352}),
    3506: frozenset({352}),
    402: frozenset({450, 451}),
}
"""Requests whose rows are messages of their own, without `user_msg`: the rows' templates."""
REPLAY = 3506
FILL = 5


class Asked:
    """A request on its way. `rows` are what was answered so far."""

    def __init__(self, name: str, template_id: int, account: Account | None, *, may_be_empty: bool) -> None:
        self.name = name
        self.template_id = template_id
        self.account = account
        self.may_be_empty = may_be_empty
        self.rows: list[Message] = []
        self.done: asyncio.Future[list[Message]] = asyncio.get_running_loop().create_future()

    def owns(self, message: Message) -> bool:
        """True where a message without `user_msg` is a row of this answer."""
        if self.account is None or message.template_id not in ROWS.get(self.template_id, ()):
            return False
        is_row = message.is_snapshot or (self.template_id == REPLAY and message.notify_type == FILL)
        return is_row and self.account.is_named_in(message)


class Plant(library.BasePlant):  # type: ignore[misc]
    """What all plants share. `heard` is given every message that is no answer, `down` and `up` say how the plant is."""

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.ws: Any = None
        self.read_ns = 0  # when the frame that is being worked on was read, zero where none is
        self.connection = 0  # how many there were
        self._gone: deque[tuple[int, float]] = deque()  # the latest of them that ended, and when
        self._settled = 0
        self.heard: Callable[[Message], None] = lambda message: None
        self.up: Callable[[], None] = lambda: None
        self.down: Callable[[str], None] = lambda reason: None
        self.refused: Callable[[Refusal], None] = lambda refusal: None
        self._asked: dict[str, Asked] = {}
        self._turns: dict[tuple[int, Any], asyncio.Lock] = {}
        self._numbers = 0
        self.is_up = False
        self._entering: asyncio.Task[Any] | None = None
        self._reason = ""
        self._forced = False

    # --- asking ---

    async def ask(
        self,
        template_id: int,
        account: Account | None = None,
        *,
        seconds: float = REPLY_S,
        empty: bool = True,
        **fields: Any,
    ) -> list[Message]:
        """Send a request and return the rows of its answer.

        `empty`: "no data" is an answer without rows, otherwise it is a refusal. Raises `NotSent`, `NoReply` or `Refusal`.
        """
        if not self.is_up and asyncio.current_task() is not self._entering:
            raise NotSent(f"The {self.plant_type} plant of Rithmic is not logged in.")
        if template_id not in ROWS:
            return await self._ask(template_id, account, seconds, empty, fields)
        turn = self._turns.setdefault((template_id, account), asyncio.Lock())  # their rows name the account and no request
        async with turn:
            return await self._ask(template_id, account, seconds, empty, fields)

    async def _ask(
        self, template_id: int, account: Account | None, seconds: float, empty: bool, fields: dict[str, Any]
    ) -> list[Message]:
        name = self._next_name()
        if account is not None:
            fields["account_id"] = account.account_id
        request = self._build_request(template_id=template_id, user_msg=name, **fields)
        if account is not None:
            account.name_in(request)
        asked = self._asked[name] = Asked(name, template_id, account, may_be_empty=empty)
        return await self.answer(asked, seconds, self._send(self._convert_request_to_bytes(request)))

    def _next_name(self) -> str:
        self._numbers += 1
        return f"copydesk-{self._numbers}"

    def fire(self, template_id: int, account: Account, fields: dict[str, Any]) -> Asked | None:
        """Send a request in this very call, to be followed by `answer`; None where nothing was sent."""
        name = self._next_name()
        data = encode(
            template_id,
            user_msg=[name],
            account_id=account.account_id,
            fcm_id=account.fcm_id,
            ib_id=account.ib_id,
            **fields,
        )
        if not self.is_up or self.ws is None or not self.ws.fire(data):
            return None
        asked = self._asked[name] = Asked(name, template_id, account, may_be_empty=False)
        return asked

    async def answer(self, asked: Asked, seconds: float = REPLY_S, sending: Awaitable[None] | None = None) -> list[Message]:
        """The rows of an answer, once the request has been sent. Raises `NotSent`, `NoReply` or `Refusal`."""
        try:
            async with asyncio.timeout(seconds):
                if sending is not None:
                    await sending
                return await asked.done
        except TimeoutError:
            raise NoReply(f"Rithmic did not answer request {asked.template_id} within {seconds:g} s.") from None
        finally:
            del self._asked[asked.name]

    async def _send(self, message: bytes, template_id: int | None = None) -> None:
        """Send now or not at all."""
        if not self.is_connected:
            raise NotSent(f"There is no connection to the {self.plant_type} plant of Rithmic.")
        try:
            await self.ws.send(message)
        except ConnectionClosed:
            raise NoReply(f"The connection to the {self.plant_type} plant was lost.") from None

    async def _send_and_collect(self, template_id: int, **fields: Any) -> list[Message]:
        """What the library's own requests call, at login."""
        fields.pop("expected_response", None)
        fields.pop("account_id", None)
        return await self.ask(template_id, **fields)

    async def _send_request(self, **fields: Any) -> int:
        """What the library's heartbeats call."""
        template_id: int = fields["template_id"]
        await self._send(self._convert_request_to_bytes(self._build_request(**fields)), template_id=template_id)
        return template_id

    # --- hearing ---

    async def _recv_loop(self) -> None:
        """Take the frames that are not taken as they come, until the connection is lost."""
        reason = "Rithmic closed the connection"
        try:
            while True:
                self._take(await self.ws.recv(decode=False))
        except ConnectionClosed as closed:
            reason = f"the connection was lost ({type(closed).__name__})"
        except DecodeError as error:
            reason = f"Rithmic sent a frame that cannot be read ({error})"
        self._lost(f"The {self.plant_type} plant: {self._reason or reason}.")

    async def _process_loop(self) -> None:
        """Nothing is queued."""

    def _take(self, frame: bytes) -> None:
        message = decode(frame)
        if message is not None:  # unknown templates are sent now and then (358 is one)
            self.read_ns = time.perf_counter_ns()
            self._process(message)
            self.read_ns = 0

    def _process(self, message: Message) -> None:
        template_id = message.template_id
        if template_id == FORCED_LOGOUT:
            self._reason, self._forced = "Rithmic ended the session: this login has too many of them", True
            return
        names = getattr(message, "user_msg", None)
        asked = self._asked.get(names[0]) if names else None
        if asked is not None:
            self._answered(asked, message)
        elif template_id == REJECT:
            log.warning("Rithmic rejects a request to the %s plant: %s", self.plant_type, " ".join(message.rp_code))
        elif not names:
            self._unasked(message)

    def _answered(self, asked: Asked, message: Message) -> None:
        """A row of an answer, or its end, which may be a row as well."""
        if fields_of(message).keys() - ENVELOPE:
            asked.rows.append(message)
        codes = list(message.rp_code)
        if not codes or asked.done.done():
            return
        if codes[0] == "0" or (codes[0] == NO_DATA and asked.may_be_empty):
            asked.done.set_result(asked.rows)
        else:
            asked.done.set_exception(Refusal(codes[0], " ".join(codes[1:]) or "no reason"))

    def _unasked(self, message: Message) -> None:
        for asked in self._asked.values():
            if asked.owns(message):
                asked.rows.append(message)
                if message.is_snapshot:
                    return
        self.heard(message)

    async def _heartbeat_loop(self) -> None:
        """Send a heartbeat at least twice in the interval that Rithmic names."""
        while True:
            await asyncio.sleep(max(LEAST_BEAT_S, self.heartbeat_interval / 2))
            if self.is_up:
                with contextlib.suppress(NotSent, NoReply):  # whoever reads hears of it
                    await self._send_heartbeat()

    # --- the connection ---

    async def _connect(self) -> None:
        """Open the websocket. Raises `OSError`, `TimeoutError` or `WebSocketException`."""
        self._reason = ""
        self.ws = await websockets.connect(
            self.credentials["gateway"],
            ssl=self.ssl_context,
            open_timeout=CONNECT_S,
            close_timeout=CLOSE_S,
            ping_interval=PING_S,
            ping_timeout=PING_S,
            max_size=MAX_FRAME,
            compression=None,  # it would take longer than all else that sends an order
            create_connection=Socket,
            logger=quiet,
        )
        self.ws.take = self._take
        self.connection += 1

    @property
    def settled(self) -> int:
        """Connections up to this number are gone, with all that was sent over them: it has arrived, or never will."""
        at = asyncio.get_running_loop().time()
        while self._gone and at - self._gone[0][1] >= SETTLED_S:
            self._settled, _ = self._gone.popleft()
        return self._settled

    def _lost(self, reason: str) -> None:
        """Whatever was asked gets no reply any more."""
        self.is_up = False
        for asked in self._asked.values():
            if not asked.done.done():
                asked.done.set_exception(NoReply(reason))
                asked.done.exception()  # whoever asked may have gone already
        self.down(reason)
        self._disconnect_event.set()

    async def open(self) -> None:
        """Connect, log in, and stay connected. Raises `Refusal`, `NotSent`, `NoReply`, `OSError`, `TimeoutError`."""
        async with asyncio.timeout(LOGIN_S):
            await self._log_in()
        self._bg_tasks.append(asyncio.create_task(self._reconnect_loop(), name="reconnect_loop"))

    async def _log_in(self) -> None:
        self._disconnect_event.clear()
        self._entering = asyncio.current_task()
        await self._connect()
        await self._start_io_tasks()
        await self._login()
        self._entering, self.is_up = None, True
        self.up()

    async def _reconnect_loop(self) -> None:
        """Connect again whenever the connection is lost, after a pause that grows."""
        while True:
            await self._disconnect_event.wait()
            pause = FORCED_PAUSE_S if self._forced else PAUSE_FIRST_S
            self._forced = False
            while True:
                await self._hang_up(cut=True)
                await asyncio.sleep(pause)
                pause = min(pause * 2, PAUSE_MOST_S)
                try:
                    async with asyncio.timeout(LOGIN_S):
                        await self._log_in()
                    break
                except Refusal as refusal:
                    log.warning("The %s plant refuses to be logged in to again: %s", self.plant_type, refusal)
                    if refusal.code == DENIED:
                        self.refused(refusal)
                        return
                except (OSError, TimeoutError, WebSocketException, NotReady, NoReply) as error:
                    log.info("The %s plant could not be reached again: %s", self.plant_type, type(error).__name__)

    async def _hang_up(self, *, cut: bool = False) -> None:
        """End the connection; where it is `cut`, nothing that waits to be sent goes out any more."""
        self.is_up = False
        await self._stop_io_tasks()
        if self.ws is not None:
            with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    if cut:
                        self._cut()
                        await self.ws.wait_closed()
                    else:
                        await self.ws.close()
            self.ws = None
            self._gone.append((self.connection, asyncio.get_running_loop().time()))

    def _cut(self) -> None:
        transport = self.ws.transport
        with contextlib.suppress(OSError):  # it is closed already
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        transport.abort()

    async def close(self) -> None:
        """End all tasks and the connection, with a logout where there is one."""
        await self._stop_background_tasks()
        if self.is_connected:
            with contextlib.suppress(ConnectionClosed, OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self.ws.send(self._convert_request_to_bytes(self._build_request(template_id=12)))
        await self._hang_up()


class TickerPlant(Plant, library.TickerPlant):  # type: ignore[misc]
    """Prices and reference data."""


class HistoryPlant(Plant, library.HistoryPlant):  # type: ignore[misc]
    """Past bars."""


class OrderPlant(Plant, library.OrderPlant):  # type: ignore[misc]
    """Orders. After each login it is subscribed to the orders and brackets of `watched` again."""

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.watched: Callable[[list[Message]], tuple[Account, ...]] = lambda rows: ()
        self.login_row: Message = None

    async def _fetch_login_info(self) -> None:
        """Read who this is, its accounts and routes, anew at every login: they may have changed."""
        rows = await self.ask(300)
        if not rows:
            raise NotReady("Rithmic does not say who logged in.")
        self.login_row = rows[0]
        self.login_info = {name: getattr(rows[0], name) for name in ("fcm_id", "ib_id", "user_type")}
        self.trade_routes = await self.ask(310, subscribe_for_updates=True)
        self.accounts = await self.ask(302)

    async def _subscribe_to_updates(self, template_id: int) -> None:
        for account in self.watched(self.accounts):
            await self.ask(template_id, account)


class PnlPlant(Plant, library.PnlPlant):  # type: ignore[misc]
    """Positions and balances. After each login it is subscribed to those of `watched` again."""

    def __init__(self, client: Any, **options: Any) -> None:
        super().__init__(client, **options)
        self.watched: Callable[[], tuple[Account, ...]] = tuple

    async def _login(self) -> None:
        await super()._login()
        for account in self.watched():
            await self.ask(400, account, request=1)
