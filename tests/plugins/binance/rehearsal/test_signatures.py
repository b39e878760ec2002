"""Keys that are no shared secret: whoever trades signs with the private half of an Ed25519 or RSA key."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import pytest
from ccxt.base.errors import AuthenticationError
from copydesk.errors import UsageError
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

KEY = "k" * 64
Private = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
PEM = serialization.Encoding.PEM


def private_key(kind: str) -> Private:
    return ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)


def options(folder: Path, private: Private) -> dict[str, str]:
    """The venue's: it knows the public half."""
    path = folder / "public.pem"
    path.write_bytes(private.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    return {"key.parent": KEY, "public-key.parent": str(path)}


def pem(private: Private) -> str:
    return private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def signature(private: Private, text: str) -> str:
    if isinstance(private, rsa.RSAPrivateKey):
        return base64.b64encode(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()
    return base64.b64encode(private.sign(text.encode())).decode()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
async def test_ccxt_signs_with_its_private_key(open_desk: Any, tmp_path: Path, kind: str) -> None:
    private = private_key(kind)
    desk = await open_desk(options=options(tmp_path, private))
    assert desk.secrets() == {"key": KEY}, "the private half is its owner's"
    client = await desk.ccxt(secret=pem(private))
    order = await client.create_order("BTC/USDT:USDT", "limit", "buy", 0.01, 50_000)
    assert (await client.cancel_order(order["id"], "BTC/USDT:USDT"))["status"] == "canceled"
    assert (await client.create_order_ws("BTC/USDT:USDT", "limit", "buy", 0.01, 50_000))["status"] == "open"
    client.secret = pem(private_key(kind))
    with pytest.raises(AuthenticationError):
        await client.fetch_balance()


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
async def test_who_may_log_on(open_desk: Any, tmp_path: Path, kind: str) -> None:
    private = private_key(kind)
    desk = await open_desk(options=options(tmp_path, private))
    async with (await desk.http()).ws_connect(desk.rehearsal.ready.urls["ws_api"]) as socket:

        async def ask(method: str, **params: Any) -> dict[str, Any]:
            await socket.send_json({"id": method, "method": method, "params": params})
            reply: dict[str, Any] = await socket.receive_json(timeout=40)
            return reply

        now = time.time_ns() // 1_000_000
        signed = signature(private, f"apiKey={KEY}&timestamp={now}")
        reply = await ask("session.logon", apiKey=KEY, timestamp=now, signature=signed)
        if kind == "rsa":
            assert reply["error"]["code"] == -4056
            return
        assert reply["result"]["apiKey"] == KEY
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
        assert (await ask("order.place", **order))["result"]["origQty"] == "0.010"
        assert (await ask("session.status"))["result"]["authorizedSince"] >= now - 5_000
        assert (await ask("session.logout"))["result"]["apiKey"] is None
        assert (await ask("order.place", **order))["error"]["code"] == -1102


async def test_one_key_has_one_way_to_sign(open_desk: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        await open_desk(options={**options(tmp_path, private_key("ed25519")), "secret.parent": "s" * 64})
