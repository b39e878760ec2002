"""Orders that went out and of which nobody knows yet whether they arrived: over which connection each one went. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from copydesk.model import Record

from copydesk_rithmic.accounts import Account

KEPT = 10_000


class Flight(Record):
    """`connection`: its number at the order plant; `sent_ms`: by Rithmic's clock; `missed`: Rithmic does not have it."""

    connection: int
    sent_ms: int
    missed: bool = False


class Flights:
    """By account and client id; of several sends of one id the latest."""

    def __init__(self) -> None:
        self._flights: dict[tuple[Account, str], Flight] = {}

    def begin(self, account: Account, client_id: str, connection: int, sent_ms: int) -> None:
        """It goes out now."""
        self._flights.pop((account, client_id), None)
        self._flights[account, client_id] = Flight(connection=connection, sent_ms=sent_ms)
        if len(self._flights) > KEPT:
            del self._flights[next(iter(self._flights))]

    def end(self, account: Account, client_id: str) -> None:
        """What became of it is known."""
        self._flights.pop((account, client_id), None)

    def miss(self, account: Account, client_id: str) -> None:
        """Rithmic does not have it: it may be sent again, by whoever has waited long enough for that."""
        flight = self._flights.get((account, client_id))
        if flight is not None:
            self._flights[account, client_id] = Flight(connection=flight.connection, sent_ms=flight.sent_ms, missed=True)

    def is_under_way(self, account: Account, client_id: str) -> bool:
        """It went out, and nobody has looked for it since."""
        flight = self._flights.get((account, client_id))
        return flight is not None and not flight.missed

    def ended(self, account: Account, client_ids: Iterable[str], connection: int) -> dict[str, Flight]:
        """Those of the orders that went out over a connection up to this number, and not again since."""
        flights = ((client_id, self._flights.get((account, client_id))) for client_id in client_ids)
        return {name: flight for name, flight in flights if flight is not None and flight.connection <= connection}
