"""How the plan of a start or a stop is made from the engine's state. Pure: changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import TypeVar

import msgspec

from copydesk.ids import is_own
from copydesk.inputs import BotStarted, Cancel, Decision, LookUp, Modify, Note, Place, PlaceGroup
from copydesk.model import ZERO, Snapshot, Terms, to_json
from copydesk.plans import Checks, PlannedChild, PlannedPosition, PlannedSend, StartPlan, StopPlan
from copydesk.standing import target
from copydesk.starting import COPY_IF_BETTER, IGNORE, rehearse
from copydesk.state import Bot, Desk, Link
from copydesk.stopping import CANCEL_ALL, FLATTEN, WIND_DOWN, goes, open_orders
from copydesk.trimming import closing_terms
from copydesk.wording import counted

# --- start ------------------------------------------------------------------------------------------------------------


def plan_start(
    desk: Desk,
    given: BotStarted,
    checks: Checks = Checks(),  # noqa: B008 - it is frozen
) -> StartPlan:
    """What would follow from `given`. Changes nothing."""
    decisions, bot, after = rehearse(desk, given)
    children = tuple(
        PlannedChild(
            account=child.account,
            positions=_positions(after, bot, child.account, desk.bots[given.bot]),
            sends=_sends(after, decisions, child.account),
            leverage=tuple(change for change in checks.leverage if change.account == child.account),
            remarks=(*_said(decisions, child.account), *_left(after, given.children.get(child.account), child.account)),
        )
        for child in bot.rules.children
    )
    plan = StartPlan(
        bot=given.bot,
        parent=bot.rules.parent,
        policy=given.policy,
        max_adverse_percent=given.max_adverse_percent,
        positions=tuple(position for position in given.snapshot.positions if position.quantity),
        orders=tuple(order for order in given.snapshot.orders if order.is_working),
        children=children,
        refusals=checks.refusals,
        warnings=(*checks.warnings, *_remarks(given)),
    )
    return _with_digest(plan, _what(plan))


def without_leverage(plan: StartPlan) -> StartPlan:
    """The plan as it is once its leverage has been set, and nothing else has changed."""
    children = tuple(msgspec.structs.replace(child, leverage=()) for child in plan.children)
    plan = msgspec.structs.replace(plan, children=children)
    return _with_digest(plan, _what(plan))


def _what(plan: StartPlan) -> object:
    """All that the plan would do. Under `ignore` what the parent has makes no difference."""
    leverage = [child.leverage for child in plan.children]
    if plan.policy == IGNORE:
        return plan.policy, leverage
    held = [(p.symbol, p.position_side, p.quantity) for p in plan.positions]
    standing = [(o.venue_id, o.terms, o.filled) for o in plan.orders]
    adopted = [[(p.symbol, p.position_side, p.adopted) for p in child.positions] for child in plan.children]
    sends = [_essence(send) for send in plan.sends]
    return plan.policy, plan.max_adverse_percent, held, standing, adopted, sends, leverage


def _remarks(given: BotStarted) -> list[str]:
    unpriced = [p.symbol for p in given.snapshot.positions if p.quantity and not p.entry_price]
    if given.policy == COPY_IF_BETTER and unpriced:
        return [f"the venue does not tell the parent's entry price of {', '.join(unpriced)}: nothing is copied of that"]
    return []


def _positions(desk: Desk, bot: Bot, account: str, before: Bot) -> tuple[PlannedPosition, ...]:
    found = []
    for (child, book), link in bot.links.items():
        instrument = desk.instruments.get((bot.rules.kind, book[0]))
        if child != account or instrument is None:
            continue
        position = desk.account(account).positions.get(book)
        held = position.quantity if position is not None else ZERO
        aim = target(bot, link, instrument)
        if held or aim:
            found.append(
                PlannedPosition(symbol=book[0], position_side=book[1], held=held, target=aim, adopted=link.attributed)
            )
    return tuple(found)


def _sends(desk: Desk, decisions: Iterable[Decision], account: str) -> tuple[PlannedSend, ...]:
    found = []
    for decision in decisions:
        if isinstance(decision, Note | LookUp) or decision.account != account:
            continue
        match decision:
            case Place(order=order):
                found.append(
                    PlannedSend(account=account, what="place", terms=order.terms, protects=order.terms.reduce_only)
                )
            case PlaceGroup(group=group):
                found += [PlannedSend(account=account, what="place", terms=leg.terms, protects=True) for leg in group.legs]
            case Modify(change=change):
                found.append(
                    PlannedSend(account=account, what="modify", terms=change.terms, client_id=change.ref.client_id)
                )
            case Cancel(order=ref):
                terms = desk.child_orders[account, ref.client_id].order.terms
                found.append(PlannedSend(account=account, what="cancel", terms=terms, client_id=ref.client_id))
    return tuple(found)


def _said(decisions: Iterable[Decision], account: str) -> list[str]:
    return [d.text for d in decisions if isinstance(d, Note) and d.account == account and d.kind != "adopted"]


def _left(desk: Desk, snapshot: Snapshot | None, account: str) -> list[str]:
    """Orders of ours that stand on the child and that nobody follows after this start."""
    if snapshot is None:
        return []
    ids = [order.client_id for order in snapshot.orders if order.is_working and is_own(order.client_id)]
    stray = [client_id for client_id in ids if (account, client_id) not in desk.child_orders]
    if not stray:
        return []
    stay = (
        "an order that an earlier run left there stays as it is"
        if len(stray) == 1
        else (f"{len(stray)} orders that an earlier run left there stay as they are")
    )
    return [f"{stay}, followed by nobody: {', '.join(sorted(stray))}"]


# --- stop -------------------------------------------------------------------------------------------------------------


def plan_stop(desk: Desk, name: str, policy: str) -> StopPlan:
    """What stopping the bot so would do at once. Changes nothing."""
    bot = desk.bots[name]
    children = tuple(_stopped(desk, bot, child.account, policy) for child in bot.rules.children)
    plan = StopPlan(bot=name, policy=policy, children=children, warnings=tuple(_bared(bot, policy)))
    return _with_digest(plan, (policy, [_essence(send) for send in plan.sends]))


def _stopped(desk: Desk, bot: Bot, account: str, policy: str) -> PlannedChild:
    sends: list[PlannedSend] = []
    remarks: list[str] = []
    for (child, _), link in bot.links.items():
        if child != account:
            continue
        staying = 0
        for pair, order in open_orders(link):
            if goes(bot, link, pair, order, policy):
                protects = order.terms.reduce_only or order.terms.side.sign * link.attributed < 0
                terms, client_id = order.terms, order.client_id
                send = PlannedSend(account=account, what="cancel", terms=terms, protects=protects, client_id=client_id)
                sends.append(send)
            else:
                staying += 1
        if policy == FLATTEN and link.attributed:
            terms = closing_terms(desk, bot, link, abs(link.attributed))
            sends.append(PlannedSend(account=account, what="place", terms=terms, protects=True))
        remarks += _stays(link, policy, staying)
    if sends and not desk.account(account).connected:
        remarks.append(f"{account} is not connected: it is done when it is back")
    return PlannedChild(account=account, sends=tuple(sends), remarks=tuple(remarks))


def _stays(link: Link, policy: str, staying: int) -> list[str]:
    if policy == FLATTEN:
        return []
    parts = [f"a position of {link.attributed} {link.book[0]}"] if link.attributed else []
    parts += [f"{counted(staying, 'order')} on {link.book[0]}"] if staying else []
    one = len(parts) == 1 and staying <= 1
    if policy == WIND_DOWN:
        how = f"{'is' if one else 'are'} followed until it is flat"
    else:
        how = "stays as it is, unmanaged" if one else "stay as they are, unmanaged"
    return [f"{' and '.join(parts)} {how}"] if parts else []


def _bared(bot: Bot, policy: str) -> list[str]:
    """Positions that lose what protects them."""
    if policy != CANCEL_ALL:
        return []
    return [
        f"{link.child.account} keeps {link.attributed} {link.book[0]} without protection: its stops and targets go"
        for link in bot.links.values()
        if link.attributed
    ]


# --- digests ----------------------------------------------------------------------------------------------------------

P = TypeVar("P", StartPlan, StopPlan)


def _essence(send: PlannedSend) -> tuple[str, str, Terms, str]:
    return send.account, send.what, send.terms, send.client_id


def _with_digest(plan: P, what: object) -> P:
    return msgspec.structs.replace(plan, digest=blake2b(to_json(what), digest_size=8).hexdigest())
