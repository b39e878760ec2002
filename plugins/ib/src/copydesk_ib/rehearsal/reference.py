"""What clients ask about TWS itself, about accounts' names and about contracts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from copydesk_ib.rehearsal.audience import Audience
from copydesk_ib.rehearsal.checking import find_legs, find_listing
from copydesk_ib.rehearsal.clients import Client
from copydesk_ib.rehearsal.codes import Refusal
from copydesk_ib.rehearsal.listings import ORDER_TYPES, Catalogue, Leg, Listing, hours
from copydesk_ib.rehearsal.wire import integer, plain

Told = dict[str, Any]
GREETINGS: Final = ("market-data-ok", "history-ok", "definitions-ok")


class Reference:
    """`today` is the day in the rehearsal's time zone."""

    def __init__(
        self, catalogue: Catalogue, audience: Audience, now_ms: Callable[[], int], today: Callable[[], date]
    ) -> None:
        self._catalogue = catalogue
        self._audience = audience
        self._now_ms = now_ms
        self._today = today

    # --- the connection ---------------------------------------------------------------------------------------------

    async def start_api(self, client: Client, told: Told) -> None:
        number = integer(told["clientId"])
        if client.started or any(other.client_id == number for other in self._audience.of(client.login)):
            client.refuse(-1, Refusal("client-id"))
            client.close()
            return
        client.client_id, client.started = number, True
        await self.managed_accounts(client, told)
        await self.ids(client, told)
        for name in GREETINGS:
            client.refuse(-1, Refusal(name))

    async def managed_accounts(self, client: Client, told: Told) -> None:
        client.send("managedAccounts", accounts=",".join(client.login.accounts))

    async def ids(self, client: Client, told: Told) -> None:
        client.send("nextValidId", id=client.login.next_id(client.client_id))

    async def current_time(self, client: Client, told: Told) -> None:
        client.send("currentTime", time=self._now_ms() // 1000)

    async def log_level(self, client: Client, told: Told) -> None:
        """TWS writes more or less into its own log; nobody is told."""

    async def user_info(self, client: Client, told: Told) -> None:
        client.send("userInfo", reqId=told["reqId"], whiteBrandingId="")

    async def family_codes(self, client: Client, told: Told) -> None:
        client.send("familyCodes", codes=[{"account": account, "code": ""} for account in client.login.accounts])

    async def request_fa(self, client: Client, told: Told) -> None:
        raise Refusal("invalid", place="bE", reason="FA data operations ignored for non FA customers.")

    async def soft_dollar_tiers(self, client: Client, told: Told) -> None:
        client.send("softDollarTiers", reqId=told["reqId"], tiers=[])

    async def news_providers(self, client: Client, told: Told) -> None:
        client.send("newsProviders", providers=[])

    async def scanner_parameters(self, client: Client, told: Told) -> None:
        client.send("scannerParameters", xml='<?xml version="1.0" encoding="UTF-8"?><ScanParameterResponse/>')

    async def depth_exchanges(self, client: Client, told: Told) -> None:
        kinds = {(listing.venue, listing.sec_type): None for listing in self._catalogue.by_id.values()}
        rows = [
            {"exchange": venue, "secType": kind, "listing": "", "service": "Deep", "aggGroup": "2147483647"}
            for venue, kind in kinds
        ]
        client.send("depthExchanges", exchanges=rows)

    async def smart_components(self, client: Client, told: Told) -> None:
        rows = [{"bit": 0, "exchange": "ISLAND", "letter": "Q"}, {"bit": 1, "exchange": "CBOE", "letter": "B"}]
        client.send("smartComponents", reqId=told["reqId"], components=rows)

    # --- contracts --------------------------------------------------------------------------------------------------

    async def contract_details(self, client: Client, told: Told) -> None:
        found = self._catalogue.matching(told)
        if not found:
            raise Refusal("unknown-contract")
        for listing in found:
            client.send("contractDetails", **self._details(listing, told))
        client.send("contractDetailsEnd", reqId=told["reqId"])

    def _details(self, listing: Listing, asked: Told) -> Told:
        exchange = asked["exchange"] if asked["exchange"] in listing.exchanges else listing.exchange
        size = plain(listing.step)
        expires = listing.expiry and f"{listing.expiry} 08:30 {listing.timezone}"
        return {
            **listing.told(exchange),
            "reqId": asked["reqId"],
            "lastTrade": expires if listing.sec_type == "FUT" else listing.expiry,
            "marketName": listing.trading_class,
            "minTick": plain(listing.tick),
            "orderTypes": ORDER_TYPES[listing.sec_type],
            "validExchanges": ",".join(dict.fromkeys(listing.exchanges)),
            "underConId": listing.under_con_id,
            "longName": listing.long_name,
            "primaryExchange": listing.primary_exchange if listing.sec_type == "STK" else "",
            "contractMonth": listing.expiry[:6],
            "timeZone": listing.timezone,
            "tradingHours": hours(listing, self._today(), liquid=False),
            "liquidHours": hours(listing, self._today(), liquid=True),
            "aggGroup": 1 if listing.sec_type == "STK" else None,
            "underSymbol": listing.under_symbol,
            "underSecType": {"FUT": "IND", "OPT": "STK"}.get(listing.sec_type, ""),
            "marketRuleIds": ",".join(str(listing.rule) for _ in dict.fromkeys(listing.exchanges)),
            "realExpiration": listing.expiry,
            "stockType": listing.stock_type,
            "sizeMinTick": size,
            "minSize": size,
            "sizeIncrement": size,
            "suggestedSizeIncrement": "100" if listing.sec_type == "STK" else size,
        }

    async def matching_symbols(self, client: Client, told: Told) -> None:
        rows = [
            {
                "conId": listing.con_id,
                "symbol": listing.symbol,
                "secType": listing.sec_type,
                "primaryExchange": listing.primary_exchange,
                "currency": listing.currency,
                "derivatives": [{"secType": "OPT"}] if self._catalogue.options_on(listing.con_id) else [],
                "description": listing.long_name,
                "issuerId": "",
            }
            for listing in self._catalogue.starting(told["pattern"])
        ]
        client.send("symbolSamples", reqId=told["reqId"], samples=rows)

    async def option_parameters(self, client: Client, told: Told) -> None:
        """The expiries and strikes of the options on one contract."""
        options = self._catalogue.options_on(integer(told["conId"]))
        for venue in ("SMART", "CBOE") if options else ():
            client.send(
                "optionParameters",
                reqId=told["reqId"],
                exchange=venue,
                underConId=told["conId"],
                tradingClass=options[0].trading_class,
                multiplier=options[0].told_multiplier,
                expirations=[{"day": day} for day in sorted({option.expiry for option in options})],
                strikes=[
                    {"strike": plain(strike)} for strike in sorted({option.strike for option in options if option.strike})
                ],
            )
        client.send("optionParametersEnd", reqId=told["reqId"])

    async def market_rule(self, client: Client, told: Told) -> None:
        increment = self._catalogue.rule(integer(told["id"]))
        if increment is None:
            raise Refusal("invalid", place="b1", reason="Invalid market rule id")
        client.send("marketRule", id=told["id"], increments=[{"edge": "0.0", "increment": plain(increment)}])

    def listing(self, told: Told) -> Listing:
        """The contract that a request for data is about. Raises `Refusal`."""
        return find_listing(self._catalogue, told, exchange=False)

    def legs(self, told: Told) -> tuple[Leg, ...]:
        """The legs of the combination that a request for data is about. Raises `Refusal`."""
        return find_legs(self._catalogue, told)
