"""What a request for an order asks for, as terms. Source: Bitfinex API v2, "Submit Order" and "Order Update"."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal, InvalidOperation
from typing import Any

from copydesk.model import Contract, Instrument, OrderType, Side, Terms
from copydesk_paper.exchange import Exchange
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_bitfinex.rehearsal import wire
from copydesk_bitfinex.rehearsal.wire import Details
from copydesk_bitfinex.symbols import EXCHANGE, is_derivative, name_of, ours
from copydesk_bitfinex.translate import AMOUNT_STEP, CLOSE, HIDDEN, OCO, POST_ONLY, PRICE_DIGITS, REDUCE_ONLY, TYPES

Body = dict[str, Any]
KNOWN_FLAGS = HIDDEN | CLOSE | REDUCE_ONLY | POST_ONLY | OCO | 524288  # the last: no variable-rate funding
LEVERAGES = range(1, 101)
META_LENGTH = 2_000
GENERIC, PARAMETERS = 10001, 10020

SENTENCES: dict[str, str] = {
    # (detail of the exchange's refusal: the venue's sentence, "Invalid order: " before it)
    "price-tick": "price is not valid",
    "price-band": "price is too far from the market",
    "quantity-step": "amount has too many decimals",
    "min-notional": "amount is too small",
    "reduce-only": "reduce-only is for margin and derivatives",
    "nothing-to-reduce": "reduce-only order has no position to reduce",
    "would-trigger": "stop price would be triggered immediately",
    "trail": "trailing price is not valid",
    "oco": "OCO stop price is not valid",
    "unchanged": "nothing to update",
}


class Refusal(Exception):
    """An error as Bitfinex says it: a code and a sentence, with HTTP status 500 mostly."""

    def __init__(self, sentence: str, code: int = GENERIC, status: int = 500) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status


class Asked:
    """Reads orders, against the exchange's instruments and prices. Raises `Refusal`."""

    def __init__(self, exchange: Exchange, now_ms: Callable[[], int]) -> None:
        self._exchange = exchange
        self._now_ms = now_ms

    def symbol(self, body: Body, word: str) -> str:
        name = body.get("symbol")
        if not isinstance(name, str) or name not in {name_of(symbol) for symbol in self._exchange.instruments}:
            raise Refusal("symbol: invalid", PARAMETERS)
        symbol = ours(name, word)
        if symbol not in self._exchange.instruments:
            exchange = word.startswith(EXCHANGE)
            raise Refusal(
                "Invalid order: exchange orders are for exchange pairs"
                if exchange
                else "This pair cannot be traded on margin."
            )
        if is_derivative(name) and word.startswith(EXCHANGE):
            raise Refusal("symbol: invalid", PARAMETERS)
        return symbol

    def terms(self, account: str, body: Body, word: str, instrument: Instrument) -> tuple[Terms, Details]:
        type_, time_in_force = TYPES[word.removeprefix(EXCHANGE)]
        amount = amount_of(body, "amount")
        if amount is None:
            raise Refusal("amount: invalid", PARAMETERS)
        price = cut(amount_of(body, "price")) or None
        if price is None and type_ not in (OrderType.MARKET, OrderType.TRAILING_STOP):
            raise Refusal("price: invalid", PARAMETERS)
        aux = cut(amount_of(body, "price_aux_limit"))
        if type_ is OrderType.STOP_LIMIT and aux is None:
            raise Refusal("price_aux_limit: invalid", PARAMETERS)
        flags = flags_of(body)
        side = Side.BUY if amount > 0 else Side.SELL
        self._set_leverage(account, body, instrument)
        details = Details(word, 0, whole(body, "gid"), flags, meta_of(body), mts_tif=self._tif(body))
        percent = self._trail(body, instrument, side, details) if type_ is OrderType.TRAILING_STOP else None
        terms = Terms(
            symbol=instrument.symbol,
            side=side,
            type=type_,
            quantity=abs(amount),
            price={OrderType.LIMIT: price, OrderType.STOP_LIMIT: aux}.get(type_),
            trigger_price=price if type_.has_trigger else None,
            trail_percent=percent,
            time_in_force=time_in_force,
            post_only=bool(flags & POST_ONLY),
            reduce_only=bool(flags & (REDUCE_ONLY | CLOSE)) and instrument.contract is not Contract.SPOT,
        )
        if flags & CLOSE:
            terms = replace(terms, quantity=self._closing(account, terms))
        return terms, details

    def _closing(self, account: str, terms: Terms) -> Decimal:
        """An order that closes has the size of what it closes."""
        for position in self._exchange.positions(account):
            if position.symbol == terms.symbol and position.quantity * terms.side.sign < 0:
                return abs(position.quantity)
        return terms.quantity

    def _set_leverage(self, account: str, body: Body, instrument: Instrument) -> None:
        leverage = whole(body, "lev")
        if leverage is None:
            return
        if leverage not in LEVERAGES or not is_derivative(instrument.symbol):
            raise Refusal("Invalid order: leverage is not valid")
        try:
            self._exchange.set_leverage(account, instrument.symbol, leverage)
        except ExchangeRefusal as error:
            raise Refusal(f"Invalid order: leverage: {error}") from None

    def _trail(self, body: Body, instrument: Instrument, side: Side, details: Details) -> Decimal:
        """The exchange trails by a percentage, to a tenth of a percent; Bitfinex by an amount."""
        distance = amount_of(body, "price_trailing")
        if not distance:
            raise Refusal("price_trailing: invalid", PARAMETERS)
        last = self._exchange.last_price(instrument.symbol)
        details.trail = abs(distance)
        details.began = last + side.sign * details.trail
        return max(Decimal("0.1"), (details.trail / last * 100).quantize(Decimal("0.1")))

    def _tif(self, body: Body) -> int | None:
        text = body.get("tif")
        if text in (None, ""):
            return None
        try:
            moment = datetime.fromisoformat(str(text)).replace(tzinfo=UTC)
        except ValueError:
            raise Refusal("tif: invalid", PARAMETERS) from None
        mts = int(moment.timestamp() * 1000)
        if mts <= self._now_ms():
            raise Refusal("Invalid order: tif is in the past")
        return mts


