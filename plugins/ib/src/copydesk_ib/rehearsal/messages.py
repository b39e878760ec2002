"""The messages that TWS sends, as layouts: the message id, and its fields after the id.

Field names follow the public API reference; values that are written where nothing is known are those of recorded messages
of the real TWS. What varies by server version stands in `Since` and `Before`.
"""

from __future__ import annotations

from typing import Final

from copydesk_ib.rehearsal.layout import Before, Case, Layout, Many, Since, When
from copydesk_ib.rehearsal.requests import CONDITIONS
from copydesk_ib.rehearsal.wire import MAX_DOUBLE, MAX_INTEGER, MAX_LONG

_CONTRACT: Final = "conId symbol secType expiry strike=0.0 right multiplier exchange currency localSymbol tradingClass"
_ORDER_CONTRACT: Final = (
    "conId symbol secType expiry strike=0 right=? multiplier exchange currency localSymbol tradingClass"
)
_LEGS: Final[Layout] = ("conId ratio action exchange openClose=0 shortSaleSlot=0 designatedLocation exemptCode=-1",)
_PAIR: Final[Layout] = ("tag value",)
_MARGINS: Final = " ".join(
    f"{what}{when}={MAX_DOUBLE}"
    for when in ("Before", "Change", "After")
    for what in ("initMargin", "maintMargin", "equity")
)
_PEGGED: Final[Layout] = (Since(170, ("minTradeQty minCompeteSize competeOffset midOffsetAtWhole midOffsetAtHalf",)),)
_CONDITIONS: Final[Layout] = (
    Many("conditions", ("kind", Case("kind", CONDITIONS))),
    When(lambda told: bool(told.get("conditions")), ("conditionsIgnoreRth conditionsCancelOrder",)),
)
_TERMS: Final = (
    "action totalQuantity orderType lmtPrice=0.0 auxPrice=0.0 tif=DAY ocaGroup account openClose origin=0 orderRef"
)


def _has_delta_neutral(told: object) -> bool:
    return True  # "None" is what TWS writes for an order without one, and that is not empty


OPEN_ORDER: Final[Layout] = (
    "orderId",
    _ORDER_CONTRACT,
    _TERMS,
    "clientId permId outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime sharesAllocation faGroup faMethod faPercentage",
    Before(177, ("faProfile",)),
    "modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot=0 designatedLocation exemptCode=-1",
    f"auctionStrategy=0 startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize={MAX_INTEGER}",
    "blockOrder=0 sweepToFill=0 allOrNone=0 minQty ocaType=3 eTradeOnly=0 firmQuoteOnly=0 nbboPriceCap parentId=0",
    "triggerMethod=0 volatility volatilityType=0 dnOrderType=None dnAuxPrice",
    When(_has_delta_neutral, ("dnConId=0 dnSettlingFirm dnClearingAccount dnClearingIntent dnOpenClose=? dnShortSale=0",)),
    When(_has_delta_neutral, ("dnShortSaleSlot=0 dnDesignatedLocation",)),
    "continuousUpdate=0 referencePriceType=0 trailStopPrice trailingPercent basisPoints basisPointsType comboDescription",
    Many("comboLegs", _LEGS),
    Many("orderComboLegs", ("price",)),
    Many("smartRouting", _PAIR),
    f"scaleInitLevelSize={MAX_INTEGER} scaleSubsLevelSize={MAX_INTEGER} scalePriceIncrement hedgeType",
    When(lambda told: bool(told.get("hedgeType")), ("hedgeParam",)),
    "optOutSmart=0 clearingAccount clearingIntent=IB notHeld=0 deltaNeutral=0 algoStrategy",
    When(lambda told: bool(told.get("algoStrategy")), (Many("algoParams", _PAIR),)),
    "solicited=0 whatIf=0 status",
    _MARGINS,
    "commission minCommission maxCommission commissionCurrency warningText randomizeSize=0 randomizePrice=0",
    *_CONDITIONS,
    f"adjustedOrderType=None triggerPrice={MAX_DOUBLE} trailStop={MAX_DOUBLE} lmtPriceOffset={MAX_DOUBLE}",
    f"adjustedStopPrice={MAX_DOUBLE} adjustedStopLimitPrice={MAX_DOUBLE} adjustedTrailingAmount={MAX_DOUBLE}",
    "adjustableTrailingUnit=0 softDollarName softDollarValue softDollarDisplayName cashQty=0 dontUseAutoPrice=1",
    "isOmsContainer=0 discretionaryUpToLimit=0 usePriceMgmtAlgo=0",
    Since(158, ("duration",)),
    Since(160, ("postToAts",)),
    Since(162, ("autoCancelParent=0",)),
    *_PEGGED,
)

