"""What a child could follow of its parent (the feasibility preview): the smallest order, the balance, what it would have
skipped of the parent's last trades. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from copydesk.filters import matches
from copydesk.inputs import ChildRules
from copydesk.model import ZERO, Fill, Instrument, Record, Side
from copydesk.planning import ratio_for
from copydesk.sizing import ceil_to, round_to, size_fault
from copydesk.state import Account


class Trade(Record):
    """What one order of the parent filled in all."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    time_ms: int


class SkippedTrade(Record):
    """A trade of the parent that the child would not have followed, and why. `would_be`: the exact share."""

    trade: Trade
    would_be: Decimal
    reason: str


class SymbolPreview(Record):
    """One symbol on one child. `limited_by`: what sets the smallest order. `balance_needed`: what the child has to have for
    the parent's last order to be copied at all (percentage only); `margin_needed`: what its copy of that order binds."""

    symbol: str
    price: Decimal
    smallest_parent_order: Decimal
    smallest_child_order: Decimal
    limited_by: str
    last_order: Decimal | None = None
    balance_needed: Decimal | None = None
    margin_needed: Decimal | None = None


class ChildPreview(Record):
    """`problem`: why no ratio can be had, and then nothing else is told."""

    account: str
    ratio: Decimal | None = None
    problem: str = ""
    symbols: tuple[SymbolPreview, ...] = ()
    trades: int = 0
    skipped: tuple[SkippedTrade, ...] = ()


class Preview(Record):
    """What each child of a bot could follow. `trades`: the parent's last ones that were looked at."""

    bot: str
    parent: str
    children: tuple[ChildPreview, ...]
    trades: tuple[Trade, ...] = ()


def trades_of(fills: Iterable[Fill], last: int) -> tuple[Trade, ...]:
    """The last trades, the oldest first: the fills of each order taken together, each execution once."""
    orders: dict[tuple[str, str], dict[str, Fill]] = {}
    for fill in fills:
        orders.setdefault((fill.symbol, fill.venue_id), {})[fill.execution_id] = fill
    found = []
    for (symbol, _), executions in orders.items():
        quantity = sum((fill.quantity for fill in executions.values()), ZERO)
        value = sum((fill.quantity * fill.price for fill in executions.values()), ZERO)
        side = next(iter(executions.values())).side
        time_ms = max(fill.time_ms for fill in executions.values())
        found.append(Trade(symbol=symbol, side=side, quantity=quantity, price=value / quantity, time_ms=time_ms))
    return tuple(sorted(found, key=lambda trade: trade.time_ms)[-last:])


def preview_child(
    rules: ChildRules,
    parent: Account,
    account: Account,
    instruments: Mapping[str, Instrument],
    prices: Mapping[str, Decimal],
    trades: Sequence[Trade],
    leverage: Mapping[str, Decimal],
    at_ns: int,
) -> ChildPreview:
    """What the child could follow. `prices`: of the symbols to look at; `leverage`: of the child's, by symbol."""
    ratio = ratio_for(rules, parent, account, at_ns)
    if isinstance(ratio, str):
        return ChildPreview(account=rules.account, problem=ratio)
    size = abs(ratio)
    symbols = []
    for symbol, price in sorted(prices.items()):
        instrument = instruments.get(symbol)
        if instrument is None or not price:
            continue
        last = next((trade for trade in reversed(trades) if trade.symbol == symbol), None)
        symbols.append(_symbol(rules, size, instrument, price, last, parent, leverage.get(symbol, ZERO)))
    return ChildPreview(
        account=rules.account,
        ratio=ratio,
        symbols=tuple(symbols),
        trades=len(trades),
        skipped=tuple(_skipped(rules, size, instruments, trades)),
    )


