"""What every rehearsal venue serves under `/rehearsal`, beside its own wire: its state, faults on request, deposits.

`GET /rehearsal/state`, `POST /rehearsal/faults` (`{"name": ..., "account": ..., "count": ..., "every": ...}`, all but the
name optional), `DELETE /rehearsal/faults[?name=...]`, `POST /rehearsal/accounts/{name}/deposit` (`{"amount": "100"}`),
`POST /rehearsal/accounts/{name}/mode` (`{"hedge": true}`), and `POST /rehearsal/trades` (`{"symbol": ..., "price": "100"}`,
optionally `quantity` and `side`): somebody trades at that price, through whatever rests there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web
from copydesk.errors import UsageError
from copydesk.model import Record, Side, to_json

from copydesk_paper.contracts import is_multiple
from copydesk_paper.exchange import Exchange, MarketTrade
from copydesk_paper.faults import SLICES, Faults, read_fault
from copydesk_paper.refusal import ExchangeRefusal

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


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


def print_trade(exchange: Exchange, body: bytes) -> Print:
    """Let somebody trade as the body says. Raises `UsageError`, `ExchangeRefusal` or `msgspec.MsgspecError`."""
    wanted = msgspec.json.decode(body, type=Print)
    last = exchange.last_price(wanted.symbol)  # refuses an unknown symbol
    tick = exchange.instruments[wanted.symbol].price_tick
    if wanted.price <= 0 or wanted.quantity <= 0 or not is_multiple(wanted.price, tick):
        raise UsageError(f"a trade of {wanted.symbol} needs a quantity above zero and a price on the tick of {tick}")
    side = wanted.side or (Side.SELL if wanted.price < last else Side.BUY)
    exchange.apply(
        MarketTrade(symbol=wanted.symbol, price=wanted.price, quantity=wanted.quantity, buyer_is_maker=side is Side.SELL)
    )
    return wanted


def set_mode(exchange: Exchange, account: str, body: bytes) -> Mode:
    """Switch an account's position mode. Raises `ExchangeRefusal` or `msgspec.MsgspecError`."""
    mode = msgspec.json.decode(body, type=Mode)
    exchange.set_hedge_mode(account, mode.hedge)
    return mode


def add_control(app: web.Application, exchange: Exchange, faults: Faults) -> None:
    """Serve the control endpoint on `app`, and keep the exchange's partial fills as the faults say."""

    def apply_faults() -> None:
        exchange.partial_fills = SLICES if faults.has("partial-fills") else 0

    async def state(_: web.Request) -> web.Response:
        accounts = {name: _account_state(exchange, name) for name in exchange.accounts}
        prices = {symbol: exchange.last_price(symbol) for symbol in exchange.instruments}
        return _answer({"time_ms": exchange.now_ms(), "accounts": accounts, "prices": prices, "faults": faults.state()})

    async def add_fault(request: web.Request) -> web.Response:
        fault = read_fault(await request.read(), faults.known)
        faults.add(fault)
        apply_faults()
        return _answer(fault, status=201)

    async def clear_faults(request: web.Request) -> web.Response:
        faults.clear(request.query.get("name", ""))
        apply_faults()
        return _answer({"faults": faults.state()})

    async def deposit(request: web.Request) -> web.Response:
        amount = msgspec.json.decode(await request.read(), type=Deposit).amount
        name = request.match_info["name"]
        exchange.deposit(name, amount)
        return _answer(exchange.balance(name))

    async def mode(request: web.Request) -> web.Response:
        return _answer(set_mode(exchange, request.match_info["name"], await request.read()))

    async def trade(request: web.Request) -> web.Response:
        return _answer(print_trade(exchange, await request.read()))

    apply_faults()
    app.router.add_get("/rehearsal/state", _guarded(state))
    app.router.add_post("/rehearsal/faults", _guarded(add_fault))
    app.router.add_delete("/rehearsal/faults", _guarded(clear_faults))
    app.router.add_post("/rehearsal/accounts/{name}/deposit", _guarded(deposit))
    app.router.add_post("/rehearsal/accounts/{name}/mode", _guarded(mode))
    app.router.add_post("/rehearsal/trades", _guarded(trade))


def _account_state(exchange: Exchange, name: str) -> dict[str, Any]:
    return {
        "balance": exchange.balance(name),
        "positions": exchange.positions(name),
        "open_orders": exchange.open_orders(name),
        "orders": len(exchange.orders(name)),
        "fills": len(exchange.fills(name)),
    }


def _guarded(handler: Handler) -> Handler:
    """Refuse what comes out of a browser or under a foreign host name, and answer bad input with one sentence."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        if "Origin" in request.headers or not is_local(request.url.host or ""):
            return _answer({"error": "the control endpoint answers local programs only"}, status=403)
        try:
            return await handler(request)
        except (UsageError, ExchangeRefusal, msgspec.MsgspecError) as error:
            return _answer({"error": str(error)}, status=422)

    return guarded


def is_local(host: str) -> bool:
    """True for `localhost` and for addresses that are written as numbers: what no foreign name server can answer for."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host == "localhost"
    return True


def _answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=to_json(body), status=status, content_type="application/json")
