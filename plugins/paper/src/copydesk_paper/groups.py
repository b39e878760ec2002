"""Groups: one cancels the other. Tied, a stop and a target that stand for one quantity; or linked one by one, by a name."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from copydesk.model import OrderType, RejectReason, Side, Terms

from copydesk_paper.orders import WorkingOrder
from copydesk_paper.refusal import ExchangeRefusal

_STOPS = (OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP)
_TARGETS = (OrderType.LIMIT, OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT)


def check_group(terms: Sequence[Terms]) -> None:
    """A stop and a target of one symbol, side and quantity, the stop on the losing side. Raises `ExchangeRefusal`."""
    stops = [leg for leg in terms if leg.type in _STOPS]
    targets = [leg for leg in terms if leg.type in _TARGETS]
    if len(terms) != 2 or len(stops) != 1 or len(targets) != 1:
        raise _refusal("a group is one stop and one target")
    stop, target = stops[0], targets[0]
    same = [(leg.symbol, leg.side, leg.position_side, leg.quantity) for leg in terms]
    if same[0] != same[1]:
        raise _refusal("the legs of a group have one symbol, one side and one quantity")
    lower, upper = (stop, target) if stop.side is Side.SELL else (target, stop)
    low, high = _price(lower), _price(upper)
    if low is not None and high is not None and low >= high:
        raise _refusal("the stop of a group is on the losing side of its target")


def _price(terms: Terms) -> Decimal | None:
    return terms.trigger_price if terms.trigger_price is not None else terms.price


def _refusal(message: str) -> ExchangeRefusal:
    return ExchangeRefusal(RejectReason.PRICE, "oco", message)


def tie(first: WorkingOrder, second: WorkingOrder) -> None:
    """Make the two one group, named after the first: each ends with the other."""
    for order in (first, second):
        link(order, str(first.venue_id))
        order.tied = True


def link(order: WorkingOrder, group: str) -> None:
    """Let the order join a group: the first of it that trades or is triggered ends the others."""
    order.group, order.linked = group, bool(group)
