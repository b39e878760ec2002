"""REST endpoints that bots call beside trading: of the market what few ask for, and what there is nothing of here.

Nothing comes in or goes out, nobody borrows, has sub-accounts or an insurance fund: such questions have empty answers.
Source: Bybit v5.
"""

from __future__ import annotations

from copydesk.model import ZERO

from copydesk_bybit.rehearsal.codes import Refusal, bad
from copydesk_bybit.rehearsal.limits import Group
from copydesk_bybit.rehearsal.listing import check_category
from copydesk_bybit.rehearsal.rest import Act, Call, Rest, public, route
from copydesk_bybit.rehearsal.rest_market import INTEREST_MS, candles, named
from copydesk_bybit.rehearsal.wire import Json, money
from copydesk_bybit.symbols import SPOT

MOST_LEVELS = 50

# --- the market ---------------------------------------------------------------------------------------------


@public("/v5/market/premium-index-price-kline")
def _premium(rest: Rest, call: Call) -> Json:
    """The index price is the mark price here, so that the premium is nothing."""
    rules, rows = candles(rest, call)
    if rules.category == SPOT:
        raise bad("params error: Category is invalid")
    return {"symbol": rules.name, "category": rules.category, "list": [[row[0], *["0"] * 4] for row in rows]}


@public("/v5/market/account-ratio")
def _ratio(rest: Rest, call: Call) -> Json:
    """Of the accounts here that hold anything, as it is now: the past is not kept."""
    rules, length = named(rest, call), INTEREST_MS.get(call.params.need("period"))
    if length is None:
        raise bad("params error: period is invalid")
    exchange, now = rest.desk.exchange, rest.now_ms()
    held = [
        sum((one.quantity for one in exchange.positions(name) if one.symbol == rules.symbol), ZERO)
        for name in rest.desk.accounts
    ]
    long, some = sum(quantity > 0 for quantity in held), sum(quantity != 0 for quantity in held)
    if not some:
        return {"list": [], "nextPageCursor": ""}
    parts = {"buyRatio": f"{long / some:.4f}", "sellRatio": f"{1 - long / some:.4f}"}
    return {"list": [{"symbol": rules.name, **parts, "timestamp": str(now - now % length)}], "nextPageCursor": ""}


@public("/v5/market/rpi_orderbook")
def _retail_book(rest: Rest, call: Call) -> Json:
    """The book, with nothing of retail price improvement in it."""
    if call.params.integer("limit") is None:
        raise bad("params error: limit is invalid")
    book = rest.market.book(named(rest, call, "linear"), call.params.limit(MOST_LEVELS, MOST_LEVELS))
    return book | {side: [[price, size, "0"] for price, size in book[side]] for side in ("a", "b")}


@public("/v5/market/insurance")
def _insurance(rest: Rest, call: Call) -> Json:
    return {"updatedTime": str(rest.now_ms()), "list": []}


@public("/v5/market/adlAlert")
def _deleveraging(rest: Rest, call: Call) -> Json:
    return {"updatedTime": str(rest.now_ms()), "list": []}


@public("/v5/market/delivery-price")
def _deliveries(rest: Rest, call: Call) -> Json:
    return {"category": check_category(call.params.need("category")), "nextPageCursor": "", "list": []}


# --- positions ----------------------------------------------------------------------------------------------


@route("POST", "/v5/position/set-tpsl-mode", group=Group.POSITION)
def _protection_mode(rest: Rest, call: Call) -> Json:
    """Each take profit and stop loss has its own mode by now: it is taken and shown, and changes nothing."""
    named(rest, call)
    mode = call.params.need("tpSlMode")
    if mode not in ("Full", "Partial"):
        raise bad("params error: tpSlMode is invalid")
    return {"tpSlMode": mode}


@route("POST", "/v5/position/set-auto-add-margin", group=Group.POSITION)
def _auto_margin(rest: Rest, call: Call) -> Json:
    """For isolated positions alone, whose margin cannot be changed here."""
    named(rest, call)
    if call.params.integer("autoAddMargin") == 0:
        return {}
    raise Refusal(10001, message="Adding margin to a position is not part of this rehearsal.")


@route("POST", "/v5/position/add-margin", group=Group.POSITION)
def _add_margin(rest: Rest, call: Call) -> Json:
    named(rest, call)
    raise Refusal(10001, message="Adding margin to a position is not part of this rehearsal.")


# --- the account --------------------------------------------------------------------------------------------


@route("GET", "/v5/account/withdrawal")
def _withdrawable(rest: Rest, call: Call) -> Json:
    """What of each coin is free."""
    coins = [coin for coin in call.params.need("coinName").split(",") if coin]
    exchange, name = rest.desk.exchange, call.account.name
    free = {coin: max(ZERO, exchange.pool(name, coin).available) for coin in coins if coin in exchange.wallets(name)}
    told = {coin: money(free.get(coin, ZERO)) for coin in coins}
    return {"availableWithdrawal": told[coins[0]] if coins else "", "availableWithdrawalMap": told}


@route("GET", "/v5/account/user-setting-config")
def _settings(rest: Rest, call: Call) -> Json:
    return {"lpaSpot": False, "lpaPerp": False, "smsef": False, "fmsef": False}


@route("GET", "/v5/account/smp-group", message="success")
def _self_match_group(rest: Rest, call: Call) -> Json:
    return {"smpGroup": 0}


@route("GET", "/v5/account/query-dcp-info", message="success")
def _disconnect_protection(rest: Rest, call: Call) -> Json:
    """It is for institutions, and no account here is one."""
    return {"dcpInfos": []}


# --- of which there is never anything -----------------------------------------------------------------------

EMPTY = {
    # path: what its list is called
    "/v5/account/borrow-history": "list",
    "/v5/account/contract-transaction-log": "list",
    "/v5/asset/coin-greeks": "list",
    "/v5/asset/delivery-record": "list",
    "/v5/asset/settlement-record": "list",
    "/v5/asset/transfer/query-inter-transfer-list": "list",
    "/v5/asset/transfer/query-transfer-coin-list": "list",
    "/v5/asset/transfer/query-universal-transfer-list": "list",
    "/v5/position/move-history": "list",
    "/v5/asset/deposit/query-record": "rows",
    "/v5/asset/deposit/query-internal-record": "rows",
    "/v5/asset/withdraw/query-record": "rows",
    "/v5/user/query-sub-members": "subMembers",
    "/v5/user/submembers": "subMembers",
}


def _empty(name: str) -> Act:
    def tell(rest: Rest, call: Call) -> Json:
        return {name: [], "nextPageCursor": ""}

    return tell


for _path, _name in EMPTY.items():
    route("GET", _path)(_empty(_name))
