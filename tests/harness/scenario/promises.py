"""What holds once things are quiet, whatever happened before: the invariants I1 to I7, each a check with a name.

What a setting, a refusal or a person's hand changes in a promise is said in it, and goes for that child alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from copydesk.copier import Copier
from copydesk.drifting import UNEXPLAINED, drifts
from copydesk.handwork import child_book
from copydesk.ids import is_own
from copydesk.inputs import ChildRules, Input, LookUp, Place
from copydesk.model import ZERO, Order, OrderType, PositionSide, Side, to_json
from copydesk.protecting import is_stop
from copydesk.state import Bot, Link, Tracked, may_open
from copydesk.tracking import State
from copydesk.view import DriftView

from harness.differing import differences
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


def bot_of(stage: HeldStage) -> Bot:
    return stage.desk.bots[BOT]


def children_of(stage: HeldStage) -> list[ChildRules]:
    return [child for child in bot_of(stage).rules.children if child.account not in stage.loop.dead]


def sides_of(stage: HeldStage) -> tuple[PositionSide, ...]:
    return (PositionSide.LONG, PositionSide.SHORT) if stage.scenario.hedge else (PositionSide.NET,)


def theirs(child: ChildRules, side: PositionSide) -> PositionSide:
    """A mirrored child holds on the other side of a hedge."""
    return _REVERSED[side] if child.mode == "multiplier" and child.value < 0 else side


def copied(stage: HeldStage, account: str, side: PositionSide, past: frozenset[str] = frozenset()) -> Decimal:
    """The sum of the fills of the engine's own orders, as the venue knows it; not of those of the ids `past`."""
    fills = [fill for fill in stage.exchange.fills(account) if is_own(fill.client_id) and fill.position_side is side]
    return sum((fill.side.sign * fill.quantity for fill in fills if fill.client_id not in past), ZERO)


def links_of(stage: HeldStage, account: str) -> list[Link]:
    return [link for (name, _), link in bot_of(stage).links.items() if name == account]


def views_of(stage: HeldStage) -> Iterator[tuple[ChildRules, DriftView]]:
    """Of the children that a working bot follows."""
    children = {child.account: child for child in children_of(stage)}
    if bot_of(stage).working:
        for view in drifts(stage.desk):
            if view.child in children:
                yield children[view.child], view


def standing(stage: HeldStage, account: str) -> list[tuple[Order, Tracked]]:
    """The copies that stand at the venue, with what the engine knows of them."""
    orders = stage.exchange.open_orders(account)
    found = [(order, stage.desk.child_orders.get((account, order.client_id))) for order in orders]
    return [(order, tracked) for order, tracked in found if tracked is not None]


def reduces(order: Order, tracked: Tracked) -> bool:
    """It is an exit, or a flip that still has to close."""
    return tracked.order.exit or order.terms.side.sign * tracked.link.attributed < 0


def cannot(stage: HeldStage, child: ChildRules, link: Link) -> bool:
    """People, or an earlier run of the bot, hold so much the other way that the account has not got what was copied, or an
    order of that run closed more than counts as copied: there is nothing to reduce."""
    positions = {(p.symbol, p.position_side): p.quantity for p in stage.exchange.positions(child.account)}
    held, sign = positions.get(child_book(link), ZERO), 1 if link.attributed > 0 else -1
    return (child.account in stage.loop.by_hand or stage.runs > 1) and held * sign < link.attributed * sign


def excused(stage: HeldStage, child: ChildRules) -> bool:
    """By name: people hold the other way, a stop outlives the parent's (rule 11), an exit may wait at its price (`wait`, a
    refusal), a trim failed and a person was told (rule 9)."""
    for order, tracked in standing(stage, child.account):
        waits = child.unfilled_exit.action == "wait" or child.account in stage.loop.refused
        if reduces(order, tracked) and ((is_stop(order.terms) and tracked.order.exit) or waits):
            return True
    links = links_of(stage, child.account)
    if any(cannot(stage, child, link) for link in links):
        return True
    alarmed = any(pair.alarm and not pair.closed for link in links for pair in link.pairs.values())
    return alarmed or any(link.failing for link in links)


