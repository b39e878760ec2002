"""The boot report (rule 16): what a new process found, and what it did about it.

It is made while the accounts that the bots need are read one after the other. It is done once all of them were read and
what was in flight is settled, or after a deadline, with the names of those that are still down; what comes later is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from copydesk import wording
from copydesk.inputs import Cancel, Decision, Input, LookUp, Modify, Note, Place, Snapped
from copydesk.model import Record, Scope
from copydesk.state import ChildOrder, Desk
from copydesk.tracking import State

KEPT = 200
"""So many lines of each part are kept; `more` says how many were not."""
_OUTSIDE = frozenset({"stale", "no-balance"})


class BootDown(Record):
    """An account that could not be read yet. `was_up`: it was connected when the last engine ended."""

    account: str
    was_up: bool


class BootIntent(Record):
    """An order whose fate was not known when the last engine ended, and what it has turned out to be."""

    bot: str
    account: str
    text: str
    client_id: str
    became: str


class BootReport(Record):
    """What was found and done since the start. `complete`: every account was read, and everything in flight is settled.

    `parent`: what parents did meanwhile, as inferred from their snapshots. `added`, `reduced`, `withdrawn`: what was sent.
    `left`: what was not added, because it is outside the catch-up window; the log has tickets.
    """

    started_ns: int
    done_ns: int = 0
    complete: bool = False
    bots: tuple[str, ...] = ()
    down: tuple[BootDown, ...] = ()
    intents: tuple[BootIntent, ...] = ()
    parent: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    reduced: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    more: int = 0


class BootWatch:
    """Watches what goes through the engine from its start on. `say` is told of the report, done or added to."""

    def __init__(self, desk: Desk, needed: Iterable[str], at_ns: int, say: Callable[[BootReport], None]) -> None:
        """To be made after the journal was read and before anything else: `desk` still is as the last engine left it."""
        self._desk = desk
        self._say = say
        self._started_ns = at_ns
        self._done_ns = 0
        self._waiting = dict.fromkeys(sorted(needed), False)
        for key in self._waiting:
            account = desk.accounts.get(key)
            self._waiting[key] = account is not None and account.connected
        self._bots = tuple(sorted(name for name, bot in desk.bots.items() if bot.working))
        self._unsettled = [
            (tracked.bot.rules.name, tracked.order)
            for tracked in desk.child_orders.values()
            if tracked.bot.managed and _is_in_flight(tracked.order)
        ]
        self._lines: dict[str, list[str]] = {part: [] for part in ("parent", "added", "reduced", "withdrawn", "left")}
        self._more = 0
        self._complete = not self._waiting

    @property
    def is_over(self) -> bool:
        """Nothing more is going to be added."""
        return self._complete

    def take(self, given: Input, decisions: Iterable[Decision]) -> None:
        """See an input and what followed from it."""
        if isinstance(given, Snapped) and given.snapshot.scope is not Scope.ORDERS:
            self._waiting.pop(given.account, None)
        for decision in decisions:
            self._sort(decision)
        if not self._waiting and not any(_is_in_flight(order) for _, order in self._unsettled):
            self._complete = True
            self._finish(given.at_ns)

    def is_late(self, at_ns: int) -> None:
        """The deadline has come: report what there is, with the names of those that are down."""
        if not self._done_ns:
            self._finish(at_ns)

    def report(self) -> BootReport:
        """As things are now."""
        return BootReport(
            started_ns=self._started_ns,
            done_ns=self._done_ns,
            complete=self._complete,
            bots=self._bots,
            down=tuple(BootDown(account=key, was_up=was_up) for key, was_up in self._waiting.items()),
            intents=tuple(
                BootIntent(
                    bot=bot,
                    account=order.account,
                    text=wording.terms(order.terms),
                    client_id=order.client_id,
                    became=order.state,
                )
                for bot, order in self._unsettled[:KEPT]
            ),
            more=self._more + max(0, len(self._unsettled) - KEPT),
            **{part: tuple(lines) for part, lines in self._lines.items()},
        )

    def _finish(self, at_ns: int) -> None:
        self._done_ns = at_ns
        self._say(self.report())

    def _sort(self, decision: Decision) -> None:
        match decision:
            case Note(kind="inferred", text=text):
                self._add("parent", f"{decision.bot}: {text}")
            case Note(text=text) if decision.kind in _OUTSIDE:
                self._add("left", f"{decision.account}: {text}")
            case Place(order=order, why="entry" | "catch-up"):
                self._add("added", f"{decision.account}: {wording.terms(order.terms)}")
            case Place(order=order):
                self._add("reduced", f"{decision.account}: {wording.terms(order.terms)}")
            case Cancel() | Modify():
                self._add("withdrawn", f"{decision.account}: {wording.intent(decision)} ({decision.why})")
            case Note() | LookUp():
                pass
            case _:
                self._add("reduced", f"{decision.account}: {wording.intent(decision)}")

    def _add(self, part: str, line: str) -> None:
        if len(self._lines[part]) < KEPT:
            self._lines[part].append(line)
        else:
            self._more += 1


def _is_in_flight(order: ChildOrder) -> bool:
    return order.state in (State.SENDING, State.UNKNOWN) or (order.op is not None and order.state.is_open)


def in_words(report: BootReport) -> tuple[str, str]:
    """(level, one line for the log)."""
    counted = (
        ("resumed", len(report.bots), "bot"),
        ("settled", sum(1 for i in report.intents if i.became not in ("unknown", "sending")), "order in flight"),
        ("found", len(report.parent), "change of a parent"),
        ("added", len(report.added), "order"),
        ("reduced by", len(report.reduced), "order"),
        ("left", len(report.left), "order outside the catch-up window"),
    )
    parts = [f"{verb} {count} {wording.plural(what, count)}" for verb, count, what in counted if count]
    text = f"after the start: {', '.join(parts) or 'nothing had to be done'}"
    gone = [down.account for down in report.down if down.was_up]
    still = [down.account for down in report.down if not down.was_up]
    if gone:
        text += f"; down, and up before: {', '.join(gone)}"
    if still:
        text += f"; down at the last shutdown, and still: {', '.join(still)}"
    return ("warn" if report.down or report.left else "info"), text
