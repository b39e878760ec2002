"""What is decoded in one step is what `translate` reads, or is left to it; and it is told in the call that reads it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import OrderEvent, RehearsalSettings, VenueEvent
from copydesk_ftx import decoding, translate
from copydesk_ftx.rehearsal import start
from copydesk_ftx.session import Session, connect
from copydesk_ftx.stream import PrivateStream
from copydesk_wire.errors import read_json
from copydesk_wire.websocket import Socket
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.plugins.both_ways import changed, listen_both_ways

SAMPLES = Path(__file__).parents[3].parent / "shared" / "venue-samples" / "ftx"
NOW_MS = 1_800_000_000_000
ORDER: dict[str, Any] = json.loads(decoding.EXAMPLE)["data"]
FILL: dict[str, Any] = {
    "id": 7, "orderId": 1, "market": "BTC-PERP", "side": "sell", "size": 0.1, "price": 58200.5, "fee": 0.02,
    "feeCurrency": "USD", "liquidity": "taker", "time": "2022-05-02T22:40:07.217963+00:00",
}  # fmt: skip
NUMBERS = st.sampled_from([0, 0.0, 0.1, 1, 58200.5, -1, 1e-7, 1e45, 10**25, "0.5", "NaN", "", "x"])
TIMES = st.sampled_from(["2022-05-02T22:40:07.217963+00:00", "2022-05-02 22:40:07", "2022-05-02T22:40:07Z", "then", ""])
WORDS = {
    "type": ["limit", "market", "stop"],
    "side": ["buy", "sell", "both"],
    "status": ["new", "open", "closed", "cancelled", "other"],
    "liquidity": ["maker", "taker"],
}
ANYTHING = st.none() | st.booleans() | st.integers(-5, 2**65) | st.text(max_size=4) | NUMBERS


def value(name: str, example: Any) -> st.SearchStrategy[Any]:
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    if isinstance(example, bool):
        return st.booleans()
    if name in ("createdAt", "time"):
        return TIMES
    return NUMBERS if isinstance(example, float) or name == "avgFillPrice" else st.just(example)


def check(channel: str, data: Any) -> bool:
    """Whether it was decoded in one step; then it is what the slow way reads."""
    text = json.dumps({"channel": channel, "type": "update", "data": data}).encode()
    decoded = decoding.update(text, now_ms=NOW_MS)
    if decoded is None:
        return False
    slow = read_json(text)["data"]
    assert decoded == (translate.fill(slow) if channel == "fills" else translate.order(slow, updated_ms=NOW_MS))
    return True


@given(changed(ORDER, value, ANYTHING))
def test_a_report_is_read_as_translate_reads_it(data: dict[str, Any]) -> None:
    check("orders", data)


@given(changed(FILL, value, ANYTHING))
def test_a_fill_is_read_as_translate_reads_it(data: dict[str, Any]) -> None:
    check("fills", data)


PARTLY = {"status": "open", "filledSize": 0.05, "avgFillPrice": 58200.25}


@pytest.mark.parametrize(
    "more", [{}, PARTLY, {"status": "closed"}, {"type": "market", "price": None}, {"ioc": True}, {"clientId": None}]
)
def test_everyday_frames_are_decoded_in_one_step(more: dict[str, Any]) -> None:
    assert check("orders", ORDER | more)
    assert check("fills", FILL)


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"\xff", b'{"type": "pong"}', b'{"channel": "orders", "type": "subscribed"}']
)
def test_what_is_no_such_frame_is_left_to_the_slow_way(text: bytes) -> None:
    assert decoding.update(text, now_ms=NOW_MS) is None


def test_recorded_payloads_are_read_alike() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the recorded payloads of ftx are not here")
    decoded = {"orders": 0, "fills": 0}
    for path in sorted(SAMPLES.rglob("*.json")):
        told = json.loads(path.read_text())
        if isinstance(told, dict) and told.get("channel") in decoded and isinstance(told.get("data"), dict):
            decoded[told["channel"]] += check(told["channel"], told["data"])
    assert decoded["orders"] > 3, decoded
    assert decoded["fills"] > 1, decoded


async def test_it_is_told_in_the_call_that_reads_it_as_the_slow_way_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """FTX does not tell when an order changed: the moment at which each session read it is left out."""
    chosen: list[Session] = []
    late: list[str] = []
    at_once, slowly = PrivateStream.take_at_once, PrivateStream._take

    def take_at_once(stream: PrivateStream, socket: Socket) -> None:
        if stream.session in chosen:
            at_once(stream, socket)

    async def take(stream: PrivateStream, frame: Any) -> None:
        if stream.session in chosen and frame.get("type") == "update":
            late.append(frame["channel"])
        await slowly(stream, frame)

    monkeypatch.setattr(PrivateStream, "take_at_once", take_at_once)
    monkeypatch.setattr(PrivateStream, "_take", take)
    settings = RehearsalSettings(kind="ftx", accounts={"main": Decimal(100_000)}, speed=Decimal(0))
    traded = ("BTC-PERP", Decimal("0.1"), Decimal(50_000))
    fast, slow = await listen_both_ways(start, connect, settings, traded, chosen.append)
    assert [timeless(event) for event in fast] == [timeless(event) for event in slow]
    assert not late, "a frame waited for a task to be woken"


def timeless(event: VenueEvent) -> VenueEvent:
    return OrderEvent(order=replace(event.order, updated_ms=0)) if isinstance(event, OrderEvent) else event
