"""The order plant: who one is, accounts, routes, limits, orders, brackets, lists and histories."""

from __future__ import annotations

import datetime
from typing import Any

from copydesk_rithmic.rehearsal.desk import Account, Basket, Bracket, Refusal
from copydesk_rithmic.rehearsal.links import ORDER
from copydesk_rithmic.rehearsal.notices import BRACKET
from copydesk_rithmic.rehearsal.products import MOST
from copydesk_rithmic.rehearsal.server import Call, Routes

TRADER = 3
TARGETS, STOPS = frozenset({2, 3, 5, 6}), frozenset({1, 3, 4, 6})
"""Bracket types that have a target, and those that have a stop."""
COMMISSION = "0.00"
ENABLED, DISABLED = 1, 2
ROW_LIMITS = {"BUY_LIMIT": 1, "SELL_LIMIT": 2, "MAX_ORDER_QUANTITY": 8}
MARGINS = {"BUY_MARGIN_RATE": 16, "SELL_MARGIN_RATE": 32}
FILL_COLUMNS = (
    *("basket_id", "sequence_number", "orig_sequence_number", "cor_sequence_number", "fcm_id", "ib_id", "account_id"),
    *("symbol", "exchange", "trade_exchange", "trade_route", "exchange_order_id", "instrument_type"),
    *("fill_time", "fill_date", "fill_id", "price", "trigger_price", "fill_price", "avg_fill_price"),
    *("fill_size", "total_fill_size", "total_unfilled_size", "ssboe", "usecs"),
)
"""What a fill's 352 and its row in the history have in common."""


# --- who one is ---


def login_info(call: Call) -> None:
    user, house = call.user, call.house
    call.done(
        fcm_id=user.accounts[0].fcm,
        ib_id=user.accounts[0].ib,
        user=user.name,
        first_name="Jo",
        last_name="Rehearsal",
        user_type=TRADER,
        order_copy_status=house.order_copy,
        country_code="US",
        state_code="NY",
        tp_max_session_count=house.sessions,
        op_max_session_count=house.sessions,
    )


def account_list(call: Call) -> None:
    for account in call.user.accounts:
        currency = call.house.desk.exchange.balance(account.name).currency
        call.row(
            fcm_id=account.fcm,
            ib_id=account.ib,
            account_id=account.name,
            account_name=account.name,
            account_currency=currency,
        )
    call.done()


def trade_routes(call: Call) -> None:
    for exchange, route in call.house.desk.routes.items():
        for fcm, ib in dict.fromkeys((account.fcm, account.ib) for account in call.user.accounts):
            call.row(fcm_id=fcm, ib_id=ib, exchange=exchange, trade_route=route, status="UP", is_default=True)
            call.row(fcm_id=fcm, ib_id=ib, exchange=exchange, trade_route=f"{route}-backup", status="DOWN")
    call.done()


def account_rms(call: Call) -> None:
    for account in call.user.accounts:
        call.row(
            presence_bits=sum(ROW_LIMITS.values()) | 128 | 256,
            fcm_id=account.fcm,
            ib_id=account.ib,
            account_id=account.name,
            currency=call.house.desk.exchange.balance(account.name).currency,
            status="active",
            auto_liquidate=DISABLED,
            buy_limit=int(MOST),
            sell_limit=int(MOST),
            max_order_quantity=int(MOST),
        )
    call.done()


def product_rms(call: Call) -> None:
    account, desk = call.account, call.house.desk
    for symbol, instrument in desk.exchange.instruments.items():
        margin = float(
            desk.exchange.last_price(symbol) * instrument.contract_size / desk.exchange.leverage(account.name, symbol)
        )
        call.row(
            presence_bits=sum(ROW_LIMITS.values()) | sum(MARGINS.values()),
            fcm_id=account.fcm,
            ib_id=account.ib,
            account_id=account.name,
            product_code=desk.product(symbol),
            buy_margin_rate=margin,
            sell_margin_rate=margin,
            buy_limit=int(MOST),
            sell_limit=int(MOST),
            max_order_quantity=int(MOST),
        )
    call.done()


def subscribe_orders(call: Call) -> None:
    call.link.orders.add(call.account)
    call.done()


def subscribe_brackets(call: Call) -> None:
    call.link.brackets.add(call.account)
    call.done()


