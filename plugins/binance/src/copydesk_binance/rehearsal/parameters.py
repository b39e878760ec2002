"""What was sent, read and checked: the parameters of a request, and the orders that they describe."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl

from copydesk.model import ZERO, OrderType, PositionSide, Record, Side, Terms, TimeInForce, TriggerBy

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.listing import Listing, Rules
from copydesk_binance.rehearsal.signing import as_text

CLIENT_ID_FORM = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"
_client_id = re.compile(CLIENT_ID_FORM)
_number = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
_integer = re.compile(r"-?[0-9]{1,19}")

SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}
POSITION_SIDES = {"BOTH": PositionSide.NET, "LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}
CONDITIONAL = {
    "STOP": OrderType.STOP_LIMIT,
    "STOP_MARKET": OrderType.STOP_MARKET,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_LIMIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT_MARKET,
    "TRAILING_STOP_MARKET": OrderType.TRAILING_STOP,
}
WORKING_TYPES = {"CONTRACT_PRICE": TriggerBy.LAST, "MARK_PRICE": TriggerBy.MARK}
PREVENTION_MODES = ("NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH")
_TIMES = {
    "GTC": TimeInForce.GTC,
    "IOC": TimeInForce.IOC,
    "FOK": TimeInForce.FOK,
    "GTX": TimeInForce.GTC,
    "GTD": TimeInForce.GTC,
}
_PRICE_MATCHES = frozenset(f"{kind}{depth}" for kind in ("OPPONENT", "QUEUE") for depth in ("", "_5", "_10", "_20"))
_GOOD_TILL_MIN_MS = 600_000
_GOOD_TILL_MAX = 253402300799000


class Params:
    """The parameters of one request, as text. A parameter that is empty counts as not sent; unknown ones are ignored.

    Upper and lower case of names does not matter: ccxt sends `orderidlist`, Binance's document shows `triggerprice`.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in values.items()}

    @classmethod
    def from_parts(cls, query: str, body: str) -> Params:
        """Read a query string and a form body; what stands in both is taken from the query string."""
        values = dict(parse_qsl(body, keep_blank_values=True)) if body else {}
        if query:
            values.update(parse_qsl(query, keep_blank_values=True))
        return cls(values)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Params:
        """Read the `params` of a websocket API request, or one element of `batchOrders`."""
        return cls({name: as_text(value) for name, value in values.items() if value is not None})

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name.lower()))

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name.lower()) or default

    def mandatory(self, name: str) -> str:
        value = self._values.get(name.lower())
        if not value:
            raise Refusal(-1102, name)
        return value

    def replaced(self, **values: str) -> Params:
        """The same parameters, but for these."""
        return Params(self._values | {name.lower(): value for name, value in values.items()})

    def renamed(self, names: Mapping[str, str]) -> Params:
        """The same parameters, some of them under other names."""
        names = {old.lower(): new.lower() for old, new in names.items()}
        return Params({names.get(name, name): value for name, value in self._values.items()})

    def decimal(self, name: str) -> Decimal | None:
        value = self._values.get(name.lower())
        if not value:
            return None
        if not _number.fullmatch(value):
            raise Refusal(-1102, name)
        try:
            return Decimal(value)
        except InvalidOperation:
            raise Refusal(-1102, name) from None

    def mandatory_decimal(self, name: str) -> Decimal:
        value = self.decimal(name)
        if value is None:
            raise Refusal(-1102, name)
        return value

    def integer(self, name: str) -> int | None:
        value = self._values.get(name.lower())
        if not value:
            return None
        if not _integer.fullmatch(value):
            raise Refusal(-1102, name)
        return int(value)

    def flag(self, name: str) -> bool:
        value = self.text(name, "false").lower()
        if value not in ("true", "false"):
            raise Refusal(-1130, name)
        return value == "true"

    def choice(self, name: str, allowed: Collection[str], default: str, code: int = -1130) -> str:
        value = self.text(name, default)
        if value not in allowed:
            raise Refusal(code, name) if code == -1130 else Refusal(code)
        return value

    @property
    def start_ms(self) -> int:
        """`startTime`, zero where it was not sent. One of zero is the beginning of time, from which clients look for the
        first candle that there is."""
        start = self.integer("startTime")
        return 0 if start is None else max(1, start)

    def limit(self, default: int, largest: int) -> int:
        value = self.integer("limit")
        if value is None:
            return default
        if not 1 <= value <= largest:
            raise Refusal(-1130, "limit")
        return value


