"""The messages that clients send, as layouts: the fields after the message id."""

from __future__ import annotations

from typing import Any, Final

from copydesk_ib.rehearsal.layout import Before, Case, Layout, Many, Since, Told, When
from copydesk_ib.rehearsal.wire import number

CONTRACT: Final = (
    "conId symbol secType expiry strike right multiplier exchange primaryExchange currency localSymbol tradingClass"
)
_PAIR: Final[Layout] = ("tag value",)
_PRICE: Final[Layout] = ("conjunction isMore price conId exchange method",)
CONDITIONS: Final[dict[str, Layout]] = {
    "1": _PRICE,
    "3": ("conjunction isMore time",),
    "4": ("conjunction isMore percent",),
    "5": ("conjunction secType exchange symbol",),
    "6": ("conjunction isMore volume conId exchange",),
    "7": ("conjunction isMore changePercent conId exchange",),
}
"""Order conditions, by their kind: price, time, margin, execution, volume, change in percent."""


def _combo(told: Told) -> bool:
    return bool(told["secType"] == "BAG")


def _scaled(told: Told) -> bool:
    increment = number(told["scalePriceIncrement"])
    return increment is not None and increment > 0


def _pegged(*types: str) -> When:
    return When(lambda told: told["orderType"] in types, ("midOffsetAtWhole midOffsetAtHalf",))


PLACE_ORDER: Final[Layout] = (
    "orderId",
    CONTRACT,
    "secIdType secId action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin orderRef",
    "transmit parentId blockOrder sweepToFill displaySize triggerMethod outsideRth hidden",
    When(
        _combo,
        (
            Many("comboLegs", ("conId ratio action exchange openClose shortSaleSlot designatedLocation exemptCode",)),
            Many("orderComboLegs", ("price",)),
            Many("smartRouting", _PAIR),
        ),
    ),
    "sharesAllocation discretionaryAmt goodAfterTime goodTillDate faGroup faMethod faPercentage",
    Before(177, ("faProfile",)),
    "modelCode shortSaleSlot designatedLocation exemptCode ocaType rule80A settlingFirm allOrNone minQty percentOffset",
    "eTradeOnly firmQuoteOnly nbboPriceCap auctionStrategy startingPrice stockRefPrice delta stockRangeLower",
    "stockRangeUpper overridePercentage volatility volatilityType dnOrderType dnAuxPrice",
    When(
        lambda told: bool(told["dnOrderType"]),
        ("dnConId dnSettlingFirm dnClearingAccount dnClearingIntent dnOpenClose dnShortSale dnSlot dnLocation",),
    ),
    "continuousUpdate referencePriceType trailStopPrice trailingPercent",
    "scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement",
    When(_scaled, ("scaleAdjustValue scaleAdjustInterval scaleProfit scaleAutoReset scaleInitPosition scaleInitFill",)),
    When(_scaled, ("scaleRandomPercent",)),
    "scaleTable activeStart activeStop hedgeType",
    When(lambda told: bool(told["hedgeType"]), ("hedgeParam",)),
    "optOutSmart clearingAccount clearingIntent notHeld deltaNeutral",
    When(lambda told: told["deltaNeutral"] == "1", ("dncConId dncDelta dncPrice",)),
    "algoStrategy",
    When(lambda told: bool(told["algoStrategy"]), (Many("algoParams", _PAIR),)),
    "algoId whatIf miscOptions solicited randomizeSize randomizePrice",
    When(
        lambda told: told["orderType"] in ("PEG BENCH", "PEGBENCH"),
        ("pegConId pegDecrease pegAmount pegReferenceAmount pegExchange",),
    ),
    Many("conditions", ("kind", Case("kind", CONDITIONS))),
    When(lambda told: bool(told["conditions"]), ("conditionsIgnoreRth conditionsCancelOrder",)),
    "adjustedOrderType triggerPrice lmtPriceOffset adjustedStopPrice adjustedStopLimitPrice adjustedTrailingAmount",
    "adjustableTrailingUnit extOperator softDollarName softDollarValue cashQty mifid1 mifid2 mifid3 mifid4",
    "dontUseAutoPrice isOmsContainer discretionaryUpToLimit usePriceMgmtAlgo",
    Since(158, ("duration",)),
    Since(160, ("postToAts",)),
    Since(162, ("autoCancelParent",)),
    Since(166, ("advancedErrorOverride",)),
    Since(169, ("manualOrderTime",)),
    Since(
        170,
        (
            When(lambda told: told["exchange"] == "IBKRATS", ("minTradeQty",)),
            When(lambda told: told["orderType"] in ("PEG BEST", "PEGBEST"), ("minCompeteSize competeOffset",)),
            _pegged("PEG MID", "PEGMID"),
        ),
    ),
)

BLANK_ORDER: Final[dict[str, Any]] = {
    **dict.fromkeys((name for item in PLACE_ORDER if isinstance(item, str) for name in item.split()), ""),
    "orderId": "0",
    "conditions": [],
}
"""The fields that every placeOrder has, of an order that says nothing."""

