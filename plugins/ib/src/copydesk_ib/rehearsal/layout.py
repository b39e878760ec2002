"""How the fields of a message are laid out: a small grammar, read and written by server version.

A layout is a tuple of items. A string names fields, parted by spaces; `name=value` says what is written where there is no
value. `Since` and `Before` hold items that only some server versions have, `When` those that another field brings about,
`Many` a count and so many groups, `Case` what depends on the value of one field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from copydesk_ib.rehearsal.wire import Fields, Value, WireError, text

Told = Mapping[str, Any]
"""Values by field name; of a `Many` a list of such mappings."""


@dataclass(frozen=True, slots=True)
class Since:
    """Items that server version `version` brought."""

    version: int
    items: Layout


@dataclass(frozen=True, slots=True)
class Before:
    """Items that server version `version` took away."""

    version: int
    items: Layout


@dataclass(frozen=True, slots=True)
class When:
    """Items that are there where `test` holds for what stood before them."""

    test: Callable[[Told], bool]
    items: Layout


@dataclass(frozen=True, slots=True)
class Many:
    """A count, then so many groups."""

    name: str
    items: Layout
    most: int = 100


@dataclass(frozen=True, slots=True)
class Case:
    """What follows the field `name`, by its value."""

    name: str
    cases: Mapping[str, Layout]


Item = str | Since | Before | When | Many | Case
Layout = tuple[Item, ...]


def read(layout: Layout, fields: Fields, version: int) -> dict[str, Any]:
    """What a message says, by field name. Raises `WireError`."""
    told: dict[str, Any] = {}
    _read(layout, fields, version, told)
    return told


def _read(layout: Layout, fields: Fields, version: int, told: dict[str, Any]) -> None:
    for item in layout:
        if isinstance(item, str):
            names = _fields(item)
            for (name, _), value in zip(names, fields.texts(len(names)), strict=True):
                told[name] = value
        elif isinstance(item, Many):
            count = fields.integer()
            if not 0 <= count <= item.most:
                raise WireError(f"{count} {item.name} are too many")
            told[item.name] = [read(item.items, fields, version) for _ in range(count)]
        else:
            _read(_chosen(item, version, told), fields, version, told)


def write(layout: Layout, told: Told, version: int) -> list[str]:
    """The fields of a message."""
    fields: list[str] = []
    _write(layout, told, version, fields)
    return fields


def _write(layout: Layout, told: Told, version: int, fields: list[str]) -> None:
    for item in layout:
        if isinstance(item, str):
            for name, default in _fields(item):
                value: Value = told.get(name)
                fields.append(default if value is None else value if type(value) is str else text(value))
        elif isinstance(item, Many):
            groups = told.get(item.name) or ()
            fields.append(str(len(groups)))
            for group in groups:
                _write(item.items, group, version, fields)
        else:
            _write(_chosen(item, version, told), told, version, fields)


@cache
def _fields(item: str) -> tuple[tuple[str, str], ...]:
    """The names of an item with what is written where there is no value."""
    return tuple((name, default) for name, _, default in (word.partition("=") for word in item.split()))


def _chosen(item: Since | Before | When | Case, version: int, told: Told) -> Layout:
    match item:
        case Since():
            return item.items if version >= item.version else ()
        case Before():
            return item.items if version < item.version else ()
        case When():
            return item.items if item.test(told) else ()
        case Case():
            found = item.cases.get(str(told.get(item.name, "")))
            if found is None:
                raise WireError(f"{item.name} {told.get(item.name)!r} is unknown")
            return found
