"""What the sessions of both kinds have in common: a key, signed requests, and what a failed one means."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NoReturn, TypeVar

from copydesk.errors import NotReady, RateLimited, Refused, VenueError
from copydesk.model import Balance, Candle, CandleRequest, Rejected, RejectReason, Unknown
from copydesk_wire import session
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, NoReply, NotSent, Unreadable
from copydesk_wire.firing import Rest, Sender
from copydesk_wire.pool import place_of
from copydesk_wire.templates import Key
from msgspec.structs import replace

from copydesk_binance import fields
from copydesk_binance.errors import Reply, meaning, raise_for, read_answer, read_reply, refusal, retry_after_ms
from copydesk_binance.fields import Params
from copydesk_binance.markets import BinanceVenue

log = logging.getLogger("copydesk.binance")

NOT_KNOWN = frozenset({-2011, -2013})
VenueType = TypeVar("VenueType", bound=BinanceVenue)


class Login(session.Session[VenueType], ABC):
    """One account at one address.

    `api` names the part of ccxt's table that signed requests belong to, `most_candles` what one read of bars has.
    """

    api: ClassVar[str]
    most_candles: ClassVar[int]

    def __init__(self, name: str, venue: VenueType, key: str, secret: str) -> None:
        super().__init__(name, venue, (key, secret))
        self.balance: Balance | None = None
        self.active_ms: dict[str, int] = {}  # when each symbol was last heard of
        self.streaming = False  # the private stream is up
        self.connection = 0  # how often it has come up
        self.in_step = False  # a whole snapshot was read since the stream last connected
        self._signer = venue.signer(apiKey=key, secret=secret)
        self.sender: Sender = Sender(venue, place_of(str(self._signer.urls["api"][self.api])), Key(key, secret), self.judge)

    @abstractmethod
    def market_url(self, channel: str) -> str:
        """The address of the market stream that carries a channel (`bookTicker`, `aggTrade`)."""

    # --- requests ---

    async def request(self, method: str, path: str, params: Params | None = None, *, version: str = "") -> Reply:
        """Send a signed request. Where the venue refuses the time stamp, which it does before anything else, the clock is
        measured and the request signed and sent once more.

        Raises `NotSent`, `NoReply`, or `RateLimited` while the venue has asked for quiet.
        """
        what = f"{method} {path}"
        wait_ms = self.venue.quiet_until_ms - self.venue.now_ms()
        if wait_ms > 0:
            raise RateLimited(f"{what} was not sent: Binance asked for {wait_ms} ms of quiet.", retry_after_ms=wait_ms)
        reply = await self._send(method, path, params, version)
        if not reply.is_fine and meaning(reply) is Family.CLOCK:
            try:
                await self.venue.measure_clock()
            except VenueError as error:
                log.warning("%s: the clock could not be measured: %s", self.name, error)
            else:
                reply = await self._send(method, path, params, version)
        return reply if reply.is_fine else self._note_error(reply)

    async def _send(self, method: str, path: str, params: Params | None, version: str) -> Reply:
        signed = self._signer.sign(path, [self.api + version], method, params or {})
        return read_answer(await self.venue.send(signed))

    def _note_error(self, reply: Reply) -> Reply:
        text = self.hide(reply.text)
        if text != reply.text:
            reply = replace(read_reply(reply.status, text), retry_after_ms=reply.retry_after_ms)
        if reply.code in (0, -1003) and meaning(reply) is RejectReason.RATE_LIMIT:  # of the address, not of one account
            now_ms = self.venue.now_ms()
            self.venue.quiet_until_ms = now_ms + retry_after_ms(reply, now_ms)
        return reply

    async def read(self, path: str, params: Params | None = None, *, version: str = "") -> Any:
        """The body of a signed read. Raises `NotReady`, `AuthFailed`, `RateLimited` or `Refused`."""
        try:
            reply = await self.request("GET", path, params, version=version)
        except NoReply as error:
            raise NotReady(str(error)) from None
        if not reply.is_fine:
            self.raise_for(reply, f"GET {path}")
        return reply.body

    async def read_permissions(self) -> tuple[str, ...]:
        """Of the wallet service, which answers at the spot service's address. Weight 1."""
        what = "account/apiRestrictions"
        reply = read_answer(await self.venue.send(self._signer.sign(what, ["sapi"], "GET", {})))
        if not reply.is_fine:
            raise_for(reply, f"GET {what}", self.venue.now_ms())
        return fields.permissions(reply.body)

    def raise_for(self, reply: Reply, what: str) -> NoReturn:
        raise_for(reply, what, self.venue.now_ms())

    async def trade(self, method: str, path: str, params: Params, what: str) -> Reply | Rejected | Unknown:
        try:
            reply = await self.request(method, path, params)
        except NotSent as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        except RateLimited as error:
            message = f"{what}: {error}"
            return Rejected(reason=RejectReason.RATE_LIMIT, message=message, retry_after_ms=error.retry_after_ms)
        except NoReply as error:
            return Unknown(message=f"{what}: {error}")
        if reply.is_fine:
            return reply
        return refusal(reply, what, self.venue.now_ms())

    def judge(self, answer: Answer, what: str) -> Reply | Rejected | Unknown | Rest | None:
        """What an answer to something fired means: see `copydesk_wire.firing.Judge`."""
        reply = read_answer(answer)
        if reply.is_fine:
            return reply
        if meaning(reply) is Family.CLOCK:
            return None
        return refusal(self._note_error(reply), what, self.venue.now_ms())

    async def read_if_known(self, path: str, params: Params) -> Any:
        """The body of a signed read; None where the venue says that there is no such thing."""
        try:
            return await self.read(path, params)
        except Refused as error:
            if error.code.lstrip("-").isdigit() and int(error.code) in NOT_KNOWN:
                return None
            raise

    # --- charts ---

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        """Past bars, oldest first. Raises `Refused` for an interval that the venue does not have."""
        if request.interval not in fields.INTERVALS:
            raise Refused(f"Binance has no candles of {request.interval}; use one of {sorted(fields.INTERVALS)}.")
        limit = str(max(1, min(request.limit, self.most_candles)))
        params = {"symbol": request.symbol, "interval": request.interval, "limit": limit}
        try:
            reply = await self.venue.ask("klines", params)
        except NoReply as error:
            raise NotReady(str(error)) from None
        if not isinstance(reply.body, list):
            raise Unreadable("Binance sent candles that are not a list.")
        return tuple(fields.candle(row) for row in reply.body)
