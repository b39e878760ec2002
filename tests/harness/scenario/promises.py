"""What holds once things are quiet, whatever happened before: the invariants I1 to I7, each a check with a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from copydesk.copier import Copier
from copydesk.drifting import UNEXPLAINED, drifts
from copydesk.ids import is_own
from copydesk.inputs import ChildRules, Input, Place
from copydesk.model import ZERO, OrderType, PositionSide, Side, to_json
from copydesk.state import Link
from copydesk.tracking import State

from harness.scenario.reading import PARENT
from harness.scenario.words import SYMBOL

if TYPE_CHECKING:
    from harness.scenario.held import HeldStage

BOT = "bot"
_read_input = msgspec.json.Decoder(Input).decode
_REVERSED = {
    PositionSide.NET: PositionSide.NET,
    PositionSide.LONG: PositionSide.SHORT,
    PositionSide.SHORT: PositionSide.LONG,
}


class Broken(AssertionError):
    """A promise that does not hold, in a sentence."""


def _hold(holds: bool, text: str) -> None:
    if not holds:
        raise Broken(text)


# --- what is asked --------------------------------------------------------------------------------------------------------


def children_of(stage: HeldStage) -> list[ChildRules]:
    rules = stage.desk.bots[BOT].rules.children
    return [child for child in rules if child.account not in stage.loop.dead]


def sides_of(stage: HeldStage) -> tuple[PositionSide, ...]:
    return (PositionSide.LONG, PositionSide.SHORT) if stage.scenario.hedge else (PositionSide.NET,)


def theirs(child: ChildRules, side: PositionSide) -> PositionSide:
    """A mirrored child holds on the other side of a hedge."""
    return _REVERSED[side] if child.mode == "multiplier" and child.value < 0 else side


def copied(stage: HeldStage, account: str, side: PositionSide) -> Decimal:
    """The sum of the fills of the engine's own orders, as the venue knows it."""
    fills = [fill for fill in stage.exchange.fills(account) if is_own(fill.client_id) and fill.position_side is side]
    return sum((fill.side.sign * fill.quantity for fill in fills), ZERO)


def links_of(stage: HeldStage, account: str) -> list[Link]:
    return [link for (name, _), link in stage.desk.bots[BOT].links.items() if name == account]


def excused(stage: HeldStage, account: str) -> bool:
    """By name: an order of the child still stands at the venue, or a trim failed and a person was told."""
    links = links_of(stage, account)
    resting = any(order.state.is_live and order.remaining for link in links for order in link.orders)
    return resting or any(link.failing for link in links)


# --- the promises ---------------------------------------------------------------------------------------------------------


def one_order_per_id(stage: HeldStage) -> None:
    """I1: at most one accepted order per client id."""
    for child in children_of(stage):
        own = Counter(order.client_id for order in stage.exchange.orders(child.account) if is_own(order.client_id))
        twice = [client_id for client_id, count in own.items() if count > 1]
        _hold(not twice, f"{child.account} has two orders of the id {twice}")


def one_copy_per_order(stage: HeldStage) -> None:
    """I1: the copies of one parent order that only opened filled no more than its share, over all their generations."""
    loop = stage.loop
    causes = {(i.account, i.order.client_id): i.cause for i in loop.intents if isinstance(i, Place) and i.why != "trim"}
    for child in children_of(stage):
        if child.mode != "multiplier" or stage.resized:
            continue
        filled: Counter[str] = Counter()
        for order in stage.exchange.orders(child.account):
            filled[causes.get((child.account, order.client_id), "")] += order.filled  # type: ignore[assignment]
        for venue_id, parent in stage.desk.bots[BOT].orders.items():
            if parent.opened and not parent.closed:
                most = max(stage.meant[venue_id].largest if venue_id in stage.meant else ZERO, parent.opened)
                _hold(
                    filled[venue_id] <= abs(child.value) * most + stage.loop.instrument.quantity_step,
                    f"{child.account} filled {filled[venue_id]} for the parent's order {venue_id} of {most}",
                )


