"""BitMEX for copydesk: the connection kind `bitmex`. The venue closed in September 2026; it lives on as a rehearsal server.

Importing this module imports no venue library.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import Capabilities, KindInfo, OrderType
from copydesk_wire.logins import CLOSED_ADDRESS, KEY

BITMEX = KindInfo(
    kind="bitmex",
    title="BitMEX",
    closed_on="2026-09-23",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(OrderType) - {OrderType.MARKET},
        amend_price_and_quantity_only=False,
        reduce_only=True,
        hedge_mode=False,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=10,
        requests_per_minute=120,
    ),
    fields=KEY + CLOSED_ADDRESS,
)

plugin = Plugin(
    "copydesk-bitmex",
    BITMEX,
    connect="copydesk_bitmex.session:connect",
    rehearse="copydesk_bitmex.rehearsal:start",
    candles=True,
)
