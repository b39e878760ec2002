"""Logging in, what a session costs, and that no secret leaves it."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from decimal import Decimal
from typing import Any

import pluggy
import pytest
from copydesk.errors import AuthFailed, NotReady, Refused, UsageError, VenueError
from copydesk.hookspecs import OPTIONAL, PROJECT, REQUIRED, VenuePlugin, VenueSpec
from copydesk.model import (
    Accepted,
    CandleRequest,
    ConnectionSettings,
    LeverageChange,
    NewOrder,
    OrderRef,
    OrderType,
    Rejected,
    RejectReason,
    SnapshotRequest,
    Subscription,
    Unknown,
)
from copydesk_binance import futures_plugin as plugin

from .conftest import SYMBOL, Rig


def test_importing_and_describing_import_no_venue_library() -> None:
    code = (
        "import sys; from copydesk.plugins import describe_kind;"
        "titles = [describe_kind(kind).title for kind in ('binance', 'binance-futures')];"
        "assert titles == ['Binance spot', 'Binance USD-M futures'], titles;"
        "bad = {'ccxt', 'aiohttp', 'copydesk_paper'} & set(sys.modules); assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_plugin_fits_the_hook_specifications() -> None:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(VenueSpec)
    manager.register(plugin)
    manager.check_pending()
    for name in (*REQUIRED, *(set(OPTIONAL) - {"place_group"})):
        assert getattr(manager.hook, name).get_hookimpls(), name
    typed: VenuePlugin = plugin
    assert typed.describe().api == 1


def test_the_hooks_are_still_functions_after_everything_was_imported() -> None:
    """A module of the package named like a hook would take its place when it is imported."""

    for name in (*REQUIRED, *(set(OPTIONAL) - {"place_group"})):
        assert callable(getattr(plugin, name)), name


async def test_a_session_knows_instruments_accounts_and_that_it_is_a_rehearsal(rig: Rig) -> None:
    session = await rig.connect()
    instrument = session.instruments[SYMBOL]
    assert instrument == rig.exchange.instruments[SYMBOL]
    assert session.accounts == ("",)
    assert session.rehearsal
    assert not session.hedge_mode
    assert session.permissions == ("read", "futures trading")


async def test_sessions_share_markets_pool_and_clock(rig: Rig) -> None:
    first, second = await rig.connect(), await rig.connect("child")
    assert first.instruments is second.instruments
    assert first.venue.http is second.venue.http
    assert first._signer.markets is second._signer.markets
    assert first._signer.options is second._signer.options
    assert first._signer.apiKey != second._signer.apiKey
    await plugin.close(first)
    await rig.place(second, "c-1", rig.terms(OrderType.LIMIT))  # the pool stays open for the other one
    await plugin.close(second)
    assert first.venue.http.closed


@pytest.mark.parametrize("wrong", [{"key": "k" * 64}, {"key": "short"}, {"secret": "s" * 64}, {"key": ""}, {"secret": " "}])
async def test_a_wrong_login_needs_a_person(rig: Rig, wrong: dict[str, str]) -> None:
    with pytest.raises(AuthFailed) as failure:
        await plugin.connect(rig.settings(**wrong))
    for value in wrong.values():
        assert not value.strip() or value not in str(failure.value)


async def test_a_venue_that_does_not_answer_is_not_ready() -> None:
    settings = ConnectionSettings(
        name="nowhere", kind=plugin.info.kind, options={"url": "http://127.0.0.1:9"}, secrets={"key": "k", "secret": "s"}
    )
    with pytest.raises(NotReady, match="nothing was sent"):
        await plugin.connect(settings)
    with pytest.raises(UsageError, match="http://"):
        await plugin.connect(
            ConnectionSettings(
                name="x", kind=plugin.info.kind, options={"url": "ftp://x"}, secrets={"key": "k", "secret": "s"}
            )
        )


async def test_candles_come_oldest_first(rig: Rig) -> None:
    session = await rig.connect()
    candles = await plugin.candles(session, CandleRequest(symbol=SYMBOL, interval="1m", limit=5))
    assert len(candles) == 5
    assert [candle.open_ms for candle in candles] == sorted(candle.open_ms for candle in candles)
    assert all(candle.low <= candle.close <= candle.high for candle in candles)
    with pytest.raises(Refused, match="1s"):
        await plugin.candles(session, CandleRequest(symbol=SYMBOL, interval="1s"))
    with pytest.raises(Refused):
        await plugin.candles(session, CandleRequest(symbol="NOSUCHUSDT"))


async def test_a_snapshot_that_cannot_be_read_raises(rig: Rig) -> None:
    session = await rig.connect()
    session.venue.quiet_until_ms = session.venue.now_ms() + 60_000
    with pytest.raises(VenueError):
        await plugin.snapshot(session, SnapshotRequest())
    session.venue.quiet_until_ms = 0
    await rig.rehearsal.stop()
    with pytest.raises(NotReady):
        await plugin.snapshot(session, SnapshotRequest())


async def test_a_deposit_changes_the_balance(rig: Rig) -> None:
    session = await rig.connect()
    rig.exchange.deposit("parent", Decimal(500))
    snapshot = await rig.snapshot(session)
    assert snapshot.balance is not None
    assert (snapshot.balance.equity, snapshot.balance.available) == (Decimal(100_500), Decimal(100_500))


async def test_no_secret_is_ever_shown(rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.DEBUG)
    settings = rig.settings()
    session = await rig.connect()
    listener = await rig.listen(session)
    shown: list[str] = [repr(session), str(session), repr(settings), repr(session.venue)]
    key, secret, listen_key = *settings.secrets.values(), session._hidden[2]

    def show(outcome: Any) -> None:
        shown.append(repr(outcome))

    def show_error(error: BaseException) -> None:
        shown.extend((repr(error), str(error), "".join(traceback.format_exception(error))))

    order = NewOrder(client_id="a", terms=rig.terms(OrderType.LIMIT))
    for fault in ("lose-reply", "5xx", "-1007", "429"):
        await rig.fault(fault, count=1)
        show(await plugin.place(session, order))
        session.venue.quiet_until_ms = 0
    show(await plugin.cancel(session, OrderRef(symbol=SYMBOL, type=OrderType.LIMIT, client_id="nobody")))
    for wrong in ({"secret": secret[::-1]}, {"key": key[::-1]}):
        try:
            await plugin.connect(rig.settings(**wrong))
        except VenueError as error:
            show_error(error)
    with monkeypatch.context() as patch:  # a venue that echoes what it was sent
        patch.setattr(session, "_hidden", session._hidden)
        echo = plugin_reply(f'{{"code": -2015, "msg": "bad key {key} for {listen_key} signed with {secret}"}}')
        patch.setattr(session.venue, "send", echo)
        show(await plugin.place(session, order))
        try:
            await plugin.snapshot(session, SnapshotRequest())
        except VenueError as error:
            show_error(error)
    rig.rehearsal.streams.drop_all()
    await rig.rehearsal.stop()
    await listener.until(lambda events: len(events) > 1)
    shown.extend(repr(event) for event in listener.events)
    for attempt in (plugin.snapshot(session, SnapshotRequest()), plugin.connect(rig.settings())):
        try:
            await attempt
        except VenueError as error:
            show_error(error)
    outcome = await plugin.place(session, order)
    assert isinstance(outcome, Rejected | Unknown)
    show(outcome)
    text = "\n".join((*shown, caplog.text))
    assert len(shown) > 15
    for hidden in (key, secret, listen_key, "signature="):
        assert hidden not in text


def plugin_reply(text: str) -> Any:
    from copydesk_wire.connection import Answer

    async def send(request: dict[str, Any], deadline_s: float = 1.0) -> Any:
        return Answer(401, text.encode())

    return send


async def test_a_stream_that_may_not_log_in_any_more_ends_with_its_reason(rig: Rig) -> None:
    session = await rig.connect()
    session._signer.apiKey = "x" * 64
    events = plugin.subscribe(session, Subscription())
    with pytest.raises(AuthFailed):
        await anext(events)


async def test_a_key_without_the_right_to_trade_is_a_refusal(rig: Rig) -> None:
    session = await rig.connect()
    session._signer.secret = "x" * 64
    outcome = await plugin.place(session, NewOrder(client_id="a", terms=rig.terms(OrderType.LIMIT)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.PERMISSION


async def test_position_mode_margin_and_leverage_are_told_where_they_are_asked_for(rig: Rig) -> None:
    session = await rig.connect()
    plain = await plugin.snapshot(session, SnapshotRequest())
    assert (plain.hedge_mode, plain.margins) == (None, ())
    told = await plugin.snapshot(session, SnapshotRequest(settings=True))
    assert told.hedge_mode is False
    margin = {margin.symbol: margin for margin in told.margins}[SYMBOL]
    assert (margin.leverage, margin.mode) == (20, "cross")


async def test_leverage_is_set_and_what_the_venue_refuses_is_refused(rig: Rig) -> None:
    session = await rig.connect()
    changed = await plugin.set_leverage(session, LeverageChange(symbol=SYMBOL, leverage=Decimal(7)))
    assert isinstance(changed, Accepted)
    told = await plugin.snapshot(session, SnapshotRequest(settings=True))
    assert {margin.symbol: margin.leverage for margin in told.margins}[SYMBOL] == 7
    for wrong in ("2.5", "100000"):
        refused = await plugin.set_leverage(session, LeverageChange(symbol=SYMBOL, leverage=Decimal(wrong)))
        assert isinstance(refused, Rejected), wrong
        assert refused.message