def never_beyond_what_was_meant(stage: HeldStage) -> None:
    """I2, at all times: no child holds more than its share of all that the parent's orders in that direction were for.

    Both of its sides may fill in another order than the parent's: until all is quiet no less can be promised. Not where
    reports of the parent were lost without a trace: nobody can know better then, until its account is read.
    """
    if stage.resized or stage.by_hand or stage.loop.misled:
        return
    step = stage.loop.instrument.quantity_step
    for child in children_of(stage):
        if child.mode != "multiplier":
            continue
        for book in sides_of(stage):
            held = copied(stage, child.account, theirs(child, book))
            towards = Side.BUY if held * child.value > 0 else Side.SELL
            if book is not PositionSide.NET:  # what is held in a book of a hedge was opened in its own direction
                towards = Side.BUY if book is PositionSide.LONG else Side.SELL
            meant = stage.most_meant(book, towards)
            most = abs(child.value) * meant + step
            _hold(abs(held) <= most, f"{child.account} holds {held}, and the parent never meant more than {meant}")


def books_agree(stage: HeldStage) -> None:
    """I2: what the engine believes of both sides is what the venue has."""
    bot = stage.desk.bots[BOT]
    for side in sides_of(stage):
        held = sum((p.quantity for p in stage.exchange.positions(PARENT) if p.position_side is side), ZERO)
        believed = bot.book((SYMBOL, side)).position
        _hold(believed == held, f"the parent holds {held}, the engine believes {believed}")
        if stage.by_hand:
            continue  # rule 17: what people close of it is not the engine's any more
        for child in children_of(stage):
            link = bot.links.get((child.account, (SYMBOL, side)))
            believed = link.attributed + link.let_go if link is not None else ZERO  # with what was let go of
            has = copied(stage, child.account, theirs(child, side))
            _hold(believed == has, f"{child.account} has copied {has}, the engine believes {believed}")


def no_more_than_its_share(stage: HeldStage) -> None:
    """I2 and I3: once the parent has no orders no child holds more than its share; no limit keeps it from reducing."""
    if stage.refused or stage.by_hand or stage.exchange.open_orders(PARENT):
        return
    for view in drifts(stage.desk):
        if view.child not in stage.loop.dead and not excused(stage, view.child) and view.cause != "ahead":
            _hold(
                abs(view.attributed) <= abs(view.target) + stage.loop.instrument.quantity_step,
                f"{view.child} holds {view.attributed}, its share is {view.target}",
            )


def flat_means_flat(stage: HeldStage) -> None:
    """I4: a parent that holds and wants nothing leaves its children with nothing, or there is a named exception."""
    if stage.refused or stage.by_hand or stage.exchange.open_orders(PARENT) or stage.exchange.positions(PARENT):
        return
    for child in children_of(stage):
        if excused(stage, child.account) or child.ahead != "trim":
            continue
        held = [position.quantity for position in stage.exchange.positions(child.account)]
        _hold(not held, f"{child.account} holds {held}, and the parent nothing")
        working = [order.client_id for order in stage.exchange.open_orders(child.account)]
        _hold(not working, f"{child.account} has the working orders {working}, and the parent none")


def replays(stage: HeldStage) -> None:
    """I5: the journalled inputs, read from their JSON, give the same decisions byte for byte."""
    again = Copier()
    for number, (given, before) in enumerate(zip(stage.loop.inputs, stage.loop.decided, strict=True)):
        now = b"\n".join(to_json(decision) for decision in again.apply(_read_input(given)))
        _hold(now == before, f"input {number} gives {now!r}, and gave {before!r}")


def everything_has_a_name(stage: HeldStage) -> None:
    """I4: nothing differs without a reason."""
    nameless = [view for view in drifts(stage.desk) if UNEXPLAINED in [part.cause for part in view.causes]]
    _hold(not nameless, f"drift without a cause: {nameless}")


def risk_is_added_in_time(stage: HeldStage) -> None:
    """I7: what adds risk late is sent inside its window only."""
    _hold(not stage.loop.too_late, "; ".join(stage.loop.too_late))


def nothing_crosses_flat(stage: HeldStage) -> None:
    """I2: where the venue does not net, no order carries a child through flat."""
    _hold(not stage.loop.crossings, "; ".join(stage.loop.crossings))


def nothing_stays_uncertain(stage: HeldStage) -> None:
    """I4: once all is quiet, the fate of every order is known."""
    for (account, client_id), tracked in stage.desk.child_orders.items():
        if account not in stage.loop.dead:
            order = tracked.order
            known = order.op is None and order.state not in (State.SENDING, State.UNKNOWN)
            _hold(known, f"{account}'s order {client_id} is {order.state}, with {order.op or 'nothing'} on its way")


