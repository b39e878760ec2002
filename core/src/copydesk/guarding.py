"""What may be opened on a child: trading state, risk limits and filters (rules 20 and 22). Pure.

Only what opens is ever looked at: whatever closes goes, in every state and beyond every limit (invariant I3). The answer
is level-triggered like all that is wanted: an entry that stands and may not stand any more is taken out, one that may
again is placed again while the parent's own still stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile

import msgspec

from copydesk.filters import day_of, in_session, matches, next_turn_ns
from copydesk.inputs import ChildRules, Filters, Limits, LimitSet, Note
from copydesk.model import ZERO, Instrument, Terms
from copydesk.planning import Hold, Wanted, only_closing, wanted
from copydesk.sending import Run
from copydesk.sizing import floor_to, notional, quantity_worth, size_fault
from copydesk.state import Account, Bot, Day, Link, Pair, Trading
from copydesk.tracking import State

CAPPED, FILTERED = "capped", "filtered"
NO_LIMITS, NO_FILTERS = Limits(), Filters()
DAILY_LOSS = "daily-loss"


@dataclass(slots=True, frozen=True)
class _Bar:
    """Why no more than `quantity` may be opened by a pair in all: the cause, the limit's name, a sentence."""

    cause: str
    limit: str
    reason: str
    quantity: Decimal = ZERO


def guarded(run: Run, bot: Bot, link: Link, pair: Pair, instrument: Instrument) -> Wanted | Hold:
    """What is wanted of the child, as far as its limits and filters let it open."""
    want = wanted(run.desk, bot, link, pair, instrument)
    if isinstance(want, Hold) or not want.opening:
        return want
    child = link.child
    account = run.desk.account(child.account)
    bar = _bar(run, account, bot, link, pair, want, instrument)
    if bar is None:
        pair.guard = pair.limit = ""
        return want
    if pair.guard and pair.last is not None and pair.last.state is State.FILLED:
        # It filled what it was allowed to: room that comes later is not for this order.
        pair.waiting = bar.limit
        return Hold(bar.reason, pair.guard, final=True, limit=bar.limit)
    return _cut(run, bot, link, pair, want, bar, instrument)


def _cut(run: Run, bot: Bot, link: Link, pair: Pair, want: Wanted, bar: _Bar, instrument: Instrument) -> Wanted | Hold:
    """The order with as much of its opening part as is allowed."""
    closing = want.terms.quantity - want.opening
    opened = max(ZERO, pair.filled - closing)
    allowed = opened
    if link.child.limits.over == "shrink":
        allowed = min(want.opening, floor_to(bar.quantity, instrument.quantity_step))
        if size_fault(allowed - opened, want.terms.price or want.terms.trigger_price, instrument):
            allowed = opened
    new = pair.limit != bar.limit
    pair.guard, pair.limit = bar.cause, bar.limit
    if not closing and not allowed:
        return Hold(bar.reason, bar.cause, level="warn", limit=bar.limit)
    if new:
        pair.waiting = bar.limit
        text = f"opens {allowed} instead of {want.opening} {link.book[0]}: {bar.reason}"
        run.note(link, "warn", bar.cause, text, limit=bar.limit, parent_order=pair.parent.order.venue_id)
    terms = msgspec.structs.replace(want.terms, quantity=closing + allowed)
    if allowed:
        return Wanted(terms, exit=False, opening=allowed)
    return only_closing(terms, run.desk.capabilities[bot.rules.kind])


def _bar(run: Run, account: Account, bot: Bot, link: Link, pair: Pair, want: Wanted, instrument: Instrument) -> _Bar | None:
    """The tightest of what stands against opening all that is wanted."""
    trading, child, symbol = account.trading, link.child, link.book[0]
    if trading.state != "all":
        why = f" ({trading.reason})" if trading.reason else ""
        return _Bar(CAPPED, "trading-state", f"{account.key} is {trading.state}{why}")
    if not _follows(child.filters, symbol):
        return _Bar(FILTERED, "symbols", f"{symbol} is not among the symbols that {child.account} follows")
    if child.limits.symbols and not matches(symbol, child.limits.symbols):
        return _Bar(CAPPED, "allowed-symbols", f"{symbol} is not among the symbols allowed on {child.account}")
    if child.filters.sessions:
        wake_account(run, account, next_turn_ns(child.filters.sessions, run.at_ns))
        if not in_session(child.filters.sessions, run.at_ns):
            return _Bar(FILTERED, "sessions", "entries are outside its sessions now")
    if child.limits == NO_LIMITS:
        return None
    price = _price(run, bot, pair, want.terms)
    return _off_band(run, bot, child, pair, want.terms, price) or _too_large(child, link, pair, want, price, instrument)


