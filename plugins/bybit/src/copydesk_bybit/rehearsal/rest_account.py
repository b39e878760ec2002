"""REST endpoints of positions, the account and the key."""

from __future__ import annotations

from copydesk.model import ZERO
from copydesk_paper.exchange import MAKER_FEE, TAKER_FEE, ExchangeRefusal

from copydesk_bybit.rehearsal.codes import Refusal, bad, translated
from copydesk_bybit.rehearsal.limits import Group
from copydesk_bybit.rehearsal.listing import Rules, check_category
from copydesk_bybit.rehearsal.parameters import Params
from copydesk_bybit.rehearsal.rest import Call, Rest, listed, page, period, route
from copydesk_bybit.rehearsal.wire import Json, bare, money
from copydesk_bybit.symbols import SPOT

MARGIN_MODES = ("ISOLATED_MARGIN", "REGULAR_MARGIN", "PORTFOLIO_MARGIN")

# --- positions ----------------------------------------------------------------------------------------------


@route("GET", "/v5/position/list", group=Group.READ)
def _positions(rest: Rest, call: Call) -> Json:
    params = call.params
    category = check_category(params.need("category"))
    if category == SPOT:
        raise bad("params error: category is invalid")
    if "symbol" in params:
        every = [rest.desk.listing.named(category, params.text("symbol"))]
    elif category == "linear" and "settleCoin" not in params and "baseCoin" not in params:
        raise bad("Missing some parameters that must be filled in, symbol or settleCoin")
    else:
        every = [rules for rules in rest.desk.listing.of(category) if _fits(params, rules)]
    rows = [
        row
        for rules in every
        for side in rest.desk.holdings.sides(call.account, rules)
        if (row := rest.desk.holdings.position(call.account, rules, side))["size"] != "0" or "symbol" in params
    ]
    part, cursor = page(rows, params, 20, 200)
    return listed(part, cursor, category)


def _fits(params: Params, rules: Rules) -> bool:
    instrument = rules.instrument
    for name, value in (("settleCoin", instrument.settle), ("baseCoin", instrument.base)):
        if name in params and params.text(name) != value:
            return False
    return True


def _contract(rest: Rest, params: Params) -> Rules:
    rules = rest.desk.listing.named(params.need("category"), params.need("symbol"))
    if rules.category == SPOT:
        raise bad("params error: category is invalid")
    return rules


@route("POST", "/v5/position/set-leverage", group=Group.POSITION)
def _set_leverage(rest: Rest, call: Call) -> Json:
    params, rules = call.params, _contract(rest, call.params)
    buy, sell = params.decimal("buyLeverage"), params.decimal("sellLeverage")
    if not buy or not sell:
        raise bad("buy leverage invalid" if not buy else "sell leverage invalid")
    if buy != sell:
        raise bad("buy leverage and sell leverage must be equal")
    if buy > rules.max_leverage:
        raise Refusal(110013)
    if buy != buy.to_integral_value():
        raise bad("leverage invalid: this rehearsal knows whole numbers only")
    account, exchange = call.account.name, rest.desk.exchange
    if exchange.leverage(account, rules.symbol) == buy:
        raise Refusal(110043)
    try:
        exchange.set_leverage(account, rules.symbol, int(buy))
    except ExchangeRefusal as refusal:
        raise translated(refusal, rules.category) from None
    for side in rest.desk.holdings.sides(call.account, rules):
        rest.desk.tell_position(call.account, (rules.symbol, side))
    return {}


@route("POST", "/v5/position/switch-mode", group=Group.POSITION)
def _switch_mode(rest: Rest, call: Call) -> Json:
    """A mode that is in force already is refused for one symbol; for all of a coin there is just nothing to do."""
    params = call.params
    category = check_category(params.need("category"))
    mode = params.integer("mode")
    if mode not in (0, 3):
        raise bad("params error: mode is invalid")
    if "symbol" not in params and "coin" not in params:
        raise bad("params error: symbol or coin is required")
    if "symbol" in params:
        _contract(rest, params)
    if category != "linear" or (params.text("coin") or "USDT") != "USDT":
        raise Refusal(110029)
    account, exchange = call.account.name, rest.desk.exchange
    if exchange.hedge_mode(account) == (mode == 3):
        if "symbol" in params:
            raise Refusal(110025)
        return {}
    try:
        exchange.set_hedge_mode(account, mode == 3)
    except ExchangeRefusal:
        raise Refusal(110024 if exchange.positions(account) else 110028) from None
    return {}


