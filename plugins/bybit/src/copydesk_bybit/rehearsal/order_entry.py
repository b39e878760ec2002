"""Order entry by websocket (`/v5/trade`): requests and replies as frames, with the REST endpoints' own logic behind them.

Source: Bybit v5, "Websocket Trade Guideline"; frames as recorded.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import msgspec
from aiohttp import web
from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour
from copydesk_paper.serving.outbox import Outbox

from copydesk_bybit.rehearsal import rest_orders
from copydesk_bybit.rehearsal.account import Account
from copydesk_bybit.rehearsal.codes import Refusal
from copydesk_bybit.rehearsal.limits import RateLimits
from copydesk_bybit.rehearsal.parameters import Params
from copydesk_bybit.rehearsal.rest import ROUTES, Call, Rest
from copydesk_bybit.rehearsal.signing import DEFAULT_WINDOW_MS, check_socket, check_time
from copydesk_bybit.rehearsal.wire import Json

ENDPOINTS = rest_orders
"""The module that fills the table of order endpoints."""
KEPT_IDS = 10_000
OPERATIONS = {
    f"order.{name}": ROUTES["POST", f"/v5/order/{name}"]
    for name in ("create", "amend", "cancel", "create-batch", "amend-batch", "cancel-batch")
}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Entry(Outbox):
    """One connection. `used` are the request ids that came on it."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        super().__init__(socket, transport)
        self.id = f"{secrets.token_hex(10)}-{secrets.token_hex(2)}"
        self.account: Account | None = None
        self.used: dict[str, None] = {}


class OrderEntry:
    """All connections to order entry."""

    def __init__(self, rest: Rest, limits: RateLimits, misbehaviour: Misbehaviour) -> None:
        self._rest = rest
        self._limits = limits
        self._misbehaviour = misbehaviour
        self._entries: set[Entry] = set()

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Serve one connection until it ends: one reply to each request, in their order."""
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        entry = Entry(socket, request.transport)
        self._entries.add(entry)

        async def hear(text: str) -> None:
            try:
                reply = await self._answer(entry, text)
            except Cut:
                entry.drop()
            else:
                entry.push(_encode(reply).decode())

        try:
            await entry.serve(hear)
        finally:
            self._entries.discard(entry)
        return socket

    def drop_all(self) -> None:
        for entry in tuple(self._entries):
            entry.drop()

    async def _answer(self, entry: Entry, text: str) -> Json:
        try:
            frame = _decode(text)
        except msgspec.DecodeError:
            return {"retCode": 10001, "retMsg": "Invalid json", "op": "", "connId": entry.id}
        op, id_ = str(frame.get("op") or ""), str(frame.get("reqId") or "")
        named: Json = {"reqId": id_} if id_ else {}
        if op == "ping":
            return named | {
                "retCode": 0,
                "retMsg": "OK",
                "op": "pong",
                "data": [str(self._rest.now_ms())],
                "connId": entry.id,
            }
        if op == "auth":
            return named | self._log_in(entry, frame)
        headers: dict[str, str] = {}
        ext: Json = {}
        try:
            data: Any = await self._act(entry, op, id_, frame, headers, ext)
            code, message = 0, "OK"
        except Refusal as refusal:
            code, message, data = refusal.code, refusal.message, {}
            if refusal.retry_after_s:
                reset = self._rest.now_ms() + refusal.retry_after_s * 1000
                headers |= {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": str(reset)}
        headers |= {"Traceid": secrets.token_hex(16), "Timenow": str(self._rest.now_ms())}
        return named | {
            "retCode": code,
            "retMsg": message,
            "op": op,
            "data": data,
            "retExtInfo": ext,
            "header": headers,
            "connId": entry.id,
        }

    def _log_in(self, entry: Entry, frame: Json) -> Json:
        try:
            if entry.account is not None:
                raise Refusal(20001, message="Repeat auth")
            entry.account = check_socket(self._rest.desk.by_key, frame.get("args"), self._rest.now_ms())
        except Refusal as refusal:
            return {"retCode": refusal.code, "retMsg": refusal.message, "op": "auth", "connId": entry.id}
        return {"retCode": 0, "retMsg": "OK", "op": "auth", "connId": entry.id}

    async def _act(self, entry: Entry, op: str, id_: str, frame: Json, headers: dict[str, str], ext: Json) -> Any:
        route = OPERATIONS.get(op)
        if route is None:
            raise Refusal(10404, message="Op type is not found")
        account = entry.account
        if account is None:
            raise Refusal(10003, message="Request not authorized")
        if id_:
            self._note_id(entry, id_)
        self._check_time(frame, account)
        args = frame.get("args")
        if not isinstance(args, list) or len(args) != 1 or not isinstance(args[0], dict):
            raise Refusal(10001, message="Params Error: args must have one object")
        params = Params(args[0])
        headers |= self._limits.take(route.group, account.name, route.counts(params))
        call = Call(params, account)
        result = await self._misbehaviour.trade(account.name, lambda: route.act(self._rest, call))
        ext |= call.ext
        return result

    @staticmethod
    def _note_id(entry: Entry, id_: str) -> None:
        if len(id_) > 36:
            raise Refusal(10001, message="Params Error: reqId is too long")
        if id_ in entry.used:
            raise Refusal(20006, message="Duplicate reqId")
        entry.used[id_] = None
        if len(entry.used) > KEPT_IDS:
            del entry.used[next(iter(entry.used))]

    def _check_time(self, frame: Json, account: Account) -> None:
        header = frame.get("header")
        given = header if isinstance(header, dict) else {}
        stamp = str(given.get("X-BAPI-TIMESTAMP") or "")
        window = str(given.get("X-BAPI-RECV-WINDOW") or DEFAULT_WINDOW_MS)
        if not stamp.isdecimal() or not window.isdecimal():
            raise Refusal(10001, message="Params Error: header X-BAPI-TIMESTAMP is required")
        check_time(stamp, int(window), self._rest.now_ms() - self._misbehaviour.skew_ms(account.name))
