"""`copydesk accounts`: the connections, what they are, and how they stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table

if TYPE_CHECKING:
    from copydesk.view import BudgetView


def accounts(context: typer.Context, as_json: Json = False) -> None:
    """List accounts: their connection and kind, closed venues, the bots that use them; with an engine their state too."""
    folder = folder_of(context)
    states = _states(folder)
    found = [{**account, **states.get(account["account"], {})} for account in configured_accounts(folder)]
    if as_json:
        print_json(found)
        return
    columns = ("account", "kind", "title", "bots", "")
    rows = [(one["account"], one["kind"], one.get("title", ""), ", ".join(one["bots"]), _remark(one)) for one in found]
    print_table(columns, rows, empty="No connections yet: add one to copydesk.toml.")


def configured_accounts(folder: Path) -> list[dict[str, Any]]:
    """Each connection of the configuration, and each account of one that a bot names."""
    from copydesk.bots import BotStore
    from copydesk.config import connection_of, load_config

    config, bots = load_config(folder), BotStore.load(folder).bots.values()
    named = {account for bot in bots for account in bot.accounts}
    keys = sorted(named | (set(config.connections) - {connection_of(account) for account in named}))
    kinds = {connection.kind: _kind(connection.kind) for connection in config.connections.values()}
    return [
        {
            "account": key,
            "connection": connection_of(key),
            "kind": config.kind_of(key),
            "options": config.connections[connection_of(key)].options,
            "bots": [bot.name for bot in bots if key in bot.accounts],
            **kinds[config.kind_of(key)],
        }
        for key in keys
    ]


def _states(folder: Path) -> dict[str, dict[str, Any]]:
    """What the engine says of its accounts by key; nothing where none runs."""
    from copydesk.datafolder import read_control

    control = read_control(folder)
    if control is None:
        return {}
    from copydesk.client import ControlClient

    with ControlClient(control.url, control.token) as client:
        return {
            view.key: {
                "state": view.state,
                "message": view.message,
                "rehearsal": view.rehearsal,
                "balance": view.balance,
                "budget": view.budget,
            }
            for view in client.accounts()
        }


def _kind(kind: str) -> dict[str, str]:
    from copydesk.errors import PluginError, UnknownKind
    from copydesk.plugins import describe_kind

    try:
        info = describe_kind(kind)
    except (UnknownKind, PluginError) as error:
        return {"problem": str(error)}
    return {"title": info.title, "closed_on": info.closed_on}


def _budget_text(budget: BudgetView) -> str:
    """How much of the venue's limits is used."""
    words = []
    if budget.requests_per_minute:
        words.append(f"{budget.requests_used} of {budget.requests_per_minute} a minute used by this {budget.scope}")
    if budget.orders_per_second:
        words.append(f"{budget.orders_used} of {budget.orders_per_second} orders a second")
    return ", ".join(words) + (f", {budget.waiting} waiting" if budget.waiting else "")


def _remark(account: dict[str, Any]) -> str:
    if "problem" in account:
        return str(account["problem"])
    words = [str(account["state"])] if "state" in account else []
    if (budget := account.get("budget")) is not None:
        words.append(_budget_text(budget))
    if account.get("message"):
        words.append(str(account["message"]))
    if account["closed_on"]:
        words.append(f"the venue closed on {account['closed_on']}: rehearsal only")
    return "; ".join(words)
