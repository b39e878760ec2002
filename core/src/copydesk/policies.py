"""The settings of a bot and of a child as a form can be made of them: group, sentence, kind of value, default.

What may be set, its default and its choices are read from the models in `config.py`; only the words are here. A test sees
that no setting is without them.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from copydesk.config import BotSettings, ChildSettings
from copydesk.model import Record


class Choice(Record):
    """One value of a setting that has a few. `sentence` says what it does."""

    value: str
    sentence: str = ""


class Policy(Record):
    """One setting. `name` is dotted as on the command line, `of` says whose it is: a `bot`'s or a `child`'s.

    `kind`: `choice`, `number` (decimal), `whole` (number), `list` (of words) or `text`. `default` is written as on the
    command line, empty where there is none. `only_with`: the choices of another setting with which this one counts, as
    `name=value|value`.
    """

    name: str
    of: str
    group: str
    title: str
    sentence: str
    kind: str
    default: str = ""
    unit: str = ""
    choices: tuple[Choice, ...] = ()
    only_with: str = ""


class _Words(Record):
    group: str
    title: str
    sentence: str
    unit: str = ""
    choices: dict[str, str] = {}
    only_with: str = ""


IDENTITY = {"bot": ("name", "parent", "children", "working"), "child": ("account", "mode", "value")}
"""What is no policy: who copies whom, and how much."""

_START, _STOP, _AWAY = "When it is started", "When it is stopped", "When the parent is silent"
_SIZE, _FOLLOW, _REST = "Sizing", "Following", "When a copy rests"
_LATE, _REFUSED, _LIMITS, _FILTERS, _HAND = "Catching up", "What the venue refuses", "Limits", "Filters", "By hand"

_UNFILLED = {
    "wait": "nothing: it rests until it fills or the parent's order is gone",
    "market_after": "it is taken at market after the time below",
    "chase": "its limit is moved towards the market, step by step",
    "cancel_after": "it is cancelled after the time below, and leaves a ticket",
}

_WORDS: dict[tuple[str, str], _Words] = {
    ("bot", "start.policy"): _Words(
        group=_START,
        title="What the parent has already",
        sentence="What becomes of positions and orders that the parent has when the bot is started.",
        choices={
            "ignore": "is its own affair: only what it does from then on is copied",
            "adopt": "is followed; what a child holds already counts as copied, nothing is bought",
            "copy_now": "is followed, and what the children lack is bought at market",
            "copy_if_better": "is followed, and what they lack is bought at the parent's entry price or better",
        },
    ),
    ("bot", "start.max_adverse_percent"): _Words(
        group=_START,
        title="Still good enough",
        sentence="How much worse than the parent's entry price is still taken.",
        unit="%",
        only_with="start.policy=copy_if_better",
    ),
    ("bot", "stop"): _Words(
        group=_STOP,
        title="What the children have",
        sentence="What a stop does with the children's orders and positions.",
        choices={
            "leave": "stays at the venue as it is, shown as unmanaged",
            "wind_down": "is followed until it is flat; nothing is opened any more",
            "cancel_entries": "orders that would open are cancelled; positions and their protection stay",
            "cancel_all": "all orders are cancelled, protection too; positions stay",
            "flatten": "all orders are cancelled, then what was copied is closed at market",
        },
    ),
    ("bot", "parent_silent.after_s"): _Words(
        group=_AWAY, title="Patience", sentence="How long a parent that cannot be heard is waited for.", unit="s"
    ),
    ("bot", "parent_silent.action"): _Words(
        group=_AWAY,
        title="Then",
        sentence="What is done on the children once that time is up.",
        choices={
            "hold": "nothing: everything stands as it is",
            "cancel_child_entries": "orders that would open are cancelled, and placed again when it is back",
            "flatten": "all orders are cancelled and what was copied is closed at market",
        },
    ),
    ("child", "rounding"): _Words(
        group=_SIZE,
        title="Rounding",
        sentence="How the child's whole position is rounded to the venue's step.",
        choices={
            "floor": "down: never more than its share",
            "nearest": "to the nearest step",
            "min_one": "down, but at least one step",
        },
    ),
    ("child", "basis"): _Words(
        group=_SIZE,
        title="Balance",
        sentence="Which balance a percentage is taken of, on both sides.",
        choices={
            "equity": "cash and what open positions are worth",
            "cash": "what is there without open positions",
            "available": "what is free to open with",
            "fixed": "the amount below, whatever the account holds",
        },
    ),
    ("child", "fixed_balance"): _Words(
        group=_SIZE, title="Fixed balance", sentence="The child's balance for a percentage.", only_with="basis=fixed"
    ),
    ("child", "balance_max_age_s"): _Words(
        group=_SIZE,
        title="Oldest balance",
        sentence="A balance that is older is not opened by; the log then says so.",
        unit="s",
    ),
    ("child", "leverage"): _Words(
        group=_SIZE,
        title="Leverage",
        sentence="What is set at the venue when the bot is started, on a flat account only.",
        choices={"leave": "nothing is touched", "match_parent": "the same as the parent's", "fixed": "the value below"},
    ),
    ("child", "leverage_value"): _Words(
        group=_SIZE, title="Leverage value", sentence="The leverage to set.", unit="×", only_with="leverage=fixed"
    ),
    ("child", "trigger"): _Words(
        group=_FOLLOW,
        title="What is copied",
        sentence="Whether the parent's orders are copied or its executions.",
        choices={
            "on_submit": "each order, as the same kind of order, as soon as the venue reports it",
            "on_fill": "each execution, as a market order; what rests is not copied",
        },
    ),
    ("child", "ahead"): _Words(
        group=_FOLLOW,
        title="Holds too much",
        sentence="When the parent's order ends with less than the child has filled already.",
        choices={
            "trim": "the difference is closed",
            "keep": "it is kept until the parent closes",
            "ask": "it is kept, and a ticket asks",
        },
    ),
    ("child", "unfilled_entry.action"): _Words(
        group=_REST,
        title="An entry",
        sentence="The parent's order has filled and the child's entry still rests.",
        choices=_UNFILLED,
    ),
    ("child", "unfilled_entry.after_s"): _Words(
        group=_REST,
        title="Entry: after",
        sentence="Counted from the parent's fill; between two steps of a chase.",
        unit="s",
        only_with="unfilled_entry.action=market_after|chase|cancel_after",
    ),
    ("child", "unfilled_entry.max_slippage_percent"): _Words(
        group=_REST,
        title="Entry: worst price",
        sentence="How far from the parent's price it is taken at the worst.",
        unit="%",
        only_with="unfilled_entry.action=market_after",
    ),
    ("child", "unfilled_entry.step_percent"): _Words(
        group=_REST,
        title="Entry: step",
        sentence="How far a chase moves the limit each time, of the parent's price.",
        unit="%",
        only_with="unfilled_entry.action=chase",
    ),
    ("child", "unfilled_entry.steps"): _Words(
        group=_REST,
        title="Entry: steps",
        sentence="How many times it is moved at the most.",
        only_with="unfilled_entry.action=chase",
    ),
    ("child", "unfilled_exit.action"): _Words(
        group=_REST,
        title="An exit",
        sentence="The parent's exit has filled and the child's still rests; stops and targets too.",
        choices=_UNFILLED,
    ),
    ("child", "unfilled_exit.after_s"): _Words(
        group=_REST,
        title="Exit: after",
        sentence="Counted from the parent's fill; between two steps of a chase.",
        unit="s",
        only_with="unfilled_exit.action=market_after|chase",
    ),
    ("child", "unfilled_exit.step_percent"): _Words(
        group=_REST,
        title="Exit: step",
        sentence="How far a chase moves the limit each time; it ends at market.",
        unit="%",
        only_with="unfilled_exit.action=chase",
    ),
    ("child", "unfilled_exit.steps"): _Words(
        group=_REST,
        title="Exit: steps",
        sentence="How many times it is moved before it is closed at market.",
        only_with="unfilled_exit.action=chase",
    ),
    ("child", "catch_up.max_age_s"): _Words(
        group=_LATE,
        title="Not older than",
        sentence="A missed entry is made up for within this time; later it leaves a ticket.",
        unit="s",
    ),
    ("child", "catch_up.max_adverse_percent"): _Words(
        group=_LATE,
        title="Not worse than",
        sentence="How far the price may have moved against it meanwhile.",
        unit="%",
    ),
    ("child", "ticket_expires_s"): _Words(
        group=_HAND,
        title="Tickets expire",
        sentence="How long what could not be copied may be sent by hand.",
        unit="s",
    ),
    ("child", "hand_trading"): _Words(
        group=_HAND,
        title="Trading by hand",
        sentence="What becomes of what somebody trades on the child in a symbol that is copied.",
        choices={
            "coexist": "it is neither copied nor touched",
            "enforce": "it is closed again",
            "yield": "the bot keeps away from that symbol until it is flat",
        },
    ),
    ("child", "on_size_reject"): _Words(
        group=_REFUSED,
        title="Too large",
        sentence="When the venue finds an entry too large, for its rules or for the margin.",
        choices={"fail": "it is not copied, and leaves a ticket", "shrink_to_fit": "it is made smaller until it fits"},
    ),
    ("child", "limits.over"): _Words(
        group=_LIMITS,
        title="Over a limit",
        sentence="What becomes of an entry that is over one of the limits below. Exits go beyond all of them.",
        choices={"refuse": "it is not copied", "shrink": "it is made as small as the limit says"},
    ),
    ("child", "limits.max_order"): _Words(
        group=_LIMITS, title="Largest order", sentence="The most that one order may open."
    ),
    ("child", "limits.max_order_notional"): _Words(
        group=_LIMITS, title="… in money", sentence="The same in the quote currency."
    ),
    ("child", "limits.max_position"): _Words(
        group=_LIMITS,
        title="Largest position",
        sentence="The most that is copied per symbol, entries on their way included.",
    ),
    ("child", "limits.max_position_notional"): _Words(
        group=_LIMITS, title="… in money", sentence="The same in the quote currency."
    ),
    ("child", "limits.daily_loss"): _Words(
        group=_LIMITS,
        title="Daily loss",
        sentence="Once equity is so far below what the day began with, nothing is opened until the next day.",
    ),
    ("child", "limits.day_starts"): _Words(
        group=_LIMITS, title="The day begins", sentence="At this time, as hours:minutes."
    ),
    ("child", "limits.time_zone"): _Words(
        group=_LIMITS, title="… in this zone", sentence="Such as America/Chicago or Europe/Berlin."
    ),
    ("child", "limits.symbols"): _Words(
        group=_LIMITS, title="Only these symbols", sentence="Parted by semicolons, with * and ?; empty is any."
    ),
    ("child", "limits.price_band_percent"): _Words(
        group=_LIMITS,
        title="Price band",
        sentence="How far an entry's price may be from the last known one.",
        unit="%",
    ),
    ("child", "filters.include"): _Words(
        group=_FILTERS,
        title="Follow only",
        sentence="Symbols whose entries are followed, parted by semicolons, with * and ?.",
    ),
    ("child", "filters.exclude"): _Words(
        group=_FILTERS, title="Do not follow", sentence="Symbols whose entries are not followed."
    ),
    ("child", "filters.sessions"): _Words(
        group=_FILTERS,
        title="Sessions",
        sentence="When it may open, parted by semicolons: mon-fri 09:30-16:00 America/New_York.",
    ),
}


def policies() -> tuple[Policy, ...]:
    """Every setting of a bot and of a child, groups together, in the order in which one would go through them."""
    found = [*_policies("bot", BotSettings), *_policies("child", ChildSettings)]
    order = {key: place for place, key in enumerate(_WORDS)}
    return tuple(sorted(found, key=lambda policy: order.get((policy.of, policy.name), len(order))))


def unworded() -> tuple[str, ...]:
    """Settings and choices that have no words yet."""
    lacking = [f"{policy.of}: {policy.name}" for policy in policies() if not policy.sentence]
    return tuple(
        lacking
        + [
            f"{policy.of}: {policy.name}={choice.value}"
            for policy in policies()
            for choice in policy.choices
            if not choice.sentence
        ]
    )


def _policies(of: str, model: type[BaseModel]) -> Iterator[Policy]:
    for name, field in _flat(model):
        if name.partition(".")[0] in IDENTITY[of]:
            continue
        words = _WORDS.get((of, name)) or _Words(group="More", title=name, sentence="")
        kind, choices = _kind(field.annotation)
        yield Policy(
            name=name,
            of=of,
            group=words.group,
            title=words.title,
            sentence=words.sentence,
            kind=kind,
            default=_written(field.default),
            unit=words.unit,
            choices=tuple(Choice(value=value, sentence=words.choices.get(value, "")) for value in choices),
            only_with=words.only_with,
        )


def _flat(model: type[BaseModel], before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _flat(type(field.default), f"{before}{name}.")
        else:
            yield f"{before}{name}", field


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "choice", arguments
    if origin in (typing.Union, types.UnionType):
        (inner,) = [argument for argument in arguments if argument is not type(None)]
        return _kind(inner)
    if origin is tuple:
        return "list", ()
    return {Decimal: ("number", ()), int: ("whole", ()), bool: ("choice", ("true", "false"))}.get(annotation, ("text", ()))


def _written(default: Any) -> str:
    if default is None:
        return ""
    return ";".join(default) if isinstance(default, tuple) else str(default)
