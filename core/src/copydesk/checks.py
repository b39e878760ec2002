"""What is compared before a bot starts (rules 12 and 18): what refuses the start, and what a person should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from copydesk.budget import fan_outs
from copydesk.config import BotSettings, ChildSettings, connection_of
from copydesk.engine import Engine
from copydesk.errors import Conflict
from copydesk.families import chains, check_family
from copydesk.model import Capabilities, LeverageChange, Snapshot
from copydesk.plans import Checks
from copydesk.venue import Venue
from copydesk.view import ConnectionState

FEWEST_ORDERS_A_MINUTE = 10
"""Where the venue's limit leaves the parent fewer orders a minute than this, the fan-out is called too wide."""


class StartChecks:
    """The checks of one start: `parent` and `children` are what was just read, whole."""

    def __init__(
        self,
        settings: BotSettings,
        parent: Snapshot,
        children: dict[str, Snapshot],
        engine: Engine,
        others: Sequence[BotSettings],
    ) -> None:
        self._settings = settings
        self._parent = parent
        self._children = children
        self._engine = engine
        self._symbols = _symbols(parent)
        self._refusals: list[str] = []
        self._warnings: list[str] = []
        self._leverage: list[LeverageChange] = []
        try:
            check_family(settings, others)
        except Conflict as conflict:
            self._refusals.append(str(conflict))
        self._warnings += chains(settings, others)
        before = engine.state.bots.get(settings.name)
        if before is not None and before.ending:
            self._warnings.append(f"its last stop is not done yet ({before.ending}): this start gives that up")

    def all(self) -> Checks:
        self._notices()
        for child in self._settings.children:
            self._child(child)
        accounts = [child.account for child in self._settings.children]
        kind = self._engine.connections[connection_of(self._settings.parent)].info.kind
        self._warnings += budget_warnings(accounts, kind, self._engine.state.capabilities[kind])
        return Checks(refusals=tuple(self._refusals), warnings=tuple(self._warnings), leverage=tuple(self._leverage))

    def _notices(self) -> None:
        """What the plugins say that a person should set otherwise at the venue."""
        for account in self._settings.accounts:
            venue = self._engine.connections[connection_of(account)].venue
            if venue is not None and venue.notice:
                self._warnings.append(f"{account}: {venue.notice}")

    def _child(self, child: ChildSettings) -> None:
        connection = self._engine.connections[connection_of(child.account)]
        if connection.state is ConnectionState.REFUSED:
            self._refusals.append(f"{child.account} cannot be used: {connection.message}")
            return
        snapshot = self._children.get(child.account)
        if snapshot is None or connection.venue is None:
            why = connection.message or "still trying"
            self._warnings.append(f"{child.account} cannot be read now ({why}): nothing is copied to it until it is back")
            return
        unknown = sorted(self._symbols - set(connection.venue.instruments))
        if unknown:
            text = f"{child.account} has no {', '.join(unknown)}: what the parent does there is not copied to it"
            self._warnings.append(text)
        mirrors = child.mode == "multiplier" and child.value < 0
        if mirrors and not connection.info.capabilities.shorts:
            self._refusals.append(
                f"{child.account} is to mirror its parent (K = {child.value}), and nothing can be sold short there: "
                "give it a multiplier above zero"
            )
        elif mirrors:
            self._warnings.append(f"{child.account} mirrors its parent (K = {child.value}): it sells where the parent buys")
        self._modes(child, snapshot)
        self._margins(child, snapshot, connection.venue)

    def _modes(self, child: ChildSettings, snapshot: Snapshot) -> None:
        ours, theirs = self._parent.hedge_mode, snapshot.hedge_mode
        if ours is not None and theirs is not None and ours != theirs:
            words = {True: "hedge mode", False: "one-way mode"}
            self._refusals.append(
                f"{self._settings.parent} is in {words[ours]} and {child.account} in {words[theirs]}: "
                "an order of one does not fit the other; switch one of them at the venue"
            )

    # --- leverage and margin mode -------------------------------------------------------------------------------------

    def _margins(self, child: ChildSettings, snapshot: Snapshot, venue: Venue) -> None:
        ours = {margin.symbol: margin for margin in self._parent.margins}
        flat = not (any(p.quantity for p in snapshot.positions) or any(o.is_working for o in snapshot.orders))
        for theirs in snapshot.margins:
            parents = ours.get(theirs.symbol)
            if theirs.symbol not in self._symbols or parents is None:
                continue
            if parents.mode and theirs.mode and parents.mode != theirs.mode:
                self._warnings.append(
                    f"{child.account} trades {theirs.symbol} on {theirs.mode} margin, its parent on {parents.mode} margin"
                )
            wanted = {"match_parent": parents.leverage, "fixed": child.leverage_value}.get(child.leverage)
            if wanted is None or wanted == theirs.leverage:
                if wanted is None and parents.leverage != theirs.leverage:
                    self._warnings.append(
                        f"{child.account} has leverage {theirs.leverage} on {theirs.symbol}, its parent {parents.leverage}"
                    )
            elif not flat or not venue.has_leverage:
                why = "the account is not flat" if not flat else "its plugin cannot set it"
                self._warnings.append(
                    f"{child.account} keeps a leverage of {theirs.leverage} on {theirs.symbol} instead of {wanted}: {why}"
                )
            else:
                change = LeverageChange(account=child.account, symbol=theirs.symbol, leverage=wanted)
                self._leverage.append(change)


def _symbols(snapshot: Snapshot) -> set[str]:
    """What the parent trades: its positions, its working orders, its latest fills."""
    positions = {position.symbol for position in snapshot.positions if position.quantity}
    orders = {order.terms.symbol for order in snapshot.orders if order.is_working}
    return positions | orders | {fill.symbol for fill in snapshot.fills}


def budget_warnings(accounts: Sequence[str], kind: str, can: Capabilities) -> Iterator[str]:
    """Whether a copy to every child fits into what the venue takes, by the budget that the engine keeps."""
    for fan in fan_outs(accounts, kind, can):
        count = len(fan.accounts)
        who = f"its {count} children together" if count > 1 else fan.accounts[0]
        if fan.what == "orders" and fan.cost > fan.room:
            seconds = Decimal(fan.cost) / max(1, fan.room)
            yield (
                f"the venue takes {fan.limit} orders a second of {who}, {fan.room} of them entries: "
                f"a copy to all of them takes {seconds:.1f} s"
            )
        elif fan.what == "requests" and fan.room // fan.cost < FEWEST_ORDERS_A_MINUTE:
            yield (
                f"the venue takes {fan.limit} requests a minute of {who}, {fan.room} of them for entries and their "
                f"changes, beside what exits, cancels and reading need: one order of the parent costs {fan.cost}, so "
                f"{fan.room // fan.cost} a minute are copied at once and others wait"
            )
