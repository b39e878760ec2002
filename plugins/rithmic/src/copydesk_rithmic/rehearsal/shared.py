"""What every plant answers: system information, login, logout, heartbeats, and what an instrument is."""

from __future__ import annotations

from typing import Any

from copydesk_rithmic.rehearsal.desk import Desk, Refusal
from copydesk_rithmic.rehearsal.links import HISTORY, ORDER, PNL, TICKER
from copydesk_rithmic.rehearsal.products import PRODUCTS, expiry, product_of
from copydesk_rithmic.rehearsal.server import Call, Routes

FORCED_LOGOUT = 77
OTHER_SYSTEMS = ("Rithmic Test",)
PRESENCE = {
    "exchange_symbol": 1,
    "symbol_name": 2,
    "product_code": 4,
    "instrument_type": 8,
    "expiration_date": 32,
    "currency": 64,
    "ftoq_price": 512,
    "qtof_price": 1024,
    "min_qprice_change": 2048,
    "min_fprice_change": 4096,
    "single_point_value": 8192,
    "is_tradable": 65536,
    "trading_symbol": 131072,
    "trading_exchange": 262144,
}
"""The bits of 15 that say which fields it carries."""
TICK_SIZE_TYPE = 16384
"""It was seen both there and cleared."""


def system_info(call: Call) -> None:
    names = [call.house.system, *OTHER_SYSTEMS]
    call.done(system_name=names, has_aggregated_quotes=[False] * len(names))


async def login(call: Call) -> None:
    message, house = call.message, call.house
    user = house.desk.users.get(message.user)
    if call.link.plant or user is None or message.password != user.password:
        raise Refusal("13", "permission denied")
    if message.system_name != house.system:
        raise Refusal("11", "an unknown system name was used.")
    if message.infra_type not in (TICKER, ORDER, HISTORY, PNL):
        raise Refusal("6", "bad input")
    if not message.app_name or not message.app_version:
        raise Refusal("6", "bad input: app name and app version are needed")
    there = house.links.of(user, message.infra_type)
    if len(there) >= house.sessions:
        house.links.forced += 1
        there[0].tell(FORCED_LOGOUT)
        await there[0].goodbye()
    call.link.plant, call.link.user = message.infra_type, user
    first = user.accounts[0]
    call.done(
        template_version="5.27",
        fcm_id=first.fcm,
        ib_id=first.ib,
        country_code="US",
        state_code="NY",
        unique_user_id=f"rproto_rehearsal@copydesk:{house.desk.stamp()['usecs']}",
        heartbeat_interval=house.links.heartbeat_s,
    )


async def logout(call: Call) -> None:
    call.done()
    await call.link.goodbye()


def heartbeat(call: Call) -> None:
    call.done(**call.house.desk.stamp())


def reference(call: Call) -> None:
    call.done(**reference_of(call.house.desk, call.house.desk.symbol(call.message)))


def reference_of(desk: Desk, symbol: str) -> dict[str, Any]:
    """The fields of 15 of an instrument."""
    instrument = desk.exchange.instruments[symbol]
    exchange, _, contract = symbol.partition(":")
    product = PRODUCTS[product_of(contract)]
    tick, point = float(instrument.price_tick), float(instrument.contract_size)
    fields: dict[str, Any] = {
        "exchange_symbol": contract,
        "symbol_name": f"{product.title} {expiry(contract)[:6]}",
        "trading_symbol": contract,
        "trading_exchange": exchange,
        "product_code": product.code,
        "instrument_type": "Future",
        "expiration_date": expiry(contract),
        "currency": instrument.settle,
        "is_tradable": "True",
        "ftoq_price": 0.01,
        "qtof_price": 100.0,
        "min_qprice_change": tick,
        "min_fprice_change": tick * 100,
        "single_point_value": point,
    }
    bits = sum(PRESENCE[name] for name in fields) | TICK_SIZE_TYPE
    return {"symbol": contract, "exchange": exchange, "presence_bits": bits, "clear_bits": TICK_SIZE_TYPE, **fields}


EVERYWHERE: frozenset[int] = frozenset()
ROUTES: Routes = {
    10: (EVERYWHERE, login),
    12: (EVERYWHERE, logout),
    14: (EVERYWHERE, reference),
    16: (EVERYWHERE, system_info),
    18: (EVERYWHERE, heartbeat),
}