# --- the promises ---------------------------------------------------------------------------------------------------------


def one_order_per_id(stage: HeldStage) -> None:
    """I1: at most one accepted order per client id.

    But for what is reduce-only: where the venue does not know it after a moment it is sent again at once, because a second
    one can do no harm and waiting can (rule 10).
    """
    for child in children_of(stage):
        orders = stage.exchange.orders(child.account)
        own = Counter(order.client_id for order in orders if is_own(order.client_id) and not order.terms.reduce_only)
        twice = [client_id for client_id, count in own.items() if count > 1]
        _hold(not twice, f"{child.account} has two orders of the id {twice}")


def one_copy_per_order(stage: HeldStage) -> None:
    """I1: the copies of one parent order that only opened opened no more than its share, over all their generations.

    They may close besides: while the parent's order rests, it is one that would turn the position, and its copy with it.
    Not of a child whose share is not a constant, or was set anew.
    """
    loop = stage.loop
    causes = {(i.account, i.order.client_id): i.cause for i in loop.intents if isinstance(i, Place) and i.why != "trim"}
    for child in children_of(stage):
        if child.mode != "multiplier" or child.account in loop.resized:
            continue
        opened: defaultdict[str, Decimal] = defaultdict(Decimal)
        for order in stage.exchange.orders(child.account):
            if order.client_id not in stage.past and not order.terms.reduce_only:  # a stop for all that is held is an exit
                key = (child.account, order.client_id)
                opened[causes.get(key, "")] += stage.opened[key]
        for venue_id, parent in bot_of(stage).orders.items():
            if parent.opened and not parent.closed:
                most = max(stage.meant[venue_id].largest if venue_id in stage.meant else ZERO, parent.opened)
                _hold(
                    opened[venue_id] <= abs(child.value) * most + stage.loop.instrument.quantity_step,
                    f"{child.account} opened {opened[venue_id]} for the parent's order {venue_id} of {most}",
                )


def never_beyond_what_was_meant(stage: HeldStage) -> None:
    """I2, at all times: no child holds more than its share of all that the parent's orders in that direction were for.

    Both of its sides may fill in another order than the parent's: until all is quiet no less can be promised. Not where
    reports of the parent were lost without a trace: nobody can know better then, until its account is read. Nor on a child
    whose share was set anew, or where people trade: there a close that they made is not the engine's to know.
    """
    if stage.loop.misled:
        return
    step = stage.loop.instrument.quantity_step
    for child in children_of(stage):
        if child.mode != "multiplier" or child.account in stage.loop.resized | stage.loop.by_hand:
            continue
        for book in sides_of(stage):
            held = copied(stage, child.account, theirs(child, book))
            towards = Side.BUY if held * child.value > 0 else Side.SELL
            if book is not PositionSide.NET:  # what is held in a book of a hedge was opened in its own direction
                towards = Side.BUY if book is PositionSide.LONG else Side.SELL
            meant = stage.most_meant(book, towards)
            most = abs(child.value) * meant + step * stage.runs
            _hold(abs(held) <= most, f"{child.account} holds {held}, and the parent never meant more than {meant}")


def books_agree(stage: HeldStage) -> None:
    """I2: what the engine believes of both sides is what the venue has, also of what it let go of (rule 17).

    A bot that is stopped looks at its parent no more.
    """
    bot = bot_of(stage)
    for side in sides_of(stage):
        held = sum((p.quantity for p in stage.exchange.positions(PARENT) if p.position_side is side), ZERO)
        believed = bot.book((SYMBOL, side)).position
        _hold(believed == held or not bot.working, f"the parent holds {held}, the engine believes {believed}")
        for child in children_of(stage):
            key = (child.account, (SYMBOL, side))
            link = bot.links.get(key)
            believed = link.attributed + link.let_go if link is not None else ZERO
            has = copied(stage, child.account, theirs(child, side), stage.past) + stage.taken.get(key, ZERO)
            _hold(believed == has, f"{child.account} has copied {has}, the engine believes {believed}")


