"""What is decoded in one step is what `translate` reads, or is left to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from copydesk_binance.spot import decoding, translate
from copydesk_wire.errors import Unreadable, read_json
from hypothesis import given
from hypothesis import strategies as st

SAMPLES = Path(__file__).parents[4].parent / "shared" / "venue-samples"
REPORT: dict[str, Any] = {
    "e": "executionReport", "E": 1795460048138, "s": "BTCUSDT", "c": "web_1", "S": "BUY", "o": "LIMIT", "f": "GTC",
    "q": "0.10000000", "p": "58200.00", "P": "0.00", "F": "0.00", "g": -1, "C": "", "x": "NEW", "X": "NEW", "r": "NONE",
    "i": 8886774, "l": "0.00000000", "z": "0.00000000", "L": "0.00", "n": "0", "N": None, "T": 1795460048137, "t": -1,
    "I": 9, "w": True, "m": False, "M": False, "O": 1795460048137, "Z": "0.00", "Y": "0.00", "Q": "0.00",
    "W": 1795460048137, "V": "EXPIRE_MAKER",
}  # fmt: skip
TRADE = {"x": "TRADE", "X": "FILLED", "l": "0.1", "z": "0.1", "L": "58200", "Z": "5820", "t": 7, "n": "0.2", "N": "BNB"}
CANCEL = {"x": "CANCELED", "X": "CANCELED", "C": "web_1", "c": "made-up"}
WORDS = {
    "f": [*translate.TIMES_IN_FORCE, "GTE"],
    "X": [*translate.STATUSES, "WHATEVER"],
    "x": ["NEW", "TRADE", "CANCELED", "REPLACED", "EXPIRED", "CALCULATED", "TRADE_PREVENTION"],
    "o": [*translate.ORDER_TYPES, "OTHER"],
    "S": ["BUY", "SELL", "NONE"],
    "e": ["executionReport", "listStatus"],
    "r": ["NONE", "", "INSUFFICIENT_BALANCES"],
}
NUMBERS = st.decimals(-100, 10**7, places=3).map(str) | st.sampled_from(["0", "0.000", "", "NaN", "1e3", "-1", "x"])
ANYTHING = st.none() | st.booleans() | st.integers(-5, 2**65) | st.text(max_size=5) | st.floats(allow_nan=False) | NUMBERS


def value(name: str, example: Any) -> st.SearchStrategy[Any]:
    if name in WORDS:
        return st.sampled_from(WORDS[name])
    if isinstance(example, bool):
        return st.booleans()
    if isinstance(example, int):
        return st.integers(-2, 2**53)
    return NUMBERS if isinstance(example, str) and example.replace(".", "").isdigit() else st.text(max_size=6)


LIKELY = st.fixed_dictionaries({}, optional={name: value(name, one) for name, one in REPORT.items()})
EXTRA = {"d": st.integers(0, 5), "eR": st.text(max_size=5), "g": st.integers(-2, 9)}
ODD = st.just({}) | st.dictionaries(st.sampled_from(sorted(REPORT)), ANYTHING, max_size=2)


def check(event: dict[str, Any], **around: Any) -> bool:
    """Whether it was decoded in one step; then it is what the slow way reads."""
    text = json.dumps({"subscriptionId": 0, **around, "event": event}, default=str)
    decoded = decoding.execution_report(text)
    if decoded is not None:
        told = translate.event_of(read_json(text))
        assert told is not None
        assert decoded == translate.execution_report(told)
    return decoded is not None


@given(
    LIKELY,
    st.fixed_dictionaries({}, optional=EXTRA),
    ODD,
    st.sets(st.sampled_from(sorted(REPORT)), max_size=1),
    st.sampled_from([{}, TRADE, CANCEL]),
)
def test_a_report_is_read_as_translate_reads_it(
    likely: dict[str, Any], extra: dict[str, Any], odd: dict[str, Any], gone: set[str], kind: dict[str, Any]
) -> None:
    whole = REPORT | kind | likely | extra | odd
    check({name: one for name, one in whole.items() if name not in gone})


@pytest.mark.parametrize("more", [{}, TRADE, TRADE | {"t": -1}, CANCEL, {"o": "LIMIT_MAKER"}, {"o": "MARKET"}, {"g": 3}])
def test_everyday_reports_are_decoded_in_one_step(more: dict[str, Any]) -> None:
    assert check(REPORT | more)


@pytest.mark.parametrize(
    "more", [{"o": "STOP_LOSS"}, {"d": 5}, {"X": "PENDING_NEW"}, {"e": "listStatus"}, {"T": 0}, {"W": False}]
)
def test_others_are_left_to_the_slow_way(more: dict[str, Any]) -> None:
    assert not check(REPORT | more)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"event": 1}', "\ud800", '{"event": {"e": "executionReport"}}'])
def test_what_is_no_such_object_is_left_to_the_slow_way(text: str) -> None:
    assert decoding.execution_report(text) is None


def reports(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, dict):
        inner = [one for value_ in part.values() for one in reports(value_)]
        return [part, *inner] if part.get("e") == "executionReport" else inner
    return [one for value_ in part for one in reports(value_)] if isinstance(part, list) else []


def test_recorded_payloads_are_read_alike() -> None:
    if not SAMPLES.is_dir():
        pytest.skip("the recorded payloads are not here")
    seen = decoded = 0
    for path in sorted(SAMPLES.glob("binance*/**/*.json")):
        if b"executionReport" not in path.read_bytes():
            continue
        for report in reports(json.loads(path.read_text())):
            seen += 1
            try:
                decoded += check(report)
            except Unreadable as error:
                pytest.fail(f"{path.name} was decoded, and translate refuses it: {error}")
    assert seen > 3
    assert decoded > 3
