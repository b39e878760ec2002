"""What may never be decided, whatever is going on: looked at as each decision leaves the engine.

Each check is by the name of a promise; `promises.py` asks at the end of a story whether anything was found. They know the
rules from `semantics.md` and the child's settings, and look at the engine's state only for what it believed just then.
"""

from __future__ import annotations

from collections import defaultdict, deque
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from copydesk.filters import in_session, matches
from copydesk.inputs import (
    BotStarted,
    Cancel,
    ChildRules,
    Decision,
    Input,
    LookUp,
    Modify,
    Note,
    Place,
    PlaceGroup,
    Settled,
)
from copydesk.model import ZERO, BudgetScope, OrderType, Rejected, RejectReason, Terms, TimeInForce
from copydesk.protecting import is_stop
from copydesk.state import Book, Tracked, may_open

if TYPE_CHECKING:
    from harness.scenario.held import HeldLoop

PROMPT_MS = 3_000
"""As `following.PROMPT_MS`: a market order this young is still copied as one."""
SIZING = (RejectReason.QUANTITY, RejectReason.MARGIN)
SHRINKS = 6
LATE = ("catch-up", "executed", "unfilled")
OWN = ("trim", "enforce", "ticket", "flatten")
"""Why an order is sent that is no copy of one of the parent's."""


class _Episode(NamedTuple):
    """Of the parent in a side book: which one it is, on which side, and how often its position had moved."""

    number: int = 0
    sign: int = 0
    moves: int = 0


