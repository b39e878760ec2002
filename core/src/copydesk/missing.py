"""What a child lacks or holds too much, made up for at once because a person says so. Pure.

The catch-up window does not count here, for a person has looked at the price. What is sent is an order of this engine
like any other, a market order under an id that is a function of the moment it was asked for: what it fills is attributed.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b

import msgspec

from copydesk import handwork
from copydesk.drifting import drift
from copydesk.ids import TICKET, client_order_id
from copydesk.inputs import MissingCopied
from copydesk.model import ZERO, OrderType, PositionSide, Side, Terms, to_json
from copydesk.planning import ratio_for
from copydesk.plans import MissingPlan, PlannedSend
from copydesk.sending import Run, register, send
from copydesk.sizing import floor_to, size_fault
from copydesk.standing import target
from copydesk.state import Bot, ChildOrder, Desk, Link
from copydesk.trimming import closing_terms


def plan_missing(desk: Desk, name: str, child: str, symbol: str, position_side: str, at_ns: int) -> MissingPlan:
    """What would be sent now to bring the child to its target. Changes nothing."""
    bot = desk.bots[name]
    link = bot.links.get((child, (symbol, PositionSide(position_side))))
    shown = drift(desk, bot, link) if link is not None else None
    if link is None or shown is None:
        fault = f"bot {name!r} follows nothing in {symbol} on {child}"
        return MissingPlan(bot=name, child=child, symbol=symbol, position_side=position_side, refusals=(fault,))
    plan = MissingPlan(
        bot=name,
        child=child,
        symbol=symbol,
        position_side=position_side,
        target=shown.target,
        attributed=shown.attributed,
        in_flight=shown.in_flight,
    )
    terms, fault = _terms(desk, bot, link, at_ns)
    if terms is None:
        return msgspec.structs.replace(plan, refusals=(fault,))
    reduces = link.attributed * terms.side.sign < 0
    limits = desk.account(child).trading.state
    if not reduces and limits != "all":
        plan = msgspec.structs.replace(
            plan, refusals=(f"{child} is {limits}: nothing is opened there until that is lifted",)
        )
    sends = (PlannedSend(account=child, what="place", terms=terms, protects=reduces),)
    digest = blake2b(to_json(terms), digest_size=8).hexdigest()
    return msgspec.structs.replace(plan, sends=sends, digest=digest)


def copy_missing(run: Run, given: MissingCopied) -> None:
    """Send it. What is not missing any more by then is not sent."""
    bot = run.desk.bots[given.bot]
    link = bot.links[given.child, (given.symbol, PositionSide(given.position_side))]
    terms, _ = _terms(run.desk, bot, link, run.at_ns)
    if terms is None:
        return
    if not link.ratios:  # it was not there when the episode began: it joins it at the ratio that it would have had
        followed = bot.book(link.book).followed
        ratio = _ratio(run.desk, bot, link, run.at_ns)
        assert isinstance(ratio, Decimal)
        link.ratios[1 if followed > 0 else -1] = ratio
    cause = f"{given.symbol}/{given.position_side}/missing/{given.at_ns}"
    order = ChildOrder(
        client_id=client_order_id(given.bot, given.child, cause, TICKET),
        account=given.child,
        terms=terms,
        cause=cause,
        leg=TICKET,
        exit=link.attributed * terms.side.sign < 0,
    )
    link.corrections.append(order)
    link.behind = ZERO
    register(run, bot, link, None, order)
    who = f" by {given.actor}" if given.actor else ""
    text = f"asked for{who}: what is missing is copied now, {terms.side} {terms.quantity} {terms.symbol}"
    run.note(link, "info", "missing", text, client_id=order.client_id)
    handwork.begin(run.desk, link)
    send(run, link, order, "ticket")


def _ratio(desk: Desk, bot: Bot, link: Link, at_ns: int) -> Decimal | str:
    return ratio_for(link.child, desk.account(bot.rules.parent), desk.account(link.child.account), at_ns)


def _terms(desk: Desk, bot: Bot, link: Link, at_ns: int) -> tuple[Terms | None, str]:
    """The order that brings the child to its target, or why there is none."""
    child, symbol = link.child.account, link.book[0]
    if not bot.working:
        return None, f"the bot {bot.rules.name!r} does not work: start it first"
    for key in (bot.rules.parent, child):
        if not desk.account(key).connected:
            return None, f"{key} is not connected: what is missing is known once it is back"
    if link.detached:
        return None, f"{symbol} on {child} is in a person's hands until it is flat: trade it there"
    instrument = desk.instruments[bot.rules.kind, symbol]
    aim = target(bot, link, instrument)
    if not link.ratios and bot.book(link.book).followed:
        ratio = _ratio(desk, bot, link, at_ns)
        if isinstance(ratio, str):
            return None, ratio
        shown = drift(desk, bot, link)
        aim = shown.target if shown is not None else ZERO
    lacking = aim - link.attributed
    sign = 1 if lacking > 0 else -1
    # Only what is on its way there counts: an entry that rests for an order of the parent that rests too is no excess.
    going = sum((order.remaining for order in link.orders if order.state.is_open and order.terms.side.sign == sign), ZERO)
    quantity = floor_to(max(ZERO, abs(lacking) - going), instrument.quantity_step)
    if not quantity:
        what = "what is on its way will bring it there" if lacking else "it holds what it should"
        return None, f"nothing is missing in {symbol} on {child}: {what}"
    if link.attributed * lacking < 0:
        return closing_terms(desk, bot, link, min(quantity, abs(link.attributed))), ""
    price = link.price or desk.prices.get((bot.rules.kind, symbol))
    if price and (fault := size_fault(quantity, price, instrument)):
        return None, f"what is missing is too small to be sent: {fault}"
    side = Side.BUY if lacking > 0 else Side.SELL
    book = link.book[1]
    if book is not PositionSide.NET:
        book = PositionSide.LONG if lacking > 0 else PositionSide.SHORT
    return Terms(symbol=symbol, side=side, type=OrderType.MARKET, quantity=quantity, position_side=book), ""
