"""Rithmic for copydesk: the connection kind `rithmic`.

Importing this module imports no venue library.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import Capabilities, Costs, Field, KindInfo, OrderType

TYPES = frozenset(OrderType) - {OrderType.TRAILING_STOP}  # Rithmic trails by ticks, not by percent

RITHMIC = KindInfo(
    kind="rithmic",
    title="Rithmic",
    capabilities=Capabilities(
        order_types=TYPES,
        amend=TYPES - {OrderType.MARKET},
        amend_price_and_quantity_only=False,
        reduce_only=False,
        post_only=False,
        hedge_mode=False,
        nets_positions=True,
        native_oco=False,
        tells_never_arrived=True,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=False,
        costs=Costs(account=4, symbols=4),
    ),
    fields=(
        Field(name="url", title="Address of the gateway, as Rithmic gave it (wss://...)"),
        Field(name="system", title="System name, as in R | Trader Pro", default="Rithmic Paper Trading"),
        Field(name="user", title="User name"),
        Field(name="password", title="Password", secret=True),
        Field(name="account", title="Account, or FCM/IB/ACCOUNT (empty: all of the login)", required=False),
        Field(name="symbols", title="Contracts to begin with, as in CME:ESH7,NYMEX:CLG7", required=False),
        Field(name="app_name", title="App name that Rithmic has admitted", required=False, default="copydesk"),
        Field(name="app_version", title="App version (empty: the plugin's)", required=False),
        Field(name="routes", title="Trade routes, as in CME=globex (empty: the default ones)", required=False),
        Field(name="venue_copier", title="accept: Rithmic's own order copier may be on", required=False),
        Field(name="ssl", title="off: no TLS, for a rehearsal on this machine only", required=False, default="on"),
        Field(name="ca_file", title="More certificate authorities to trust (a PEM file)", required=False),
    ),
)


plugin = Plugin(
    "copydesk-rithmic",
    RITHMIC,
    connect="copydesk_rithmic.entry:connect",
    rehearse="copydesk_rithmic.rehearsal:start",
    candles=True,
)