def _follows(filters: Filters, symbol: str) -> bool:
    return (not filters.include or matches(symbol, filters.include)) and not matches(symbol, filters.exclude)


def _price(run: Run, bot: Bot, pair: Pair, terms: Terms) -> Decimal | None:
    """The price that an entry is judged by: its own, the parent's, the last one known."""
    own = terms.price or terms.trigger_price or pair.parent.order.average_price
    return own or run.desk.prices.get((bot.rules.kind, terms.symbol))


def _off_band(run: Run, bot: Bot, child: ChildRules, pair: Pair, terms: Terms, price: Decimal | None) -> _Bar | None:
    """An entry too far from the last known price. One that stands already stays, wherever the market goes."""
    percent = child.limits.price_band_percent
    last, order = run.desk.prices.get((bot.rules.kind, terms.symbol)), pair.last
    if not percent or last is None or price is None:
        return None
    if order is not None and order.state.is_live and pair.limit != "price-band" and _priced_alike(order.terms, terms):
        return None
    off = abs(price - last) / last * 100
    if off <= percent:
        return None
    return _Bar(CAPPED, "price-band", f"{price} is {off:.2f} % from the last price {last}, the band is {percent} %")


def _priced_alike(a: Terms, b: Terms) -> bool:
    return (a.price, a.trigger_price) == (b.price, b.trigger_price)


def _too_large(
    child: ChildRules, link: Link, pair: Pair, want: Wanted, price: Decimal | None, instrument: Instrument
) -> _Bar | None:
    """The tightest limit on the size of one order and of the position."""
    limits, symbol = child.limits, link.book[0]
    closing = want.terms.quantity - want.opening
    opened = max(ZERO, pair.filled - closing)
    used, older = _used(link, pair, want.terms), _used(link, pair, want.terms, older=True)
    last = pair.last
    resting = last.remaining if last is not None and last.state.is_live else ZERO
    standing = max(ZERO, pair.filled + resting - closing)

    def left(room: Callable[[Decimal], Decimal]) -> Decimal:
        """One that stands gives way to older ones only: two that gave way to each other would do so for ever."""
        return min(room(older), max(room(used), standing))

    bars = []
    if limits.max_order:
        bars.append(_Bar(CAPPED, "max-order", f"an order may be {limits.max_order} at the most", limits.max_order))
    if limits.max_position:
        reason = f"the position in {symbol} may be {limits.max_position} at the most"
        bars.append(_Bar(CAPPED, "max-position", reason, left(lambda used: opened + limits.max_position - used)))
    if limits.max_order_notional or limits.max_position_notional:
        if not price:
            return _Bar(CAPPED, "price-unknown", f"what {symbol} is worth is not known yet, and its notional is limited")
        quote = instrument.quote
        if limits.max_order_notional:
            most = quantity_worth(limits.max_order_notional, price, instrument)
            reason = f"an order may be worth {limits.max_order_notional} {quote} at the most"
            bars.append(_Bar(CAPPED, "max-order-notional", reason, most))
        if limits.max_position_notional:
            known = price

            def worth(used: Decimal) -> Decimal:
                free = limits.max_position_notional - notional(used - opened, known, instrument)
                return quantity_worth(free, known, instrument)

            reason = f"the position in {symbol} may be worth {limits.max_position_notional} {quote} at the most"
            bars.append(_Bar(CAPPED, "max-position-notional", reason, left(worth)))
    over = [bar for bar in bars if bar.quantity < want.opening]
    return min(over, key=lambda bar: bar.quantity, default=None)


