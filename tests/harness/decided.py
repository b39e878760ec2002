"""What every decision and every word of the state has to look like, whatever the story: checked as the stories go on.

The tables are all that the engine may say. What is not in them is a slip, or a new word that belongs here.
"""

from __future__ import annotations

import dataclasses
import re
import types
from collections.abc import Iterable
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from copydesk import state
from copydesk.ids import TICKET, client_order_id
from copydesk.inputs import Cancel, Decision, LookUp, Modify, Note, Place, PlaceGroup
from copydesk.model import ZERO, NewOrder, OrderType, Terms, from_json
from copydesk.state import ChildOrder, Desk, Executed, Pair

NOTES: dict[str, tuple[str, str]] = {
    "adopted": ("info", ""),
    "ahead": ("warn", ""),
    "alarm": ("info error", "parent_order"),
    "behind": ("warn", "ticket ticket_id"),
    "below-baseline": ("info", "parent_order"),
    "capped": ("warn", "limit parent_order"),
    "dust": ("info", "quantity|parent_order"),
    "filtered": ("warn", "limit parent_order"),
    "hand-traded": ("info warn error", ""),
    "inferred": ("info warn", ""),
    "limits": ("info warn", "actor limit state until_ns"),
    "missing": ("info", "client_id"),
    "naked": ("warn", "lasted_ms"),
    "no-balance": ("error", ""),
    "not-connected": ("warn", "parent_order"),
    "not-adopted": ("warn", "parent_order"),
    "nothing-to-reduce": ("info", "parent_order|client_id"),
    "overtaken": ("info", "parent_order"),
    "parent-back": ("info", ""),
    "parent-silent": ("warn", ""),
    "rejected": ("error", "client_id code"),
    "rounded-to-nothing": ("info", "parent_order"),
    "stale": ("warn error", "parent_order ticket ticket_id"),
    "stop-done": ("info", ""),
    "stranger": ("error", "orders"),
    "ticket": ("info warn", "ticket_id"),
    "too-small": ("info", "parent_order"),
    "trim-failed": ("error", "ticket ticket_id"),
    "unfilled": ("warn", "parent_order"),
    "ungrouped": ("warn", "client_id parent_order"),
    "unknown-symbol": ("error", "parent_order"),
    "unverified": ("error", "client_id"),
    "waits-for-budget": ("info", "parent_order"),
    "waits-for-close": ("info", "parent_order"),
    "waits-for-coins": ("info", "parent_order"),
    "waits-for-fill": ("info", "parent_order"),
    "waits-for-trigger": ("warn", "parent_order client_id"),
    "winding-down": ("info", "parent_order"),
    "wound-down": ("info", ""),
}
"""By kind: its levels, and what it always tells in `data` (`a|b`: one of them)."""
OF_NO_LINK = {"limits", "parent-back", "parent-silent", "stop-done", "stranger", "ticket", "wound-down"}
WHYS = {
    Place: {"catch-up", "enforce", "entry", "executed", "exit", "flatten", "ticket", "trim", "unfilled"},
    PlaceGroup: {"exit"},
    Modify: {"follows-position", "parent-changed"},
}
CLOSED = {
    "", "ahead", "below-baseline", "cancelled", "capped", "done", "dust", "expired", "filtered", "hand-traded", "inferred",
    "no-balance", "not-adopted", "nothing-to-reduce", "overtaken", "parent-ended-unfilled", "rejected",
    "rounded-to-nothing", "stale", "too-small", "unfilled", "unknown-symbol", "winding-down",
}  # fmt: skip
CANCELLED_FOR = {"", "given-up", "parent", "refused", "replace", "silence", "stop", "unfilled"}
LIMITS = {
    "", "allowed-symbols", "max-order", "max-order-notional", "max-position", "max-position-notional", "price-band",
    "price-unknown", "sessions", "symbols", "trading-state", "venue",
}  # fmt: skip
WAITING = LIMITS | set(NOTES)
LEGS = "cmtx"
OWN_ID = re.compile(rf"cdk-[a-z2-7]{{20}}-[{LEGS}][0-9a-z]{{1,3}}")


def check(decision: Decision, desk: Desk) -> None:
    """Raises `AssertionError` for a decision that nobody could understand or carry out."""
    match decision:
        case Note():
            _note(decision, desk)
        case LookUp():
            assert decision.account in desk.accounts, decision
            assert all(ref.symbol and (ref.client_id or ref.venue_id) for ref in decision.orders), decision
        case _:
            _send(decision, desk)
    assert isinstance(decision, Note) or decision.id == desk.intents or decision.id > 0, decision


