"""What is asked of Binance USD-M futures: orders and changes as the parameters of requests. Pure."""

from __future__ import annotations

from copydesk.model import (
    OrderChange,
    OrderRef,
    OrderType,
    PositionSide,
    Terms,
)

from copydesk_binance.fields import (
    TIME_WORDS,
    Params,
    Untranslatable,
    WrongMode,
    order_id_params,
    text,
)
from copydesk_binance.translate import ALGO_PREFIX, TRIGGER_WORDS, TYPE_WORDS

# --- requests -----------------------------------------------------------------------------------------------


def place_params(client_id: str, terms: Terms, *, hedge_mode: bool) -> tuple[str, Params]:
    """The path and the parameters that place an order. Conditional types have a service of their own.

    In hedge mode the venue refuses reduce-only, which the position side implies there. Raises `Untranslatable`.
    """
    params: Params = {"symbol": terms.symbol, "side": terms.side.value.upper(), "type": TYPE_WORDS[terms.type]}
    if hedge_mode:
        if terms.position_side is PositionSide.NET:
            raise WrongMode(f"The account is in hedge mode: an order on {terms.symbol} must say long or short.")
        params["positionSide"] = terms.position_side.value.upper()
    elif terms.position_side is not PositionSide.NET:
        raise WrongMode(f"The account is in one-way mode: an order on {terms.symbol} cannot be {terms.position_side}.")
    whole_position = terms.close_position and terms.type in _CLOSES_POSITION
    if whole_position:
        params["closePosition"] = "true"
    else:
        params["quantity"] = text(terms.quantity)
        if (terms.reduce_only or terms.close_position) and not hedge_mode:
            params["reduceOnly"] = "true"
    if terms.type.has_price:
        if terms.price is None:
            raise Untranslatable(f"A {terms.type} order needs a price.")
        params["price"] = text(terms.price)
        params["timeInForce"] = "GTX" if terms.post_only else TIME_WORDS[terms.time_in_force]
    if not terms.type.is_conditional:
        return "order", params | {"newClientOrderId": client_id, "newOrderRespType": "RESULT"}
    return "algoOrder", params | _condition(terms) | {"clientAlgoId": client_id, "algoType": "CONDITIONAL"}


_CLOSES_POSITION = frozenset({OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET})


def _condition(terms: Terms) -> Params:
    if terms.trigger_by not in TRIGGER_WORDS:
        raise Untranslatable(f"Binance triggers by the last or the mark price, not by the {terms.trigger_by} price.")
    params = {"workingType": TRIGGER_WORDS[terms.trigger_by]}
    if terms.type is OrderType.TRAILING_STOP:
        if terms.trail_percent is None:
            raise Untranslatable("A trailing stop needs a trail in percent.")
        params["callbackRate"] = text(terms.trail_percent)
        if terms.trigger_price is not None:
            params["activatePrice"] = text(terms.trigger_price)
    elif terms.trigger_price is None:
        raise Untranslatable(f"A {terms.type} order needs a trigger price.")
    else:
        params["triggerPrice"] = text(terms.trigger_price)
    return params


def modify_params(change: OrderChange) -> Params:
    """The parameters that amend a limit order: the venue wants side, price and total quantity together."""
    terms = change.terms
    if terms.type is not OrderType.LIMIT or terms.price is None:
        raise Untranslatable(f"Binance amends limit orders only, not a {terms.type} order.")
    return {
        "symbol": terms.symbol,
        "side": terms.side.value.upper(),
        "quantity": text(terms.quantity),
        "price": text(terms.price),
    } | order_id_params(change.ref)


def ref_params(ref: OrderRef) -> tuple[str, Params]:
    """The path and the parameters that name one order, for a cancel or a query."""
    if ref.venue_id.startswith(ALGO_PREFIX):
        return "algoOrder", {"algoId": ref.venue_id.removeprefix(ALGO_PREFIX)}
    if ref.type.is_conditional and not ref.venue_id:
        if not ref.client_id:
            raise Untranslatable("An order is named by its client id or its venue id; this one has neither.")
        return "algoOrder", {"clientAlgoId": ref.client_id}
    return "order", {"symbol": ref.symbol} | order_id_params(ref)
