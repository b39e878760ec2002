"""REST paths that bots call beside trading, and those of which there is nothing here. Source: the published swagger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from copydesk_bitmex.rehearsal import wire
from copydesk_bitmex.rehearsal.asked import Refusal
from copydesk_bitmex.rehearsal.rest import Call, public, route, time_of

PERMISSIONS = ["order"]
DAY_S = timedelta(days=1).total_seconds()


@route("POST", "/order/cancelAllAfter", trades=True)
def cancel_all_after(call: Call) -> Any:
    """A dead man's switch: unless it is called again in time, all orders are cancelled."""
    timeout = str(call.given.get("timeout"))
    if not timeout.isdecimal():
        raise Refusal("timeout is invalid")
    return call.venue.cancel_all_after(call.account, int(timeout))


@route("GET", "/user/executionHistory")
def execution_history(call: Call) -> Any:
    """The executions of one day in one symbol."""
    symbol, day = call.venue.instrument(call.symbol).symbol, time_of(call.given.get("timestamp")) // DAY_S
    return [row for row in call.account.executions if row["symbol"] == symbol and time_of(row["timestamp"]) // DAY_S == day]


@route("GET", "/apiKey")
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


NOTHING_FOR_ALL = (
    "/announcement",
    "/funding",
    "/instrument/compositeIndex",
    "/insurance",
    "/leaderboard",
    "/liquidation",
    "/settlement",
)
NOTHING_OF_AN_ACCOUNT = ("/announcement/urgent", "/globalNotification", "/userAffiliates", "/address")


def _nothing(call: Call) -> Any:
    return []


for _path in NOTHING_FOR_ALL:
    public(_path)(_nothing)
for _path in NOTHING_OF_AN_ACCOUNT:
    route("GET", _path)(_nothing)
