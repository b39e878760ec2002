"""What is decoded in one step is what `translate` reads, or is left to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk_binance import decoding, translate
from copydesk_wire.errors import Unreadable, read_json
from hypothesis import given
from hypothesis import strategies as st

from tests.plugins.binance.test_any_payload import ORDER_EVENT, OWN

SAMPLES = Path(__file__).parents[3].parent / "shared" / "venue-samples" / "binance-usdm"
ANSWER: dict[str, Any] = next(payload for payload in OWN if "orderId" in payload and "status" in payload)

NUMBERS = st.decimals(-100, 10**7, places=3).map(str) | st.sampled_from(["0", "0.000", "", "NaN", "1e3", "-1", "x"])
WORDS = {
    "f": list(translate.TIMES_IN_FORCE),
    "timeInForce": list(translate.TIMES_IN_FORCE),
    "X": list(translate.STATUSES),
    "status": list(translate.STATUSES),
    "x": ["NEW", "TRADE", "CANCELED", "EXPIRED", "AMENDMENT", "CALCULATED"],
    "o": list(translate.ORDER_TYPES),
    "ot": list(translate.ORDER_TYPES),
    "type": list(translate.ORDER_TYPES),
    "origType": list(translate.ORDER_TYPES),
    "ps": list(translate.POSITION_SIDES),
    "positionSide": list(translate.POSITION_SIDES),
    "wt": list(translate.TRIGGERS),
    "workingType": list(translate.TRIGGERS),
    "S": ["BUY", "SELL"],
    "side": ["BUY", "SELL"],
}
ANYTHING = st.none() | st.booleans() | st.integers(-1, 2**65) | st.text(max_size=5) | st.floats(allow_nan=False) | NUMBERS


def value(name: str, example: Any) -> st.SearchStrategy[Any]:
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    if isinstance(example, bool):
        return st.booleans()
    if isinstance(example, int):
        return st.integers(0, 2**53)
    return NUMBERS if example.replace(".", "").isdigit() else st.text(max_size=6)


def changed(example: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The same object with likely values, some of its fields left out, and here and there anything at all."""
    likely = st.fixed_dictionaries({}, optional={name: value(name, one) for name, one in example.items()})
    odd = st.dictionaries(st.sampled_from(sorted(example)), ANYTHING, max_size=2)
    gone = st.sets(st.sampled_from(sorted(example)), max_size=1)
    return st.builds(
        lambda other, strange, left_out: {
            name: one for name, one in (example | other | strange).items() if name not in left_out
        },
        likely,
        st.just({}) | odd,
        st.just(set()) | gone,
    )


def check_order(text: str) -> bool:
    """Whether it was decoded in one step; then it is what the slow way reads."""
    decoded = decoding.order_answer(text.encode())
    if decoded is not None:
        assert decoded == translate.order(read_json(text))
    return decoded is not None


def check_update(text: str) -> bool:
    decoded = decoding.order_update(text)
    if decoded is not None:
        event = read_json(text)
        assert decoded == (translate.order_update(event), translate.is_first_report(event))
    return decoded is not None


@given(changed(ANSWER))
def test_an_answer_is_read_as_translate_reads_it(answer: dict[str, Any]) -> None:
    check_order(json.dumps(answer))


@given(changed(ORDER_EVENT["o"]), st.sampled_from([{}, {"T": 0}, {"e": "ALGO_UPDATE"}, {"E": "1"}]))
def test_an_update_is_read_as_translate_reads_it(order: dict[str, Any], around: dict[str, Any]) -> None:
    event = ORDER_EVENT | around | {"o": order}
    if event["e"] != "ORDER_TRADE_UPDATE":
        assert decoding.order_update(json.dumps(event)) is None
        return
    check_update(json.dumps(event))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"e": 1}', "\ud800", '{"e": "ORDER_TRADE_UPDATE"}'])
def test_what_is_no_such_object_is_left_to_the_slow_way(text: str) -> None:
    assert decoding.order_answer(text.encode(errors="surrogatepass")) is None
    assert decoding.order_update(text) is None


TRADE = {"x": "TRADE", "X": "FILLED", "l": "0.010", "z": "0.010", "L": "60000", "t": 7, "n": "0.2", "N": "USDT"}


@pytest.mark.parametrize("more", [{}, TRADE, TRADE | {"t": 0}, {"x": "CANCELED", "X": "CANCELED", "rm": "by hand"}])
def test_everyday_objects_are_decoded_in_one_step(more: dict[str, Any]) -> None:
    assert check_order(json.dumps(ANSWER))
    assert check_update(json.dumps(ORDER_EVENT | {"o": ORDER_EVENT["o"] | more}))


def recorded() -> Iterator[dict[str, Any]]:
    """Every object of every recorded payload."""

    def objects(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            yield part
        for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from objects(inner)

    for path in sorted(SAMPLES.rglob("*.json")):
        whole = read_json(path.read_text())
        yield from objects(whole)


def test_recorded_payloads_are_read_alike() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the recorded payloads of binance-usdm are not here")
    orders = updates = 0
    for payload in recorded():
        text = json.dumps(payload, default=lambda number: float(number) if isinstance(number, Decimal) else None)
        try:
            orders += check_order(text)
            updates += payload.get("e") == "ORDER_TRADE_UPDATE" and check_update(text)
        except Unreadable as error:
            pytest.fail(f"{text[:200]} was decoded, and translate refuses it: {error}")
    assert orders > 3
    assert updates > 3
