"""Take profit, stop loss and trailing stop of positions, as conditional orders that Bybit makes and ends itself.

Full mode: one take profit and one stop loss close all of a position, whatever its size is then. Partial mode: pairs of a
size of their own; where one of a pair is triggered the other ends. All of them end with the position. Source: Bybit v5,
"Set Trading Stop", and the `takeProfit` and `stopLoss` of "Place Order".

A trailing stop has a distance in price on the wire; here it trails by the share that the distance was of the price when it
was set.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from copydesk.model import ZERO, OrderType, Position, Side, Terms, TriggerBy
from copydesk_paper.exchange import ExchangeRefusal
from copydesk_paper.records import AccountReport
from copydesk_paper.rules import TRAIL_MAX, TRAIL_MIN

from copydesk_bybit.rehearsal import wire
from copydesk_bybit.rehearsal.account import Account, Key, Known, Protection
from copydesk_bybit.rehearsal.codes import Refusal, bad
from copydesk_bybit.rehearsal.desk import Desk
from copydesk_bybit.rehearsal.listing import Rules
from copydesk_bybit.rehearsal.parameters import Params, read_index, read_protection
from copydesk_bybit.rehearsal.wire import Json
from copydesk_bybit.symbols import SPOT
from copydesk_bybit.words import FALLS, RISES, TRIGGERS

MAX_PARTIAL = 20
CLEARED = "CancelByTpSlTsClear"


@dataclass(frozen=True, slots=True)
class _Leg:
    """One side of a protection: the take profit or the stop loss."""

    is_profit: bool
    price: str
    trigger_by: str
    limit_price: str


def _legs(protection: Protection) -> list[_Leg]:
    tp = protection.tp_limit_price if protection.tp_order_type == "Limit" else ""
    sl = protection.sl_limit_price if protection.sl_order_type == "Limit" else ""
    both = (
        _Leg(True, protection.take_profit, protection.tp_trigger_by, tp),
        _Leg(False, protection.stop_loss, protection.sl_trigger_by, sl),
    )
    return [leg for leg in both if leg.price]


class Protections:
    """Keeps the positions of all accounts protected. Hooks itself into the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._pairs: dict[tuple[str, str], str] = {}
        """(account, order id) of one of a pair to the order id of the other."""
        desk.protect = self.follow
        desk.triggered = self.on_triggered
        desk.holdings.protection_of = self.of

    # --- what stands ---

    @staticmethod
    def standing(account: Account, key: Key) -> list[Known]:
        """The working orders that protect a position."""
        made = account.protecting.get(key, [])
        standing = [known for known in made if known.order is not None and known.order.is_working]
        if len(standing) != len(made):
            account.protecting[key] = standing
        return standing

    def of(self, account: Account, key: Key) -> tuple[Protection, str]:
        """What a position's row tells: its full take profit and stop loss, and the distance of its trailing stop."""
        rules = self._desk.listing.rules(key[0])
        told = Protection(take_profit="", stop_loss="")
        for known in self.standing(account, key):
            assert known.order is not None
            price = wire.padded(known.order.terms.trigger_price, rules.price_places)
            if known.stop_type == "TakeProfit":
                told.take_profit = price
            elif known.stop_type == "StopLoss":
                told.stop_loss = price
        trailing = account.trailing.get(key)
        return told, trailing[0] if trailing else ""

    # --- by request ---

    def trading_stop(self, account: Account, params: Params) -> Json:
        """`position/trading-stop`."""
        rules = self._desk.listing.named(params.need("category"), params.need("symbol"))
        if rules.category == SPOT:
            raise bad("params error: category is invalid")
        _, side = read_index(params)
        position = self._position(account, (rules.symbol, side))
        if position is None:
            raise bad("can not set tp/sl/ts for zero position")
        protection = read_protection(params)
        trailing = params.decimal("trailingStop")
        if protection.mode == "Partial":
            changed = self._add_partial(account, rules, position, protection, params)
        else:
            changed = self._set_full(account, rules, position, params)
        if trailing is not None:
            changed |= self._set_trailing(account, rules, position, trailing, params.price("activePrice"))
        if not changed:
            raise Refusal(34040)
        self._desk.tell_position(account, (rules.symbol, side))
        return {}

    def _position(self, account: Account, key: Key) -> Position | None:
        for position in self._desk.exchange.positions(account.name):
            if (position.symbol, position.position_side) == key and position.quantity:
                return position
        return None

    def _set_full(self, account: Account, rules: Rules, position: Position, params: Params) -> bool:
        changed = False
        wanted = read_protection(params)
        for name, stop_type in (("takeProfit", "TakeProfit"), ("stopLoss", "StopLoss")):
            if name not in params:
                continue
            leg = next((one for one in _legs(wanted) if one.is_profit == (name == "takeProfit")), None)
            changed |= self._replace(account, rules, position, stop_type, leg)
        return changed

    def _replace(self, account: Account, rules: Rules, position: Position, stop_type: str, leg: _Leg | None) -> bool:
        """Set, move or (without `leg`) take away the full take profit or stop loss. False where it is so already."""
        key = (position.symbol, position.position_side)
        standing = [known for known in self.standing(account, key) if known.stop_type == stop_type]
        if leg is None:
            for known in standing:
                self._end(account, known)
            return bool(standing)
        self._check(rules, position, leg)
        price = Decimal(leg.price)
        if standing and standing[0].order is not None:
            order = standing[0].order
            if order.terms.trigger_price == price and standing[0].trigger_by == (leg.trigger_by or "LastPrice"):
                return False
            if standing[0].trigger_by == (leg.trigger_by or "LastPrice"):
                self._desk.exchange.modify(account.name, venue_id=order.venue_id, trigger_price=price)
                return True
            self._end(account, standing[0])
        self._make(account, rules, position, leg, None, Protection(mode="Full"))
        return True

    def _add_partial(
        self, account: Account, rules: Rules, position: Position, protection: Protection, params: Params
    ) -> bool:
        legs = _legs(protection)
        if not legs:
            return False
        sizes = {params.decimal("tpSize") or ZERO, params.decimal("slSize") or ZERO} - {ZERO}
        if len(sizes) != 1:
            raise bad("params error: tpSize and slSize must be equal and above zero")
        for leg in legs:
            self._check(rules, position, leg)
        self.add_pair(account, rules, position, protection, sizes.pop(), "")
        return True

    def _set_trailing(
        self, account: Account, rules: Rules, position: Position, distance: Decimal, active: Decimal | None
    ) -> bool:
        """Set, change or take away a position's trailing stop. False where it is so already."""
        key, told = (position.symbol, position.position_side), (wire.bare(distance), wire.bare(active))
        standing = next((known for known in self.standing(account, key) if known.stop_type == "TrailingStop"), None)
        if not distance:
            account.trailing.pop(key, None)
            if standing is not None:
                self._end(account, standing)
            return standing is not None
        price = active or self._desk.exchange.last_price(rules.symbol)
        share = (distance / price * 100).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        share = max(TRAIL_MIN, min(TRAIL_MAX, share))
        if standing is not None and standing.order is not None:
            if account.trailing.get(key) == told:
                return False
            account.trailing[key] = told
            self._desk.exchange.modify(
                account.name, venue_id=standing.order.venue_id, trail_percent=share, trigger_price=active
            )
            return True
        sells = position.quantity > 0
        known = self._order(account, rules, "TrailingStop", "LastPrice", FALLS if sells else RISES)
        known.mode = "Full"
        account.trailing[key] = told
        try:
            self._desk.send(
                account,
                rules,
                Terms(
                    symbol=rules.symbol,
                    side=Side.SELL if sells else Side.BUY,
                    type=OrderType.TRAILING_STOP,
                    quantity=abs(position.quantity),
                    trigger_price=active,
                    trail_percent=share,
                    reduce_only=True,
                    position_side=position.position_side,
                ),
                known,
            )
        except Refusal:
            account.trailing.pop(key, None)
            raise
        account.protecting.setdefault(key, []).append(known)
        return True

    # --- by orders ---

    def on_triggered(self, account: Account, known: Known) -> None:
        """One of a pair was triggered: the other one ends."""
        other = self._pairs.pop((account.name, known.order_id), "")
        if not other:
            return
        self._pairs.pop((account.name, other), None)
        partner = account.orders.get(account.find(other, ""))
        if partner is not None and partner.order is not None and partner.order.is_working:
            self._end(account, partner)

    def follow(self, account: Account, report: AccountReport) -> None:
        """Positions changed: protect what was bought by orders with a protection, clear what protects nothing any more."""
        for position in report.positions:
            rules = self._desk.listing.rules(position.symbol)
            if rules.category == SPOT:
                continue
            key = (position.symbol, position.position_side)
            if not position.quantity:
                account.entered.pop(key, None)
                self._clear(account, key)
                continue
            self._fit_trailing(account, key, position)
            for venue_id, quantity in account.entered.pop(key, {}).items():
                self._protect(account, rules, position, account.orders[venue_id], quantity)

    def _protect(self, account: Account, rules: Rules, position: Position, known: Known, quantity: Decimal) -> None:
        protection = known.protection
        if protection.mode == "Partial":
            self.add_pair(account, rules, position, protection, quantity, known.link_id)
            return
        for leg in _legs(protection):
            try:
                self._replace(account, rules, position, "TakeProfit" if leg.is_profit else "StopLoss", leg)
            except (Refusal, ExchangeRefusal):
                continue  # the price has passed it meanwhile: Bybit leaves the position without it, too

    def add_pair(
        self, account: Account, rules: Rules, position: Position, protection: Protection, size: Decimal, parent: str
    ) -> None:
        """Make a partial take profit and stop loss that end each other."""
        partial = [
            known for known in self.standing(account, (position.symbol, position.position_side)) if known.mode != "Full"
        ]
        if len(partial) >= MAX_PARTIAL:
            raise Refusal(110061)
        made = []
        for leg in _legs(protection):
            try:
                made.append(self._make(account, rules, position, leg, min(size, abs(position.quantity)), protection))
            except (Refusal, ExchangeRefusal):
                continue
        for known in made:
            known.parent_link_id = parent
        if len(made) == 2:
            one, two = made[0].order_id, made[1].order_id
            self._pairs[account.name, one] = two
            self._pairs[account.name, two] = one

    def _make(
        self, account: Account, rules: Rules, position: Position, leg: _Leg, size: Decimal | None, protection: Protection
    ) -> Known:
        """`size` None: all of the position."""
        sells = position.quantity > 0
        kind = "TakeProfit" if leg.is_profit else "StopLoss"
        rises = leg.is_profit == sells
        word = leg.trigger_by or "LastPrice"
        known = self._order(account, rules, kind if size is None else f"Partial{kind}", word, RISES if rises else FALLS)
        known.mode = "Full" if size is None else "Partial"
        known.close_on_trigger = True
        known.position_idx = wire.INDEXES[position.position_side]
        limit = bool(leg.limit_price)
        types = {
            (True, False): OrderType.TAKE_PROFIT_MARKET,
            (True, True): OrderType.TAKE_PROFIT_LIMIT,
            (False, False): OrderType.STOP_MARKET,
            (False, True): OrderType.STOP_LIMIT,
        }
        terms = Terms(
            symbol=rules.symbol,
            side=Side.SELL if sells else Side.BUY,
            type=types[leg.is_profit, limit],
            quantity=size or ZERO,
            price=Decimal(leg.limit_price) if limit else None,
            trigger_price=Decimal(leg.price),
            trigger_by=TRIGGERS.get(word, TriggerBy.LAST),
            reduce_only=size is not None,
            close_position=size is None,
            position_side=position.position_side,
        )
        self._desk.send(account, rules, terms, known)
        account.protecting.setdefault((position.symbol, position.position_side), []).append(known)
        return known

    def _order(self, account: Account, rules: Rules, stop_type: str, trigger_by: str, direction: int) -> Known:
        return Known(
            order_id="",
            link_id="",
            category=rules.category,
            stop_type=stop_type,
            direction=direction,
            trigger_by=trigger_by,
            last_on_created=self._desk.exchange.last_price(rules.symbol),
            create_type=f"CreateBy{stop_type}",
        )

    def _check(self, rules: Rules, position: Position, leg: _Leg) -> None:
        """A take profit lies beyond, a stop loss behind, the price that it looks at."""
        word = leg.trigger_by or "LastPrice"
        if word not in TRIGGERS:
            raise bad("params error: triggerBy is invalid")
        price = Decimal(leg.price)
        now = self._desk.exchange.last_price(rules.symbol)
        if word != "LastPrice":
            now = self._desk.exchange.quote(rules.symbol).mark
        long = position.quantity > 0
        higher = leg.is_profit == long
        if (price > now) != higher:
            name, side = ("TakeProfit" if leg.is_profit else "StopLoss"), ("Buy" if long else "Sell")
            relation = "higher" if higher else "lower"
            raise bad(
                f"{name}:{leg.price} set for {side} position should be {relation} than base_price:{wire.bare(now)}??{word}"
            )

    # --- clearing ---

    def _clear(self, account: Account, key: Key) -> None:
        account.trailing.pop(key, None)
        for known in self.standing(account, key):
            self._end(account, known)

    def _fit_trailing(self, account: Account, key: Key, position: Position) -> None:
        for known in self.standing(account, key):
            order = known.order
            if known.stop_type == "TrailingStop" and order is not None and order.terms.quantity != abs(position.quantity):
                self._desk.exchange.modify(account.name, venue_id=order.venue_id, quantity=abs(position.quantity))

    def _end(self, account: Account, known: Known) -> None:
        assert known.order is not None
        self._pairs.pop((account.name, known.order_id), None)
        try:
            self._desk.end(account, known.order.venue_id, CLEARED)
        except Refusal:
            return  # it ended by itself
