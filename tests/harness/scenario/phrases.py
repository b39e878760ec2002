"""Every step that a scenario may take, as it is written. This table is the language: what is not in it is an error.

`{account}` is `parent`, a child's name with or without `child` before it, or `every child`; `{order}` is read by
`words.read_order`. The word behind the arrow is the method of `stage.Stage` that does it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from copydesk.model import RejectReason

from harness.scenario.words import (
    NAME,
    Unreadable,
    read_decimal,
    read_group,
    read_holding,
    read_order,
    read_orders,
    read_time,
)

ACTIONS = {
    # the parent, and people
    "parent {order}": "parent_places",
    "parent places as one {group}": "parent_places_as_one",
    "parent moves {name} to {price}": "parent_moves",
    "parent resizes {name} to {quantity}": "parent_resizes",
    "parent drags {name} to {price} in {count} steps within {time}": "parent_drags",
    "parent drags {name} to {price} in {count} steps at once": "parent_drags",
    "parent cancels {name}": "parent_cancels",
    "parent places {count} orders, each {order}": "parent_places_many",
    "by hand {account} {order}": "hand_places",
    "by hand {account} cancels {name}": "hand_cancels",
    "another bot on {account} {order}": "another_bot_trades",
    "{account} deposits {amount}": "deposits",
    "{account} withdraws {amount}": "withdraws",
    # the market and the venue
    "market moves to {price}": "market_moves",
    "market trades {quantity} at {price}": "market_trades",
    "market has {quantity} on each side": "market_depth",
    "venue fills {quantity} of {account}'s {name}": "venue_fills",
    "venue fills all of {account}'s {name}": "venue_fills_all",
    "venue loses its reply to {account}": "venue_loses_reply",
    "venue loses the next {count} replies to {account}": "venue_loses_reply",
    "venue loses the next request of {account}": "venue_loses_request",
    "venue hides what {account} does for {time}": "venue_hides",
    "venue is too busy for the next {count} requests of {account}": "venue_is_busy",
    "venue refuses the next request of {account}: {reason}": "venue_refuses",
    "venue refuses the next {count} requests of {account}: {reason}": "venue_refuses",
    "venue repeats the last {count} fills of {account}": "venue_repeats",
    "connection of {account} goes down": "goes_down",
    "connection of {account} comes back": "comes_back",
    "position mode of {account} becomes {mode}": "position_mode",
    # single messages, where they are held
    "engine hears {count} reports": "engine_hears",
    "engine hears {count} reports twice": "engine_hears_twice",
    "engine hears {count} reports backwards": "engine_hears_backwards",
    "venue takes {count} requests": "venue_takes",
    "reports to {account} are lost, {count} of them": "reports_are_lost",
    "venue does not find what {account} looks up, {count} times": "venue_does_not_find",
    "venue conceals {name}": "venue_conceals",
    "venue reveals everything": "venue_reveals",
    "snapshot of {account} is taken": "snapshot_is_taken",
    "snapshot of {account} arrives": "snapshot_arrives",
    "account of {account} is read again": "is_read",
    "engine crashes after sending": "engine_crashes_late",
    "all comes to rest": "all_comes_to_rest",
    # the engine and the clock
    "engine crashes": "engine_crashes",
    "engine starts": "engine_starts",
    "bot starts": "bot_starts",
    "bot starts with {policy}": "bot_starts",
    'bot is refused to start: "{words}"': "bot_is_refused",
    "bot stops": "bot_stops",
    "bot stops with {policy}": "bot_stops",
    "settings of {account} become {settings}": "settings_become",
    "{account} is taken out of the bot": "taken_out",
    'another bot that copies {account} to {name} is refused: "{words}"': "another_is_refused",
    "a person sends the ticket of {account}": "sends_ticket",
    'a person cannot send the ticket of {account}: "{words}"': "cannot_send_ticket",
    "a person dismisses the ticket of {account}": "dismisses_ticket",
    "preview of {account} has {quantity} as the smallest order of the parent": "preview_has_smallest",
    'preview of {account} skips {count} trades of the parent: "{words}"': "preview_skips",
    "trading of {account} becomes {state}": "trading_becomes",
    "time passes: {time}": "time_passes",
}

CHECKS = {
    "leverage of {account} shall be {count}": "leverage_shall_be",
    "bot shall be {status}": "bot_shall_be",
    "{account} shall be flat": "shall_be_flat",
    "{account} shall hold {holding}": "shall_hold",
    "{account} shall have copied {holding}": "shall_have_copied",
    "{account} shall have no orders": "shall_have_no_orders",
    "{account} shall have {orders}": "shall_have",
    "{account} shall place {orders}": "shall_place",
    "{account} shall send nothing": "shall_send_nothing",
    "{account} shall send {count} request": "shall_send",
    "{account} shall send {count} requests": "shall_send",
    "{account} shall send at most {count} requests": "shall_send_at_most",
    "all children together shall send at most {count} requests": "all_shall_send_at_most",
    "{account} shall not drift": "shall_not_drift",
    "{account} shall drift by {holding} because {cause}": "shall_drift",
    "{account} shall have the ticket {order}": "shall_have_ticket",
    "{account} shall have no ticket": "shall_have_no_ticket",
    "ticket of {account} shall be {ticket}": "ticket_shall_be",
    "{account} shall have been without a stop for {time} at most": "shall_have_been_naked",
    "promises shall hold": "promises_shall_hold",
    "{account} shall be {health}": "shall_be",
    'log shall say "{words}"': "log_shall_say",
    'log shall not say "{words}"': "log_shall_not_say",
}


def _read_reason(text: str) -> RejectReason:
    try:
        return RejectReason(text)
    except ValueError:
        raise Unreadable(f"{text!r} is no reason to refuse: {', '.join(RejectReason)}") from None


_KINDS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "account": (rf"every child|(?:child )?{NAME}", lambda text: text.removeprefix("child ")),
    "name": (NAME, str),
    "order": (r"(?:buys|sells|buy|sell) .+", read_order),
    "orders": (r"(?:buy|sell) .+", read_orders),
    "group": (r"(?:buys|sells) .+; (?:buys|sells) .+", read_group),
    "price": (r"[\d.,]+", read_decimal),
    "quantity": (r"[\d.,]+", read_decimal),
    "amount": (r"[\d.,]+", read_decimal),
    "holding": (r"nothing|-?[\d.,]+(?: long| short)?", read_holding),
    "count": (r"\d+", int),
    "time": (r"[\d.]+ (?:ms|s|min|h|days?)", read_time),
    "reason": (r"[a-z-]+", _read_reason),
    "cause": (r"[a-z-]+(?: [\d.]+(?:, [a-z-]+ [\d.]+)*)?", str),
    "mode": (r"one-way|hedge", str),
    "health": (r"in sync|[a-z-]+", str),
    "policy": (r"[a-z_]+", str),
    "state": (r"all|close_only|none", str),
    "status": (r"Working|Stopped", str),
    "ticket": (r"open|sent|dismissed|expired|replaced", str),
    "settings": (r"\S+=\S+", str),
    "words": (r"[^\"]+", str),
}


@dataclass(frozen=True)
class Phrase:
    """One row of the table, ready to be recognised."""

    form: str
    verb: str
    is_check: bool
    pattern: re.Pattern[str]

    def read(self, text: str) -> dict[str, Any] | None:
        """The values in `text` by their names, or `None` where it is another phrase. Raises `Unreadable`."""
        match = self.pattern.fullmatch(text)
        if match is None:
            return None
        return {name: _KINDS[name][1](value) for name, value in match.groupdict().items()}


def _compile(form: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", form)
    made = [re.escape(part) if n % 2 == 0 else rf"(?P<{part}>{_KINDS[part][0]})" for n, part in enumerate(parts)]
    return re.compile("".join(made))


PHRASES = tuple(
    Phrase(form, verb, table is CHECKS, _compile(form)) for table in (ACTIONS, CHECKS) for form, verb in table.items()
)


def read_step(text: str) -> tuple[Phrase, dict[str, Any]]:
    """The phrase that `text` is, with its values. Raises `Unreadable` with what would have been understood."""
    text = " ".join(text.split())
    for phrase in PHRASES:
        values = phrase.read(text)
        if values is not None:
            return phrase, values
    first = text.split(" ")[0]
    alike = [phrase.form for phrase in PHRASES if phrase.form.split(" ")[0] == first]
    if " shall " in text:
        alike = [phrase.form for phrase in PHRASES if phrase.is_check]
    forms = alike or [phrase.form for phrase in PHRASES]
    raise Unreadable("no such step; expected one of: " + " | ".join(forms))
