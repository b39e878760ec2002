"""Bitfinex for copydesk: the connection kind `bitfinex`: derivatives, margin and exchange pairs over API v2.

Importing this module imports no venue library.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import Capabilities, Costs, Field, KindInfo, OrderType
from copydesk_wire.logins import ADDRESS, KEY

DEFAULT_CURRENCY = "USTF0"
_PLACED = frozenset(
    {OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP}
)

BITFINEX = KindInfo(
    kind="bitfinex",
    title="Bitfinex",
    capabilities=Capabilities(
        order_types=_PLACED,
        amend=_PLACED - {OrderType.MARKET, OrderType.TRAILING_STOP},
        amend_price_and_quantity_only=False,
        reduce_only=True,
        hedge_mode=False,
        nets_positions=True,
        native_oco=True,
        exits_bind=True,  # in exchange pairs
        client_id_text=True,  # as `meta.label`; the venue's own `cid` is a number made of it
        client_id_length=64,
        one_account_per_connection=True,
        orders_per_second=3,  # 1000 in five minutes
        requests_per_minute=450,  # 90 of each kind: reading an account takes five kinds
        costs=Costs(look_up=2),
    ),
    fields=(
        *KEY,
        Field(
            name="currency",
            title="Currency in which the account's worth is told",
            required=False,
            default=DEFAULT_CURRENCY,
        ),
        *ADDRESS,
    ),
)

plugin = Plugin(
    "copydesk-bitfinex",
    BITFINEX,
    connect="copydesk_bitfinex.session:connect",
    rehearse="copydesk_bitfinex.rehearsal:start",
    candles=True,
)
