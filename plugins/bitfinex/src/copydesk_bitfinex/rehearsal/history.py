"""What an account's owner reads of the past beyond orders and executions: ledger, deposits, positions that ended."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

from copydesk.model import Fill
from copydesk_paper.records import Cause

from copydesk_bitfinex.rehearsal.wire import Row, number, plain, wallet_of

KEPT = 2_500
LEDGER_PLACES, MOVEMENT_PLACES = 9, 22
_WORDS = {
    Cause.DEPOSIT: "Deposit",
    Cause.WITHDRAW: "Withdrawal",
    Cause.FUNDING: "Margin Funding Event",
    Cause.LIQUIDATION: "Settlement",
}
_numbers = count(5_000_000)


def _rows() -> deque[Row]:
    return deque(maxlen=KEPT)


@dataclass(slots=True)
class History:
    """The newest first."""

    ledger: deque[Row] = field(default_factory=_rows)
    movements: deque[Row] = field(default_factory=_rows)
    positions: deque[Row] = field(default_factory=_rows)

    def booked(self, asset: str, change: Decimal, balance: Decimal, cause: Cause, fill: Fill | None, now_ms: int) -> None:
        """A balance has changed. An execution and its fee are one entry here."""
        kind, currency = wallet_of(asset)
        entry: Row = [None] * LEDGER_PLACES
        entry[0], entry[1], entry[2], entry[3] = next(_numbers), currency, kind, now_ms
        entry[5], entry[6], entry[8] = number(change), number(balance), f"{_word(cause, fill)} on wallet {kind}"
        self.ledger.appendleft(entry)
        if cause in (Cause.DEPOSIT, Cause.WITHDRAW):
            moved: Row = [None] * MOVEMENT_PLACES
            moved[0], moved[1], moved[2] = entry[0], currency, currency
            moved[5] = moved[6] = now_ms
            moved[9], moved[12], moved[13] = "COMPLETED", number(change), 0
            self.movements.appendleft(moved)


def _word(cause: Cause, fill: Fill | None) -> str:
    if cause is not Cause.ORDER or fill is None:
        return _WORDS.get(cause, "Settlement")
    return f"Exchange {plain(fill.quantity)} {fill.symbol} @ {plain(fill.price)}"
