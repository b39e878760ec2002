"""The paper wire: JSON text frames over one websocket per account, at `/ws` with the header `Authorization: Bearer TOKEN`.

The server speaks first: `{"hello": {"account": ..., "time_ms": ..., "instruments": [...]}}`. Then

| frame | direction | |
|---|---|---|
| `{"id": 1, "do": "place", "body": {...}}` | to the server | a request; ids are the client's own, above zero |
| `{"id": 1, "result": {...}}` | to the client | it was done; what it gives is below |
| `{"id": 1, "error": {"reason": ..., "detail": ..., "message": ...}}` | to the client | refused, nothing happened |
| `{"event": {"type": "order", ...}}` | to the client | one `copydesk.model` event, in the exchange's order |

| `do` | `body` | `result` |
|---|---|---|
| `watch` | `Subscription`: what events are wanted from now on | `null` |
| `place` | `NewOrder` | `Order` |
| `place-group` | `OrderGroup` | `[Order]` |
| `modify` | `OrderChange` | `Order` |
| `cancel` | `OrderRef` | `Order` |
| `snapshot` | `SnapshotRequest` | `Snapshot` |
| `candles` | `CandleRequest` | `[Candle]` |

Bodies are the records of `copydesk.model` in their JSON form, decimals as strings.
"""

from __future__ import annotations

from typing import Any

import msgspec
from copydesk.model import Instrument, Record, RejectReason, to_json

PATH = "/ws"
MAX_FRAME = 16 * 1024 * 1024
_NOTHING = msgspec.Raw(b"")


class Request(Record):
    id: int
    do: str
    body: msgspec.Raw = _NOTHING


class WireError(Record):
    reason: RejectReason
    detail: str
    message: str


class Hello(Record):
    account: str
    time_ms: int
    instruments: tuple[Instrument, ...]


class Frame(Record):
    """What the server sends. Exactly one of `hello`, `event`, or `id` with `result` or `error`."""

    id: int = 0
    hello: Hello | None = None
    event: msgspec.Raw = _NOTHING
    result: msgspec.Raw = _NOTHING
    error: WireError | None = None


def request(number: int, do: str, body: Any) -> str:
    return to_json({"id": number, "do": do, "body": body}).decode()


def result(number: int, body: Any) -> str:
    return to_json({"id": number, "result": body}).decode()


def refusal(number: int, reason: RejectReason, detail: str, message: str) -> str:
    return to_json({"id": number, "error": WireError(reason=reason, detail=detail, message=message)}).decode()


def event(body: Any) -> str:
    return to_json({"event": body}).decode()


def hello(account: str, time_ms: int, instruments: tuple[Instrument, ...]) -> str:
    return to_json({"hello": Hello(account=account, time_ms=time_ms, instruments=instruments)}).decode()


read_request = msgspec.json.Decoder(Request).decode
read_frame = msgspec.json.Decoder(Frame).decode