def permissions(call: Call) -> None:
    for exchange in call.house.desk.routes:
        call.row(exchange=exchange, level_1_market_data="yes", level_2_market_data="yes", entitlement_flag=ENABLED)
    call.done()


# --- orders ---


async def new_order(call: Call) -> None:
    await _take(call, None)


async def bracket_order(call: Call) -> None:
    message = call.message
    type_ = message.bracket_type
    bracket = Bracket(
        type=type_,
        stop_ticks=message.stop_ticks if type_ in STOPS else 0,
        target_ticks=message.target_ticks if type_ in TARGETS else 0,
        stop_quantity=message.stop_quantity,
        target_quantity=message.target_quantity,
    )
    if not bracket.stop_ticks and not bracket.target_ticks:
        raise Refusal("6", "bad input: a bracket needs a stop or a target")
    await _take(call, bracket)


async def _take(call: Call, bracket: Bracket | None) -> None:
    """Two messages answer an order: the basket with the tag, and the end."""
    account, house = call.account, call.house
    basket_id = await house.misbehaviour.trade(
        account.name, lambda: house.desk.place(call.user, account, call.message, bracket)
    )
    _answer_basket(call, basket_id, user_tag=call.message.user_tag or None)


async def modify(call: Call) -> None:
    account, desk = call.account, call.house.desk
    refusal = await call.house.misbehaviour.trade(account.name, lambda: desk.modify(account, call.message))
    basket_id = call.message.basket_id
    _answer_basket(call, basket_id)
    basket, order = desk.baskets[basket_id], desk.order(basket_id)
    if refusal is None:
        return
    for template_id, fields in call.house.notices.refused_change(basket_id, basket, order, refusal):
        tell_order(call, account, template_id, fields)


def tell_order(call: Call, account: Account, template_id: int, fields: dict[str, Any]) -> None:
    call.house.links.tell(lambda link: account in link.orders, account.name, template_id, fields)


async def cancel(call: Call) -> None:
    account, basket_id = call.account, call.message.basket_id
    await call.house.misbehaviour.trade(account.name, lambda: call.house.desk.cancel(account, basket_id))
    _answer_basket(call, basket_id)


def _answer_basket(call: Call, basket_id: str, **more: Any) -> None:
    call.row(basket_id=basket_id, **more, **call.house.desk.stamp())
    call.done()


async def cancel_all(call: Call) -> None:
    account, desk = call.account, call.house.desk

    def act() -> None:
        for basket_id, _, _ in desk.orders(account):
            if desk.order(basket_id).is_working:  # a cancelled leg takes its fellow away
                desk.cancel(account, basket_id)

    await call.house.misbehaviour.trade(account.name, act)
    call.done()


async def exit_position(call: Call) -> None:
    account, message, desk = call.account, call.message, call.house.desk
    wanted = f"{message.exchange}:{message.symbol}" if message.symbol else ""
    held = [one for one in desk.exchange.positions(account.name) if wanted in ("", one.symbol)]
    if not held:
        raise Refusal("7", "no data")

    def act() -> None:
        for position in held:
            desk.exit(call.user, account, position, message.manual_or_auto)

    await call.house.misbehaviour.trade(account.name, act)
    for position in held:
        exchange, _, symbol = position.symbol.partition(":")
        call.row(symbol=symbol, exchange=exchange)
    call.done()


# --- brackets ---


def target_level(call: Call) -> None:
    call.house.brackets.level(call.account, call.message.basket_id, target_ticks=call.message.target_ticks)
    call.done()


def stop_level(call: Call) -> None:
    call.house.brackets.level(call.account, call.message.basket_id, stop_ticks=call.message.stop_ticks)
    call.done()


def brackets(call: Call) -> None:
    for basket_id, bracket in _brackets(call):
        if bracket.target_ticks:
            call.row(
                basket_id=basket_id,
                target_quantity=str(bracket.target_quantity),
                target_quantity_released=str(bracket.released),
                target_ticks=str(bracket.target_ticks),
            )
    call.done()


def bracket_stops(call: Call) -> None:
    for basket_id, bracket in _brackets(call):
        if bracket.stop_ticks:
            call.row(
                basket_id=basket_id,
                stop_quantity=str(bracket.stop_quantity),
                stop_quantity_released=str(bracket.released),
                stop_ticks=str(bracket.stop_ticks),
            )
    call.done()


