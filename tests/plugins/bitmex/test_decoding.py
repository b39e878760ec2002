"""What is decoded in one step is what `translate` reads, or is left to it; and it is told in the call that reads it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitmex import decoding, translate
from copydesk_bitmex.rehearsal import start
from copydesk_bitmex.session import Session, connect
from copydesk_bitmex.stream import PrivateStream
from copydesk_bitmex.tables import Table
from copydesk_wire.errors import Unreadable, read_json
from copydesk_wire.websocket import Socket
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.both_ways import changed, listen_both_ways

SAMPLES = Path(__file__).parents[3].parent / "shared" / "venue-samples" / "bitmex"
ROW: dict[str, Any] = json.loads(decoding.EXAMPLE)["data"][0]
TRADE: dict[str, Any] = {
    "execID": "e-1", "orderID": "example", "clOrdID": "example", "symbol": "XBTUSD", "side": "Buy", "lastQty": 100,
    "lastPx": 58200.5, "execType": "Trade", "execComm": -25, "settlCurrency": "XBt", "lastLiquidityInd": "AddedLiquidity",
    "transactTime": "2026-05-29T01:24:53.824Z", "timestamp": "2026-05-29T01:24:53.824Z",
}  # fmt: skip
FILLED = {"orderID": "example", "ordStatus": "Filled", "cumQty": 100, "avgPx": 58200.5, "timestamp": "2026-05-29T01:24:54Z"}
NUMBERS = st.sampled_from([None, 0, 0.0, 100, 58200.5, -1, 1e45, 10**25, "0.5", "NaN", "", "x"])
WORDS = {
    "ordType": [*translate.ORDER_TYPES, "Other"],
    "ordStatus": [*translate.STATUSES, "Other"],
    "timeInForce": [*translate.TIMES, "", None, "Other"],
    "side": ["Buy", "Sell", ""],
    "execInst": ["", None, "Close", "ReduceOnly,LastPrice", "ParticipateDoNotInitiate", "MarkPrice, Close"],
    "pegPriceType": ["", None, translate.TRAILING, "LastPeg"],
    "contingencyType": ["", None, translate.CANCELS_OTHER, translate.TRIGGERS_OTHER],
    "triggered": ["", None, "Triggered", "StopOrderTriggered"],
    "execType": ["Trade", "New", "Funding"],
    "settlCurrency": ["XBt", "USDt", "", None, "New"],
    "timestamp": ["2026-05-29T01:24:53.824Z", "", None, "then"],
    "transactTime": ["2026-05-29T01:24:53.824Z", "", None, "then"],
    "text": ["", None, "Canceled: by hand\nfor ever"],
}
NUMERIC = {"orderQty", "price", "stopPx", "pegOffsetValue", "cumQty", "avgPx", "lastQty", "lastPx", "execComm"}
ANYTHING = (
    st.none() | st.booleans() | st.integers(-5, 2**65) | st.text(max_size=4) | NUMBERS | st.lists(st.none(), max_size=1)
)


def value(name: str, example: Any) -> st.SearchStrategy[Any]:
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    return NUMBERS if name in NUMERIC else st.just(example)


def part(row: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Some fields of a row, as an update has them."""
    return st.sets(st.sampled_from(sorted(row))).map(
        lambda kept: {name: row[name] for name in kept | {"orderID"} if name in row}
    )


def check_orders(*frames: tuple[str, list[Any]]) -> list[bool]:
    """Which rows of which frames were decoded in one step, in a table that both ways fill; those are what the slow way
    reads. What cannot be decoded goes into the table by the slow way, as in a stream."""
    decoded, fast, slow = [], Table("order"), Table("order")
    for action, data in frames:
        text = json.dumps({"table": "order", "action": action, "data": data}).encode()
        whole = read_json(text)["data"]
        try:
            expected = slow.take(action, whole)
        except (Unreadable, TypeError):
            return decoded
        told = decoding.frame(text)
        rows = fast.take(action, told.data if isinstance(told, decoding.Orders) else whole)
        for row, reference in zip(rows, expected, strict=True):
            order = decoding.order(row)
            decoded.append(order is not None)
            if order is not None:
                assert order == translate.order(reference)
    return decoded


