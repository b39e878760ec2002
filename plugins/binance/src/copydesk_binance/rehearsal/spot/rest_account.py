"""REST endpoints of spot accounts: balances, trades, rates; and what clients ask of the wallet service."""

from __future__ import annotations

from copydesk.model import Fill

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.routing import Security
from copydesk_binance.rehearsal.spot import wire
from copydesk_binance.rehearsal.spot.rest import Call, Rest, public, route
from copydesk_binance.rehearsal.wire import Json, money


@route("GET", "/api/v3/account", weight=20)
def account(rest: Rest, call: Call) -> Json:
    all_assets = not call.params.flag("omitZeroBalances")
    balances = rest.desk.balances(call.account, all_assets=all_assets)
    return wire.account_reply(call.account, balances, rest.maker_fee, rest.taker_fee)


@route("GET", "/api/v3/myTrades", weight=20)
def _trades(rest: Rest, call: Call) -> list[Json]:
    params, desk, symbol = call.params, rest.desk, rest.symbol(call)
    from_id, order_id, end = params.integer("fromId"), params.integer("orderId"), params.integer("endTime")
    if from_id is not None and ("startTime" in params or "endTime" in params):
        raise Refusal(-1128)

    def is_wanted(fill: Fill) -> bool:
        return (
            (from_id is None or int(fill.execution_id) >= from_id)
            and (order_id is None or int(fill.venue_id) == order_id)
            and (end is None or fill.time_ms <= end)
        )

    start = params.integer("startTime") or 0
    fills = [fill for fill in desk.exchange.fills(call.account.name, symbol, start) if is_wanted(fill)]
    limit = params.limit(500, 1000)
    shown = fills[:limit] if from_id is not None or start else fills[-limit:]
    details = call.account.details
    return [wire.trade_row(fill, details[fill.venue_id].list_id if fill.venue_id in details else -1) for fill in shown]


@route("GET", "/api/v3/rateLimit/order", weight=40)
def _order_counts(rest: Rest, call: Call) -> list[Json]:
    return call.account.orders.rate_limits()


@route("GET", "/api/v3/account/commission", weight=20)
def _commission(rest: Rest, call: Call) -> Json:
    rates = {"maker": money(rest.maker_fee), "taker": money(rest.taker_fee), "buyer": wire.NOTHING, "seller": wire.NOTHING}
    nothing = dict.fromkeys(rates, wire.NOTHING)
    return {
        "symbol": rest.symbol(call),
        "standardCommission": rates,
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "BNB",
            "discount": wire.NOTHING,
        },
    }


@route("GET", "/api/v3/myFilters", weight=40)
def _filters(rest: Rest, call: Call) -> Json:
    """The filters that count what an account has; no account is limited in an asset."""
    described = rest.desk.listing.described[rest.symbol(call)]["filters"]
    counting = [one for one in described if one["filterType"].startswith("MAX_NUM")]
    return {"exchangeFilters": [], "symbolFilters": counting, "assetFilters": []}


@route("GET", "/api/v3/myPreventedMatches", "/api/v3/myAllocations", weight=20)
def _nothing_prevented(rest: Rest, call: Call) -> list[Json]:
    """Nobody trades with themselves here, and there is no smart order routing."""
    rest.symbol(call)
    return []


# --- what clients ask of the wallet and margin services: ccxt when it loads markets with keys -------------------------


@public("/sapi/v1/system/status")
def _system_status(rest: Rest, call: Call) -> Json:
    return {"status": 0, "msg": "normal"}


@route("GET", "/sapi/v1/account/apiRestrictions")
def _api_restrictions(rest: Rest, call: Call) -> Json:
    """A key of this venue may read and trade spot, and nothing else."""
    forbidden = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer", "enableVanillaOptions")
    return {
        "ipRestrict": False,
        "createTime": rest.now_ms(),
        "enableReading": True,
        "enableFutures": False,
        "enableSpotAndMarginTrading": True,
        "enableMargin": False,
        **dict.fromkeys(forbidden, False),
    }


@route("GET", "/sapi/v1/account/status")
def _account_status(rest: Rest, call: Call) -> Json:
    return {"data": "Normal"}


@route("GET", "/sapi/v1/account/apiTradingStatus")
def _trading_status(rest: Rest, call: Call) -> Json:
    """No account is kept from trading for how it trades."""
    counted = {"GCR": 150, "IFER": 150, "UFR": 300}
    return {"data": {"isLocked": False, "plannedRecoverTime": 0, "triggerCondition": counted, "updateTime": 0}}


@route("POST", "/sapi/v3/asset/getUserAsset", weight=5)
def _user_assets(rest: Rest, call: Call) -> list[Json]:
    """What there is, or of one asset."""
    wanted = call.params.text("asset")
    held = rest.desk.balances(call.account, all_assets=False)
    nothing = {"freeze": "0", "withdrawing": "0", "ipoable": "0", "btcValuation": "0"}
    return [
        {"asset": asset, "free": f"{free:f}", "locked": f"{locked:f}", **nothing}
        for asset, (free, locked) in held.items()
        if wanted in ("", asset)
    ]


@route("GET", "/sapi/v1/asset/assetDetail")
def _asset_details(rest: Rest, call: Call) -> Json:
    """Nothing can be deposited or withdrawn."""
    closed = {"minWithdrawAmount": "0", "depositStatus": False, "withdrawFee": "0", "withdrawStatus": False}
    return {asset: closed for asset in rest.desk.listing.assets if call.params.text("asset") in ("", asset)}


@route("GET", "/sapi/v1/capital/deposit/hisrec", "/sapi/v1/capital/withdraw/history")
def _no_transfers(rest: Rest, call: Call) -> list[Json]:
    return []


@route("GET", "/sapi/v1/asset/tradeFee")
def _fees(rest: Rest, call: Call) -> list[Json]:
    maker, taker = f"{rest.maker_fee:f}", f"{rest.taker_fee:f}"
    return [{"symbol": one, "makerCommission": maker, "takerCommission": taker} for one in rest.symbols(call)]


@route("GET", "/sapi/v1/capital/config/getall", weight=10)
def _coins(rest: Rest, call: Call) -> list[Json]:
    fields = ("freeze", "withdrawing", "ipoing", "ipoable", "storage")
    return [
        {
            "coin": asset,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "name": asset,
            "free": f"{free:f}",
            "locked": f"{locked:f}",
            **dict.fromkeys(fields, "0"),
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
        for asset, (free, locked) in rest.desk.balances(call.account, all_assets=True).items()
    ]


@route("GET", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs", security=Security.KEY)
def _margin_pairs(rest: Rest, call: Call) -> list[Json]:
    return []
