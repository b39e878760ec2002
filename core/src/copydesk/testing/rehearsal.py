"""A rig over a plugin's own rehearsal venue: `rehearse`, the control endpoint, and a second login as the owner's hand."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec
from msgspec.structs import replace

from copydesk.hookspecs import RunningRehearsal, VenuePlugin
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
    RehearsalSettings,
    Scope,
    Side,
    SnapshotRequest,
    Terms,
    to_json,
)
from copydesk.plugins import check_plugin
from copydesk.testing.rig import CHILD, PARENT, CannotDo, Failure, Rig
from copydesk.venue import Venue, open_venue

CASH = {PARENT: Decimal(100_000), CHILD: Decimal(50_000)}
STANDSTILL = Decimal("0.0001")
"""The speed at which a market recording does not get to its first event while a test runs."""
ALWAYS = 1_000_000
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # no authorities to load: the control endpoint is plain HTTP


class RehearsalRig(Rig):
    """`async with RehearsalRig(plugin, kind) as rig`: a fresh rehearsal venue whose market stands still.

    `hand` is the plugin that the owner's hand uses, where it is not to be the one under test. `connect_options` are added
    to the options of each account, `options` are the rehearsal's. The venue's control endpoint must have `state`,
    `faults`, `trades` and `accounts/NAME/mode` as `copydesk_paper.serving.control` describes them.
    """

    def __init__(
        self,
        plugin: VenuePlugin,
        kind: str,
        *,
        hand: VenuePlugin | None = None,
        symbol: str = "",
        options: Mapping[str, str] | None = None,
        connect_options: Mapping[str, str] | None = None,
        libraries: Sequence[str] = (),
        send_s: float = 5.0,
    ) -> None:
        self.plugin = plugin
        self.kind = kind
        self.symbol = symbol
        self.libraries = libraries
        self.send_s = send_s
        self._hand_plugin = hand or plugin
        self._options = dict(options or {})
        self._connect_options = dict(connect_options or {})
        self._hands: dict[str, Venue] = {}
        self._stack = AsyncExitStack()
        self._running: RunningRehearsal
        self._http: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        rehearse = getattr(self._hand_plugin, "rehearse", None)
        if rehearse is None:
            raise TypeError(f"the plugin for {self.kind} has no rehearse hook: write a Rig of your own for it")
        settings = RehearsalSettings(kind=self.kind, accounts=CASH, speed=STANDSTILL, options=self._options)
        self._running = await rehearse(settings=settings)
        self._stack.push_async_callback(self._running.stop)
        self._http = await self._stack.enter_async_context(
            httpx.AsyncClient(base_url=self._running.ready.control_url, trust_env=False, verify=_NO_TLS)
        )
        self.symbol = self.symbol or self._running.ready.symbols[0]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for hand in self._hands.values():
            await hand.close()
        await self._stack.aclose()

    # --- logins ---

    def settings(self, account: str = PARENT) -> ConnectionSettings:
        known = next(one for one in self._running.ready.accounts if one.name == account)
        options = known.options | self._connect_options
        return ConnectionSettings(name=account, kind=self.kind, options=options, secrets=known.secrets)

    def hand_settings(self, account: str = PARENT) -> ConnectionSettings:
        """What the owner's hand logs in with."""
        known = next(one for one in self._running.ready.accounts if one.name == account)
        settings = self.settings(account)
        return replace(settings, options=settings.options | known.by_hand)

    def unreachable_settings(self) -> ConnectionSettings:
        """All addresses of the login moved to port 9 (discard) of this machine, where nobody listens."""
        right = self.settings()
        moved = {name: _unreachable(value) for name, value in right.options.items()}
        if moved == right.options:
            raise CannotDo("no option of the login is an address")
        return ConnectionSettings(name="unreachable", kind=self.kind, options=moved, secrets=right.secrets)

    async def hand(self, account: str = PARENT) -> Venue:
        """The owner's own login, opened on first use."""
        if account not in self._hands:
            manager = check_plugin(self._hand_plugin, self.kind, "the hand's plugin")
            self._hands[account] = await open_venue(manager, self.hand_settings(account), connect_s=90)
        return self._hands[account]

    # --- by hand ---

    async def parent_places(self, terms: Terms, client_id: str, account: str = PARENT) -> Order:
        hand = await self.hand(account)
        outcome = await hand.place(NewOrder(client_id=client_id, terms=terms))
        if not isinstance(outcome, Accepted):
            raise CannotDo(f"the hand could not place {terms.type}: {outcome}")
        if outcome.order is not None:
            return outcome.order
        ref = OrderRef(account=hand.accounts[0], symbol=terms.symbol, type=terms.type, client_id=client_id)
        request = SnapshotRequest(account=hand.accounts[0], scope=Scope.ORDERS, look_up=(ref,))
        found = [order for order in (await hand.snapshot(request)).orders if order.client_id == client_id]
        if not found:
            raise CannotDo(f"the hand placed {terms.type}, and a look-up does not find it")
        return found[0]

    async def amends(self, order: Order, terms: Terms, account: str = PARENT) -> None:
        outcome = await (await self.hand(account)).modify(OrderChange(ref=_ref(order), terms=terms))
        if not isinstance(outcome, Accepted):
            raise CannotDo(f"the hand could not amend {order.terms.type}: {outcome}")

    async def cancels(self, order: Order, account: str = PARENT) -> None:
        outcome = await (await self.hand(account)).cancel(_ref(order))
        if not isinstance(outcome, Accepted):
            raise CannotDo(f"the hand could not cancel {order.terms.type}: {outcome}")

    async def use_hedge_mode(self, account: str = PARENT) -> None:
        await self._control("POST", f"accounts/{account}/mode", {"hedge": True})

    # --- the venue ---

    async def orders(self, account: str = PARENT) -> tuple[Order, ...]:
        state = await self._control("GET", "state")
        told = state["accounts"][account]
        return msgspec.convert(told.get("open_orders", told.get("orders")), tuple[Order, ...], strict=False)

    async def price(self) -> Decimal:
        state = await self._control("GET", "state")
        return Decimal(str(state["prices"][self.symbol]))

    async def trades(self, price: Decimal, quantity: Decimal, side: Side | None = None) -> None:
        body = {"symbol": self.symbol, "price": price, "quantity": quantity, "side": side}
        await self._control("POST", "trades", body)

    # --- faults ---

    async def drop_stream(self, account: str = PARENT) -> None:
        await self._fault("drop-stream", account)

    async def lose_next_reply(self, account: str = PARENT) -> None:
        await self._fault("lose-reply", account)

    async def lose_next_request(self, account: str = PARENT) -> None:
        await self._fault("lose-request", account)

    async def fail_next(self, failure: Failure, account: str = PARENT) -> None:
        await self._fault(failure.value, account)

    async def delay_next(self, seconds: float, account: str = PARENT) -> None:
        await self._fault("stall", account, seconds=seconds)

    async def repeat_events(self, account: str = PARENT) -> None:
        await self._fault("duplicate-events", account, count=ALWAYS)

    async def reorder_events(self, account: str = PARENT) -> None:
        await self._fault("reorder", account, count=ALWAYS, every=2)

    async def partial_fills(self) -> None:
        await self._fault("partial-fills", "", count=ALWAYS)

    async def go_away(self) -> None:
        await self._running.stop()

    async def _fault(self, name: str, account: str, **more: Any) -> None:
        fault = {"name": name, "account": account, "every": 1, "count": 1, **more}
        try:
            await self._control("POST", "faults", fault)
        except CannotDo as error:
            if "unknown fault" in str(error):
                raise CannotDo(f"its rehearsal has no fault {name}") from None
            raise

    async def _control(self, method: str, path: str, body: Any = None) -> Any:
        answer = await self._http.request(method, f"/{path}", content=None if body is None else to_json(body))
        if answer.status_code in (404, 422):
            raise CannotDo(answer.json()["error"])
        answer.raise_for_status()
        return answer.json()


def _ref(order: Order) -> OrderRef:
    return OrderRef(symbol=order.terms.symbol, type=order.terms.type, client_id=order.client_id, venue_id=order.venue_id)


def _unreachable(value: str) -> str:
    scheme, separator, _ = value.partition("://")
    return f"{scheme}://127.0.0.1:9" if separator else value
