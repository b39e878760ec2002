"""Every recorded payload is translated, or is out of scope by name; what the rehearsal sends has the recorded form."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import RehearsalSettings, RejectReason
from copydesk_bitfinex import translate
from copydesk_bitfinex.errors import meaning_of, refused
from copydesk_bitfinex.rehearsal import orders, rest, start
from copydesk_bitfinex.rehearsal.recording import Recording
from copydesk_bitfinex.rehearsal.venue import Account, Venue
from copydesk_bitfinex.symbols import EXCHANGE, ours
from copydesk_bitfinex.translate import TYPES, Listed

SHARED = Path(__file__).parents[3].parent / "shared" / "venue-samples"
NOT_READ: dict[str, tuple[str, ...]] = {
    "a request": (
        "open-orders/bfxgo-orders-CancelOrderMultiOp-calls-correct-resource-with-correct-payload",
        "open-orders/bfxgo-orders-CancelOrdersMultiOp-calls-correct-resource-with-correct-payload",
        "open-orders/bfxgo-orders-OrderNewMultiOp-calls-correct-resource-with-correct-payload",
        "open-orders/bfxgo-orders-OrderUpdateMultiOp-calls-correct-resource-with-correct-payload",
        "order-amend/bfxgo-orderrequests-OrderUpdateRequest-MarshalJSON",
        "order-amend/bfxgo-orderrequests-OrderUpdateRequest-MarshalJSON-PostOnly",
        "order-amend/bfxgo-orderrequests-OrderUpdateRequest-MarshalJSON-hidden",
        "order-amend/bfxgo-orderrequests-OrderUpdateRequest-MarshalJSON-hidden-and-PostOnly",
        "order-cancel/bfxgo-orderrequests-OrderCancelRequest-MarshalJSON",
        "order-cancel/cxst-request-order-cancel-all",
        "order-cancel/cxst-request-order-cancel-multi",
        "order-cancel/ft-fixgw-ws-out-oc-by-cid",
        "order-cancel/jk-ws-CancelOrder-request",
        "order-place/bfxgo-orderrequests-OrderNewRequest-MarshalJSON",
        "order-place/bfxgo-orderrequests-OrderNewRequest-MarshalJSON-with-extra-props",
        "order-place/cxst-request-order-multi",
        "order-place/cxst-request-spot-limit-sell",
        "order-place/cxst-request-spot-market-buy",
        "order-place/cxst-request-spot-market-sell",
        "order-place/cxst-request-swap-market-buy",
        "order-place/cxst-request-swap-market-sell-reduceOnly",
        "order-place/ft-fixgw-ws-out-on-limit",
        "order-place/ft-fixgw-ws-out-on-market-sell",
        "order-place/jk-ws-PlaceOrder-request",
    ),
    "ledger entries: what is there is read from the wallets": (
        "account-balance/bfxgo-ledger-LedgerSnapshotFromRaw-rest-success",
        "account-balance/bfxgo-ledger-NewLedgerFromRaw-valid-arguments",
        "account-balance/cx-fetchLedger",
        "account-balance/jk-GetLedgerEntries",
        "account-balance/jko-GetLedgerEntries",
    ),
    "the account's log, its user, or a transfer between wallets": (
        "account-balance/jk-GetAccountChangeLog",
        "account-balance/jk-GetUserInfo",
        "account-balance/jk-WalletTransfer",
        "account-balance/jko-GetUserInfo",
    ),
    "how much could be ordered: the venue refuses what cannot": ("account-balance/jk-GetAvailableBalance",),
    "version 1 of the API": (
        "account-balance/jko-GetAccountInfo",
        "open-orders/jko-GetOrder",
        "order-cancel/jko-CancelAllOrders",
        "positions/jko-ClosePosition",
    ),
    "`bu` and `miu`: the account's worth is worked out from wallets and positions, in its own currency": (
        "balance-updates/bfxgo-balanceinfo-BalanceInfoFromRaw-valid-trading-arguments",
        "balance-updates/bfxgo-margin-NewMarginFromRaw-valid-sym-type-payload",
        "balance-updates/bfxgo-mock_ws_private-Fills-3",
        "balance-updates/bfxgo-mock_ws_private-Fills-4",
        "balance-updates/bfxgo-mock_ws_private-WalletBalanceUpdates-positions-8",
        "balance-updates/bfxgo-msg-ProcessPrivate-margin-info-update-symbol-calc",
        "balance-updates/jk-ws-BalanceUpdate",
    ),
    "a table of ccxt's: a test of its own reads it": ("errors/cx-exception-map-bitfinex",),
    "a public trade": ("executions/cx-ws-parseWsTrade",),
    "a client's own form": ("executions/hb-test_update_with_partial_trade_event-trade_event_info",),
    "names of currencies, or of pairs without their rules": (
        "instruments/cf-full-api-pub.bitfinex.com_v2_conf_pub-list-currency",
        "instruments/cf-full-api-pub.bitfinex.com_v2_conf_pub-list-pair-exchange",
        "instruments/cf-full-api-pub.bitfinex.com_v2_conf_pub-list-pair-future",
        "instruments/jk-GetAssetFullNames",
        "instruments/jk-GetAssetNames",
        "instruments/jk-GetAssetSymbols",
        "instruments/jk-GetAssetUnderlyings",
        "instruments/jk-GetAssetUnits",
        "instruments/jk-GetSymbolNames",
    ),
    "an empty notification, made up for a test": (
        "open-orders/bfxgo-orders-CancelOrderMulti-calls-correct-resource-with-correct-payload",
    ),
    "a notification of the websocket that a request was taken: the order itself is told by `on`, `ou`, `oc`": (
        "order-cancel/bfxgo-mock_ws_private-Cancel",
        "order-cancel/ft-lifecycle-n-oc-req-success",
        "order-place/bfxgo-mock_ws_private-Cancel",
        "order-place/bfxgo-mock_ws_private-Fills",
        "order-place/bfxgo-mock_ws_private-UpdateOrder",
        "order-place/bfxmock-on.res",
        "order-place/ft-fixgw-ws-n-on-req-market-success",
        "order-place/ft-lifecycle-n-on-req-success",
    ),
    "claiming and increasing positions": (
        "positions/jk-GetIncreasePositionInfo",
        "positions/jk-IncreasePosition",
    ),
}
"""Files of those topics in which nothing is read, by the reason."""
_EXPECTED = {f"bitfinex/{name}.json" for names in NOT_READ.values() for name in names}

TOPICS = (
    "account-balance",
    "balance-updates",
    "errors",
    "executions",
    "instruments",
    "open-orders",
    "order-amend",
    "order-cancel",
    "order-place",
    "order-updates",
    "position-updates",
    "positions",
    "sessions",
)
needs_samples = pytest.mark.skipif(not SHARED.exists(), reason="the recorded payloads are not beside this checkout")


def samples() -> list[str]:
    if not SHARED.exists():
        return []
    with (SHARED / "MANIFEST.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["venue"] == "bitfinex" and row["topic"] in TOPICS]
    return [row["file"] for row in rows if row["file"].endswith(".json")]


def body_of(file: str) -> Any:
    return json.loads((SHARED / file).read_text(), parse_float=Decimal)


def arrays(body: Any) -> Iterator[list[Any]]:
    """Every array in it, the outer ones first."""
    if isinstance(body, list):
        yield body
        for value in body:
            yield from arrays(value)


def is_order(row: list[Any]) -> bool:
    return len(row) >= 26 and str(row[8]).removeprefix(EXCHANGE) in TYPES and isinstance(row[13], str)


def is_execution(row: list[Any]) -> bool:
    return 6 <= len(row) <= 12 and isinstance(row[0], int) and str(row[1]).startswith("t") and isinstance(row[3], int)


def is_position(row: list[Any]) -> bool:
    return len(row) >= 10 and str(row[0]).startswith("t") and row[1] in ("ACTIVE", "CLOSED")


def is_wallet(row: list[Any]) -> bool:
    return 5 <= len(row) <= 8 and row[0] in ("exchange", "margin", "funding")


def is_listing(row: list[Any]) -> bool:
    return len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], list) and len(row[1]) in (10, 12)


def read(row: list[Any]) -> bool:
    """Translate an array, and compare each number of the record with the one that was sent. False: it is none of ours."""
    if is_order(row):
        told = translate.order(row)
        order, terms = told.order, told.order.terms
        assert (order.venue_id, told.cid) == (str(row[0]), row[2])
        assert terms.symbol == ours(row[3], row[8])
        assert terms.side.sign * terms.quantity == Decimal(row[7])
        assert terms.quantity - order.filled == abs(Decimal(row[6]))
        assert (order.average_price or 0) == Decimal(row[17])
        if terms.price is not None and terms.trigger_price is None:
            assert terms.price == Decimal(row[16])
        assert (order.created_ms, order.updated_ms) == (row[4], row[5])
        return True
    if is_execution(row):
        fill = translate.fill(row)
        assert (fill.execution_id, fill.venue_id, fill.time_ms) == (str(row[0]), str(row[3]), row[2])
        assert (fill.side.sign * fill.quantity, fill.price) == (Decimal(row[4]), Decimal(row[5]))
        assert -fill.fee == Decimal((row[9] if len(row) > 9 else 0) or 0)
        return True
    if is_position(row):
        position = translate.position(row)
        assert (position.quantity, position.entry_price) == (Decimal(row[2]), Decimal(row[3]))
        assert position.unrealised == Decimal(row[6] or 0)
        return True
    if is_wallet(row):
        wallet = translate.wallet(row)
        assert (wallet.wallet, wallet.currency, wallet.balance) == (row[0], row[1], Decimal(row[2]))
        assert wallet.available == (None if row[4] is None else Decimal(row[4]))
        return True
    if is_listing(row):
        instrument = translate.instrument(Listed(name=f"t{row[0]}", rules=tuple(row[1])))
        assert instrument.min_quantity == Decimal(row[1][3] or 0)
        assert instrument.max_quantity == Decimal(row[1][4] or 0)
        return True
    error = refused(row)
    if error is not None:
        assert meaning_of(*error) is not RejectReason.OTHER, error
        return True
    if row[:1] == ["error"]:
        assert meaning_of(row[1], row[2]) is not RejectReason.OTHER
        return True
    return False


@needs_samples
@pytest.mark.parametrize("file", samples())
def test_a_recorded_payload_is_read(file: str) -> None:
    found = [row for row in arrays(body_of(file)) if read(row)]
    assert bool(found) != (file in _EXPECTED), f"{file}: {len(found)} of its arrays are read"


@needs_samples
def test_each_code_that_ccxt_knows_means_something() -> None:
    for entry in body_of("bitfinex/errors/cx-exception-map-bitfinex.json"):
        code, sentence = (int(entry["match"]), "") if entry["match"].isdigit() else (10001, entry["match"])
        known = meaning_of(code, sentence)
        if entry["ccxt_class"] != "BadRequest" and code != 10001:
            assert known is not RejectReason.OTHER, entry
        if entry["ccxt_class"] == "InsufficientFunds":
            assert known is RejectReason.MARGIN, entry


@needs_samples
@pytest.mark.parametrize(
    "path", sorted((SHARED / "bitfinex" / "replay-market-data").glob("*")) if SHARED.exists() else [], ids=lambda p: p.name
)
def test_recordings_of_the_market_are_replayed(path: Path) -> None:
    recording = Recording(path)
    assert recording.instruments
    assert len(recording.events) > 10
    for instrument in recording.instruments:
        book = recording.snapshots[instrument.symbol]
        assert max(price for price, _ in book.bids) < min(price for price, _ in book.asks)


# --- what the rehearsal sends -----------------------------------------------------------------------------------------


def form(value: Any) -> str:
    """The kind of a JSON value: whole and broken numbers are one kind, as JavaScript writes both."""
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def assert_same_form(sent: list[Any], recorded: list[Any]) -> None:
    """As many places (old recordings may have fewer), and the same kinds in them where there is anything in both."""
    assert len(sent) >= len(recorded), f"{len(sent)} places, and Bitfinex sent {len(recorded)}"
    for place, (ours_, theirs) in enumerate(zip(sent, recorded, strict=False)):
        if ours_ is not None and theirs is not None:
            assert form(ours_) == form(theirs), f"place {place}: {ours_!r} where Bitfinex sent {theirs!r}"
            if isinstance(theirs, list) and len(theirs) == len(ours_):
                assert_same_form(ours_, theirs)


def assert_same_places(sent: list[Any], recorded: list[Any], *, never: frozenset[int] = frozenset()) -> None:
    """Nothing stands where Bitfinex has never anything."""
    for place, theirs in enumerate(recorded):
        if theirs is None and place in never:
            assert sent[place] is None, f"place {place}: {sent[place]!r} where Bitfinex sends nothing"


ORDER_NEVER = frozenset({11, 14, 15, 20, 21, 22, 26, 27, 29, 30})


def recorded(name: str) -> Any:
    return json.loads((SHARED / "bitfinex" / f"{name}.json").read_text())


def place(venue: Venue, account: Account, **body: Any) -> list[Any]:
    return orders.submit(venue, account, {"symbol": "tBTCF0:USTF0", "amount": "0.5", **body})


@needs_samples
async def test_what_the_rehearsal_sends_has_the_recorded_form() -> None:
    rehearsal = await start(RehearsalSettings(kind="bitfinex", accounts={"main": Decimal(1_000_000)}, speed=Decimal(0)))
    told: dict[str, list[Any]] = {}
    venue, account = rehearsal.venue, rehearsal.venue.accounts["main"]
    venue.told = lambda name, kind, data: told.setdefault(kind, []).append(data)
    try:
        reply = place(venue, account, type="LIMIT", price="50000", cid=555)
        stream_reply = orders.submit_on_stream(
            venue, account, {"symbol": "tBTCF0:USTF0", "type": "LIMIT", "price": "50000", "amount": "0.5", "cid": 556}
        )
        place(venue, account, type="MARKET", cid=557)
        place(venue, account, type="EXCHANGE MARKET", symbol="tBTCUST")
        update = orders.update(venue, account, {"id": reply[4][0][0], "price": "50001"})
        cancel = orders.cancel(venue, account, {"id": reply[4][0][0]})
        positions, wallets = venue.positions(account), venue.wallets(account)
        listing = rest.find("GET", "/v2/conf/pub:info:pair,pub:info:pair:futures")
        pairs, futures = listing[0].act(rest.Call(venue, listing[1], {}, {}, None))
        ticker = rest.ticker_row(rehearsal.exchange, "tBTCUST")
        status = rest.derivative_status(rehearsal.exchange, "tBTCF0:USTF0", venue.now_ms())
    finally:
        await rehearsal.stop()
    for kind in ("on", "ou", "oc"):
        for row in told[kind]:
            assert_same_form(row, recorded("open-orders/cx-fetchOpenOrders")[0])
            assert_same_places(row, recorded("open-orders/cx-fetchOpenOrders")[0], never=ORDER_NEVER)
    assert_same_form(reply, recorded("order-place/cxst-response-createOrder-spot-limit"))
    assert_same_form(stream_reply, recorded("order-place/ft-lifecycle-n-on-req-success")[2])
    assert_same_form(update, recorded("order-amend/ft-rest-ou-req"))
    assert_same_form(cancel, recorded("order-cancel/ft-rest-oc-req"))
    for row in told["te"]:
        assert_same_form(row, recorded("executions/cx-ws-handleMyTrade-trade-execution")[2])
        assert row[9:11] == [None, None]
    for row in told["tu"]:
        assert_same_form(row, recorded("executions/cx-ws-parseWsTrade-trade-update"))
    for row in told["pn"] + positions:
        assert_same_form(row, recorded("position-updates/bfxgo-msg-ProcessPrivate-position-update")[2])
    for row in told["wu"] + wallets:
        assert_same_form(row, recorded("balance-updates/cx-ws-handleBalance-margin"))
    assert_same_form(told["bu"][0], recorded("balance-updates/jk-ws-BalanceUpdate")[2])
    assert_same_form(told["miu"][0], recorded("account-config/jk-GetBaseMarginInfo"))
    assert_same_form(pairs[0], recorded("instruments/cx-fetchMarkets"))
    assert_same_form(futures[0], recorded("instruments/jk-GetFuturesSymbols")[0][0])
    assert_same_form(["tBTCUST", *ticker], recorded("market-data/jk-GetTicker")[0])
    assert_same_form(ticker, recorded("market-data-ws/jk-ws-Ticker")[1])
    assert_same_form(status, recorded("market-data-ws/jk-ws-DerivStatus")[1])