# --- fields of a request ------------------------------------------------------------------------------------


def word_of(body: Body) -> str:
    word = body.get("type")
    if not isinstance(word, str) or word.removeprefix(EXCHANGE) not in TYPES:
        raise Refusal("type: invalid", PARAMETERS)
    return word


def amount_of(body: Body, name: str) -> Decimal | None:
    """A number, as text or as a number. Raises `Refusal`."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Refusal(f"{name}: invalid", PARAMETERS)
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Refusal(f"{name}: invalid", PARAMETERS) from None
    if not number.is_finite():
        raise Refusal(f"{name}: invalid", PARAMETERS)
    if name in ("amount", "delta") and number != number.quantize(AMOUNT_STEP):
        number = number.quantize(AMOUNT_STEP, rounding=ROUND_DOWN)
    if name == "amount" and not number:
        raise Refusal("amount: invalid", PARAMETERS)
    return number


def whole(body: Body, name: str) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal(f"{name}: invalid", PARAMETERS)
    return value


def flags_of(body: Body) -> int:
    flags = whole(body, "flags") or 0
    if flags < 0 or flags & ~KNOWN_FLAGS:
        raise Refusal("flags: invalid", PARAMETERS)
    return flags


def meta_of(body: Body) -> dict[str, Any]:
    meta = body.get("meta")
    if meta is None:
        return {}
    if not isinstance(meta, dict) or len(str(meta)) > META_LENGTH:
        raise Refusal("meta: invalid", PARAMETERS)
    return dict(meta)


def cut(price: Decimal | None) -> Decimal | None:
    """Prices have five significant digits; what is longer is cut."""
    if not price:
        return price
    if price < 0:
        raise Refusal("price: invalid", PARAMETERS)
    step = Decimal(1).scaleb(price.adjusted() - PRICE_DIGITS + 1)
    return min(price, price.quantize(step, rounding=ROUND_DOWN))


# --- refusals -----------------------------------------------------------------------------------------------


def refusal(error: ExchangeRefusal, terms: Terms, instrument: Instrument | None) -> Refusal:
    """What the exchange refused, as Bitfinex says it."""
    if error.detail == "insufficient-margin":
        if instrument is not None and instrument.contract is Contract.SPOT:
            return Refusal(f"Invalid order: not enough exchange balance for {plain_order(terms, instrument)}")
        return Refusal("Invalid order: not enough tradable balance for " + plain_order(terms, instrument))
    if error.detail in ("min-quantity", "max-quantity") and instrument is not None:
        least = error.detail == "min-quantity"
        limit = instrument.min_quantity if least else instrument.max_quantity
        where = f"{instrument.base}/{instrument.quote}"
        return Refusal(f"Invalid order: {'minimum' if least else 'maximum'} size for {where} is {limit.normalize():f}")
    if error.detail == "unknown-order":
        return Refusal("Order not found.")
    return Refusal(f"Invalid order: {SENTENCES.get(error.detail, str(error))}")


def plain_order(terms: Terms, instrument: Instrument | None) -> str:
    base, quote = (instrument.base, instrument.quote) if instrument is not None else ("", "")
    where = terms.price or terms.trigger_price
    amount = wire.plain(terms.side.sign * terms.quantity)
    return f"{amount} {base}{quote}" + (f" at {wire.plain(where)}" if where is not None else "")
