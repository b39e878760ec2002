"""Bybit for copydesk: the connection kind `bybit`, unified accounts with linear, inverse and spot, through ccxt.

Importing this module imports no venue library.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import Capabilities, KindInfo, OrderType
from copydesk_wire.logins import ADDRESS, KEY

BYBIT = KindInfo(
    kind="bybit",
    title="Bybit",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(OrderType) - {OrderType.MARKET},
        amend_price_and_quantity_only=False,
        whole_position=frozenset({OrderType.TRAILING_STOP}),
        reduce_only=True,
        hedge_mode=True,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=10,
        requests_per_minute=7200,  # 600 in 5 s, per address
    ),
    fields=KEY + ADDRESS,
)

plugin = Plugin(
    "copydesk-bybit",
    BYBIT,
    connect="copydesk_bybit.session:connect",
    rehearse="copydesk_bybit.rehearsal:start",
    candles=True,
)
