"""Every path of the control API, over a real socket."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from decimal import Decimal

import httpx
import pytest
from copydesk.client import ERRORS
from copydesk.control import serve
from copydesk.control.app import STATUS
from copydesk.errors import UsageError
from copydesk.model import Candle, Instrument, KindInfo, OrderType, Side, Terms, from_json, to_json
from copydesk.view import AccountView, DeskView, EventPage, LogEntry, Ticket, TicketOutcome
from openapi_spec_validator import validate

TERMS = Terms(symbol="BTCUSDT", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.010"), price=Decimal("50000.0"))
ORDERS = "/api/v1/accounts/demo%2Fparent/orders"


@pytest.fixture
async def http(running, token):
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=running.url, headers=headers, trust_env=False) as client:
        yield client


def sentence(response: httpx.Response) -> str:
    """The sentence of a refusal, in its one form."""
    body = response.json()
    assert set(body) == {"error"}
    assert response.headers["content-type"] == "application/json"
    assert " " in body["error"]
    assert "\n" not in body["error"]
    return body["error"]


async def test_health_needs_no_token(running):
    async with httpx.AsyncClient(trust_env=False) as anyone:
        response = await anyone.get(f"{running.url}/api/v1/health")
    assert response.json()["ok"] is True


async def test_view_is_the_record_and_keeps_decimals_as_strings(http, desk):
    desk.say("hello")
    response = await http.get("/api/v1/view")
    view = from_json(response.content, DeskView)
    assert view == desk.view()
    placed = await http.post(ORDERS, content=to_json(TERMS))
    assert placed.json()["outcome"]["order"]["terms"]["quantity"] == "0.010"


async def test_lists_are_typed(http):
    accounts = from_json((await http.get("/api/v1/accounts")).content, list[AccountView])
    assert [account.key for account in accounts] == ["demo/parent", "real"]
    assert from_json((await http.get("/api/v1/kinds")).content, list[KindInfo])[0].capabilities.hedge_mode
    instruments = (await http.get("/api/v1/accounts/demo%2Fparent/instruments")).content
    assert from_json(instruments, list[Instrument])[0].price_tick == Decimal("0.1")
    query = {"symbol": "BTCUSDT", "interval": "5m", "limit": 3}
    candles = (await http.get("/api/v1/accounts/demo%2Fparent/candles", params=query)).content
    assert len(from_json(candles, list[Candle])) == 3
    assert (await http.get("/api/v1/drift")).json() == []


async def test_events_by_sequence(http, desk):
    desk.burst(25)
    first = from_json((await http.get("/api/v1/events?after=0&limit=10")).content, EventPage)
    assert [event.seq for event in first.events] == list(range(1, 11))
    assert first.seq == 10
    rest = from_json((await http.get("/api/v1/events?after=10")).content, EventPage)
    assert rest.seq == 25
    assert len(rest.events) == 15
    none = from_json((await http.get("/api/v1/events?after=25")).content, EventPage)
    assert none == EventPage(events=(), seq=25)


async def test_events_older_than_what_is_kept_or_newer_than_what_is_there_are_gone(http, desk):
    desk.kept = 100
    desk.burst(300)
    older = await http.get("/api/v1/events?after=5")
    assert older.status_code == 410
    assert "take a new view" in sentence(older)
    assert (await http.get("/api/v1/events?after=200")).status_code == 200
    newer = await http.get("/api/v1/events?after=301")
    assert newer.status_code == 410
    assert "started anew" in sentence(newer)


async def test_log_is_filtered_and_paged(http, desk):
    for minute in range(10):
        desk.say(f"line {minute}", level="warn" if minute % 2 else "info", bot="grid", at_ms=minute * 60_000)
    desk.say("of another bot", bot="other", at_ms=60_000)

    async def lines(**query: object) -> list[str]:
        response = await http.get("/api/v1/log", params=query)
        return [entry.text for entry in from_json(response.content, list[LogEntry])]

    assert await lines(bot="grid", from_ms=60_000, to_ms=180_000) == ["line 3", "line 2", "line 1"]
    assert await lines(level="warn", limit=2) == ["line 9", "line 7"]
    assert await lines(text="LINE", before_seq=3) == ["line 1", "line 0"]


async def test_a_bots_life(http, desk, new_bot):
    bot = new_bot("grid")
    added = await http.post("/api/v1/bots", content=bot.model_dump_json())
    assert added.status_code == 201
    assert added.json()["children"][0]["value"] == "0.5"
    assert desk.stored["grid"] == bot
    assert (await http.post("/api/v1/bots/grid/start")).json()["working"] is True
    assert desk.stored["grid"].working
    assert (await http.post("/api/v1/bots/grid/stop")).json()["working"] is False
    renamed = await http.put("/api/v1/bots/grid", content=new_bot("my grid").model_dump_json())
    assert renamed.json()["name"] == "my grid"
    assert [one["name"] for one in (await http.get("/api/v1/bots")).json()] == ["my grid"]
    removed = await http.delete("/api/v1/bots/my%20grid")
    assert (removed.status_code, removed.content) == (204, b"")
    assert desk.stored == {}


WRONG_BOTS = [
    ({"parent": "demo/child"}, "both parent and child"),
    ({"children": []}, "at least 1"),
    ({"children": [{"account": "demo/child", "mode": "multiplier", "value": 0}]}, "other than 0"),
    ({"children": [{"account": "demo/child", "mode": "guess", "value": 1}]}, "'mode' must be"),
    ({"speed": 3}, "'speed' is not a setting"),
    ({"parent": "nowhere"}, "unknown connection 'nowhere'"),
    ({"name": ""}, "bot's name"),
]


async def test_a_wrong_bot_is_refused_with_a_sentence_and_nothing_is_stored(http, desk, new_bot):
    for change, says in WRONG_BOTS:
        table = {**json.loads(new_bot("grid").model_dump_json()), **change}
        response = await http.post("/api/v1/bots", content=json.dumps(table))
        assert response.status_code == 422, change
        assert says in sentence(response)
    assert desk.stored == {}


async def test_names_that_are_not_there_and_names_that_are_taken(http, desk, new_bot):
    desk.stored = {"one": new_bot("one"), "two": new_bot("two")}
    body = new_bot("two").model_dump_json()
    before = dict(desk.stored)
    for response, status, says in [
        (await http.post("/api/v1/bots", content=body), 409, "a bot 'two' is there already"),
        (await http.put("/api/v1/bots/one", content=body), 409, "a bot 'two' is there already"),
        (await http.put("/api/v1/bots/three", content=body), 404, "there is no bot 'three' (there: one, two)"),
        (await http.delete("/api/v1/bots/three"), 404, "there is no bot 'three'"),
        (await http.post("/api/v1/bots/three/start"), 404, "there is no bot 'three'"),
        (await http.post("/api/v1/bots/three/stop"), 404, "there is no bot 'three'"),
        (await http.get("/api/v1/accounts/none/instruments"), 404, "there is no account 'none'"),
        (await http.post("/api/v1/accounts/none/orders", content=to_json(TERMS)), 404, "there is no account 'none'"),
    ]:
        assert response.status_code == status
        assert says in sentence(response)
    assert desk.stored == before


async def test_the_ticket_places_changes_and_cancels_on_a_rehearsal(http, desk):
    placed = from_json((await http.post(ORDERS, content=to_json(TERMS))).content, TicketOutcome)
    assert placed.client_id == "ticket-1"
    assert placed.outcome.order == desk.placed["ticket-1"]
    ref = {"symbol": "BTCUSDT", "type": "limit", "client_id": "ticket-1"}
    changed = await http.patch(ORDERS, content=to_json({"ref": ref, "terms": TERMS}))
    assert changed.json()["outcome"]["type"] == "accepted"
    by_query = await http.delete(ORDERS, params=ref)
    by_body = await http.request("DELETE", ORDERS, content=to_json(ref))
    assert by_query.json() == by_body.json()
    assert by_query.json()["outcome"]["type"] == "accepted"
    unknown = await http.delete(ORDERS, params={**ref, "client_id": "never"})
    assert unknown.json()["outcome"]["reason"] == "not-found"


async def test_the_ticket_is_refused_on_a_real_account(http, desk):
    for method, body in [("POST", to_json(TERMS)), ("PATCH", b"{}"), ("DELETE", b"{}")]:
        response = await http.request(method, "/api/v1/accounts/real/orders", content=body)
        assert response.status_code == 403
        assert "rehearsal connections only" in sentence(response)
    assert desk.placed == {}


REFUSED = [
    ("POST", ORDERS, b"", 422, "needs a body"),
    ("POST", ORDERS, b"{nonsense", 422, "not JSON"),
    ("POST", ORDERS, b'{"symbol": "BTCUSDT"}', 422, "missing required field `side`"),
    ("POST", ORDERS, to_json(TERMS).replace(b'"0.010"', b'"many"'), 422, "$.quantity"),
    ("DELETE", ORDERS, b'{"symbol": "BTCUSDT", "type": "limit"}', 422, "name the order to cancel"),
    ("DELETE", ORDERS + "?symbol=BTCUSDT&client_id=x", b"", 422, "needs a body"),
    ("POST", "/api/v1/bots", b"[]", 422, "Expected `object`"),
    ("POST", "/api/v1/bots", b"x" * (1 << 21), 413, "too large"),
    ("GET", "/api/v1/events", b"", 422, "query.after is wrong"),
    ("GET", "/api/v1/log?limit=0", b"", 422, "query.limit is wrong"),
    ("GET", "/api/v1/log?level=loud", b"", 422, "query.level is wrong"),
    ("GET", "/api/v1/accounts/real/candles?symbol=BTCUSDT&interval=2m", b"", 422, "query.interval is wrong"),
    ("GET", "/api/v1/accounts/real/candles?symbol=DOWN", b"", 503, "it is tried again"),
    ("GET", "/api/v1/accounts/real/candles?symbol=BUSY", b"", 429, "asks for a pause"),
    ("GET", "/api/v1/nothing", b"", 404, "has no GET /api/v1/nothing"),
    ("GET", "/", b"", 404, "has no GET /"),
    ("PUT", "/api/v1/view", b"", 405, "does not do PUT /api/v1/view"),
    ("GET", "/api/v1/view/", b"", 404, "has no GET"),
]


async def test_every_refusal_is_a_sentence(http, desk):
    for method, path, body, status, says in REFUSED:
        response = await http.request(method, path, content=body)
        assert response.status_code == status, (method, path)
        assert says in sentence(response)
    assert desk.placed == {}


async def test_slowing_down_says_when_to_come_back(http):
    response = await http.get("/api/v1/accounts/real/candles?symbol=BUSY")
    assert response.headers["retry-after"] == "2"


async def test_a_defect_is_told_without_its_details_and_is_logged(http, caplog):
    response = await http.get("/api/v1/accounts/real/candles?symbol=DEFECT")
    assert response.status_code == 500
    assert "defect" in sentence(response)
    assert "secret" not in response.text
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "ZeroDivisionError" in caplog.text


async def test_the_client_raises_what_the_server_refused():
    for error, status in STATUS.items():
        if status not in (422, 500):
            assert ERRORS[status] is error


async def test_the_description_is_valid_and_every_answer_has_a_schema(http):
    document = (await http.get("/api/v1/openapi.json")).json()
    validate(document)
    empty = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert operation["description"], (method, path)
            for status, answer in operation["responses"].items():
                schema = answer.get("content", {}).get("application/json", {}).get("schema")
                if not schema and status != "204":
                    empty.append((method, path, status))
    assert empty == []
    assert document["components"]["schemas"]["Terms"]["properties"]["quantity"] == {"type": "string", "format": "decimal"}
    assert set(document["paths"]["/api/v1/bots/{name}"]) == {"put", "delete"}


async def test_the_description_lists_every_path_that_is_served(http, running, desk):
    document = (await http.get("/api/v1/openapi.json")).json()
    for path, methods in document["paths"].items():
        for method in methods:
            if path == "/api/v1/stream":
                continue
            response = await http.request(method.upper(), path.replace("{key}", "none").replace("{name}", "none"))
            assert str(response.status_code) in methods[method]["responses"], (method, path, response.text)


async def test_a_port_in_use_is_refused_with_a_sentence(desk, running, token):
    with pytest.raises(UsageError, match=f"127.0.0.1 port {running.port}: another program has it; choose another 'port'"):
        await serve(desk, host="127.0.0.1", port=running.port, token=token)


async def test_an_address_that_is_not_there_is_refused_with_a_sentence(desk, token):
    with pytest.raises(UsageError, match="does not have that address; correct 'host'"):
        await serve(desk, host="192.0.2.1", port=0, token=token)
    with pytest.raises(UsageError, match="there is no such address"):
        await serve(desk, host="no-such-host.invalid", port=0, token=token)


async def test_everything_runs_in_the_calling_thread(http, desk, monkeypatch):
    asked_in = set()
    seen = desk.log
    monkeypatch.setattr(desk, "log", lambda query: asked_in.add(threading.get_ident()) or seen(query))
    threads = threading.active_count()
    for _ in range(3):
        assert (await http.get("/api/v1/log")).status_code == 200
        assert (await http.get("/api/v1/view")).status_code == 200
    assert asked_in == {threading.get_ident()}
    assert threading.active_count() == threads


async def test_stopping_frees_the_port_and_leaves_no_task(desk, start):
    before = asyncio.all_tasks()
    running = await start(desk)
    await running.stop()
    await running.stop()
    assert asyncio.all_tasks() == before
    with socket.create_server(("127.0.0.1", running.port)):
        pass
    again = await start(desk, port=0)
    assert again.port != 0


async def test_tickets_are_listed_sent_once_and_dismissed(http, desk):
    ticket = Ticket(
        id="t1",
        bot="b",
        child="real",
        symbol="BTCUSDT",
        position_side="net",
        terms=Terms(symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(1)),
        kind="stale",
        why="too late",
        created_ns=1,
        expires_ns=2,
    )
    desk.left = {"t1": ticket}
    assert from_json((await http.get("/api/v1/tickets")).content, list[Ticket]) == [ticket]
    sent = await http.post("/api/v1/tickets/t1/send")  # the body may be left out
    assert (sent.status_code, from_json(sent.content, Ticket).status) == (200, "sent")
    again = await http.post("/api/v1/tickets/t1/dismiss", content=b'{"actor": "me"}')
    assert (again.status_code, again.json()["error"]) == (409, "ticket t1 was sent already")
    assert (await http.post("/api/v1/tickets/t9/send")).status_code == 404