@route("POST", "/v5/position/trading-stop", group=Group.POSITION, trades=True)
def _trading_stop(rest: Rest, call: Call) -> Json:
    return rest.protections.trading_stop(call.account, call.params)


@route("POST", "/v5/position/switch-isolated", group=Group.POSITION)
def _switch_isolated(rest: Rest, call: Call) -> Json:
    raise Refusal(100028, message="unified account is forbidden")


@route("POST", "/v5/position/set-risk-limit", group=Group.POSITION)
def _risk_limit(rest: Rest, call: Call) -> Json:
    rules = _contract(rest, call.params)
    return {"category": rules.category, "riskId": 1, "riskLimitValue": "2000000"}


@route("GET", "/v5/position/closed-pnl")
def _closed(rest: Rest, call: Call) -> Json:
    params = call.params
    category = check_category(params.need("category"))
    start, end = period(params, rest.now_ms())
    names = {rules.name for rules in rest.desk.listing.of(category)}
    rows = [
        row
        for row in reversed(call.account.closed)
        if row["symbol"] in names
        and start <= int(str(row["createdTime"])) <= end
        and params.text("symbol") in ("", row["symbol"])
    ]
    part, cursor = page(rows, params, 50, 100)
    return listed(part, cursor, category)


# --- the account --------------------------------------------------------------------------------------------


@route("GET", "/v5/account/wallet-balance")
def _wallet(rest: Rest, call: Call) -> Json:
    kind = call.params.text("accountType") or "UNIFIED"
    if kind != "UNIFIED":
        raise bad("accountType only support UNIFIED.")
    coins = frozenset(coin for coin in call.params.text("coin").split(",") if coin)
    return {"list": [rest.desk.holdings.wallet(call.account, coins)]}


