"""The connection kind `paper`. Without a URL it trades on an exchange inside this process.

The exchange itself is in `copydesk_paper.exchange`, its market in `copydesk_paper.market`.
"""

from __future__ import annotations

from copydesk.hooks import Plugin
from copydesk.model import Capabilities, Field, KindInfo, OrderType

PAPER = KindInfo(
    kind="paper",
    title="Paper exchange",
    capabilities=Capabilities(
        amend=frozenset(OrderType) - {OrderType.MARKET},
        amend_price_and_quantity_only=False,
        hedge_mode=True,
        native_oco=True,
    ),
    fields=(
        Field(name="url", title="Address of a paper exchange (empty: one inside this program)", required=False),
        Field(name="token", title="Token of the account there", secret=True, required=False),
        Field(name="account", title="Name of the account inside this program", required=False, default="main"),
        Field(name="cash", title="Its starting cash in USDT", required=False, default="10000"),
        Field(name="market", title="Market recording (empty: the shipped one)", required=False),
        Field(name="hedge_mode", title="Hedge mode (true or false)", required=False, default="false"),
        Field(name="deadline_s", title="Seconds that a request waits for its answer", required=False, default="3"),
    ),
)

plugin = Plugin(
    "copydesk-paper",
    PAPER,
    connect="copydesk_paper.session:connect",
    rehearse="copydesk_paper.rehearsal:start",
    leverage=True,
    candles=True,
)
