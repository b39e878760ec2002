"""What a child lacks although every order was followed to its end: said with a ticket, never unexplained. Pure.

Copies fill in another order than the parent's orders did, so one may close what another was meant to close, and each is
done while the child has less than its share. Reducing comes by itself (`trimming`); adding is a person's decision.
"""

from __future__ import annotations

from copydesk import tickets
from copydesk.drifting import unexplained
from copydesk.model import OrderType, PositionSide, Side, Terms
from copydesk.sending import Run
from copydesk.state import Bot, Link


def own_up(run: Run, bot: Bot, link: Link) -> None:
    """Name what is lacking once nothing of the link is under way any more, and leave a ticket for it.

    A copy that only rests brings its own share and no more, and an order of the parent that has filled nothing yet none at
    all: what the others lack does not wait for them.
    """
    moving = any(order.state.is_open and (order.op is not None or not order.state.is_live) for order in link.orders)
    busy = moving or any(pair.parent.live and pair.parent.filled for pair in link.pairs.values())
    if busy or link.detached or not run.desk.account(bot.rules.parent).connected:
        return
    lacking = unexplained(run.desk, bot, link)
    trimmed = link.child.ahead == "trim" and link.attributed * lacking < 0
    if not lacking or trimmed:
        return
    link.behind = lacking
    side = Side.BUY if lacking > 0 else Side.SELL
    book = link.book[1]
    if book is not PositionSide.NET:
        book = PositionSide.LONG if lacking > 0 else PositionSide.SHORT
    terms = Terms(symbol=link.book[0], side=side, type=OrderType.MARKET, quantity=abs(lacking), position_side=book)
    text = f"lacks {abs(lacking)} {link.book[0]}: its copies filled in another order than the parent's orders"
    tickets.leave(run, link, "warn", "behind", text, terms)