def copies_look_alike(stage: HeldStage) -> None:
    """Rules 1 and 7: what stands at a child has the prices of the parent's order as it is now."""
    if stage.refused:
        return
    theirs = {order.venue_id: order for order in stage.exchange.open_orders(PARENT)}
    causes = {(i.account, i.order.client_id): i.cause for i in stage.loop.intents if isinstance(i, Place)}
    for child in children_of(stage):
        for copy in stage.exchange.open_orders(child.account):
            order = theirs.get(causes.get((child.account, copy.client_id), ""))
            if order is None or copy.terms.type is not order.terms.type or copy.terms.type is OrderType.TRAILING_STOP:
                continue
            prices = (copy.terms.price, copy.terms.trigger_price)
            wanted = (order.terms.price, order.terms.trigger_price)
            _hold(
                prices == wanted, f"{child.account}'s copy of {order.venue_id} stands at {prices}, the parent's at {wanted}"
            )


def an_exit_never_opens(stage: HeldStage) -> None:
    """Rule 4: no order that closes or trims ever carried a child through flat."""
    _hold(not stage.loop.opened or stage.by_hand, "; ".join(stage.loop.opened))


def one_trim_at_a_time(stage: HeldStage) -> None:
    """Rule 5: what a trim on its way reduces is not reduced by another."""
    _hold(not stage.loop.trimmed, "; ".join(stage.loop.trimmed))


def a_stop_stays(stage: HeldStage) -> None:
    """Rule 11: no child that held on lost its stop because its flat parent needs none any more."""
    _hold(not stage.loop.stripped, "; ".join(stage.loop.stripped))


def a_ratio_stays(stage: HeldStage) -> None:
    """The ratio of an episode is the one that it began with."""
    _hold(not stage.loop.thawed, "; ".join(stage.loop.thawed))


def rounding_is_less_than_a_step(stage: HeldStage) -> None:
    """Rule 3: what rounding keeps away from a child is carried on and never adds up; a resting order may carry a step."""
    step = stage.loop.instrument.quantity_step
    for view in drifts(stage.desk):
        if view.cause == "rounding":
            most = step * (1 + len(stage.exchange.open_orders(view.child)))
            _hold(abs(view.difference) <= most, f"{view.child} lacks {view.difference} for rounding")


def quiet_stays_quiet(stage: HeldStage) -> None:
    """No endless loops: reading again changes nothing, and what was sent is bounded by what happened."""
    loop = stage.loop
    before = len(loop.intents)
    for account in stage.scenario.accounts:
        if account not in loop.dead:
            loop.reread(account, since_ms=1)
    loop.settle()
    _hold(not loop.intents[before:], f"reading again made it send {loop.intents[before:]}")
    for child in children_of(stage):
        sent, most = stage.requests[child.account], 20 + 6 * stage.actions
        _hold(sent <= most, f"{child.account} sent {sent} requests for {stage.actions} things that happened")


PROMISES: dict[str, Callable[[HeldStage], None]] = {
    "one order per client id (I1)": one_order_per_id,
    "one copy per parent order (I1)": one_copy_per_order,
    "never beyond what the parent meant (I2)": never_beyond_what_was_meant,
    "the books agree (I2)": books_agree,
    "no more than its share, nothing blocks an exit (I2, I3)": no_more_than_its_share,
    "flat means flat (I4)": flat_means_flat,
    "nothing differs without a name (I4)": everything_has_a_name,
    "the journal replays (I5)": replays,
    "risk is added in time only (I7)": risk_is_added_in_time,
    "nothing stays uncertain (I4)": nothing_stays_uncertain,
    "copies look alike": copies_look_alike,
    "an exit never opens": an_exit_never_opens,
    "one trim at a time": one_trim_at_a_time,
    "a stop stays": a_stop_stays,
    "a ratio stays": a_ratio_stays,
    "rounding is less than a step": rounding_is_less_than_a_step,
    "nothing crosses flat in one order (I2)": nothing_crosses_flat,
    "quiet stays quiet": quiet_stays_quiet,
}
"""I6 is a comparison of two desks: see the machine's twin."""
