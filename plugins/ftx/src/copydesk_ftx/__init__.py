"""FTX for copydesk: the connection kind `ftx`. The venue closed in November 2022; it lives on as a rehearsal server.

Importing this module imports no venue library.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import Capabilities, Field, KindInfo, OrderType
from copydesk_wire.logins import CLOSED_ADDRESS, KEY

FTX = KindInfo(
    kind="ftx",
    title="FTX",
    closed_on="2022-11-11",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(),  # FTX modified by cancelling and placing anew, under another id: the engine does so itself
        reduce_only=True,
        hedge_mode=False,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=64,
        one_account_per_connection=True,
        orders_per_second=30,
        requests_per_minute=1800,
    ),
    fields=(
        *KEY,
        Field(name="subaccount", title="Subaccount (empty: the main account)", required=False),
        *CLOSED_ADDRESS,
    ),
)

plugin = Plugin(
    "copydesk-ftx",
    FTX,
    connect="copydesk_ftx.session:connect",
    rehearse="copydesk_ftx.rehearsal:start",
    candles=True,
)
