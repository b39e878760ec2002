"""Which futures the rehearsal lists: the table of products, and what is said of each contract."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from copydesk.model import Contract, Instrument
from copydesk_paper.synthetic import Character

USD = "USD"
MOST = Decimal(500)
"""The largest order that the venue's risk desk takes."""


@dataclass(frozen=True, slots=True)
class Product:
    """What contracts of one product have in common: `point` is the money in one whole point of the price."""

    code: str
    exchange: str
    title: str
    tick: Decimal
    point: Decimal


PRODUCTS = {
    product.code: product
    for product in (
        Product("MES", "CME", "Micro E-mini S&P 500", Decimal("0.25"), Decimal(5)),
        Product("ES", "CME", "E-mini S&P 500", Decimal("0.25"), Decimal(50)),
        Product("MNQ", "CME", "Micro E-mini NASDAQ-100", Decimal("0.25"), Decimal(2)),
        Product("NQ", "CME", "E-mini NASDAQ-100", Decimal("0.25"), Decimal(20)),
        Product("6E", "CME", "Euro FX", Decimal("0.00005"), Decimal(125_000)),
        Product("MCL", "NYMEX", "Micro WTI Crude Oil", Decimal("0.01"), Decimal(100)),
        Product("CL", "NYMEX", "Crude Oil", Decimal("0.01"), Decimal(1_000)),
        Product("MGC", "COMEX", "Micro Gold", Decimal("0.1"), Decimal(10)),
        Product("GC", "COMEX", "Gold", Decimal("0.1"), Decimal(100)),
        Product("ZN", "CBOT", "10-Year T-Note", Decimal("0.015625"), Decimal(1_000)),
    )
}
MONTHS = "FGHJKMNQUVXZ"
"""The letters of the delivery months, January first."""


def instrument(symbol: str) -> Instrument:
    """The contract of that name, as in `CME:MESH7`. Raises KeyError for a product that is not in the table."""
    contract = symbol.partition(":")[2]
    product = PRODUCTS[product_of(contract)]
    return Instrument(
        symbol=symbol,
        base=product.code,
        quote=USD,
        settle=USD,
        contract=Contract.LINEAR,
        price_tick=product.tick,
        quantity_step=Decimal(1),
        min_quantity=Decimal(1),
        max_quantity=MOST,
        contract_size=product.point,
    )


def product_of(contract: str) -> str:
    """The product's code in a contract's name: `MES` in `MESH7`."""
    return contract.rstrip("0123456789")[:-1] if contract[-1:].isdigit() else contract


def expiry(contract: str) -> str:
    """The third Friday of the delivery month, as `YYYYMMDD` (years of one digit are of the twenties)."""
    month, year = MONTHS.index(contract.rstrip("0123456789")[-1]) + 1, contract[-1]
    return f"202{year}{month:02d}{_third_friday(2020 + int(year), month):02d}"


def _third_friday(year: int, month: int) -> int:
    import datetime

    first = datetime.date(year, month, 1).weekday()
    return 1 + (4 - first) % 7 + 14


def _character(contract: str, start: str, swing: float, size: int, pace: float) -> Character:
    exchange = PRODUCTS[product_of(contract)].exchange
    return Character(instrument(f"{exchange}:{contract}"), Decimal(start), swing, Decimal(size), pace)


CHARACTERS = (
    _character("MESH7", "6000.00", 1.0, 120, 5.0),
    _character("ESH7", "6000.00", 1.0, 60, 4.0),
    _character("MNQH7", "21000.00", 3.0, 80, 4.0),
    _character("6EH7", "1.08500", 1.0, 90, 2.0),
    _character("CLH7", "70.00", 1.0, 60, 2.0),
    _character("GCJ7", "2650.0", 1.0, 40, 2.0),
)
"""The shipped market's contracts. The first one is the smallest: what demos trade."""
