"""REST paths that bots called beside trading, and those of which there is nothing here. Source: FTX's API documentation."""

from __future__ import annotations

from typing import Any

from copydesk_ftx.rehearsal.rest import Act, Call, route
from copydesk_ftx.rehearsal.venue import Refusal


@route("GET", "/subaccounts/{nickname}/balances")
def balances(call: Call) -> Any:
    """Of one subaccount of the same key; `main` is the account itself."""
    wanted = "" if call.named["nickname"] == "main" else call.named["nickname"]
    for one in call.venue.accounts.values():
        if one.key == call.account.key and one.subaccount == wanted:
            return call.venue.balances(one)
    raise Refusal("No such subaccount")


def _nothing(call: Call) -> Any:
    return []


NOTHING: Act = _nothing
for _path in ("/expired_futures", "/lt/tokens", "/spot_margin/borrow_summary"):
    route("GET", _path, private=False)(NOTHING)
for _path in (
    "/spot_margin/borrow_history",
    "/spot_margin/borrow_rates",
    "/spot_margin/lending_history",
    "/spot_margin/lending_rates",
    "/wallet/airdrops",
    "/wallet/deposits",
    "/wallet/withdrawals",
):
    route("GET", _path)(NOTHING)
