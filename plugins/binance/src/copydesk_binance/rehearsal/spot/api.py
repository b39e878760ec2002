"""The spot websocket API (`/ws-api/v3`): requests, sessions that have logged on, and user data streams.

Source: https://developers.binance.com/docs/binance-spot-api-docs/websocket-api
"""

from __future__ import annotations

import msgspec
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery

from copydesk_binance.rehearsal import websocket_api
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.service import Service
from copydesk_binance.rehearsal.spot import rest_account, rest_market, rest_orders
from copydesk_binance.rehearsal.spot.account import Account
from copydesk_binance.rehearsal.spot.rest import TABLE, Rest
from copydesk_binance.rehearsal.websocket_api import Method, WebsocketApi, like
from copydesk_binance.rehearsal.wire import Json

API_PATH = "/ws-api/v3"
ENDPOINTS = (rest_account, rest_market, rest_orders)
"""The modules that fill the table of REST endpoints."""
MAX_SUBSCRIPTIONS = 1_000
_encode = msgspec.json.Encoder().encode
Connection = websocket_api.Connection[Account]


def _like(method: str, path: str, *, weight: int | None = None) -> Method[Rest, Account]:
    return like(TABLE, method, f"/api/v3/{path}", weight=weight)


METHODS: dict[str, Method[Rest, Account]] = {
    "ping": _like("GET", "ping"),
    "time": _like("GET", "time"),
    "exchangeInfo": _like("GET", "exchangeInfo"),
    "depth": _like("GET", "depth", weight=5),
    "trades.recent": _like("GET", "trades"),
    "trades.historical": _like("GET", "historicalTrades"),
    "trades.aggregate": _like("GET", "aggTrades"),
    "klines": _like("GET", "klines"),
    "uiKlines": _like("GET", "uiKlines"),
    "avgPrice": _like("GET", "avgPrice"),
    "ticker.24hr": _like("GET", "ticker/24hr"),
    "ticker.tradingDay": _like("GET", "ticker/tradingDay"),
    "ticker": _like("GET", "ticker"),
    "ticker.price": _like("GET", "ticker/price"),
    "ticker.book": _like("GET", "ticker/bookTicker"),
    "order.place": _like("POST", "order"),
    "order.test": _like("POST", "order/test"),
    "order.status": _like("GET", "order"),
    "order.cancel": _like("DELETE", "order"),
    "order.cancelReplace": _like("POST", "order/cancelReplace"),
    "order.amend.keepPriority": _like("PUT", "order/amend/keepPriority"),
    "order.amendments": _like("GET", "order/amendments"),
    "openOrders.status": _like("GET", "openOrders"),
    "openOrders.cancelAll": _like("DELETE", "openOrders"),
    "orderList.place": _like("POST", "order/oco"),
    "orderList.place.oco": _like("POST", "orderList/oco"),
    "orderList.place.oto": _like("POST", "orderList/oto"),
    "orderList.place.otoco": _like("POST", "orderList/otoco"),
    "orderList.place.opo": _like("POST", "orderList/opo"),
    "orderList.place.opoco": _like("POST", "orderList/opoco"),
    "orderList.cancel": _like("DELETE", "orderList"),
    "orderList.status": _like("GET", "orderList"),
    "openOrderLists.status": _like("GET", "openOrderList"),
    "allOrderLists": _like("GET", "allOrderList"),
    "allOrders": _like("GET", "allOrders"),
    "account.status": _like("GET", "account"),
    "account.commission": _like("GET", "account/commission"),
    "account.rateLimits.orders": _like("GET", "rateLimit/order"),
    "myTrades": _like("GET", "myTrades"),
    "executionRules": _like("GET", "executionRules"),
    "blockTrades.historical": _like("GET", "historicalBlockTrades"),
    "referencePrice": _like("GET", "referencePrice"),
    "referencePrice.calculation": _like("GET", "referencePrice/calculation"),
    "myFilters": _like("GET", "myFilters"),
    "myPreventedMatches": _like("GET", "myPreventedMatches"),
    "myAllocations": _like("GET", "myAllocations"),
}


