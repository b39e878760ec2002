"""What the library writes for an order, cut into the parts that stay and the values that change.

The library puts an order together field by field, which takes longer than all else that sends it. An order's message is
the same for all orders of its shape but for a handful of fields; so the library writes one message per shape, with marks
in those fields, and what is between the marks is kept. A shape whose parts do not give, for other values, what the library
itself writes is left to the library.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple, TypeAlias

from copydesk.model import Terms
from msgspec.structs import replace

from copydesk_ib import translate
from copydesk_ib.contracts import Listing
from copydesk_ib.library import Library
from copydesk_ib.translate import Untranslatable, plain

MOST = 2_000
END, GAP = "\0", "\1"
Shape: TypeAlias = tuple[Any, ...]


class Names(NamedTuple):
    """Whose order it is, and what it is called."""

    order_id: int
    account: str
    reference: str
    group: str = ""


_MARKED = Names(730194652, "QZDU1", "qzid-1", "qzoca-1")
_NUMBERS = ("73019465281.01", "73019465282.02", "73019465283.03", "73019465284.04")
_MARKS = (str(_MARKED.order_id), *_NUMBERS, _MARKED.account, _MARKED.reference, _MARKED.group)
_CHECKS = (
    (Names(1, "DU7654321", "c-1-2-aB", "oca-c-1"), ("1", "0.01", "12345.5", "2")),
    (Names(2147483646, "U1", "x", "y z"), ("0.000001", "-37.63", "0", "99.5")),
    (Names(40519, "DF11111", "", "oca-0"), ("1200000", "1E+2", "0.00010", "0.25")),
)


class Template:
    """One shape: what stays, and which value goes into each gap between."""

    __slots__ = ("_first", "_rest")

    def __init__(self, message: str, marks: tuple[str, ...]) -> None:
        fields = message.split(END)
        self._first, *parts = END.join(GAP if field in marks else field for field in fields).split(GAP)
        self._rest = tuple(zip((marks.index(field) for field in fields if field in marks), parts, strict=True))

    def write(self, values: tuple[str, ...]) -> str:
        """The message with these values in its gaps."""
        return self._first + "".join([values[at] + part for at, part in self._rest])


class Templates:
    """Those for one version of TWS."""

    def __init__(self, library: Library, version: int) -> None:
        self._library = library
        self._probe = library.probe(version)
        self._known: dict[Shape, Template | None] = {}

    def write(self, listed: Listing, terms: Terms, names: Names) -> bytes | None:
        """The bytes that place an order or change one; None where the library has to write them."""
        shape = _shape(terms, names)
        try:
            template = self._known[shape]
        except KeyError:
            template = self._learn(shape, listed, terms, names)
        if template is None:
            return None
        return _framed(template.write(_values(terms, names)))

    def cancel(self, order_id: int) -> bytes:
        """The bytes that cancel an order."""
        return _framed(self._probe(lambda client: client.cancelOrder(order_id)))

    def _learn(self, shape: Shape, listed: Listing, terms: Terms, names: Names) -> Template | None:
        if len(self._known) >= MOST:
            self._known.clear()
        template: Template | None = None
        try:
            asked, called = _with(terms, _NUMBERS), _MARKED if names.group else _MARKED._replace(group="")
            made = Template(self.written(listed, asked, called), _MARKS)
            if all(self._is_good(made, listed, terms, names, check) for check in _CHECKS):
                template = made
        except Untranslatable:
            pass
        self._known[shape] = template
        return template

    def _is_good(
        self, made: Template, listed: Listing, terms: Terms, names: Names, check: tuple[Names, tuple[str, ...]]
    ) -> bool:
        called, texts = check
        called = called if names.group else called._replace(group="")
        asked = _with(terms, texts)
        return made.write(_values(asked, called)) == self.written(listed, asked, called)

    def written(self, listed: Listing, terms: Terms, names: Names) -> str:
        """What the library writes. Raises `Untranslatable`."""
        contract = translate.contract(self._library, listed, terms)
        made = translate.order(self._library, terms, account=names.account, reference=names.reference, group=names.group)
        return self._probe(lambda client: client.placeOrder(names.order_id, contract, made))


def _framed(message: str) -> bytes:
    body = message.encode()
    return len(body).to_bytes(4, "big") + body


def _with(terms: Terms, texts: tuple[str, ...]) -> Terms:
    """The terms with these numbers, those of them that they have."""
    quantity, price, trigger, trail = map(Decimal, texts)
    return replace(
        terms,
        quantity=quantity,
        price=price if terms.price is not None else None,
        trigger_price=trigger if terms.trigger_price is not None else None,
        trail_percent=trail if terms.trail_percent is not None else None,
    )


def _shape(terms: Terms, names: Names) -> Shape:
    """All of an order but what goes into the gaps."""
    return (
        *(terms.symbol, terms.side, terms.type, terms.time_in_force, terms.native, not names.group),
        *(terms.price is None, terms.trigger_price is None, terms.trail_percent is None, terms.trigger_by),
        *(terms.post_only, terms.reduce_only, terms.close_position),
    )


def _values(terms: Terms, names: Names) -> tuple[str, ...]:
    """What goes into the gaps; empty for what an order of this shape does not have."""
    price, trigger, trail = terms.price, terms.trigger_price, terms.trail_percent
    return (
        str(names.order_id),
        plain(terms.quantity),
        plain(price) if price is not None else "",
        plain(trigger) if trigger is not None else "",
        plain(trail) if trail is not None else "",
        names.account,
        names.reference,
        names.group,
    )
