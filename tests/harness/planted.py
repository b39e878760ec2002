"""Faults to be planted in the pure engine, one at a time: whoever watches over it has to find each.

A fault replaces a function or a number of the engine. It is written beside what it spoils, in the words of who made it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import msgspec
from copydesk import (
    copier,
    following,
    guarding,
    handwork,
    merging,
    planning,
    refusing,
    sending,
    settling,
    starting,
    stopping,
    trimming,
    unfilled,
)
from copydesk.model import ZERO
from copydesk.planning import Hold
from copydesk.sizing import round_to
from copydesk.state import ChildOrder, Link
from copydesk.tracking import Event, State

Plant = Callable[[Callable[..., None]], None]
"""Called with `put(owner, name, replacement)`."""
FAULTS: dict[str, Plant] = {}
THEMES: dict[str, str] = {}
"""What trouble the stories are about in which a fault is looked for, where it shows under no other."""


def fault(name: str, *, theme: str = "") -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        FAULTS[name], THEMES[name] = plant, theme
        return plant

    return add


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The engine with one fault."""
    patches: list[Any] = []

    def put(owner: Any, attribute: str, replacement: Any) -> None:
        assert hasattr(owner, attribute), f"{owner.__name__} has no {attribute} any more: plant {name!r} elsewhere"
        patches.append(patch.object(owner, attribute, replacement))

    FAULTS[name](put)
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


# --- what is sent -----------------------------------------------------------------------------------------------------


@fault("drop a modify")
def _(put: Callable[..., None]) -> None:
    put(following, "_modify", lambda run, link, order, terms, why: None)


@fault("resend with a new id", theme="requests")
def _(put: Callable[..., None]) -> None:
    placed, prepare = settling._placed, sending.prepare

    def hasty(run: Any, tracked: Any, outcome: Any) -> None:
        placed(run, tracked, outcome)
        if tracked.order.state is State.UNKNOWN:
            tracked.order.on(Event.NOT_FOUND)
            tracked.order.op = None

    def anew(run: Any, bot: Any, link: Any, pair: Any, *more: Any, **named: Any) -> ChildOrder:
        if pair.last is not None and pair.last.state is State.MISSING:
            pair.last.on(Event.GIVEN_UP)
        return prepare(run, bot, link, pair, *more, **named)

    put(settling, "_placed", hasty)
    put(following, "prepare", anew)


@fault("do not look up what is unknown", theme="requests")
def _(put: Callable[..., None]) -> None:
    def forget(run: Any, order: ChildOrder) -> None:
        order.op = None

    put(sending.Run, "look_up", forget)


@fault("take what is not found for what never arrived", theme="requests")
def _(put: Callable[..., None]) -> None:
    absent = settling.absent

    def final(run: Any, account: str, client_id: str, **_: Any) -> None:
        absent(run, account, client_id, final=True)

    put(copier, "absent", final)


@fault("make up ids")
def _(put: Callable[..., None]) -> None:
    number, make = itertools.count(), sending.client_order_id
    put(sending, "client_order_id", lambda *of: f"{make(*of)}{next(number)}")


# --- what is counted --------------------------------------------------------------------------------------------------


@fault("count a fill twice")
def _(put: Callable[..., None]) -> None:
    move = Link.move

    def twice(link: Link, order: ChildOrder, grown: Decimal) -> None:
        move(link, order, grown)
        link.attributed += order.terms.side.sign * grown

    put(Link, "move", twice)


@fault("count a repeated execution again")
def _(put: Callable[..., None]) -> None:
    def again(order: ChildOrder, fill: Any) -> Decimal:
        order.filled += fill.quantity
        return Decimal(fill.quantity)

    put(ChildOrder, "merge_fill", again)


# --- how much is wanted -----------------------------------------------------------------------------------------------


@fault("forget the residue")
def _(put: Callable[..., None]) -> None:
    put(planning, "entry_quantity", lambda before, added, step, rounding: round_to(added, step, rounding))


@fault("forget the ratio freeze")
def _(put: Callable[..., None]) -> None:
    has_ratio = following.fix_ratio

    def thaw(run: Any, bot: Any, link: Link, pair: Any) -> bool:
        link.ratios.clear()
        pair.ratio = None
        return has_ratio(run, bot, link, pair)

    put(following, "fix_ratio", thaw)


@fault("ignore reduce-only")
def _(put: Callable[..., None]) -> None:
    terms_of, closing = planning._child_terms, trimming.closing_terms

    def open_ended(*of: Any, **named: Any) -> Any:
        return terms_of(*of, **named | {"reduce_only": False})

    def bare(*of: Any) -> Any:
        return msgspec.structs.replace(closing(*of), reduce_only=False)

    put(planning, "_child_terms", open_ended)
    put(trimming, "closing_terms", bare)


# --- what is done when --------------------------------------------------------------------------------------------------


@fault("trim twice")
def _(put: Callable[..., None]) -> None:
    reduce = trimming._reduce

    def again(run: Any, bot: Any, link: Link, quantity: Decimal, why: str) -> None:
        reduce(run, bot, link, quantity, why)
        reduce(run, bot, link, quantity, why)

    put(trimming, "_reduce", again)


@fault("never trim")
def _(put: Callable[..., None]) -> None:
    put(trimming, "_trim", lambda run, bot, link: None)


