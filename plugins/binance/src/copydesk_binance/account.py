"""What Binance USD-M futures tell of an account, and what they list, as copydesk's records. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copydesk.model import (
    Balance,
    Contract,
    Instrument,
    LeverageChange,
    MarginSetting,
    Position,
    PositionSide,
    Record,
)

from copydesk_binance.fields import (
    Params,
    Payload,
    need,
    need_number,
    number_or_zero,
    object_of,
    rows,
    text_of,
    whole,
    word_of,
    word_or,
)
from copydesk_binance.translate import POSITION_SIDES

# --- the account --------------------------------------------------------------------------------------------


class AccountUpdate(Record):
    """What one ACCOUNT_UPDATE tells: wallet balances by asset and positions that changed, as they are now."""

    cause: str
    wallets: dict[str, Decimal] = {}
    positions: tuple[Position, ...] = ()
    time_ms: int = 0


def account_update(event: Payload, account: str = "") -> AccountUpdate:
    """An ACCOUNT_UPDATE. Positions carry no mark price, leverage or liquidation price: the venue sends none."""
    body = object_of(need(object_of(event, "an account update"), "a"), "an account update")
    return AccountUpdate(
        cause=str(body.get("m") or ""),
        wallets={text_of(row, "a"): need_number(row, "wb") for row in rows(body.get("B") or [], "balances")},
        positions=tuple(position_update(row, account) for row in rows(body.get("P") or [], "positions")),
        time_ms=whole(event, "T", "E"),
    )


def position_update(payload: Any, account: str = "") -> Position:
    """One position inside an ACCOUNT_UPDATE."""
    body = object_of(payload, "a position")
    return Position(
        account=account,
        symbol=text_of(body, "s"),
        position_side=word_of(body, POSITION_SIDES, "ps"),
        quantity=need_number(body, "pa"),
        entry_price=number_or_zero(body, "ep"),
        unrealised=number_or_zero(body, "up"),
    )


def position(payload: Any, account: str = "") -> Position:
    """A row of positionRisk (v1 to v3) or of an account's positions. v3 tells no leverage: it follows from the margin."""
    body = object_of(payload, "a position")
    leverage = number_or_zero(body, "leverage")
    margin = number_or_zero(body, "positionInitialMargin")
    if not leverage and margin > 0:
        leverage = (abs(number_or_zero(body, "notional")) / margin).quantize(Decimal(1))
    return Position(
        account=account,
        symbol=text_of(body, "symbol"),
        position_side=word_or(body, POSITION_SIDES, "positionSide", PositionSide.NET),
        quantity=need_number(body, "positionAmt"),
        entry_price=number_or_zero(body, "entryPrice"),
        mark_price=number_or_zero(body, "markPrice"),
        unrealised=number_or_zero(body, "unRealizedProfit", "unrealizedProfit"),
        leverage=leverage,
        liquidation_price=number_or_zero(body, "liquidationPrice"),
    )


def balance(payload: Any, account: str = "", currency: str = "USDT", time_ms: int = 0) -> Balance:
    """An account (v1 to v3): equity is the margin balance, cash the wallet balance, both over all that counts as margin."""
    body = object_of(payload, "an account")
    return Balance(
        account=account,
        currency=currency,
        equity=need_number(body, "totalMarginBalance"),
        cash=need_number(body, "totalWalletBalance"),
        available=need_number(body, "availableBalance", "maxWithdrawAmount"),
        time_ms=time_ms,
    )


def asset_balance(payload: Any, account: str = "") -> Balance:
    """One row of the balance read: one asset's wallet."""
    body = object_of(payload, "a balance")
    cash = need_number(body, "balance")
    return Balance(
        account=account,
        currency=text_of(body, "asset"),
        equity=cash + number_or_zero(body, "crossUnPnl"),
        cash=cash,
        available=need_number(body, "availableBalance"),
        time_ms=whole(body, "updateTime"),
    )


def leverage_params(change: LeverageChange) -> Params:
    return {"symbol": change.symbol, "leverage": str(int(change.leverage))}


def margins(payload: Any) -> tuple[MarginSetting, ...]:
    """The answer to symbolConfig."""
    modes = {"CROSSED": "cross", "ISOLATED": "isolated"}
    return tuple(
        MarginSetting(
            symbol=str(row.get("symbol", "")),
            leverage=number_or_zero(row, "leverage"),
            mode=modes.get(str(row.get("marginType", "")), ""),
        )
        for row in rows(payload, "symbols' settings")
    )


def leverage_change(event: Payload) -> tuple[str, Decimal] | None:
    """An ACCOUNT_CONFIG_UPDATE: (symbol, leverage), or None where it tells of the multi-assets mode."""
    body = object_of(event, "an account setting").get("ac")
    if body is None:
        object_of(need(event, "ai"), "an account setting")
        return None
    return text_of(object_of(body, "a setting"), "s"), need_number(body, "l")


# --- the market ---------------------------------------------------------------------------------------------


def instrument(payload: Any) -> Instrument:
    """One symbol of exchangeInfo with its filters."""
    body = object_of(payload, "a symbol")
    filters = {str(row.get("filterType")): row for row in rows(need(body, "filters"), "filters")}
    lot: Payload = filters.get("LOT_SIZE", {})
    market_lot: Payload = filters.get("MARKET_LOT_SIZE", {})
    price: Payload = filters.get("PRICE_FILTER", {})
    notional: Payload = filters.get("MIN_NOTIONAL", {})
    return Instrument(
        symbol=text_of(body, "symbol"),
        base=str(body.get("baseAsset") or ""),
        quote=str(body.get("quoteAsset") or ""),
        settle=str(body.get("marginAsset") or body.get("quoteAsset") or ""),
        contract=Contract.LINEAR,
        price_tick=number_or_zero(price, "tickSize"),
        quantity_step=number_or_zero(lot, "stepSize"),
        min_quantity=number_or_zero(lot, "minQty"),
        max_quantity=number_or_zero(lot, "maxQty"),
        market_max_quantity=number_or_zero(market_lot, "maxQty"),
        min_notional=number_or_zero(notional, "notional", "minNotional"),
        trading=body.get("status", body.get("contractStatus")) == "TRADING",
    )
