"""How to get in: the settings of a connection as a gate, and the library's client behind it."""

from __future__ import annotations

import ssl
from urllib.parse import urlsplit

from copydesk.errors import AuthFailed, UsageError
from copydesk.model import ConnectionSettings, Record
from copydesk_wire.venue import is_loopback

from copydesk_rithmic import plants
from copydesk_rithmic.library import async_rithmic


class Gate(Record):
    """How to get in: what makes two connections one login. `ca_file`: more authorities to trust."""

    url: str
    user: str
    password: str
    system: str
    app_name: str
    app_version: str
    encrypted: bool = True
    ca_file: str = ""

    def __repr__(self) -> str:
        return f"Gate(url={self.url!r}, user={self.user!r}, system={self.system!r}, password=<hidden>)"


def read_gate(settings: ConnectionSettings, version: str) -> Gate:
    """The login that a connection's settings describe. Raises `AuthFailed` or `UsageError`."""
    options = {name: value.strip() for name, value in settings.options.items()}
    password = settings.secrets.get("password", "")
    if not options.get("user") or not password:
        raise AuthFailed(f"The connection {settings.name!r} has no user or no password; store both and connect again.")
    url = options.get("url", "")
    url = url if "://" in url else f"wss://{url}"
    encrypted = options.get("ssl", "on") != "off"
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise UsageError(f"The url {url!r} of the connection {settings.name!r} must begin with wss://.")
    if encrypted != (parts.scheme == "wss"):
        raise UsageError(
            f"The connection {settings.name!r}: ssl = {'on' if encrypted else 'off'} does not go with {parts.scheme}://."
        )
    if not encrypted and not is_loopback(url):
        raise UsageError(
            f"The connection {settings.name!r}: ssl = off is for rehearsals on this machine; {parts.hostname} would get "
            "the password in clear text."
        )
    return Gate(
        url=url,
        user=options["user"],
        password=password,
        system=options.get("system", ""),
        app_name=options.get("app_name") or "copydesk",
        app_version=options.get("app_version") or version,
        encrypted=encrypted,
        ca_file=options.get("ca_file", ""),
    )


class Client(async_rithmic.RithmicClient):  # type: ignore[misc]
    """The library's client with our plants in place of its own."""

    def __init__(self, gate: Gate) -> None:
        super().__init__(
            user=gate.user,
            password=gate.password,
            system_name=gate.system,
            app_name=gate.app_name,
            app_version=gate.app_version,
            url=gate.url,
            manual_or_auto=async_rithmic.OrderPlacement.AUTO,
        )
        self.ssl_context: ssl.SSLContext | None
        if not gate.encrypted:
            self.ssl_context = None
        elif gate.ca_file and self.ssl_context is not None:
            try:
                self.ssl_context.load_verify_locations(gate.ca_file)
            except OSError as error:
                raise UsageError(f"The ca_file {gate.ca_file!r} cannot be used: {error}") from None
        self.ticker = plants.TickerPlant(self)
        self.orders = plants.OrderPlant(self)
        self.pnl = plants.PnlPlant(self)
        self.history = plants.HistoryPlant(self)
        self.plants = {"ticker": self.ticker, "order": self.orders, "pnl": self.pnl, "history": self.history}

    def __repr__(self) -> str:
        return f"Client(user={self.credentials['user']!r})"