def no_more_than_its_share(stage: HeldStage) -> None:
    """I2 and I3: once the parent has no orders no child holds more than its share; no limit keeps it from reducing.

    Of one that keeps what it is ahead a person is told, with a ticket.
    """
    if stage.exchange.open_orders(PARENT):
        return
    told = {note.account for note in stage.loop.notes if note.kind == "ahead" and "ticket" in note.data}
    for child, view in views_of(stage):
        if not excused(stage, child) and not (child.ahead != "trim" and child.account in told):
            _hold(
                abs(view.attributed) <= abs(view.target) + stage.loop.instrument.quantity_step,
                f"{view.child} holds {view.attributed}, its share is {view.target}",
            )


def flat_means_flat(stage: HeldStage) -> None:
    """I4: a parent that holds and wants nothing leaves its children with nothing, or there is a named exception.

    What people or another run of the bot left on the account is theirs.
    """
    if stage.exchange.open_orders(PARENT) or stage.exchange.positions(PARENT) or not bot_of(stage).working:
        return
    for child in children_of(stage):
        if excused(stage, child):
            continue
        account = child.account
        attributed = [link.attributed for link in links_of(stage, account) if link.attributed]
        if child.ahead == "trim":
            _hold(not attributed, f"{account} holds {attributed}, and the parent nothing")
            if not stage.loop.touched(account):
                held = [position.quantity for position in stage.exchange.positions(account)]
                _hold(not held, f"{account} holds {held}, and the parent nothing")
        working = [order.client_id for order, _ in standing(stage, account)]
        _hold(not working, f"{account} has the working orders {working}, and the parent none")


def replays(stage: HeldStage) -> None:
    """I5: the journalled inputs, read from their JSON, give the same decisions byte for byte, with no short cut taken."""
    again = Copier(shortcuts=False)
    for number, (given, before) in enumerate(zip(stage.loop.inputs, stage.loop.decided, strict=True)):
        now = b"\n".join(to_json(decision) for decision in again.apply(_read_input(given)))
        _hold(now == before, f"input {number} gives {now!r}, and gave {before!r}")
    for part in ("bots", "accounts", "windows", "prices", "tickets", "intents"):
        found = list(differences(getattr(stage.desk, part), getattr(again.desk, part), part))
        _hold(not found, f"the state is another one without short cuts: {'; '.join(found)}")


def everything_has_a_name(stage: HeldStage) -> None:
    """I4: nothing differs without a reason."""
    nameless = [view for view in drifts(stage.desk) if UNEXPLAINED in [part.cause for part in view.causes]]
    _hold(not nameless, f"drift without a cause: {nameless}")


def nothing_stays_uncertain(stage: HeldStage) -> None:
    """I4: once all is quiet, the fate of every order is known."""
    for (account, client_id), tracked in stage.desk.child_orders.items():
        if account not in stage.loop.dead:
            order = tracked.order
            known = order.op is None and order.state not in (State.SENDING, State.UNKNOWN)
            _hold(known, f"{account}'s order {client_id} is {order.state}, with {order.op or 'nothing'} on its way")


def copies_look_alike(stage: HeldStage) -> None:
    """Rules 1 and 7: what stands at a child has the prices of the parent's order as it is now.

    Not where the venue refused to change it.
    """
    if not bot_of(stage).working:
        return
    parents = {order.venue_id: order for order in stage.exchange.open_orders(PARENT)}
    for child in children_of(stage):
        for copy, tracked in standing(stage, child.account):
            order = parents.get(tracked.order.cause)
            if order is None or copy.terms.type is not order.terms.type or copy.terms.type is OrderType.TRAILING_STOP:
                continue
            prices = (copy.terms.price, copy.terms.trigger_price)
            wanted = (order.terms.price, order.terms.trigger_price)
            _hold(
                prices == wanted or child.account in stage.loop.refused,
                f"{child.account}'s copy of {order.venue_id} stands at {prices}, the parent's at {wanted}",
            )


