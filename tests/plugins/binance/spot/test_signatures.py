"""Who is asking: HMAC, RSA and Ed25519 keys, over REST and the websocket API; sessions that log on; subscriptions."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from copydesk.errors import UsageError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from .conftest import SpotDesk

KEY = "k" * 64


def write_public(path: Path, private: Any) -> str:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    path.write_bytes(private.public_key().public_bytes(serialization.Encoding.PEM, form))
    return str(path)


def signature(private: Any, text: str) -> str:
    if isinstance(private, rsa.RSAPrivateKey):
        raw = private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    else:
        raw = private.sign(text.encode())
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
async def test_asymmetric_keys(make_desk: Any, tmp_path: Path, kind: str) -> None:
    private = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    desk = await make_desk(key__parent=KEY, public_key__parent=write_public(tmp_path / "public.pem", private))
    query = urlencode({"symbol": "BTCUSDT", "timestamp": time.time_ns() // 1_000_000})
    good = f"{query}&signature={quote(signature(private, query), safe='')}"
    assert (await desk.send("GET", "/api/v3/openOrders", good, KEY)) == (200, [])
    for wrong in (good.replace("BTCUSDT", "ETHUSDT"), f"{query}&signature=abc"):
        assert (await desk.send("GET", "/api/v3/openOrders", wrong, KEY))[1]["code"] == -1022
    params = {"apiKey": KEY, "timestamp": time.time_ns() // 1_000_000}
    named = "&".join(f"{name}={value}" for name, value in sorted(params.items()))
    socket = await desk.socket()
    reply = await socket.ask("session.logon", **params, signature=signature(private, named))
    if kind == "rsa":
        assert reply["error"]["code"] == -4056
        return
    assert reply["result"]["apiKey"] == KEY
    assert (await socket.ask("account.status"))["result"]["accountType"] == "SPOT"
    assert (await socket.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
    assert (await socket.ask("session.status"))["result"]["userDataStream"]
    assert not (await socket.ask("session.logout"))["result"]["userDataStream"]
    ended = await socket.until(lambda event: True)
    assert ended["e"] == "eventStreamTerminated"
    assert (await socket.ask("account.status"))["error"]["code"] == -1102


async def test_a_file_that_is_no_key_is_refused(make_desk: Any, tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_text("hello")
    with pytest.raises(UsageError, match="not a public key"):
        await make_desk(public_key__parent=str(path))


async def test_hmac_keys_and_time_windows(desk: SpotDesk) -> None:
    assert (await desk.signed("GET", "/api/v3/openOrders")) == (200, [])
    status, reply = await desk.signed("GET", "/api/v3/openOrders", timestamp=time.time_ns() // 1_000_000 - 60_000)
    assert (status, reply["code"]) == (400, -1021)
    assert (await desk.signed("GET", "/api/v3/openOrders", timestamp=2**60))[1]["code"] == -1021
    assert (await desk.signed("GET", "/api/v3/openOrders", recvWindow=60_001))[1]["code"] == -1131
    key = desk.settings().secrets["key"]
    assert (await desk.send("GET", "/api/v3/account", "timestamp=1", key))[1]["code"] in (-1021, -1102)
    assert (await desk.send("GET", "/api/v3/account", "timestamp=1", "short"))[1]["code"] == -2014
    assert (await desk.send("GET", "/api/v3/account", "timestamp=1", "x" * 64))[1]["code"] == -2015
    assert (await desk.send("GET", "/api/v3/nothing"))[0] == 404


async def test_subscriptions_by_signature(desk: SpotDesk) -> None:
    socket = await desk.listen()
    again = await socket.ask("userDataStream.subscribe.signature", **desk.signed_params())
    assert again["error"]["code"] == -2035
    other = await socket.ask("userDataStream.subscribe.signature", **desk.signed_params("child"))
    assert other["result"] == {"subscriptionId": 1}
    assert (await socket.ask("session.subscriptions"))["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    desk.exchange.deposit("child", desk.exchange.balance("child").cash)
    assert (await socket.until(lambda event: event.get("e") == "balanceUpdate"))["d"] == "50000.00000000"
    assert (await socket.until(lambda event: event.get("e") == "outboundAccountPosition"))["B"] == [
        {"a": "USDT", "f": "100000.00000000", "l": "0.00000000"}
    ]
    assert (await socket.ask("userDataStream.unsubscribe", subscriptionId=1))["result"] == {}
    assert (await socket.ask("userDataStream.unsubscribe", subscriptionId=1))["error"]["code"] == -2036
    wrong = desk.signed_params() | {"signature": "0" * 64}
    assert (await socket.ask("userDataStream.subscribe.signature", **wrong))["error"]["code"] == -1022
    assert (await socket.ask("no.such.method"))["status"] == 400


async def test_replies_show_the_limits_that_they_count_for(desk: SpotDesk) -> None:
    socket = await desk.socket()
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "59000",
    }
    reply = await socket.ask("order.place", **desk.signed_params(**order))
    assert [limit["rateLimitType"] for limit in reply["rateLimits"]] == ["ORDERS", "ORDERS", "REQUEST_WEIGHT"]
    assert [limit["interval"] for limit in reply["rateLimits"]] == ["SECOND", "DAY", "MINUTE"]
    quiet = await socket.ask("time", returnRateLimits=False)
    assert "rateLimits" not in quiet
