"""What BitMEX wrote of its markets: rows of `instrument`, `trade`, `quote`, bars and books. Pure."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import Candle, Contract, Instrument
from copydesk_paper.contracts import worth
from copydesk_paper.records import Quote, Trade

from copydesk_bitmex.rehearsal.wire import Json, guid, iso, real, units
from copydesk_bitmex.translate import UNIT_OF, UNITS

MOST_LEVERAGE = 100
FUNDING_MS = 8 * 3_600_000


def instrument(one: Instrument, quote: Quote, last: Decimal, day: list[Candle]) -> Json:
    """A row of `instrument`. `day`: the bars of the last 24 hours, oldest first."""
    unit = UNIT_OF[one.settle]
    _, scale = UNITS[unit]
    inverse = one.contract is Contract.INVERSE
    multiplier = int(one.contract_size * scale) * (-1 if inverse else 1)
    tether = "T" if one.quote == "USDT" else ""
    mark, bid, ask = real(quote.mark), real(quote.bid or None), real(quote.ask or None)
    middle = real((quote.bid + quote.ask) / 2)
    return {
        "symbol": one.symbol,
        "rootSymbol": one.base,
        "state": "Open",
        "typ": "FFWCSX",
        "listing": "2016-05-13T12:00:00.000Z",
        "front": "2016-05-13T12:00:00.000Z",
        "expiry": None,
        "settle": None,
        "positionCurrency": one.quote if inverse else one.base,
        "underlying": one.base,
        "quoteCurrency": one.quote,
        "underlyingSymbol": f"{one.base}{tether}=",
        "reference": "BMEX",
        "referenceSymbol": f".B{one.base}{tether}",
        "maxOrderQty": real(one.max_quantity),
        "maxPrice": 1_000_000,
        "lotSize": real(one.quantity_step),
        "tickSize": real(one.price_tick),
        "multiplier": multiplier,
        "settlCurrency": unit,
        "underlyingToPositionMultiplier": None if inverse else real(1 / one.contract_size),
        "underlyingToSettleMultiplier": -int(scale) if inverse else None,
        "quoteToSettleMultiplier": None if inverse else int(scale),
        "isQuanto": False,
        "isInverse": inverse,
        "initMargin": 1 / MOST_LEVERAGE,
        "maintMargin": 0.004,
        "riskLimit": 20_000_000_000,
        "riskStep": 15_000_000_000,
        "limit": None,
        "taxed": True,
        "deleverage": True,
        "makerFee": 0.0002,
        "takerFee": 0.0005,
        "settlementFee": 0,
        "fundingBaseSymbol": f".{one.base}BON8H",
        "fundingQuoteSymbol": f".{one.quote}BON8H",
        "fundingPremiumSymbol": f".{one.symbol}PI8H",
        "fundingTimestamp": iso(-(-quote.time_ms // FUNDING_MS) * FUNDING_MS),
        "fundingRate": 0.0001,
        "indicativeFundingRate": 0.0001,
        "fundingInterval": "2000-01-01T08:00:00.000Z",
        **_of_the_day(one, last, day),
        "lastPrice": real(last),
        "lastTickDirection": "ZeroPlusTick",
        "lastPriceProtected": real(last),
        "bidPrice": bid,
        "midPrice": middle,
        "askPrice": ask,
        "impactBidPrice": bid,
        "impactMidPrice": middle,
        "impactAskPrice": ask,
        "hasLiquidity": bool(quote.bid and quote.ask),
        "openInterest": 0,
        "openValue": 0,
        "fairMethod": "FundingRate",
        "fairBasisRate": 0,
        "fairBasis": 0,
        "fairPrice": mark,
        "markMethod": "FairPrice",
        "markPrice": mark,
        "indicativeSettlePrice": mark,
        "timestamp": iso(quote.time_ms),
    }


def _of_the_day(one: Instrument, last: Decimal, day: list[Candle]) -> Json:
    """What was traded in these bars, and at what prices. Totals are those of the day: nothing is known of before."""
    volume = sum((bar.volume for bar in day), Decimal(0))
    paid = sum((worth(one, bar.volume, bar.close).copy_abs() for bar in day), Decimal(0))
    turnover, size = units(paid, one.settle), real(volume)
    base = volume * one.contract_size
    inverse = one.contract is Contract.INVERSE
    home, foreign = (paid, base) if inverse else (base, paid)
    before = day[0].open if day else last
    return {
        "prevClosePrice": real(before),
        "prevPrice24h": real(before),
        "lastChangePcnt": real(round(last / before - 1, 4)) if before else 0,
        "highPrice": real(max((bar.high for bar in day), default=last)),
        "lowPrice": real(min((bar.low for bar in day), default=last)),
        "vwap": real(round(foreign / home, 4)) if home else real(last),
        **dict.fromkeys(("volume", "volume24h", "totalVolume"), size),
        **dict.fromkeys(("turnover", "turnover24h", "totalTurnover"), turnover),
        "prevTotalTurnover": 0,
        "homeNotional24h": real(round(home, 8)),
        "foreignNotional24h": real(round(foreign, 8)),
    }


def trade(record: Trade, instrument: Instrument) -> Json:
    base = record.quantity * instrument.contract_size
    inverse = instrument.contract is Contract.INVERSE
    home, foreign = (base / record.price, base) if inverse else (base, base * record.price)
    return {
        "timestamp": iso(record.time_ms),
        "symbol": record.symbol,
        "side": "Sell" if record.buyer_is_maker else "Buy",
        "size": real(record.quantity),
        "price": real(record.price),
        "tickDirection": "ZeroPlusTick",
        "trdMatchID": guid(record.trade_id, 0, 2),
        "grossValue": units(worth(instrument, record.quantity, record.price).copy_abs(), instrument.settle),
        "homeNotional": real(round(home, 8)),
        "foreignNotional": real(round(foreign, 8)),
        "trdType": "Regular",
    }


def bucket(record: Candle, symbol: str, length_ms: int) -> Json:
    """A bar, whose time is its end."""
    return {
        "timestamp": iso(record.open_ms + length_ms),
        "symbol": symbol,
        "open": real(record.open),
        "high": real(record.high),
        "low": real(record.low),
        "close": real(record.close),
        "trades": 1,
        "volume": real(record.volume),
        "vwap": real(record.close),
        "lastSize": 1,
        "turnover": 0,
        "homeNotional": 0,
        "foreignNotional": 0,
    }


def quote(record: Quote) -> Json:
    return {
        "timestamp": iso(record.time_ms),
        "symbol": record.symbol,
        "bidSize": real(record.bid_quantity),
        "bidPrice": real(record.bid),
        "askPrice": real(record.ask),
        "askSize": real(record.ask_quantity),
    }


def levels(
    symbol: str, bids: list[tuple[Decimal, Decimal]], asks: list[tuple[Decimal, Decimal]], time_ms: int
) -> list[Json]:
    """Rows of `orderBookL2`: an id for each price, asks first."""
    rows = [("Sell", level) for level in reversed(asks)] + [("Buy", level) for level in bids]
    return [
        {
            "symbol": symbol,
            "id": level_id(price),
            "side": side,
            "size": real(size),
            "price": real(price),
            "timestamp": iso(time_ms),
            "transactTime": iso(time_ms),
        }
        for side, (price, size) in rows
    ]


def level_id(price: Decimal) -> int:
    return 8_700_000_000_000 - int(price * 1_000_000)
