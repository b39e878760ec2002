"""The trading desk of the rehearsal venue: Bybit's accounts and order services over the paper exchange.

Knows nothing of HTTP or websockets. Requests come in as parameters, replies go out as JSON values, and what happens is told
to a `Watcher` as ready-made rows of the private topics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from typing import Protocol

from copydesk.model import ZERO, Contract, Fill, Order, OrderStatus, OrderType, Position, PositionSide, Terms
from copydesk_paper.contracts import notional
from copydesk_paper.exchange import MAKER_FEE, TAKER_FEE, Exchange, ExchangeRefusal
from copydesk_paper.records import AccountReport, Cause, Execution, OrderReport, Report
from msgspec.structs import replace

from copydesk_bybit.rehearsal import wire
from copydesk_bybit.rehearsal.account import Account, Done, Key, Known, Protection, order_id_of
from copydesk_bybit.rehearsal.codes import Refusal, bad, translated
from copydesk_bybit.rehearsal.listing import Listing, Rules
from copydesk_bybit.rehearsal.parameters import Params, Wanted, read_order, read_protection
from copydesk_bybit.rehearsal.wire import Json
from copydesk_bybit.symbols import SPOT
from copydesk_bybit.translate import RISES

USD_COINS = frozenset({"USD", "USDT", "USDC"})
FIRST_PHANTOM = 1_000_000_000
"""Numbers of orders that the venue took and that never came into the book begin here."""
_ENDS: tuple[tuple[str, str, str], ...] = (
    # how the exchange says that an order ended: (its words, rejectReason, cancelType)
    ("post-only", "EC_PostOnlyWillTakeLiquidity", "UNKNOWN"),
    ("fill-or-kill", "EC_CancelForNoFullFill", "UNKNOWN"),
    ("ioc", "EC_NoImmediateQtyToFill", "UNKNOWN"),
    ("fok", "EC_CancelForNoFullFill", "UNKNOWN"),
    ("no liquidity", "EC_NoImmediateQtyToFill", "UNKNOWN"),
    ("reduce-only", "EC_NoError", "CancelByReduceOnly"),
    ("nothing to reduce", "EC_NoError", "CancelByReduceOnly"),
    ("insufficient margin", "EC_Others", "UNKNOWN"),
    ("it would have traded", "EC_BySelfMatch", "CancelBySmp"),
    ("liquidation", "EC_NoError", "CancelAllBeforeLiq"),
)
_PHANTOMS = {
    # what the exchange refuses and Bybit takes, then cancels: rejectReason
    "post-only": "EC_PostOnlyWillTakeLiquidity",
    "fok": "EC_CancelForNoFullFill",
    "no-liquidity": "EC_NoImmediateQtyToFill",
}


class Watcher(Protocol):
    """Is told every row of a private topic, in order, of accounts that it listens to."""

    def listens(self, account: Account) -> bool: ...
    def tell(self, account: Account, topic: str, row: Json) -> None: ...


class Desk:
    """All accounts, by name and by key. `protect` is called with each account report: it keeps positions protected."""

    def __init__(self, exchange: Exchange, listing: Listing, now_ms: Callable[[], int]) -> None:
        self.exchange = exchange
        self.listing = listing
        self.now_ms = now_ms
        self.accounts: dict[str, Account] = {}
        self.by_key: dict[str, Account] = {}
        self.watchers: list[Watcher] = []
        self.protect: Callable[[Account, AccountReport], None] = lambda account, report: None
        self.triggered: Callable[[Account, Known], None] = lambda account, known: None
        self.protection_of: Callable[[Account, Key], tuple[Protection, str]] = lambda account, key: (Protection(), "")
        self._phantoms = count(FIRST_PHANTOM)
        self._seq = count(4_688_002_127)

    def add(self, account: Account) -> None:
        self.accounts[account.name] = account
        self.by_key[account.key] = account

    # --- placing ---

    def place(self, account: Account, params: Params) -> Json:
        """`order/create`."""
        rules = self._rules(params)
        wanted = self._read(account, params, rules)
        if wanted.link_id and wanted.link_id in account.by_link:
            raise Refusal(170141 if rules.category == SPOT else 110072)
        known = self._known(account, wanted, rules)
        return _named(self.send(account, rules, wanted.terms, known))

    def check(self, account: Account, params: Params) -> Json:
        """`order/pre-check`: what the order would bind."""
        rules = self._rules(params)
        self._read(account, params, rules)
        row = self.wallet(account)
        return {
            "orderId": "",
            "orderLinkId": params.text("orderLinkId"),
            "preImrE4": int(Decimal(row["accountIMRate"]) * 10_000),
            "preMmrE4": int(Decimal(row["accountMMRate"]) * 10_000),
            "postImrE4": int(Decimal(row["accountIMRate"]) * 10_000),
            "postMmrE4": int(Decimal(row["accountMMRate"]) * 10_000),
        }

    def _rules(self, params: Params) -> Rules:
        return self.listing.named(params.need("category"), params.need("symbol"))

    def _read(self, account: Account, params: Params, rules: Rules) -> Wanted:
        last = self.exchange.last_price(rules.symbol)
        quote = self.exchange.quote(rules.symbol)
        best = quote.ask if params.text("side") == "Buy" else quote.bid
        step = rules.instrument.quantity_step
        wanted = read_order(params, rules.symbol, rules.category, last, best or last, step)
        terms = wanted.terms
        if not terms.quantity and wanted.close_on_trigger and terms.reduce_only:
            terms = self._closing(account, terms, rules)
        elif not terms.quantity:
            raise Refusal(170136) if rules.category == SPOT else bad("Qty invalid")
        self._check_trigger(terms, wanted.direction, rules)
        self._check_band(terms, rules, last)
        return Wanted(**{name: getattr(wanted, name) for name in Wanted.__slots__} | {"terms": terms})

    def _closing(self, account: Account, terms: Terms, rules: Rules) -> Terms:
        """Quantity zero, reduce-only and close-on-trigger: all that is held then."""
        if terms.type in (OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET):
            return replace(terms, close_position=True, reduce_only=False)
        if terms.type is not OrderType.MARKET:
            raise bad("Qty invalid")
        held = abs(self.held(account, (rules.symbol, terms.position_side)))
        if not held:
            raise Refusal(110017)
        return replace(terms, quantity=held)

    def _check_trigger(self, terms: Terms, direction: int, rules: Rules) -> None:
        if terms.trigger_price is None or rules.category == SPOT:
            return
        price = self.trigger_price(terms)
        if direction == RISES and terms.trigger_price <= price:
            raise Refusal(110092, wire.bare(terms.trigger_price), wire.bare(price))
        if direction != RISES and terms.trigger_price >= price:
            raise Refusal(110093, wire.bare(terms.trigger_price), wire.bare(price))

    def trigger_price(self, terms: Terms) -> Decimal:
        """The price that this conditional order looks at."""
        if terms.trigger_by == "last":
            return self.exchange.last_price(terms.symbol)
        return self.exchange.quote(terms.symbol).mark

    def _check_band(self, terms: Terms, rules: Rules, last: Decimal) -> None:
        """A limit may not be too far on the aggressive side of the mark price."""
        risk = self.listing.row(rules).get("riskParameters", {})
        band = Decimal(risk.get("priceLimitRatioY", "0.1"))
        mark = self.exchange.quote(rules.symbol).mark or last
        if terms.price is None or terms.type.is_conditional or not mark:
            return
        too_high = terms.price > mark * (1 + band) and terms.side == "buy"
        too_low = terms.price < mark * (1 - band) and terms.side == "sell"
        if too_high or too_low:
            code = (170193 if too_high else 170194) if rules.category == SPOT else 110003
            raise Refusal(code, message="Order price exceeds the allowable range." if code != 110003 else "")

    def _known(self, account: Account, wanted: Wanted, rules: Rules) -> Known:
        protection = wanted.protection
        if protection and (wanted.terms.reduce_only or wanted.terms.close_position):
            raise bad("params error: reduce-only orders cannot have takeProfit or stopLoss")
        mode = "" if rules.category == SPOT else protection.mode if protection else "UNKNOWN"
        return Known(
            order_id="",
            link_id=wanted.link_id,
            category=rules.category,
            position_idx=wanted.position_idx,
            stop_type=wanted.stop_type,
            direction=wanted.direction,
            trigger_by=wanted.trigger_by,
            last_on_created=self.exchange.last_price(rules.symbol),
            close_on_trigger=wanted.close_on_trigger,
            market_unit=wanted.market_unit,
            quote_quantity=wanted.quote_quantity,
            protection=protection,
            mode=mode,
        )

    def send(self, account: Account, rules: Rules, terms: Terms, known: Known) -> Known:
        """Hand an order to the exchange. What Bybit takes and cancels at once becomes such an order. Raises `Refusal`."""
        account.placing = known
        try:
            order = self.exchange.place(account.name, terms)
            if order.venue_id not in account.orders:  # placed while reports are delivered: its own come afterwards
                self._adopt(account, order, known)
        except ExchangeRefusal as refusal:
            if refusal.detail not in _PHANTOMS:
                instrument = rules.instrument
                raise translated(
                    refusal, rules.category, symbol=rules.name, least=instrument.min_notional, quote=instrument.quote
                ) from None
            self._take_and_cancel(account, rules, terms, known, _PHANTOMS[refusal.detail])
        finally:
            account.placing = None
        return known

    def _take_and_cancel(self, account: Account, rules: Rules, terms: Terms, known: Known, reason: str) -> None:
        number, now = next(self._phantoms), self.now_ms()
        known.order_id = order_id_of(rules.category, account.name, number)
        known.reject_reason = reason
        known.order = Order(
            venue_id=str(number),
            client_id=known.link_id,
            terms=terms,
            status=OrderStatus.CANCELLED,
            created_ms=now,
            updated_ms=now,
        )
        account.keep(str(number), known)
        self._tell_order(account, known)

    # --- changing ---

    def amend(self, account: Account, params: Params) -> Json:
        """`order/amend`."""
        rules = self._rules(params)
        known, order = self.working(account, params, rules)
        quantity, price = params.decimal("qty"), params.price("price")
        trigger = params.price("triggerPrice")
        if quantity is not None and order.filled and quantity <= order.filled:
            raise Refusal(170313 if rules.category == SPOT else 110064)
        if trigger is not None and trigger != order.terms.trigger_price:
            self._check_trigger(replace(order.terms, trigger_price=trigger), known.direction, rules)
        if price is not None:
            self._check_band(replace(order.terms, price=price), rules, self.exchange.last_price(rules.symbol))
        protection = read_protection(params, before=known.protection)
        is_protected_anew = protection != known.protection
        try:
            self.exchange.modify(
                account.name,
                venue_id=order.venue_id,
                quantity=None if order.terms.close_position else quantity,
                price=price,
                trigger_price=trigger,
            )
        except ExchangeRefusal as refusal:
            if refusal.detail != "unchanged" or not is_protected_anew:
                raise translated(
                    refusal,
                    rules.category,
                    symbol=rules.name,
                    least=rules.instrument.min_notional,
                    quote=rules.instrument.quote,
                ) from None
        if is_protected_anew:
            known.protection = protection
            self._tell_order(account, known)
        return _named(known)

    def cancel(self, account: Account, params: Params) -> Json:
        """`order/cancel`."""
        rules = self._rules(params)
        known, order = self.working(account, params, rules)
        waits = order.terms.type.is_conditional and not order.triggered
        if rules.category == SPOT and waits and (params.text("orderFilter") or "Order") == "Order":
            raise Refusal(170213)
        self.end(account, order.venue_id, "CancelByUser")
        return _named(known)

    def end(self, account: Account, venue_id: str, cancel_type: str) -> None:
        """Cancel a working order for a reason of Bybit's. Raises `Refusal` where it does not work any more."""
        known = account.orders[venue_id]
        known.ending = cancel_type
        try:
            self.exchange.cancel(account.name, venue_id=venue_id)
        except ExchangeRefusal:
            known.ending = ""
            raise Refusal(110001) from None

    def cancel_all(self, account: Account, params: Params) -> Json:
        """`order/cancel-all`."""
        category = params.need("category")
        if category == "linear" and not any(name in params for name in ("symbol", "baseCoin", "settleCoin")):
            raise bad("params error: symbol, settleCoin or baseCoin cannot be empty")
        if "symbol" in params:
            self._rules(params)
        wanted = params.text("orderFilter")
        ended = []
        for known in list(self.select(account, params, category, working=True)):
            order = known.order
            assert order is not None
            waits = order.terms.type.is_conditional and not order.triggered
            if (wanted == "Order" and waits) or (wanted in ("StopOrder", "tpslOrder") and not waits):
                continue
            if "stopOrderType" in params and params.text("stopOrderType") != known.stop_type:
                continue
            self.end(account, order.venue_id, "CancelByUser")
            ended.append(_named(known))
        return {"list": ended, "success": "1"}

    def working(self, account: Account, params: Params, rules: Rules) -> tuple[Known, Order]:
        """The working order that the request names. Raises `Refusal` where there is none."""
        if "orderId" not in params and "orderLinkId" not in params:
            raise bad("params error: orderId or orderLinkId is required")
        known = account.orders.get(account.find(params.text("orderId"), params.text("orderLinkId")))
        order = known.order if known is not None else None
        if known is None or order is None or order.status.is_final or order.terms.symbol != rules.symbol:
            raise Refusal(170213 if rules.category == SPOT else 110001)
        return known, order

    # --- looking ---

    def select(self, account: Account, params: Params, category: str, *, working: bool | None = None) -> Iterator[Known]:
        """Orders of a category that the request asks for, the newest first. `working`: only those, or only ended."""
        by_name = "orderId" in params or "orderLinkId" in params
        if by_name:
            found = account.orders.get(account.find(params.text("orderId"), params.text("orderLinkId")))
            every = [found] if found is not None else []
        else:
            every = list(reversed(account.orders.values()))
        for known in every:
            order = known.order
            if order is None or known.category != category or (working is not None and order.is_working != working):
                continue
            if not by_name and not self._fits(params, self.listing.rules(order.terms.symbol)):
                continue
            yield known

    @staticmethod
    def _fits(params: Params, rules: Rules) -> bool:
        instrument = rules.instrument
        asked = {
            "symbol": rules.name,
            "baseCoin": instrument.base,
            "settleCoin": instrument.settle if instrument.contract is not Contract.SPOT else params.text("settleCoin"),
        }
        for name, value in asked.items():
            if name in params:
                return params.text(name) == value
        return True

    def row(self, account: Account, known: Known) -> Json:
        """An order as reads tell it."""
        assert known.order is not None
        terms = known.order.terms
        held = abs(self.held(account, (terms.symbol, terms.position_side))) if terms.close_position else ZERO
        return wire.order_row(known, self.listing.rules(terms.symbol), held=held)

    def held(self, account: Account, key: Key) -> Decimal:
        """The signed position."""
        for position in self.exchange.positions(account.name):
            if (position.symbol, position.position_side) == key:
                return position.quantity
        return ZERO

    def fee_rate(self, done: Done) -> Decimal:
        return MAKER_FEE if done.fill.maker else TAKER_FEE

    def execution(self, done: Done) -> Json:
        return wire.execution_row(done, self.listing.rules(done.fill.symbol), self.fee_rate(done))

    # --- positions and wallets ---

    def sides(self, account: Account, rules: Rules) -> tuple[PositionSide, ...]:
        if rules.category != SPOT and self.exchange.hedge_mode(account.name):
            return PositionSide.LONG, PositionSide.SHORT
        return (PositionSide.NET,)

    def position(self, account: Account, rules: Rules, side: PositionSide) -> Json:
        """A position as reads tell it, whether there is one or not."""
        key = (rules.symbol, side)
        found = next((one for one in self.exchange.positions(account.name) if (one.symbol, one.position_side) == key), None)
        return self._position_row(account, rules, found or self._flat(account, rules, side))

    def _flat(self, account: Account, rules: Rules, side: PositionSide) -> Position:
        return Position(
            symbol=rules.symbol,
            position_side=side,
            quantity=ZERO,
            mark_price=self.exchange.quote(rules.symbol).mark,
            leverage=Decimal(self.exchange.leverage(account.name, rules.symbol)),
        )

    def _position_row(self, account: Account, rules: Rules, position: Position) -> Json:
        key = (rules.symbol, position.position_side)
        protection, trailing = self.protection_of(account, key)
        return wire.position_row(
            position,
            rules,
            isolated=account.margin_mode == "ISOLATED_MARGIN",
            protection=protection,
            trailing=trailing,
            earned=(account.earned_now.get(key, ZERO), account.earned.get(key, ZERO)),
            times=(account.opened_ms.get(key, 0), account.moved_ms.get(key, 0)),
            seq=next(self._seq),
        )

    def tell_position(self, account: Account, key: Key) -> None:
        """Push a position's present state."""
        rules = self.listing.rules(key[0])
        self._tell(account, "position", wire.position_event(self.position(account, rules, key[1]), rules.category))

    def wallet(self, account: Account, coins: frozenset[str] = frozenset()) -> Json:
        """The unified account; with `coins` only their rows, with the totals of all."""
        rows = []
        for coin, amount in self.exchange.wallets(account.name).items():
            pool = self.exchange.pool(account.name, coin)
            price = self.usd(coin)
            earned = sum((sum_ for key, sum_ in account.earned.items() if self._settles(key, coin)), ZERO)
            rows.append((wire.coin_row(coin, pool, amount, price, earned), pool, amount, price))
        row = wire.wallet_row(rows)
        if coins:
            row["coin"] = [one for one in row["coin"] if one["coin"] in coins]
        return row

    def _settles(self, key: Key, coin: str) -> bool:
        return self.listing.rules(key[0]).instrument.settle == coin

    def usd(self, coin: str) -> Decimal:
        """What a coin is worth in USD here; zero for one that nothing here is traded in."""
        if coin in USD_COINS:
            return Decimal(1)
        for symbol in (f"{coin}USDT", f"{coin}USD", f"{coin}USDT-SPOT", f"{coin}USDC-SPOT"):
            if symbol in self.listing:
                return self.exchange.quote(symbol).mark
        return ZERO

    # --- what the exchange reports ---

    def on_report(self, report: Report) -> None:
        """To be called with every report of the exchange, in its order."""
        if isinstance(report, OrderReport):
            self._on_order(self.accounts[report.account], report)
        elif isinstance(report, AccountReport):
            self._on_account(self.accounts[report.account], report)

    def _on_order(self, account: Account, report: OrderReport) -> None:
        order = report.order
        known = account.orders.get(order.venue_id) or self._take_in(account, order)
        known.order = order
        if report.fill is not None:
            self._on_fill(account, known, order, report.fill, report.realised)
            return
        match report.execution:
            case Execution.NEW if order.terms.type is OrderType.MARKET:
                return  # it is told when it has traded
            case Execution.TRIGGERED:
                self._tell_order(account, known, status="Triggered")
                self.triggered(account, known)
                if order.terms.type.has_price:
                    self._tell_order(account, known, status="New")
                return
            case Execution.CANCELLED | Execution.EXPIRED:
                self._note_end(known, order)
        self._tell_order(account, known)

    def _take_in(self, account: Account, order: Order) -> Known:
        """An order that is new: the one that is being placed, or a liquidation."""
        rules = self.listing.rules(order.terms.symbol)
        known = account.placing
        account.placing = None
        if known is None:
            known = Known("", "", rules.category, create_type="CreateByLiq", mode="UNKNOWN")
            known.position_idx = wire.INDEXES[order.terms.position_side]
            known.last_on_created = self.exchange.last_price(rules.symbol)
        self._adopt(account, order, known)
        return known

    @staticmethod
    def _adopt(account: Account, order: Order, known: Known) -> None:
        known.order_id = order_id_of(known.category, account.name, int(order.venue_id))
        known.order = order
        account.keep(order.venue_id, known)

    @staticmethod
    def _note_end(known: Known, order: Order) -> None:
        if known.ending:
            known.cancel_type = known.ending
            return
        for words, reject, cancel in _ENDS:
            if order.reason.startswith(words):
                known.reject_reason, known.cancel_type = reject, cancel
                return

    def _on_fill(self, account: Account, known: Known, order: Order, fill: Fill, realised: Decimal) -> None:
        rules = self.listing.rules(fill.symbol)
        key = (fill.symbol, fill.position_side)
        worth = notional(rules.instrument, fill.quantity, fill.price)
        known.value += worth
        known.fees[fill.fee_asset] = known.fees.get(fill.fee_asset, ZERO) + fill.fee
        net = realised - (fill.fee if rules.category != SPOT else ZERO)
        account.earned[key] = account.earned.get(key, ZERO) + net
        account.earned_now[key] = account.earned_now.get(key, ZERO) + net
        account.opened_ms.setdefault(key, fill.time_ms)
        account.moved_ms[key] = fill.time_ms
        done = Done(
            fill=fill,
            known=known,
            leaves=order.terms.quantity - order.filled,
            closed=self._closed(account, rules, fill),
            realised=realised,
            mark=self.exchange.quote(fill.symbol).mark,
            seq=next(self._seq),
        )
        account.fills.append(done)
        if known.protection:
            entered = account.entered.setdefault(key, {})
            entered[order.venue_id] = entered.get(order.venue_id, ZERO) + fill.quantity
        if done.closed:
            account.closed.append(_closed_row(done, rules, self.now_ms()))
        if self._is_heard(account):
            self._tell(account, "execution", wire.execution_event(done, rules, self.fee_rate(done)))
            self._tell(account, "execution.fast", wire.fast_execution_event(done, rules))
        self._tell_order(account, known, realised=realised)

    def _closed(self, account: Account, rules: Rules, fill: Fill) -> Decimal:
        """How much an execution took off the position: what was held before it, as far as it is against it."""
        if rules.category == SPOT:
            return ZERO
        key = (fill.symbol, fill.position_side)
        before = account.sizes.get(key, ZERO)
        account.sizes[key] = before + fill.quantity * fill.side.sign
        against = before != 0 and (before > 0) != (fill.side.sign > 0)
        return min(abs(before), fill.quantity) if against else ZERO

    def _on_account(self, account: Account, report: AccountReport) -> None:
        for position in report.positions:
            rules = self.listing.rules(position.symbol)
            if rules.category == SPOT:
                continue
            key = (position.symbol, position.position_side)
            if self._is_heard(account):
                row = self._position_row(account, rules, position)
                self._tell(account, "position", wire.position_event(row, rules.category))
            if not position.quantity:
                account.earned_now.pop(key, None)
                account.opened_ms.pop(key, None)
        if report.cause in (Cause.LEVERAGE, Cause.MARGIN_TYPE, Cause.POSITION_MODE):
            return
        if self._is_heard(account):
            self._tell(account, "wallet", self.wallet(account))
        self.protect(account, report)

    def _is_heard(self, account: Account) -> bool:
        """Whether anybody listens: rows that nobody reads are not written."""
        return any(watcher.listens(account) for watcher in self.watchers)

    def _tell_order(self, account: Account, known: Known, *, status: str = "", realised: Decimal = ZERO) -> None:
        assert known.order is not None
        if not self._is_heard(account):
            return
        terms = known.order.terms
        rules = self.listing.rules(terms.symbol)
        held = abs(self.held(account, (terms.symbol, terms.position_side))) if terms.close_position else ZERO
        row = wire.order_row(known, rules, status=status, held=held)
        self._tell(account, "order", wire.order_event(row, known, rules, realised))

    def _tell(self, account: Account, topic: str, row: Json) -> None:
        for watcher in self.watchers:
            watcher.tell(account, topic, row)