COMPLETED_ORDER: Final[Layout] = (
    _ORDER_CONTRACT,
    _TERMS,
    "permId outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime faGroup faMethod faPercentage",
    Before(177, ("faProfile",)),
    "modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot=0 designatedLocation exemptCode=-1",
    f"startingPrice stockRefPrice delta stockRangeLower stockRangeUpper displaySize={MAX_INTEGER} sweepToFill=0",
    "allOrNone=0 minQty ocaType=3 triggerMethod=0 volatility volatilityType=0 dnOrderType=None dnAuxPrice",
    When(_has_delta_neutral, ("dnConId=0 dnShortSale=0 dnShortSaleSlot=0 dnDesignatedLocation",)),
    "continuousUpdate=0 referencePriceType=0 trailStopPrice trailingPercent comboDescription",
    Many("comboLegs", _LEGS),
    Many("orderComboLegs", ("price",)),
    Many("smartRouting", _PAIR),
    f"scaleInitLevelSize={MAX_INTEGER} scaleSubsLevelSize={MAX_INTEGER} scalePriceIncrement hedgeType",
    When(lambda told: bool(told.get("hedgeType")), ("hedgeParam",)),
    "clearingAccount clearingIntent=IB notHeld=0 deltaNeutral=0 algoStrategy",
    When(lambda told: bool(told.get("algoStrategy")), (Many("algoParams", _PAIR),)),
    "solicited=0 status randomizeSize=0 randomizePrice=0",
    *_CONDITIONS,
    f"trailStop={MAX_DOUBLE} lmtPriceOffset={MAX_DOUBLE} cashQty=0 dontUseAutoPrice=1 isOmsContainer=0 autoCancelDate",
    f"filledQuantity=0 refFuturesConId={MAX_INTEGER} autoCancelParent=0 shareholder=Not_an_insider imbalanceOnly=0",
    f"routeMarketableToBbo=0 parentPermId={MAX_LONG} completedTime completedStatus",
    *_PEGGED,
)

ORDER_STATUS: Final[Layout] = (
    "orderId status filled remaining averagePrice permId parentId=0 lastPrice clientId whyHeld mktCapPrice=0",
)

EXECUTION: Final[Layout] = (
    "reqId=-1 orderId",
    _CONTRACT,
    "execId time account venue side shares price permId clientId liquidation=0 cumQty avgPrice orderRef",
    "evRule evMultiplier modelCode lastLiquidity",
    Since(178, ("pendingPriceRevision=0",)),
)

COMMISSION: Final[Layout] = (f"v=1 execId commission currency realized={MAX_DOUBLE} yield={MAX_DOUBLE} yieldDate",)

CONTRACT_DETAILS: Final[Layout] = (
    Before(164, ("v=8",)),
    "reqId symbol secType lastTrade strike=0 right exchange currency localSymbol marketName tradingClass conId minTick",
    Before(164, ("mdSizeMultiplier=100",)),
    "multiplier orderTypes validExchanges priceMagnifier=1 underConId=0 longName primaryExchange contractMonth industry",
    "category subcategory timeZone tradingHours liquidHours evRule evMultiplier",
    Many("secIds", _PAIR),
    f"aggGroup={MAX_INTEGER} underSymbol underSecType marketRuleIds realExpiration stockType",
    Since(163, (Before(164, ("sizeMinTick",)),)),
    Since(164, ("minSize sizeIncrement suggestedSizeIncrement",)),
)

_POSITION: Final = f"account {_CONTRACT} position averageCost"

ERROR: Final[Layout] = ("v=2 id code text", Since(166, ("advanced",)))

SYMBOL_SAMPLES: Final[Layout] = (
    "reqId",
    Many(
        "samples",
        (
            "conId symbol secType primaryExchange currency",
            Many("derivatives", ("secType",)),
            Since(176, ("description issuerId",)),
        ),
    ),
)

