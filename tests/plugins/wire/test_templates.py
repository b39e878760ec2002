"""Templates are what they were cut from, shapes are checked before they are used, and no secret is shown."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from decimal import Decimal

import pytest
from copydesk.model import NewOrder, OrderType, Side, Terms
from copydesk_wire import shapes
from copydesk_wire.pool import encode
from copydesk_wire.shapes import PlaceShapes, text
from copydesk_wire.templates import Draft, Key, Pen, Unfit, cut
from hypothesis import given
from hypothesis import strategies as st

PLAIN = st.text("abcXYZ019_.~-", min_size=1, max_size=20)
Writer = Callable[[Pen, str], Draft]


def sign(pen: Pen, words: str, algorithm: str = "sha256") -> str:
    if pen.hash is not None:
        return pen.hash(words.encode(), pen.secret.encode(), algorithm)
    return hmac.new(pen.secret.encode(), words.encode(), algorithm).hexdigest()


def in_body(pen: Pen, value: str) -> Draft:
    query = f"q={value}&100%25&t={pen.stamp}"
    return Draft("POST", "http://h:1/order", {"X-KEY": pen.key}, f"{query}&signature={sign(pen, query)}")


def in_url(pen: Pen, value: str) -> Draft:
    query = f"q={value}&t={pen.stamp}"
    return Draft("DELETE", f"http://h:1/order?{query}&signature={sign(pen, query)}", {"X-KEY": pen.key}, "")


def in_headers(pen: Pen, value: str) -> Draft:
    body = f'{{"q":"{value}"}}'
    signature = sign(pen, f"{pen.stamp}{pen.key}{body}", "sha384")
    return Draft("POST", "http://h:1/order", {"K": pen.key, "T": str(pen.stamp), "S": signature}, body)


@pytest.mark.parametrize("write", [in_body, in_url, in_headers])
@given(value=PLAIN, key=PLAIN, secret=st.text(min_size=1, max_size=200), stamp=st.integers(10**12, 10**13))
def test_a_filled_template_is_the_request_that_is_made_the_slow_way(
    write: Writer, value: str, key: str, secret: str, stamp: int
) -> None:
    template = cut(lambda pen: write(pen, "qZmark"), ("qZmark",))
    draft = write(Pen(key, secret, stamp), value)
    slow = encode(draft.method, draft.url, draft.headers, draft.body)
    assert template.fill((value,), Key(key, secret), stamp) == slow


def test_what_is_signed_in_another_way_is_not_taken_apart() -> None:
    def twice(pen: Pen) -> Draft:
        return Draft("POST", "http://h:1/order", {"S": sign(pen, "a"), "T": sign(pen, "b")}, "")

    def base64(pen: Pen) -> Draft:
        assert pen.hash is not None
        return Draft("POST", "http://h:1/order", {"S": pen.hash(b"a", b"s", hashlib.sha256, "base64")}, "")

    for draft in (twice, base64):
        with pytest.raises(Unfit):
            cut(draft, ())


def test_no_secret_is_shown() -> None:
    key = Key("name", "hidden-secret")
    key.pads("sha256")
    assert "hidden" not in repr(key) + repr(vars(Key))
    template = cut(lambda pen: in_body(pen, "qZmark"), ("qZmark",))
    assert "hidden" not in repr(template)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("1e-12"), max_value=10**15))
def test_a_number_is_written_with_all_its_digits(number: Decimal) -> None:
    assert text(number) == format(number, "f")


def order(client_id: str = "mine", *, reduce_only: bool = False) -> NewOrder:
    terms = Terms(
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.010"),
        price=Decimal(60000),
        reduce_only=reduce_only,
    )
    return NewOrder(client_id=client_id, terms=terms)


def draft(order: NewOrder, context: str, pen: Pen) -> Draft:
    terms = order.terms
    if terms.reduce_only:
        raise ValueError("no such orders here")
    return in_body(pen, f"{context}{terms.symbol}{order.client_id}{text(terms.quantity)}{text(terms.price or Decimal(0))}")


def odd(order: NewOrder, context: str, pen: Pen) -> Draft:
    """Differs from its template for some values only."""
    made = draft(order, context, pen)
    return made if order.terms.quantity < 1000 or pen.hash is not None else made._replace(url="http://h:1/large")


KEY = Key("key", "secret")


async def learnt(shapes: PlaceShapes, asked: NewOrder) -> bytes | None:
    assert shapes.write(asked, "x", KEY, 1) is None, "a shape was used before it was checked"
    assert shapes._learning is not None
    async with asyncio.timeout(40):
        await shapes._learning
    return shapes.write(asked, "x", KEY, 1_700_000_000_000)


async def test_a_shape_is_used_once_it_was_checked(caplog: pytest.LogCaptureFixture) -> None:
    written = await learnt(PlaceShapes(draft), order())
    made = draft(order(), "x", Pen("key", "secret", 1_700_000_000_000))
    assert written == encode(made.method, made.url, made.headers, made.body)
    assert not caplog.records


@pytest.mark.parametrize("name", ["a b", "a&b", "ключ", "a\r\nb", 'a"b'])
async def test_what_would_need_quoting_goes_the_slow_way(name: str) -> None:
    placing = PlaceShapes(draft)
    await learnt(placing, order())
    assert placing.write(order(name), "x", KEY, 1) is None


async def test_a_shape_that_does_not_check_stays_slow_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    placing = PlaceShapes(odd)
    assert await learnt(placing, order()) is None
    assert placing.write(order(), "x", KEY, 1) is None
    assert len(caplog.records) == 1


async def test_what_the_venue_cannot_carry_is_left_to_the_slow_way_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    assert await learnt(PlaceShapes(draft), order(reduce_only=True)) is None
    assert not caplog.records


async def test_shapes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "MOST", 3)
    placing = PlaceShapes(draft)
    for number in range(10):
        placing.write(order(), number, KEY, 1)
    assert len(placing._known) == 3
    await placing.close()
