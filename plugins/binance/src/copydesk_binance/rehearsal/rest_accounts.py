"""REST endpoints of accounts: balances, positions, modes, trades, income; and what clients ask of the spot service."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import Fill

from copydesk_binance.rehearsal import settings, wire, wire_accounts
from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.listing import MAINTENANCE_RATIO, MAX_LEVERAGE, MAX_NOTIONAL
from copydesk_binance.rehearsal.rest import Call, Rest, Security, by_symbol, public, route
from copydesk_binance.rehearsal.wire import Json

MAKER_RATE, TAKER_RATE = "0.000200", "0.000500"


# --- accounts -----------------------------------------------------------------------------------------------


@route("GET", "/fapi/v2/balance", "/fapi/v3/balance", weight=5)
def balances(rest: Rest, call: Call) -> list[Json]:
    return [wire_accounts.balance_row(rest.venue.exchange.balance(call.account.name), call.account.alias)]


def account_status(rest: Rest, account: Account, version: int) -> Json:
    venue = rest.venue
    positions = venue.positions(account, all_symbols=version < 3)
    rows = [
        wire_accounts.account_position_row(
            position,
            venue.listing.rules(position.symbol),
            isolated=venue.exchange.isolated(account.name, position.symbol),
            version=version,
            updated_ms=account.moved_ms.get((position.symbol, position.position_side), 0),
        )
        for position in positions
    ]
    balance = venue.exchange.balance(account.name)
    return wire_accounts.account_reply(balance, positions, rows, version=version, multi_assets=account.multi_assets)


def position_rows(rest: Rest, call: Call, version: int) -> list[Json]:
    venue, account = rest.venue, call.account
    symbol = rest.symbol(call) if "symbol" in call.params else ""
    return [
        wire_accounts.position_row(
            position,
            venue.listing.rules(position.symbol),
            isolated=venue.exchange.isolated(account.name, position.symbol),
            version=version,
            updated_ms=account.moved_ms.get((position.symbol, position.position_side), 0),
        )
        for position in venue.positions(account, symbol, all_symbols=version < 3)
    ]


@route("GET", "/fapi/v1/account", "/fapi/v2/account", weight=5)
def _account_v2(rest: Rest, call: Call) -> Json:
    return account_status(rest, call.account, 2)


@route("GET", "/fapi/v3/account", weight=5)
def _account_v3(rest: Rest, call: Call) -> Json:
    return account_status(rest, call.account, 3)


@route("GET", "/fapi/v1/positionRisk", "/fapi/v2/positionRisk", weight=5)
def _position_risk_v2(rest: Rest, call: Call) -> list[Json]:
    return position_rows(rest, call, 2)


@route("GET", "/fapi/v3/positionRisk", weight=5)
def _position_risk_v3(rest: Rest, call: Call) -> list[Json]:
    return position_rows(rest, call, 3)


@route("POST", "/fapi/v1/leverage")
def _leverage(rest: Rest, call: Call) -> Json:
    return settings.set_leverage(rest.venue, call.account, call.params)


@route("POST", "/fapi/v1/marginType")
def _margin_type(rest: Rest, call: Call) -> Json:
    return settings.set_margin_type(rest.venue, call.account, call.params)


@route("GET", "/fapi/v1/positionSide/dual", weight=30)
def _position_mode(rest: Rest, call: Call) -> Json:
    return {"dualSidePosition": rest.venue.exchange.hedge_mode(call.account.name)}


@route("POST", "/fapi/v1/positionSide/dual")
def _set_position_mode(rest: Rest, call: Call) -> Json:
    return settings.set_position_mode(rest.venue, call.account, call.params)


@route("GET", "/fapi/v1/multiAssetsMargin", weight=30)
def _multi_assets(rest: Rest, call: Call) -> Json:
    return {"multiAssetsMargin": call.account.multi_assets}


@route("POST", "/fapi/v1/multiAssetsMargin")
def _set_multi_assets(rest: Rest, call: Call) -> Json:
    return settings.set_multi_assets(rest.venue, call.account, call.params)


@route("GET", "/fapi/v1/leverageBracket")
def _leverage_bracket(rest: Rest, call: Call) -> list[Json]:
    bracket = {
        "bracket": 1,
        "initialLeverage": MAX_LEVERAGE,
        "notionalCap": int(MAX_NOTIONAL),
        "notionalFloor": 0,
        "maintMarginRatio": MAINTENANCE_RATIO,
        "cum": 0.0,
    }
    return [{"symbol": symbol, "brackets": [bracket]} for symbol in rest.symbols(call)]


@route("GET", "/fapi/v1/userTrades", weight=5)
def _user_trades(rest: Rest, call: Call) -> list[Json]:
    params, symbol = call.params, rest.symbol(call)
    from_id, order_id, end = params.integer("fromId"), params.integer("orderId"), params.integer("endTime")
    if from_id is not None and ("startTime" in params or "endTime" in params):
        raise Refusal(-1128)

    def is_wanted(fill: Fill) -> bool:
        return (
            (from_id is None or int(fill.execution_id) >= from_id)
            and (order_id is None or int(fill.venue_id) == order_id)
            and (end is None or fill.time_ms <= end)
        )

    fills = [fill for fill in rest.venue.fills(call.account, symbol, params.integer("startTime") or 0) if is_wanted(fill)]
    limit = params.limit(500, 1000)
    rules = rest.venue.listing.rules(symbol)
    shown = fills[:limit] if from_id is not None or "startTime" in params else fills[-limit:]
    return [wire.trade_row(fill, rules, rest.venue.realised(call.account, fill)) for fill in shown]


@route("GET", "/fapi/v1/income", weight=30)
def _income(rest: Rest, call: Call) -> list[Json]:
    params = call.params
    symbol, kind = params.text("symbol"), params.text("incomeType")
    start, end = params.integer("startTime") or 0, params.integer("endTime")
    rows = [
        row
        for row in call.account.income
        if symbol in ("", row["symbol"])
        and kind in ("", row["incomeType"])
        and row["time"] >= start
        and (end is None or row["time"] <= end)
    ]
    limit = params.limit(100, 1000)
    return rows[:limit] if start else rows[-limit:]


@route("GET", "/fapi/v1/commissionRate", weight=20)
def _commission_rate(rest: Rest, call: Call) -> Json:
    return {
        "symbol": rest.symbol(call),
        "makerCommissionRate": MAKER_RATE,
        "takerCommissionRate": TAKER_RATE,
    }


@route("GET", "/fapi/v1/rateLimit/order")
def _order_limits(rest: Rest, call: Call) -> list[Json]:
    return [limit.told() for limit in rest.limits.orders]


@route("GET", "/fapi/v1/apiTradingStatus", weight=by_symbol(1, 10))
def _trading_status(rest: Rest, call: Call) -> Json:
    return {"indicators": {}, "updateTime": rest.now_ms()}


@route("GET", "/fapi/v1/accountConfig", weight=5)
def _account_config(rest: Rest, call: Call) -> Json:
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": rest.venue.exchange.hedge_mode(call.account.name),
        "updateTime": 0,
        "multiAssetsMargin": call.account.multi_assets,
        "tradeGroupId": -1,
    }


@route("GET", "/fapi/v1/symbolConfig", weight=5)
def _symbol_config(rest: Rest, call: Call) -> list[Json]:
    exchange, name = rest.venue.exchange, call.account.name
    return [
        {
            "symbol": symbol,
            "marginType": "ISOLATED" if exchange.isolated(name, symbol) else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": exchange.leverage(name, symbol),
            "maxNotionalValue": wire.bare(MAX_NOTIONAL),
        }
        for symbol in rest.symbols(call)
    ]


@route("GET", "/fapi/v1/feeBurn", weight=30)
def _fee_burn(rest: Rest, call: Call) -> Json:
    return {"feeBurn": call.account.pays_fees_in_bnb}


@route("POST", "/fapi/v1/feeBurn")
def _set_fee_burn(rest: Rest, call: Call) -> Json:
    call.params.mandatory("feeBurn")
    call.account.pays_fees_in_bnb = call.params.flag("feeBurn")
    return {"code": 200, "msg": "success"}


@public("/fapi/v1/openInterest")
def _open_interest(rest: Rest, call: Call) -> Json:
    symbol = rest.symbol(call)
    held = wire.padded(rest.venue.open_interest(symbol), rest.venue.listing.rules(symbol).quantity_places)
    return {"symbol": symbol, "openInterest": held, "time": rest.now_ms()}


@public("/fapi/v1/indexInfo", "/fapi/v1/assetIndex")
def _no_indices(rest: Rest, call: Call) -> list[Json]:
    return []


@public("/fapi/v1/symbolAdlRisk", weight=by_symbol(1, 1))
def _adl_risk(rest: Rest, call: Call) -> Json | list[Json]:
    """Nobody is ever deleveraged here: the insurance fund takes what the book cannot."""
    now = rest.now_ms()
    return rest.for_symbols(call, lambda symbol: {"symbol": symbol, "adlRisk": "low", "updateTime": now})


@public("/fapi/v1/insuranceBalance")
def _insurance(rest: Rest, call: Call) -> Json:
    """Only what the fund has paid out is known here; it has no bottom."""
    now, paid = rest.now_ms(), rest.venue.exchange.insurance_fund
    asset = rest.venue.listing.rules(rest.symbols(call)[0]).instrument.settle
    return {
        "symbols": list(rest.symbols(call)),
        "assets": [{"asset": asset, "marginBalance": wire.money(-paid), "updateTime": now}],
    }


@route("GET", "/fapi/v1/adlQuantile", weight=5)
def _adl_quantile(rest: Rest, call: Call) -> list[Json]:
    held = {one.symbol for one in rest.venue.positions(call.account, all_symbols=False) if one.quantity}
    sides = ("LONG", "SHORT", "HEDGE") if rest.venue.exchange.hedge_mode(call.account.name) else ("BOTH",)
    return [
        {"symbol": symbol, "adlQuantile": dict.fromkeys(("LONG", "SHORT", *sides), 0)}
        for symbol in rest.symbols(call)
        if symbol in held
    ]


@route("GET", "/fapi/v1/orderAmendment")
def _amendments(rest: Rest, call: Call) -> list[Json]:
    params, symbol = call.params, rest.symbol(call)
    order_id, client_id = params.integer("orderId"), params.text("origClientOrderId")
    rows = [
        row
        for row in reversed(call.account.amendments)
        if row["symbol"] == symbol and order_id in (None, row["orderId"]) and client_id in ("", row["clientOrderId"])
    ]
    return rows[: params.limit(50, 100)]


@route("POST", "/fapi/v1/positionMargin", trades=True)
def _position_margin(rest: Rest, call: Call) -> Json:
    rest.symbol(call)
    call.params.mandatory_decimal("amount")
    raise Refusal(-4084, message="Changing the margin of a position is not offered by this rehearsal venue.")


@route("GET", "/fapi/v1/positionMargin/history")
def _position_margin_history(rest: Rest, call: Call) -> list[Json]:
    rest.symbol(call)
    return []


@route("GET", "/fapi/v1/forceOrders", weight=by_symbol(20, 50))
def _force_orders(rest: Rest, call: Call) -> list[Json]:
    symbols = rest.symbols(call)
    return [
        rest.venue.row(call.account, order)
        for symbol in symbols
        for order in rest.venue.orders(call.account, symbol)
        if order.client_id.startswith(wire.LIQUIDATION_PREFIX)
    ]


# --- what clients ask of the spot service: ccxt when it loads markets with keys, copiers when they show an account ---


@public("/sapi/v1/system/status")
def _system_status(rest: Rest, call: Call) -> Json:
    return {"status": 0, "msg": "normal"}


@route("GET", "/sapi/v1/account/apiRestrictions")
def _api_restrictions(rest: Rest, call: Call) -> Json:
    """A key of this venue may read and trade futures, and nothing else."""
    forbidden = ("enableWithdrawals", "enableInternalTransfer", "permitsUniversalTransfer", "enableVanillaOptions")
    return {
        "ipRestrict": False,
        "createTime": rest.now_ms(),
        "enableReading": True,
        "enableFutures": True,
        "enableSpotAndMarginTrading": False,
        "enableMargin": False,
        **dict.fromkeys(forbidden, False),
    }


@route("GET", "/sapi/v1/capital/deposit/hisrec", "/sapi/v1/capital/withdraw/history")
def _no_transfers(rest: Rest, call: Call) -> list[Json]:
    """Nothing comes from a chain here; what the rehearsal's control deposits is income of type TRANSFER."""
    return []


@route("GET", "/sapi/v1/capital/config/getall")
def _coins(rest: Rest, call: Call) -> list[Json]:
    balance = rest.venue.exchange.balance(call.account.name)
    zero = str(Decimal(0))
    return [
        {
            "coin": balance.currency,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "name": balance.currency,
            "free": zero,
            "locked": zero,
            "freeze": zero,
            "withdrawing": zero,
            "ipoing": zero,
            "ipoable": zero,
            "storage": zero,
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
    ]


@route("GET", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs", security=Security.KEY)
def _margin_pairs(rest: Rest, call: Call) -> list[Json]:
    return []
