"""The fields of venues' objects: numbers exactly from their text, and a sentence that names what does not fit."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import Side
from copydesk_wire import fields
from copydesk_wire.errors import Unreadable
from hypothesis import given
from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=12))
def test_a_number_is_what_its_text_says(number: Decimal) -> None:
    assert str(fields.number(str(number), "price")) == str(number)
    assert str(fields.decimal({"price": str(number)}, "qty", "price")) == str(number)


@given(ANYTHING)
def test_nothing_but_unreadable_is_raised(value: Any) -> None:
    payload = {"a": value}
    for read in (
        lambda: fields.number(value, "a"),
        lambda: fields.decimal(payload, "a"),
        lambda: fields.decimal_or_zero(payload, "a"),
        lambda: fields.positive(payload, "a"),
        lambda: fields.whole(payload, "a"),
        lambda: fields.text(payload, "a"),
        lambda: fields.word(payload, {"Buy": Side.BUY}, "a"),
        lambda: fields.object_(value, "a thing"),
        lambda: fields.rows(value, "things"),
    ):
        said = ""
        try:
            read()
        except Unreadable as error:
            said = str(error)
        assert not said or ("the venue sent" in said and len(said) < 200)


@pytest.mark.parametrize("value", [0.1, True, "nan", "Infinity", "1e400", "x", None, []])
def test_what_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(Unreadable, match="price"):
        fields.decimal({"price": value}, "price")


def test_what_is_absent_and_what_is_empty() -> None:
    assert fields.decimal_or_zero({"a": "", "b": "5"}, "a", "b") == 5
    assert fields.decimal_or_zero({}, "a") == 0
    assert fields.positive({"a": "0.00"}, "a") is None
    assert fields.positive({"a": "-1"}, "a") is None
    assert fields.whole({"a": ""}, "a") == 0
    assert fields.whole({"a": Decimal("1.7E+12")}, "a") == 1_700_000_000_000
    assert fields.text_or({"a": None}, "a", "nothing") == "nothing"
    assert fields.word_or({"a": ""}, {"Buy": Side.BUY}, "a", Side.SELL) is Side.SELL
    assert [fields.flag({"a": value}, "a") for value in (True, "true", "1", False, "false", None)] == [True] * 3 + [
        False
    ] * 3


def test_a_float_of_json_has_lost_its_text_and_is_refused() -> None:
    payload = json.loads('{"price": 0.1}')
    with pytest.raises(Unreadable):
        fields.decimal(payload, "price")
    assert fields.decimal(json.loads('{"price": 0.1}', parse_float=Decimal), "price") == Decimal("0.1")
