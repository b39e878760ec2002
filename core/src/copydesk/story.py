"""The whole story of one copy, as the journal tells it: the parent's order, what each child was sent, what came of it.

Reads a journal only, in whatever thread: the engine goes on meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from copydesk.errors import UnknownName
from copydesk.inputs import (
    BotStarted,
    Cancel,
    Configured,
    Input,
    Intent,
    LookUp,
    Modify,
    Note,
    Place,
    PlaceGroup,
    Reported,
    Settled,
    Snapped,
)
from copydesk.journal import Journal, Row
from copydesk.model import (
    ZERO,
    Accepted,
    Balance,
    BalanceEvent,
    Contract,
    Fill,
    FillEvent,
    Instrument,
    Order,
    OrderEvent,
    Record,
    from_json,
)
from copydesk.view import LogEntry
from copydesk.wording import intent as intent_words

if TYPE_CHECKING:
    from copydesk.engine import Engine

BACK_ROWS, ON_ROWS = 100_000, 20_000
"""How many rows before and after the line that was asked about are looked through."""
BALANCE_ROWS = 20_000
EPISODE_ROWS = 5_000

_input: Callable[[bytes], Input] = msgspec.json.Decoder(Input).decode
_intent: Callable[[bytes], Intent] = msgspec.json.Decoder(Intent).decode


class StoryRequest(Record):
    """One request for a child. Times in nanoseconds since the epoch, 0 where that did not happen (yet).

    The event behind it was received, decoded, planned for (limits and filters among it) and journalled; then it was handed
    to the venue's client (`sent_ns`) and answered. `outcome`: `accepted`, `rejected`, `unknown` or empty.
    """

    client_id: str
    what: str
    why: str
    received_ns: int
    decoded_ns: int = 0
    planned_ns: int = 0
    journalled_ns: int = 0
    sent_ns: int = 0
    answered_ns: int = 0
    filled_ns: int = 0
    outcome: str = ""
    message: str = ""


class ChildStory(Record):
    """What one child did. `ratio` is the one that its order was sized by, frozen when the episode began at `frozen_ns` (0:
    it is not known); of a child that was sent nothing it is the one by its settings and balances. `own` and `parents`: the
    balances that a percentage was taken of, where they explain the ratio. An `exit` is sized on what the child holds.

    `difference`: the child's average price against the parent's, above zero where it is worse for the child.
    """

    account: str
    mode: str = ""
    value: Decimal | None = None
    rounding: str = ""
    basis: str = ""
    ratio: Decimal | None = None
    frozen_ns: int = 0
    own: Decimal | None = None
    parents: Decimal | None = None
    exit: bool = False
    exact: Decimal | None = None
    asked: Decimal | None = None
    step: Decimal | None = None
    requests: tuple[StoryRequest, ...] = ()
    filled: Decimal = ZERO
    price: Decimal | None = None
    difference: Decimal | None = None
    ticks: Decimal | None = None
    money: Decimal | None = None
    currency: str = ""
    lines: tuple[LogEntry, ...] = ()


class Story(Record):
    """One order of the parent and what became of it on the children. `venue_ns`: when its venue says that it came."""

    bot: str
    parent: str
    symbol: str
    parent_order: str
    order: Order | None = None
    venue_ns: int = 0
    read_ns: int = 0
    filled: Decimal = ZERO
    price: Decimal | None = None
    balance: Balance | None = None
    lines: tuple[LogEntry, ...] = ()
    children: tuple[ChildStory, ...] = ()


@dataclass
class _Found:
    """What the rows told, while they are gone through."""

    bot: str
    parent_order: str
    rules: Any = None
    first_seq: int = 0
    parent: str = ""
    order: Order | None = None
    venue_ms: int = 0
    read_ns: int = 0
    fills: dict[str, Fill] = field(default_factory=dict)
    intents: dict[int, Intent] = field(default_factory=dict)
    decided: dict[int, int] = field(default_factory=dict)
    settled: dict[int, Settled] = field(default_factory=dict)
    child_fills: dict[tuple[str, str], dict[str, tuple[int, Fill]]] = field(default_factory=dict)
    lines: list[LogEntry] = field(default_factory=list)

    @property
    def client_ids(self) -> set[str]:
        return {intent.client_id for intent in self.intents.values() if not isinstance(intent, LookUp)}


def tell_story(journal: Journal, seq: int) -> Story:
    """The story that a line of the log is part of. Raises `UnknownName` where the line belongs to none."""
    asked = next(journal.rows(kinds=("log",), after_seq=seq - 1, before_seq=seq + 1), None)
    entry = from_json(asked.body, LogEntry) if asked is not None else None
    if entry is None:
        raise UnknownName(f"the log has no line {seq}")
    around = _around(journal, seq)
    parent_order = str(entry.data.get("parent_order", "")) or _cause_of(around, str(entry.data.get("client_id", "")))
    if not parent_order:
        raise UnknownName("this line is not part of a copy: there is no more to it than it says")
    found = _Found(bot=entry.bot, parent_order=parent_order)
    _gather(found, around)
    _rules(found, journal, seq)
    return _story(found, journal)


def _around(journal: Journal, seq: int) -> list[Row]:
    kinds = ("input", "intent", "log")
    before = list(journal.rows(kinds=kinds, before_seq=seq + 1, limit=BACK_ROWS, newest_first=True))
    return before[::-1] + list(journal.rows(kinds=kinds, after_seq=seq, limit=ON_ROWS))


def _cause_of(rows: Iterable[Row], client_id: str) -> str:
    needle = client_id.encode()
    for row in rows:
        if client_id and row.kind == "intent" and needle in row.body:
            intent = _intent(row.body)
            if not isinstance(intent, LookUp):
                return intent.cause
    return ""


def _gather(found: _Found, rows: list[Row]) -> None:
    """Everything that names the parent's order, then everything that names an order that was sent for it."""
    order = found.parent_order.encode()
    for row in rows:
        if order in row.body:
            _take(found, row)
    ids = [client_id.encode() for client_id in found.client_ids]
    for row in rows:
        if row.kind != "intent" and any(client_id in row.body for client_id in ids):
            _take_child(found, row)
    found.lines.sort(key=lambda line: line.seq)


