"""Records into Binance's JSON: balances, positions, and what is told of accounts. Numbers are written as in `wire`."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from copydesk.model import ZERO, Balance, Position, PositionSide
from copydesk_paper.records import AccountReport, Cause

from copydesk_binance.rehearsal.listing import MAINTENANCE_RATIO, MAX_NOTIONAL, Rules
from copydesk_binance.rehearsal.wire import POSITION_SIDES, Json, bare, bare_money, money, padded

REASONS = {
    Cause.ORDER: "ORDER",
    Cause.DEPOSIT: "DEPOSIT",
    Cause.WITHDRAW: "WITHDRAW",
    Cause.FUNDING: "FUNDING_FEE",
    Cause.LIQUIDATION: "ORDER",
    Cause.MARGIN_TYPE: "MARGIN_TYPE_CHANGE",
}


def account_event(
    report: AccountReport,
    *,
    asset: str,
    isolated: Iterable[str],
    realised: dict[tuple[str, PositionSide], Decimal],
    now_ms: int,
) -> Json:
    """`ACCOUNT_UPDATE`. `realised` is what each position has earned so far, before fees."""
    separate = set(isolated)
    cash = report.balance.cash
    change = ZERO if report.cause in (Cause.ORDER, Cause.LIQUIDATION) else report.change
    locked = sum((isolated_wallet(one) for one in report.positions if one.symbol in separate), ZERO)
    return {
        "e": "ACCOUNT_UPDATE",
        "T": report.time_ms,
        "E": now_ms,
        "a": {
            "B": [{"a": asset, "wb": money(cash), "cw": money(cash - locked), "bc": bare_money(change)}],
            "P": [
                {
                    "s": position.symbol,
                    "pa": bare(position.quantity),
                    "ep": bare(position.entry_price),
                    "bep": bare(position.entry_price),
                    "cr": bare(realised.get((position.symbol, position.position_side))),
                    "up": bare_money(position.unrealised),
                    "mt": "isolated" if position.symbol in separate else "cross",
                    "iw": bare_money(isolated_wallet(position)) if position.symbol in separate else "0",
                    "ps": POSITION_SIDES[position.position_side],
                    "ma": asset,
                }
                for position in report.positions
            ],
            "m": REASONS.get(report.cause, "ADJUSTMENT"),
        },
    }


def leverage_event(symbol: str, leverage: int, time_ms: int, now_ms: int) -> Json:
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": time_ms, "ac": {"s": symbol, "l": leverage}}


def multi_assets_event(on: bool, now_ms: int) -> Json:
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now_ms, "T": now_ms, "ai": {"j": on}}


def listen_key_expired(listen_key: str, now_ms: int) -> Json:
    """As recorded: the only event whose time is a string."""
    return {"e": "listenKeyExpired", "E": str(now_ms), "listenKey": listen_key}


def notional(position: Position) -> Decimal:
    return position.quantity * position.mark_price


def initial_margin(position: Position) -> Decimal:
    return abs(notional(position)) / (position.leverage or 1)


def maintenance_margin(position: Position) -> Decimal:
    return abs(notional(position)) * Decimal(str(MAINTENANCE_RATIO))


def isolated_wallet(position: Position) -> Decimal:
    return abs(position.quantity) * position.entry_price / (position.leverage or 1)


def balance_row(balance: Balance, alias: str) -> Json:
    return {
        "accountAlias": alias,
        "asset": balance.currency,
        "balance": money(balance.cash),
        "crossWalletBalance": money(balance.cash),
        "crossUnPnl": money(balance.equity - balance.cash),
        "availableBalance": money(balance.available),
        "maxWithdrawAmount": money(min(balance.available, balance.cash)),
        "marginAvailable": True,
        "updateTime": balance.time_ms,
    }


def totals(balance: Balance, positions: Iterable[Position]) -> dict[str, str]:
    """The account's sums, by the endings of their names in the account reply."""
    held = list(positions)
    bound = max(ZERO, balance.equity - balance.available)
    in_positions = min(bound, sum(map(initial_margin, held), ZERO))
    unrealised = balance.equity - balance.cash
    return {
        "InitialMargin": money(bound),
        "MaintMargin": money(sum(map(maintenance_margin, held), ZERO)),
        "WalletBalance": money(balance.cash),
        "UnrealizedProfit": money(unrealised),
        "MarginBalance": money(balance.equity),
        "PositionInitialMargin": money(in_positions),
        "OpenOrderInitialMargin": money(bound - in_positions),
        "CrossWalletBalance": money(balance.cash),
        "CrossUnPnl": money(unrealised),
    }