def _brackets(call: Call) -> list[tuple[str, Bracket]]:
    every = call.house.desk.orders(call.account)
    return [(basket_id, basket.bracket) for basket_id, basket, _ in every if basket.bracket is not None]


def bracket_update(account: Account, basket_id: str, bracket: Bracket) -> tuple[int, dict[str, Any]]:
    """353: how far a bracket is."""
    return BRACKET, {
        "fcm_id": account.fcm,
        "ib_id": account.ib,
        "account_id": account.name,
        "basket_id": basket_id,
        "stop_ticks": bracket.stop_ticks,
        "stop_quantity": bracket.stop_quantity,
        "stop_quantity_released": bracket.released if bracket.stop_ticks else 0,
        "target_ticks": bracket.target_ticks,
        "target_quantity": bracket.target_quantity,
        "target_quantity_released": bracket.released if bracket.target_ticks else 0,
    }


# --- lists and histories ---


def show_orders(call: Call) -> None:
    """The working orders: their rows are 352 that say so, without `user_msg`."""
    account = call.account
    for _, basket, order in call.house.desk.orders(account):
        if order.is_working:
            _show(call, basket, order)
    call.done()


def history_dates(call: Call) -> None:
    days = {_day(order.created_ms) for account in call.user.accounts for _, _, order in call.house.desk.orders(account)}
    if days:
        call.row(date=sorted(days))
    call.done()


def history_summary(call: Call) -> None:
    """All orders of a day, one row each."""
    for _, basket, order in call.house.desk.orders(call.account):
        if _day(order.created_ms) == call.message.date:
            _show(call, basket, order)
    call.done()


def _show(call: Call, basket: Basket, order: Any) -> None:
    template_id, fields = call.house.notices.row(basket, order)
    call.link.tell(template_id, **fields)


def replay_executions(call: Call) -> None:
    """The fills between two moments (seconds, both included), as they were told."""
    first, last = call.message.start_index, call.message.finish_index
    every = call.house.notices.executions.get(call.account, [])
    found = [fields for fields in every if first <= fields["ssboe"] <= last]
    if not found:
        raise Refusal("7", "no data")
    for fields in found:
        call.link.tell(352, **fields, is_snapshot=True)
    call.done()


def fill_history(call: Call) -> None:
    """The same as a table, without user tags."""
    first, last, most = call.message.start_index, call.message.finish_index, call.message.max_record_count
    words = {
        "transaction_type": {1: "BUY", 2: "SELL"},
        "duration": {1: "DAY", 2: "GTC", 3: "IOC", 4: "FOK"},
        "price_type": {1: "LIMIT", 2: "MARKET", 3: "STOP LIMIT", 4: "STOP MARKET", 5: "MIT", 6: "LIT"},
        "manual_or_auto": {1: "MANUAL", 2: "AUTO"},
    }
    every = call.house.notices.executions.get(call.account, [])
    found = [fields for fields in every if first <= fields["ssboe"] <= last]
    for fields in found[: most or None]:
        row = {name: fields[name] for name in FILL_COLUMNS if name in fields}
        row |= {name: table.get(fields[name], "") for name, table in words.items()}
        call.row(**row, orig_price_type=words["price_type"].get(fields["orig_price_type"], ""))
    call.done()


def _day(at_ms: int) -> str:
    return datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC).strftime("%Y%m%d")


HERE = frozenset({ORDER})
ROUTES: Routes = {
    300: (HERE, login_info),
    302: (HERE, account_list),
    304: (HERE, account_rms),
    306: (HERE, product_rms),
    308: (HERE, subscribe_orders),
    310: (HERE, trade_routes),
    312: (HERE, new_order),
    314: (HERE, modify),
    316: (HERE, cancel),
    318: (HERE, history_dates),
    320: (HERE, show_orders),
    324: (HERE, history_summary),
    330: (HERE, bracket_order),
    332: (HERE, target_level),
    334: (HERE, stop_level),
    336: (HERE, subscribe_brackets),
    338: (HERE, brackets),
    340: (HERE, bracket_stops),
    342: (frozenset(), permissions),
    346: (HERE, cancel_all),
    3504: (HERE, exit_position),
    3506: (HERE, replay_executions),
    3512: (HERE, fill_history),
}
