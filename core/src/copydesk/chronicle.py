"""The log of actions: every line is journalled, numbered, and told to whoever watches."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec

from copydesk import wording
from copydesk.events import Events
from copydesk.ids import is_own
from copydesk.inputs import Note, Reported
from copydesk.journal import Journal
from copydesk.model import FillEvent, OrderEvent, from_json, to_json
from copydesk.state import Desk
from copydesk.view import LogEntry, LogQuery


class Chronicle:
    """Writes log lines and finds them again."""

    def __init__(self, journal: Journal, events: Events) -> None:
        self._journal = journal
        self._events = events

    def say(
        self,
        level: str,
        kind: str,
        text: str,
        *,
        bot: str = "",
        account: str = "",
        symbol: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        """One line. `level` is `info`, `warn` or `error`, `kind` a short stable word, `data` for machines."""
        at_ns = time.time_ns()
        entry = LogEntry(
            at_ns=at_ns, level=level, kind=kind, text=text, bot=bot, account=account, symbol=symbol, data=data or {}
        )
        seq = self._journal.append("log", to_json(entry), at_ns=at_ns, bot=bot, account=account)
        self._events.tell("log", msgspec.structs.replace(entry, seq=seq), account)

    def note(self, note: Note) -> None:
        """The line of a decision that sends nothing."""
        self.say(note.level, note.kind, note.text, bot=note.bot, account=note.account, symbol=note.symbol, data=note.data)

    def reported(self, given: Reported, desk: Desk) -> None:
        """The line of what a venue reported: the parent's orders, and the fills of ours."""
        match given.event:
            case OrderEvent(order=order) if not is_own(order.client_id):
                for bot in desk.bots.values():
                    if bot.working and bot.rules.parent == given.account:
                        self.say(
                            "info",
                            "parent",
                            wording.parent_order(order),
                            bot=bot.rules.name,
                            account=given.account,
                            symbol=order.terms.symbol,
                            data={"parent_order": order.venue_id, "status": order.status},
                        )
            case FillEvent(fill=fill) if is_own(fill.client_id):
                tracked = desk.child_orders.get((given.account, fill.client_id))
                self.say(
                    "info",
                    "fill",
                    wording.fill(fill),
                    bot=tracked.bot.rules.name if tracked is not None else "",
                    account=given.account,
                    symbol=fill.symbol,
                    data={"client_id": fill.client_id},
                )

    def settle(self) -> None:
        """What was said so far can be read by another."""
        self._journal.commit()

    def latest(self, limit: int) -> list[LogEntry]:
        """The latest lines, the newest first."""
        self.settle()
        return lines_of(self._journal, LogQuery(limit=limit))


def sizing_of(desk: Desk, account: str, client_id: str) -> dict[str, Any]:
    """By what an order of ours is sized, for its line in the log: whether it is an exit, else by which frozen ratio, and
    whether it opens the episode of that."""
    tracked = desk.child_orders.get((account, client_id))
    if tracked is None:
        return {}
    pair, told = tracked.pair, {"exit": tracked.order.exit}
    if pair is None or pair.ratio is None:
        return told
    return told | {"opens": not pair.before and not tracked.order.exit, "ratio": str(pair.ratio)}


def lines_of(journal: Journal, query: LogQuery) -> list[LogEntry]:
    """The lines of a journal that fit, the newest first. Goes through all of it where few do."""
    rows = journal.rows(
        kinds=("log",),
        bot=query.bot,
        account=query.account,
        from_ns=query.from_ms * 1_000_000,
        to_ns=query.to_ms * 1_000_000 + 1 if query.to_ms else 0,
        before_seq=query.before_seq,
        newest_first=True,
    )
    found: list[LogEntry] = []
    for row in rows:
        entry = msgspec.structs.replace(from_json(row.body, LogEntry), seq=row.seq)
        if _fits(entry, query):
            found.append(entry)
            if len(found) >= query.limit:
                break
    return found


def read_lines(path: Path, query: LogQuery) -> list[LogEntry]:
    """The same over a connection of its own, for a thread: a search through months of log holds no order up."""
    with Journal.open(path, read_only=True) as journal:
        return lines_of(journal, query)


def _fits(entry: LogEntry, query: LogQuery) -> bool:
    if query.kind and entry.kind != query.kind:
        return False
    if query.level and entry.level != query.level:
        return False
    return not query.text or query.text.lower() in entry.text.lower()