@route("GET", "/v5/account/info")
def _info(rest: Rest, call: Call) -> Json:
    return {
        "marginMode": call.account.margin_mode,
        "updatedTime": str(call.account.updated_ms),
        "unifiedMarginStatus": 6,
        "dcpStatus": "OFF",
        "timeWindow": 10,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


@route("POST", "/v5/account/set-margin-mode", message="Request accepted")
def _set_margin_mode(rest: Rest, call: Call) -> Json:
    mode = call.params.need("setMarginMode")
    if mode not in MARGIN_MODES:
        raise bad("params error: setMarginMode is invalid")
    account, exchange = call.account, rest.desk.exchange
    if mode == "PORTFOLIO_MARGIN":
        raise Refusal(110073, message="Set margin mode failed: portfolio margin is not part of this rehearsal")
    try:
        for symbol in rest.desk.listing.symbols:
            if rest.desk.listing.rules(symbol).category != SPOT:
                exchange.set_isolated(account.name, symbol, mode == "ISOLATED_MARGIN")
    except ExchangeRefusal as refusal:
        raise Refusal(110073, message=f"Set margin mode failed: {refusal}") from None
    account.margin_mode, account.updated_ms = mode, rest.now_ms()
    return {"reasons": []}


@route("GET", "/v5/account/fee-rate")
def _fee_rate(rest: Rest, call: Call) -> Json:
    params = call.params
    category = check_category(params.need("category"))
    wanted = params.text("symbol")
    if wanted:
        rest.desk.listing.named(category, wanted)
    rows = [
        {"symbol": rules.name, "takerFeeRate": bare(TAKER_FEE), "makerFeeRate": bare(MAKER_FEE)}
        for rules in rest.desk.listing.of(category)
        if wanted in ("", rules.name)
    ]
    return {"category": category, "list": rows}


@route("GET", "/v5/account/transaction-log")
def _transactions(rest: Rest, call: Call) -> Json:
    params = call.params
    start, end = period(params, rest.now_ms())
    rows = []
    for done in reversed(call.account.fills):
        fill, rules = done.fill, rest.desk.listing.rules(done.fill.symbol)
        if not start <= fill.time_ms <= end or params.text("category") not in ("", rules.category):
            continue
        row = rest.desk.execution(done)
        change = done.realised - fill.fee
        rows.append(
            {
                "id": f"{call.account.user_id}_{rules.name}_{row['execId']}",
                "symbol": rules.name,
                "side": row["side"],
                "funding": "",
                "orderLinkId": row["orderLinkId"],
                "orderId": row["orderId"],
                "fee": row["execFee"],
                "change": money(change),
                "cashFlow": money(done.realised),
                "transactionTime": row["execTime"],
                "type": "TRADE",
                "feeRate": row["feeRate"],
                "bonusChange": "",
                "size": row["execQty"],
                "qty": row["execQty"],
                "cashBalance": "",
                "currency": rules.instrument.settle,
                "category": rules.category,
                "tradePrice": row["execPrice"],
                "tradeId": row["execId"],
                "extraFees": "",
            }
        )
    part, cursor = page(rows, params, 20, 50)
    return {"nextPageCursor": cursor, "list": part}


@route("GET", "/v5/account/collateral-info")
def _collateral(rest: Rest, call: Call) -> Json:
    wanted = call.params.text("currency")
    rows = [
        {
            "currency": coin,
            "hourlyBorrowRate": "0",
            "maxBorrowingAmount": "0",
            "freeBorrowAmount": "0",
            "freeBorrowingAmount": "0",
            "freeBorrowingLimit": "0",
            "borrowAmount": "0",
            "availableToBorrow": "0",
            "otherBorrowAmount": "0",
            "borrowable": False,
            "borrowUsageRate": "0",
            "marginCollateral": True,
            "collateralSwitch": True,
            "collateralRatio": "1",
        }
        for coin in rest.desk.exchange.wallets(call.account.name)
        if wanted in ("", coin)
    ]
    return {"list": rows}


@route("GET", "/v5/asset/transfer/query-account-coins-balance")
def _all_balances(rest: Rest, call: Call) -> Json:
    wanted = [coin for coin in call.params.text("coin").split(",") if coin]
    wallets = rest.desk.exchange.wallets(call.account.name)
    kind = call.params.need("accountType")
    held = wallets if kind == "UNIFIED" else {}
    coins = wanted or list(held)
    rows = [
        {
            "coin": coin,
            "transferBalance": money(held.get(coin, ZERO)),
            "walletBalance": money(held.get(coin, ZERO)),
            "bonus": "",
        }
        for coin in coins
    ]
    return {"memberId": str(call.account.user_id), "accountType": kind, "balance": rows}


@route("GET", "/v5/asset/transfer/query-account-coin-balance")
def _one_balance(rest: Rest, call: Call) -> Json:
    kind, coin = call.params.need("accountType"), call.params.need("coin")
    held = rest.desk.exchange.wallets(call.account.name).get(coin, ZERO) if kind == "UNIFIED" else ZERO
    return {
        "accountType": kind,
        "bizType": 1,
        "accountId": str(call.account.user_id),
        "memberId": str(call.account.user_id),
        "balance": {
            "coin": coin,
            "walletBalance": money(held),
            "transferBalance": money(held),
            "bonus": "",
            "transferSafeAmount": "",
            "ltvTransferSafeAmount": "",
        },
    }


@route("GET", "/v5/asset/coin/query-info")
def _coins(rest: Rest, call: Call) -> Json:
    wanted = call.params.text("coin")
    names = sorted(
        {coin for symbol in rest.desk.listing.symbols for coin in _coins_of(rest.desk.listing.rules(symbol))}
        | set(rest.desk.exchange.wallets(call.account.name))
    )
    rows = [{"name": coin, "coin": coin, "remainAmount": "0", "chains": []} for coin in names if wanted in ("", coin)]
    return {"rows": rows}


def _coins_of(rules: Rules) -> tuple[str, str]:
    return rules.instrument.base, rules.instrument.quote


# --- the key ------------------------------------------------------------------------------------------------


@route("GET", "/v5/user/query-api", message="")
def _key(rest: Rest, call: Call) -> Json:
    account = call.account
    return {
        "id": str(account.user_id),
        "note": account.name,
        "apiKey": account.key,
        "readOnly": 0,
        "secret": "",
        "permissions": {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": [],
            "Options": [],
            "Derivatives": ["DerivativesTrade"],
            "CopyTrading": [],
            "BlockTrade": [],
            "Exchange": [],
            "NFT": [],
            "Affiliate": [],
            "Earn": [],
        },
        "ips": ["*"],
        "type": 1,
        "deadlineDay": -2,
        "expiredAt": "1970-01-01T00:00:00Z",
        "createdAt": "2026-01-01T00:00:00Z",
        "unified": 0,
        "uta": 1,
        "userID": account.user_id,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_DEFAULT",
        "kycRegion": "",
    }
