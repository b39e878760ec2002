"""The P&L plant: positions and balances, as a snapshot and as they change."""

from __future__ import annotations

from typing import Any

from copydesk.model import Balance, Position
from copydesk_paper.records import AccountReport

from copydesk_rithmic.rehearsal.desk import Account, Desk
from copydesk_rithmic.rehearsal.links import PNL
from copydesk_rithmic.rehearsal.server import Call, House, Routes

INSTRUMENT, ACCOUNT = 450, 451
SUBSCRIBE = 1


def subscribe(call: Call) -> None:
    account = call.account
    (call.link.pnl.add if call.message.request == SUBSCRIBE else call.link.pnl.discard)(account)
    call.done()


def snapshot(call: Call) -> None:
    account, desk = call.account, call.house.desk
    for position in desk.exchange.positions(account.name):
        call.link.tell(INSTRUMENT, is_snapshot=True, **of_position(desk, account, position))
    call.link.tell(ACCOUNT, is_snapshot=True, **of_balance(desk, account, desk.exchange.balance(account.name)))
    call.done()


def on_account(house: House, report: AccountReport) -> None:
    """Tell the positions and the balance that changed."""
    account = house.desk.accounts[report.account]
    for position in report.positions:
        fields = of_position(house.desk, account, position)
        house.links.tell(lambda link: account in link.pnl, account.name, INSTRUMENT, fields)
    fields = of_balance(house.desk, account, report.balance)
    house.links.tell(lambda link: account in link.pnl, account.name, ACCOUNT, fields)


def of_position(desk: Desk, account: Account, position: Position) -> dict[str, Any]:
    """The fields of 450."""
    exchange, _, symbol = position.symbol.partition(":")
    held = int(position.quantity)
    return {
        "fcm_id": account.fcm,
        "ib_id": account.ib,
        "account_id": account.name,
        "symbol": symbol,
        "exchange": exchange,
        "product_code": desk.product(position.symbol),
        "instrument_type": "Future",
        "buy_qty": max(held, 0),
        "sell_qty": max(-held, 0),
        "avg_open_fill_price": float(position.entry_price),
        "open_position_pnl": f"{position.unrealised:f}",
        "open_position_quantity": abs(held),
        "net_quantity": held,
        **desk.stamp(),
    }


def of_balance(desk: Desk, account: Account, balance: Balance) -> dict[str, Any]:
    """The fields of 451. Its money is text."""
    return {
        "fcm_id": account.fcm,
        "ib_id": account.ib,
        "account_id": account.name,
        "account_balance": f"{balance.equity:f}",
        "cash_on_hand": f"{balance.cash:f}",
        "open_position_pnl": f"{balance.equity - balance.cash:f}",
        "margin_balance": f"{balance.available:f}",
        "available_buying_power": f"{balance.available:f}",
        "used_buying_power": f"{balance.equity - balance.available:f}",
        **desk.stamp(),
    }


HERE = frozenset({PNL})
ROUTES: Routes = {400: (HERE, subscribe), 402: (HERE, snapshot)}
