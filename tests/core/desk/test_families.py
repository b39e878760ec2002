"""Rule 19: loops and children of two bots are refused on save; chains are pointed out."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fnmatch import fnmatchcase
from itertools import chain, product
from pathlib import Path

import pytest
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config, FilterSettings
from copydesk.errors import Conflict
from copydesk.families import chains, check_family, common
from hypothesis import given
from hypothesis import strategies as st


def bot(
    name: str, parent: str, *children: str, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
) -> BotSettings:
    filters = FilterSettings(include=include, exclude=exclude)
    made = tuple(ChildSettings(account=key, mode="multiplier", value=Decimal(1), filters=filters) for key in children)
    return BotSettings(name=name, parent=parent, children=made)


@pytest.mark.parametrize(
    ("there", "new", "path"),
    [
        ([bot("a", "x", "y")], bot("b", "y", "x"), "y -> x -> y"),
        ([bot("a", "x", "y"), bot("b", "y", "v", "z")], bot("c", "z", "w", "x"), "z -> x -> y -> z"),
    ],
)
def test_a_loop_is_refused_and_shown(there: list[BotSettings], new: BotSettings, path: str) -> None:
    with pytest.raises(Conflict, match=f"would close a loop: {path};"):
        check_family(new, there)


def test_a_loop_that_is_there_among_others_is_not_this_bots_matter() -> None:
    check_family(bot("c", "p", "x2"), [bot("a", "x", "y"), bot("b", "y", "x")])


@pytest.mark.parametrize(
    ("mine", "theirs", "shared"),
    [
        ({}, {}, True),
        ({"include": ("BTC*",)}, {"include": ("ETH*",)}, False),
        ({"include": ("BTC*",)}, {"include": ("*USDT",)}, True),
        ({"include": ("BTCUSDT",)}, {"include": ("btcusd?",)}, True),
        ({"include": ("BTC*",)}, {"exclude": ("BTC*",)}, False),
        ({"include": ("BTC*", "SOLUSDT")}, {"exclude": ("BTC*",)}, True),
        ({"include": ("B*",)}, {"exclude": ("B?",)}, True),
    ],
)
def test_a_child_may_be_of_two_bots_only_for_different_symbols(
    mine: dict[str, tuple[str, ...]], theirs: dict[str, tuple[str, ...]], shared: bool
) -> None:
    new, there = bot("new", "p", "c", **mine), bot("old", "q", "c", **theirs)
    for one, other in ((new, there), (there, new)):
        if shared:
            with pytest.raises(Conflict, match="'c' is a child of bot"):
                check_family(one, [other])
        else:
            check_family(one, [other])


@given(
    *[st.text("AB*?", max_size=5)] * 2,
    st.text("AB", max_size=6),
)
def test_what_fits_both_patterns_makes_them_common(one: str, other: str, text: str) -> None:
    if fnmatchcase(text, one) and fnmatchcase(text, other):
        assert common(one, other)
    if not common(one, other):
        assert not (fnmatchcase(text, one) and fnmatchcase(text, other))


def test_short_patterns_are_common_where_some_short_text_fits_both() -> None:
    texts = list(map("".join, words("AB", 6)))
    fits = {pattern: {text for text in texts if fnmatchcase(text, pattern)} for pattern in map("".join, words("AB*?", 3))}
    for one, other in product(fits, repeat=2):
        assert common(one, other) is bool(fits[one] & fits[other]), (one, other)


def words(letters: str, longest: int) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(product(letters, repeat=length) for length in range(longest + 1))


def test_a_class_in_brackets_counts_as_fitting_anything() -> None:
    assert common("[AB]*", "C")
    assert common("C", "[AB]*")


def test_patterns_without_a_common_text_are_told_apart() -> None:
    assert not common("A*B", "A*C")
    assert not common("??", "A*BC")
    assert common("A*B*C", "*BX*")


def test_a_chain_is_pointed_out_from_both_ends() -> None:
    first, second = bot("first", "p", "mid"), bot("second", "mid", "end")
    check_family(second, [first])
    for sentences in (chains(second, [first]), chains(first, [second])):
        assert len(sentences) == 1
        assert "'second' copies only what somebody trades on mid by hand" in sentences[0]
    assert chains(first, [bot("third", "p", "elsewhere")]) == []


def test_what_is_refused_is_not_stored(folder: Path) -> None:
    config = Config.model_validate({"connections": {name: {"kind": "toy"} for name in ("parent", "child", "other-child")}})
    store = BotStore.load(folder)
    store.add(bot("first", "parent", "child"), config)
    store.add(bot("second", "parent", "other-child"), config)
    with pytest.raises(Conflict):
        store.add(bot("third", "child", "parent"), config)
    with pytest.raises(Conflict):
        store.change("second", bot("second", "parent", "child"), config)
    store.change("second", bot("renamed", "parent", "other-child"), config)
    assert list(BotStore.load(folder).bots) == ["first", "renamed"]