def _used(link: Link, pair: Pair, terms: Terms, *, older: bool = False) -> Decimal:
    """What the child holds in the direction of `terms`, and what other entries on their way, or only those that are
    `older`, will add (unsigned)."""
    before = takewhile(lambda other: other is not pair, link.pairs.values())
    coming = sum(
        (
            order.remaining
            for other in (before if older else link.pairs.values())
            if other is not pair
            for order in other.orders
            if order.state.is_open and order.terms.side is terms.side and not order.terms.reduce_only
        ),
        ZERO,
    )
    return max(ZERO, link.attributed * terms.side.sign) + coming


# --- the trading state ------------------------------------------------------------------------------------------------


def set_limit(run: Run, given: LimitSet) -> None:
    """A person decides. Back to `all` after a daily loss, the loss counts anew from the equity of now."""
    account = run.desk.account(given.account)
    if given.state == "all":
        account.days.clear()
        if account.balance is not None:
            _begin_days(run, account, account.balance.equity)
    _set(run, account, Trading(given.state, given.reason, given.actor, given.at_ns, given.until_ns))


_STATES = {
    "all": "all is traded",
    "close_only": "nothing is opened, what closes is traded",
    "none": "locked: nothing is opened; exits still follow the parent's",
}


def _set(run: Run, account: Account, trading: Trading) -> None:
    account.trading = trading
    wake_account(run, account, trading.until_ns)
    text = f"{account.key}: {_STATES[trading.state]}"
    if trading.actor or trading.reason:
        text += f" ({', '.join(word for word in (trading.reason, trading.actor) if word)})"
    level = "info" if trading.state == "all" else "warn"
    data = {"limit": "trading-state", "state": trading.state, "actor": trading.actor, "until_ns": trading.until_ns}
    run.decisions.append(Note(level=level, kind="limits", text=text, account=account.key, data=data))


def equity_told(run: Run, account: Account) -> bool:
    """The account's balance was told: close-only once a day's loss is too large. True where that changed now."""
    limits = run.desk.daily.get(account.key)
    if not limits or account.balance is None:
        return False
    equity, currency = account.balance.equity, account.balance.currency
    _begin_days(run, account, equity)
    if account.trading.state != "all":
        return False
    for one in limits:
        day = account.days[one.day_starts, one.zone]
        lost = day.equity - equity
        if lost >= one.daily_loss:
            until = day_of(run.at_ns, one.day_starts, one.zone)[1]
            reason = (
                f"lost {lost:f} {currency} since the start of {day.name}, the limit is {one.daily_loss:f}: "
                f"equity {equity:f}, then {day.equity:f}"
            )
            _set(run, account, Trading("close_only", reason, DAILY_LOSS, run.at_ns, until))
            return True
    return False


def _begin_days(run: Run, account: Account, equity: Decimal) -> None:
    for one in run.desk.daily.get(account.key, ()):
        name, _ = day_of(run.at_ns, one.day_starts, one.zone)
        day = account.days.get((one.day_starts, one.zone))
        if day is None or day.name != name:
            account.days[one.day_starts, one.zone] = Day(name, equity)


# --- time -------------------------------------------------------------------------------------------------------------


def wake_account(run: Run, account: Account, at_ns: int) -> None:
    """Look at the links of the account again at that time."""
    if at_ns > run.at_ns and at_ns not in account.wakes:
        account.wakes.add(at_ns)
        run.wake_at(at_ns, account.key)


def account_woken(run: Run, account: Account) -> None:
    """Times have come: a trading state ends. Whoever calls looks at the account's links afterwards."""
    account.wakes = {at_ns for at_ns in account.wakes if at_ns > run.at_ns}
    if 0 < account.trading.until_ns <= run.at_ns:
        _set(run, account, Trading("all", "its time is over", account.trading.actor, run.at_ns))


def rearm(run: Run, account: Account) -> None:
    """A new process took over: its timers are those that the state tells."""
    account.wakes.clear()
    wake_account(run, account, max(account.trading.until_ns, run.at_ns + 1) if account.trading.until_ns else 0)
