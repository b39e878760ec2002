"""Client order ids: a pure function of what they name, short, plain, and different for different things."""

from __future__ import annotations

import re

from copydesk.ids import COPY, TRIM, client_order_id, is_own
from hypothesis import given
from hypothesis import strategies as st

names = st.text(st.characters(exclude_categories=["C"]), max_size=60)
legs = st.sampled_from([COPY, TRIM])
keys = st.tuples(names, names, names, legs, st.integers(0, 36**4 - 1))


@given(keys)
def test_shape(key):
    made = client_order_id(*key)
    assert re.fullmatch(r"cdk-[a-z2-7]{20}-[ct][0-9a-z]+", made)
    assert len(made) <= 36
    assert is_own(made)


def test_a_first_id_has_the_documented_length():
    assert len(client_order_id("bot", "child", "1")) <= 29


@given(keys)
def test_it_is_pure(key):
    assert client_order_id(*key) == client_order_id(*key)


@given(st.lists(keys, min_size=2, max_size=30, unique=True))
def test_different_things_have_different_ids(several):
    assert len({client_order_id(*key) for key in several}) == len(several)


@given(names, names, names)
def test_names_do_not_run_into_each_other(bot, child, order):
    """`a` + `bc` is not `ab` + `c`."""
    whole = bot + child
    cuts = {(whole[:n], whole[n:]) for n in range(len(whole) + 1)}
    assert len({client_order_id(*cut, order) for cut in cuts}) == len(cuts)


def test_ids_never_change():
    """What stands at a venue was named by an older copydesk: these may not come out otherwise, ever."""
    assert client_order_id("bot", "c1", "1") == "cdk-oxqxqyfjl7detrhnpkmh-c0"
    assert client_order_id("bot", "c1", "4", COPY, 37) == "cdk-tmugb6p5wh4g3tktjsds-c11"


def test_others_are_not_ours():
    assert not any(is_own(other) for other in ("", "web_1", "auto-1", "ticket-1", "CDK-x", "xcdk-1"))
