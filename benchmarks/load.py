"""How the engine holds under load, on a venue without a wire: a stop that is dragged, and many parents at once.

    python benchmarks/load.py drag [--children 100] [--rate 50] [--seconds 10] [--answer-ms 20] [--json]
    python benchmarks/load.py parents [--parents 10] [--children 50] [--rate 20] [--seconds 600] [--json]

`drag`: the parent moves its stop so many times a second; the venue answers after `--answer-ms`. What is told: how many
requests a child was sent, how many were under way for one at the most, and how long after the last move the last child's
stop stood there, in milliseconds and in answers of the venue. `parents`: each of them places a limit order and cancels it
again, in turns, `--rate` events a second; what is told runs from the moment at which an event was due to its last child's
request, so a backlog shows, in the first and in the last tenth of the time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from decimal import Decimal
from typing import Any

from copydesk.model import Order, OrderStatus, OrderType, Side, Terms
from copydesk.tidying import Tidy
from msgspec.structs import replace
from small_venue import PRICE, SYMBOL, Session, engine_with, now_ms

STEP = Decimal("0.1")
PATIENCE_S = 120.0
SETTLED_S = 1.0


def terms(type_: OrderType, side: Side, **more: Any) -> Terms:
    return Terms(symbol=SYMBOL, side=side, type=type_, quantity=Decimal("0.2"), **more)


def stop_of(session: Session) -> Order | None:
    return next(
        (one for one in session.orders.values() if one.terms.type is OrderType.STOP_MARKET and one.is_working), None
    )


async def until(what: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if what():
                return
            await asyncio.sleep(0.001)


async def drag(asked: argparse.Namespace) -> dict[str, Any]:
    names = tuple(f"child{number}" for number in range(asked.children))
    Session.answer_s = asked.answer_ms / 1000
    async with engine_with({"parent": names}) as engine:
        with Tidy(engine.quiet_ns, lambda: True):
            parent, children = Session.there["parent"], [Session.there[name] for name in names]
            parent.told(parent.order("by-hand", terms(OrderType.MARKET, Side.BUY)))
            await until(lambda: all(child.held for child in children))
            selling = terms(OrderType.STOP_MARKET, Side.SELL, reduce_only=True, trigger_price=PRICE - 1000)
            stop = parent.order("by-hand-stop", selling)
            parent.told(stop)
            await until(lambda: all(stop_of(child) for child in children))
            await asyncio.sleep(SETTLED_S)
            Session.sent_ns.clear()
            for child in children:
                child.most_under_way = 0
            price, moves = PRICE - 1000, int(asked.rate * asked.seconds)
            began = time.perf_counter()
            for move in range(moves):
                await asyncio.sleep(max(0.0, began + move / asked.rate - time.perf_counter()))
                price += STEP
                stop = replace(stop, terms=replace(stop.terms, trigger_price=price), updated_ms=now_ms())
                parent.told(stop)
            ended = time.perf_counter()
            await until(lambda: all((one := stop_of(child)) and one.terms.trigger_price == price for child in children))
            settled_ms = (time.perf_counter() - ended) * 1000
            return {
                "children": asked.children,
                "moves": moves,
                "requests_per_child": len(Session.sent_ns) / asked.children,
                "most_under_way_per_child": max(child.most_under_way for child in children),
                "settled_ms": settled_ms,
                "settled_answers": settled_ms / asked.answer_ms,
            }


async def parents(asked: argparse.Namespace) -> dict[str, Any]:
    bots = {f"p{one}": tuple(f"p{one}c{number}" for number in range(asked.children)) for one in range(asked.parents)}
    took: list[float] = []
    async with engine_with(bots) as engine:
        with Tidy(engine.quiet_ns, lambda: True):
            await asyncio.sleep(SETTLED_S)
            cpu, began = time.process_time(), time.perf_counter()
            await asyncio.gather(*(one_parent(name, number, asked, began, took) for number, name in enumerate(bots)))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    tenth = max(1, len(took) // 10)
    return {
        "parents": asked.parents,
        "children": asked.children,
        "events": len(took),
        "seconds": seconds,
        "processor": cpu / seconds,
        "cpu_us_per_request": cpu * 1e6 / (len(took) * asked.children),
        **percentiles("last_us", took),
        **percentiles("last_us_first_tenth", took[:tenth]),
        **percentiles("last_us_last_tenth", took[-tenth:]),
    }


async def one_parent(name: str, number: int, asked: argparse.Namespace, began: float, took: list[float]) -> None:
    parent, began = Session.there[name], began + number / (asked.rate * asked.parents)
    order: Order | None = None
    for event in range(int(asked.rate * asked.seconds)):
        due = began + event / asked.rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        Session.sent_ns.clear()
        if order is None:
            order = parent.order(f"by-hand-{event}", terms(OrderType.LIMIT, Side.BUY, price=PRICE - event % 100))
            parent.told(order)
        else:
            parent.told(replace(order, status=OrderStatus.CANCELLED, updated_ms=now_ms()))
            order = None
        if Session.sent_ns:
            took.append(Session.sent_ns[-1] / 1000 - due * 1e6)


def percentiles(name: str, values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {f"{name}_p50": ordered[len(ordered) // 2], f"{name}_p99": ordered[int(len(ordered) * 0.99)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = parser.add_subparsers(dest="way", required=True)
    for way, children, rate, seconds in (("drag", 100, 50, 10), ("parents", 50, 20, 600)):
        one = ways.add_parser(way)
        one.add_argument("--children", type=int, default=children, help=f"children of each parent ({children})")
        one.add_argument("--rate", type=float, default=rate, help=f"events a second of each parent ({rate})")
        one.add_argument("--seconds", type=float, default=seconds, help=f"for so long ({seconds})")
        one.add_argument("--json", action="store_true", help="print one JSON object")
    ways.choices["drag"].add_argument("--answer-ms", type=float, default=20.0, help="how long an answer takes (20)")
    ways.choices["parents"].add_argument("--parents", type=int, default=10, help="parents (10)")
    asked = parser.parse_args()
    found = asyncio.run(drag(asked) if asked.way == "drag" else parents(asked))
    if asked.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:>30} {value:,.1f}" if isinstance(value, float) else f"{name:>30} {value:,}")


if __name__ == "__main__":
    main()