@fault("block an exit by a limit")
def _(put: Callable[..., None]) -> None:
    guarded = guarding.guarded

    def strict(*of: Any) -> Any:
        want = guarded(*of)
        if not isinstance(want, Hold) and want.exit and want.terms.quantity > 2:
            return Hold("it is larger than the limit of 2", "capped")
        return want

    excess = trimming.excess

    def lenient(*of: Any) -> Decimal:
        beyond = excess(*of)
        return beyond if beyond <= 2 else Decimal(0)

    put(following, "guarded", strict)
    put(trimming, "excess", lenient)


@fault("add risk however late")
def _(put: Callable[..., None]) -> None:
    for module in (unfilled, following):
        if hasattr(module, "window"):
            put(module, "window", lambda link, *, hurried: (1 << 60, Decimal(50)))


@fault("take the child's stop away")
def _(put: Callable[..., None]) -> None:
    for module in (planning, following):
        put(module, "outlives", lambda bot, link, pair: False)


@fault("size exits by the parent alone", theme="refusals")
def _(put: Callable[..., None]) -> None:
    def parents(bot: Any, link: Link, pair: Any, quantity: Decimal, instrument: Any) -> Decimal:
        ratio = abs(link.ratio(1) or Decimal(1))
        return round_to(ratio * quantity, instrument.quantity_step, link.child.rounding)

    put(planning, "_closing", parents)


# --- whom to believe ----------------------------------------------------------------------------------------------------


@fault("copy one's own orders", theme="people")
def _(put: Callable[..., None]) -> None:
    own = copier.Copier._own_order

    def followed(engine: Any, run: Any, account: str, order: Any) -> None:
        if any(bot.working and bot.rules.parent == account for bot in engine.desk.bots.values()):
            copier.parent_report(run, account, order)
        else:
            own(engine, run, account, order)

    put(copier.Copier, "_own_order", followed)
    put(merging, "is_own", lambda client_id: False)


@fault("believe not-found at once", theme="requests")
def _(put: Callable[..., None]) -> None:
    for name, value in (("NOT_FOUND_TIMES", 1), ("NOT_FOUND_MS", 0), ("NOT_FOUND_ADDING_MS", 0)):
        put(settling, name, value)


@fault("lose what the position tells", theme="news")
def _(put: Callable[..., None]) -> None:
    put(merging, "_compare_positions", lambda run, bot, snapshot: None)


@fault("ignore hand trading", theme="hands")
def _(put: Callable[..., None]) -> None:
    def accept(run: Any, bot: Any, link: Link, found: Decimal) -> None:
        link.own = found

    put(handwork, "_believe", accept)


@fault("take a position told before its fill for a hand's", theme="news")
def _(put: Callable[..., None]) -> None:
    def hasty(run: Any, account: str, book: Any) -> None:
        for bot, link in list(handwork._links(run.desk, account)):
            found = handwork.foreign(run.desk, account, book)
            if link.begun and not link.detached and handwork.child_book(link) == book and handwork._matters(link, found):
                handwork._believe(run, bot, link, found)

    put(handwork, "position_told", hasty)


@fault("forget what an earlier run of the bot copied", theme="life")
def _(put: Callable[..., None]) -> None:
    put(starting, "takes", lambda *of: ZERO)


# --- settings -----------------------------------------------------------------------------------------------------------


@fault("drop an unfilled timer")
def _(put: Callable[..., None]) -> None:
    put(unfilled, "look", lambda *of: unfilled.REST)


@fault("hurry what may rest")
def _(put: Callable[..., None]) -> None:
    policy = unfilled.policy
    put(unfilled, "policy", lambda *of, **named: msgspec.structs.replace(policy(*of, **named), after_ms=1))


@fault("forget the shrink", theme="refusals")
def _(put: Callable[..., None]) -> None:
    put(refusing, "_shrinks", lambda *of: False)


@fault("shrink whatever is refused", theme="refusals")
def _(put: Callable[..., None]) -> None:
    shrinks = refusing._shrinks

    def always(run: Any, tracked: Any, pair: Any, refusal: Any) -> bool:
        link, child = tracked.link, tracked.link.child
        link.child = msgspec.structs.replace(child, on_size_reject="shrink_to_fit")
        shrunk = shrinks(run, tracked, pair, refusal)
        link.child = child
        return shrunk

    put(refusing, "_shrinks", always)


@fault("trim who is to keep")
def _(put: Callable[..., None]) -> None:
    trim = trimming._trim

    def strict(run: Any, bot: Any, link: Link) -> None:
        child = link.child
        link.child = msgspec.structs.replace(child, ahead="trim")
        trim(run, bot, link)
        link.child = child

    put(trimming, "_trim", strict)


@fault("copy orders where executions were asked for")
def _(put: Callable[..., None]) -> None:
    put(merging, "Executed", lambda parent: parent)


@fault("ignore limits and filters")
def _(put: Callable[..., None]) -> None:
    put(following, "guarded", lambda run, *of: planning.wanted(run.desk, *of))


@fault("ignore the request budget")
def _(put: Callable[..., None]) -> None:
    put(following, "may_place", lambda run, link, *, replaces: True)


@fault("leave what a stop takes away", theme="life")
def _(put: Callable[..., None]) -> None:
    put(stopping, "goes", lambda bot, link, pair, order, policy: False)
