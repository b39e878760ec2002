"""The settings of a login that most venues with keys have. Imports nothing of the wire, for describing has to be cheap."""

from copydesk.model import Field

KEY = (
    Field(name="key", title="API key", secret=True),
    Field(name="secret", title="API secret", secret=True),
)
WS_ADDRESS = Field(name="ws_url", title="Websocket address (empty: from the REST address)", required=False)
ADDRESS = (Field(name="url", title="REST address (empty: the real venue)", required=False), WS_ADDRESS)
CLOSED_ADDRESS = (
    Field(name="url", title="REST address of a rehearsal: the real venue is closed", required=False),
    WS_ADDRESS,
)
