"""The ticker plant: last trades, best prices, the book, and finding contracts."""

from __future__ import annotations

from typing import Any

from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Quote, Report, Trade

from copydesk_rithmic.rehearsal.desk import BUY, SELL, Refusal
from copydesk_rithmic.rehearsal.links import TICKER, Link, Links
from copydesk_rithmic.rehearsal.products import PRODUCTS, expiry, product_of
from copydesk_rithmic.rehearsal.server import Call, House, Routes

LAST_TRADE, BEST, BOOK = 150, 151, 156
WANTS_TRADES, WANTS_BEST, WANTS_BOOK = 1, 2, 4
SUBSCRIBE = 1
EQUALS = 1
SNAPSHOT_IMAGE = 3
LEVELS = 10


def market_data(call: Call) -> None:
    """Subscribe: what there is now comes first, as snapshots."""
    symbol, bits = call.house.desk.symbol(call.message), call.message.update_bits
    link, exchange = call.link, call.house.desk.exchange
    if call.message.request != SUBSCRIBE:
        left = link.market.pop(symbol, 0) & ~bits
        if left:
            link.market[symbol] = left
        call.done()
        return
    link.market[symbol] = link.market.get(symbol, 0) | bits
    call.done()
    stamp = call.house.desk.stamp()
    if bits & WANTS_TRADES:
        trades = exchange.trades(symbol, 1)
        size = int(trades[-1].quantity) if trades else 1
        link.tell(LAST_TRADE, is_snapshot=True, **_trade(symbol, float(exchange.last_price(symbol)), size), **stamp)
    if bits & WANTS_BEST:
        link.tell(BEST, is_snapshot=True, **_best(exchange.quote(symbol)), **stamp)
    if bits & WANTS_BOOK:
        link.tell(BOOK, **_book(exchange, symbol), **stamp)


def on_report(house: House, report: Report) -> None:
    """Tell the market to those who listen."""
    if not isinstance(report, Trade | Quote):
        return
    stamp: dict[str, int] = {}
    for link in _listening(house.links, report.symbol):
        bits = link.market[report.symbol]
        stamp = stamp or house.desk.stamp()
        if isinstance(report, Trade):
            if bits & WANTS_TRADES:
                fields = _trade(report.symbol, float(report.price), int(report.quantity))
                link.tell(LAST_TRADE, aggressor=SELL if report.buyer_is_maker else BUY, **fields, **stamp)
            continue
        if bits & WANTS_BEST:
            link.tell(BEST, **_best(report), **stamp)
        if bits & WANTS_BOOK:
            link.tell(BOOK, **_book(house.desk.exchange, report.symbol), **stamp)


def _listening(links: Links, symbol: str) -> list[Link]:
    return [link for link in links if symbol in link.market]


def _trade(symbol: str, price: float, size: int) -> dict[str, Any]:
    exchange, _, contract = symbol.partition(":")
    return {"symbol": contract, "exchange": exchange, "presence_bits": 1, "trade_price": price, "trade_size": size}


def _best(quote: Quote) -> dict[str, Any]:
    exchange, _, contract = quote.symbol.partition(":")
    bits = (1 if quote.bid_quantity else 0) | (2 if quote.ask_quantity else 0)
    return {
        "symbol": contract,
        "exchange": exchange,
        "presence_bits": bits,
        "clear_bits": 3 & ~bits,
        "bid_price": float(quote.bid),
        "bid_size": int(quote.bid_quantity),
        "ask_price": float(quote.ask),
        "ask_size": int(quote.ask_quantity),
    }


def _book(exchange: Exchange, symbol: str) -> dict[str, Any]:
    market, _, contract = symbol.partition(":")
    bids, asks = exchange.depth(symbol, LEVELS)
    return {
        "symbol": contract,
        "exchange": market,
        "presence_bits": 3,
        "update_type": SNAPSHOT_IMAGE,
        "bid_price": [float(price) for price, _ in bids],
        "bid_size": [int(size) for _, size in bids],
        "ask_price": [float(price) for price, _ in asks],
        "ask_size": [int(size) for _, size in asks],
    }


# --- finding contracts ---


def search(call: Call) -> None:
    message = call.message
    if not message.search_text:
        raise Refusal("1062", "Search pattern field is not received.")
    for symbol in call.house.desk.exchange.instruments:
        exchange, _, contract = symbol.partition(":")
        code = product_of(contract)
        fits = contract == message.search_text if message.pattern == EQUALS else message.search_text in contract
        if fits and message.exchange in ("", exchange) and message.product_code in ("", code):
            call.row(
                symbol=contract,
                exchange=exchange,
                symbol_name=PRODUCTS[code].title,
                product_code=code,
                instrument_type="Future",
                expiration_date=expiry(contract),
            )
    call.done()


def product_codes(call: Call) -> None:
    exchange = call.message.exchange
    listed = {product_of(symbol.partition(":")[2]) for symbol in call.house.desk.exchange.instruments}
    for code in sorted(listed):
        if exchange in ("", PRODUCTS[code].exchange):
            call.row(exchange=PRODUCTS[code].exchange, symbol_name=PRODUCTS[code].title, product_code=code)
    call.done()


def front_month(call: Call) -> None:
    """The contract of the product that expires first."""
    message = call.message
    every = [symbol.partition(":") for symbol in call.house.desk.exchange.instruments]
    found = [name for market, _, name in every if market == message.exchange and product_of(name) == message.symbol]
    if not found:
        raise Refusal("7", "no data")
    front = min(found, key=expiry)
    call.done(
        symbol=message.symbol,
        exchange=message.exchange,
        is_front_month_symbol=True,
        symbol_name=f"Front Month for {message.symbol} - {front}.{message.exchange}",
        trading_symbol=front,
        trading_exchange=message.exchange,
    )


HERE = frozenset({TICKER})
ROUTES: Routes = {
    100: (HERE, market_data),
    109: (HERE, search),
    111: (HERE, product_codes),
    113: (HERE, front_month),
}
