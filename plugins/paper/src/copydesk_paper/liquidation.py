"""Liquidation: closing positions whose margin no longer covers them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from copydesk.model import ZERO, Contract, OrderStatus, OrderType, Side, Terms

from copydesk_paper.floor import Floor
from copydesk_paper.matching import Matching
from copydesk_paper.orders import WorkingOrder
from copydesk_paper.records import Cause, Execution
from copydesk_paper.wallet import Account, Key


class Liquidation:
    """`paid` is what the insurance fund gave so far, so that no wallet stays below zero."""

    def __init__(self, floor: Floor, matching: Matching) -> None:
        self._floor = floor
        self._matching = matching
        self.paid = ZERO

    def run(self, symbol: str, forget: Callable[[WorkingOrder], None]) -> bool:
        """Liquidate every account that the mark price of `symbol` exhausts. Returns whether anything was traded.

        An isolated position goes alone; cross positions of the settle currency go together. `forget` takes a dormant
        order out.
        """
        liquidated = False
        holders = self._floor.holders.get(symbol)
        if not holders:
            return liquidated
        mark = self._floor.mark(symbol)
        for account in tuple(holders.values()):
            if account.is_safe(symbol, mark):  # nearly always: with many accounts this is what an order costs
                continue
            if self._floor.margin.is_exhausted(account, symbol):
                self._liquidate(account, symbol, forget)
                liquidated = True
        return liquidated

    def _liquidate(self, account: Account, symbol: str, forget: Callable[[WorkingOrder], None]) -> None:
        asset = self._floor.instruments[symbol].settle
        symbols = {symbol} if symbol in account.isolated else self._cross_symbols(account, asset)
        for order in tuple(account.working.values()):
            if order.symbol in symbols and order.is_working:
                forget(order)
                self._floor.end(order, OrderStatus.CANCELLED, "liquidation")
        for key in [key for key in account.holdings if key[0] in symbols]:
            self._close(account, key)
        self._floor.close_step(account.name)
        missing = -account.wallets.get(asset, ZERO)
        if missing > 0:
            self.paid += missing
            account.wallets[asset] = ZERO
            self._floor.report_account(account, Cause.LIQUIDATION, change=missing)

    def _cross_symbols(self, account: Account, asset: str) -> set[str]:
        touched = {symbol for symbol, _ in account.holdings} | {order.symbol for order in account.working.values()}
        instruments = (self._floor.instruments[symbol] for symbol in touched - account.isolated)
        return {i.symbol for i in instruments if i.settle == asset and i.contract is not Contract.SPOT}

    def _close(self, account: Account, key: Key) -> None:
        symbol, position_side = key
        quantity: Decimal = account.holding(symbol, position_side)
        if not quantity:
            return
        side = Side.SELL if quantity > 0 else Side.BUY
        terms = Terms(
            symbol=symbol,
            side=side,
            type=OrderType.MARKET,
            quantity=abs(quantity),
            reduce_only=True,
            position_side=position_side,
        )
        order = WorkingOrder(account.name, next(self._floor.order_ids), "", terms, self._floor.now_ms())
        order.client_id = f"autoclose-{order.venue_id}"
        order.reason = "liquidation"
        order.liquidation = True
        account.working[order.venue_id] = order
        self._floor.report_order(order, Execution.NEW)
        self._matching.run_out(order)
