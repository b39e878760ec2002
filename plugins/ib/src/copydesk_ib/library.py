"""The client library: `ib_async`, or `ib_insync` where that is what is installed. What they differ in is made alike here.

Of either only the client (the socket and its messages), the decoder and the plain records are used, never its class
`IB`: that one swallows executions of orders it has not seen, changes of trails, and calls orders dead that live.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields
from decimal import Decimal
from functools import cache, lru_cache, partial
from typing import Any

from copydesk.errors import PluginError

NAMES = ("ib_async", "ib_insync")
UNSET = Decimal("1e300")
"""TWS says "no number" by the largest double; whatever is larger than this is none."""
WANTED = frozenset(
    {"1", "3", "4", "5", "9", "10", "11", "15", "17", "18", "46", "49", "52", "53", "55", "57", "58", "59"}
    | {"61", "62", "73", "74", "93", "101", "102"}
)
"""The messages that this plugin reads; all others are passed over before they are decoded."""


Probe = Callable[[Callable[[Any], None]], str]


@dataclass(frozen=True)
class Library:
    """The parts of the client library that are used. `client` makes a client that calls a wrapper's methods; `probe`, for
    a version of TWS, tells the message that a client writes when a function is called with it."""

    name: str
    client: Callable[[Any], Any]
    probe: Callable[[int], Probe]
    contract: Any
    combo_leg: Any
    order: Any
    tag_value: Any
    execution_filter: Any


@cache
def load() -> Library:
    """Import the library that is installed. Raises `PluginError` where it is none or both."""
    found = [name for name in NAMES if importlib.util.find_spec(name) is not None]
    if not found:
        raise PluginError(
            "Interactive Brokers needs the library ib_async, which is not installed: pip install 'copydesk-ib[ib-async]' "
            "(or 'copydesk-ib[ib-insync]' for the older ib_insync)"
        )
    if len(found) > 1:
        raise PluginError(
            "ib_async and ib_insync are both installed, and each overwrites a package (eventkit) that the other needs: "
            "pip uninstall ib_insync eventkit, then pip install --force-reinstall 'copydesk-ib[ib-async]'"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # ib_insync's eventkit asks for an event loop at import
        return _library(importlib.import_module(found[0]))


def _library(module: Any) -> Library:
    decoder = importlib.import_module(f"{module.__name__}.decoder")
    client = _client(module.Client, _exact(decoder.Decoder, module.Contract))
    return Library(
        name=module.__name__,
        client=client,
        probe=partial(_probe, client),
        contract=module.Contract,
        combo_leg=module.ComboLeg,
        order=module.Order,
        tag_value=module.TagValue,
        execution_filter=module.ExecutionFilter,
    )


def _client(base: Any, decoder: Any) -> Callable[[Any], Any]:
    class Client(base):  # type: ignore[misc]
        """The library's client with exact numbers, and without its own queue: `pacing` has one that knows priorities."""

        MaxRequests = 0

        def __init__(self, wrapper: Any) -> None:
            super().__init__(wrapper)
            self.decoder = decoder(wrapper, 0)

    return Client


def _probe(client: Callable[[Any], Any], version: int) -> Probe:
    written: list[str] = []
    made = client(None)
    made.connState, made._serverVersion, made.sendMsg = made.CONNECTED, version, written.append

    def tell(call: Callable[[Any], None]) -> str:
        written.clear()
        call(made)
        (message,) = written
        return message

    return tell


def _exact(base: Any, contract: Any) -> Any:
    class Decoder(base):  # type: ignore[misc]
        """The library's decoder with `Decimal` in place of `float`, `None` for "no number", and nothing swallowed."""

        def wrap(self, methodName: str, types: list[type], skip: int = 2) -> Callable[[list[str]], None]:
            reads = [_READERS[kind] for kind in types]

            def handle(message: list[str]) -> None:
                getattr(self.wrapper, methodName)(*(read(text) for read, text in zip(reads, message[skip:], strict=False)))

            return handle

        def parse(self, record: Any) -> None:
            values = vars(record)
            for name, read, default in _columns(record.__class__):
                text = values[name]
                if type(text) is str:
                    values[name] = read(text) if text else default

        def interpret(self, message: list[str]) -> None:
            """Decode a message and call the wrapper; one that cannot be read is told, and never passed over."""
            if not message or message[0] not in WANTED:
                return
            try:
                self.handlers[int(message[0])](message)
            except (ValueError, ArithmeticError, IndexError, KeyError, TypeError, AttributeError) as error:
                self.wrapper.unreadable(message, error)

        def position(self, message: list[str]) -> None:
            _, _, account, *terms, quantity, cost = message
            held = contract(**dict(zip(_POSITION, terms, strict=True)))
            self.parse(held)
            self.wrapper.position(account, held, exact(quantity) or Decimal(0), exact(cost) or Decimal(0))

        def commissionReport(self, message: list[str]) -> None:
            _, _, execution, amount, currency, *_ = message
            self.wrapper.commission(execution, exact(amount) or Decimal(0), currency)

        def priceSizeTick(self, message: list[str]) -> None:
            _, _, request, tick, price, *_ = message
            self.wrapper.priceTick(int(request), int(tick), exact(price))

        def historicalData(self, message: list[str]) -> None:
            _, request, _, _, count, *values = message
            self.wrapper.bars(int(request), [tuple(values[at : at + 8]) for at in range(0, int(count) * 8, 8)])

        def marketRule(self, message: list[str]) -> None:
            _, number, count, *values = message
            pairs = [(Decimal(values[at]), Decimal(values[at + 1])) for at in range(0, int(count) * 2, 2)]
            self.wrapper.marketRule(int(number), pairs)

    return Decoder


@cache
def _columns(kind: type[Any]) -> tuple[tuple[str, Callable[[str], Any], Any], ...]:
    """The fields of a record of the library that are no texts: the name, what reads one, and what an empty one means."""
    found = ((field.name, _READERS.get(type(field.default)), _plain(field.default)) for field in fields(kind))
    return tuple((name, read, default) for name, read, default in found if read not in (None, str))


@lru_cache(4096)
def exact(text: str) -> Decimal | None:
    """A number of the wire; None for "no number"."""
    number = Decimal(text) if text else None
    return None if number is None or abs(number) > UNSET or not number.is_finite() else number


def _plain(default: Any) -> Any:
    if not isinstance(default, float):
        return default
    return Decimal(str(default)) if default <= UNSET else None


_POSITION = (
    *("conId", "symbol", "secType", "lastTradeDateOrContractMonth", "strike", "right", "multiplier"),
    *("exchange", "currency", "localSymbol", "tradingClass"),
)
_READERS: dict[type, Callable[[str], Any]] = {
    int: lambda text: int(text or 0),
    float: exact,
    bool: lambda text: bool(int(text or 0)),
    str: str,
}
