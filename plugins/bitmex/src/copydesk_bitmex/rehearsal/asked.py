"""What a request for an order asks for, as terms; BitMEX guesses what is left out. Source: the published swagger."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from copydesk.model import ZERO, Instrument, OrderType, RejectReason, Side, Terms
from copydesk_paper.exchange import Exchange
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_bitmex.rehearsal import wire
from copydesk_bitmex.rehearsal.wire import Json
from copydesk_bitmex.translate import (
    CANCELS_OTHER,
    CLOSE,
    ORDER_TYPES,
    POST_ONLY,
    REDUCE_ONLY,
    SIDES,
    TIMES,
    TRAILING,
    TRIGGERS,
    TRIGGERS_OTHER,
)

PEGS = frozenset({"PrimaryPeg", "MarketPeg"})
FIXED = "Fixed"
MOST_OF_AN_ID = 36


class Refusal(Exception):
    """An error as BitMEX said it."""

    def __init__(self, sentence: str, status: int = 400, name: str = "ValidationError") -> None:
        super().__init__(sentence)
        self.status = status
        self.name = name


SENTENCES: dict[str, str] = {
    # (detail of the exchange's refusal: the venue's sentence)
    "unknown-symbol": "symbol is invalid",
    "price-tick": "Invalid price tickSize",
    "price-band": "Invalid price",
    "quantity-step": "Order quantity must be a multiple of lot size",
    "min-quantity": "Order quantity must be a multiple of lot size",
    "max-quantity": "orderQty is invalid",
    "insufficient-margin": "Account has insufficient Available Balance",
    "would-trigger": "Invalid stopPx for ordType",
    "unknown-order": "Not Found",
    "unchanged": "Invalid amend: orderQty, leavesQty, price, stopPx unchanged",
    "trail": "Invalid pegOffsetValue",
    "leverage": "leverage is invalid",
}


def refusal(error: ExchangeRefusal) -> Refusal:
    sentence = SENTENCES.get(error.detail, str(error))
    if error.reason is RejectReason.NOT_FOUND:
        return Refusal(sentence, 404, "HTTPError")
    return Refusal(sentence)


def amount(wanted: Json, name: str) -> Decimal | None:
    """A number of a request. Raises `Refusal`."""
    value = wanted.get(name)
    if value in (None, ""):
        return None
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        return Decimal(str(value))
    except InvalidOperation:
        raise Refusal(f"{name} is invalid") from None


class Asked:
    """Reads orders, against the exchange's instruments and prices."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def instrument(self, symbol: Any) -> Instrument:
        found = self._exchange.instruments.get(str(symbol))
        if found is None:
            raise Refusal("symbol is invalid")
        return found

    def read(self, wanted: Json) -> tuple[Terms, Json]:
        """What is asked for. BitMEX guesses what is left out: the side from a sign, the type from the prices."""
        instrument = self.instrument(wanted.get("symbol"))
        does = {part.strip() for part in str(wanted.get("execInst") or "").split(",") if part.strip()}
        quantity = amount(wanted, "orderQty")
        if quantity is None and CLOSE not in does:
            raise Refusal("orderQty is required")
        quantity = quantity or ZERO
        side = self._side(wanted, quantity)
        price, stop, offset = (amount(wanted, name) for name in ("price", "stopPx", "pegOffsetValue"))
        extra = self._kept(wanted)
        if wanted.get("pegPriceType") in PEGS:
            price = self._peg(instrument, side, wanted, does, offset)
            extra |= {"ordType": "Pegged", "pegPriceType": wanted["pegPriceType"], "pegOffsetValue": wire.real(offset)}
        type_ = self._type(wanted, price, stop)
        percent = None
        if wanted.get("pegPriceType") == TRAILING:
            if offset is None:
                raise Refusal("pegOffsetValue is required")
            type_, stop = OrderType.TRAILING_STOP, None
            percent, trail = self.trail(instrument.symbol, side, offset)
            extra |= trail
        if type_.has_price and price is None:
            raise Refusal("price is required")
        if type_.has_trigger and stop is None:
            raise Refusal("stopPx is required")
        time_in_force = TIMES.get(str(wanted.get("timeInForce") or "GoodTillCancel"))
        if time_in_force is None:
            raise Refusal("timeInForce is invalid")
        trigger = next((TRIGGERS[word] for word in does if word in TRIGGERS), TRIGGERS["MarkPrice"])
        closes = CLOSE in does
        terms = Terms(
            symbol=instrument.symbol,
            side=side,
            type=type_,
            quantity=abs(quantity),
            price=price if type_.has_price else None,
            trigger_price=stop if type_.has_trigger else None,
            trigger_by=trigger if type_.is_conditional else TRIGGERS["LastPrice"],
            trail_percent=percent,
            time_in_force=time_in_force if type_.has_price else TIMES["GoodTillCancel"],
            post_only=POST_ONLY in does,
            reduce_only=(REDUCE_ONLY in does or closes) and (type_ is OrderType.MARKET or bool(quantity) or not closes),
            close_position=closes and not quantity and type_.has_trigger,
        )
        return self._closing(terms, does, quantity), extra

    @staticmethod
    def _kept(wanted: Json) -> Json:
        """What the exchange does not keep of an order, and its row tells."""
        client_id, linked = str(wanted.get("clOrdID") or ""), str(wanted.get("clOrdLinkID") or "")
        contingency = str(wanted.get("contingencyType") or "")
        if len(client_id) > MOST_OF_AN_ID or len(linked) > MOST_OF_AN_ID:
            raise Refusal("clOrdID is too long" if len(client_id) > MOST_OF_AN_ID else "clOrdLinkID is too long")
        if contingency not in ("", CANCELS_OTHER, TRIGGERS_OTHER):
            raise Refusal("contingencyType is invalid")
        if contingency and not linked:
            raise Refusal("clOrdLinkID is required")
        note = f"{wanted['text']}\n" if wanted.get("text") else ""
        return {
            "clOrdID": client_id,
            "clOrdLinkID": linked,
            "contingencyType": contingency,
            "displayQty": wire.real(amount(wanted, "displayQty")),
            "text": note + wire.SUBMITTED,
        }

    def _peg(self, instrument: Instrument, side: Side, wanted: Json, does: set[str], offset: Decimal | None) -> Decimal:
        """The price of a pegged order, set once: so far from the best price of its own side, or of the other one."""
        if wanted.get("ordType") not in (None, "", "Pegged"):
            raise Refusal("Invalid pegPriceType for ordType")
        if FIXED not in does:
            raise Refusal("execInst of Fixed is required for Pegged orders")
        if offset is None:
            raise Refusal("pegOffsetValue is required")
        quote = self._exchange.quote(instrument.symbol)
        near = (wanted["pegPriceType"] == "PrimaryPeg") == (side is Side.BUY)
        return (quote.bid if near else quote.ask) + offset

    def _closing(self, terms: Terms, does: set[str], quantity: Decimal) -> Terms:
        """`Close` without a quantity, at market or with a limit: reduce-only with as much as could ever be held."""
        if CLOSE not in does or quantity or terms.close_position:
            return terms
        largest = self._exchange.instruments[terms.symbol].max_quantity
        return replace(terms, quantity=largest, reduce_only=True)

    @staticmethod
    def _side(wanted: Json, quantity: Decimal) -> Side:
        word = wanted.get("side")
        if word in (None, ""):
            return Side.SELL if quantity < 0 else Side.BUY
        if word not in SIDES:
            raise Refusal("side is invalid")
        return SIDES[word]

    @staticmethod
    def _type(wanted: Json, price: Decimal | None, stop: Decimal | None) -> OrderType:
        word = str(wanted.get("ordType") or "")
        if not word:
            word = (
                ("StopLimit" if price is not None else "Stop")
                if stop is not None
                else ("Limit" if price is not None else "Market")
            )
        if word not in ORDER_TYPES:
            raise Refusal("ordType is invalid")
        return ORDER_TYPES[word]

    def trail(self, symbol: str, side: Side, offset: Decimal) -> tuple[Decimal, Json]:
        """The exchange trails by a percentage, to a tenth of a percent; BitMEX by an amount, below zero for a sell."""
        if not offset or (offset < 0) != (side is Side.SELL):
            raise Refusal("Invalid pegOffsetValue")
        last = self._exchange.last_price(symbol)
        told = {"pegOffsetValue": wire.real(offset), "stopPx": wire.real(last + offset)}
        return max(Decimal("0.1"), (abs(offset) / last * 100).quantize(Decimal("0.1"))), told