def account_reply(
    balance: Balance, positions: list[Position], rows: list[Json], *, version: int, multi_assets: bool
) -> Json:
    """`GET /fapi/v2/account` and `v3`; `rows` are the positions in that version's form."""
    sums = totals(balance, positions)
    available, withdrawable = money(balance.available), money(min(balance.available, balance.cash))
    asset: Json = {"asset": balance.currency}
    asset |= {name[0].lower() + name[1:]: value for name, value in sums.items()}
    asset = {name: asset[name] for name in _ASSET_FIELDS}
    asset |= {"availableBalance": available, "maxWithdrawAmount": withdrawable}
    if version < 3:
        asset["marginAvailable"] = True
    asset["updateTime"] = balance.time_ms
    head: Json = {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "updateTime": 0,
        "multiAssetsMargin": multi_assets,
        "tradeGroupId": -1,
    }
    return {
        **(head if version < 3 else {}),
        **{f"total{name}": value for name, value in sums.items()},
        "availableBalance": available,
        "maxWithdrawAmount": withdrawable,
        "assets": [asset],
        "positions": rows,
    }


_ASSET_FIELDS = (
    "asset",
    "walletBalance",
    "unrealizedProfit",
    "marginBalance",
    "maintMargin",
    "initialMargin",
    "positionInitialMargin",
    "openOrderInitialMargin",
    "crossWalletBalance",
    "crossUnPnl",
)


def account_position_row(position: Position, rules: Rules, *, isolated: bool, version: int, updated_ms: int) -> Json:
    """A position inside the account reply."""
    margin, maintenance = bare_money(initial_margin(position)), bare_money(maintenance_margin(position))
    wallet = bare_money(isolated_wallet(position)) if isolated else "0"
    if version >= 3:
        return {
            "symbol": position.symbol,
            "positionSide": POSITION_SIDES[position.position_side],
            "positionAmt": padded(position.quantity, rules.quantity_places),
            "unrealizedProfit": money(position.unrealised),
            "isolatedMargin": money(isolated_wallet(position) + position.unrealised) if isolated else "0.00000000",
            "notional": bare_money(notional(position)),
            "isolatedWallet": wallet,
            "initialMargin": margin,
            "maintMargin": maintenance,
            "updateTime": updated_ms,
        }
    return {
        "symbol": position.symbol,
        "initialMargin": margin,
        "maintMargin": maintenance,
        "unrealizedProfit": money(position.unrealised),
        "positionInitialMargin": margin,
        "openOrderInitialMargin": "0",
        "leverage": bare(position.leverage),
        "isolated": isolated,
        "entryPrice": bare_entry(position),
        "breakEvenPrice": bare_entry(position),
        "maxNotional": bare(MAX_NOTIONAL),
        "bidNotional": "0",
        "askNotional": "0",
        "positionSide": POSITION_SIDES[position.position_side],
        "positionAmt": padded(position.quantity, rules.quantity_places),
        "notional": bare_money(notional(position)),
        "isolatedWallet": wallet,
        "updateTime": updated_ms,
    }


def bare_entry(position: Position) -> str:
    return bare(position.entry_price) if position.quantity else "0.0"


def position_row(position: Position, rules: Rules, *, isolated: bool, version: int, updated_ms: int) -> Json:
    """A position as `positionRisk` shows it."""
    held: Json = {
        "symbol": position.symbol,
        "positionSide": POSITION_SIDES[position.position_side],
        "positionAmt": padded(position.quantity, rules.quantity_places),
        "entryPrice": bare_entry(position),
        "breakEvenPrice": bare_entry(position),
        "markPrice": money(position.mark_price),
        "unRealizedProfit": money(position.unrealised),
        "liquidationPrice": bare_money(position.liquidation_price),
        "isolatedMargin": money(isolated_wallet(position) + position.unrealised) if isolated else "0",
        "notional": bare_money(notional(position)),
    }
    wallet = bare_money(isolated_wallet(position)) if isolated else "0"
    if version >= 3:
        margin = bare_money(initial_margin(position))
        return held | {
            "marginAsset": rules.instrument.settle,
            "isolatedWallet": wallet,
            "initialMargin": margin,
            "maintMargin": bare_money(maintenance_margin(position)),
            "positionInitialMargin": margin,
            "openOrderInitialMargin": "0",
            "adl": 1 if position.quantity else 0,
            "bidNotional": "0",
            "askNotional": "0",
            "updateTime": updated_ms,
        }
    return held | {
        "isolatedMargin": money(isolated_wallet(position) + position.unrealised) if isolated else "0.00000000",
        "leverage": bare(position.leverage),
        "maxNotionalValue": bare(MAX_NOTIONAL),
        "marginType": "isolated" if isolated else "cross",
        "isAutoAddMargin": "false",
        "isolatedWallet": wallet,
        "updateTime": updated_ms,
        "isolated": isolated,
        "adlQuantile": 1 if position.quantity else 0,
    }