def _symbol(
    rules: ChildRules,
    ratio: Decimal,
    instrument: Instrument,
    price: Decimal,
    last: Trade | None,
    parent: Account,
    leverage: Decimal,
) -> SymbolPreview:
    child, limited_by = smallest_order(instrument, price)
    balance_needed = margin_needed = None
    if last is not None:
        needed = smallest_exact(child, instrument.quantity_step, rules.rounding) / last.quantity
        theirs = parent.balance
        if rules.mode == "percentage" and theirs is not None:
            basis = {"cash": theirs.cash, "available": theirs.available}.get(rules.basis, theirs.equity)
            balance_needed = needed * basis * 100 / rules.value
        if leverage:
            copied = round_to(ratio * last.quantity, instrument.quantity_step, rules.rounding)
            margin_needed = copied * price * instrument.contract_size / leverage
    return SymbolPreview(
        symbol=instrument.symbol,
        price=price,
        smallest_parent_order=smallest_parent_order(ratio, child, instrument, rules.rounding),
        smallest_child_order=child,
        limited_by=limited_by,
        last_order=last.quantity if last is not None else None,
        balance_needed=balance_needed,
        margin_needed=margin_needed,
    )


def smallest_order(instrument: Instrument, price: Decimal) -> tuple[Decimal, str]:
    """The smallest order that the venue takes at this price, and which of its rules makes it so."""
    step = instrument.quantity_step
    rules = {
        "step": step,
        "minimum quantity": instrument.min_quantity,
        "minimum notional": instrument.min_notional / (price * instrument.contract_size),
    }
    limited_by = max(rules, key=lambda name: rules[name])
    return ceil_to(rules[limited_by], step), limited_by


def smallest_exact(child: Decimal, step: Decimal, rounding: str) -> Decimal:
    """The smallest exact share that is rounded to at least `child`."""
    if rounding == "nearest":
        return child - step / 2
    if rounding == "min_one" and child == step:
        return Decimal("1e-12")
    return child


def smallest_parent_order(ratio: Decimal, child: Decimal, instrument: Instrument, rounding: str) -> Decimal:
    """The smallest order of the parent, on a flat account, of which the child gets one that its venue takes."""
    step = instrument.quantity_step
    exact = smallest_exact(child, step, rounding) / ratio
    return max(ceil_to(exact, step), ceil_to(instrument.min_quantity, step))


def _skipped(
    rules: ChildRules, ratio: Decimal, instruments: Mapping[str, Instrument], trades: Sequence[Trade]
) -> Iterable[SkippedTrade]:
    """Play the trades from a flat start: what is rounded away is carried, as it would be."""
    parents: dict[str, Decimal] = {}
    held: dict[str, Decimal] = {}
    for trade in trades:
        symbol = trade.symbol
        before = parents.get(symbol, ZERO)
        after = parents[symbol] = before + trade.side.sign * trade.quantity
        share = ratio * trade.quantity
        instrument = instruments.get(symbol)
        if instrument is None:
            yield SkippedTrade(trade=trade, would_be=share, reason=f"{rules.account} has no {symbol}")
            continue
        if not _follows(rules, symbol):
            yield SkippedTrade(trade=trade, would_be=share, reason=f"{rules.account} does not follow {symbol}")
            continue
        mine = held.get(symbol, ZERO)
        aim = round_to(abs(ratio * after), instrument.quantity_step, rules.rounding) * (1 if after > 0 else -1)
        change = abs(aim - mine)
        opens = abs(after) > abs(before) or before * after < 0
        fault = size_fault(change, trade.price, instrument) if opens and change else ""
        if not change and opens:
            fault = f"{share.normalize():f} of step {instrument.quantity_step}"
        if fault:
            yield SkippedTrade(trade=trade, would_be=share, reason=fault)
        else:
            held[symbol] = aim


def _follows(rules: ChildRules, symbol: str) -> bool:
    filters, allowed = rules.filters, rules.limits.symbols
    included = not filters.include or matches(symbol, filters.include)
    return included and not matches(symbol, filters.exclude) and (not allowed or matches(symbol, allowed))
