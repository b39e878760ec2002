"""What is written as TOML is read back as it was."""

from __future__ import annotations

import tomllib

import pytest
from copydesk.tomlwriting import to_toml
from hypothesis import given
from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = TEXTS | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
VALUES = PLAIN | st.lists(PLAIN, max_size=4)
TABLES = st.recursive(
    st.dictionaries(TEXTS, VALUES, max_size=4),
    lambda tables: st.dictionaries(TEXTS, VALUES | tables | st.lists(tables, min_size=1, max_size=3), max_size=4),
    max_leaves=12,
)


@given(TABLES)
def test_a_table_is_read_back_as_it_was(table: dict[str, object]):
    assert tomllib.loads(to_toml(table)) == table


def test_what_is_nothing_is_left_out_and_what_is_no_value_refused():
    assert to_toml({"a": None, "b": 1}) == "b = 1\n"
    with pytest.raises(TypeError, match="a set cannot be written"):
        to_toml({"a": {1}})