class Detail(Record):
    """What Binance keeps of an order beyond its terms."""

    time_in_force: str = "GTC"
    good_till_ms: int = 0
    prevention: str = "EXPIRE_MAKER"
    price_protect: bool = False
    response: str = "ACK"
    price_match: str = "NONE"


class Wanted(Record):
    """An order that was asked for."""

    rules: Rules
    terms: Terms
    client_id: str
    detail: Detail


def is_client_id(value: str) -> bool:
    return _client_id.fullmatch(value) is not None


def client_id_of(params: Params, name: str) -> str:
    """The client order id that was sent, or one that the venue makes up. Raises `Refusal` -4015 or -1100."""
    value = params.text(name)
    if not value:
        return secrets.token_urlsafe(16)[:22].replace("-", "0")
    if len(value) > 36:
        raise Refusal(-4015)
    if not _client_id.fullmatch(value):
        raise Refusal(-1100, name, CLIENT_ID_FORM)
    return value


def read_order(params: Params, listing: Listing, now_ms: int, *, hedge_mode: bool) -> Wanted:
    """An ordinary order, of type LIMIT or MARKET. Raises `Refusal` in Binance's words for what is wrong with it."""
    rules = listing.rules(params.mandatory("symbol"))
    side = _side(params)
    kind = params.mandatory("type")
    if kind in CONDITIONAL:
        raise Refusal(-4120)
    if kind not in ("LIMIT", "MARKET"):
        raise Refusal(-1116)
    price_match(params, kind)
    if params.flag("closePosition"):
        raise Refusal(-4136, kind, "true")
    detail = _detail(params, now_ms, limit=kind == "LIMIT")
    quantity = params.mandatory_decimal("quantity")
    price = None
    if kind == "LIMIT":
        price = params.mandatory_decimal("price")
        rules.check_price(price)
    elif "price" in params:
        raise Refusal(-1106, "price")
    rules.check_quantity(quantity, market=kind == "MARKET")
    position_side, reduce_only = _side_book(params, hedge_mode=hedge_mode)
    terms = Terms(
        symbol=rules.symbol,
        side=side,
        type=OrderType.LIMIT if kind == "LIMIT" else OrderType.MARKET,
        quantity=quantity,
        price=price,
        time_in_force=_TIMES[detail.time_in_force],
        post_only=detail.time_in_force == "GTX",
        reduce_only=reduce_only,
        position_side=position_side,
    )
    return Wanted(rules=rules, terms=terms, client_id=client_id_of(params, "newClientOrderId"), detail=detail)


def read_algo_order(params: Params, listing: Listing, now_ms: int, *, hedge_mode: bool) -> Wanted:
    """A conditional order of the algo service."""
    if params.mandatory("algoType") != "CONDITIONAL":
        raise Refusal(-1130, "algoType")
    rules = listing.rules(params.mandatory("symbol"))
    side = _side(params)
    kind = params.mandatory("type")
    if kind not in CONDITIONAL:
        raise Refusal(-1116)
    type_ = CONDITIONAL[kind]
    if price_match(params, kind) != "NONE":
        raise Refusal(
            -4084, message="priceMatch of a conditional order is not offered by this rehearsal venue; send a price."
        )
    close = params.flag("closePosition")
    if close and kind not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        raise Refusal(-4136, kind, "true")
    if close and "quantity" in params:
        raise Refusal(-4137, message="Quantity must be zero with closePosition equals true")
    if close and params.flag("reduceOnly"):
        raise Refusal(-1106, "reduceonly")
    detail = _detail(params, now_ms, limit=type_.has_price, conditional=True)
    price = None
    if type_.has_price:
        price = params.mandatory_decimal("price")
        rules.check_price(price)
    trigger, trail = _trigger(params, rules, type_)
    quantity = ZERO
    if not close:
        quantity = params.mandatory_decimal("quantity")
        rules.check_quantity(quantity, market=not type_.has_price)
    position_side, reduce_only = _side_book(params, hedge_mode=hedge_mode)
    terms = Terms(
        symbol=rules.symbol,
        side=side,
        type=type_,
        quantity=quantity,
        price=price,
        trigger_price=trigger,
        trigger_by=WORKING_TYPES[params.choice("workingType", WORKING_TYPES, "CONTRACT_PRICE")],
        trail_percent=trail,
        time_in_force=_TIMES[detail.time_in_force],
        post_only=detail.time_in_force == "GTX",
        reduce_only=reduce_only,
        close_position=close,
        position_side=position_side,
    )
    return Wanted(rules=rules, terms=terms, client_id=client_id_of(params, "clientAlgoId"), detail=detail)