def _take(found: _Found, row: Row) -> None:
    if row.kind == "intent":
        intent = _intent(row.body)
        if not isinstance(intent, LookUp) and intent.bot == found.bot and intent.cause == found.parent_order:
            found.intents[intent.id] = intent
            found.decided[intent.id] = row.at_ns
            found.first_seq = found.first_seq or row.seq
    elif row.kind == "log":
        _line(found, row)
    else:
        match _input(row.body):
            case Reported(account=account, event=OrderEvent(order=order)) if order.venue_id == found.parent_order:
                found.parent, found.order = account, order
                found.read_ns = found.read_ns or row.at_ns
                found.venue_ms = found.venue_ms or order.updated_ms or order.created_ms
                found.first_seq = found.first_seq or row.seq
            case Reported(account=account, event=FillEvent(fill=fill)) if fill.venue_id == found.parent_order:
                found.parent = account
                found.fills[fill.execution_id] = fill


def _line(found: _Found, row: Row) -> None:
    entry = msgspec.structs.replace(from_json(row.body, LogEntry), seq=row.seq)
    known = any(line.seq == entry.seq for line in found.lines)
    told = entry.data.get("parent_order") == found.parent_order or entry.data.get("client_id") in found.client_ids
    if told and not known and (not entry.bot or entry.bot == found.bot):
        found.lines.append(entry)


def _take_child(found: _Found, row: Row) -> None:
    if row.kind == "log":
        _line(found, row)
        return
    match _input(row.body):
        case Settled(intent=number) as settled if number in found.intents:
            found.settled.setdefault(number, settled)
        case Reported(account=account, event=FillEvent(fill=fill)) if fill.client_id in found.client_ids:
            fills = found.child_fills.setdefault((account, fill.client_id), {})
            fills.setdefault(fill.execution_id, (row.at_ns, fill))
        case Snapped(account=account, snapshot=snapshot):
            for fill in snapshot.fills:
                if fill.client_id in found.client_ids:
                    fills = found.child_fills.setdefault((account, fill.client_id), {})
                    fills.setdefault(fill.execution_id, (row.at_ns, fill))


def _rules(found: _Found, journal: Journal, seq: int) -> None:
    """The bot's rules that were in force."""
    for row in journal.rows(kinds=("input",), before_seq=found.first_seq or seq, newest_first=True):
        if b'"type":"configured"' in row.body[:200]:
            given = _input(row.body)
            if isinstance(given, Configured):
                found.rules = next((bot for bot in given.bots if bot.name == found.bot), None)
                return


async def read_story(engine: Engine, path: Path, seq: int) -> Story:
    """The same for a running engine, read beside it; prices are counted in the instrument's ticks and in money."""
    engine.chronicle.settle()

    def read() -> Story:
        with Journal.open(path, read_only=True) as journal:
            return tell_story(journal, seq)

    story = await asyncio.to_thread(read)
    bot = engine.state.bots.get(story.bot)
    instrument = engine.state.instruments.get((bot.rules.kind, story.symbol)) if bot is not None else None
    return _measured(story, instrument) if instrument is not None else story


def _measured(story: Story, instrument: Instrument) -> Story:
    return msgspec.structs.replace(story, children=tuple(_in_money(child, story, instrument) for child in story.children))


