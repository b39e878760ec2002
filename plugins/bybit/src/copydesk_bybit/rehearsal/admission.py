"""Which orders Bybit takes: what is asked for is read and checked before anything comes of it."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import OrderType, Terms
from copydesk_paper.exchange import Exchange
from msgspec.structs import replace

from copydesk_bybit.rehearsal import wire
from copydesk_bybit.rehearsal.account import Account, Known
from copydesk_bybit.rehearsal.codes import Refusal, bad
from copydesk_bybit.rehearsal.holdings import Holdings
from copydesk_bybit.rehearsal.listing import Listing, Rules
from copydesk_bybit.rehearsal.parameters import Params, Wanted, read_order
from copydesk_bybit.symbols import SPOT
from copydesk_bybit.words import RISES


class Admission:
    """Reads orders for the desk."""

    def __init__(self, exchange: Exchange, listing: Listing, holdings: Holdings) -> None:
        self._exchange = exchange
        self._listing = listing
        self._holdings = holdings

    def read(self, account: Account, params: Params, rules: Rules) -> Wanted:
        """The order that is asked for. Raises `Refusal` for one that Bybit does not take."""
        last = self._exchange.last_price(rules.symbol)
        quote = self._exchange.quote(rules.symbol)
        best = quote.ask if params.text("side") == "Buy" else quote.bid
        step = rules.instrument.quantity_step
        wanted = read_order(params, rules.symbol, rules.category, last, best or last, step)
        terms = wanted.terms
        if not terms.quantity and wanted.close_on_trigger and terms.reduce_only:
            terms = self._closing(account, terms, rules)
        elif not terms.quantity:
            raise Refusal(170136) if rules.category == SPOT else bad("Qty invalid")
        self.check_trigger(terms, wanted.direction, rules)
        self.check_band(terms, rules, last)
        return Wanted(**{name: getattr(wanted, name) for name in Wanted.__slots__} | {"terms": terms})

    def _closing(self, account: Account, terms: Terms, rules: Rules) -> Terms:
        """Quantity zero, reduce-only and close-on-trigger: all that is held then."""
        if terms.type in (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET):
            return replace(terms, close_position=True, reduce_only=False)
        if terms.type is not OrderType.MARKET:
            raise bad("Qty invalid")
        held = abs(self._holdings.held(account, (rules.symbol, terms.position_side)))
        if not held:
            raise Refusal(110017)
        return replace(terms, quantity=held)

    def check_trigger(self, terms: Terms, direction: int, rules: Rules) -> None:
        if terms.trigger_price is None or rules.category == SPOT:
            return
        price = self._trigger_price(terms)
        if direction == RISES and terms.trigger_price <= price:
            raise Refusal(110092, wire.bare(terms.trigger_price), wire.bare(price))
        if direction != RISES and terms.trigger_price >= price:
            raise Refusal(110093, wire.bare(terms.trigger_price), wire.bare(price))

    def _trigger_price(self, terms: Terms) -> Decimal:
        """The price that this conditional order looks at."""
        if terms.trigger_by == "last":
            return self._exchange.last_price(terms.symbol)
        return self._exchange.quote(terms.symbol).mark

    def check_band(self, terms: Terms, rules: Rules, last: Decimal) -> None:
        """A limit may not be too far on the aggressive side of the mark price."""
        risk = self._listing.row(rules).get("riskParameters", {})
        band = Decimal(risk.get("priceLimitRatioY", "0.1"))
        mark = self._exchange.quote(rules.symbol).mark or last
        if terms.price is None or terms.type.is_conditional or not mark:
            return
        too_high = terms.price > mark * (1 + band) and terms.side == "buy"
        too_low = terms.price < mark * (1 - band) and terms.side == "sell"
        if too_high or too_low:
            code = (170193 if too_high else 170194) if rules.category == SPOT else 110003
            raise Refusal(code, message="Order price exceeds the allowable range." if code != 110003 else "")

    def known(self, account: Account, wanted: Wanted, rules: Rules) -> Known:
        """What the desk keeps of an order that was read. Raises `Refusal`."""
        protection = wanted.protection
        if protection and (wanted.terms.reduce_only or wanted.terms.close_position):
            raise bad("params error: reduce-only orders cannot have takeProfit or stopLoss")
        mode = "" if rules.category == SPOT else protection.mode if protection else "UNKNOWN"
        return Known(
            order_id="",
            link_id=wanted.link_id,
            category=rules.category,
            position_idx=wanted.position_idx,
            stop_type=wanted.stop_type,
            direction=wanted.direction,
            trigger_by=wanted.trigger_by,
            last_on_created=self._exchange.last_price(rules.symbol),
            close_on_trigger=wanted.close_on_trigger,
            market_unit=wanted.market_unit,
            quote_quantity=wanted.quote_quantity,
            protection=protection,
            mode=mode,
        )
