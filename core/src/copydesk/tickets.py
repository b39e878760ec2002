"""Manual tickets: what could not be copied, filled in for a person to send within a while. Pure.

A ticket is part of the state, left where something fails. What is sent by one is an order of this engine like any other:
its client id is a pure function of the ticket, it belongs to the pair of its parent's order where there is one, and what
it fills is attributed to the child's link.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from copydesk import handwork
from copydesk.ids import TICKET, client_order_id
from copydesk.inputs import Note, TicketDismissed, TicketSent
from copydesk.model import ZERO, PositionSide, Terms, to_json
from copydesk.sending import Run, register, send
from copydesk.sizing import floor_to
from copydesk.standing import target
from copydesk.state import Bot, ChildOrder, Desk, Link, Pair
from copydesk.view import Ticket

TICKETS_KEPT = 200


def leave(
    run: Run, link: Link, level: str, kind: str, text: str, terms: Terms, *, parent_order: str = "", **more: str
) -> None:
    """Tell of a failure, and leave a ticket. A newer one for the same order takes the place of the older."""
    desk = run.desk
    for other in list(desk.tickets.values()):
        same = (other.bot, other.child, other.symbol, other.parent_order) == (
            link.bot,
            link.child.account,
            link.book[0],
            parent_order,
        )
        if same and other.status == "open":
            desk.tickets[other.id] = msgspec.structs.replace(other, status="replaced")
    desk.ticket_count += 1
    ticket = Ticket(
        id=f"t{desk.ticket_count}",
        bot=link.bot,
        child=link.child.account,
        symbol=link.book[0],
        position_side=link.book[1],
        terms=terms,
        kind=kind,
        why=text,
        parent_order=parent_order,
        created_ns=run.at_ns,
        expires_ns=run.at_ns + link.child.ticket_expires_ms * 1_000_000,
    )
    desk.tickets[ticket.id] = ticket
    while len(desk.tickets) > TICKETS_KEPT:
        del desk.tickets[next(iter(desk.tickets))]
    data = {"ticket": to_json(terms).decode(), "ticket_id": ticket.id}
    data |= {"parent_order": parent_order} if parent_order else {}
    run.note(link, level, kind, text, **data, **more)


def standing_of(ticket: Ticket, at_ns: int) -> Ticket:
    """The ticket as it is at that time: one that nobody sent expires."""
    if ticket.status == "open" and at_ns >= ticket.expires_ns:
        return msgspec.structs.replace(ticket, status="expired")
    return ticket


def why_not(desk: Desk, number: str, at_ns: int) -> str:
    """Why a ticket cannot be sent now, in a sentence, or an empty string."""
    ticket = desk.tickets.get(number)
    if ticket is None:
        return f"there is no ticket {number!r}: see `copydesk tickets list`"
    state = standing_of(ticket, at_ns).status
    if state != "open":
        return f"ticket {number} {_WORDS[state]}: nothing is sent by it"
    bot = desk.bots.get(ticket.bot)
    link = bot.links.get((ticket.child, (ticket.symbol, PositionSide(ticket.position_side)))) if bot is not None else None
    if bot is None or link is None or not bot.working:
        return f"the bot {ticket.bot!r} of ticket {number} does not work: start it, and what is missing is looked at anew"
    account = desk.account(ticket.child)
    if not account.connected:
        return f"{ticket.child} is not connected: send ticket {number} when it is back"
    if not _quantity(desk, bot, link, ticket):
        return f"ticket {number} is not needed any more: {ticket.child} has its share of what the parent holds"
    if _opens(link, ticket.terms) and account.trading.state != "all":
        return f"{ticket.child} is {account.trading.state}: nothing is opened there; see `copydesk limits`"
    return ""


_WORDS = {
    "sent": "was sent already",
    "dismissed": "was dismissed",
    "expired": "has expired",
    "replaced": "was replaced by a newer one",
}


def send_ticket(run: Run, given: TicketSent) -> None:
    """Send what a ticket is for, under an id that is a function of the ticket. A second time nothing is sent."""
    desk = run.desk
    fault = why_not(desk, given.ticket, run.at_ns)
    if fault:
        run.decisions.append(Note(level="warn", kind="ticket", text=fault, data={"ticket_id": given.ticket}))
        return
    ticket = desk.tickets[given.ticket]
    bot = desk.bots[ticket.bot]
    link = bot.links[ticket.child, (ticket.symbol, PositionSide(ticket.position_side))]
    changing = _refused_change(link, ticket)
    if changing is not None:
        _try_again(run, link, changing, ticket, given.actor)
        return
    terms = msgspec.structs.replace(ticket.terms, quantity=_quantity(desk, bot, link, ticket))
    cause = ticket.parent_order or f"{ticket.symbol}/{ticket.position_side}"
    client_id = client_order_id(ticket.bot, ticket.child, f"{cause}/{ticket.id}/{ticket.created_ns}", TICKET)
    order = ChildOrder(
        client_id=client_id, account=ticket.child, terms=terms, cause=cause, leg=TICKET, exit=not _opens(link, terms)
    )
    pair = _pair(link, ticket)
    if pair is None:
        link.corrections.append(order)
    else:
        pair.orders.append(order)
        link.pairs[ticket.parent_order] = pair
        link.ended.pop(ticket.parent_order, None)
        if pair.parent.live:
            pair.closed = ""  # it is followed again, as any copy is
    register(run, bot, link, pair, order)
    desk.tickets[ticket.id] = msgspec.structs.replace(ticket, status="sent", client_id=client_id)
    text = f"ticket {ticket.id} sent{_by(given.actor)}: {terms.side} {terms.quantity} {terms.symbol}"
    run.note(link, "info", "ticket", text, ticket_id=ticket.id, client_id=client_id)
    handwork.begin(desk, link)
    send(run, link, order, "ticket")


def dismiss_ticket(run: Run, given: TicketDismissed) -> None:
    ticket = run.desk.tickets.get(given.ticket)
    if ticket is None or standing_of(ticket, run.at_ns).status != "open":
        return
    run.desk.tickets[ticket.id] = msgspec.structs.replace(ticket, status="dismissed")
    run.decisions.append(
        Note(
            level="info",
            kind="ticket",
            text=f"ticket {ticket.id} dismissed{_by(given.actor)}: {ticket.why}",
            bot=ticket.bot,
            account=ticket.child,
            symbol=ticket.symbol,
            data={"ticket_id": ticket.id},
        )
    )


def _try_again(run: Run, link: Link, order: ChildOrder, ticket: Ticket, actor: str) -> None:
    """A change that the venue refused is wanted still: whoever looks at the link next asks for it anew."""
    order.refused = None
    run.desk.tickets[ticket.id] = msgspec.structs.replace(ticket, status="sent", client_id=order.client_id)
    text = f"ticket {ticket.id} sent{_by(actor)}: the change of {order.terms.side} {link.book[0]} is tried again"
    run.note(link, "info", "ticket", text, ticket_id=ticket.id, client_id=order.client_id)


def _refused_change(link: Link, ticket: Ticket) -> ChildOrder | None:
    """The order that stands and that the venue would not change to what the ticket is for."""
    pair = _pair(link, ticket)
    last = pair.last if pair is not None else None
    return last if last is not None and last.state.is_live and last.refused == ticket.terms else None


def _by(actor: str) -> str:
    return f" by {actor}" if actor else ""


def _pair(link: Link, ticket: Ticket) -> Pair | None:
    return link.pairs.get(ticket.parent_order) or link.ended.get(ticket.parent_order)


def _opens(link: Link, terms: Terms) -> bool:
    return not terms.reduce_only and link.attributed * terms.side.sign >= 0


def _quantity(desk: Desk, bot: Bot, link: Link, ticket: Ticket) -> Decimal:
    """How much of the ticket is wanted as things are: what sends more would be trimmed at once."""
    terms, pair = ticket.terms, _pair(link, ticket)
    if pair is not None and pair.open:
        return terms.quantity if _refused_change(link, ticket) is not None else ZERO
    sign = terms.side.sign
    going = sum((order.remaining * order.terms.side.sign for order in link.orders if order.state.is_open), ZERO)
    if not _opens(link, terms):
        return min(terms.quantity, max(ZERO, -(link.attributed + going) * sign))
    if pair is not None and pair.parent.live:
        return terms.quantity
    instrument = desk.instruments[bot.rules.kind, link.book[0]]
    missing = (target(bot, link, instrument) - link.attributed - going) * sign
    return min(terms.quantity, floor_to(max(ZERO, missing), instrument.quantity_step))
