"""Parameters of requests, from a query or a JSON body, and what an order is asked to be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from copydesk.model import OrderType, PositionSide, Side, Terms, TimeInForce, TriggerBy

from copydesk_bybit.rehearsal.account import Protection
from copydesk_bybit.rehearsal.codes import IDX_MISMATCH, bad
from copydesk_bybit.symbols import SPOT
from copydesk_bybit.words import FALLS, POSITION_SIDES, RISES, TRIGGERS

LINK_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
"""Source: Bybit v5, "Place Order", orderLinkId."""
SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}
TIMES = {
    "GTC": (TimeInForce.GTC, False),
    "IOC": (TimeInForce.IOC, False),
    "FOK": (TimeInForce.FOK, False),
    "PostOnly": (TimeInForce.GTC, True),
}
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


class Params:
    """The parameters of one request. Values may be texts, numbers or truth values: clients send them either way."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_query(cls, query: str) -> Params:
        return cls({unquote_plus(name): value for name, value in parse_qsl(query, keep_blank_values=True)})

    @classmethod
    def from_body(cls, body: str) -> Params:
        """Raises `Refusal` for what is no JSON object."""
        try:
            return cls(_decode(body or "{}"))
        except (msgspec.DecodeError, InvalidOperation):
            raise bad("params error: the body is no JSON object") from None

    def __contains__(self, name: str) -> bool:
        return self.text(name) != ""

    def text(self, name: str) -> str:
        value = self._values.get(name, "")
        if isinstance(value, bool):
            return "true" if value else "false"
        return format(value, "f") if isinstance(value, Decimal) else str(value)

    def need(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise bad(f"params error: {name} cannot be empty")
        return value

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("true", "1")

    def integer(self, name: str) -> int | None:
        value = self.text(name)
        if not value:
            return None
        if not re.fullmatch(r"-?[0-9]{1,19}", value):
            raise bad(f"params error: {name} is invalid")
        return int(value)

    def decimal(self, name: str) -> Decimal | None:
        """A number of at least zero, or None where it is not there."""
        value = self.text(name)
        if not value:
            return None
        try:
            number = Decimal(value)
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite() or number < 0 or abs(number.adjusted()) > 30:
            raise bad(f"{_SPOKEN.get(name, name)} invalid")
        return number

    def price(self, name: str) -> Decimal | None:
        """A price; the venue takes zero for none."""
        return self.decimal(name) or None

    def limit(self, default: int, most: int) -> int:
        value = self.integer("limit")
        return default if value is None else max(1, min(value, most))

    def listed(self, name: str) -> list[Params]:
        """A list of objects. Raises `Refusal` where it is none."""
        value = self._values.get(name)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise bad(f"params error: {name} is invalid")
        return [Params(one) for one in value]

    def with_(self, **values: Any) -> Params:
        return Params({**self._values, **values})


_SPOKEN = {"qty": "Qty", "price": "params error: price"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A new order, read. `direction` is that of a conditional one; `stop_type` its kind on the wire."""

    terms: Terms
    link_id: str
    position_idx: int
    direction: int
    stop_type: str
    trigger_by: str
    close_on_trigger: bool
    market_unit: str
    quote_quantity: Decimal | None
    protection: Protection


def read_link_id(params: Params) -> str:
    link_id = params.text("orderLinkId")
    if link_id and not LINK_ID.fullmatch(link_id):
        raise bad("OrderLinkId is invalid: at most 36 of letters, digits, - and _")
    return link_id


def read_side(params: Params) -> Side:
    side = SIDES.get(params.need("side"))
    if side is None:
        raise bad("Side invalid")
    return side


def read_index(params: Params) -> tuple[int, PositionSide]:
    index = params.integer("positionIdx") or 0
    if index not in POSITION_SIDES:
        raise bad(IDX_MISMATCH)
    return index, POSITION_SIDES[index]


def read_trigger_by(params: Params, name: str) -> tuple[str, TriggerBy]:
    word = params.text(name) or "LastPrice"
    if word not in TRIGGERS or word == "UNKNOWN":
        raise bad(f"{name} invalid")
    return word, TRIGGERS[word]


def read_order(params: Params, symbol: str, category: str, last: Decimal, best: Decimal, step: Decimal) -> Wanted:
    """`order/create`. `last` is the last price, `best` what a market order would get, `step` the quantity's."""
    side, (index, position_side) = read_side(params), read_index(params)
    kind = params.need("orderType")
    if kind not in ("Market", "Limit"):
        raise bad("OrderType invalid")
    limit, spot = kind == "Limit", category == SPOT
    price = params.price("price") if limit else None
    if limit and price is None:
        raise bad("params error: price cannot be empty")
    quantity = params.decimal("qty")
    if quantity is None:
        raise bad("params error: qty cannot be empty")
    trigger = params.price("triggerPrice")
    direction = _direction(params, trigger, last, spot=spot)
    time_in_force, post_only = _time(params) if limit else (TimeInForce.GTC, False)
    unit, quote_quantity = "", None
    if spot and not limit:
        unit = params.text("marketUnit") or ("quoteCoin" if side is Side.BUY else "baseCoin")
        if unit == "quoteCoin":
            quote_quantity, price_now = quantity, trigger or best
            if not price_now:
                raise bad("params error: there is no price to convert the quantity at")
            quantity = quantity / price_now // step * step
    closes = params.flag("closeOnTrigger") and not spot
    reduces = params.flag("reduceOnly") and not spot
    word, trigger_by = read_trigger_by(params, "triggerBy")
    terms = Terms(
        symbol=symbol,
        side=side,
        type=_type(side, direction, limit=limit),
        quantity=quantity,
        price=price,
        trigger_price=trigger,
        trigger_by=TriggerBy.LAST if spot else trigger_by,
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=reduces or closes,
        position_side=PositionSide.NET if spot else position_side,
    )
    stop_type = "" if trigger is None else _stop_type(params, spot=spot)
    return Wanted(
        terms=terms,
        link_id=read_link_id(params),
        position_idx=0 if spot else index,
        direction=direction,
        stop_type=stop_type,
        trigger_by=word if trigger is not None and not spot else "",
        close_on_trigger=closes,
        market_unit=unit,
        quote_quantity=quote_quantity,
        protection=read_protection(params),
    )


def _direction(params: Params, trigger: Decimal | None, last: Decimal, *, spot: bool) -> int:
    if trigger is None:
        return 0
    if spot:
        return RISES if trigger > last else FALLS
    direction = params.integer("triggerDirection")
    if direction not in (RISES, FALLS):
        raise bad("TriggerDirection invalid")
    return direction


def _type(side: Side, direction: int, *, limit: bool) -> OrderType:
    if not direction:
        return OrderType.LIMIT if limit else OrderType.MARKET
    if (direction == RISES) == (side is Side.BUY):
        return OrderType.STOP_LIMIT if limit else OrderType.STOP_MARKET
    return OrderType.TAKE_PROFIT_LIMIT if limit else OrderType.TAKE_PROFIT_MARKET


def _stop_type(params: Params, *, spot: bool) -> str:
    if not spot:
        return "Stop"
    wanted = params.text("orderFilter") or "Order"
    if wanted not in ("Order", "StopOrder", "tpslOrder"):
        raise bad("params error: orderFilter is invalid")
    return "tpslOrder" if wanted == "tpslOrder" else "Stop"


def _time(params: Params) -> tuple[TimeInForce, bool]:
    word = params.text("timeInForce") or "GTC"
    if word not in TIMES:
        raise bad("TimeInForce invalid")
    return TIMES[word]


def read_protection(params: Params, *, before: Protection | None = None) -> Protection:
    """Take profit and stop loss of an order; "0" takes one away."""
    old = before or Protection()
    names = {
        "take_profit": "takeProfit",
        "stop_loss": "stopLoss",
        "tp_trigger_by": "tpTriggerBy",
        "sl_trigger_by": "slTriggerBy",
        "tp_limit_price": "tpLimitPrice",
        "sl_limit_price": "slLimitPrice",
        "tp_order_type": "tpOrderType",
        "sl_order_type": "slOrderType",
        "mode": "tpslMode",
    }
    values = {ours: params.text(theirs) or getattr(old, ours) for ours, theirs in names.items()}
    for ours, theirs in (("take_profit", "takeProfit"), ("stop_loss", "stopLoss")):
        if params.decimal(theirs) == 0:
            values[ours] = ""
    if values["mode"] not in ("Full", "Partial"):
        raise bad("params error: tpslMode is invalid")
    if values["mode"] == "Full" and "Limit" in (values["tp_order_type"], values["sl_order_type"]):
        raise bad("params error: tpslMode Full takes market orders only")
    return Protection(**values)
