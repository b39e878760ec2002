"""What this venue says of itself at `/api/explorer/swagger.json`, from which BitMEX's own client builds its calls.

Made of the paths that are routed here and of the fields that the rows have, in the terms of the published swagger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from copydesk_bitmex.rehearsal.wire import Json

if TYPE_CHECKING:
    from copydesk_bitmex.rehearsal.rest import Route

PATH = "/api/explorer/swagger.json"
TABLE = "symbol filter columns count start reverse startTime endTime"
"""What every table can be asked for."""

STRING, WHOLE, REAL, TIME = "string", "integer int64", "number double", "string date-time"
GUID, BOOLEAN, SMALL, JSON, LIST = "string guid", "boolean", "integer int32", "string JSON", "array"

PARAMETERS: dict[str, str] = {
    # (how its type and format are described): the names; all others are plain text
    **dict.fromkeys(("filter", "columns", "targetAccountIds"), JSON),
    **dict.fromkeys(("count", "start", "depth", "orderQty", "leavesQty", "displayQty"), SMALL),
    **dict.fromkeys(("startTime", "endTime", "timestamp"), TIME),
    **dict.fromkeys(("reverse", "partial", "enabled"), BOOLEAN),
    **dict.fromkeys(("price", "stopPx", "pegOffsetValue", "leverage", "timeout"), REAL),
}

_ORDER: dict[str, str] = {
    GUID: "orderID",
    STRING: "clOrdID clOrdLinkID symbol side pegPriceType currency settlCurrency ordType timeInForce execInst "
    "contingencyType ordStatus triggered ordRejReason text",
    WHOLE: "account orderQty displayQty leavesQty cumQty",
    REAL: "price stopPx pegOffsetValue avgPx",
    BOOLEAN: "workingIndicator",
    TIME: "transactTime timestamp",
}
DEFINITIONS: dict[str, Mapping[str, str]] = {
    "Order": _ORDER,
    "Execution": {
        **_ORDER,
        GUID: "orderID execID trdMatchID",
        STRING: f"{_ORDER[STRING]} execType lastLiquidityInd feeType tradePublishIndicator",
        WHOLE: f"{_ORDER[WHOLE]} lastQty execCost execComm",
        REAL: f"{_ORDER[REAL]} lastPx commission homeNotional foreignNotional",
    },
    "Position": {
        WHOLE: "account riskLimit rebalancedPnl prevRealisedPnl prevUnrealisedPnl openingQty openOrderBuyQty "
        "openOrderBuyCost openOrderBuyPremium openOrderSellQty openOrderSellCost openOrderSellPremium "
        "currentQty currentCost currentComm realisedCost unrealisedCost grossOpenPremium markValue riskValue "
        "posCost posCross posComm posLoss posMargin posMaint initMargin maintMargin realisedPnl unrealisedPnl",
        STRING: "symbol currency underlying quoteCurrency posState",
        REAL: "commission initMarginReq maintMarginReq leverage deleveragePercentile markPrice homeNotional "
        "foreignNotional unrealisedPnlPcnt unrealisedRoePcnt avgCostPrice avgEntryPrice breakEvenPrice "
        "marginCallPrice liquidationPrice bankruptPrice",
        BOOLEAN: "crossMargin isOpen",
        TIME: "timestamp",
    },
    "Margin": {
        WHOLE: "account riskLimit amount prevRealisedPnl grossComm grossOpenCost grossOpenPremium grossExecCost "
        "grossMarkValue riskValue initMargin maintMargin targetExcessMargin realisedPnl unrealisedPnl walletBalance "
        "marginBalance excessMargin availableMargin withdrawableMargin",
        STRING: "currency state",
        REAL: "marginLeverage marginUsedPcnt makerFeeDiscount takerFeeDiscount",
        TIME: "timestamp",
    },
    "Instrument": {
        STRING: "symbol rootSymbol state typ positionCurrency underlying quoteCurrency underlyingSymbol reference "
        "referenceSymbol settlCurrency lastTickDirection fairMethod markMethod fundingBaseSymbol fundingQuoteSymbol "
        "fundingPremiumSymbol",
        TIME: "listing front expiry settle fundingInterval fundingTimestamp timestamp",
        WHOLE: "maxOrderQty lotSize multiplier underlyingToPositionMultiplier underlyingToSettleMultiplier "
        "quoteToSettleMultiplier riskLimit riskStep volume24h openInterest openValue totalVolume volume prevTotalTurnover "
        "totalTurnover turnover turnover24h",
        REAL: "maxPrice tickSize initMargin maintMargin limit makerFee takerFee settlementFee fundingRate "
        "indicativeFundingRate lastPrice bidPrice midPrice askPrice fairPrice markPrice prevPrice24h highPrice lowPrice "
        "lastPriceProtected lastChangePcnt vwap prevClosePrice homeNotional24h foreignNotional24h impactBidPrice "
        "impactMidPrice impactAskPrice fairBasisRate fairBasis indicativeSettlePrice",
        BOOLEAN: "isQuanto isInverse taxed deleverage hasLiquidity",
    },
    "InstrumentInterval": {LIST: "intervals symbols"},
    "OrderBookL2": {STRING: "symbol side", WHOLE: "id size", REAL: "price", TIME: "timestamp"},
    "Quote": {TIME: "timestamp", STRING: "symbol", WHOLE: "bidSize askSize", REAL: "bidPrice askPrice"},
    "Trade": {
        TIME: "timestamp",
        STRING: "symbol side tickDirection trdType",
        WHOLE: "size grossValue",
        REAL: "price homeNotional foreignNotional",
        GUID: "trdMatchID",
    },
    "TradeBin": {
        TIME: "timestamp",
        STRING: "symbol",
        REAL: "open high low close vwap homeNotional foreignNotional",
        WHOLE: "trades volume lastSize turnover",
    },
    "User": {
        SMALL: "id",
        STRING: "firstname lastname username accountName email TFAEnabled affiliateID country geoipCountry geoipRegion typ",
        TIME: "created lastUpdated",
        BOOLEAN: "isUser",
    },
    "Wallet": {
        WHOLE: "account amount deposited withdrawn transferIn transferOut pendingCredit pendingDebit confirmedDebit",
        STRING: "currency",
        TIME: "timestamp",
    },
    "AssetsConfig": {
        STRING: "asset currency majorCurrency name currencyType",
        REAL: "scale",
        BOOLEAN: "enabled isMarginCurrency memoRequired",
        LIST: "networks",
    },
    "APIKey": {
        STRING: "id secret name cidr",
        WHOLE: "nonce",
        LIST: "permissions",
        BOOLEAN: "enabled",
        SMALL: "userId",
        TIME: "created",
    },
}
_SIGNED = ("apiKey", "apiSignature", "apiExpires")
_HEADERS = ("api-key", "api-signature", "api-expires")


def describe(host: str, routes: Mapping[tuple[str, str], Route]) -> Json:
    """The description of the routes that have a name, as a swagger 2.0 document."""
    paths: dict[str, Json] = {}
    for (method, path), route in routes.items():
        if route.name:
            paths.setdefault(path, {})[method.lower()] = _operation(method, route)
    return {
        "swagger": "2.0",
        "info": {"title": "BitMEX API", "version": "1.2.0", "description": "A rehearsal of BitMEX, by copydesk."},
        "host": host,
        "schemes": ["http"],
        "basePath": "/api/v1",
        "consumes": ["application/json", "application/x-www-form-urlencoded"],
        "produces": ["application/json"],
        "securityDefinitions": {
            name: {"type": "apiKey", "in": "header", "name": header} for name, header in zip(_SIGNED, _HEADERS, strict=True)
        },
        "security": [{name: [] for name in _SIGNED}],
        "paths": paths,
        "definitions": {
            "Error": {"type": "object", "properties": {"error": {"type": "object"}}, "required": ["error"]},
            "x-any": {"type": "object", "properties": {}},
            **{name: {"type": "object", "properties": dict(_fields(kinds))} for name, kinds in DEFINITIONS.items()},
        },
    }


def _operation(method: str, route: Route) -> Json:
    place = "query" if method == "GET" else "formData"
    errors = {"400": "Parameter Error", "401": "Unauthorized", "403": "Access Denied", "404": "Not Found"}
    failed = {"$ref": "#/definitions/Error"}
    return {
        "tags": [route.name.partition(".")[0]],
        "operationId": route.name,
        "parameters": [_parameter(word, place) for word in route.takes.split()],
        "responses": {
            "200": {"description": "Request was successful", "schema": _result(route.gives)},
            **{code: {"description": words, "schema": failed} for code, words in errors.items()},
        },
        **({} if route.private else {"security": []}),
    }


def _parameter(word: str, place: str) -> Json:
    """`symbol`, `symbol!` where it is required, `orderID:JSON` where it is of another format than elsewhere."""
    name, _, format_ = word.removesuffix("!").partition(":")
    kind = f"string {format_}" if format_ else PARAMETERS.get(name, STRING)
    return {"name": name, "in": place, "required": word.endswith("!"), **_schema(kind)}


def _result(gives: str) -> Json:
    """`Order`, `Order[]`, or any object where nothing is said."""
    if not gives:
        return {"type": "object"}
    one = {"$ref": f"#/definitions/{gives.removesuffix('[]')}"}
    return {"type": "array", "items": one} if gives.endswith("[]") else one


def _fields(kinds: Mapping[str, str]) -> Iterable[tuple[str, Json]]:
    for kind, names in kinds.items():
        for name in names.split():
            yield name, _schema(kind)


def _schema(kind: str) -> Json:
    type_, _, format_ = kind.partition(" ")
    schema: dict[str, Any] = {"type": type_} | ({"format": format_} if format_ else {})
    return schema | {"items": {}} if type_ == "array" else schema