def _in_money(child: ChildStory, story: Story, instrument: Instrument) -> ChildStory:
    child = msgspec.structs.replace(child, step=instrument.quantity_step)
    if child.difference is None or child.price is None or story.price is None:
        return child
    money = child.difference * child.filled * instrument.contract_size
    if instrument.contract is Contract.INVERSE:
        money /= child.price * story.price
    ticks = child.difference / instrument.price_tick
    return msgspec.structs.replace(child, ticks=ticks, money=money, currency=instrument.settle)


# --- putting it together ----------------------------------------------------------------------------------------------


def _story(found: _Found, journal: Journal) -> Story:
    first = found.first_seq or 1
    parent = found.parent or (found.rules.parent if found.rules is not None else "")
    order = found.order
    filled, price = _average(found.fills.values())
    if not filled and order is not None:
        filled, price = order.filled, order.average_price
    symbol = order.terms.symbol if order is not None else next((line.symbol for line in found.lines if line.symbol), "")
    balance = _balance(journal, parent, first)
    accounts = [intent.account for intent in found.intents.values()]
    accounts += [line.account for line in found.lines if line.account and line.account != parent]
    known = {child.account for child in found.rules.children} if found.rules is not None else set(accounts)
    children = []
    for account in dict.fromkeys(accounts):
        if account in known:
            sizing = _sizing(found, journal, account, parent, first)
            children.append(_child(found, account, sizing, filled, price))
    return Story(
        bot=found.bot,
        parent=parent,
        symbol=symbol,
        parent_order=found.parent_order,
        order=order,
        venue_ns=found.venue_ms * 1_000_000,
        read_ns=found.read_ns,
        filled=filled,
        price=price,
        balance=balance,
        lines=tuple(line for line in found.lines if line.account in ("", parent)),
        children=tuple(children),
    )


@dataclass
class _Sizing:
    """By what a child's order was sized."""

    ratio: Decimal | None = None
    frozen_ns: int = 0
    own: Decimal | None = None
    parents: Decimal | None = None
    exit: bool = False


def _sizing(found: _Found, journal: Journal, account: str, parent: str, first_seq: int) -> _Sizing:
    """As the line of its first order says; the balances are those known when the episode's first order was decided."""
    rules = _rules_of(found, account)
    line = next((line for line in found.lines if line.account == account and "exit" in line.data), None)
    opening = _opening(journal, line) if line is not None else None
    if line is None or opening is None:
        mine, theirs = _balance(journal, account, first_seq), _balance(journal, parent, first_seq)
        own, parents = _bases(rules, mine, theirs)
        return _Sizing(_by_balances(rules, own, parents), own=own, parents=parents)
    before = _decided_at(journal, opening)
    own, parents = _bases(rules, _balance(journal, account, before), _balance(journal, parent, before))
    sizing = _Sizing(Decimal(opening.data["ratio"]), frozen_ns=opening.at_ns, exit=bool(line.data["exit"]))
    if _by_balances(rules, own, parents) == sizing.ratio:
        sizing.own, sizing.parents = own, parents
    return sizing


def _rules_of(found: _Found, account: str) -> Any:
    return next((child for child in found.rules.children if child.account == account), None) if found.rules else None


def _child(
    found: _Found, account: str, sizing: _Sizing, parent_filled: Decimal, parent_price: Decimal | None
) -> ChildStory:
    rules = _rules_of(found, account)
    fills = [fill for (key, _), of_order in found.child_fills.items() if key == account for _, fill in of_order.values()]
    filled, price = _average(fills)
    first = next((i for i in found.intents.values() if i.account == account and isinstance(i, Place | PlaceGroup)), None)
    ratio = sizing.ratio
    size = found.order.terms.quantity if found.order is not None else parent_filled
    worse = None
    if price is not None and parent_price is not None and fills and filled and parent_filled:
        worse = (price - parent_price) * fills[0].side.sign
    return ChildStory(
        account=account,
        mode=rules.mode if rules is not None else "",
        value=rules.value if rules is not None else None,
        rounding=rules.rounding if rules is not None else "",
        basis=rules.basis if rules is not None else "",
        ratio=ratio,
        frozen_ns=sizing.frozen_ns,
        own=sizing.own,
        parents=sizing.parents,
        exit=sizing.exit,
        exact=abs(ratio * size) if ratio is not None and size and not sizing.exit else None,
        asked=_asked(first),
        requests=tuple(_requests(found, account)),
        filled=filled,
        price=price,
        difference=worse,
        lines=tuple(line for line in found.lines if line.account == account),
    )


