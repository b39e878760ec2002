"""What clients ask about accounts: values, positions, profit; once and from then on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from copydesk.model import ZERO, Position
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import AccountReport, OrderReport, Report

from copydesk_ib.rehearsal.audience import Audience
from copydesk_ib.rehearsal.clients import Client
from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.listings import USD, Catalogue, Listing
from copydesk_ib.rehearsal.logins import Login
from copydesk_ib.rehearsal.wire import double, integer, plain

Told = dict[str, Any]
SUMMARIES_AT_ONCE: Final = 2
SUMMARY_SECONDS: Final = 180
"""How often account summaries and updates are told anew though nothing was traded, as at IB."""
LEVERAGE: Final = {"STK": 4, "OPT": 1, "FUT": 12, "CASH": 20}
"""How many times its margin a position may be worth, by kind of contract."""


class Accounts:
    """Account values and positions of the exchange in IB's words, and who has subscribed to them."""

    def __init__(self, exchange: Exchange, catalogue: Catalogue, audience: Audience, clock: Callable[[], str]) -> None:
        self._exchange = exchange
        self._catalogue = catalogue
        self._audience = audience
        self._clock = clock
        self._realized: dict[str, Decimal] = {}
        self._told: dict[tuple[int, str, str], dict[str, str]] = {}
        self._ticks = 0

    def open_account(self, name: str) -> None:
        """Give an account IB's margin rates."""
        for listing in self._catalogue.by_id.values():
            self._exchange.set_leverage(name, listing.name, LEVERAGE[listing.sec_type])

    # --- values -----------------------------------------------------------------------------------------------------

    def values(self, account: str) -> dict[str, str]:
        """Account values in dollars, by tag."""
        balance, pool = self._exchange.balance(account), self._exchange.pool(account, USD)
        held = [(position, self._catalogue.by_name[position.symbol]) for position in self._exchange.positions(account)]
        stocks = sum((_worth(position, listing) for position, listing in held if listing.sec_type == "STK"), ZERO)
        options = sum((_worth(position, listing) for position, listing in held if listing.sec_type == "OPT"), ZERO)
        gross = sum((abs(_worth(position, listing)) for position, listing in held if listing.sec_type != "FUT"), ZERO)
        cash = balance.equity - stocks - options
        money = {
            "AvailableFunds": pool.available,
            "BuyingPower": pool.available * LEVERAGE["STK"],
            "CashBalance": cash,
            "EquityWithLoanValue": balance.equity - options,
            "ExcessLiquidity": max(ZERO, pool.cross_equity - pool.maintenance),
            "FullAvailableFunds": pool.available,
            "FullInitMarginReq": pool.initial,
            "FullMaintMarginReq": pool.maintenance,
            "GrossPositionValue": gross,
            "InitMarginReq": pool.initial,
            "MaintMarginReq": pool.maintenance,
            "NetLiquidation": balance.equity,
            "OptionMarketValue": options,
            "RealizedPnL": self._realized.get(account, ZERO),
            "StockMarketValue": stocks,
            "TotalCashBalance": cash,
            "TotalCashValue": cash,
            "UnrealizedPnL": pool.unrealised,
        }
        return {"AccountType": "INDIVIDUAL", "Currency": USD} | {tag: f"{value:.2f}" for tag, value in money.items()}

    async def account_updates(self, client: Client, told: Told) -> None:
        """One account at a time: another one takes the first one's place."""
        before = client.subscriptions.pop(("updates", 0), None)
        if told["subscribe"] != "1":
            return
        if before is not None:
            client.refuse(-1, Refusal("one-account"))
        account = _one(client.login, told["account"])
        client.subscribe("updates", 0, account)
        self._tell_updates(client, account, afresh=True)
        client.send("accountDownloadEnd", account=client.login.ids[account])

    def _tell_updates(self, client: Client, account: str, *, afresh: bool = False) -> None:
        name = client.login.ids[account]
        for tag, value in self._changed(client, "updates", account, afresh=afresh).items():
            told = {"tag": tag, "value": value, "currency": _currency(tag), "account": name}
            self._audience.inform(account, client, "accountValue", told)
        for position in self._exchange.positions(account):
            self._audience.inform(account, client, "portfolioValue", self._portfolio(position, name))
        self._audience.inform(account, client, "accountTime", {"time": self._clock()})

    def _changed(self, client: Client, kind: str, account: str, *, afresh: bool) -> dict[str, str]:
        key = (id(client), kind, account)
        values, before = self.values(account), {} if afresh else self._told.get(key, {})
        self._told[key] = values
        return {tag: value for tag, value in values.items() if before.get(tag) != value}

    async def account_updates_multi(self, client: Client, told: Told) -> None:
        request = integer(told["reqId"])
        accounts = client.login.chosen(told["account"])
        client.subscribe("updates-multi", request, accounts)
        for account in accounts:
            self._tell_multi(client, request, account, afresh=True)
        client.send("accountUpdateMultiEnd", reqId=request)

    def _tell_multi(self, client: Client, request: int, account: str, *, afresh: bool = False) -> None:
        for tag, value in self._changed(client, f"multi-{request}", account, afresh=afresh).items():
            told = {"reqId": request, "account": client.login.ids[account], "tag": tag, "value": value}
            self._audience.inform(account, client, "accountUpdateMulti", told | {"currency": _currency(tag)})

    async def cancel_account_updates_multi(self, client: Client, told: Told) -> None:
        client.subscriptions.pop(("updates-multi", integer(told["reqId"])), None)

    async def account_summary(self, client: Client, told: Told) -> None:
        request = integer(told["reqId"])
        if sum(key[0] == "summary" for key in client.subscriptions) >= SUMMARIES_AT_ONCE:
            raise Refusal("invalid", place="cd", reason="Maximum number of account summary requests exceeded")
        if told["group"] != "All":
            raise invalid(f"Invalid group '{told['group']}'.")
        tags = [tag for tag in told["tags"].split(",") if tag]
        if not tags:
            raise invalid("Tags are missing.")
        client.subscribe("summary", request, tags)
        self._tell_summary(client, request, tags)

    def _tell_summary(self, client: Client, request: int, tags: Iterable[str]) -> None:
        for account, name in client.login.ids.items():
            values = self.values(account)
            wanted = values if any(tag.startswith("$LEDGER") for tag in tags) else tags
            for tag in wanted:
                if tag in values:
                    told = {"reqId": request, "account": name, "tag": tag, "value": values[tag], "currency": _currency(tag)}
                    self._audience.inform(account, client, "accountSummary", told)
        client.send("accountSummaryEnd", reqId=request)

    async def cancel_account_summary(self, client: Client, told: Told) -> None:
        client.subscriptions.pop(("summary", integer(told["reqId"])), None)

    # --- positions --------------------------------------------------------------------------------------------------

    async def positions(self, client: Client, told: Told) -> None:
        client.subscribe("positions", 0, list(client.login.ids))
        for account, name in client.login.ids.items():
            for position in self._exchange.positions(account):
                client.send("position", **self._position(position, name))
        client.send("positionEnd")

    async def cancel_positions(self, client: Client, told: Told) -> None:
        client.subscriptions.pop(("positions", 0), None)

    async def positions_multi(self, client: Client, told: Told) -> None:
        request = integer(told["reqId"])
        accounts = client.login.chosen(told["account"])
        client.subscribe("positions-multi", request, accounts)
        for account in accounts:
            for position in self._exchange.positions(account):
                client.send("positionMulti", reqId=request, **self._position(position, client.login.ids[account]))
        client.send("positionMultiEnd", reqId=request)

    async def cancel_positions_multi(self, client: Client, told: Told) -> None:
        client.subscriptions.pop(("positions-multi", integer(told["reqId"])), None)

    def _position(self, position: Position, name: str) -> Told:
        listing = self._catalogue.by_name[position.symbol]
        cost = position.entry_price * listing.multiplier
        return {**listing.told(), "account": name, "position": position.quantity, "averageCost": double(cost)}

    def _portfolio(self, position: Position, name: str) -> Told:
        listing = self._catalogue.by_name[position.symbol]
        return {
            **self._position(position, name),
            "marketPrice": double(position.mark_price),
            "marketValue": f"{_worth(position, listing):.2f}",
            "unrealized": f"{position.unrealised:.2f}",
            "realized": "0.0",
        }

    # --- profit -----------------------------------------------------------------------------------------------------

    async def pnl(self, client: Client, told: Told) -> None:
        account = _one(client.login, told["account"])
        request = integer(told["reqId"])
        client.subscribe("pnl", request, account)
        self._tell_pnl(client, request, account)

    async def cancel_pnl(self, client: Client, told: Told) -> None:
        client.subscriptions.pop(("pnl", integer(told["reqId"])), None)

    def _tell_pnl(self, client: Client, request: int, account: str) -> None:
        open_profit, realized = self._exchange.pool(account, USD).unrealised, self._realized.get(account, ZERO)
        told = {"daily": open_profit + realized, "unrealized": open_profit, "realized": realized}
        self._tell_new(client, "pnl", request, {name: _money(value) for name, value in told.items()})

    async def pnl_single(self, client: Client, told: Told) -> None:
        account, request = _one(client.login, told["account"]), integer(told["reqId"])
        listing = self._catalogue.by_id.get(integer(told["conId"]))
        if listing is None:
            raise Refusal("unknown-contract")
        client.subscribe("pnl-single", request, (account, listing))
        self._tell_pnl_single(client, request, account, listing)

    async def cancel_pnl_single(self, client: Client, told: Told) -> None:
        client.subscriptions.pop(("pnl-single", integer(told["reqId"])), None)

    def _tell_pnl_single(self, client: Client, request: int, account: str, listing: Listing) -> None:
        held = [position for position in self._exchange.positions(account) if position.symbol == listing.name]
        profit = held[0].unrealised if held else ZERO
        told = {
            "position": plain(held[0].quantity) if held else "0",
            "daily": _money(profit),
            "unrealized": _money(profit),
            "realized": "0.0",
            "value": _money(_worth(held[0], listing)) if held else "0.0",
        }
        self._tell_new(client, "pnlSingle", request, told)

    def _tell_new(self, client: Client, name: str, request: int, told: dict[str, str]) -> None:
        key = (id(client), name, str(request))
        if self._told.get(key) != told:
            self._told[key] = told
            client.send(name, reqId=request, **told)

    # --- what happens -----------------------------------------------------------------------------------------------

    def on_report(self, report: Report) -> None:
        """Tell those who asked what the exchange says of an account."""
        if isinstance(report, OrderReport) and report.fill is not None:
            gained = report.realised - report.fill.fee
            self._realized[report.account] = self._realized.get(report.account, ZERO) + gained
        elif isinstance(report, AccountReport):
            for client in self._audience.everybody():
                if report.account in client.login.ids:
                    self._on_account(client, report)

    def _on_account(self, client: Client, report: AccountReport) -> None:
        account, name = report.account, client.login.ids[report.account]
        for (kind, request), wanted in tuple(client.subscriptions.items()):
            if kind == "positions":
                for position in report.positions:
                    self._audience.tell(account, client, "position", self._position(position, name))
            elif kind == "positions-multi" and account in wanted:
                for position in report.positions:
                    told = self._position(position, name) | {"reqId": request}
                    self._audience.tell(account, client, "positionMulti", told)
            elif kind == "updates" and wanted == account:
                for position in report.positions:
                    if not position.quantity:
                        self._audience.inform(account, client, "portfolioValue", self._portfolio(position, name))
                self._tell_updates(client, account)
            elif kind == "updates-multi" and account in wanted:
                self._tell_multi(client, request, account)

    def tick(self) -> None:
        """Once a second: profit that changed; every three minutes the accounts."""
        self._ticks += 1
        for client in self._audience.everybody():
            for (kind, request), wanted in tuple(client.subscriptions.items()):
                if kind == "pnl":
                    self._tell_pnl(client, request, wanted)
                elif kind == "pnl-single":
                    self._tell_pnl_single(client, request, *wanted)
                elif self._ticks % SUMMARY_SECONDS:
                    continue
                elif kind == "summary":
                    self._tell_summary(client, request, wanted)
                elif kind == "updates":
                    self._tell_updates(client, wanted)

    def forget(self, client: Client) -> None:
        """The client is gone."""
        for key in [key for key in self._told if key[0] == id(client)]:
            del self._told[key]


def _one(login: Login, account_id: str) -> str:
    """The one account that is meant. Raises `Refusal`."""
    if not account_id:
        return next(iter(login.ids))
    return login.chosen(account_id)[0]


def _worth(position: Position, listing: Listing) -> Decimal:
    return position.quantity * listing.multiplier * position.mark_price


def _currency(tag: str) -> str:
    return "" if tag == "AccountType" else USD


def _money(value: Decimal) -> str:
    return double(round(value, 2))