def check_execution(row: Any) -> bool:
    text = json.dumps({"table": "execution", "action": "insert", "data": [row]}).encode()
    told = decoding.frame(text)
    fills = decoding.fills(told.data) if isinstance(told, decoding.Executions) else None
    if fills is None:
        return False
    slow = translate.fill(read_json(text)["data"][0])
    assert fills == ([] if slow is None else [slow])
    return True


@given(st.data(), changed(ROW, value, ANYTHING))
def test_a_row_and_its_update_are_read_as_translate_reads_them(data: st.DataObject, row: dict[str, Any]) -> None:
    update = data.draw(changed(ROW, value, ANYTHING).flatmap(part))
    check_orders(("insert", [row]), ("update", [update | {"orderID": row.get("orderID", "example")}]))


@given(changed(TRADE, value, ANYTHING))
def test_a_trade_is_read_as_translate_reads_it(row: dict[str, Any]) -> None:
    check_execution(row)


@pytest.mark.parametrize(
    "more", [{}, {"ordType": "Market", "price": None}, {"execInst": "ReduceOnly"}, {"execInst": "Close"}, {"clOrdID": ""}]
)
def test_everyday_rows_are_decoded_in_one_step(more: dict[str, Any]) -> None:
    assert check_orders(("insert", [ROW | more]), ("update", [FILLED])) == [True, True]
    assert check_execution(TRADE)


@pytest.mark.parametrize(
    "more",
    [
        {"ordType": "Stop", "stopPx": 5},
        {"clOrdLinkID": "l"},
        {"pegPriceType": "LastPeg"},
        {"ordStatus": "Other"},
        {"timeInForce": False},
    ],
)
def test_others_are_left_to_the_slow_way(more: dict[str, Any]) -> None:
    assert check_orders(("insert", [ROW | more])) == [False]


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"\xff", b"pong", b'{"table": "order", "action": "partial"}', b'{"table": []}']
)
def test_what_is_no_such_frame_is_left_to_the_slow_way(text: bytes) -> None:
    assert decoding.frame(text) is None


def test_recorded_payloads_are_read_alike() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the recorded payloads of bitmex are not here")
    orders = trades = 0
    for path in sorted(SAMPLES.rglob("*.json")):
        for told in frames(json.loads(path.read_text())):
            whole = told["table"] == "order" and told.get("action") in ("insert", "partial")
            for row in told["data"]:
                if told["table"] == "execution":
                    trades += check_execution(row)
                else:
                    orders += sum(check_orders(("insert", [row] if whole else [ROW | row])))
    assert orders > 5
    assert trades > 2


def frames(body: Any) -> list[dict[str, Any]]:
    """The frames of orders and executions in a recorded payload."""
    if isinstance(body, list):
        return [frame for one in body for frame in frames(one)]
    if not isinstance(body, dict):
        return []
    if body.get("table") in ("order", "execution") and isinstance(body.get("data"), list):
        return [body]
    return [frame for one in body.values() for frame in frames(one)]


async def test_it_is_told_in_the_call_that_reads_it_as_the_slow_way_tells_it(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[Session] = []
    late: list[str] = []
    in_one_step: list[bool] = []
    at_once, slowly, everyday = PrivateStream.take_at_once, PrivateStream._take, PrivateStream._take_everyday

    def take_at_once(stream: PrivateStream, socket: Socket) -> None:
        if stream.session in chosen:
            at_once(stream, socket)

    async def take(stream: PrivateStream, frame: Any) -> None:
        if stream.session in chosen and frame.get("table") in ("order", "execution"):
            late.append(frame["table"])
        await slowly(stream, frame)

    def take_everyday(stream: PrivateStream, data: bytes) -> bool:
        taken = everyday(stream, data)
        if data != b"pong" and read_json(data).get("table") in ("order", "execution"):
            in_one_step.append(taken)
        return taken

    monkeypatch.setattr(PrivateStream, "take_at_once", take_at_once)
    monkeypatch.setattr(PrivateStream, "_take", take)
    monkeypatch.setattr(PrivateStream, "_take_everyday", take_everyday)
    settings = RehearsalSettings(kind="bitmex", accounts={"main": Decimal(100_000)}, speed=Decimal(0))
    traded = ("XBTUSD", Decimal(100), Decimal(50_000))
    fast, slow = await listen_both_ways(start, connect, settings, traded, chosen.append)
    assert fast == slow
    assert not late, "a frame waited for a task to be woken"
    assert in_one_step, "nothing was decoded"
    assert all(in_one_step), "an everyday frame was left to the slow way"
