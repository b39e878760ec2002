"""What is signed here is, byte for byte, what ccxt signs."""

from __future__ import annotations

import hashlib
import itertools
from typing import Any

import ccxt.pro as ccxt
import pytest
from copydesk_binance.signing import Signing
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text("ABCabc019._-~", max_size=12)
ANYTHING = st.text(max_size=8)
NAMES = ("symbol", "side", "type", "quantity", "price", "timeInForce", "newClientOrderId", "clientAlgoId", "orderId")
PARAMETERS = st.dictionaries(st.sampled_from(NAMES), WORDS | ANYTHING, max_size=len(NAMES))
TRADES = (("POST", "order", ""), ("PUT", "order", ""), ("DELETE", "order", ""), ("POST", "algoOrder", ""))
READS = (("GET", "order", ""), ("GET", "positionRisk", "V3"), ("POST", "listenKey", ""), ("GET", "userTrades", ""))
REQUESTS = st.sampled_from((*TRADES, *READS))


@pytest.fixture(scope="module")
def client() -> Any:
    """ccxt's client, with a clock that stands still and client ids that it makes up without chance."""
    client = ccxt.binanceusdm({"apiKey": "k" * 64, "secret": "s" * 64})
    client.nonce = lambda: 1_700_000_000_123
    client.uuid22 = client.uuid = lambda *_: "made-up"
    return client


@given(request=REQUESTS, params=PARAMETERS, other=PARAMETERS)
def test_every_request_is_signed_as_ccxt_does(
    client: Any, request: tuple[str, str, str], params: dict[str, str], other: dict[str, str]
) -> None:
    method, path, version = request
    signing = Signing(client)
    same_names = dict(zip(params, itertools.chain(other.values(), params.values()), strict=False))
    for asked in (params, params, same_names, other):
        given_ = dict(asked)
        assert signing.sign(method, path, given_, version) == client.sign(
            path, [f"fapiPrivate{version}"], method, dict(asked)
        )
        assert given_ == asked


def order(number: int, id_: str = "newClientOrderId") -> dict[str, str]:
    return {"symbol": "BTCUSDT", "side": "BUY", "quantity": f"0.{number}", id_: f"id-{number}"}


@pytest.mark.parametrize(
    ("method", "path", "id_"),
    [
        ("POST", "order", "newClientOrderId"),
        ("PUT", "order", "origClientOrderId"),
        ("DELETE", "order", "origClientOrderId"),
        ("POST", "algoOrder", "clientAlgoId"),
        ("DELETE", "algoOrder", "clientAlgoId"),
    ],
)
def test_ccxt_is_asked_once_for_each_shape(
    client: Any, method: str, path: str, id_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is for: were ccxt to sign otherwise one day, requests stay right, and this tells that they became slow."""
    asked: list[str] = []
    sign = client.sign

    def count(path: str, *rest: Any) -> Any:
        asked.append(path)
        return sign(path, *rest)

    monkeypatch.setattr(client, "sign", count)
    signing = Signing(client)
    signed = [signing.sign(method, path, order(number, id_)) for number in range(5)]
    assert asked == [path]
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
        assert signing.sign("POST", "order", order(number)) == by_another_rule("order", [], "POST", order(number))
