"""The orders that the parameters of a request describe. Refusals in the spot service's words."""

from __future__ import annotations

import secrets
from decimal import ROUND_FLOOR, Decimal

from copydesk.model import ZERO, OrderType, Record, Side, Terms, TimeInForce
from copydesk_paper.exchange import Exchange

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.parameters import CLIENT_ID_FORM, SIDES, Params, is_client_id
from copydesk_binance.rehearsal.spot.account import Detail
from copydesk_binance.rehearsal.spot.codes import rejected
from copydesk_binance.rehearsal.spot.listing import PREVENTION_MODES, Listing, Rules

TYPES = {
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT_LIMIT,
}
TIMES = {"GTC": TimeInForce.GTC, "IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}
RESPONSES = ("ACK", "RESULT", "FULL")
_WITH_TIME = frozenset({"LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
_FULL_BY_DEFAULT = frozenset({"LIMIT", "MARKET"})
_NOT_OFFERED = "Trailing orders of this type are not offered by this rehearsal venue: trail a STOP_LOSS."


class Wanted(Record):
    """An order that was asked for."""

    rules: Rules
    terms: Terms
    client_id: str
    detail: Detail


def client_id_of(params: Params, name: str = "newClientOrderId") -> str:
    """The client id that was sent, or one that the venue makes up. Raises `Refusal` -1100."""
    value = params.text(name)
    if not value:
        return made_up_id()
    if not is_client_id(value):
        raise Refusal(-1100, name, CLIENT_ID_FORM)
    return value


def made_up_id() -> str:
    return secrets.token_urlsafe(18)[:22].replace("-", "0").replace("_", "1")


def side_of(params: Params, name: str = "side") -> Side:
    side = SIDES.get(params.mandatory(name))
    if side is None:
        raise Refusal(-1117)
    return side


class OrderReader:
    """Reads orders with the book as it is now: `quoteOrderQty` becomes a quantity."""

    def __init__(self, listing: Listing, exchange: Exchange) -> None:
        self._listing = listing
        self._exchange = exchange

    def read(self, params: Params, prefix: str = "") -> Wanted:
        """One order. `prefix` stands before the names of an order of a list (`above`, `working`, ...)."""
        rules = self._listing.rules(params.mandatory("symbol"))
        named = _Named(params, prefix)
        side = named.side()
        kind = named.mandatory("type")
        if kind not in TYPES:
            raise Refusal(-1116)
        if "icebergQty" in named:
            raise rejected("Iceberg orders are not supported for this symbol.")
        if "pegPriceType" in named:
            raise rejected("Pegged orders are not supported for this symbol.")
        type_, time_in_force = TYPES[kind], _time_in_force(named, kind)
        price = named.mandatory_decimal("price") if type_.has_price else None
        if price is None and "price" in named:
            raise Refusal(-1106, "price")
        if price is not None:
            rules.check_price(price)
        trigger, trail = _trigger(named, rules, kind)
        quantity, quote = self._quantity(named, rules, side, kind)
        rules.check_quantity(quantity, market=kind == "MARKET")
        terms = Terms(
            symbol=rules.symbol,
            side=side,
            type=OrderType.TRAILING_STOP if trail else type_,
            quantity=quantity,
            price=price,
            trigger_price=trigger,
            trail_percent=trail,
            time_in_force=TIMES[time_in_force],
            post_only=kind == "LIMIT_MAKER",
        )
        rules.check_worth(terms, self._exchange.last_price(rules.symbol))
        detail = Detail(
            kind=kind,
            time_in_force=time_in_force,
            prevention=_prevention(params),
            quote_quantity=quote,
            strategy_id=named.integer("strategyId") or 0,
            strategy_type=_strategy_type(named),
            response=params.choice("newOrderRespType", RESPONSES, "FULL" if kind in _FULL_BY_DEFAULT else "ACK", -1136),
        )
        return Wanted(rules=rules, terms=terms, client_id=named.client_id(), detail=detail)

    def _quantity(self, named: _Named, rules: Rules, side: Side, kind: str) -> tuple[Decimal, Decimal]:
        """The quantity, and what is to be spent or earned where that was asked for instead."""
        quote = named.decimal("quoteOrderQty")
        if quote is None:
            return named.mandatory_decimal("quantity"), ZERO
        if kind != "MARKET":
            raise Refusal(-1106, "quoteOrderQty")
        if "quantity" in named:
            raise Refusal(-1128)
        bids, asks = self._exchange.depth(rules.symbol, 1000)
        against = asks if side is Side.BUY else bids
        if not against:
            raise rejected("Order book liquidity is less than symbol minimum quantity.")
        left, found = quote, ZERO
        for price, size in against:
            taken = min(size, left / price)
            found += taken
            left -= taken * price
            if left <= 0:
                break
        step = rules.instrument.quantity_step
        quantity = (found / step).to_integral_value(ROUND_FLOOR) * step
        if not quantity:
            raise rejected("Order book liquidity is less than `LOT_SIZE` filter minimum quantity.")
        return quantity, quote


class _Named:
    """The parameters of one order, whose names may have a prefix: `aboveStopPrice`."""

    def __init__(self, params: Params, prefix: str) -> None:
        self._params = params
        self._prefix = prefix

    def _name(self, name: str) -> str:
        return self._prefix + name[0].upper() + name[1:] if self._prefix else name

    def __contains__(self, name: str) -> bool:
        return self._name(name) in self._params

    def text(self, name: str) -> str:
        return self._params.text(self._name(name))

    def mandatory(self, name: str) -> str:
        return self._params.mandatory(self._name(name))

    def decimal(self, name: str) -> Decimal | None:
        return self._params.decimal(self._name(name))

    def mandatory_decimal(self, name: str) -> Decimal:
        """The quantity and the side of a list's two orders are sent once for both, or once for the pending ones."""
        return self._params.mandatory_decimal(self._shared(name))

    def integer(self, name: str) -> int | None:
        return self._params.integer(self._name(name))

    def side(self) -> Side:
        return side_of(self._params, self._shared("side"))

    def _shared(self, name: str) -> str:
        if self._prefix in ("above", "below") and name in ("side", "quantity"):
            return name
        if self._prefix in ("pendingAbove", "pendingBelow") and name in ("side", "quantity"):
            return "pending" + name[0].upper() + name[1:]
        return self._name(name)

    def client_id(self) -> str:
        return client_id_of(self._params, self._name("clientOrderId") if self._prefix else "newClientOrderId")

    def choice(self, name: str) -> str:
        value = self.text(name)
        if value not in TIMES:
            raise Refusal(-1115)
        return value


def _time_in_force(named: _Named, kind: str) -> str:
    if kind in _WITH_TIME:
        named.mandatory("timeInForce")
        return named.choice("timeInForce")
    if "timeInForce" in named:
        raise Refusal(-1106, "timeInForce")
    return "GTC"


def _trigger(named: _Named, rules: Rules, kind: str) -> tuple[Decimal | None, Decimal | None]:
    """The stop price, and the trail in percent."""
    trigger, basis_points = named.decimal("stopPrice"), named.integer("trailingDelta")
    if not TYPES[kind].has_trigger:
        for name in ("stopPrice", "trailingDelta"):
            if name in named:
                raise Refusal(-1106, name)
        return None, None
    if trigger is None and basis_points is None:
        sentence = "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!"
        raise Refusal(-1102, message=sentence)
    if trigger is not None:
        rules.check_price(trigger, "stopPrice")
    if basis_points is None:
        return trigger, None
    rules.check_trail(basis_points)
    if kind != "STOP_LOSS":
        raise Refusal(-1020, message=_NOT_OFFERED)
    return trigger, Decimal(basis_points) / 100


def _prevention(params: Params) -> str:
    return params.choice("selfTradePreventionMode", PREVENTION_MODES, "NONE")


def _strategy_type(named: _Named) -> int:
    number = named.integer("strategyType") or 0
    if number and number < 1_000_000:
        raise Refusal(-1134, message="strategyType was less than 1000000.")
    return number
