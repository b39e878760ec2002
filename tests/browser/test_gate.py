"""Who gets into the panel, and what it passes on: against the real control API, without a browser."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from copydesk.control import Running, serve
from copydesk.datafolder import ControlFile, remove_control, write_control
from copydesk.model import from_json
from copydesk.view import DeskEvent
from copydesk_panel.gate import HEADERS, Gate
from copydesk_panel.link import MAX_BODY, ControlSource
from copydesk_panel.server import MAX_CONNECTIONS, PanelError, listen_on
from copydesk_panel.server import main as panel_main
from copydesk_panel.server import serve as serve_panel
from yarl import URL

from .conftest import Start, start_panel
from .desk import GeneratorDesk, prepare

TOKEN = "a-token-that-no-browser-sees"
DEADLINE_S = 40.0


@dataclass
class Panel:
    """A panel in this event loop over a desk in this event loop. `addresses` are all URLs that it announced."""

    folder: Path
    desk: GeneratorDesk
    control: Running
    addresses: list[str] = field(default_factory=list)
    client: aiohttp.ClientSession = field(init=False)

    @property
    def base(self) -> URL:
        return URL(self.addresses[0]).origin()

    async def enter(self) -> None:
        async with self.client.get(self.addresses[-1], allow_redirects=True) as answer:
            assert answer.status == 200

    async def restart_engine(self) -> None:
        await self.control.stop()
        self.control = await serve(self.desk, host="127.0.0.1", port=0, token=TOKEN + "-2")
        write_control(self.folder, ControlFile(url=self.control.url, token=TOKEN + "-2", pid=1))

    async def status(self, method: str, path: str, *, headers: dict[str, str] | None = None, data: object = None) -> int:
        async with self.client.request(
            method, self.base / path, headers=headers, data=data, allow_redirects=False
        ) as answer:
            return answer.status


@pytest.fixture
async def panel(tmp_path: Path) -> AsyncIterator[Panel]:
    desk = prepare(tmp_path)
    control = await serve(desk, host="127.0.0.1", port=0, token=TOKEN)
    write_control(tmp_path, ControlFile(url=control.url, token=TOKEN, pid=1))
    panel = Panel(tmp_path, desk, control)
    listening, stop = asyncio.Event(), asyncio.Event()

    def announce(url: str) -> None:
        panel.addresses.append(url)
        listening.set()

    serving = asyncio.create_task(serve_panel(ControlSource(tmp_path), announce=announce, stop=stop))
    async with asyncio.timeout(DEADLINE_S):
        await listening.wait()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        panel.client = client
        yield panel
    stop.set()
    async with asyncio.timeout(DEADLINE_S):
        await serving
    await panel.control.stop()


# --- who gets in ----------------------------------------------------------------------------------------------


async def test_a_token_works_once_and_the_next_one_is_announced(panel: Panel) -> None:
    await panel.enter()
    assert len(panel.addresses) == 2
    async with aiohttp.ClientSession() as stranger, stranger.get(panel.addresses[0]) as answer:
        assert answer.status == 401
        assert "one-time" in await answer.text()


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(panel: Panel) -> None:
    async with panel.client.get(panel.addresses[0], allow_redirects=False) as answer:
        assert answer.status == 303
        assert answer.headers["Location"] == "/"
        cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


async def test_without_a_session_nothing_of_the_api_answers(panel: Panel) -> None:
    assert await panel.status("GET", "api/v1/view") == 401
    assert await panel.status("POST", "api/v1/bots", data=b"{}") == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await panel.client.ws_connect(panel.base / "api/v1/stream", origin=str(panel.base))
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},  # DNS rebinding
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:1"},  # another program's page on this machine
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_other_pages_and_names_are_refused(panel: Panel, headers: dict[str, str]) -> None:
    await panel.enter()
    assert await panel.status("GET", "api/v1/view") == 200
    assert await panel.status("GET", "api/v1/view", headers=headers) == 403


@pytest.mark.parametrize("origin", [None, "http://evil.example"])
async def test_a_websocket_must_come_from_the_panels_own_page(panel: Panel, origin: str | None) -> None:
    await panel.enter()
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await panel.client.ws_connect(panel.base / "api/v1/stream", origin=origin)
    assert refused.value.status == 403


async def test_every_answer_carries_the_security_headers(panel: Panel) -> None:
    await panel.enter()
    for path in (
        "",
        "static/main.js",
        "static/vendor/lightweight-charts.mjs",
        "static/missing.js",
        "api/v1/view",
        "nowhere",
    ):
        async with panel.client.get(panel.base / path) as answer:
            assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path


async def test_files_outside_the_static_folder_are_not_served(panel: Panel) -> None:
    await panel.enter()
    for path in ("/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py", "/static//etc/passwd"):
        async with panel.client.get(URL(f"{panel.base}{path}", encoded=True)) as answer:
            assert answer.status == 404, path


def test_sessions_are_bounded() -> None:
    gate = Gate(1)
    first = gate.redeem(gate.new_token())
    for _ in range(64):
        assert gate.redeem(gate.new_token())
    assert first not in gate._sessions
    assert len(gate._sessions) == 64


# --- what it passes on ----------------------------------------------------------------------------------------


async def test_requests_are_passed_on_with_their_answers(panel: Panel) -> None:
    await panel.enter()
    bot = {"name": "A/B", "parent": "main", "children": [{"account": "main", "mode": "multiplier", "value": "1"}]}
    async with panel.client.post(panel.base / "api/v1/bots", json=bot) as answer:
        assert answer.status == 422
        assert "letters" in (await answer.json())["error"]
    bot["name"] = "A"
    async with panel.client.post(panel.base / "api/v1/bots", json=bot) as answer:
        assert "both parent and child" in (await answer.json())["error"]
    async with panel.client.get(URL(f"{panel.base}/api/v1/accounts/desk%2Fnone/instruments", encoded=True)) as answer:
        assert answer.status == 404
        assert "'desk/none'" in (await answer.json())["error"]
    async with panel.client.get(panel.base / "api/v1/view") as answer:
        assert TOKEN not in await answer.text() + str(answer.headers)


async def test_a_body_that_is_too_large_is_refused(panel: Panel) -> None:
    await panel.enter()
    headers = {"Content-Type": "application/json"}
    assert await panel.status("POST", "api/v1/bots", headers=headers, data=io.BytesIO(b"x" * (MAX_BODY + 1))) == 413


async def test_the_stream_is_passed_on_without_a_gap(panel: Panel) -> None:
    await panel.enter()
    for number in range(30):
        panel.desk.say("word", f"before {number}")
    stream = await panel.client.ws_connect(panel.base / "api/v1/stream", params={"after": "0"}, origin=str(panel.base))
    panel.desk.say("word", "after")
    seen: list[DeskEvent] = []
    async with asyncio.timeout(DEADLINE_S):
        while not seen or seen[-1].seq < 31:
            seen += from_json((await stream.receive_str()), list[DeskEvent])
    await stream.close()
    assert [event.seq for event in seen] == list(range(1, 32))


async def watch(panel: Panel, after: int) -> aiohttp.ClientWebSocketResponse:
    return await panel.client.ws_connect(panel.base / "api/v1/stream", params={"after": str(after)}, origin=str(panel.base))


async def numbers(stream: aiohttp.ClientWebSocketResponse, last: int) -> list[int]:
    """The numbers of the events that a page is sent, until the last of them came."""
    seen: list[int] = []
    async with asyncio.timeout(DEADLINE_S):
        while not seen or seen[-1] < last:
            seen += [event.seq for event in from_json(await stream.receive_str(), list[DeskEvent]) if event.seq]
    return seen


async def test_many_pages_are_one_reader_to_the_engine_and_none_misses_an_event(panel: Panel) -> None:
    await panel.enter()
    for number in range(10):
        panel.desk.say("word", f"before {number}")
    watching = len(panel.desk.sinks)
    streams = [await watch(panel, 5)]
    assert await numbers(streams[0], 10) == [6, 7, 8, 9, 10]
    for number in range(2500):  # more than the engine tells at once
        panel.desk.say("word", f"meanwhile {number}")
    assert await numbers(streams[0], 2510) == list(range(11, 2511))
    places = (0, 5, 7, 10, 1200, 2509, 2510)  # before what is kept, within it, and at its end
    streams += [await watch(panel, after) for after in places]
    assert len(panel.desk.sinks) == watching + 1
    panel.desk.say("word", "for all")
    for stream, after in zip(streams, (2510, *places), strict=True):
        assert await numbers(stream, 2511) == list(range(after + 1, 2512))
    for stream in streams:
        await stream.close()


async def test_a_page_that_reads_nothing_delays_no_other(panel: Panel) -> None:
    await panel.enter()
    cookies = "; ".join(f"{cookie.key}={cookie.value}" for cookie in panel.client.cookie_jar)
    address = f"{panel.base.host}:{panel.base.port}"
    reader, writer = await asyncio.open_connection(panel.base.host, panel.base.port, limit=1024)
    words = (
        "GET /api/v1/stream?after=0 HTTP/1.1",
        f"Host: {address}",
        f"Origin: http://{address}",
        f"Cookie: {cookies}",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {'A' * 22}==",
    )
    writer.write("\r\n".join((*words, "", "")).encode())
    assert b" 101 " in await reader.readline()
    quick = await watch(panel, 0)
    for _ in range(20):  # more than a socket and what is kept for it can hold
        for number in range(1000):
            panel.desk.say("word", f"{number} " + "x" * 1000)
        last = panel.desk.latest_seq()
        assert (await numbers(quick, last))[-1] == last
    await quick.close()
    writer.close()


async def test_the_engines_reason_for_closing_is_passed_on(panel: Panel) -> None:
    await panel.enter()
    stream = await panel.client.ws_connect(panel.base / "api/v1/stream", params={"after": "99999"}, origin=str(panel.base))
    async with asyncio.timeout(DEADLINE_S):
        message = await stream.receive()
    assert message.type is aiohttp.WSMsgType.CLOSE
    assert stream.close_code == 4010


async def test_a_restarted_engine_is_found_and_told_apart(panel: Panel) -> None:
    await panel.enter()
    async with panel.client.get(panel.base / "api/v1/health") as answer:
        before = answer.headers["X-Copydesk-Engine"]
    await panel.restart_engine()
    async with panel.client.get(panel.base / "api/v1/health") as answer:
        assert answer.status == 200
        assert answer.headers["X-Copydesk-Engine"] not in ("", before)


async def test_an_engine_that_is_away_is_a_sentence(panel: Panel) -> None:
    await panel.enter()
    await panel.control.stop()
    async with panel.client.get(panel.base / "api/v1/view") as answer:
        assert answer.status == 503
        assert "copydesk run" in (await answer.json())["error"]
    remove_control(panel.folder)
    async with panel.client.get(panel.base / "api/v1/view") as answer:
        assert answer.status == 503
        assert str(panel.folder) in (await answer.json())["error"]


# --- the command ----------------------------------------------------------------------------------------------


def test_a_port_in_use_is_a_sentence_and_status_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    taken = listen_on(0)
    taken.listen()
    port = taken.getsockname()[1]
    with pytest.raises(SystemExit) as ended:
        panel_main(["--data", str(tmp_path), "--port", str(port)])
    taken.close()
    assert ended.value.code == 2
    assert f"Port {port}" in capsys.readouterr().err


def test_a_port_that_is_none_is_a_sentence() -> None:
    with pytest.raises(PanelError, match="Port 99999"):
        listen_on(99999)


async def test_the_address_for_another_browser_is_kept_while_the_panel_runs(start: Start, tmp_path: Path) -> None:
    program = await start_panel(start, tmp_path)
    kept = tmp_path / "panel.json"
    assert json.loads(program.first_line)["url"] == json.loads(kept.read_bytes())["url"]
    assert kept.stat().st_mode & 0o077 == 0
    async with aiohttp.ClientSession() as client, client.get(json.loads(program.first_line)["url"]) as answer:
        assert answer.status == 401  # the cookie jar of this client takes no cookies of addresses
    assert json.loads(program.first_line)["url"] != json.loads(kept.read_bytes())["url"]
    assert await program.stop() == 0
    assert not kept.exists()


# --- roles ----------------------------------------------------------------------------------------------------


async def test_a_viewer_looks_and_changes_nothing(panel: Panel) -> None:
    await panel.enter()
    assert await panel.status("GET", "panel/session") == 200
    async with panel.client.post(panel.base / "panel/invite") as answer:
        invitation = (await answer.json())["url"]
    asking = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=asking) as viewer:
        async with viewer.get(invitation) as answer:
            assert answer.status == 200
        async with viewer.get(panel.base / "panel/session") as answer:
            assert await answer.json() == {"role": "viewer", "accepted": False, "rehearsal": "none"}
        async with viewer.get(panel.base / "api/v1/view") as answer:
            assert answer.status == 200
        stream = await viewer.ws_connect(panel.base / "api/v1/stream", params={"after": "0"}, origin=str(panel.base))
        await stream.close()
        for method, path in (
            ("POST", "api/v1/bots"),
            ("POST", "api/v1/kill"),
            ("PUT", "api/v1/bots/A"),
            ("DELETE", "api/v1/bots/A"),
            ("PATCH", "api/v1/accounts/main/orders"),
            ("POST", "api/v1/accounts/main/orders"),
            ("POST", "api/v1/bots/A/start"),
            ("POST", "api/v1/tickets/t1/send"),
            ("POST", "api/v1/connections/main/reconnect"),
            ("POST", "panel/invite"),
            ("POST", "panel/accept"),
            ("POST", "panel/rehearsal"),
            ("DELETE", "panel/rehearsal"),
            ("PUT", "api/v1/accounts/main/limits"),
        ):
            async with viewer.request(method, panel.base / path, json={}) as answer:
                assert answer.status == 403, path
                assert "may only look" in (await answer.json())["error"]
    async with aiohttp.ClientSession() as late, late.get(invitation) as answer:
        assert answer.status == 401, "an invitation opens the panel once"
    assert len(panel.addresses) == 2, "an invitation used does not take the trader's next address away"


@pytest.mark.parametrize("body", [b"{}", b"[]", b"{", b'{"kind": "--fault"}', b'{"kind": "binance-futures --keep /tmp"}'])
async def test_a_rehearsal_of_what_is_no_kind_is_refused(panel: Panel, body: bytes) -> None:
    await panel.enter()
    headers = {"Content-Type": "application/json"}
    assert await panel.status("POST", "panel/rehearsal", headers=headers, data=body) in (409, 422)
    assert await panel.status("DELETE", "panel/rehearsal") == 409
    async with panel.client.get(panel.base / "panel/session") as answer:
        assert (await answer.json())["rehearsal"] == "none"


@pytest.mark.slow
async def test_a_rehearsal_ends_even_with_a_panel_that_is_killed(start: Start, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = (sys.executable, "-m", "copydesk_panel", "--data", str(tmp_path), "--json")
    panel = await start(*command, environment={"TMPDIR": str(scratch)})
    url = URL(json.loads(panel.first_line)["url"])
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.get(url) as answer:
            assert answer.status == 200
        asking = asyncio.create_task(client.post(url.origin() / "panel/rehearsal", json={"kind": "binance-futures"}))
        async with asyncio.timeout(60):
            while not list(scratch.glob("copydesk-demo-*/venue.err")):  # noqa: ASYNC110 - other processes' work
                await asyncio.sleep(0.05)
            async with client.post(url.origin() / "panel/rehearsal", json={"kind": "binance-futures"}) as answer:
                assert answer.status == 409, "one at a time"
            panel.process.kill()
            while list(scratch.glob("copydesk-demo-*")):  # noqa: ASYNC110 - it goes last, with its processes
                await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_forms_and_plain_text_cannot_post(panel: Panel) -> None:
    """What a page of another site can send without asking the browser first."""
    await panel.enter()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        assert await panel.status("POST", "api/v1/bots", headers={"Content-Type": kind}, data=b"{}") == 415


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"name": 1}', b"\xff\xfe", b'{"name":' + b"[" * 5000, b"null"])
async def test_malformed_bodies_are_refused_with_a_sentence(panel: Panel, body: bytes) -> None:
    await panel.enter()
    headers = {"Content-Type": "application/json"}
    async with panel.client.post(panel.base / "api/v1/bots", data=body, headers=headers) as answer:
        assert answer.status == 422
        assert (await answer.json())["error"]


async def test_a_stolen_cookie_of_another_panel_is_worth_nothing(panel: Panel) -> None:
    await panel.enter()
    name = f"copydesk-panel-{panel.base.port}"
    async with aiohttp.ClientSession() as thief:
        for value in ("", "x" * 43, "../../etc/passwd"):
            async with thief.get(panel.base / "api/v1/view", headers={"Cookie": f"{name}={value}"}) as answer:
                assert answer.status == 401


async def test_thousands_of_sockets_are_turned_away_and_the_page_goes_on(panel: Panel) -> None:
    await panel.enter()
    assert await panel.status("GET", "api/v1/view") == 200  # its connection is kept open
    host, port = panel.base.host, panel.base.port
    assert host is not None
    opened = [await asyncio.open_connection(host, port) for _ in range(MAX_CONNECTIONS + 100)]
    turned_away = 0
    for reader, _ in reversed(opened[-100:]):
        async with asyncio.timeout(DEADLINE_S):
            turned_away += await reader.read(1) == b""
    assert turned_away == 100
    assert await panel.status("GET", "api/v1/view") == 200
    for _, writer in opened:
        writer.close()
    async with asyncio.timeout(DEADLINE_S):
        while not await is_answered(panel):  # each attempt waits for the network
            pass


async def is_answered(panel: Panel) -> bool:
    """Whether a stranger is told that there is nothing for it."""
    try:
        async with aiohttp.ClientSession() as stranger, stranger.get(panel.base) as answer:
            return answer.status == 401
    except aiohttp.ClientError:
        return False


async def test_the_disclaimer_is_confirmed_once(panel: Panel) -> None:
    await panel.enter()
    async with panel.client.get(panel.base / "panel/session") as answer:
        assert await answer.json() == {"role": "trader", "accepted": False, "rehearsal": "none"}
    assert await panel.status("POST", "panel/accept") == 204
    async with panel.client.get(panel.base / "panel/session") as answer:
        assert (await answer.json())["accepted"] is True
    assert (panel.folder / "panel-accepted.json").exists()
