"""Which template a request is put together from: one per shape, learnt in the background and checked before it is used.

A shape is all of a request but its values: type, side, flags, which prices there are. Its template is compared with what
the slow way makes of random values; whatever differs, or cannot be taken apart, is left to the slow way for good. All
accounts at one address share what was learnt.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
import string
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from copydesk.model import NewOrder, OrderChange, OrderRef, OrderType, Side, Terms
from msgspec.structs import replace

from copydesk_wire.pool import encode
from copydesk_wire.templates import PLAIN, Draft, Key, Pen, Template, Unfit, Values, cut

log = logging.getLogger("copydesk.wire")

CHECKS = 64
"""With so many random sets of values a template is compared with the slow way."""
LATER_S = 0.05
"""A shape is learnt so long after it was first wanted: not while copies are being sent."""
MOST = 2_000

Asked = TypeVar("Asked", NewOrder, OrderChange, OrderRef)
Context: TypeAlias = Hashable
_MARKED = {
    "quantity": Decimal("73019465281.01"),
    "price": Decimal("73019465282.02"),
    "trigger_price": Decimal("73019465283.03"),
    "trail_percent": Decimal("73019465284.04"),
}
_ID, _VENUE_ID, _ROOT = "qZid8xWv", "7301946529", "QZ8XWV"


def text(number: Decimal) -> str:
    """All its digits, no exponent."""
    digits = str(number)
    return format(number, "f") if "E" in digits else digits


class Symbols(NamedTuple):
    """How a venue's symbols are written: `name` is what is sent, `kind` what else a symbol says, `make` a symbol of a kind
    whose name begins with a word."""

    name: Callable[[str], str]
    kind: Callable[[str], Hashable]
    make: Callable[[Hashable, str], str]


PLAIN_SYMBOLS = Symbols(name=str, kind=lambda symbol: "", make=lambda kind, root: root)


class Shapes(ABC, Generic[Asked]):
    """The shapes of one kind of request. `draft` makes a request in the slow way, in a context: what the shape depends on
    besides what is asked for, such as the position mode. It raises `ValueError` where the venue cannot carry such a
    request.

    `number` is how the venue is written numbers, `plain` which texts mean themselves wherever they are put."""

    def __init__(
        self,
        draft: Callable[[Asked, Any, Pen], Draft],
        *,
        symbols: Symbols = PLAIN_SYMBOLS,
        number: Callable[[Decimal], str] = text,
        plain: re.Pattern[str] = PLAIN,
    ) -> None:
        self._number = number
        self._plain = plain
        self._draft: Callable[[Asked, Any, Pen], Draft] = draft
        self._symbols = symbols
        self._known: dict[Hashable, Template | None] = {}
        self._wanted: deque[tuple[Hashable, Asked, Any]] = deque()
        self._learning: asyncio.Task[None] | None = None

    def write(self, asked: Asked, context: Context, key: Key, stamp: int) -> bytes | None:
        """The bytes of a request; None where it has to be sent the slow way, as long as its shape is not known."""
        shape = (context, *self.shape(asked))
        template = self._known.get(shape)
        if template is None:
            self._want(shape, asked, context)
            return None
        values = self.values(asked)
        return template.fill(values, key, stamp) if self._plain.fullmatch("".join(values)) else None

    # --- what each kind of request says ---

    @abstractmethod
    def shape(self, asked: Asked) -> tuple[Hashable, ...]:
        """What belongs to the shape."""

    @abstractmethod
    def values(self, asked: Asked) -> Values:
        """What goes into the slots. Empty for what is not there."""

    @abstractmethod
    def with_values(self, asked: Asked, root: str, name: str, number: Callable[[str], Decimal]) -> Asked:
        """The same with other values: `root` for the symbol, `name` for ids, and a number for each field."""

    # --- learning ---

    def learn(self, asked: Iterable[Asked], context: Context) -> None:
        """Learn the shapes of examples, soon."""
        example: Asked
        for example in asked:
            self._want((context, *self.shape(example)), example, context)

    def _want(self, shape: Hashable, asked: Asked, context: Context) -> None:
        if shape in self._known or len(self._known) >= MOST:
            return
        self._known[shape] = None  # until it is learnt
        self._wanted.append((shape, asked, context))
        if self._learning is None:
            self._learning = asyncio.get_running_loop().create_task(self._learn())

    async def _learn(self) -> None:
        await asyncio.sleep(LATER_S)
        try:
            while self._wanted:
                shape, asked, context = self._wanted.popleft()
                try:
                    self._known[shape] = await self._checked(asked, context)
                except ValueError:  # the venue carries no such request: the slow way says so
                    continue
                except Unfit:
                    log.warning("%s: such a request cannot be put together from parts, and is signed anew each time", asked)
        finally:
            self._learning = None

    async def _checked(self, asked: Asked, context: Context) -> Template:
        marked = self.with_values(asked, _ROOT, _ID, _MARKED.__getitem__)
        template = cut(lambda pen: self._draft(marked, context, pen), self.values(marked))
        chance = random.Random(repr(self.shape(asked)))
        for _ in range(CHECKS):
            await asyncio.sleep(0)
            word = "".join(chance.choices(string.ascii_uppercase, k=chance.randint(3, 9)))
            name = "".join(chance.choices(string.ascii_letters + string.digits + "-_", k=chance.randint(1, 36)))
            one = self.with_values(asked, word, name, lambda field: _number(chance))
            pen = Pen(f"key{word}", f"secret{name}", chance.randrange(10**12, 10**13))
            draft = self._draft(one, context, pen)
            written = template.fill(self.values(one), Key(pen.key, pen.secret), pen.stamp)
            if written != encode(draft.method, draft.url, draft.headers, draft.body):
                raise Unfit
        return template

    async def close(self) -> None:
        if self._learning is not None:
            self._learning.cancel()
            await asyncio.gather(self._learning, return_exceptions=True)


def _number(chance: random.Random) -> Decimal:
    return Decimal(chance.randrange(1, 10 ** chance.randint(1, 12))).scaleb(chance.randint(-8, 2))


def _shape_of_terms(terms: Terms) -> tuple[Hashable, ...]:
    return (
        terms.type,
        terms.side,
        terms.time_in_force,
        terms.post_only,
        terms.reduce_only,
        terms.close_position,
        terms.position_side,
        terms.trigger_by,
        terms.price is None,
        terms.trigger_price is None,
        terms.trail_percent is None,
        terms.native,
    )


def _terms_with(terms: Terms, symbol: str, number: Callable[[str], Decimal]) -> Terms:
    prices = {
        field: number(field) for field in ("price", "trigger_price", "trail_percent") if getattr(terms, field) is not None
    }
    return replace(terms, symbol=symbol, quantity=number("quantity"), **prices)


EVERYDAY = tuple(
    NewOrder(
        client_id="everyday",
        terms=Terms(
            symbol="EVERYDAY",
            side=side,
            type=type_,
            quantity=Decimal(1),
            price=Decimal(1) if type_.has_price else None,
            trigger_price=Decimal(1) if type_.has_trigger else None,
            reduce_only=reduce_only,
        ),
    )
    for side in Side
    for type_ in OrderType
    if type_ is not OrderType.TRAILING_STOP
    for reduce_only in (False, True)
)
"""Orders whose shapes are learnt before the first of them is wanted."""
EVERYDAY_REFS = tuple(
    OrderRef(symbol="EVERYDAY", type=type_, client_id=client_id, venue_id=venue_id)
    for type_ in (OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)
    for client_id, venue_id in (("everyday", ""), ("", "1"), ("everyday", "1"))
)


class PlaceShapes(Shapes[NewOrder]):
    """All copies of one order have the same terms: what was made of those last is kept."""

    _latest: tuple[Terms, Context, Template, Values] | None = None

    def write(self, asked: NewOrder, context: Context, key: Key, stamp: int) -> bytes | None:
        latest, client_id = self._latest, asked.client_id
        if latest is not None and latest[0] is asked.terms and latest[1] == context and self._plain.fullmatch(client_id):
            return latest[2].fill((client_id, *latest[3]), key, stamp)
        data = super().write(asked, context, key, stamp)
        template = self._known.get((context, *self.shape(asked))) if data is not None else None
        if template is not None:
            self._latest = (asked.terms, context, template, self.values(asked)[1:])
        return data

    def shape(self, asked: NewOrder) -> tuple[Hashable, ...]:
        return (self._symbols.kind(asked.terms.symbol), *_shape_of_terms(asked.terms))

    def values(self, asked: NewOrder) -> Values:
        terms = asked.terms
        return (
            asked.client_id,
            self._symbols.name(terms.symbol),
            self._number(terms.quantity),
            self._number(terms.price) if terms.price is not None else "",
            self._number(terms.trigger_price) if terms.trigger_price is not None else "",
            self._number(terms.trail_percent) if terms.trail_percent is not None else "",
        )

    def with_values(self, asked: NewOrder, root: str, name: str, number: Callable[[str], Decimal]) -> NewOrder:
        symbol = self._symbols.make(self._symbols.kind(asked.terms.symbol), root)
        return replace(asked, client_id=name, terms=_terms_with(asked.terms, symbol, number))


class CancelShapes(Shapes[OrderRef]):
    def shape(self, asked: OrderRef) -> tuple[Hashable, ...]:
        return (self._symbols.kind(asked.symbol), asked.type, not asked.client_id, not asked.venue_id)

    def values(self, asked: OrderRef) -> Values:
        return (asked.client_id, asked.venue_id, self._symbols.name(asked.symbol))

    def with_values(self, asked: OrderRef, root: str, name: str, number: Callable[[str], Decimal]) -> OrderRef:
        return _named(replace(asked, symbol=self._symbols.make(self._symbols.kind(asked.symbol), root)), name)


class ChangeShapes(Shapes[OrderChange]):
    def shape(self, asked: OrderChange) -> tuple[Hashable, ...]:
        kind = self._symbols.kind(asked.terms.symbol)
        return (kind, not asked.ref.client_id, not asked.ref.venue_id, *_shape_of_terms(asked.terms))

    def values(self, asked: OrderChange) -> Values:
        ref, terms = asked.ref, asked.terms
        return (
            ref.client_id,
            ref.venue_id,
            self._symbols.name(terms.symbol),
            self._number(terms.quantity),
            self._number(terms.price) if terms.price is not None else "",
            self._number(terms.trigger_price) if terms.trigger_price is not None else "",
            self._number(terms.trail_percent) if terms.trail_percent is not None else "",
        )

    def with_values(self, asked: OrderChange, root: str, name: str, number: Callable[[str], Decimal]) -> OrderChange:
        symbol = self._symbols.make(self._symbols.kind(asked.terms.symbol), root)
        ref = _named(replace(asked.ref, symbol=symbol), name)
        return replace(asked, ref=ref, terms=_terms_with(asked.terms, symbol, number))


def _named(ref: OrderRef, name: str) -> OrderRef:
    """The reference with other ids: where there are both, the venue's is another text than the client's."""
    venue_id = _VENUE_ID if name == _ID else str(abs(hash(name)))
    return replace(ref, client_id=name if ref.client_id else "", venue_id=venue_id if ref.venue_id else "")
