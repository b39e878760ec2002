"""The paper venue as a rehearsal: accounts with tokens, a market, faults, on one loopback port."""

from __future__ import annotations

from secrets import token_urlsafe

from copydesk.errors import UsageError
from copydesk.model import RehearsalReady, RehearsalSettings, RehearsedAccount

from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.server import PaperServer
from copydesk_paper.serving.running import now_ms


class PaperRehearsal:
    """A running paper venue."""

    def __init__(self, server: PaperServer, ready: RehearsalReady) -> None:
        self.server = server
        self.ready = ready

    async def stop(self) -> None:
        await self.server.stop()


async def start(settings: RehearsalSettings) -> PaperRehearsal:
    """Start it in this loop. Option `hedge_mode` = `true` opens the accounts in hedge mode. Raises `UsageError`."""
    if settings.speed <= 0:
        raise UsageError(f"the speed of a rehearsal must be above 0, not {settings.speed}")
    market = open_market(settings.market)
    exchange = Exchange(market.instruments, now_ms=now_ms)
    market.prime(exchange)
    server = PaperServer(exchange, market, settings.faults, speed=settings.speed)
    for name, cash in settings.accounts.items():
        exchange.open_account(name, cash, hedge_mode=settings.options.get("hedge_mode") == "true")
        server.tokens[name] = token_urlsafe(24)
    await server.start(settings.host, settings.port)
    url = f"http://{settings.host}:{server.port}"
    accounts = tuple(
        RehearsedAccount(name=name, options={"url": url}, secrets={"token": token}) for name, token in server.tokens.items()
    )
    ready = RehearsalReady(
        kind=settings.kind,
        urls={"url": url},
        accounts=accounts,
        symbols=tuple(exchange.instruments),
        control_url=f"{url}/rehearsal",
    )
    return PaperRehearsal(server, ready)
