"""A login: its accounts, its API settings, and the order ids that its clients have used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from copydesk_ib.rehearsal.codes import Refusal, invalid

HAND = 0
"""The client id of orders that a person made in TWS."""


class Login:
    """One TWS with its user. `accounts`: names of the exchange's accounts by IB's account ids. `master` sees all orders."""

    def __init__(self, name: str, accounts: Mapping[str, str], *, master: int) -> None:
        self.name = name
        self.accounts = dict(accounts)
        self.ids = {account: account_id for account_id, account in accounts.items()}
        self.master = master
        self.port = 0
        self.auto_bind = False
        self._bound = 0
        self._last: dict[int, int] = {}

    def account(self, account_id: str) -> str:
        """The exchange's account of an order. Raises `Refusal` for none where there are several, and for a foreign one."""
        if not account_id and len(self.accounts) == 1:
            return next(iter(self.accounts.values()))
        if not account_id:
            raise invalid("You must specify an account.")
        if account_id not in self.accounts:
            raise invalid(f"Invalid account code '{account_id}'.")
        return self.accounts[account_id]

    def chosen(self, account_id: str) -> list[str]:
        """The accounts that a request means: all where it names none. Raises `Refusal`."""
        if account_id in ("", "All"):
            return list(self.ids)
        if account_id not in self.accounts:
            raise invalid(f"Invalid account code '{account_id}'.")
        return [self.accounts[account_id]]

    def next_id(self, client_id: int) -> int:
        """The lowest order id that a client may use. The master's must be above all that it was told of."""
        if client_id == self.master:
            return max(self._last.values(), default=0) + 1
        return self._last.get(client_id, 0) + 1

    def check_id(self, client_id: int, order_id: int) -> None:
        """Raises `Refusal` where a client may not use that order id."""
        if order_id <= 0:
            raise Refusal("order-id", id=order_id)
        if order_id < self.next_id(client_id):
            raise Refusal("duplicate-order")

    def use_id(self, client_id: int, order_id: int) -> None:
        """The order id is used for good."""
        self._last[client_id] = order_id

    def bind_id(self) -> int:
        """A number for a hand-made order that is bound to client 0: below zero, as TWS does by default."""
        self._bound -= 1
        return self._bound


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose order it is: a client of a login. `hand`: a person's at TWS itself."""

    login: Login
    client_id: int
    hand: bool = False


class Teller(Protocol):
    """Where the desk tells what happens; whoever sees an order is told."""

    def order(self, ticket: Any) -> None:
        """Its openOrder and its orderStatus."""

    def status(self, ticket: Any) -> None:
        """Its orderStatus alone."""

    def execution(self, execution: Any) -> None: ...

    def commission(self, execution: Any) -> None:
        """Its openOrder once more, which has the commission now, and the commissionReport."""

    def problem(self, ticket: Any, refusal: Refusal) -> None:
        """An error message for the order's own client."""
