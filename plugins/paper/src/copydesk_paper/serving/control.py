"""What every rehearsal venue serves under `/rehearsal`, beside its own wire: its state, faults on request, deposits.

`GET /rehearsal/state`, `POST /rehearsal/faults` (`{"name": ..., "account": ..., "count": ..., "every": ...}`, all but the
name optional), `DELETE /rehearsal/faults[?name=...]`, `POST /rehearsal/accounts/{name}/deposit` (`{"amount": "100"}`),
`POST /rehearsal/accounts/{name}/mode` (`{"hedge": true}`), and `POST /rehearsal/trades` (`{"symbol": ..., "price": "100"}`,
optionally `quantity` and `side`): somebody trades at that price, through whatever rests there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote

import msgspec
from aiohttp import web
from copydesk.errors import UsageError
from copydesk.model import Order, Record, Side, to_json

from copydesk_paper.contracts import is_multiple
from copydesk_paper.exchange import Exchange, MarketTrade
from copydesk_paper.refusal import ExchangeRefusal
from copydesk_paper.serving.faults import read_fault
from copydesk_paper.serving.misbehaviour import Misbehaviour

ROOT = "/rehearsal/"
T = TypeVar("T")


class Deposit(Record):
    amount: Decimal


class Mode(Record):
    hedge: bool


class Print(Record):
    """A trade that somebody makes. `side` is the taker's; left out: the one that moves the price there."""

    symbol: str
    price: Decimal
    quantity: Decimal = Decimal(1)
    side: Side | None = None


class Control:
    """Serves it. `symbols` are those that the venue lists, `counters` what it counted, and `as_told` puts an order of the
    exchange in the words in which the venue tells of it (where it keeps its own client ids, for one)."""

    def __init__(
        self,
        exchange: Exchange,
        misbehaviour: Misbehaviour,
        *,
        symbols: Iterable[str] = (),
        counters: Callable[[], Mapping[str, int]] = dict,
        as_told: Callable[[Order], Order] = lambda order: order,
    ) -> None:
        self._exchange = exchange
        self._misbehaviour = misbehaviour
        self._symbols = tuple(symbols) or tuple(exchange.instruments)
        self._counters = counters
        self._as_told = as_told

    async def handle(self, request: web.BaseRequest, path: str, query: str) -> web.Response:
        """Answer one request under `ROOT`. Refuses what comes out of a browser or under a foreign host name."""
        if "Origin" in request.headers or not is_local(request.url.host or ""):
            return _sentence("the control endpoint answers local programs only", 403)
        words = [unquote(word) for word in path.split("/") if word][1:]
        if words[:1] == ["accounts"] and len(words) == 3 and words[1] not in self._exchange.accounts:
            return _sentence(f"this venue has no account {words[1]!r}", 404)
        try:
            return self._do(request.method, words, query, await request.read())
        except (UsageError, ExchangeRefusal, msgspec.MsgspecError) as error:
            return _sentence(str(error), 422)

    def _do(self, method: str, words: list[str], query: str, body: bytes) -> web.Response:
        match (method, words):
            case ("GET", ["state"]):
                return reply(self._state())
            case ("POST", ["faults"]):
                return self._add_fault(body)
            case ("DELETE", ["faults"]):
                self._misbehaviour.clear(parse_qs(query).get("name", [""])[0])
                return reply({"faults": self._misbehaviour.faults.state()})
            case ("POST", ["accounts", name, "deposit"]):
                self._exchange.deposit(name, read_body(body, Deposit, '{"amount": "100"} (below zero to withdraw)').amount)
                return reply(self._exchange.balance(name))
            case ("POST", ["accounts", name, "mode"]):
                mode = read_body(body, Mode, '{"hedge": true}')
                self._exchange.set_hedge_mode(name, mode.hedge)
                return reply(mode)
            case ("POST", ["trades"]):
                return reply(self._print_trade(read_body(body, Print, '{"symbol": "BTCUSDT", "price": "60000"}')))
        return _sentence(f"nothing at {method} {ROOT}{'/'.join(words)}: try GET {ROOT}state", 404)

    def _state(self) -> dict[str, Any]:
        exchange = self._exchange
        return {
            "time_ms": exchange.now_ms(),
            "faults": self._misbehaviour.faults.state(),
            "counters": self._counters(),
            "prices": {symbol: exchange.last_price(symbol) for symbol in self._symbols},
            "accounts": {name: self._account(name) for name in exchange.accounts},
        }

    def _account(self, name: str) -> dict[str, Any]:
        exchange = self._exchange
        return {
            "balance": exchange.balance(name),
            "positions": exchange.positions(name),
            "open_orders": [self._as_told(order) for order in exchange.open_orders(name)],
            "orders": len(exchange.orders(name)),
            "fills": len(exchange.fills(name)),
            "hedge_mode": exchange.hedge_mode(name),
        }

    def _add_fault(self, body: bytes) -> web.Response:
        fault = read_fault(body, self._misbehaviour.faults.known)
        if fault.account and fault.account not in self._exchange.accounts:
            raise UsageError(f"fault {fault.name}: this venue has no account {fault.account!r}")
        self._misbehaviour.add(fault)
        return reply({"faults": self._misbehaviour.faults.state()}, 201)

    def _print_trade(self, wanted: Print) -> Print:
        exchange = self._exchange
        last = exchange.last_price(wanted.symbol)  # refuses an unknown symbol
        tick = exchange.instruments[wanted.symbol].price_tick
        if wanted.price <= 0 or wanted.quantity <= 0 or not is_multiple(wanted.price, tick):
            raise UsageError(f"a trade of {wanted.symbol} needs a quantity above zero and a price on the tick of {tick}")
        side = wanted.side or (Side.SELL if wanted.price < last else Side.BUY)
        exchange.apply(
            MarketTrade(
                symbol=wanted.symbol, price=wanted.price, quantity=wanted.quantity, buyer_is_maker=side is Side.SELL
            )
        )
        return wanted


def is_local(host: str) -> bool:
    """True for `localhost` and for addresses that are written as numbers: what no foreign name server can answer for."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


def read_body(body: bytes, type_: type[T], example: str) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except msgspec.MsgspecError as error:
        raise UsageError(f"send {example}: {error}") from None


def reply(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=to_json(value), status=status, content_type="application/json")


def _sentence(text: str, status: int) -> web.Response:
    return reply({"error": text}, status)
