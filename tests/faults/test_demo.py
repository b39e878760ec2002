"""`copydesk demo` as a user runs it: without a browser, at a venue that misbehaves, on a real recording, with the panel."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from copydesk.client import AsyncControlClient
from copydesk.demo.verdict import Verdict
from copydesk.model import OrderType, Side, Terms, from_json
from copydesk.sizing import floor_to
from harness.demos import Started, living

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

RECORDING = (
    Path(__file__).parents[2] / "../shared/venue-samples/binance-usdm/replay-market-data/cf-BINANCE_FUTURES.jsonl.zst"
)
FAULTS = "drop-stream:31,lose-reply,duplicate-events,reorder"
EVERY_FAULT = {
    "paper": "drop-stream,lose-reply,duplicate-events,reorder,stall,partial-fills,overload",
    "binance-futures": "drop-stream,lose-reply,duplicate-events,reorder,stall,partial-fills,overload,"
    "lose-request,429,5xx,-1007,clock-skew,go-away",
}
"""All but those that refuse for good: what is refused for good is missed, and said."""
KINDS = [*OrderType, "amend", "cancel", "flip", "ioc", "fok", "post-only", "reduce-only"]
LIMITS = {"binance-futures": ["--option", "weight-per-minute=24000"], "paper": []}
"""Coming up and being judged takes most of what Binance allows per minute: streams dropped in that minute come on top."""
CHILDREN = {"child1", "child2", "child3"}
Copydesk = Callable[..., Awaitable[Any]]


EVENTS = 20
"""A round of the script has more, and one round is always gone through, however slow the machine is."""


def check(ended: Any) -> Verdict:
    """The verdict of a demo that went well, with what has to be in it."""
    verdict = from_json(ended.out, Verdict)
    wrong = [sentence for child in verdict.children.values() for sentence in child.differences]
    assert (ended.status, wrong) == (0, []), ended
    assert verdict.parent_events >= EVENTS
    assert not {kind for kind in KINDS if not verdict.parent_orders.get(kind)}, "every kind of event"
    assert set(verdict.children) == CHILDREN
    for child in verdict.children.values():
        assert child.copied
        assert child.orders["filled"] >= 5
        assert child.positions == verdict.parent_position == {}
        assert child.drift == ()
        assert child.sent is not None
        assert child.sent.count >= EVENTS
    latency = verdict.copy_latency_us
    assert 0 < latency["p50"] <= latency["p99"] <= latency["max"]
    return verdict


@pytest.mark.parametrize("faults", ["", FAULTS], ids=["well-behaved", "misbehaving"])
@pytest.mark.parametrize("kind", ["binance-futures", "paper"])
async def test_headless(copydesk: Copydesk, kind: str, faults: str) -> None:
    words = ["--kind", kind, "--seconds", "8", "--pace", "0.1", "--json", *LIMITS[kind]]
    words += ["--fault", faults] if faults else []
    verdict = check(await copydesk("demo", "--headless", *words))
    assert (verdict.kind, verdict.market) == (kind, "synthetic")
    assert verdict.faults == tuple(faults.split(",")) * bool(faults)


@pytest.mark.parametrize("kind", ["binance-futures", "paper"])
async def test_with_every_fault_at_once(copydesk: Copydesk, kind: str) -> None:
    """Five minutes of it: `copydesk demo --headless --seconds 300 --fault` with the same list."""
    words = ["--kind", kind, "--seconds", "10", "--pace", "0.1", "--json", *LIMITS[kind], "--fault", EVERY_FAULT[kind]]
    ended = await copydesk("demo", "--headless", *words)
    verdict = from_json(ended.out, Verdict)
    assert (ended.status, verdict.ok, verdict.unexplained_drift) == (0, True, 0), ended


async def test_on_a_recording_of_the_real_market(copydesk: Copydesk) -> None:
    if not RECORDING.exists():
        pytest.skip(f"{RECORDING.name} is not there")
    words = ["--seconds", "8", "--pace", "0.1", "--market", str(RECORDING), "--json"]
    assert check(await copydesk("demo", "--headless", *words)).market == str(RECORDING)


async def test_in_words_for_people(copydesk: Copydesk) -> None:
    ended = await copydesk("demo", "--headless", "--kind", "paper", "--seconds", "1", "--pace", "0.05")
    assert ended.status == 0, ended
    assert "Nothing was missed or copied twice, and no drift is unexplained." in ended.out
    assert all(child in ended.out for child in CHILDREN)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--kind", "nonsense"], "unknown connection kind 'nonsense'"),
        (["--market", "nowhere.zst"], "--market 'nowhere.zst' is no file"),
        (["--kill", "soon"], "--kill 'soon' must be seconds"),
        (["--fault", "earthquake"], "unknown fault 'earthquake'"),
        (["--option", "size"], "--option 'size' must be written as NAME=VALUE"),
    ],
)
async def test_bad_input_is_one_sentence(copydesk: Copydesk, words: list[str], sentence: str) -> None:
    ended = await copydesk("demo", "--headless", *words)
    assert ended.status in (1, 2)
    assert sentence in ended.err
    assert ended.err.count("\n") == 1


# --- with what goes wrong for good, and with people -----------------------------------------------------------------------


def has_copied(view: Any) -> bool:
    return any(bot.copied >= 6 for bot in view.bots)


async def test_an_engine_that_is_gone_for_good_fails_the_demo(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    words = ["--headless", "--kind", "paper", "--seconds", "60", "--pace", "0.1", "--json"]
    async with await Started.start(folder, *words) as demo:
        await demo.until(has_copied)
        os.kill(json.loads((folder / "control.json").read_text())["pid"], signal.SIGKILL)
        status, err = await demo.ended()
    assert status == 1
    assert "the engine has ended, with status -9" in err
    assert living(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_headless_demo_can_be_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    folder = tmp_path / "data"
    async with await Started.start(folder, "--headless", "--kind", "paper", "--json") as demo:
        await demo.until(has_copied)
        demo.process.send_signal(number)
        status, _ = await demo.ended()
    assert status == 130
    assert living(folder) == []


async def test_with_the_panel(tmp_path: Path) -> None:
    """It prints an address that answers, trades calmly beside a person, and Ctrl-C leaves nothing behind."""
    folder = tmp_path / "data"
    async with await Started.start(folder, "--kind", "paper", "--pace", "0.02", "--json") as demo:
        told = json.loads(await demo.line())
        assert told["data"] == str(folder)
        jar = aiohttp.CookieJar(unsafe=True)  # a cookie of an address without a name
        async with aiohttp.ClientSession(cookie_jar=jar) as http, http.get(told["panel"]) as response:
            assert response.status == 200
            assert "copydesk" in (await response.text()).lower()
        await demo.until(has_copied)
        mine, resting = await trade_by_ticket(demo)
        # Two rounds of the script later, each of which closes what the script holds, both are still there.
        copied = (await demo.view()).bots[0].copied
        view = await demo.until(lambda view: view.bots[0].copied >= copied + 120)
        parent = next(account for account in view.accounts if account.key == "parent")
        assert resting in {order.client_id for order in parent.orders}
        view = await demo.until(lambda view: held_by(view, "parent") == mine)
        assert not any(row.cause == "unexplained" for row in view.drift)

        demo.process.send_signal(signal.SIGINT)
        assert await demo.ended() == (0, "")
    assert living(folder) == []


def held_by(view: Any, account: str) -> Any:
    (found,) = [one for one in view.accounts if one.key == account]
    return sum(position.quantity for position in found.positions)


async def trade_by_ticket(demo: Started) -> tuple[Any, str]:
    """A person buys a little and leaves an order far away: (what was bought, the client id of what rests)."""
    view = await demo.until(lambda view: view.prices)
    ((symbol, last),) = view.prices.items()
    async with AsyncControlClient.for_folder(demo.folder) as client:
        instrument = next(one for one in await client.instruments("parent") if one.symbol == symbol)
        quantity = instrument.quantity_step * 10
        price = floor_to(last * 8 / 10, instrument.price_tick)
        terms = Terms(symbol=symbol, side=Side.BUY, type=OrderType.MARKET, quantity=quantity)
        bought = await client.place("parent", terms)
        assert bought.outcome.order.filled == quantity
        far = Terms(symbol=symbol, side=Side.BUY, type=OrderType.LIMIT, quantity=quantity, price=price)
        rests = await client.place("parent", far)
        assert rests.outcome.order.is_working
        return quantity, rests.client_id
