"""What a login knows of the orders and executions of all its accounts. No socket, no clock.

Everything is keyed by `permId`, IB's own number of an order: the API's order id belongs to one client, is zero for an
order made by hand in TWS and negative once such a one is bound. openOrder, orderStatus, execDetails and completedOrder
come in any order and again and again; each is folded into one record, and what changed by it is told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from copydesk.model import Fill, Order, OrderStatus, Terms
from msgspec.structs import replace

from copydesk_ib import translate
from copydesk_ib.contracts import COMBO, Listing
from copydesk_ib.translate import Execution

ZERO = Decimal(0)
REMEMBERED = 20_000
AT_EXCHANGE = frozenset({"FUT", "FOP"})
"""Kinds of contracts whose exchanges keep stops themselves: there `Submitted` does not say that one was triggered."""


@dataclass(slots=True)
class Known:
    """One order, as far as it is told."""

    account: str
    perm: int
    listed: Listing
    terms: Terms
    created_ms: int
    updated_ms: int
    reference: str = ""
    order_id: int = 0
    client: int = -1
    parent: int = 0
    group: str = ""
    word: str = ""
    filled: Decimal = ZERO
    average: Decimal | None = None
    waited: bool = False  # it was seen waiting for its trigger
    triggered: bool = False
    refused: bool = False
    reason: str = ""
    first_stop: Decimal | None = None
    conditioned: bool = False
    told: Order | None = None
    heard: int = 0  # the number of the last message about it

    @property
    def status(self) -> OrderStatus:
        return translate.status(self.word, self.filled, self.terms.quantity, refused=self.refused)

    @property
    def is_working(self) -> bool:
        return not self.status.is_final

    @property
    def is_undecided(self) -> bool:
        """Whether IB has not said yet that it takes it. What waits for a trigger or for the close stays `PreSubmitted`."""
        if self.filled or self.word not in ("PendingSubmit", "ApiPending", "PreSubmitted"):
            return False
        waits = self.terms.type.is_conditional or "orderType=" in self.terms.native
        return self.word != "PreSubmitted" or not waits

    def state(self) -> Order:
        """The order as copydesk tells it."""
        return Order(
            account=self.account,
            venue_id=str(self.perm),
            client_id=self.reference,
            terms=self.terms,
            status=self.status,
            filled=self.filled,
            average_price=self.average if self.filled else None,
            triggered=self.triggered,
            created_ms=self.created_ms,
            updated_ms=self.updated_ms,
            reason=self.reason if self.status.is_final else "",
            group=self.group,
        )


class Book:
    """The orders and executions of one login. Methods that take a message return the orders that it changed."""

    def __init__(self) -> None:
        self.orders: dict[int, Known] = {}
        self.executions: dict[str, Execution] = {}  # by their number without its last part
        self.passed_over: set[int] = set()  # what is listed and is no order
        self.heard = 0  # how many messages came
        self._commissions: dict[str, tuple[Decimal, str]] = {}
        self._refusals: dict[tuple[int, int], str] = {}
        self._by_id: dict[tuple[int, int], int] = {}
        self._by_reference: dict[tuple[str, str], int] = {}
        self._dormant: set[int] = set()

    # --- finding ---

    def find(self, account: str, *, reference: str = "", venue_id: str = "") -> Known | None:
        """An order of the account, by IB's number where that is given, else by copydesk's client id."""
        number = int(venue_id) if venue_id.isdigit() else self._by_reference.get((account, reference), 0)
        known = self.orders.get(number)
        return known if known is not None and known.account == account else None

    def by_order_id(self, client: int, order_id: int) -> Known | None:
        return self.orders.get(self._by_id.get((client, order_id), 0))

    def of(self, account: str) -> Iterator[Known]:
        return (known for known in self.orders.values() if known.account == account)

    def group(self, account: str, group: str) -> list[Known]:
        """The orders of a group that work."""
        return [known for known in self.of(account) if group and known.group == group and known.is_working]

    def is_dormant(self, known: Known) -> bool:
        """Whether it is attached to an order that has not traded yet, or to conditions that are not met: it waits, and is
        nothing that works by itself.

        A bracket made by hand has no order ids: there the group's name is the parent's number.
        """
        if known.conditioned and not known.filled and known.word != "Submitted":
            return True
        parent = self.by_order_id(known.client, known.parent) if known.parent else None
        if parent is None and known.group.isdigit():
            parent = self.orders.get(int(known.group))
        return parent is not None and parent is not known and parent.is_working and not parent.filled

    def wakes(self, known: Known) -> list[Known]:
        """The orders that waited for this one, and do not any more."""
        if not self._dormant or (known.is_working and not known.filled):
            return []
        awake = [self.orders[perm] for perm in self._dormant if not self.is_dormant(self.orders[perm])]
        self._dormant.difference_update(other.perm for other in awake)
        return awake

    # --- messages ---

    def open_order(self, told: Any, contract: Any, state: Any, listed: Listing, at_ms: int) -> Known | None:
        """openOrder. None where it is of no account, or has no number yet."""
        self.heard += 1
        if told.orderType in translate.NO_ORDERS:
            self.passed_over.add(told.permId)
        if not told.permId or not told.account or told.whatIf or told.permId in self.passed_over:
            return None
        known = self.orders.get(told.permId)
        first_stop = told.trailStopPrice if known is None or known.first_stop is None else known.first_stop
        terms = translate.terms(told, listed, contract.exchange, first_stop)
        if known is None:
            known = self._keep(
                Known(
                    told.account, told.permId, listed, terms, at_ms, at_ms, reference=told.orderRef, first_stop=first_stop
                )
            )
        elif known.is_working:
            known.terms = terms
        known.listed = listed
        known.conditioned = bool(told.conditions)
        known.parent, known.group = told.parentId or known.parent, told.ocaGroup
        self._name(known, told.clientId, told.orderId)
        self._word(known, state.status)
        return known

    def order_status(
        self, perm: int, client: int, order_id: int, word: str, filled: Decimal, average: Decimal | None
    ) -> Known | None:
        """orderStatus. None where the order is not known."""
        self.heard += 1
        known = self.orders.get(perm) or self.by_order_id(client, order_id)
        if known is None:
            return None
        self._fill(known, filled, average)
        self._word(known, word)
        return known

    def completed(self, told: Any, contract: Any, state: Any, listed: Listing, at_ms: int) -> Known | None:
        """completedOrder."""
        if not told.permId or not told.account or told.orderType in translate.NO_ORDERS:
            return None
        ended_ms = completed_ms(state.completedTime) or at_ms
        known = self.orders.get(told.permId)
        if known is None:
            terms = translate.terms(told, listed, contract.exchange, told.trailStopPrice)
            known = self._keep(Known(told.account, told.permId, listed, terms, ended_ms, ended_ms, reference=told.orderRef))
            known.group = told.ocaGroup
            known.updated_ms = ended_ms
        filled = told.filledQuantity or ZERO
        if not filled and state.status == "Filled":
            filled = known.terms.quantity
        self._fill(known, filled, self._average(known))
        known.refused |= "reject" in (state.completedStatus or "").lower()
        if not known.reason:
            known.reason = state.completedStatus or ""
        self._word(known, state.status)
        return known

    def execution(self, told: Any, listed: Listing) -> tuple[Known | None, Execution | None, bool]:
        """execDetails: the order, the execution where it is new, and whether it replaces one that was told before."""
        self.heard += 1
        known = self.orders.get(told.permId)
        if known is not None and known.listed.security == COMBO and listed.security != COMBO:
            return known, None, False  # one leg of a combination: the order counts the whole
        found = translate.execution(told, known.listed if known is not None else listed)
        if known is not None and not found.fill.client_id:
            found = replace(found, fill=replace(found.fill, client_id=known.reference))
        before = self.executions.get(found.fill.execution_id)
        is_new = before is None or before.revision < found.revision
        if is_new:
            found = self.executions[found.fill.execution_id] = self._with_commission(told.execId, found)
            _bound(self.executions)
        if known is not None:
            self._fill(known, told.cumQty or found.fill.quantity, told.avgPrice)
        return known, found if is_new else None, is_new and before is not None

    def commission(self, number: str, amount: Decimal, currency: str) -> Execution | None:
        """commissionReport: the execution that it is for, or None where that has not come yet."""
        self._commissions[number] = (amount, currency)
        _bound(self._commissions)
        found = self.executions.get(number.rpartition(".")[0] or number)
        if found is None:
            return None
        found = self.executions[found.fill.execution_id] = self._with_commission(number, found)
        return found

    def has_commission(self, number: str) -> bool:
        return number in self._commissions

    def refuse(self, client: int, order_id: int, sentence: str) -> Known | None:
        """An error that says that the order is dead. Its status may have come before, or comes after."""
        self._refusals[client, order_id] = sentence
        _bound(self._refusals)
        known = self.by_order_id(client, order_id)
        if known is not None and not known.filled:
            known.refused, known.reason = True, sentence
        return known

    def vanish(self, seen: Iterable[int], before: int, reason: str) -> list[Known]:
        """Orders that should work, that no list has, and of which nothing was heard since: they have ended, somehow."""
        listed = set(seen)
        gone = [
            known
            for known in self.orders.values()
            if known.is_working and known.perm not in listed and known.heard <= before
        ]
        for known in gone:
            known.word, known.reason = "Cancelled", reason
        return gone

    def tell(self, known: Known, at_ms: int) -> Order | None:
        """The order's state, where it is another than what was told last."""
        if known.told is None and self.is_dormant(known):
            self._dormant.add(known.perm)
            return None
        now = known.state()
        before = known.told
        if before is not None and _essence(now) == _essence(before):
            return None
        if before is not None or known.is_working:
            known.updated_ms = max(at_ms, known.updated_ms)
        known.told = replace(now, updated_ms=known.updated_ms)
        return known.told

    # --- folding ---

    def _keep(self, known: Known) -> Known:
        self.orders[known.perm] = known
        if known.reference:
            self._by_reference[known.account, known.reference] = known.perm
        if len(self.orders) > REMEMBERED:
            for old in [one.perm for one in self.orders.values() if not one.is_working][: REMEMBERED // 10]:
                gone = self.orders.pop(old)
                self._dormant.discard(old)
                self._by_reference.pop((gone.account, gone.reference), None)
        return known

    def _name(self, known: Known, client: int, order_id: int) -> None:
        known.client = client
        if order_id:
            known.order_id = order_id
            self._by_id[client, order_id] = known.perm
            _bound(self._by_id)
        sentence = self._refusals.get((client, order_id), "")
        if sentence and not known.filled:
            known.refused, known.reason = True, sentence

    def _word(self, known: Known, word: str) -> None:
        """Take over a status: an order that has ended stays so, whatever comes late."""
        known.heard = self.heard
        if known.word in translate.ENDED and word not in translate.ENDED:
            return
        if known.status is OrderStatus.FILLED and known.word:
            return
        conditional = known.terms.type.is_conditional
        if conditional and word == "PreSubmitted":
            known.waited = True
        elif conditional and word == "Submitted" and (known.waited or known.listed.security not in AT_EXCHANGE):
            known.triggered = True
        known.word = word

    def _fill(self, known: Known, filled: Decimal, average: Decimal | None) -> None:
        known.heard = self.heard
        if filled > known.filled:
            known.filled, known.average = filled, average or known.average
        if known.filled and known.terms.type.is_conditional:
            known.triggered = True

    def strangers(self) -> list[Execution]:
        """Executions of orders that no message has told of, the last one of each order."""
        last = {one.fill.venue_id: one for one in self.executions.values() if int(one.fill.venue_id) not in self.orders}
        return list(last.values())

    def adopt(self, last: Execution, at_ms: int) -> Known:
        """An order of which only executions are known: it is told as a market order that traded."""
        fills = [one.fill for one in self.executions.values() if one.fill.venue_id == last.fill.venue_id]
        traded = sum((fill.quantity for fill in fills), ZERO)
        price = sum((fill.price * fill.quantity for fill in fills), ZERO) / traded
        made = translate.made_of(last.fill, traded, price, at_ms)
        known = Known(
            made.account, int(made.venue_id), last.listed, made.terms, made.created_ms, at_ms, reference=made.client_id
        )
        known.word, known.filled, known.average = "Filled", traded, price
        return self._keep(known)

    def _average(self, known: Known) -> Decimal | None:
        fills = [one.fill for one in self.executions.values() if one.fill.venue_id == str(known.perm)]
        traded = sum((fill.quantity for fill in fills), ZERO)
        return sum((fill.price * fill.quantity for fill in fills), ZERO) / traded if traded else None

    def _with_commission(self, number: str, found: Execution) -> Execution:
        told = self._commissions.get(number)
        if told is None:
            return found
        return replace(found, fill=replace(found.fill, fee=told[0], fee_asset=told[1]))

    def fills_of(self, account: str, since_ms: int) -> list[Fill]:
        """The executions of an account since a time; IB tells whole seconds."""
        since = since_ms // 1000 * 1000
        fills = [one.fill for one in self.executions.values() if one.fill.account == account and one.fill.time_ms >= since]
        return sorted(fills, key=lambda fill: (fill.time_ms, fill.execution_id))


def _essence(order: Order) -> Order:
    """What makes a report news: not when it came, nor another wording of why the order ended."""
    return replace(order, updated_ms=0, reason="")


def _bound(memory: dict[Any, Any]) -> None:
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]


def completed_ms(text: str) -> int:
    """`20250810 09:07:39 America/Los_Angeles` in milliseconds since the epoch; zero where it is no such time."""
    words = (text or "").split()
    if len(words) < 2:
        return 0
    try:
        zone = ZoneInfo(words[2] if len(words) > 2 else "UTC")
        naive = datetime.strptime(f"{words[0]} {words[1]}", "%Y%m%d %H:%M:%S")  # noqa: DTZ007 - the zone is put in below
    except (ValueError, KeyError, OSError):
        return 0
    return int(naive.replace(tzinfo=zone).timestamp() * 1000)