MESSAGES: Final[dict[str, tuple[int, Layout]]] = {
    "tickPrice": (1, ("v=6 reqId type price size mask=0",)),
    "tickSize": (2, ("v=6 reqId type size",)),
    "orderStatus": (3, ORDER_STATUS),
    "error": (4, ERROR),
    "openOrder": (5, OPEN_ORDER),
    "accountValue": (6, ("v=2 tag value currency account",)),
    "portfolioValue": (
        7,
        (
            "v=8 conId symbol secType expiry strike=0.0 right multiplier primaryExchange currency localSymbol tradingClass",
            "position marketPrice marketValue averageCost unrealized realized account",
        ),
    ),
    "accountTime": (8, ("v=1 time",)),
    "nextValidId": (9, ("v=1 id",)),
    "contractDetails": (10, CONTRACT_DETAILS),
    "execDetails": (11, EXECUTION),
    "marketDepth": (12, ("v=1 reqId position operation side price size",)),
    "marketDepthL2": (13, ("v=1 reqId position maker operation side price size smart=1",)),
    "managedAccounts": (15, ("v=1 accounts",)),
    "receiveFa": (16, ("v=1 type xml",)),
    "historicalData": (17, ("reqId start end", Many("bars", ("time open high low close volume average count",), 100_000))),
    "scannerParameters": (19, ("v=1 xml",)),
    "tickGeneric": (45, ("v=6 reqId type value",)),
    "tickString": (46, ("v=6 reqId type value",)),
    "currentTime": (49, ("v=1 time",)),
    "realTimeBar": (50, ("v=3 reqId time open high low close volume average count",)),
    "contractDetailsEnd": (52, ("v=1 reqId",)),
    "openOrderEnd": (53, ("v=1",)),
    "accountDownloadEnd": (54, ("v=1 account",)),
    "execDetailsEnd": (55, ("v=1 reqId",)),
    "tickSnapshotEnd": (57, ("v=1 reqId",)),
    "marketDataType": (58, ("v=1 reqId type",)),
    "commissionReport": (59, COMMISSION),
    "position": (61, (f"v=3 {_POSITION}",)),
    "positionEnd": (62, ("v=1",)),
    "accountSummary": (63, ("v=1 reqId account tag value currency",)),
    "accountSummaryEnd": (64, ("v=1 reqId",)),
    "positionMulti": (71, (f"v=1 reqId {_POSITION} modelCode",)),
    "positionMultiEnd": (72, ("v=1 reqId",)),
    "accountUpdateMulti": (73, ("v=1 reqId account modelCode tag value currency",)),
    "accountUpdateMultiEnd": (74, ("v=1 reqId",)),
    "optionParameters": (
        75,
        ("reqId exchange underConId tradingClass multiplier", Many("expirations", ("day",)), Many("strikes", ("strike",))),
    ),
    "optionParametersEnd": (76, ("reqId",)),
    "softDollarTiers": (77, ("reqId", Many("tiers", ("name value displayName",)))),
    "familyCodes": (78, (Many("codes", ("account code",)),)),
    "symbolSamples": (79, SYMBOL_SAMPLES),
    "depthExchanges": (80, (Many("exchanges", ("exchange secType listing service aggGroup",)),)),
    "tickReqParams": (81, ("reqId minTick bboExchange snapshotPermissions",)),
    "smartComponents": (82, ("reqId", Many("components", ("bit exchange letter",)))),
    "newsProviders": (85, (Many("providers", ("code name",)),)),
    "histogram": (89, ("reqId", Many("bars", ("price count",), 10_000))),
    "headTimestamp": (88, ("reqId time",)),
    "historicalUpdate": (90, ("reqId count time open close high low average volume",)),
    "marketRule": (93, ("id", Many("increments", ("edge increment",)))),
    "pnl": (94, ("reqId daily unrealized realized",)),
    "pnlSingle": (95, ("reqId position daily unrealized realized value",)),
    "historicalTicks": (96, ("reqId", Many("ticks", ("time zero=0 price size",), 10_000), "done")),
    "historicalTicksBidAsk": (
        97,
        ("reqId", Many("ticks", ("time mask=0 bid ask bidSize askSize",), 10_000), "done"),
    ),
    "historicalTicksLast": (98, ("reqId", Many("ticks", ("time mask=0 price size exchange conditions",), 10_000), "done")),
    "tickByTickLast": (99, ("reqId type time price size mask=0 exchange conditions",)),
    "tickByTickBidAsk": (99, ("reqId type time bid ask bidSize askSize mask=0",)),
    "tickByTickMiddle": (99, ("reqId type time middle",)),
    "orderBound": (100, ("permId clientId orderId",)),
    "completedOrder": (101, COMPLETED_ORDER),
    "completedOrdersEnd": (102, ()),
    "userInfo": (107, ("reqId whiteBrandingId",)),
}
"""By name: the message id and the layout of what follows it."""
