"""What an account is set to: leverage and margin type of a symbol, position mode, multi-assets mode."""

from __future__ import annotations

from copydesk_paper.exchange import ExchangeRefusal

from copydesk_binance.rehearsal import wire, wire_accounts
from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal, translated
from copydesk_binance.rehearsal.listing import MAX_NOTIONAL
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.venue import Venue
from copydesk_binance.rehearsal.wire import Json


def set_leverage(venue: Venue, account: Account, params: Params) -> Json:
    """`POST /fapi/v1/leverage`."""
    symbol = venue.listing.rules(params.mandatory("symbol")).symbol
    leverage = params.integer("leverage")
    if leverage is None:
        raise Refusal(-1102, "leverage")
    before = venue.exchange.leverage(account.name, symbol)
    try:
        venue.exchange.set_leverage(account.name, symbol, leverage)
    except ExchangeRefusal as refusal:
        if refusal.detail == "insufficient-margin":
            sentence = "Leverage is smaller than permitted: insufficient margin balance"
            raise Refusal(-2028, message=sentence) from None
        raise translated(refusal, leverage) from None
    if leverage != before:
        now = venue.now_ms()
        venue.tell(account, wire_accounts.leverage_event(symbol, leverage, now, now))
    return {"symbol": symbol, "leverage": leverage, "maxNotionalValue": wire.bare(MAX_NOTIONAL)}


def set_margin_type(venue: Venue, account: Account, params: Params) -> Json:
    """`POST /fapi/v1/marginType`."""
    symbol = venue.listing.rules(params.mandatory("symbol")).symbol
    margin_type = params.mandatory("marginType")
    if margin_type not in ("ISOLATED", "CROSSED"):
        raise Refusal(-1130, "marginType")
    isolated = margin_type == "ISOLATED"
    if isolated and account.multi_assets:
        raise Refusal(-4168)
    if isolated == venue.exchange.isolated(account.name, symbol):
        raise Refusal(-4046)
    if any(position.symbol == symbol for position in venue.exchange.positions(account.name)):
        raise Refusal(-4048)
    if venue.exchange.open_orders(account.name, symbol):
        raise Refusal(-4047)
    venue.exchange.set_isolated(account.name, symbol, isolated)
    return {"code": 200, "msg": "success"}


def set_position_mode(venue: Venue, account: Account, params: Params) -> Json:
    """`POST /fapi/v1/positionSide/dual`."""
    params.mandatory("dualSidePosition")
    on = params.flag("dualSidePosition")
    if on == venue.exchange.hedge_mode(account.name):
        raise Refusal(-4059)
    if venue.exchange.open_orders(account.name):
        raise Refusal(-4067)
    if venue.exchange.positions(account.name):
        raise Refusal(-4068)
    venue.exchange.set_hedge_mode(account.name, on)
    return {"code": 200, "msg": "success"}


def set_multi_assets(venue: Venue, account: Account, params: Params) -> Json:
    """`POST /fapi/v1/multiAssetsMargin`. With one asset to trade with it makes no difference to the margin."""
    params.mandatory("multiAssetsMargin")
    on = params.flag("multiAssetsMargin")
    if on == account.multi_assets:
        raise Refusal(-4171)
    if on and any(venue.exchange.isolated(account.name, symbol) for symbol in venue.listing.symbols):
        raise Refusal(-4168)
    account.multi_assets = on
    venue.tell(account, wire_accounts.multi_assets_event(on, venue.now_ms()))
    return {"code": 200, "msg": "success"}