def _named(known: Known) -> Json:
    return {"orderId": known.order_id, "orderLinkId": known.link_id}


def _closed_row(done: Done, rules: Rules, now_ms: int) -> Json:
    fill, known = done.fill, done.known
    assert known.order is not None
    exit_value = notional(rules.instrument, done.closed, fill.price)
    sign = -1 if fill.side == "buy" else 1
    entry_value = exit_value - sign * done.realised
    entry_price = entry_value / done.closed if rules.instrument.contract is Contract.LINEAR else fill.price
    return {
        "symbol": rules.name,
        "orderType": "Limit" if known.order.terms.type.has_price else "Market",
        "leverage": "10",
        "updatedTime": str(now_ms),
        "side": wire.SIDE_WORDS[fill.side],
        "orderId": known.order_id,
        "closedPnl": wire.money(done.realised - fill.fee),
        "avgEntryPrice": wire.money(entry_price),
        "qty": wire.bare(known.order.terms.quantity),
        "cumEntryValue": wire.money(entry_value),
        "createdTime": str(fill.time_ms),
        "orderPrice": wire.padded(known.order.terms.price or fill.price, rules.price_places),
        "closedSize": wire.bare(done.closed),
        "avgExitPrice": wire.bare(fill.price),
        "execType": "Trade",
        "fillCount": "1",
        "cumExitValue": wire.money(exit_value),
    }