def read_old_conditional(params: Params, listing: Listing, now_ms: int, *, hedge_mode: bool) -> Wanted:
    """A conditional order in the form in which Binance took it among the ordinary ones, until 2025-12-09."""
    if params.mandatory("type") != "TRAILING_STOP_MARKET" and "stopPrice" not in params:
        raise Refusal(-1102, "stopprice")
    new = params.renamed(_NEW_NAMES).replaced(algoType="CONDITIONAL")
    return read_algo_order(new, listing, now_ms, hedge_mode=hedge_mode)


_NEW_NAMES = {"stopPrice": "triggerPrice", "newClientOrderId": "clientAlgoId"}


def _side(params: Params) -> Side:
    side = SIDES.get(params.mandatory("side"))
    if side is None:
        raise Refusal(-1117)
    return side


def _side_book(params: Params, *, hedge_mode: bool) -> tuple[PositionSide, bool]:
    """The side book and the reduce-only flag. In hedge mode the flag may not be sent; the side book says it all."""
    position_side = POSITION_SIDES.get(params.text("positionSide", "BOTH"))
    if position_side is None:
        raise Refusal(-4060)
    if (position_side is PositionSide.NET) == hedge_mode:
        raise Refusal(-4061)
    if hedge_mode and "reduceOnly" in params:
        raise Refusal(-1106, "reduceonly")
    return position_side, params.flag("reduceOnly")


def _trigger(params: Params, rules: Rules, type_: OrderType) -> tuple[Decimal | None, Decimal | None]:
    if type_ is OrderType.TRAILING_STOP:
        trail = params.mandatory_decimal("callbackRate")
        if not Decimal("0.1") <= trail <= 10:
            raise Refusal(-1130, "callbackRate")
        trigger = params.decimal("activatePrice") or params.decimal("activationPrice")
    else:
        trail = None
        trigger = params.decimal("triggerPrice")
        if trigger is None:
            raise Refusal(-1102, "triggerprice")
    if trigger is not None:
        _check_trigger(rules, trigger)
    return trigger, trail


def _check_trigger(rules: Rules, trigger: Decimal) -> None:
    if trigger <= 0:
        raise Refusal(-4006)
    if rules.max_price and trigger > rules.max_price:
        raise Refusal(-4007)
    rules.check_price(trigger)


def _detail(params: Params, now_ms: int, *, limit: bool, conditional: bool = False) -> Detail:
    time_in_force, good_till_ms = "GTC", 0
    if limit:
        if "timeInForce" not in params and not conditional:
            raise Refusal(-1102, "timeinforce")
        time_in_force = params.choice("timeInForce", _TIMES, "GTC", -1115)
        if time_in_force == "GTD":
            good_till_ms = params.integer("goodTillDate") or 0
            if not good_till_ms:
                raise Refusal(-1102, "goodtilldate")
            good_till_ms -= good_till_ms % 1000
            if not now_ms + _GOOD_TILL_MIN_MS < good_till_ms < _GOOD_TILL_MAX:
                raise Refusal(-5040)
    elif "timeInForce" in params and not conditional:
        raise Refusal(-1106, "timeinforce")
    return Detail(
        time_in_force=time_in_force,
        good_till_ms=good_till_ms,
        prevention=params.choice("selfTradePreventionMode", PREVENTION_MODES, "EXPIRE_MAKER"),
        price_protect=params.flag("priceProtect"),
        response=params.choice("newOrderRespType", ("ACK", "RESULT"), "ACK", -1136),
        price_match=params.text("priceMatch", "NONE"),
    )


def price_match(params: Params, kind: str) -> str:
    """Which price of the book the order takes, `NONE` where it has its own. Raises `Refusal`."""
    match = params.text("priceMatch", "NONE")
    if match == "NONE":
        return match
    if match not in _PRICE_MATCHES:
        raise Refusal(-5037)
    if kind not in ("LIMIT", "STOP", "TAKE_PROFIT"):
        raise Refusal(-5038)
    return match
