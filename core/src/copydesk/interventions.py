"""What a person does on a running engine against the usual course: copy what is missing now, stop everything at once.

Nothing here waits for a venue: what is decided is handed to the children's own lanes, so that a venue that is slow or gone
holds up nothing else.
"""

from __future__ import annotations

import time

from copydesk.bots import BotStore
from copydesk.engine import Engine
from copydesk.errors import Conflict, UsageError
from copydesk.forecast import plan_stop
from copydesk.inputs import BotStopped, MissingCopied
from copydesk.missing import plan_missing
from copydesk.plans import KILL_WORD, KillOrder, KillReport, MissingOrder, MissingPlan
from copydesk.stopping import LEAVE
from copydesk.wording import counted


class Interventions:
    """Of one engine and its bots."""

    def __init__(self, engine: Engine, store: BotStore) -> None:
        self._engine = engine
        self._store = store

    # --- what is missing ------------------------------------------------------------------------------------------

    def plan_missing(self, name: str, order: MissingOrder) -> MissingPlan:
        """What would be sent now to bring the child to its target."""
        self._store.get(name)
        if order.position_side not in ("net", "long", "short"):
            raise UsageError(f"there is no position side {order.position_side!r}: choose net, long or short")
        state = self._engine.state
        return plan_missing(state, name, order.child, order.symbol, order.position_side, time.time_ns())

    def copy_missing(self, name: str, order: MissingOrder) -> None:
        """Send it. Raises `Conflict` for what is refused or was not confirmed by the digest of its plan."""
        plan = self.plan_missing(name, order)
        if plan.refusals:
            raise Conflict("; ".join(plan.refusals))
        if plan.digest != order.digest:
            moved = "has changed since it was shown" if order.digest else "has to be confirmed first"
            raise Conflict(f"what is missing in {order.symbol} on {order.child}: its plan {moved}")
        self._engine.feed(
            MissingCopied(
                at_ns=time.time_ns(),
                bot=name,
                child=order.child,
                symbol=order.symbol,
                position_side=order.position_side,
                actor=order.actor,
            )
        )

    # --- the kill switch ------------------------------------------------------------------------------------------

    def kill(self, order: KillOrder) -> KillReport:
        """Stop all bots in one go; what their stops ask for is under way when this returns."""
        if order.confirm != KILL_WORD:
            raise UsageError(f"stopping everything has to be confirmed: send {KILL_WORD!r} as 'confirm'")
        engine = self._engine
        stopped: list[str] = []
        away: set[str] = set()
        cancels = closes = 0
        for name, settings in self._store.bots.items():
            bot = engine.state.bots[name]
            plan = plan_stop(engine.state, name, order.policy)
            if not (settings.working or bot.managed or (plan.sends and order.policy != LEAVE)):
                continue
            for send in plan.sends:
                cancels += send.what == "cancel"
                closes += send.what == "place"
                if not engine.state.account(send.account).connected:
                    away.add(send.account)
            engine.feed(BotStopped(at_ns=time.time_ns(), bot=name, policy=order.policy))
            self._store.set_working(name, False)
            stopped.append(name)
        engine.hold_leases()
        who = f" by {order.actor}" if order.actor else ""
        text = f"Everything stopped{who}: {counted(len(stopped), 'bot')}, {counted(cancels, 'order')} to cancel, "
        engine.chronicle.say(
            "warn", "kill", text + f"{counted(closes, 'position')} to close", data={"policy": order.policy}
        )
        return KillReport(
            policy=order.policy, bots=tuple(stopped), cancels=cancels, closes=closes, away=tuple(sorted(away))
        )