class Watch:
    """`broken`: what should not have been, in sentences, by the name of the promise."""

    def __init__(self, loop: HeldLoop) -> None:
        self.loop = loop
        self.broken: defaultdict[str, list[str]] = defaultdict(list)
        self.first_fills: dict[str, int] = {}  # when the parent's orders first filled, in ms of the venue
        self._sent: defaultdict[str, deque[tuple[int, bool]]] = defaultdict(deque)  # when, and whether an order was placed
        self._given_up: dict[tuple[str, str], Decimal] = {}  # entries refused for good, by account and cause
        self.owns: dict[tuple[str, Book], Decimal] = {}  # what a person has there beside what is copied, as accepted
        self._followed: dict[tuple[str, Book], tuple[bool, bool]] = {}
        self._episodes: dict[tuple[str, Book], _Episode] = {}
        self._ratios: dict[tuple[str, str, Book], tuple[Decimal, int]] = {}  # with the number of its episode

    def look(self, given: Input, decisions: list[Decision]) -> None:
        """At all that followed from one input."""
        if isinstance(given, BotStarted):
            self._given_up.clear()
            self._followed.clear()
            self._ratios.clear()
        self._look_at_ratios()
        answered = {one.account for one in decisions if isinstance(one, Note) and one.kind == "hand-traded"}
        self._look_at_owns(answered)
        for decision in decisions:
            self._look_at(decision)
        if isinstance(given, Settled) and isinstance(given.outcome, Rejected):
            self._look_at_refusal(given, given.outcome, decisions)

    def _tell(self, promise: str, text: str) -> None:
        self.broken[promise].append(text)

    # --- ratios -------------------------------------------------------------------------------------------------------

    def _look_at_ratios(self) -> None:
        """While parent and child are on their sides a ratio stays, until the parent was flat; a child that was away then
        begins anew, too. Of several fills that are told at once any may have been the one that made it flat."""
        for name, bot in self.loop.copier.desk.bots.items():
            for book, parent in bot.books.items():
                last = self._episodes.get((name, book), _Episode())
                now = _Episode(last.number, (parent.followed > 0) - (parent.followed < 0), parent.moves)
                if now.sign != last.sign or now.moves > last.moves + 1:
                    now = now._replace(number=last.number + 1)
                self._episodes[name, book] = now
            for (account, book), link in bot.links.items():
                followed, key = bot.book(book).followed, (name, account, book)
                ratio = link.ratios.get(1 if followed > 0 else -1)
                if not link.attributed:
                    self._ratios.pop(key, None)
                if ratio is None or followed * ratio * link.attributed <= 0:
                    continue
                number = self._episodes[name, book].number
                first, begun = self._ratios.setdefault(key, (ratio, number))
                if ratio != first:
                    self._ratios[key] = (ratio, number)
                    if begun == number and not self.loop.misled:
                        self._tell("a ratio stays", f"{account}: the ratio {first} became {ratio}")

    def _look_at_owns(self, answered: set[str]) -> None:
        """What stands on a child when its first copy is sent, or once a hand was answered, is a person's own; so is what
        is accepted beside what is copied and closes none of it."""
        for bot in self.loop.copier.desk.bots.values():
            for key, link in bot.links.items():
                now = (link.begun, not link.detached)
                idle = not link.attributed and (link.child.hand_trading == "coexist" or not link.pairs)
                if idle or key[0] in answered or self._followed.get(key) != now:
                    self._followed[key] = now
                    self.owns[key] = link.own
                elif link.own * link.attributed >= min(self.owns[key] * link.attributed, ZERO):
                    self.owns[key] = link.own

    # --- what is sent -------------------------------------------------------------------------------------------------

    def _look_at(self, decision: Decision) -> None:
        match decision:
            case Place(order=order):
                self._look_at_place(decision, self._tracked(decision.account, order.client_id), order.terms)
            case PlaceGroup(group=group):
                for leg in group.legs:
                    self._look_at_connection(decision.account, leg.client_id)
            case Modify():
                self._look_at_change(decision, self._tracked(decision.account, decision.client_id))
            case Cancel():
                self._look_at_cancel(decision, self._tracked(decision.account, decision.client_id))
        if isinstance(decision, Place | PlaceGroup | Modify | Cancel | LookUp):
            count = len(decision.group.legs) if isinstance(decision, PlaceGroup) else 1
            placed = isinstance(decision, Place | PlaceGroup)
            self._sent[decision.account].extend([(self.loop.now_ns, placed)] * count)

    def _tracked(self, account: str, client_id: str) -> Tracked:
        return self.loop.copier.desk.child_orders[account, client_id]

    def _look_at_connection(self, account: str, client_id: str) -> None:
        if not self.loop.copier.desk.account(account).connected:
            self._tell("nothing is sent to who is away", f"{account} is not connected, and is sent {client_id}")

    def _look_at_place(self, intent: Place, tracked: Tracked, terms: Terms) -> None:
        self._look_at_connection(intent.account, intent.client_id)
        opens = ZERO if tracked.order.enforces else _opening(tracked, terms)
        if opens:
            self._look_at_entry(intent.account, intent.why, intent.cause, tracked, terms, opens)
            self._look_at_budget(intent, tracked)
            if intent.why in LATE:
                self._look_at_window(intent, tracked, terms)
        self._look_at_crossing(intent, tracked, terms)
        self._look_at_policies(intent, tracked, terms)
        self._look_at_share(intent, tracked, terms)

    def _look_at_change(self, intent: Modify, tracked: Tracked) -> None:
        self._look_at_connection(intent.account, intent.client_id)
        old, new = tracked.order.terms, intent.change.terms
        if new.quantity > old.quantity and not tracked.order.exit:
            opens = _opening(tracked, new)
            if opens:
                self._look_at_entry(intent.account, intent.why, intent.cause, tracked, new, opens)

    def _look_at_entry(self, account: str, why: str, cause: str, tracked: Tracked, terms: Terms, opens: Decimal) -> None:
        """Something that adds: rules 13 to 15, 20 and 22."""
        desk, child = self.loop.copier.desk, tracked.link.child
        what = f"{account} is sent {terms.side} {terms.quantity} for {cause} ({why})"
        if not tracked.bot.working or tracked.bot.winding:
            self._tell("a stopped bot opens nothing", what)
        if desk.account(account).trading.state != "all":
            self._tell("limits hold", f"{what}, and is {desk.account(account).trading.state}")
        if why == "ticket":
            return  # a person's decision
        if not desk.account(tracked.bot.rules.parent).connected:
            self._tell("nothing is added unheard", what)
        filters, limits = child.filters, child.limits
        if matches(terms.symbol, filters.exclude) or not in_session(filters.sessions, self.loop.now_ns):
            self._tell("limits hold", f"{what}, which is filtered")
        if limits.max_order and opens > limits.max_order:
            self._tell("limits hold", f"{what}: it opens {opens}, more than {limits.max_order}")
        held = max(ZERO, tracked.link.attributed * terms.side.sign)
        if limits.max_position and held + opens > limits.max_position and not self.loop.touched(account):
            self._tell("limits hold", f"{what} and holds {held}, and no more than {limits.max_position} is allowed")

    def _look_at_budget(self, intent: Place, tracked: Tracked) -> None:
        """Rule 21: what may wait is not sent beyond the venue's limits. What was paid with the cancel that made way for it
        goes, though an exit, which never waits, has used its place meanwhile."""
        can, pair = self.loop.can, tracked.pair
        prepaid = pair is not None and len(pair.orders) > 1 and bool(pair.orders[-2].paid_ns)
        if prepaid or intent.why in OWN or not (can.orders_per_second or can.requests_per_minute):
            return
        accounts = list(self._sent) if can.requests_scope is BudgetScope.MACHINE else [intent.account]
        orders = sum(placed and at_ns > self.loop.now_ns - 10**9 for at_ns, placed in self._sent[intent.account])
        requests = sum(at_ns > self.loop.now_ns - 60 * 10**9 for account in accounts for at_ns, _ in self._sent[account])
        if 0 < can.orders_per_second <= orders or 0 < can.requests_per_minute <= requests:
            self._tell(
                "budgets hold", f"{intent.account} is sent {intent.client_id} after {orders} orders, {requests} requests"
            )

    def _look_at_window(self, intent: Place, tracked: Tracked, terms: Terms) -> None:
        """I7: risk is added for an order that has filled already only inside the window of its age and price."""
        pair, rules = tracked.pair, tracked.link.child.unfilled_entry
        if pair is None:
            return
        parent = pair.parent.order
        age_ms = self.loop.now_ms - parent.updated_ms
        # Rule 6 begins after its own time; its policy has a price of its own.
        again = len(pair.orders) > 1
        rested_ms = {"market_after": rules.after_ms, "chase": rules.after_ms * (rules.steps + 1)}.get(rules.action, 0)
        slack = {"market_after": rules.max_slippage_percent, "chase": rules.step_percent * rules.steps}.get(
            rules.action, ZERO
        )
        child = tracked.link.child
        most_ms = child.catch_up_max_age_ms + (rested_ms if again else 0)
        percent = max(child.catch_up_max_adverse_percent, slack if again else ZERO)
        prompt = parent.terms.type is OrderType.MARKET or child.trigger == "on_fill"
        if age_ms > max(most_ms, PROMPT_MS if prompt else 0):
            self._tell("risk is added in time", f"{intent.account} followed {intent.cause} after {age_ms} ms")
        # What is chased rests, and starts from the limit of the parent, which may have filled at better.
        chased = again and rules.action == "chase" and terms.time_in_force is TimeInForce.GTC
        reference = (chased and parent.terms.price) or parent.average_price or parent.terms.price
        if terms.type is OrderType.MARKET:
            if not (prompt and age_ms <= PROMPT_MS):
                self._tell("risk is added in time", f"{intent.account} followed {intent.cause} at any price")
        elif reference is not None and terms.price is not None:
            worse = (terms.price - reference) * terms.side.sign / reference * 100
            if worse > percent:
                self._tell("risk is added in time", f"{intent.account} followed {intent.cause} {worse} % worse")

    def _look_at_crossing(self, intent: Place, tracked: Tracked, terms: Terms) -> None:
        closing = max(ZERO, -terms.side.sign * tracked.link.attributed)
        if closing and terms.quantity > closing and not self.loop.nets and intent.why not in ("ticket", "enforce"):
            self._tell("nothing crosses flat in one order", f"{intent.account} holds {tracked.link.attributed}: {terms}")

    def _look_at_policies(self, intent: Place, tracked: Tracked, terms: Terms) -> None:
        child, account = tracked.link.child, intent.account
        others = [one for one in tracked.link.corrections if one.client_id != intent.client_id and one.state.is_open]
        if intent.why == "trim" and others:
            self._tell("one trim at a time", f"{account} trims {terms.quantity} beside {others[0].client_id}")
        if intent.why == "trim" and child.ahead != "trim":
            self._tell("who keeps is not trimmed", f"{account} trims {terms.quantity}, and its setting is {child.ahead}")
        if intent.why == "enforce" and (child.hand_trading != "enforce" or account not in self.loop.by_hand):
            self._tell("hand trading is answered", f"{account} ({child.hand_trading}) closes {terms.quantity} by itself")
        if intent.why == "ticket":
            self._given_up.pop((account, intent.cause), None)  # a person has it followed again
        if intent.why in OWN:
            return
        parent = tracked.bot.orders.get(intent.cause)
        if child.trigger == "on_fill":
            taking = terms.type is OrderType.MARKET or terms.time_in_force is TimeInForce.IOC
            if not taking or parent is None or not parent.filled:
                self._tell("on_fill copies executions", f"{account} is sent {terms} for {intent.cause}")
        refused = self._given_up.get((account, intent.cause))
        if refused is not None and not tracked.order.exit and terms.quantity >= refused:
            self._tell(
                "what is refused for good is not tried again",
                f"{account} is sent {terms.quantity} for {intent.cause} again",
            )

    def _look_at_patience(self, account: str, cause: str, tracked: Tracked, child: ChildRules) -> None:
        """Rule 6: what rests is given its time, and done with as its setting says. A flip that has to close is an exit."""
        closes = tracked.order.exit or tracked.order.terms.side.sign * tracked.link.attributed < 0
        rules = child.unfilled_exit if closes else child.unfilled_entry
        rested_ms = self.loop.now_ms - self.first_fills.get(cause, self.loop.now_ms)
        early = rules.action in ("wait", "cancel_after") or rested_ms < rules.after_ms
        if early and account not in self.loop.changed:
            self._tell("what rests is given its time", f"{account} ({rules.action}) takes {cause} after {rested_ms} ms")

    def _look_at_share(self, intent: Place, tracked: Tracked, terms: Terms) -> None:
        """Rule 4: what a child closes for a market order of its parent's is that share of what it holds itself.

        Looked at where nothing else of the link is under way: each then holds what it is going to hold. What follows
        executions (rule 1) or catches up (rule 14) closes what the child holds beyond its target, and no more.
        """
        pair, link, bot = tracked.pair, tracked.link, tracked.bot
        if pair is None or not tracked.order.exit or intent.why in OWN or len(pair.orders) > 1:
            return
        parent, order = pair.parent, pair.parent.order
        book = bot.book(link.book)
        held = abs(book.followed)
        closings = [(held, held - order.terms.quantity)] if parent.live else parent.closings
        if (
            (parent.live and parent.filled)
            or order.terms.type is not OrderType.MARKET
            or parent.opened
            or len(closings) != 1
            or closings[0][1] < 0
        ):
            return
        busy = any(other is not pair and (other.open or not other.closed) for other in link.pairs.values())
        later = bool(parent.filled) and book.moves != parent.moved
        if busy or later or any(one.state.is_open for one in link.corrections) or not link.attributed:
            return
        before, after = closings[0]
        held = abs(link.attributed)
        share = held * (before - after) / before
        ratio = abs(link.ratio(1) or Decimal(1))
        if intent.why in LATE:
            share = min(share, max(ZERO, held - ratio * after))
        step = self.loop.instrument.quantity_step
        slack = step
        if ratio * before % step or ratio * after % step:  # the child's target is rounded before and after
            slack *= 1 + max(Decimal(1), held / max(Decimal(1), ratio * before))
        if abs(terms.quantity - share) > slack:
            closed = f"closes {terms.quantity} where the parent closed {before - after} of {before}"
            self._tell("exits are sized on what the child holds", f"{intent.account} holds {held} and {closed}")

    def _look_at_cancel(self, intent: Cancel, tracked: Tracked) -> None:
        """Rule 11: the stop of a child that holds on is not taken away because a flat parent has none any more."""
        self._look_at_connection(intent.account, intent.client_id)
        link, order = tracked.link, tracked.order
        flat = not tracked.bot.book(link.book).followed
        closes = order.exit and -order.terms.side.sign * link.attributed > 0
        others = [
            other
            for other in link.orders
            if other is not order and other.state.is_open and other.exit
            if is_stop(other.terms) or other.terms.type is OrderType.MARKET
        ]
        if flat and closes and is_stop(order.terms) and order.cancelled_for == "parent" and not others:
            self._tell("a stop stays", f"{intent.account} holds {link.attributed} without {intent.client_id}")
        if order.cancelled_for == "unfilled":
            self._look_at_patience(intent.account, intent.cause, tracked, link.child)
        if order.cancelled_for == "given-up" and intent.account not in self.loop.changed:
            rules = link.child.unfilled_entry
            rested_ms = self.loop.now_ms - self.first_fills.get(intent.cause, self.loop.now_ms)
            if order.exit or rules.action != "cancel_after" or rested_ms < rules.after_ms:
                self._tell("what rests is given its time", f"{intent.account} gives {intent.cause} up after {rested_ms} ms")

    # --- what is refused ------------------------------------------------------------------------------------------------

    def _look_at_refusal(self, given: Settled, outcome: Rejected, decisions: list[Decision]) -> None:
        """Rule 9: an entry that is refused for good is made smaller where the setting says so, else given up."""
        tracked = self.loop.copier.desk.child_orders.get((given.account, given.client_id))
        if tracked is None or tracked.pair is None or tracked.order.exit or tracked.order.leg == "m":
            return
        if outcome.reason.is_transient or outcome.reason in (RejectReason.DUPLICATE_ID, RejectReason.NOTHING_TO_REDUCE):
            return
        order, child = tracked.order, tracked.link.child
        if outcome.reason is RejectReason.PRICE and order.terms.type.is_conditional:
            return  # it would trigger at once: what becomes of the parent's is copied
        placed = order.state == "rejected"
        fits = outcome.reason in SIZING and child.on_size_reject == "shrink_to_fit"
        shrunk = any(
            isinstance(one, Note) and one.kind == "capped" and one.data.get("limit") == "venue" for one in decisions
        )
        if placed and fits and not shrunk and order.terms.quantity > 1 and tracked.pair.shrinks < SHRINKS:
            self._tell(
                "what is too large is made to fit", f"{given.account} gave up {order.terms.quantity} for {order.cause}"
            )
        if shrunk and not fits:
            self._tell(
                "what is too large is made to fit", f"{given.account} made {order.cause} smaller, against its setting"
            )
        if placed and child.trigger != "on_fill":
            self._given_up[given.account, order.cause] = order.terms.quantity if shrunk else ZERO


def _opening(tracked: Tracked, terms: Terms) -> Decimal:
    """How much an order that is about to be sent opens at the least, once all that is on its way has gone through."""
    if terms.reduce_only or not may_open(terms):
        return ZERO
    order, sign = tracked.order, terms.side.sign
    held = max(ZERO, -sign * tracked.link.attributed)
    others = (one for one in tracked.link.orders if one is not order and one.state.is_open and one.terms.side.sign != sign)
    coming = sum((one.remaining for one in others if not one.exit), ZERO)
    return max(ZERO, terms.quantity - order.filled - held - coming)
