"""REST paths that bots call beside trading, and those of which there is nothing here. Source: the published swagger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from copydesk_bitmex.rehearsal import wire
from copydesk_bitmex.rehearsal.asked import Refusal
from copydesk_bitmex.rehearsal.description import TABLE
from copydesk_bitmex.rehearsal.rest import Call, public, route, time_of

PERMISSIONS = ["order"]
DAY_S = timedelta(days=1).total_seconds()


@route("POST", "/order/cancelAllAfter", "Order.cancelAllAfter", "timeout!", trades=True)
def cancel_all_after(call: Call) -> Any:
    """A dead man's switch: unless it is called again in time, all orders are cancelled."""
    timeout = str(call.given.get("timeout"))
    if not timeout.isdecimal():
        raise Refusal("timeout is invalid")
    return call.venue.cancel_all_after(call.account, int(timeout))


@route("GET", "/user/executionHistory", "User.getExecutionHistory", "symbol! timestamp!", "Execution[]")
def execution_history(call: Call) -> Any:
    """The executions of one day in one symbol."""
    symbol, day = call.venue.instrument(call.symbol).symbol, time_of(call.given.get("timestamp")) // DAY_S
    return [row for row in call.account.executions if row["symbol"] == symbol and time_of(row["timestamp"]) // DAY_S == day]


@route("GET", "/apiKey", "APIKey.get", "reverse", "APIKey[]")
def keys(call: Call) -> Any:
    account = call.account
    return [
        {
            "id": account.key,
            "secret": None,
            "name": account.name,
            "nonce": 0,
            "cidr": "0.0.0.0/0",
            "permissions": PERMISSIONS,
            "enabled": True,
            "userId": account.number,
            "created": wire.iso(0),
        }
    ]


# --- what is always empty here ------------------------------------------------------------------------------


def _nothing(call: Call) -> Any:
    return []


NOTHING_FOR_ALL = {
    "/announcement": ("Announcement.get", "columns"),
    "/funding": ("Funding.get", TABLE),
    "/instrument/compositeIndex": ("Instrument.getCompositeIndex", TABLE),
    "/insurance": ("Insurance.get", TABLE),
    "/leaderboard": ("Leaderboard.get", "method"),
    "/liquidation": ("Liquidation.get", TABLE),
    "/settlement": ("Settlement.get", TABLE),
}
NOTHING_OF_AN_ACCOUNT = {
    "/announcement/urgent": ("Announcement.getUrgent", ""),
    "/globalNotification": ("GlobalNotification.get", ""),
    "/userAffiliates": ("UserAffiliates.get", ""),
    "/address": ("Address.get", ""),
    "/user/walletHistory": ("User.getWalletHistory", "currency reverse"),
    "/user/walletSummary": ("User.getWalletSummary", "currency startTime endTime"),
    "/user/tradingVolume": ("User.getTradingVolume", ""),
}
for _path, (_name, _takes) in NOTHING_FOR_ALL.items():
    public(_path, _name, _takes, "x-any[]")(_nothing)
for _path, (_name, _takes) in NOTHING_OF_AN_ACCOUNT.items():
    route("GET", _path, _name, _takes, "x-any[]")(_nothing)
