"""The recorded market: one-minute bars of a future as CME traded it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.errors import UsageError
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_rithmic.rehearsal.products import expiry
from copydesk_rithmic.rehearsal.recording import Recording

BARS = (
    Path(__file__)
    .parents[4]
    .joinpath("shared/venue-samples/rithmic/replay-market-data/nt-cme-6EH4.XCME_1min_bars_20240101_20240131.csv.gz")
)
HEADER = "timestamp_utc,open,high,low,close,volume\n"


def written(tmp_path: Path, rows: str, name: str = "ESH7.XCME.csv") -> Path:
    file = tmp_path / name
    file.write_text(HEADER + rows)
    return file


@pytest.mark.skipif(not BARS.is_file(), reason="the recorded bars are not here")
def test_recorded_bars_are_replayed() -> None:
    market = open_market(str(BARS), read=Recording)
    (instrument,) = market.instruments
    assert (instrument.symbol, instrument.price_tick, instrument.contract_size) == ("CME:6EH4", Decimal("0.00005"), 125_000)
    exchange = Exchange(market.instruments, now_ms=lambda: 1_700_000_000_000)
    market.prime(exchange)
    assert exchange.quote("CME:6EH4").ask == Decimal("1.10765")
    stream = market.stream(exchange)
    for _ in range(8):
        exchange.apply(next(stream)[1])
    assert exchange.last_price("CME:6EH4") == Decimal("1.1078")
    assert len(Recording(BARS).events) == 2 * 4 * 29_996


def test_bars_become_prices_and_a_book(tmp_path: Path) -> None:
    recording = Recording(written(tmp_path, "2026-01-01 00:00:00,6000.00,6001.00,5999.00,6000.50,400\n"))
    prices = [event.price for _, event in recording.events if hasattr(event, "price")]
    assert prices == [6000, 5999, 6001, Decimal("6000.5")]
    book = recording.snapshots["CME:ESH7"]
    assert (book.bids[0][0], book.asks[0][0]) == (Decimal("5999.75"), Decimal("6000.25"))


@pytest.mark.parametrize(
    ("rows", "name", "sentence"),
    [
        ("", "ESH7.XCME.csv", "has no bars"),
        ("2026-01-01,1,2\n", "ESH7.XCME.csv", "line 2"),
        ("2026-01-01,6000.1,6000.1,6000.1,6000.1,1\n", "ESH7.XCME.csv", "not on the tick of 0.25"),
        ("", "bars.csv", "must name a contract"),
        ("", "XXH7.XCME.csv", "known products are"),
    ],
)
def test_files_of_no_use_are_refused(tmp_path: Path, rows: str, name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Recording(written(tmp_path, rows, name))


def test_contracts_expire_on_the_third_friday() -> None:
    assert expiry("ESH7") == "20270319"
    assert expiry("6EH4") == "20240315"
