"""What people are told of when they are not looking, and how seldom. Pure: events in, notices out.

A matter (one child's copy, one connection) is told of once and then not again for a while; all together no more than so
many an hour, and what was held back is counted in the next one that goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from copydesk.config import NotifySettings
from copydesk.model import Record
from copydesk.view import AccountView, ConnectionState, DeskEvent, DriftView, LogEntry, Ticket
from copydesk.wording import number

HOUR_NS = 3_600_000_000_000
HARMLESS = frozenset({"", "rounding", "pending", "dust"})
LIMIT_KINDS = frozenset({"limits", "capped", "daily-loss"})


class Notice(Record):
    """One message. `matter` is what it is about: the same matter is not told of again for a while."""

    event: str
    matter: str
    title: str
    body: str


class Watcher:
    """Turns the stream of events into notices that are due."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._states: dict[str, ConnectionState] = {}
        self._off: dict[tuple[str, str, str, str], DriftView] = {}
        self._told_ns: dict[str, int] = {}
        self._sent_ns: deque[int] = deque()
        self._held = 0

    def begin(self, accounts: Iterable[AccountView], drift: Iterable[DriftView]) -> None:
        """The picture at the beginning: what is so already is not news, but a difference that lasts is."""
        self._states = {account.key: account.state for account in accounts}
        for row in drift:
            self._take_drift(row)

    def take(self, event: DeskEvent, at_ns: int) -> list[Notice]:
        """What an event makes due."""
        found: list[Notice] = []
        match event.body:
            case LogEntry() as line:
                found = _of_line(line)
            case Ticket(status="open") as ticket:
                found = [_copy_failed(ticket)]
            case AccountView() as account:
                found = self._of_account(account)
            case DriftView() as row:
                self._take_drift(row)
        return self._due(found, at_ns)

    def look(self, at_ns: int) -> list[Notice]:
        """What has been off its target for too long by now."""
        patience_ns = int(self._settings.out_of_sync_after_s * 1_000_000_000)
        late = [row for row in self._off.values() if at_ns - row.since_ns >= patience_ns]
        return self._due([_out_of_sync(row) for row in late], at_ns)

    def _take_drift(self, row: DriftView) -> None:
        key = (row.bot, row.child, row.symbol, row.position_side)
        if row.difference and row.cause not in HARMLESS and row.since_ns:
            self._off[key] = row
        else:
            self._off.pop(key, None)

    def _of_account(self, account: AccountView) -> list[Notice]:
        before = self._states.get(account.key)
        self._states[account.key] = account.state
        lost = (ConnectionState.DOWN, ConnectionState.REFUSED)
        if account.state not in lost or before in lost:
            return []
        body = f"{account.key} ({account.title}) is {account.state}: {account.message or 'no reason was told'}"
        return [Notice(event="connection_lost", matter=f"connection {account.key}", title="Connection lost", body=body)]

    def _due(self, found: list[Notice], at_ns: int) -> list[Notice]:
        repeat_ns = int(self._settings.repeat_s * 1_000_000_000)
        due = []
        while self._sent_ns and at_ns - self._sent_ns[0] >= HOUR_NS:
            self._sent_ns.popleft()
        for notice in found:
            told_ns = self._told_ns.get(notice.matter)
            if notice.event not in self._settings.events or (told_ns is not None and at_ns - told_ns < repeat_ns):
                continue
            if len(self._sent_ns) >= self._settings.per_hour:
                self._held += 1
                continue
            self._told_ns[notice.matter] = at_ns
            self._sent_ns.append(at_ns)
            due.append(self._with_held(notice))
        return due

    def _with_held(self, notice: Notice) -> Notice:
        held, self._held = self._held, 0
        if not held:
            return notice
        body = f"{notice.body}\n{held} more were held back: at most {self._settings.per_hour} are sent an hour."
        return Notice(event=notice.event, matter=notice.matter, title=notice.title, body=body)


def _of_line(line: LogEntry) -> list[Notice]:
    where = f"{line.bot}, {line.account}: " if line.bot and line.account else ""
    if line.kind in LIMIT_KINDS and line.level != "info":
        return [
            Notice(event="limit_hit", matter=f"limit {line.account} {line.kind}", title="Limit hit", body=where + line.text)
        ]
    if line.level == "error" and line.account and not line.data.get("ticket_id"):
        matter = f"copy {line.bot} {line.account} {line.symbol}"
        return [Notice(event="copy_failed", matter=matter, title="Copy failed", body=where + line.text)]
    return []


def _copy_failed(ticket: Ticket) -> Notice:
    body = f"{ticket.bot}, {ticket.child}: {ticket.why}. Ticket {ticket.id} may be sent until it expires."
    return Notice(
        event="copy_failed", matter=f"copy {ticket.bot} {ticket.child} {ticket.symbol}", title="Copy failed", body=body
    )


def _out_of_sync(row: DriftView) -> Notice:
    body = f"{row.bot}, {row.child}: holds {number(row.attributed)} of {number(row.target)} {row.symbol} ({row.cause})" + (
        f": {row.alarm}" if row.alarm else ""
    )
    return Notice(
        event="out_of_sync",
        matter=f"sync {row.bot} {row.child} {row.symbol} {row.position_side}",
        title="Child out of sync",
        body=body,
    )
