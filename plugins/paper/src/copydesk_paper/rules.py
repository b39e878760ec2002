"""What an order must satisfy before the exchange takes it. Pure; each function raises `ExchangeRefusal` or returns."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import Contract, Instrument, OrderType, PositionSide, RejectReason, Side, Terms, TimeInForce

from copydesk_paper.contracts import is_multiple, notional
from copydesk_paper.orders import reduces
from copydesk_paper.refusal import ExchangeRefusal
from copydesk_paper.wallet import Account

TRAIL_MIN, TRAIL_MAX = Decimal("0.1"), Decimal(10)
"""Callback rates that Binance takes, in percent."""
_CLOSES = (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
_PRICE_RISES = {
    (OrderType.STOP_MARKET, Side.BUY): True,
    (OrderType.STOP_LIMIT, Side.BUY): True,
    (OrderType.TAKE_PROFIT_MARKET, Side.SELL): True,
    (OrderType.TAKE_PROFIT_LIMIT, Side.SELL): True,
}


def triggers_upwards(terms: Terms) -> bool:
    """True where the order triggers when the price rises to its trigger, False where when it falls to it."""
    return _PRICE_RISES.get((terms.type, terms.side), False)


def check_form(instrument: Instrument, terms: Terms) -> None:
    """The order in itself: symbol trading, price, trigger, trail and flags that belong to its type."""
    if not instrument.trading:
        raise ExchangeRefusal(RejectReason.SYMBOL, "unknown-symbol", f"{terms.symbol} is not trading")
    if terms.type.has_price != (terms.price is not None):
        wanted = "needs" if terms.type.has_price else "has no"
        raise ExchangeRefusal(RejectReason.PRICE, "price-tick", f"a {terms.type} order {wanted} price")
    for price in (terms.price, terms.trigger_price):
        if price is not None and (price <= 0 or not is_multiple(price, instrument.price_tick)):
            message = f"price {price} is not a positive multiple of the tick {instrument.price_tick}"
            raise ExchangeRefusal(RejectReason.PRICE, "price-tick", message)
    if terms.type.has_trigger and terms.trigger_price is None:
        raise ExchangeRefusal(RejectReason.PRICE, "price-tick", f"a {terms.type} order needs a trigger price")
    if not terms.type.is_conditional and terms.trigger_price is not None:
        raise ExchangeRefusal(RejectReason.PRICE, "price-tick", f"a {terms.type} order has no trigger price")
    if terms.type is OrderType.TRAILING_STOP and not TRAIL_MIN <= (terms.trail_percent or 0) <= TRAIL_MAX:
        message = f"a trailing stop needs a trail between {TRAIL_MIN} and {TRAIL_MAX} percent, not {terms.trail_percent}"
        raise ExchangeRefusal(RejectReason.PRICE, "trail", message)
    if terms.type is not OrderType.TRAILING_STOP and terms.trail_percent is not None:
        raise ExchangeRefusal(RejectReason.PRICE, "trail", f"a {terms.type} order has no trail")
    if terms.close_position and terms.type not in _CLOSES:
        raise ExchangeRefusal(RejectReason.OTHER, "close-position", f"a {terms.type} order cannot close the position")
    if terms.post_only and (not terms.type.has_price or terms.time_in_force is not TimeInForce.GTC):
        raise ExchangeRefusal(
            RejectReason.POST_ONLY, "post-only", "post-only is for limit orders that are good till cancelled"
        )


def check_size(instrument: Instrument, terms: Terms, price: Decimal) -> None:
    """Quantity and notional at `price`. A close-position order has no size of its own; reducing has no minimum notional."""
    if terms.close_position:
        return
    quantity = terms.quantity
    if not is_multiple(quantity, instrument.quantity_step):
        message = f"quantity {quantity} is not a multiple of the step {instrument.quantity_step}"
        raise ExchangeRefusal(RejectReason.QUANTITY, "quantity-step", message)
    if quantity <= 0 or quantity < instrument.min_quantity:
        message = f"quantity {quantity} is below the minimum {instrument.min_quantity}"
        raise ExchangeRefusal(RejectReason.QUANTITY, "min-quantity", message)
    largest = instrument.max_quantity
    if not terms.type.has_price and instrument.market_max_quantity:
        largest = instrument.market_max_quantity
    if largest and quantity > largest:
        raise ExchangeRefusal(RejectReason.QUANTITY, "max-quantity", f"quantity {quantity} is above the maximum {largest}")
    if instrument.min_notional and not reduces(terms):
        size = notional(instrument, quantity, terms.price or terms.trigger_price or price)
        if price and size < instrument.min_notional:
            message = f"notional {size} is below the minimum {instrument.min_notional}"
            raise ExchangeRefusal(RejectReason.QUANTITY, "min-notional", message)


def check_band(terms: Terms, mark: Decimal, band: Decimal) -> None:
    """A buy too far above, or a sell too far below, the mark price is refused (conditional orders are not looked at)."""
    if terms.price is None or terms.type.is_conditional or not mark or not band:
        return
    if terms.side is Side.BUY and terms.price > mark * (1 + band):
        raise ExchangeRefusal(RejectReason.PRICE, "price-band", f"a buy at {terms.price} is too far above the mark {mark}")
    if terms.side is Side.SELL and terms.price < mark * (1 - band):
        raise ExchangeRefusal(RejectReason.PRICE, "price-band", f"a sell at {terms.price} is too far below the mark {mark}")


def check_trigger(terms: Terms, price: Decimal) -> None:
    """A conditional order whose trigger is met already is refused, as is an activation price on the wrong side."""
    trigger = terms.trigger_price
    if trigger is None or not price:
        return
    if terms.type is OrderType.TRAILING_STOP:
        met = price <= trigger if terms.side is Side.BUY else price >= trigger
    else:
        met = price >= trigger if triggers_upwards(terms) else price <= trigger
    if met:
        message = f"the {terms.type} order would trigger at once: trigger {trigger}, price {price}"
        raise ExchangeRefusal(RejectReason.PRICE, "would-trigger", message)


def check_mode(account: Account, instrument: Instrument, terms: Terms) -> None:
    """The position side fits the account's position mode; reducing flags fit the position."""
    spot = instrument.contract is Contract.SPOT
    hedged = account.hedge_mode and not spot
    if hedged == (terms.position_side is PositionSide.NET):
        mode = "hedge" if account.hedge_mode else "one-way"
        message = f"position side {terms.position_side} does not fit {mode} mode"
        raise ExchangeRefusal(RejectReason.MODE, "position-side", message)
    if spot and (terms.reduce_only or terms.close_position):
        raise ExchangeRefusal(RejectReason.OTHER, "reduce-only", "spot orders cannot be reduce-only")
    opens = (terms.position_side is PositionSide.LONG) == (terms.side is Side.BUY)
    if hedged and opens and (terms.reduce_only or terms.close_position):
        message = f"a {terms.side} on the {terms.position_side} side cannot reduce"
        raise ExchangeRefusal(RejectReason.OTHER, "reduce-only", message)
    reduces_now = reduces(terms) and not terms.type.is_conditional
    if reduces_now and not account.closable(terms.symbol, terms.position_side, terms.side):
        message = f"nothing to reduce: no {terms.symbol} position against a {terms.side}"
        raise ExchangeRefusal(RejectReason.NOTHING_TO_REDUCE, "nothing-to-reduce", message)
    if not terms.close_position:
        return
    same = (
        order
        for order in account.working_on(terms.symbol)
        if order.terms.close_position
        and (order.terms.type, order.side, order.terms.position_side) == (terms.type, terms.side, terms.position_side)
    )
    if any(same):
        message = f"a {terms.type} order that closes the {terms.symbol} position stands already"
        raise ExchangeRefusal(RejectReason.OTHER, "close-position", message)