def _asked(intent: Intent | None) -> Decimal | None:
    if isinstance(intent, Place):
        return intent.order.terms.quantity
    return intent.group.legs[0].terms.quantity if isinstance(intent, PlaceGroup) else None


def _requests(found: _Found, account: str) -> Iterable[StoryRequest]:
    told = {(line.data.get("client_id"), line.data.get("why")): line for line in found.lines if line.kind == "copy"}
    for number, intent in found.intents.items():
        if intent.account != account or isinstance(intent, LookUp | Note):
            continue
        line = told.get((intent.client_id, intent.why))
        us = line.data if line is not None else {}
        received_ns = found.decided[number] - us.get("decoded_us", 0) * 1000
        moments = {
            name: received_ns + us[f"{name}_us"] * 1000 if f"{name}_us" in us else 0
            for name in ("decoded", "planned", "journalled", "sent", "answered")
        }
        settled = found.settled.get(number)
        fills = [at_ns for at_ns, _ in found.child_fills.get((account, intent.client_id), {}).values()]
        outcome = settled.outcome if settled is not None else None
        yield StoryRequest(
            client_id=intent.client_id,
            what=intent_words(intent),
            why=intent.why,
            received_ns=received_ns,
            decoded_ns=moments["decoded"],
            planned_ns=moments["planned"],
            journalled_ns=moments["journalled"],
            sent_ns=moments["sent"],
            answered_ns=moments["answered"],
            filled_ns=min(fills) if fills and not isinstance(intent, Cancel | Modify) else 0,
            outcome=type(outcome).__name__.lower() if outcome is not None else "",
            message="" if outcome is None or isinstance(outcome, Accepted) else outcome.message,
        )


def _opening(journal: Journal, line: LogEntry) -> LogEntry | None:
    """The line of the order that opened the episode of a line: the first that was sized by the same ratio."""
    rows = journal.rows(
        kinds=("log",), bot=line.bot, account=line.account, before_seq=line.seq + 1, newest_first=True, limit=EPISODE_ROWS
    )
    found: LogEntry | None = None
    for row in rows:
        entry = msgspec.structs.replace(from_json(row.body, LogEntry), seq=row.seq)
        if entry.symbol != line.symbol or "ratio" not in entry.data:
            continue
        if found is not None and entry.data["ratio"] != found.data["ratio"]:
            break
        found = entry
        if entry.data["opens"]:
            break
    return found


def _decided_at(journal: Journal, line: LogEntry) -> int:
    """The number of the row after which the order of a line was decided; what was told later had no part in it."""
    client_id = str(line.data["client_id"]).encode()
    intents = journal.rows(kinds=("intent",), bot=line.bot, account=line.account, before_seq=line.seq, newest_first=True)
    intent = next((row for row in intents if client_id in row.body), None)
    if intent is None:
        return line.seq
    inputs = journal.rows(kinds=("input",), before_seq=intent.seq, to_ns=intent.at_ns + 1, limit=1, newest_first=True)
    return next((row.seq for row in inputs), intent.seq)


def _bases(rules: Any, mine: Balance | None, theirs: Balance | None) -> tuple[Decimal | None, Decimal | None]:
    """The child's balance and the parent's that a percentage is taken of."""
    if rules is None or rules.mode == "multiplier":
        return None, None
    if rules.basis == "fixed":
        return rules.fixed_balance, getattr(theirs, "equity", None)
    return getattr(mine, rules.basis, None), getattr(theirs, rules.basis, None)


def _by_balances(rules: Any, own: Decimal | None, parents: Decimal | None) -> Decimal | None:
    """The ratio by the settings and the balances."""
    if rules is None:
        return None
    value: Decimal = rules.value
    if rules.mode == "multiplier":
        return value
    return own / parents * value / 100 if own and parents else None


def _average(fills: Iterable[Fill]) -> tuple[Decimal, Decimal | None]:
    quantity = value = ZERO
    for fill in fills:
        quantity += fill.quantity
        value += fill.quantity * fill.price
    return quantity, value / quantity if quantity else None


def _balance(journal: Journal, account: str, before_seq: int) -> Balance | None:
    """What was last told of an account's balance before a row."""
    if not account:
        return None
    rows = journal.rows(kinds=("input",), before_seq=before_seq, limit=BALANCE_ROWS, newest_first=True)
    for row in rows:
        if b'"balance"' not in row.body or account.encode() not in row.body:
            continue
        match _input(row.body):
            case Reported(account=key, event=BalanceEvent(balance=balance)) if key == account:
                return balance
            case Snapped(account=key, snapshot=snapshot) if key == account and snapshot.balance is not None:
                return snapshot.balance
            case BotStarted(snapshot=snapshot, children=children):
                if account in children and children[account].balance is not None:
                    return children[account].balance
    return None
