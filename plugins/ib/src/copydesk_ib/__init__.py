"""Interactive Brokers for copydesk: the connection kind `ib`, over TWS or IB Gateway.

Importing this module imports no venue library.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import BudgetScope, Capabilities, Field, KindInfo, OrderType

IB = KindInfo(
    kind="ib",
    title="Interactive Brokers",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(OrderType) - {OrderType.MARKET},
        amend_price_and_quantity_only=False,
        reduce_only=False,
        post_only=False,
        hedge_mode=False,
        nets_positions=True,
        native_oco=True,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=False,
        orders_per_second=40,
        orders_scope=BudgetScope.CONNECTION,
    ),
    fields=(
        Field(name="host", title="Address of TWS or IB Gateway", required=False, default="127.0.0.1"),
        Field(name="port", title="Port: TWS 7496 or 7497 (paper), Gateway 4001 or 4002 (paper)"),
        Field(name="client_id", title="Client id: the one set as Master API client ID in TWS", required=False, default="1"),
        Field(name="account", title="Account (empty: all of the login)", required=False),
        Field(name="symbols", title="Contracts to know beforehand, ';' between: AAPL:STK:SMART:USD", required=False),
        Field(name="rehearsal", title="yes: a rehearsal server of copydesk, not TWS", required=False),
    ),
)

plugin = Plugin(
    "copydesk-ib",
    IB,
    connect="copydesk_ib.session:connect",
    rehearse="copydesk_ib.rehearsal:start",
    candles=True,
)