def _note(note: Note, desk: Desk) -> None:
    levels, always = NOTES[note.kind]
    assert note.level in levels.split(), note
    assert note.text, note
    assert "None" not in note.text, note
    for names in always.split():
        assert any(name in note.data for name in names.split("|")), note
    assert all(value is not None for value in note.data.values()), note
    assert note.kind == "limits" or note.data.get("limit", "told") in LIMITS - {""} | {"told"}, note
    if note.kind not in OF_NO_LINK:
        assert note.bot in desk.bots, note
        assert note.symbol, note
        assert note.account in desk.accounts, note
    if note.kind == "alarm" and note.level == "error":
        assert {"client_id", "code"} <= note.data.keys(), note
    if "ticket_id" in note.data and "ticket" in note.data:
        assert _is_whole(from_json(str(note.data["ticket"]), Terms)), note
        ticket = desk.tickets[str(note.data["ticket_id"])]
        assert (ticket.bot, ticket.child, ticket.symbol, ticket.kind, ticket.why) == (
            note.bot,
            note.account,
            note.symbol,
            note.kind,
            note.text,
        ), note
        assert ticket.parent_order == note.data.get("parent_order", ""), note
    if note.data.get("parent_order"):
        bot = desk.bots[note.bot]
        assert note.data["parent_order"] in bot.orders or note.data["parent_order"] in bot.past, note


def _send(intent: Place | PlaceGroup | Modify | Cancel, desk: Desk) -> None:
    assert intent.bot in desk.bots, intent
    assert intent.account in desk.accounts, intent
    assert intent.cause, intent
    assert intent.why, intent
    assert intent.why in WHYS.get(type(intent), {intent.why}), intent
    assert OWN_ID.fullmatch(intent.client_id), intent
    leg = intent.client_id.rpartition("-")[2]
    made = client_order_id(intent.bot, intent.account, intent.cause, leg[0], int(leg[1:], 36))
    assert intent.client_id == made or leg[0] == TICKET, intent
    match intent:
        case Place(order=order):
            assert _is_whole(order.terms), intent
        case PlaceGroup(group=group):
            assert len(group.legs) == 2, intent
            assert all(OWN_ID.fullmatch(leg.client_id) and _is_whole(leg.terms) for leg in group.legs), intent
        case Modify(change=change):
            assert _is_whole(change.terms), intent
            assert change.ref.symbol == change.terms.symbol, intent
        case Cancel(order=ref):
            assert ref.symbol, intent


def _is_whole(terms: Terms) -> bool:
    """An order that can be placed: a quantity, and the prices of its type."""
    prices = (terms.price is not None) == terms.type.has_price
    trigger = terms.trigger_price is not None or terms.type is OrderType.TRAILING_STOP
    return bool(terms.symbol) and terms.quantity > ZERO and prices and trigger == terms.type.is_conditional


def check_words(desk: Desk) -> None:
    """Raises `AssertionError` for a word in the state that is not one of those that it may be."""
    for account in desk.accounts.values():
        _kinds(account)
    for bot in desk.bots.values():
        _kinds(bot)
        for known in (*bot.orders.values(), *bot.books.values()):
            _kinds(known)
        assert bot.ending in ("", "cancel_all", "cancel_entries", "flatten"), bot.ending
        assert bot.silent in ("", "hold", "cancel_child_entries", "flatten"), bot.silent
        for link in bot.links.values():
            _kinds(link)
            assert link.said in ("", "ahead"), link.said
            for pair in (*link.pairs.values(), *link.ended.values()):
                _pair(pair)
            for order in link.corrections:
                _order(order)


def _pair(pair: Pair) -> None:
    _kinds(pair)
    assert pair.closed in CLOSED, pair.closed
    assert pair.waiting in WAITING, pair.waiting
    assert pair.guard in ("", "capped", "filtered"), pair.guard
    assert pair.limit in LIMITS, pair.limit
    assert pair.lost in CLOSED, pair.lost
    for order in pair.orders:
        _order(order)


def _order(order: ChildOrder) -> None:
    assert order.cancelled_for in CANCELLED_FOR, order.cancelled_for
    assert order.leg in tuple(LEGS), order.leg
    _kinds(order)


def _kinds(record: Any) -> None:
    """What a field holds is of the kind that it is annotated with: no zero for none, no other number for a `Decimal`."""
    for name, kinds in _kinds_of(type(record)) if not isinstance(record, Executed) else ():
        value = getattr(record, name)
        assert isinstance(value, kinds), (type(record).__name__, name, value)


@cache
def _kinds_of(record: type) -> tuple[tuple[str, tuple[type, ...]], ...]:
    hints = get_type_hints(record, vars(state))
    kinds = ((field.name, _classes(hints[field.name])) for field in dataclasses.fields(record))
    return tuple((name, classes) for name, classes in kinds if object not in classes)


def _classes(hint: Any) -> tuple[type, ...]:
    """The classes of an annotation, of what it contains only the outermost."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(found for part in get_args(hint) for found in _classes(part))
    found = get_origin(hint) or hint
    return (found if isinstance(found, type) else object,)


def check_early(early: Iterable[tuple[str, NewOrder]], decisions: Iterable[Decision]) -> None:
    """What is sent at a glance, by account, has to be decided too, and each of it once."""
    placed = [(decision.account, decision.order) for decision in decisions if isinstance(decision, Place)]
    for one in early:
        assert placed.count(one) == 1, f"{one} is sent at a glance, and decided {placed.count(one)} times"
