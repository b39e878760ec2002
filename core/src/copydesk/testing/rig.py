"""The rig: what a contract test drives a venue with, from the outside. An author writes one, or takes `RehearsalRig`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

from _pytest.outcomes import Skipped

from copydesk.hookspecs import VenuePlugin
from copydesk.model import ConnectionSettings, Order, Side, Terms

PARENT, CHILD = "parent", "child"
"""The two accounts that every rig has. Both begin without orders and positions, with money for some dozen small orders."""


class CannotDo(Skipped):
    """The rig cannot bring this about at its venue; says what. A test that needs it is skipped with that sentence."""


class Failure(StrEnum):
    """What a request may meet on the venue's side."""

    RATE_LIMIT = "429"  # refused because there were too many; nothing was done
    OVERLOAD = "overload"  # refused because the venue is busy; nothing was done
    SERVER_ERROR = "5xx"  # an error that does not tell whether it was done; the first one was


class Rig(ABC):
    """Drives one venue from the outside, for one test. All accounts are this rig's own.

    What a venue cannot be brought to do raises `CannotDo` with a sentence.
    """

    plugin: VenuePlugin
    """The plugin under test: a module or an object with the hooks."""
    kind: str
    symbol: str
    """The instrument that is traded. Its price stands still unless the rig moves it; its book can take small orders."""
    libraries: Sequence[str] = ()
    """Modules that importing the plugin must not import: the venue's client library."""
    send_s: float = 5.0
    """Seconds that a send may take before the venue counts as not answering."""

    @abstractmethod
    def settings(self, account: str = PARENT) -> ConnectionSettings:
        """What logs in to the account."""

    def wrong_settings(self) -> ConnectionSettings:
        """A login that the venue refuses: here, every secret replaced by as many other characters."""
        right = self.settings()
        wrong = {name: "0" * len(secret) for name, secret in right.secrets.items()}
        return ConnectionSettings(name="wrong", kind=right.kind, options=right.options, secrets=wrong)

    @abstractmethod
    def unreachable_settings(self) -> ConnectionSettings:
        """A right login at an address where nobody answers."""

    @abstractmethod
    async def price(self) -> Decimal:
        """The last price of `symbol`."""

    # --- what somebody does by hand on an account ---

    @abstractmethod
    async def parent_places(self, terms: Terms, client_id: str, account: str = PARENT) -> Order:
        """Place an order by another way than the session under test."""

    @abstractmethod
    async def amends(self, order: Order, terms: Terms, account: str = PARENT) -> None:
        """Give a working order other terms, likewise."""

    @abstractmethod
    async def cancels(self, order: Order, account: str = PARENT) -> None:
        """Cancel a working order, likewise."""

    @abstractmethod
    async def orders(self, account: str = PARENT) -> tuple[Order, ...]:
        """What the venue itself has as working orders of the account. Ids of the venue may be written otherwise here."""

    async def use_hedge_mode(self, account: str = PARENT) -> None:
        """Switch the account to long and short positions side by side."""
        raise CannotDo("the rig cannot switch to hedge mode")

    # --- what the market does ---

    @abstractmethod
    async def trades(self, price: Decimal, quantity: Decimal, side: Side | None = None) -> None:
        """Somebody trades at this price, which is then the last one; resting orders that it goes through are filled.

        `side` is the taker's; left out, the one that moves the price there.
        """

    async def fills(self, order: Order, quantity: Decimal | None = None) -> None:
        """Somebody trades against a resting limit order: all of it, or `quantity`."""
        assert order.terms.price is not None
        left = order.terms.quantity - order.filled
        await self.trades(order.terms.price, quantity or left, order.terms.side.opposite)

    # --- what goes wrong ---

    async def drop_stream(self, account: str = PARENT) -> None:
        """Cut the account's private stream: at once, or with the next event, which is then lost with it."""
        raise CannotDo("the rig cannot drop the stream")

    async def lose_next_reply(self, account: str = PARENT) -> None:
        """Carry out the account's next place, modify or cancel, and answer nothing."""
        raise CannotDo("the rig cannot lose a reply")

    async def lose_next_request(self, account: str = PARENT) -> None:
        """Lose the account's next place, modify or cancel on its way, so that the venue never has it."""
        raise CannotDo("the rig cannot lose a request")

    async def fail_next(self, failure: Failure, account: str = PARENT) -> None:
        """Answer the account's next place, modify or cancel with a failure."""
        raise CannotDo(f"the rig cannot answer with {failure.name.lower()}")

    async def delay_next(self, seconds: float, account: str = PARENT) -> None:
        """Carry out the account's next place, modify or cancel, and answer only after so long."""
        raise CannotDo("the rig cannot delay an answer")

    async def repeat_events(self, account: str = PARENT) -> None:
        """From now on send every event of the account twice."""
        raise CannotDo("the rig cannot repeat events")

    async def reorder_events(self, account: str = PARENT) -> None:
        """From now on let some events of the account change places."""
        raise CannotDo("the rig cannot reorder events")

    async def partial_fills(self) -> None:
        """From now on fill each order in several executions."""
        raise CannotDo("the rig cannot fill partially")

    async def go_away(self) -> None:
        """End the venue for good: nobody answers at its address any more."""
        raise CannotDo("the rig cannot end its venue")
