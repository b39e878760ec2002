"""Requests that trade, as REST and the websocket share them: each is answered by a notification."""

from __future__ import annotations

from typing import Any

from copydesk.model import Order

from copydesk_bitfinex.rehearsal import wire
from copydesk_bitfinex.rehearsal.asked import PARAMETERS, Body, Refusal
from copydesk_bitfinex.rehearsal.venue import Account, Venue
from copydesk_bitfinex.rehearsal.wire import Row

MOST_OPERATIONS = 75


def submit(venue: Venue, account: Account, body: Body) -> Row:
    """REST tells the placed orders as they were taken; what they traded is told by the stream."""
    placed = venue.submit(account, body)
    rows = [venue.row(account, order) for order in placed]
    return wire.notification("on-req", rows, f"Submitting {len(rows)} orders.", mts=venue.now_ms() // 1000)


def submit_on_stream(venue: Venue, account: Account, body: Body) -> Row:
    order = venue.submit(account, body)[0]
    details, terms = account.details[order.venue_id], order.terms
    amount = wire.number(terms.side.sign * terms.quantity)
    price = wire.number(terms.trigger_price or terms.price)
    row = wire.request_row(int(order.venue_id), details.cid, str(body["symbol"]), amount, details.word, price)
    base = venue.exchange.instruments[terms.symbol].base
    return wire.notification("on-req", row, wire.placing(order, details.word, base), mts=venue.now_ms())


def update(venue: Venue, account: Account, body: Body) -> Row:
    order = venue.update(account, venue.named(account, body), body)
    details = account.details[order.venue_id]
    base = venue.exchange.instruments[order.terms.symbol].base
    text = f"Submitting update to {details.word.lower()} {order.terms.side} order for "
    text += f"{wire.plain(order.terms.quantity)} {base}."
    return wire.notification("ou-req", venue.row(account, order), text, mts=venue.now_ms())


def cancel(venue: Venue, account: Account, body: Body) -> Row:
    order = venue.named(account, body)
    row = venue.row(account, order)
    venue.cancel(account, order)
    text = f"Submitted for cancellation; waiting for confirmation (ID: {order.venue_id})."
    return wire.notification("oc-req", row, text, mts=venue.now_ms())


def cancel_multi(venue: Venue, account: Account, body: Body) -> Row:
    """By `id`, `gid`, `cid` with days, or `all`. What is not there is passed over."""
    chosen = _chosen(venue, account, body)
    rows = [venue.row(account, order) for order in chosen]
    for order in chosen:
        known = venue.known(account, order.venue_id)
        if known is not None and known.is_working:  # one of a group may have gone with the other
            venue.cancel(account, known)
    return wire.notification("oc_multi-req", rows, f"Submitting {len(rows)} order cancellations.", mts=venue.now_ms())


def _chosen(venue: Venue, account: Account, body: Body) -> list[Order]:
    working = venue.working(account)
    if body.get("all") in (1, True, "1"):
        return working
    ids = {str(number) for number in _list(body, "id")}
    groups = {group for one in _list(body, "gid") for group in (one if isinstance(one, list) else [one])}
    named = {
        account.cids.get((str(one[1]), one[0])) for one in _list(body, "cid") if isinstance(one, list) and len(one) == 2
    }
    if not (ids or groups or named):
        raise Refusal("id: invalid", PARAMETERS)
    return [
        order
        for order in working
        if order.venue_id in ids | named or account.details[order.venue_id].gid in groups - {None}
    ]


def _list(body: Body, name: str) -> list[Any]:
    value = body.get(name)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def multi(venue: Venue, account: Account, body: Body) -> Row:
    """Several operations in their order; one that is refused says so in its own notification."""
    operations = body.get("ops")
    if not isinstance(operations, list) or not 0 < len(operations) <= MOST_OPERATIONS:
        raise Refusal("ops: invalid", PARAMETERS)
    answers = [_operation(venue, account, one) for one in operations]
    return wire.notification("ox_multi-req", answers, f"Submitting {len(answers)} order operations.", mts=venue.now_ms())


ACTS = {"on": submit, "ou": update, "oc": cancel, "oc_multi": cancel_multi}


def _operation(venue: Venue, account: Account, operation: Any) -> Row:
    if not isinstance(operation, list) or len(operation) < 2 or operation[0] not in ACTS:
        raise Refusal("ops: invalid", PARAMETERS)
    kind, body = operation[0], operation[-1]
    if not isinstance(body, dict):
        raise Refusal("ops: invalid", PARAMETERS)
    try:
        return ACTS[kind](venue, account, body)
    except Refusal as refusal:
        data = wire.request_row(body.get("id"), body.get("cid"), str(body.get("symbol") or ""))
        return wire.notification(f"{kind}-req", data, str(refusal), mts=venue.now_ms(), good=False, code=refusal.code)
