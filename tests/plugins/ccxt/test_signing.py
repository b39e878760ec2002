"""What is signed here is, byte for byte, what ccxt signs."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import ccxt.pro as ccxt
import pytest
from copydesk_ccxt.signing import Signing
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text("ABCabc019._-~", max_size=12)
ANYTHING = st.text(max_size=8)
NUMBERS = st.integers(-1, 2**53)
VALUES = WORDS | ANYTHING | NUMBERS | st.booleans()
NAMES = ("symbol", "side", "type", "quantity", "price", "timeInForce", "newClientOrderId", "orderLinkId", "cid", "orderId")
PARAMETERS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=len(NAMES))
VENUES = {
    "binanceusdm": [
        ("POST", "order", ["fapiPrivate"]),
        ("PUT", "order", ["fapiPrivate"]),
        ("DELETE", "order", ["fapiPrivate"]),
        ("POST", "algoOrder", ["fapiPrivate"]),
        ("GET", "positionRisk", ["fapiPrivateV3"]),
        ("POST", "listenKey", ["fapiPrivate"]),
    ],
    "binance": [
        ("POST", "order", ["private"]),
        ("POST", "order/cancelReplace", ["private"]),
        ("GET", "account", ["private"]),
    ],
    "bybit": [("POST", "v5/order/create", ["private"]), ("GET", "v5/order/realtime", ["private"])],
    "bitfinex": [("POST", "auth/w/order/submit", ["private"]), ("POST", "auth/r/orders/{symbol}", ["private"])],
}
REQUESTS = st.sampled_from([(venue, *request) for venue, requests in VENUES.items() for request in requests])
STAMP_METHODS = {"bitfinex": "incrementing_nonce"}


@pytest.fixture(scope="module")
def clients() -> dict[str, Any]:
    """ccxt's clients, with a clock that stands still and client ids that they make up without chance."""
    clients = {venue: getattr(ccxt, venue)({"apiKey": "k%" * 32, "secret": "s" * 64}) for venue in VENUES}
    for client in clients.values():
        client.nonce = client.incrementing_nonce = lambda: 1_700_000_000_123
        client.uuid22 = client.uuid = lambda *_: "made-up"
    return clients


@pytest.fixture
def client(clients: dict[str, Any]) -> Any:
    return clients["binanceusdm"]


@given(request=REQUESTS, params=PARAMETERS, other=PARAMETERS)
def test_every_request_is_signed_as_ccxt_does(
    clients: dict[str, Any], request: tuple[str, str, str, list[str]], params: dict[str, Any], other: dict[str, Any]
) -> None:
    venue, method, path, api = request
    if "{symbol}" in path:
        params, other = params | {"symbol": "tBTCUSD"}, other | {"symbol": "tETHUSD"}
    client = clients[venue]
    signing = Signing(client, stamp_method=STAMP_METHODS.get(venue, "nonce"))
    same_names = dict(zip(params, itertools.chain(other.values(), params.values()), strict=False))
    for asked in (params, params, same_names, other):
        given_ = dict(asked)
        try:
            right = client.sign(path, api, method, dict(asked))
        except (TypeError, ccxt.BaseError):  # ccxt wants a text there
            continue
        assert signing.sign(method, path, api, given_) == right
        assert given_ == asked


def order(number: int, id_: str = "newClientOrderId") -> dict[str, str]:
    return {"symbol": "BTCUSDT", "side": "BUY", "quantity": f"0.{number}", id_: f"id-{number}"}


@pytest.mark.parametrize(
    ("venue", "method", "path", "api", "id_"),
    [
        ("binanceusdm", "POST", "order", "fapiPrivate", "newClientOrderId"),
        ("binanceusdm", "PUT", "order", "fapiPrivate", "origClientOrderId"),
        ("binanceusdm", "DELETE", "order", "fapiPrivate", "origClientOrderId"),
        ("binanceusdm", "POST", "algoOrder", "fapiPrivate", "clientAlgoId"),
        ("binanceusdm", "DELETE", "algoOrder", "fapiPrivate", "clientAlgoId"),
        ("binance", "POST", "order", "private", "newClientOrderId"),
        ("bybit", "POST", "v5/order/create", "private", "orderLinkId"),
        ("bybit", "POST", "v5/order/amend", "private", "orderLinkId"),
        ("bitfinex", "POST", "auth/w/order/submit", "private", "gid"),
    ],
)
def test_ccxt_is_asked_only_for_the_first_of_each_shape(
    clients: dict[str, Any], venue: str, method: str, path: str, api: str, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is for: were ccxt to sign otherwise one day, requests stay right, and this tells that they became slow."""
    asked: list[str] = []
    client = clients[venue]
    sign = type(client).sign

    def count(self: Any, path: str, *rest: Any) -> Any:
        asked.append(path)
        return sign(self, path, *rest)

    monkeypatch.setattr(type(client), "sign", count)
    signing = Signing(client, stamp_method=STAMP_METHODS.get(venue, "nonce"))
    signed = [signing.sign(method, path, [api], order(number, id_)) for number in range(5)]
    assert asked == [path, path]  # the first request itself, and one of marks
    assert len({one["body"] or one["url"] for one in signed}) == 5


def test_what_ccxt_signs_by_another_rule_is_left_to_it(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def by_another_rule(path: str, api: Any, method: str, params: dict[str, str]) -> dict[str, Any]:
        query = "timestamp=1&" + "&".join(f"{name}={value}" for name, value in params.items())
        return {
            "url": "https://fapi.binance.com/fapi/v1/order",
            "method": method,
            "body": f"{query}&signature={hashlib.sha256(query.encode()).hexdigest()}",
            "headers": {},
        }

    monkeypatch.setattr(client, "sign", by_another_rule)
    signing = Signing(client)
    for number in range(3):
        assert signing.sign("POST", "order", ["fapiPrivate"], order(number)) == by_another_rule(
            "order", [], "POST", order(number)
        )


def test_time_that_the_stamp_method_does_not_give_is_left_to_ccxt(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would stay as it was when the shape was learnt."""
    hours = itertools.count(1)
    sign = type(client).sign

    def with_hour(self: Any, path: str, api: Any, method: str, params: dict[str, Any]) -> Any:
        return sign(self, path, api, method, params | {"hour": self.milliseconds()})

    monkeypatch.setattr(type(client), "milliseconds", lambda self: next(hours))
    monkeypatch.setattr(type(client), "sign", with_hour)
    signing = Signing(client)
    bodies = [signing.sign("POST", "order", ["fapiPrivate"], order(1))["body"] for _ in range(3)]
    assert len(set(bodies)) == 3
