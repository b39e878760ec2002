"""Binance for copydesk: the connection kinds `binance` (spot) and `binance-futures` (USD-M futures), through ccxt.

Importing this module imports no venue library.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import BudgetScope, Capabilities, Costs, KindInfo, OrderType
from copydesk_wire.logins import ADDRESS, KEY

FUTURES = KindInfo(
    kind="binance-futures",
    title="Binance USD-M futures",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset({OrderType.LIMIT}),
        amend_price_and_quantity_only=True,
        reduce_only=True,
        hedge_mode=True,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=20,  # 1200 per minute; the other limit, 300 per 10 s, lies above it
        orders_scope=BudgetScope.ACCOUNT,
        requests_per_minute=2400,  # weight, per address: of all connections together
        requests_scope=BudgetScope.MACHINE,
        costs=Costs(place=0, modify=0, cancel=1, look_up=1, account=90, symbols=28),  # as `reading.py` reads
    ),
    fields=KEY + ADDRESS,
)

SPOT = KindInfo(
    kind="binance",
    title="Binance spot",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(),
        amend_price_and_quantity_only=True,
        shrink=frozenset(OrderType) - {OrderType.MARKET},
        reduce_only=False,
        hedge_mode=False,
        nets_positions=True,
        shorts=False,
        native_oco=True,
        exits_bind=True,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=10,  # 100 per 10 s
        orders_scope=BudgetScope.ACCOUNT,
        requests_per_minute=6000,  # weight, per address: of all connections together
        requests_scope=BudgetScope.MACHINE,
        costs=Costs(place=1, modify=4, cancel=1, look_up=4, account=144, symbols=70),  # as `spot/reading.py` reads
    ),
    fields=KEY + ADDRESS,
)

futures_plugin = Plugin(
    "copydesk-binance",
    FUTURES,
    connect="copydesk_binance.session:connect",
    rehearse="copydesk_binance.rehearsal:start",
    leverage=True,
    candles=True,
)
spot_plugin = Plugin(
    "copydesk-binance",
    SPOT,
    connect="copydesk_binance.spot.session:connect",
    rehearse="copydesk_binance.rehearsal.spot:start",
    candles=True,
)
