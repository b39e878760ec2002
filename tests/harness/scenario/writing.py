"""Writes a story down as a scenario file: what `reading` reads is what was done."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from copydesk.wording import number

from harness.scenario.words import OrderWords, words_of

_VERBS = {"buy": "buys", "sell": "sells"}


def write_order(order: OrderWords) -> str:
    side, _, rest = words_of(order.terms).partition(" ")
    return f"{_VERBS[side]} {rest}" + (f" as {order.name}" if order.name else "")


_WRITERS: Mapping[str, Callable[[Any], str]] = {
    "order": write_order,
    "group": lambda legs: "; ".join(map(write_order, legs)),
    "price": number,
    "quantity": number,
    "amount": number,
    "time": lambda milliseconds: f"{milliseconds} ms",
}


def write_step(form: str, values: Mapping[str, Any]) -> str:
    """A row of the table of phrases with its values."""
    return form.format(**{name: _WRITERS.get(name, str)(value) for name, value in values.items()})


def write_scenario(
    title: str, why: Iterable[str], desk: Iterable[str], steps: Iterable[tuple[str, Mapping[str, Any]]]
) -> str:
    lines = [title, *why, "", "Desk", *(f"  {line}" for line in desk), "", "Story"]
    return "\n".join([*lines, *(f"  {write_step(form, values)}" for form, values in steps), ""])
