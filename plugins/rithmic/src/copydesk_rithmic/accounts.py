"""The accounts of a login, and which trade route leads from each of them to an exchange. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from copydesk.errors import AuthFailed
from copydesk_wire.errors import Unreadable

from copydesk_rithmic.library import Message

UP = "UP"


@dataclass(frozen=True, slots=True)
class Account:
    """An account. Its id is unique together with its FCM (clearing firm) and IB (broker) only."""

    account_id: str
    fcm_id: str
    ib_id: str
    currency: str = "USD"

    @property
    def path(self) -> str:
        return f"{self.fcm_id}/{self.ib_id}/{self.account_id}"

    def is_named_in(self, message: Message) -> bool:
        return (message.account_id, message.fcm_id, message.ib_id) == (self.account_id, self.fcm_id, self.ib_id)

    def name_in(self, request: Message) -> None:
        """Address a request to this account."""
        request.account_id, request.fcm_id, request.ib_id = self.account_id, self.fcm_id, self.ib_id


def read_accounts(rows: Iterable[Message]) -> tuple[Account, ...]:
    """The accounts in 303. Raises `Unreadable` where one has no id."""
    accounts = []
    for row in rows:
        if not row.account_id or not row.fcm_id or not row.ib_id:
            raise Unreadable("Rithmic lists an account without its id, FCM or IB")
        accounts.append(Account(row.account_id, row.fcm_id, row.ib_id, row.account_currency or "USD"))
    return tuple(accounts)


def choose(accounts: tuple[Account, ...], wanted: str) -> tuple[Account, ...]:
    """The account that a person named (`ID`, or `FCM/IB/ID`); all of them where none is named. Raises `AuthFailed`."""
    if not accounts:
        raise AuthFailed("This Rithmic login has no account: ask your broker which user sees the account.")
    if not wanted:
        ids = [account.account_id for account in accounts]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise AuthFailed(
                f"This login has accounts of one id at several brokers ({', '.join(twice)}): name one as FCM/IB/ID."
            )
        return accounts
    found = tuple(account for account in accounts if wanted in (account.account_id, account.path))
    if len(found) == 1:
        return found
    if found:
        raise AuthFailed(f"There are several accounts {wanted!r}: name one of {', '.join(one.path for one in found)}.")
    known = ", ".join(account.account_id for account in accounts)
    raise AuthFailed(f"This Rithmic login does not have the account {wanted!r}; it has {known}.")


def choose_route(rows: Iterable[Message], account: Account, exchange: str, wanted: str = "") -> str:
    """The trade route from an account to an exchange, by 311 and 350 (a later row is newer): the one that was asked for,
    else the default one that is up, else any that is up. Empty where there is none."""
    routes: dict[str, tuple[bool, bool]] = {}
    for row in rows:
        if (row.fcm_id, row.ib_id, row.exchange) == (account.fcm_id, account.ib_id, exchange):
            routes[row.trade_route] = (row.status == UP, row.is_default)
    up = [name for name, (is_up, _) in routes.items() if is_up]
    if wanted:
        return wanted if wanted in up else ""
    default = [name for name in up if routes[name][1]]
    return next(iter(default or up), "")