def what_rests_is_done_with(stage: HeldStage) -> None:
    """Rule 6: once all is quiet, what still rests although the parent's order has filled does so by the child's setting.

    An entry waits, or was chased as far as it goes, or its time to be taken at market had passed before it was seen; an
    exit waits, or is a stop that outlives the parent's, or the venue refuses what would take its place.
    """
    if not bot_of(stage).working:
        return
    late = {(note.account, note.data.get("parent_order")) for note in stage.loop.notes if note.kind == "unfilled"}
    for child in children_of(stage):
        for order, tracked in standing(stage, child.account):
            pair = tracked.pair
            if pair is None or pair.parent.live or not pair.parent.filled or child.account in stage.loop.refused:
                continue
            what = f"{child.account}'s {order.client_id} rests, and the parent's {tracked.order.cause} has filled"
            if reduces(order, tracked):
                stop = is_stop(order.terms) and tracked.order.exit
                _hold(stop or child.unfilled_exit.action == "wait", f"{what}: {child.unfilled_exit.action}")
            elif child.account not in stage.loop.changed:
                action = child.unfilled_entry.action
                told = (child.account, tracked.order.cause) in late
                _hold(action in ("wait", "chase") or (action == "market_after" and told), f"{what}: {action}")


def hand_trading_is_answered(stage: HeldStage) -> None:
    """Rule 17: who closes copied quantity has the episode; what is added is left alone, closed again, or ends it.

    Where nobody traded by hand nothing is let go of. What the engine tried once to close and could not stays.
    """
    for child in children_of(stage):
        by_hand, policy = child.account in stage.loop.by_hand, child.hand_trading
        positions = {(p.symbol, p.position_side): p.quantity for p in stage.exchange.positions(child.account)}
        for link in links_of(stage, child.account):
            _hold(by_hand or not (link.detached or link.let_go), f"{child.account} was let go of, and nobody traded there")
            if not by_hand or link.detached or not link.begun or not bot_of(stage).working:
                continue
            held = positions.get(child_book(link), ZERO)
            foreign, own = held - link.attributed, stage.loop.watch.owns[link.child.account, link.book]
            what = f"{child.account} ({policy}) holds {held}, of which {link.attributed} are copied"
            sign = 1 if link.attributed > 0 else -1
            closed = bool(link.attributed) and foreign * sign < min(own * sign, ZERO)
            _hold(not closed, f"{what}: it was closed by hand, and is still followed")
            if foreign == own or foreign == link.unmoved:
                continue
            locked = stage.desk.account(child.account).trading.state == "none"
            if policy == "enforce":
                _hold(foreign * held <= 0 or locked, f"{what}, and the rest is not closed")
            elif policy == "yield":
                _hold(not link.attributed and not link.pairs, f"{what}, and it is still followed")


def stops_do_what_they_say(stage: HeldStage) -> None:
    """Rule 13. Not on a child where the venue refuses for good, or has nothing to reduce, or whose trim failed and a person
    was told."""
    bot = bot_of(stage)
    if bot.working or not stage.stopped_by:
        return
    for child in children_of(stage):
        if child.account in stage.loop.refused:
            continue
        orders = standing(stage, child.account)
        links = links_of(stage, child.account)
        attributed = [
            link.attributed for link in links if link.attributed and not link.failing and not cannot(stage, child, link)
        ]
        what = f"after the stop with {stage.stopped_by} {child.account}"
        if stage.stopped_by in ("cancel_all", "flatten", "wind_down"):
            left = [order.client_id for order, _ in orders]
            _hold(not left, f"{what} has the orders {left}")
        if stage.stopped_by in ("flatten", "wind_down"):
            _hold(not attributed, f"{what} holds {attributed}")
        if stage.stopped_by == "cancel_entries":
            entries = [
                order.client_id
                for order, tracked in orders
                if not tracked.order.exit and not order.terms.reduce_only and may_open(order.terms) and not attributed
            ]
            _hold(not entries, f"{what} has the entries {entries}")