_LEGS: Final = When(_combo, (Many("comboLegs", ("conId ratio action exchange",)),))

REQUESTS: Final[dict[int, tuple[str, Layout]]] = {
    1: (
        "market_data",
        (
            "v reqId",
            CONTRACT,
            _LEGS,
            "deltaNeutral",
            When(lambda told: told["deltaNeutral"] == "1", ("dncConId dncDelta dncPrice",)),
            "genericTicks snapshot regulatory options",
        ),
    ),
    2: ("cancel_market_data", ("v reqId",)),
    3: ("place_order", PLACE_ORDER),
    4: ("cancel_order", ("v orderId", Since(169, ("manualTime",)))),
    5: ("open_orders", ("v",)),
    6: ("account_updates", ("v subscribe account",)),
    7: ("executions", ("v reqId clientId account time symbol secType exchange side",)),
    8: ("ids", ("v count",)),
    9: ("contract_details", ("v reqId", CONTRACT, "includeExpired secIdType secId", Since(176, ("issuerId",)))),
    10: ("market_depth", ("v reqId", CONTRACT, "rows smart options")),
    11: ("cancel_market_depth", ("v reqId smart",)),
    14: ("log_level", ("v level",)),
    15: ("auto_open_orders", ("v bind",)),
    16: ("all_open_orders", ("v",)),
    17: ("managed_accounts", ("v",)),
    18: ("request_fa", ("v type",)),
    20: (
        "historical_data",
        (
            "reqId",
            CONTRACT,
            "includeExpired end barSize duration regularOnly what formatDate",
            _LEGS,
            "keepUpToDate options",
        ),
    ),
    24: ("scanner_parameters", ("v",)),
    25: ("cancel_historical_data", ("v reqId",)),
    49: ("current_time", ("v",)),
    50: ("real_time_bars", ("v reqId", CONTRACT, "barSize what regularOnly options")),
    51: ("cancel_real_time_bars", ("v reqId",)),
    58: ("global_cancel", ("v",)),
    59: ("market_data_type", ("v type",)),
    61: ("positions", ("v",)),
    62: ("account_summary", ("v reqId group tags",)),
    63: ("cancel_account_summary", ("v reqId",)),
    64: ("cancel_positions", ("v",)),
    71: ("start_api", ("v clientId optionalCapabilities",)),
    74: ("positions_multi", ("v reqId account modelCode",)),
    75: ("cancel_positions_multi", ("v reqId",)),
    76: ("account_updates_multi", ("v reqId account modelCode ledger",)),
    77: ("cancel_account_updates_multi", ("v reqId",)),
    78: ("option_parameters", ("reqId symbol exchange secType conId",)),
    79: ("soft_dollar_tiers", ("reqId",)),
    80: ("family_codes", ()),
    81: ("matching_symbols", ("reqId pattern",)),
    82: ("depth_exchanges", ()),
    83: ("smart_components", ("reqId bboExchange",)),
    85: ("news_providers", ()),
    87: ("head_timestamp", ("reqId", CONTRACT, "includeExpired regularOnly what formatDate")),
    88: ("histogram", ("reqId", CONTRACT, "includeExpired regularOnly period")),
    89: ("cancel_histogram", ("reqId",)),
    90: ("cancel_head_timestamp", ("reqId",)),
    91: ("market_rule", ("id",)),
    92: ("pnl", ("reqId account modelCode",)),
    93: ("cancel_pnl", ("reqId",)),
    94: ("pnl_single", ("reqId account modelCode conId",)),
    95: ("cancel_pnl_single", ("reqId",)),
    96: (
        "historical_ticks",
        ("reqId", CONTRACT, "includeExpired start end count what regularOnly ignoreSize options"),
    ),
    97: ("tick_by_tick", ("reqId", CONTRACT, "type count ignoreSize")),
    98: ("cancel_tick_by_tick", ("reqId",)),
    99: ("completed_orders", ("apiOnly",)),
    104: ("user_info", ("reqId",)),
}
"""By message id: what is asked for, and the layout of what follows the id."""

NOT_REHEARSED: Final[dict[int, tuple[str, int]]] = {
    12: ("", 0),
    13: ("", 0),
    19: ("Financial advisor settings", 4),
    21: ("Option exercise", 2),
    22: ("Market scanners", 1),
    23: ("", 0),
    52: ("Fundamental data", 2),
    53: ("", 0),
    54: ("Implied volatility", 2),
    55: ("Option price calculation", 2),
    56: ("", 0),
    57: ("", 0),
    65: ("Verification", 0),
    66: ("Verification", 0),
    67: ("Display groups", 2),
    68: ("Display groups", 2),
    69: ("Display groups", 2),
    70: ("", 0),
    72: ("Verification", 0),
    73: ("Verification", 0),
    84: ("News", 1),
    86: ("News", 1),
    100: ("The event calendar", 1),
    101: ("", 0),
    102: ("The event calendar", 1),
    103: ("", 0),
}
"""Messages that TWS knows and this one does not serve: what to say, and which field is the request's number (0: none).

Where there is nothing to say the message asks for no answer: it ends something, or wants what never comes.
"""