class _State:
    """What one connection listens to."""

    def __init__(self) -> None:
        self.subscriptions: dict[int, Account] = {}
        self.by_logon: int | None = None
        self.next_id = 0


class SpotApi(WebsocketApi[Rest, Account]):
    """A `Watcher` of the desk: tells each event to the connections that have subscribed to its account."""

    def __init__(self, service: Service[Rest, Account], faults: Faults) -> None:
        super().__init__(API_PATH, service, METHODS)
        self._delivery: Delivery[Connection] = Delivery(faults)
        self._states: dict[Connection, _State] = {}
        self.session |= {
            "session.subscriptions": self._subscriptions,
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    # --- user data ---

    def tell(self, account: Account, event: Json) -> None:
        for connection, state in tuple(self._states.items()):
            for number, owner in tuple(state.subscriptions.items()):
                if owner is account:
                    text = _encode({"subscriptionId": number, "event": event}).decode()
                    self._delivery.send(account.name, connection, text, self.forget)

    def forget(self, connection: Connection) -> None:
        self._delivery.forget(connection)
        self._states.pop(connection, None)

    def listeners(self, account: str) -> int:
        """How many subscriptions to one account there are."""
        subscribed = (owner for state in self._states.values() for owner in state.subscriptions.values())
        return sum(owner.name == account for owner in subscribed)

    # --- what requests cost ---

    def weigh(self, method: Method[Rest, Account], connection: Connection, limits: list[Json]) -> None:
        self.use(method.weight, connection, limits)

    def count_orders(self, account: Account, limits: list[Json]) -> None:
        limits[:0] = account.orders.rate_limits()

    # --- sessions ---

    def _state(self, connection: Connection) -> _State:
        state = self._states.get(connection)
        if state is None:
            state = self._states[connection] = _State()
        return state

    def status(self, connection: Connection, params: Json) -> Json:
        return super().status(connection, params) | {"userDataStream": bool(self._state(connection).subscriptions)}

    def log_out(self, connection: Connection, params: Json) -> Json:
        """Ends the subscription of the session; those by signature stay."""
        state = self._state(connection)
        if state.by_logon is not None:
            self._end(connection, state, state.by_logon)
        return super().log_out(connection, params)

    def _subscriptions(self, connection: Connection, params: Json) -> list[Json]:
        return [{"subscriptionId": number} for number in self._state(connection).subscriptions]

    def _subscribe(self, connection: Connection, params: Json) -> Json:
        if connection.account is None:
            raise Refusal(-1002, message="You are not authorized to execute this request.")
        reply = self._listen(connection, connection.account)
        self._state(connection).by_logon = reply["subscriptionId"]
        return reply

    def _subscribe_signed(self, connection: Connection, params: Json) -> Json:
        return self._listen(connection, self.signed_by(connection, params))

    def _listen(self, connection: Connection, account: Account) -> Json:
        state = self._state(connection)
        if account in state.subscriptions.values():
            raise Refusal(-2035)
        if len(state.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Refusal(-2042, message="Maximum subscription ID reached for this connection.")
        number, state.next_id = state.next_id, state.next_id + 1
        state.subscriptions[number] = account
        return {"subscriptionId": number}

    def _unsubscribe(self, connection: Connection, params: Json) -> Json:
        state, number = self._state(connection), Params.from_json(params).integer("subscriptionId")
        if not state.subscriptions or (number is not None and number not in state.subscriptions):
            raise Refusal(-2036)
        for one in tuple(state.subscriptions) if number is None else (number,):
            self._end(connection, state, one)
        return {}

    def _end(self, connection: Connection, state: _State, number: int) -> None:
        del state.subscriptions[number]
        if state.by_logon == number:
            state.by_logon = None
        event = {"e": "eventStreamTerminated", "E": self.service.now_ms()}
        connection.push(_encode({"subscriptionId": number, "event": event}).decode())
