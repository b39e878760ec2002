"""The way in: from the settings of a connection to its session."""

from __future__ import annotations

import logging
from importlib.metadata import version

from copydesk.errors import AuthFailed, NotReady, UsageError
from copydesk.model import ConnectionSettings
from copydesk_wire.errors import NoReply, Unreadable

from copydesk_rithmic import accounts, errors
from copydesk_rithmic.errors import Refusal
from copydesk_rithmic.gate import read_gate
from copydesk_rithmic.reading import symbols_in_use
from copydesk_rithmic.session import Session
from copydesk_rithmic.sharing import release, share

log = logging.getLogger("copydesk.rithmic")


async def connect(settings: ConnectionSettings) -> Session:
    """Log in. Raises `AuthFailed`, `UsageError` or `NotReady`."""
    gate = read_gate(settings, version("copydesk-rithmic"))
    options = {name: value.strip() for name, value in settings.options.items()}
    routes = _routes(settings.name, options.get("routes", ""))
    login = await share(gate)
    try:
        login.check_copier(accept=options.get("venue_copier") == "accept")
        chosen = accounts.choose(login.accounts, options.get("account", ""))
        for account in chosen:
            await login.watch(account)
        session = Session(settings.name, login, chosen, routes)
        await _know(session, [word.strip() for word in options.get("symbols", "").split(",") if word.strip()])
    except BaseException as error:
        await release(login)
        if isinstance(error, Refusal):
            raise errors.failure(error, f"connect {settings.name}") from None
        if isinstance(error, NoReply):
            raise NotReady(f"The connection {settings.name!r}: {error}") from None
        raise
    return session


async def _know(session: Session, named: list[str]) -> None:
    """Read the instruments that a person named, and those that the accounts hold or have orders in."""
    for symbol in named:
        if await session.login.know(symbol) is None:
            raise AuthFailed(
                f"The connection {session.name!r}: Rithmic has no {symbol!r} for this login; write EXCHANGE:CONTRACT, as "
                "in CME:ESH7."
            )
    for symbol in await symbols_in_use(session):
        try:
            await session.login.know(symbol)
        except Unreadable as error:
            log.warning("%s: %s cannot be traded: %s", session.name, symbol, error)


def _routes(name: str, text: str) -> dict[str, str]:
    """`CME=simulator,NYMEX=globex` as a table. Raises `UsageError`."""
    table = {}
    for word in (word.strip() for word in text.split(",") if word.strip()):
        exchange, equals, route = word.partition("=")
        if not (exchange and equals and route):
            raise UsageError(f"The connection {name!r}: write routes as EXCHANGE=ROUTE with commas between, not {word!r}.")
        table[exchange.strip()] = route.strip()
    return table
