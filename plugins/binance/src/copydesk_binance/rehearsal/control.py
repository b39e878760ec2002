"""The rehearsal's own control, beside the venue's wire: state, faults, deposits. Under `/rehearsal/`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec
from aiohttp import web
from copydesk.errors import UsageError
from copydesk.model import to_json
from copydesk_paper.control import print_trade, set_mode
from copydesk_paper.exchange import ExchangeRefusal
from copydesk_paper.faults import read_fault
from msgspec.structs import replace

from copydesk_binance.rehearsal.misbehaviour import Misbehaviour
from copydesk_binance.rehearsal.venue import Venue
from copydesk_binance.rehearsal.wire import client_id


class Deposit(msgspec.Struct, forbid_unknown_fields=True):
    amount: Decimal


class Control:
    def __init__(self, venue: Venue, misbehaviour: Misbehaviour, counters: Callable[[], dict[str, int]]) -> None:
        self._venue = venue
        self._misbehaviour = misbehaviour
        self._counters = counters

    async def handle(self, request: web.BaseRequest, path: str, query: str) -> web.Response:
        words = [unquote(word) for word in path.split("/") if word][1:]
        match (request.method, words):
            case ("GET", ["state"]):
                return _reply(self._state())
            case ("POST", ["faults"]):
                return await self._add_fault(request)
            case ("DELETE", ["faults"]):
                self._misbehaviour.clear(parse_qs(query).get("name", [""])[0])
                return _reply({"faults": self._misbehaviour.faults.state()})
            case ("POST", ["accounts", name, "deposit"]):
                return await self._deposit(request, name)
            case ("POST", ["accounts", name, "mode"]):
                return await self._change(request, lambda body: set_mode(self._venue.exchange, name, body))
            case ("POST", ["trades"]):
                return await self._change(request, lambda body: print_trade(self._venue.exchange, body))
        return _sentence(f"nothing at {request.method} {path}: try GET /rehearsal/state", 404)

    def _state(self) -> dict[str, Any]:
        exchange = self._venue.exchange
        return {
            "faults": self._misbehaviour.faults.state(),
            "counters": self._counters(),
            "prices": {symbol: exchange.last_price(symbol) for symbol in self._venue.listing.symbols},
            "accounts": {
                name: {
                    "balance": exchange.balance(name),
                    "positions": exchange.positions(name),
                    "orders": [replace(order, client_id=client_id(order)) for order in exchange.open_orders(name)],
                    "hedge_mode": exchange.hedge_mode(name),
                }
                for name in self._venue.accounts
            },
        }

    async def _add_fault(self, request: web.BaseRequest) -> web.Response:
        try:
            fault = read_fault(await request.read(), self._misbehaviour.faults.known)
        except UsageError as error:
            return _sentence(str(error), 422)
        if fault.account and fault.account not in self._venue.accounts:
            return _sentence(f"fault {fault.name}: this venue has no account {fault.account!r}", 422)
        self._misbehaviour.add(fault)
        return _reply({"faults": self._misbehaviour.faults.state()})

    async def _change(self, request: web.BaseRequest, change: Callable[[bytes], Any]) -> web.Response:
        try:
            return _reply(change(await request.read()))
        except (UsageError, ExchangeRefusal, msgspec.MsgspecError) as error:
            return _sentence(str(error), 422)

    async def _deposit(self, request: web.BaseRequest, name: str) -> web.Response:
        if name not in self._venue.accounts:
            return _sentence(f"this venue has no account {name!r}", 404)
        try:
            deposit = msgspec.json.decode(await request.read(), type=Deposit)
        except msgspec.DecodeError as error:
            return _sentence(f'send {{"amount": "100"}} (below zero to withdraw): {error}', 422)
        try:
            self._venue.exchange.deposit(name, deposit.amount)
        except ExchangeRefusal as refusal:
            return _sentence(str(refusal), 422)
        return _reply({"balance": self._venue.exchange.balance(name)})


def _reply(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=to_json(value), status=status, content_type="application/json")


def _sentence(text: str, status: int) -> web.Response:
    return _reply({"error": text}, status)