def rounding_is_less_than_a_step(stage: HeldStage) -> None:
    """Rule 3: what rounding keeps away from a child is carried on and never adds up; a resting order may carry a step."""
    step = stage.loop.instrument.quantity_step
    for child, view in views_of(stage):
        for part in view.causes:
            if part.cause == "rounding":
                most = step * (1 + len(stage.exchange.open_orders(child.account)))
                _hold(abs(part.quantity) <= most, f"{view.child} lacks {part.quantity} for rounding")


def quiet_stays_quiet(stage: HeldStage) -> None:
    """No endless loops: reading again changes nothing, and what was sent is bounded by what happened.

    Who chases may move each of its orders as often as it is set to.
    """
    loop = stage.loop
    before = len(loop.intents)
    for account in stage.scenario.accounts:
        if account not in loop.dead:
            loop.reread(account, since_ms=1)
    loop.settle()
    sent_again = [intent for intent in loop.intents[before:] if not isinstance(intent, LookUp)]
    _hold(not sent_again, f"reading again made it send {sent_again}")
    for child in children_of(stage):
        chases = (rules.steps for rules in (child.unfilled_entry, child.unfilled_exit) if rules.action == "chase")
        sent, most = stage.requests[child.account], 20 + (6 + 2 * sum(chases)) * stage.actions
        _hold(sent <= most, f"{child.account} sent {sent} requests for {stage.actions} things that happened")


def an_exit_never_opens(stage: HeldStage) -> None:
    """Rule 4: no order that closes or trims ever carried a child through flat. Where people trade nobody can tell."""
    opened = [text for account, text in stage.loop.opened if not stage.loop.touched(account)]
    _hold(not opened, "; ".join(opened))


def _watched(name: str) -> Callable[[HeldStage], None]:
    """Looked at as it was decided: see `watching.py`."""

    def check(stage: HeldStage) -> None:
        broken = stage.loop.watch.broken[name]
        _hold(not broken, "; ".join(broken[:3]))

    return check


PROMISES: dict[str, Callable[[HeldStage], None]] = {
    "one order per client id (I1)": one_order_per_id,
    "one copy per parent order (I1)": one_copy_per_order,
    "never beyond what the parent meant (I2)": never_beyond_what_was_meant,
    "the books agree (I2)": books_agree,
    "no more than its share, nothing blocks an exit (I2, I3)": no_more_than_its_share,
    "flat means flat (I4)": flat_means_flat,
    "nothing differs without a name (I4)": everything_has_a_name,
    "the journal replays (I5)": replays,
    "nothing stays uncertain (I4)": nothing_stays_uncertain,
    "copies look alike": copies_look_alike,
    "what rests is done with (rule 6)": what_rests_is_done_with,
    "an exit never opens": an_exit_never_opens,
    "hand trading is answered (rule 17)": hand_trading_is_answered,
    "stops do what they say (rule 13)": stops_do_what_they_say,
    "rounding is less than a step": rounding_is_less_than_a_step,
    **{
        name: _watched(name)
        for name in (
            "risk is added in time",
            "nothing is added unheard",
            "nothing is sent to who is away",
            "nothing crosses flat in one order",
            "one trim at a time",
            "who keeps is not trimmed",
            "a stop stays",
            "a ratio stays",
            "a stopped bot opens nothing",
            "limits hold",
            "budgets hold",
            "on_fill copies executions",
            "exits are sized on what the child holds",
            "what rests is given its time",
            "what is too large is made to fit",
            "what is refused for good is not tried again",
            "hand trading is answered",
        )
    },
    "quiet stays quiet": quiet_stays_quiet,
}
"""I6 is a comparison of two desks: see the machine's twin."""
