"""What is asked of Bybit: orders and changes as the parameters of its requests. Pure.

Text is made of `Decimal` with all its digits; no float is ever in between. Source of all names: Bybit v5, "Trade".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copydesk.model import (
    NewOrder,
    OrderChange,
    OrderRef,
    OrderType,
    PositionSide,
    RejectReason,
    Side,
    Terms,
    TriggerBy,
)

from copydesk_bybit.symbols import SPOT, category_of, name_of
from copydesk_bybit.words import FALLS, POSITION_INDEXES, RISES, SIDE_WORDS, TIME_WORDS, TRIGGER_WORDS

Params = dict[str, Any]


class Untranslatable(ValueError):
    """An order that this venue cannot carry; the sentence says why. Nothing was sent."""

    def __init__(self, message: str, reason: RejectReason = RejectReason.OTHER) -> None:
        super().__init__(message)
        self.reason = reason


def text(value: Decimal) -> str:
    """A number as the venue wants it: all its digits, no exponent."""
    return format(value, "f")


def _named(symbol: str) -> Params:
    return {"category": category_of(symbol), "symbol": name_of(symbol)}


def place_params(order: NewOrder) -> Params:
    """The parameters of `order/create`. Raises `Untranslatable`.

    Whatever closes the whole position is sent as quantity zero with reduceOnly and closeOnTrigger, as the venue documents.
    A spot market order says that its quantity is in the base currency.
    """
    terms = order.terms
    spot = category_of(terms.symbol) == SPOT
    if terms.type is OrderType.TRAILING_STOP:
        raise Untranslatable("A trailing stop is set on its position, it is no order that could be placed.")
    if spot and terms.position_side is not PositionSide.NET:
        raise Untranslatable(f"{terms.symbol} is spot: it has no {terms.position_side} side.", RejectReason.MODE)
    if spot and (terms.reduce_only or terms.close_position):
        raise Untranslatable(f"{terms.symbol} is spot: there is no position to reduce or to close.")
    params = _named(terms.symbol) | {
        "side": SIDE_WORDS[terms.side],
        "orderType": "Limit" if terms.type.has_price else "Market",
        "qty": "0" if terms.close_position else text(terms.quantity),
        "orderLinkId": order.client_id,
    }
    if terms.type.has_price:
        if terms.price is None:
            raise Untranslatable(f"A {terms.type} order needs a price.")
        params["price"] = text(terms.price)
        params["timeInForce"] = "PostOnly" if terms.post_only else TIME_WORDS[terms.time_in_force]
    elif spot:
        params["marketUnit"] = "baseCoin"
    if terms.type.has_trigger:
        params |= _condition(terms, spot=spot)
    if not spot:
        params["positionIdx"] = POSITION_INDEXES[terms.position_side]
        if terms.reduce_only or terms.close_position:
            params["reduceOnly"] = True
        if terms.close_position:
            params["closeOnTrigger"] = True
    return params


def rises_to_trigger(terms: Terms) -> bool:
    """Whether a conditional order waits for the price to rise."""
    is_stop = terms.type in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT)
    return is_stop == (terms.side is Side.BUY)


def _condition(terms: Terms, *, spot: bool) -> Params:
    if terms.trigger_price is None:
        raise Untranslatable(f"A {terms.type} order needs a trigger price.")
    params: Params = {"triggerPrice": text(terms.trigger_price)}
    if spot:
        if terms.trigger_by is not TriggerBy.LAST:
            raise Untranslatable(
                f"Spot orders of Bybit are triggered by the last price, not by the {terms.trigger_by} price."
            )
        return params | {"orderFilter": "StopOrder"}
    return params | {
        "triggerDirection": RISES if rises_to_trigger(terms) else FALLS,
        "triggerBy": TRIGGER_WORDS[terms.trigger_by],
    }


_TRAIL = "trailingStop="


def trailing_params(symbol: str, side: PositionSide, distance: Decimal) -> Params:
    """The parameters of `position/trading-stop` that set a position's trailing stop; a distance of zero takes it away."""
    return _named(symbol) | {
        "tpslMode": "Full",
        "positionIdx": POSITION_INDEXES[side],
        "trailingStop": text(distance),
    }


def native_of(distance: Decimal) -> str:
    """A trailing stop's distance in price, as `Terms.native` carries it: copydesk's own field is a share of the price."""
    return f"{_TRAIL}{text(distance.normalize())}"


def distance_of(terms: Terms) -> Decimal | None:
    """The distance in price that `Terms.native` carries; None where it has none."""
    _, is_there, digits = terms.native.partition(_TRAIL)
    return Decimal(digits) if is_there else None


def modify_params(change: OrderChange) -> Params:
    """The parameters of `order/amend`: total quantity, price and trigger price. Raises `Untranslatable`."""
    terms = change.terms
    if terms.type in (OrderType.MARKET, OrderType.TRAILING_STOP):
        raise Untranslatable(f"Bybit cannot amend a {terms.type} order.")
    params = ref_params(change.ref)
    if not terms.close_position:
        params["qty"] = text(terms.quantity)
    if terms.type.has_price and terms.price is not None:
        params["price"] = text(terms.price)
    if terms.type.has_trigger and terms.trigger_price is not None:
        params["triggerPrice"] = text(terms.trigger_price)
        if category_of(terms.symbol) != SPOT:
            params["triggerBy"] = TRIGGER_WORDS[terms.trigger_by]
    return params


def ref_params(ref: OrderRef) -> Params:
    """The parameters that name one order, for a cancel, an amend or a query. The venue prefers its own id."""
    if ref.venue_id:
        return _named(ref.symbol) | {"orderId": ref.venue_id}
    if ref.client_id:
        return _named(ref.symbol) | {"orderLinkId": ref.client_id}
    raise Untranslatable("An order is named by its client id or its venue id; this one has neither.")


def filter_of(type_: OrderType, symbol: str) -> str:
    """The `orderFilter` that a cancel of a spot order needs, because spot keeps waiting orders apart."""
    return "StopOrder" if type_.is_conditional and category_of(symbol) == SPOT else ""
