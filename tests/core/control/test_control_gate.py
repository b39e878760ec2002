"""Who is let in: the token, the Host, the Origin; and what every answer carries."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from copydesk.client import DIRECT
from copydesk.control import create_app
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

GUARDED = ("/api/v1/view", "/api/v1/bots", "/api/v1/openapi.json", "/nothing")


@pytest.fixture
async def anyone(running):
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_without_the_token_nothing_is_told(anyone, token):
    for path in GUARDED:
        wrong = ({}, bearer("wrong"), bearer(token + "x"), bearer(token[:-1]), {"Authorization": f"Basic {token}"})
        for headers in wrong:
            response = await anyone.get(path, headers=headers)
            assert response.status_code == 401
            assert "token is missing or wrong" in response.json()["error"]
            assert response.headers["www-authenticate"] == "Bearer"
        assert (await anyone.get(path, headers=bearer(token))).status_code in (200, 404)


async def test_the_token_is_not_taken_from_the_address(anyone, token):
    assert (await anyone.get(f"/api/v1/view?token={token}")).status_code == 401


async def test_a_token_beyond_ascii_is_just_wrong(anyone):
    response = await anyone.get("/api/v1/view", headers={"Authorization": "Bearer gr\u00fc\u00df".encode()})
    assert response.status_code == 401


async def test_loopback_names_are_answered(anyone, token):
    for host in ("localhost", "127.0.0.1", "127.3.2.1:99", "[::1]:5", "LOCALHOST:80"):
        assert (await anyone.get("/api/v1/view", headers={**bearer(token), "Host": host})).status_code == 200, host


async def test_a_foreign_host_is_refused_even_with_the_token(anyone, token):
    foreign = (
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "192.168.1.5",
        "[",
        "",
    )
    for host in foreign:
        for path in ("/api/v1/view", "/api/v1/health"):
            response = await anyone.get(path, headers={**bearer(token), "Host": host})
            assert response.status_code == 403, host
            assert "not this machine" in response.json()["error"]


async def test_a_request_without_a_host_is_refused(running, token):
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"GET /api/v1/view HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()
    assert b" 403 " in answer.splitlines()[0]


async def test_a_page_of_another_origin_is_refused(anyone, running, token):
    own = running.url
    for origin in ("http://evil.example", "null", "http://localhost:1", own.replace("http", "https"), own + "0", ""):
        response = await anyone.get("/api/v1/view", headers={**bearer(token), "Origin": origin})
        assert response.status_code == 403, origin
        assert "may not call the control API" in response.json()["error"]


async def test_the_own_origin_is_answered(anyone, running, token):
    assert (await anyone.get("/api/v1/view", headers={**bearer(token), "Origin": running.url})).status_code == 200


async def test_the_configured_host_is_answered_and_no_other(desk, token):
    async def status(listens_on: str, called: str) -> int:
        transport = httpx.ASGITransport(create_app(desk, token=token, host=listens_on))
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{called}") as client:
            return (await client.get("/api/v1/health")).status_code

    assert await status("desk.lan", "desk.lan") == 200
    assert await status("desk.lan", "other.lan") == 403
    assert await status("0.0.0.0", "192.168.1.5") == 200
    assert await status("0.0.0.0", "evil.example") == 403


async def test_security_headers_are_on_every_answer(anyone, token):
    answers = [
        await anyone.get("/api/v1/health"),
        await anyone.get("/api/v1/view"),
        await anyone.get("/api/v1/view", headers=bearer(token)),
        await anyone.get("/api/v1/view", headers={"Host": "evil.example"}),
        await anyone.get("/nothing", headers=bearer(token)),
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 200, 403, 404]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert "server" not in answer.headers


async def test_chunked_bodies_are_refused(anyone, token):
    async def chunks():
        yield b"{}"

    response = await anyone.post("/api/v1/bots", headers=bearer(token), content=chunks())
    assert response.status_code == 411


async def test_an_empty_token_cannot_be_configured(desk):
    app = create_app(desk, token="")
    with pytest.raises(ValueError, match="needs a token"):
        app.build_middleware_stack()


async def test_the_websockets_handshake_passes_the_same_gate(running, token):
    url = f"ws://127.0.0.1:{running.port}/api/v1/stream?after=0"
    for status, options in (
        (401, {}),
        (401, {"additional_headers": bearer("wrong")}),
        (401, {"subprotocols": ["bearer.wrong"]}),
        (403, {"additional_headers": bearer(token), "origin": "http://evil.example"}),
    ):
        with pytest.raises(InvalidStatus) as refused:
            await connect(url, **DIRECT, **options)
        assert refused.value.response.status_code == status
        assert b'{"error":' in refused.value.response.body
        assert refused.value.response.headers["x-content-type-options"] == "nosniff"


async def test_a_browser_sends_the_token_as_subprotocol(running, token):
    url = f"ws://127.0.0.1:{running.port}/api/v1/stream?after=0"
    async with connect(url, **DIRECT, subprotocols=[f"bearer.{token}"], origin=running.url) as connection:
        assert connection.subprotocol == f"bearer.{token}"
